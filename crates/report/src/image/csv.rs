//! One line per vulnerability, secret, malware and other danger, for spreadsheets; column names and codes are those of the JSON report.

use std::io::Write;

use haechi_core::Lang;
use haechi_core::verdict::ImageReport;

use super::danger::weaknesses;
use crate::RenderError;
use crate::csv::harmless;

const COLUMNS: [&str; 22] = [
    "kind",
    "id",
    "rating",
    "score",
    "rated_by",
    "exploited",
    "epss",
    "package_kind",
    "package",
    "installed",
    "state",
    "fixed",
    "command",
    "path",
    "layer",
    "title",
    "aliases",
    "published",
    "suppressed_by",
    "suppressed_status",
    "suppressed_reason",
    "seen",
];

pub(super) fn write(
    report: &ImageReport,
    lang: Lang,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    if lang == Lang::Ko {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let mut writer =
        ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
    writer.write_record(COLUMNS)?;
    let layer = |layer: Option<u32>| layer.map(|n| n.to_string()).unwrap_or_default();
    let counting = report.assessment.vulnerabilities.iter().map(|flaw| (flaw, None));
    let not = report.assessment.suppressed.iter().map(|(flaw, why)| (flaw, Some(why)));
    for (flaw, why) in counting.chain(not) {
        let state = serde_json::to_value(flaw.state)?;
        let cells = [
            "vulnerability".to_owned(),
            flaw.id.clone(),
            flaw.rating.name().to_owned(),
            flaw.scores.first().map(|s| format!("{:.1}", s.score)).unwrap_or_default(),
            flaw.rated_by.clone(),
            flaw.exploited.as_ref().map(|e| e.added.clone()).unwrap_or_default(),
            flaw.epss.map(|e| format!("{:.5}", e.score)).unwrap_or_default(),
            flaw.kind.name().to_owned(),
            flaw.name.clone(),
            flaw.installed.clone(),
            state.as_str().unwrap_or_default().to_owned(),
            flaw.fixed.clone(),
            flaw.command.clone(),
            flaw.path.clone(),
            layer(flaw.layer),
            flaw.title.clone(),
            flaw.aliases.join(" "),
            flaw.published.clone(),
            why.map(|w| w.by.clone()).unwrap_or_default(),
            why.map(|w| w.status.clone()).unwrap_or_default(),
            why.map(|w| w.reason.clone()).unwrap_or_default(),
            report.seen_of(flaw).map(|seen| seen.name().to_owned()).unwrap_or_default(),
        ];
        writer.write_record(cells.map(|cell| harmless(&cell)))?;
    }
    let mut other = |kind: &str,
                     id: &str,
                     rating: &str,
                     path: &str,
                     at: Option<u32>,
                     title: &str,
                     package: &str| {
        let mut cells: [String; 22] = Default::default();
        let values = [(0, kind), (1, id), (2, rating), (8, package), (13, path), (15, title)];
        for (place, value) in values {
            if let Some(cell) = cells.get_mut(place) {
                value.clone_into(cell);
            }
        }
        if let Some(cell) = cells.get_mut(14) {
            *cell = layer(at);
        }
        writer.write_record(cells.map(|cell| harmless(&cell)))
    };
    for hit in &report.scan.malware {
        let rating = hit.severity.name();
        other("malware", &hit.rule, rating, &hit.path, hit.layer, &hit.description, "")?;
    }
    for secret in &report.scan.secrets {
        let place = match secret.line {
            0 => secret.place.clone(),
            line => format!("{}:{line}", secret.place),
        };
        let rating = secret.severity.name();
        other("secret", &secret.detector, rating, &place, secret.layer, "", "")?;
    }
    for one in weaknesses(&report.scan) {
        let rating = one.severity.name();
        other(one.kind, "", rating, &one.place(), one.layer, &one.what, one.package)?;
    }
    // What is missing from this list must not look as if it were not there.
    for problem in &report.scan.problems {
        let kind = serde_json::to_value(problem.kind)?;
        other(
            "problem",
            kind.as_str().unwrap_or_default(),
            "",
            &problem.place,
            problem.layer,
            &problem.detail,
            "",
        )?;
    }
    for one in &report.assessment.undecided {
        let name = format!("{} {}", one.name, one.version);
        other("undecided", one.cause.name(), "", &name, None, &one.detail, "")?;
    }
    Ok(writer.flush()?)
}
