//! A finding as it was kept, with the words that are content: what a page shows.

use std::collections::BTreeMap;

use haechi_checks::{Benchmark, Content, Words};
use haechi_core::diff::Kept;
use haechi_core::finding::{Accepted, Evidence};
use haechi_core::{Finding, Status, Subject, Text};
use haechi_protocol::FindingRow;
use haechi_store::{Present, Tally};

/// What a finding is about.
pub(crate) fn subject(kept: &Kept) -> Subject {
    Subject { kind: kept.kind, name: kept.name.clone(), id: kept.id.clone() }
}

/// A status as it shows: what fails or was accepted is decided by what the site accepts by now.
pub(crate) fn status(kept: Status, accepted: bool) -> Status {
    match kept {
        Status::Fail | Status::Excepted if accepted => Status::Excepted,
        Status::Fail | Status::Excepted => Status::Fail,
        other => other,
    }
}

/// The finding. A check that is no content any more is named by its id.
pub(crate) fn row(
    content: &Content,
    benchmark: &Benchmark,
    tallies: &BTreeMap<String, Tally>,
    present: Present,
    accepted: Option<Accepted>,
) -> FindingRow {
    let subject = subject(&present.kept);
    let Present { kept, since, reason, fix, sources, .. } = present;
    let status = status(kept.status, accepted.is_some());
    let check = content.check(&kept.check);
    let words = check.map(|check| check.words(&subject.name)).unwrap_or_else(|| {
        let none = Text::new("", "");
        Words {
            title: Text::new(&kept.check, &kept.check),
            expected: none.clone(),
            remediation: none,
        }
    });
    let source = check.map(|check| check.source.clone()).unwrap_or_default();
    let mut sources = sources.into_iter();
    let evidence = kept
        .seen
        .into_iter()
        .map(|seen| Evidence {
            seen,
            expected: words.expected.clone(),
            source: sources.next().unwrap_or_else(|| source.clone()),
        })
        .collect();
    let defaults = tallies.get(&kept.check).map(|tally| tally.defaults.iter().cloned().collect());
    let items = benchmark.items().filter(|(_, item)| item.checks.contains(&kept.check));
    FindingRow {
        benchmark: benchmark.id.clone(),
        items: items.map(|(_, item)| item.id.clone()).collect(),
        since,
        finding: Finding {
            title: words.title,
            area: kept.area,
            severity: kept.severity,
            status,
            subject,
            evidence,
            cause: kept.cause,
            reason,
            accepted: accepted.filter(|_| status == Status::Excepted),
            remediation: words.remediation,
            fix,
            policy_defaults: defaults.unwrap_or_default(),
            check: kept.check,
        },
    }
}

/// About how many bytes of an answer it takes.
pub(crate) fn weight(row: &FindingRow) -> usize {
    let finding = &row.finding;
    let text = |text: &Text| text.en.len() + text.ko.len();
    let evidence = finding
        .evidence
        .iter()
        .map(|one| one.seen.len() + text(&one.expected) + one.source.len())
        .sum::<usize>();
    evidence
        + finding.subject.name.len()
        + finding.reason.as_ref().map_or(0, text)
        + finding.fix.as_ref().map_or(0, String::len)
        + text(&finding.title)
        + text(&finding.remediation)
}
