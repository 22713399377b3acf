//! Images: the report about one in six formats, and the list of many.
//!
//! The verdict was decided before; here it is laid out: by fix, by vulnerability, by layer. Whatever an image says
//! about itself (names, paths, build steps, versions) is made harmless for the place it is written to. No long list
//! is cut without saying how much more there is, and JSON, SARIF and CSV are never cut.

mod csv;
mod danger;
mod html;
pub(crate) mod list;
pub(crate) mod markdown;
mod sarif;
mod table;
pub(crate) mod view;
pub(crate) mod words;

use std::io::Write;

use haechi_core::Lang;
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, ImageReport, Reason};
use serde_json::Value;

use crate::labels::Labels;
use crate::{Options, RenderError};

pub use list::{list, list_json};

/// A form that the report about one image can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ImageFormat {
    /// Text for a terminal.
    #[default]
    Table,
    /// The report as it is, for programs.
    Json,
    /// One self-contained page.
    Html,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// One line per vulnerability, secret and malware, for spreadsheets.
    Csv,
    /// For a pull request or a wiki.
    Markdown,
}

/// Writes the report about one image.
///
/// # Errors
/// The writer refused, or the format's library did.
pub fn render(
    report: &ImageReport,
    format: ImageFormat,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    match format {
        ImageFormat::Table => table::write(report, lang, options, out),
        ImageFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, report)?;
            Ok(writeln!(out)?)
        }
        ImageFormat::Html => html::write(report, lang, out),
        ImageFormat::Sarif => sarif::write(report, lang, out),
        ImageFormat::Csv => csv::write(report, lang, out),
        ImageFormat::Markdown => markdown::write(report, lang, options, out),
    }
}

/// Why an image is not safe, in words on one line that is safe to show on a terminal.
pub fn reason(reason: &Reason, lang: Lang) -> String {
    Labels::new(lang).reason(reason)
}

/// The JSON Schema of the report about one image.
pub fn schema() -> Value {
    crate::json::versioned::<ImageReport>("Haechi image report", IMAGE_REPORT_SCHEMA)
}
