//! The shipped checks and benchmarks: all of them compile, prove themselves and are used.

use std::collections::BTreeSet;

use haechi_checks::{Content, examples};

#[expect(clippy::unwrap_used, reason = "a helper of tests, where a failure may stop at once")]
fn content() -> Content {
    Content::embedded().map_err(|errors| joined(&errors)).unwrap()
}

fn joined(errors: &[haechi_checks::ContentError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_check_proves_itself_by_its_examples() {
    let outcomes = examples::run(&content()).map_err(|errors| joined(&errors)).unwrap();
    let wrong: Vec<String> = outcomes
        .iter()
        .flat_map(|o| o.complaints.iter().map(move |complaint| format!("{}: {complaint}", o.check)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(outcomes.len() > 100, "{} checks", outcomes.len());
}

#[test]
fn every_check_is_used_and_every_item_has_its_number() {
    let content = content();
    let used: BTreeSet<&str> = content
        .benchmarks()
        .iter()
        .flat_map(|b| b.items())
        .flat_map(|(_, item)| item.checks.iter().map(String::as_str))
        .collect();
    let unused: Vec<&str> =
        content.checks().map(|check| check.id.as_str()).filter(|id| !used.contains(id)).collect();
    assert!(unused.is_empty(), "in no benchmark: {unused:?}");
    for (id, count) in
        [("cis-docker-1.13.0", 104), ("cis-docker-1.6.0", 117), ("nist-sp-800-190", 23)]
    {
        let benchmark = content.benchmark(id).unwrap();
        let ids: BTreeSet<&str> = benchmark.items().map(|(_, item)| item.id.as_str()).collect();
        assert_eq!(ids.len(), count, "{id}");
    }
}

#[test]
fn older_tools_cover_what_was_published() {
    let coverage = Content::coverage().unwrap();
    let content = content();
    let benchmark = content.benchmark(&coverage.benchmark).unwrap();
    let known: BTreeSet<&str> = benchmark.items().map(|(_, item)| item.id.as_str()).collect();
    let counts: Vec<(&str, usize)> =
        coverage.tools.iter().map(|tool| (tool.name.as_str(), tool.items.len())).collect();
    assert_eq!(counts, [("Docker Bench Security", 80), ("Batten", 45), ("Drydock", 29)]);
    let mut covered = BTreeSet::new();
    for tool in &coverage.tools {
        let items: BTreeSet<&str> = tool.items.iter().map(String::as_str).collect();
        assert_eq!(items.len(), tool.items.len(), "{} names an item twice", tool.name);
        assert!(items.is_subset(&known), "{} names an unknown item", tool.name);
        covered.extend(items);
    }
    assert_eq!(104 - covered.len(), 21, "items that none of them decides");
}

#[test]
fn nothing_observed_means_nothing_passes() {
    let content = content();
    let snapshot = haechi_core::Snapshot {
        taken_at: "2026-01-01T00:00:00Z".into(),
        ..haechi_core::Snapshot::default()
    };
    let policy = haechi_core::policy::Loaded::defaults();
    for benchmark in content.benchmarks() {
        let report = haechi_checks::verify(&content, benchmark, &snapshot, &policy).unwrap();
        let counts = report.summary.findings;
        let others = counts.total() - counts.unverified;
        assert_eq!(others, 0, "{}: {counts:?}", benchmark.id);
        assert!(report.items.iter().all(|item| !item.findings.is_empty()));
    }
}
