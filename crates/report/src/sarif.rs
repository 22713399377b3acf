//! SARIF 2.1.0 for code scanning: rules are checks, results are findings.
//!
//! Failures are `kind: fail` with a level by severity, what could not be verified is `kind: open`,
//! accepted failures carry a suppression; passes and what does not apply are written only with
//! `verbose`. Subjects are logical locations, because there are no files. The order is that of the
//! report.

use std::collections::BTreeMap;
use std::io::Write;

use haechi_core::report::distinct;
use haechi_core::text::visible;
use haechi_core::{Finding, Lang, Report, Severity, Status};
use serde_json::{Value, json};

use crate::group::{by_check, items_of_checks};
use crate::labels::{Labels, key};
use crate::{Options, RenderError};

/// Where the schema of SARIF 2.1.0 is.
pub(crate) const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Writes the report as SARIF 2.1.0.
///
/// # Errors
/// The writer refused.
pub fn write(
    report: &Report<String>,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    let labels = Labels::new(lang);
    let rules = rules(report);
    let places: BTreeMap<&str, usize> =
        rules.iter().enumerate().map(|(n, (check, _))| (*check, n)).collect();
    let shown = |f: &&Finding<String>| {
        options.verbose || !matches!(f.status, Status::Pass | Status::NotApplicable)
    };
    let results: Vec<Value> = distinct(&report.items)
        .filter(shown)
        .map(|f| result(report, f, places.get(f.check.as_str()), &labels))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Haechi",
                "semanticVersion": report.haechi_version,
                "language": match lang { Lang::En => "en-US", Lang::Ko => "ko-KR" },
                "rules": rules.into_iter().map(|(_, rule)| rule).collect::<Vec<_>>(),
            }},
            // §3.17: what this run is one of, so that runs over one host and benchmark are
            // compared.
            "automationDetails": {
                "id": format!("haechi/{}/{}/", visible(&report.benchmark), visible(&report.host.name)),
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {
                "benchmark": report.benchmark,
                "takenAt": report.taken_at,
                "score": report.score.total,
            },
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    Ok(writeln!(out)?)
}

fn rules(report: &Report<String>) -> Vec<(&str, Value)> {
    let served = items_of_checks(report);
    let mut rules: Vec<_> = by_check(report, |_| true)
        .into_iter()
        .map(|group| {
            let help = crate::group::distinct_texts(&group.findings, |f| &f.remediation);
            let help = help.first().map_or("", |text| text);
            let rule = json!({
                "id": group.check,
                "shortDescription": {"text": visible(&group.title)},
                "help": {"text": lines(help)},
                "defaultConfiguration": {"level": level(group.severity)},
                "properties": {
                    "tags": ["security", group.area.name()],
                    "severity": group.severity.name(),
                    // What code scanning sorts by: the middle of each CVSS band.
                    "security-severity": match group.severity {
                        Severity::Critical => "9.5",
                        Severity::High => "8.0",
                        Severity::Medium => "5.5",
                        Severity::Low => "2.0",
                    },
                    "items": served.get(group.check).cloned().unwrap_or_default(),
                },
            });
            (group.check, rule)
        })
        .collect();
    rules.sort_by_key(|(check, _)| *check);
    rules
}

fn result(
    report: &Report<String>,
    finding: &Finding<String>,
    rule: Option<&usize>,
    labels: &Labels,
) -> Value {
    // §3.27.9: only a failure has a level other than none.
    let (kind, level) = match finding.status {
        Status::Fail | Status::Excepted => ("fail", level(finding.severity)),
        Status::Unverified => ("open", "none"),
        Status::Pass => ("pass", "none"),
        Status::NotApplicable => ("notApplicable", "none"),
    };
    let subject = &finding.subject;
    let mut result = json!({
        "ruleId": finding.check,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": message(finding, labels)},
        "locations": [{"logicalLocations": [{
            "name": visible(&subject.name),
            "fullyQualifiedName":
                format!("{}/{}/{}", visible(&report.host.name), subject.kind, visible(&subject.name)),
            "kind": "resource",
        }]}],
        // The kind and name, not the id: a container made anew under its name is the same to its
        // people.
        "partialFingerprints": {
            "haechiFinding/v1": format!("{}:{}:{}", finding.check, subject.kind, subject.name),
        },
        "properties": {
            "status": finding.status.name(),
            "area": finding.area.name(),
            "subjectKind": subject.kind.name(),
            "subjectId": visible(&subject.id),
            "cause": finding.cause.map(|cause| cause.name()),
            "fix": finding.fix.as_deref().map(visible),
        },
    });
    if let Some(accepted) = &finding.accepted {
        let suppression = json!([{
            "kind": "external",
            "status": "accepted",
            "justification": visible(&accepted.reason),
            "properties": {
                "owner": visible(&accepted.owner),
                "expires": accepted.expires.to_string(),
            },
        }]);
        if let Some(result) = result.as_object_mut() {
            result.insert("suppressions".to_owned(), suppression);
        }
    }
    result
}

fn message(finding: &Finding<String>, labels: &Labels) -> String {
    let mut text = format!(
        "{} · {} {}",
        visible(&finding.title),
        labels.kind(finding.subject.kind),
        visible(&finding.subject.name)
    );
    if let Some(reason) = &finding.reason {
        text.push_str(&format!("\n{}", lines(reason)));
    }
    for evidence in &finding.evidence {
        for (label, value) in [
            (key::SEEN, &evidence.seen),
            (key::EXPECTED, &evidence.expected),
            (key::SOURCE, &evidence.source),
        ] {
            text.push_str(&format!("\n{}: {}", labels.get(label), visible(value)));
        }
    }
    text
}

pub(crate) fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn lines(text: &str) -> String {
    crate::layout::visible_lines(text).collect::<Vec<_>>().join("\n")
}
