//! SARIF 2.1.0 for code scanning: rules are vulnerability ids, detectors of secrets, malware rules, and the kinds of
//! settings and files that are a danger.
//!
//! Packages are logical locations. What does not count carries a suppression, what could not be decided or read is
//! `kind: open`. Never cut.

use std::collections::BTreeMap;
use std::io::Write;

use haechi_core::text::visible;
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::{Rating, Suppressed, Vulnerability};
use haechi_core::{Lang, Severity};
use serde_json::{Value, json};

use super::danger::weaknesses;
use super::table::affected;
use crate::RenderError;
use crate::labels::{Labels, key};
use crate::sarif::{SCHEMA, level as severity_level};

pub(super) fn write(
    report: &ImageReport,
    lang: Lang,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    let labels = Labels::new(lang);
    let mut log = Log { report, labels, rules: BTreeMap::new(), results: Vec::new() };
    for flaw in &report.assessment.vulnerabilities {
        log.vulnerability(flaw, None);
    }
    for (flaw, why) in &report.assessment.suppressed {
        log.vulnerability(flaw, Some(why));
    }
    log.dangers();
    log.open(report);
    let Log { rules, mut results, .. } = log;
    for result in &mut results {
        let place = result
            .get("ruleId")
            .and_then(Value::as_str)
            .and_then(|id| rules.keys().position(|name| name == id));
        if let Some(result) = result.as_object_mut() {
            result.insert("ruleIndex".to_owned(), json!(place));
        }
    }
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Haechi",
                "semanticVersion": report.haechi_version,
                "language": match lang { Lang::En => "en-US", Lang::Ko => "ko-KR" },
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "automationDetails": {
                "id": format!("haechi/image/{}/", visible(&report.scan.subject.reference)),
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {
                "image": visible(&report.scan.subject.reference),
                "imageId": visible(&report.scan.subject.id),
                "takenAt": report.taken_at,
                "verdict": report.verdict.safety.name(),
            },
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    Ok(writeln!(out)?)
}

struct Log<'a> {
    report: &'a ImageReport,
    labels: Labels,
    rules: BTreeMap<String, Value>,
    results: Vec<Value>,
}

impl Log<'_> {
    fn location(&self, name: &str, kind: &str) -> Value {
        let image = visible(&self.report.scan.subject.reference);
        json!([{"logicalLocations": [{
            "name": visible(name),
            "fullyQualifiedName": format!("{image}/{}", visible(name)),
            "kind": kind,
        }]}])
    }

    fn vulnerability(&mut self, flaw: &Vulnerability, why: Option<&Suppressed>) {
        let id = visible(&flaw.id).into_owned();
        let title = if flaw.title.is_empty() { &flaw.id } else { &flaw.title };
        let score = flaw.scores.first().map_or(middle(flaw.rating), |score| score.score);
        let mut rule = json!({
            "id": id,
            "shortDescription": {"text": visible(title)},
            "defaultConfiguration": {"level": level(flaw.rating)},
            "properties": {
                "tags": ["security", "vulnerability"],
                "severity": flaw.rating.name(),
                "security-severity": format!("{score:.1}"),
                "cwes": flaw.cwes.iter().map(|cwe| visible(cwe)).collect::<Vec<_>>(),
            },
        });
        let web = |url: &&String| url.starts_with("https://") || url.starts_with("http://");
        if let (Some(rule), Some(url)) = (rule.as_object_mut(), flaw.urls.iter().find(web)) {
            // The standard wants a URI: what is none is left out.
            if url.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
                rule.insert("helpUri".to_owned(), json!(url));
            }
        }
        self.rules.entry(id.clone()).or_insert(rule);
        let message = format!("{id}: {}", affected(flaw, self.report, &self.labels));
        let mut result = json!({
            "ruleId": id,
            "kind": "fail",
            "level": level(flaw.rating),
            "message": {"text": message},
            "locations": self.location(&format!("{} {}", flaw.name, flaw.installed), "package"),
            "partialFingerprints": {
                "haechiVulnerability/v1": visible(&format!("{}:{}:{}", flaw.id, flaw.package, flaw.path)),
            },
            "properties": {
                "rating": flaw.rating.name(),
                "ratedBy": visible(&flaw.rated_by),
                "purl": visible(&flaw.package),
                "path": visible(&flaw.path),
                "layer": flaw.layer,
                "state": flaw.state,
                "fixed": visible(&flaw.fixed),
                "fix": visible(&flaw.command),
                "exploited": flaw.exploited.is_some(),
                "epss": flaw.epss.map(|epss| epss.score),
                "rank": flaw.rank,
            },
        });
        if let (Some(why), Some(result)) = (why, result.as_object_mut()) {
            let suppression = json!([{
                "kind": "external",
                "status": "accepted",
                "justification": visible(&format!("{} ({}): {}", why.status, why.by, why.reason)),
            }]);
            result.insert("suppressions".to_owned(), suppression);
        }
        self.results.push(result);
    }

    fn dangers(&mut self) {
        let scan = &self.report.scan;
        for hit in &scan.malware {
            let rule = format!("malware/{}", visible(&hit.rule));
            let words = if hit.description.is_empty() { &hit.rule } else { &hit.description };
            let title = self.labels.get(key::MALWARE);
            self.danger(rule, title, words, (&hit.path, hit.layer, hit.deleted), hit.severity);
        }
        for secret in &scan.secrets {
            let rule = format!("secret/{}", visible(&secret.detector));
            let title = self.labels.get(key::SECRETS);
            let at = (secret.place.as_str(), secret.layer, secret.deleted);
            self.danger(rule, title, &secret.detector, at, secret.severity);
        }
        for one in weaknesses(scan) {
            let rule = format!("image/{}", one.kind);
            let title = self.labels.get(one.title);
            let (place, words) = (one.place(), one.words());
            self.danger(rule, title, &words, (&place, one.layer, false), one.severity);
        }
    }

    fn danger(
        &mut self,
        rule: String,
        title: &str,
        words: &str,
        (place, layer, deleted): (&str, Option<u32>, bool),
        severity: Severity,
    ) {
        let text = match words {
            "" => title.to_owned(),
            words => format!("{title}: {}", visible(words)),
        };
        // What differs from result to result does not describe the rule.
        let about = if rule.starts_with("image/") { title } else { &text };
        let entry = json!({
            "id": rule,
            "shortDescription": {"text": about},
            "defaultConfiguration": {"level": severity_level(severity)},
            "properties": {
                "tags": ["security"],
                "severity": severity.name(),
                "security-severity": match severity {
                    Severity::Critical => "9.5",
                    Severity::High => "8.0",
                    Severity::Medium => "5.5",
                    Severity::Low => "2.0",
                },
            },
        });
        self.rules.entry(rule.clone()).or_insert(entry);
        let still = if deleted {
            format!(" ({})", self.labels.get(key::STILL_THERE))
        } else {
            String::new()
        };
        let result = json!({
            "ruleId": rule,
            "kind": "fail",
            "level": severity_level(severity),
            "message": {"text": format!("{text} · {}{still}", visible(place))},
            "locations": self.location(place, "resource"),
            "partialFingerprints": {"haechiDanger/v1": format!("{rule}:{}", visible(place))},
            "properties": {"severity": severity.name(), "layer": layer, "deleted": deleted},
        });
        self.results.push(result);
    }

    /// What could not be read or decided.
    fn open(&mut self, report: &ImageReport) {
        let problems = report.scan.problems.iter().filter(|problem| !problem.affects.is_empty());
        let unread = problems.map(|p| ("image/not-read", key::PROBLEMS, &p.place, &p.detail));
        let undecided = &report.assessment.undecided;
        let undecided =
            undecided.iter().map(|u| ("image/not-decided", key::UNDECIDED, &u.name, &u.detail));
        for (rule, title, name, detail) in unread.chain(undecided) {
            let entry = json!({
                "id": rule,
                "shortDescription": {"text": self.labels.get(title)},
                "properties": {"tags": ["security"]},
            });
            self.rules.entry(rule.to_owned()).or_insert(entry);
            self.results.push(json!({
                "ruleId": rule,
                "kind": "open",
                "level": "none",
                "message": {"text": format!("{}: {}", visible(name), visible(detail))},
                "locations": self.location(name, "resource"),
                "partialFingerprints": {"haechiOpen/v1": format!("{rule}:{}", visible(name))},
            }));
        }
    }
}

fn level(rating: Rating) -> &'static str {
    match rating {
        Rating::Critical | Rating::High => "error",
        Rating::Medium | Rating::Unknown => "warning",
        Rating::Low | Rating::Negligible => "note",
    }
}

/// The middle of each CVSS band, for what has no score; code scanning shows an unrated one among the medium.
fn middle(rating: Rating) -> f64 {
    match rating {
        Rating::Critical => 9.5,
        Rating::High => 8.0,
        Rating::Medium | Rating::Unknown => 5.5,
        Rating::Low => 2.0,
        Rating::Negligible => 0.1,
    }
}
