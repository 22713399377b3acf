//! Writes sample reports in every format and language to a directory, to look at:
//! `cargo run -p haechi-report --example sample_report -- DIR [CONTAINERS] [REPORT.json LANG]`. With a
//! JSON report, that one is written in every format, too. It verifies nothing.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use haechi_core::report::images::ImageLine;
use haechi_core::{Lang, Report};
use haechi_report::image::{self, ImageFormat};
use haechi_report::{Format, Options, render_in_lang};

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let containers = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(40);
    std::fs::create_dir_all(&directory)?;
    for lang in [Lang::En, Lang::Ko] {
        write(&directory, "large", &common::large(containers).in_lang(lang), lang)?;
        write(&directory, "small", &common::small().in_lang(lang), lang)?;
        let images = [common::images::bad(), common::images::clean(), common::images::unmatched()];
        let mut report = common::small();
        report.images = images.iter().map(ImageLine::of_report).collect();
        haechi_core::report::images::sort(&mut report.images);
        write(&directory, "with-images", &report.in_lang(lang), lang)?;
        for (name, image) in ["image-bad", "image-clean", "image-unmatched"].iter().zip(&images) {
            let path = directory.join(format!("{name}-{}.html", lang.code()));
            let out = &mut BufWriter::new(File::create(path)?);
            image::render(image, ImageFormat::Html, lang, &Options::default(), out)?;
        }
    }
    if let Some(path) = arguments.next() {
        let report = serde_json::from_reader(BufReader::new(File::open(path)?))?;
        let lang = Lang::from_locale(&arguments.next().unwrap_or_default());
        write(&directory, "given", &report, lang)?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, report: &Report<String>, lang: Lang) -> Done {
    let options = Options { color: true, ..Options::default() };
    for format in Format::ALL {
        let path = directory.join(format!("{name}-{}.{format}", lang.code()));
        render_in_lang(report, format, lang, &options, &mut BufWriter::new(File::create(path)?))?;
    }
    Ok(())
}
