//! One line per finding, for spreadsheets; column names and codes are those of the JSON report.
//!
//! A cell that a spreadsheet would take for a formula gets a `'` before it, so that a container's
//! name is never computed. A Korean file begins with a byte order mark, without which Excel shows
//! Korean as noise.

use std::io::Write;

use haechi_core::report::distinct;
use haechi_core::text::visible;
use haechi_core::{Evidence, Finding, Lang, Report};

use crate::RenderError;
use crate::group::items_of_checks;

const COLUMNS: [&str; 19] = [
    "items",
    "check",
    "title",
    "area",
    "severity",
    "status",
    "subject_kind",
    "subject_name",
    "subject_id",
    "seen",
    "expected",
    "source",
    "cause",
    "reason",
    "remediation",
    "fix",
    "accepted_reason",
    "accepted_owner",
    "accepted_expires",
];

/// Writes the findings as CSV (RFC 4180, UTF-8).
///
/// # Errors
/// The writer refused.
pub fn write(report: &Report<String>, lang: Lang, out: &mut dyn Write) -> Result<(), RenderError> {
    if lang == Lang::Ko {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let served = items_of_checks(report);
    let mut writer =
        ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
    writer.write_record(COLUMNS)?;
    for finding in distinct(&report.items) {
        let items = served.get(finding.check.as_str()).map(|ids| ids.join(" ")).unwrap_or_default();
        writer.write_record(cells(finding, items).map(|cell| harmless(&cell)))?;
    }
    Ok(writer.flush()?)
}

fn cells(finding: &Finding<String>, items: String) -> [String; 19] {
    let evidence = |pick: fn(&Evidence<String>) -> &String| {
        let mut texts: Vec<&str> = finding.evidence.iter().map(|e| pick(e).as_str()).collect();
        texts.dedup();
        texts.join(" | ")
    };
    let accepted = finding.accepted.as_ref();
    [
        items,
        finding.check.clone(),
        finding.title.clone(),
        finding.area.to_string(),
        finding.severity.to_string(),
        finding.status.to_string(),
        finding.subject.kind.to_string(),
        finding.subject.name.clone(),
        finding.subject.id.clone(),
        evidence(|e| &e.seen),
        evidence(|e| &e.expected),
        evidence(|e| &e.source),
        finding.cause.map(|cause| cause.to_string()).unwrap_or_default(),
        one_line(finding.reason.as_deref().unwrap_or_default()),
        one_line(&finding.remediation),
        finding.fix.as_deref().map(one_line).unwrap_or_default(),
        accepted.map(|a| a.reason.clone()).unwrap_or_default(),
        accepted.map(|a| a.owner.clone()).unwrap_or_default(),
        accepted.map(|a| a.expires.to_string()).unwrap_or_default(),
    ]
}

fn one_line(text: &str) -> String {
    text.trim_end().replace('\n', " ")
}

/// A cell that is neither a formula nor able to move a cursor.
pub(crate) fn harmless(raw: &str) -> String {
    let shown = visible(raw);
    if raw.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{shown}")
    } else {
        shown.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text() {
        assert_eq!(harmless("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(harmless("@SUM(1)"), "'@SUM(1)");
        assert_eq!(harmless("\t=1"), "'\\u{9}=1");
        assert_eq!(harmless("웹-서버"), "웹-서버");
    }
}
