//! Items of a benchmark from the findings of their checks, added up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use haechi_checks::{Benchmark, BenchmarkItem, Content};
use haechi_core::report::Counts;
use haechi_core::{Area, Severity, Status};
use haechi_protocol::ItemRow;
use haechi_store::{ItemState, Tally};

/// What decides the items of a verification.
#[derive(Debug, Default)]
pub(crate) struct Deciding {
    /// Findings by check.
    pub(crate) tallies: BTreeMap<String, Tally>,
    /// How the items were decided.
    pub(crate) states: BTreeMap<String, ItemState>,
}

/// The items in their order. One for which nothing was decided is `unverified`.
pub(crate) fn item_rows<'b>(
    content: &Content,
    benchmark: &'b Benchmark,
    deciding: &Deciding,
) -> Vec<(&'b BenchmarkItem, ItemRow)> {
    let row = |section: &haechi_checks::Section, item: &BenchmarkItem| {
        let decided = item.checks.iter().filter_map(|check| deciding.tallies.get(check));
        let mut counts = Counts::default();
        for tally in decided.clone() {
            counts += tally.counts;
        }
        let status = counts.worst().unwrap_or(Status::Unverified);
        let deciding_it =
            decided.filter(|tally| tally.counts.of(status) > 0).map(|tally| tally.severity);
        let known = item.checks.iter().filter_map(|check| content.check(check));
        let severity = deciding_it.max().or(known.clone().map(|check| check.severity).max());
        let mut areas: Vec<Area> = known.map(|check| check.area).collect();
        areas.sort_unstable();
        areas.dedup();
        let since = deciding.states.get(&item.id).and_then(|state| state.since);
        ItemRow {
            id: item.id.clone(),
            title: item.title.clone(),
            section: section.title.clone(),
            status,
            severity: severity.unwrap_or(Severity::Low),
            areas,
            counts,
            since: since.filter(|_| !matches!(status, Status::Pass | Status::NotApplicable)),
        }
    };
    benchmark.items().map(|(section, item)| (item, row(section, item))).collect()
}

/// Whether id or title of an item have this in them, whatever the case.
pub(crate) fn says(row: &ItemRow, text: &str) -> bool {
    let text = text.to_lowercase();
    [&*row.id, &row.title.en, &row.title.ko].iter().any(|word| word.to_lowercase().contains(&text))
}

/// Checks of an item, the most severe first.
pub(crate) fn by_severity<'c>(
    checks: &'c [String],
    tallies: &BTreeMap<String, Tally>,
) -> Vec<&'c String> {
    let mut found: Vec<(Reverse<Severity>, &String)> = checks
        .iter()
        .filter_map(|check| Some((Reverse(tallies.get(check)?.severity), check)))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, check)| check).collect()
}
