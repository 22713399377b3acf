//! JUnit XML for CI: a test suite for each section of the benchmark, a test case for each item.
//!
//! A failing item is a failure, one that could not be verified an error (never a success), an
//! accepted or not applicable one is skipped. Characters that XML 1.0 forbids become visible
//! escapes.

use std::borrow::Cow;
use std::io::Write;

use haechi_core::report::Item;
use haechi_core::text::visible;
use haechi_core::{Lang, Report, Status};
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use crate::RenderError;
use crate::group::by_evidence;
use crate::labels::{Labels, key};

/// Subjects named for one evidence of one check.
const SUBJECTS_MAX: usize = 20;

/// Writes the report as JUnit XML.
///
/// # Errors
/// The writer refused.
pub fn write(report: &Report<String>, lang: Lang, out: &mut dyn Write) -> Result<(), RenderError> {
    let labels = Labels::new(lang);
    let mut suites = quick_junit::Report::new(xml(&report.benchmark_title));
    for items in report.items.chunk_by(|a, b| a.section == b.section) {
        let Some(first) = items.first() else { continue };
        let mut suite = TestSuite::new(xml(&first.section));
        suite.add_property(Property::new("host", xml(&report.host.name)));
        suite.add_property(Property::new("benchmark", xml(&report.benchmark)));
        suite.add_property(Property::new("taken_at", xml(&report.taken_at)));
        suite.add_test_cases(items.iter().map(|item| case(report, item, &labels)));
        suites.add_test_suite(suite);
    }
    Ok(suites.serialize(out)?)
}

fn case(report: &Report<String>, item: &Item<String>, labels: &Labels) -> TestCase {
    let mut status = match item.status {
        Status::Pass => TestCaseStatus::success(),
        Status::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Unverified => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Excepted | Status::NotApplicable => TestCaseStatus::skipped(),
    };
    if item.status != Status::Pass {
        status.set_message(message(item, labels));
        let of_status: Vec<_> = item.findings.iter().filter(|f| f.status == item.status).collect();
        let kind = match item.status {
            Status::Fail => of_status.iter().map(|f| f.severity).max().map(|s| s.name()),
            _ => of_status.iter().find_map(|f| f.cause).map(|cause| cause.name()),
        };
        if let Some(kind) = kind {
            status.set_type(kind);
        }
        status.set_description(description(item, labels));
    }
    let mut case = TestCase::new(format!("{} {}", xml(&item.id), xml(&item.title)), status);
    case.set_classname(xml(&report.benchmark));
    case
}

fn message(item: &Item<String>, labels: &Labels) -> String {
    let count = item.findings.iter().filter(|f| f.status == item.status).count() as u64;
    format!(
        "{}: {}",
        labels.status(item.status),
        labels.count(key::FINDINGS_ONE, key::FINDINGS, count)
    )
}

fn description(item: &Item<String>, labels: &Labels) -> String {
    let mut text = String::new();
    let findings = item.findings.iter().filter(|f| f.status == item.status).collect::<Vec<_>>();
    for findings in findings.chunk_by(|a, b| a.check == b.check) {
        for same in by_evidence(findings) {
            let mut names: Vec<_> = same
                .findings
                .iter()
                .take(SUBJECTS_MAX)
                .map(|f| xml(&f.subject.name).into_owned())
                .collect();
            names.extend(labels.more(same.findings.len().saturating_sub(names.len())));
            text.push_str(&format!("{}: {}\n", xml(&same.first.check), names.join(", ")));
            for line in same.first.reason.iter().flat_map(|reason| lines(reason)) {
                text.push_str(&format!("  {line}\n"));
            }
            if let Some(accepted) = &same.first.accepted {
                let (reason, owner) = (xml(&accepted.reason), xml(&accepted.owner));
                let expires = accepted.expires.to_string();
                let values = [("reason", &*reason), ("owner", &*owner), ("expires", &*expires)];
                text.push_str(&format!("  {}\n", labels.with(key::ACCEPTED, &values)));
            }
            for evidence in &same.first.evidence {
                for (label, value) in [
                    (key::SEEN, &evidence.seen),
                    (key::EXPECTED, &evidence.expected),
                    (key::SOURCE, &evidence.source),
                ] {
                    text.push_str(&format!("  {}: {}\n", labels.get(label), xml(value)));
                }
            }
        }
        let open = findings.first().is_some_and(|f| f.is_open());
        for remediation in crate::group::distinct_texts(findings, |f| &f.remediation) {
            for line in lines(&remediation).filter(|line| open && !line.is_empty()) {
                text.push_str(&format!("  {}: {line}\n", labels.get(key::REMEDIATION)));
            }
        }
    }
    text
}

/// Text that XML 1.0 can hold: what [`visible`] leaves, without the two non-characters that it
/// forbids.
fn xml(raw: &str) -> Cow<'_, str> {
    let shown = visible(raw);
    if !shown.contains(['\u{fffe}', '\u{ffff}']) {
        return shown;
    }
    shown.replace('\u{fffe}', "\\u{fffe}").replace('\u{ffff}', "\\u{ffff}").into()
}

fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.trim_end().lines().map(xml)
}
