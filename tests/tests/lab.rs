//! Every container, image and volume of the lab is decided as `lab/lab.yaml` says, and every item of every
//! benchmark is decided with evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use haechi_core::{Cause, Finding, Report, Status, SubjectKind};
use haechi_tests::{Haechi, docker, lab, repository};
use serde_json::Value;

/// The items whose evidence may need a room that does not exist yet (the monitor) or something that is not here (a
/// registry, a signature, whole feeds of vulnerability data: the lab's is a part of a few records).
const LATER: [&str; 6] = ["1.2", "1.3", "4.4", "5.22", "5.23", "5.27"];
/// The same items of the newer benchmark.
const LATER_1_6: [&str; 8] = ["1.2.1", "1.2.2", "4.2", "4.4", "4.12", "5.23", "5.24", "5.28"];

fn verify(benchmark: &str) -> Report<String> {
    Haechi::new(&["verify", "--benchmark", benchmark, "--format", "json"]).lab_policy().report()
}

#[test]
fn every_expectation_of_the_lab_holds() {
    let lab = lab();
    let broken: Vec<String> =
        lab.expectations.iter().filter_map(|expected| expected.broken_in(lab)).collect();
    assert!(lab.expectations.len() > 100, "the lab expects little: {}", lab.expectations.len());
    assert!(
        broken.is_empty(),
        "{} of {}:\n{}",
        broken.len(),
        lab.expectations.len(),
        broken.join("\n")
    );
}

/// Statuses, evidence and remediation of each item; the number of items.
fn complete(report: &Report<String>, items: usize) {
    let ids: BTreeSet<&str> = report.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!((ids.len(), report.items.len()), (items, items), "distinct items");
    for item in &report.items {
        assert!(!item.title.is_empty() && !item.findings.is_empty(), "{}", item.id);
        let worst = item.findings.iter().map(|finding| finding.status).max();
        assert_eq!(Some(item.status), worst, "{}: an item shows its worst finding", item.id);
        for finding in &item.findings {
            let what = format!("{}: {}", item.id, haechi_tests::seen(finding));
            assert!(!finding.evidence.is_empty(), "{what}: no evidence");
            assert!(!finding.remediation.trim().is_empty(), "{what}: no remediation");
            for evidence in &finding.evidence {
                assert!(!evidence.seen.trim().is_empty(), "{what}: nothing seen");
                assert!(!evidence.expected.trim().is_empty(), "{what}: nothing expected");
                assert!(!evidence.source.trim().is_empty(), "{what}: no source");
            }
            assert_eq!(finding.cause.is_some(), finding.status == Status::Unverified, "{what}");
            assert_eq!(finding.accepted.is_some(), finding.status == Status::Excepted, "{what}");
            if matches!(finding.status, Status::Unverified | Status::NotApplicable) {
                assert!(
                    finding.reason.as_ref().is_some_and(|r| !r.trim().is_empty()),
                    "{what}: why?"
                );
            }
        }
    }
}

/// Whether it is about this host or the lab, and not about somebody else's containers and images.
fn is_ours(finding: &Finding<String>) -> bool {
    let ours = finding.subject.name.starts_with("haechi-lab-");
    ours || !matches!(finding.subject.kind, SubjectKind::Container | SubjectKind::Image)
}

/// Only what these items need may be open, and it says what is missing.
fn open_only(report: &Report<String>, later: &[&str]) {
    let rooms = [Cause::NeedsImageScan, Cause::NeedsDatabase, Cause::NeedsMonitor, Cause::Missing];
    let mut wrong = Vec::new();
    for item in &report.items {
        for finding in item.findings.iter().filter(|f| f.status == Status::Unverified && is_ours(f))
        {
            // One program of which nothing says what it is made of: undecided is the truth.
            if finding.subject.name == "haechi-lab-distroless:1" && item.id == "4.3" {
                continue;
            }
            let room = finding.cause.is_some_and(|cause| rooms.contains(&cause));
            if !room || !later.contains(&item.id.as_str()) {
                wrong.push(format!(
                    "{} {:?}: {}",
                    item.id,
                    finding.cause,
                    haechi_tests::seen(finding)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} findings are open:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn all_104_items_are_decided_from_evidence() {
    complete(&lab().report, 104);
    open_only(&lab().report, &LATER);
}

#[test]
fn all_117_items_of_the_newer_benchmark_are_decided() {
    complete(&lab().newer, 117);
    open_only(&lab().newer, &LATER_1_6);
}

/// A feed of a few made-up records says nothing about a real host, engine or program.
#[test]
fn a_part_of_a_feed_lets_nothing_pass() {
    for (check, subject) in [
        ("host-packages-patched", None),
        ("engine-up-to-date", None),
        ("image-patched", Some("haechi-lab-good:1")),
    ] {
        let all = haechi_tests::findings(&lab().report, check);
        let ours: Vec<_> =
            all.iter().filter(|f| subject.is_none_or(|name| f.subject.name == name)).collect();
        assert!(!ours.is_empty(), "{check}");
        for finding in ours {
            let seen = haechi_tests::seen(finding);
            assert!(matches!(finding.status, Status::Unverified | Status::Fail), "{check}: {seen}");
            if finding.status == Status::Unverified {
                assert_eq!(finding.cause, Some(Cause::NeedsDatabase), "{check}: {seen}");
            }
        }
    }
}

#[test]
fn nist_sp_800_190_is_mapped() {
    complete(&verify("nist-sp-800-190"), 23);
}

#[test]
fn the_report_keeps_its_schema() {
    let schema = fs::read_to_string(repository().join("docs/schema/report-v1.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for benchmark in ["cis-docker-1.13.0", "cis-docker-1.6.0", "nist-sp-800-190"] {
        let done = Haechi::new(&["verify", "--benchmark", benchmark, "--format", "json"]).run();
        let errors: Vec<String> = validator
            .iter_errors(&done.json())
            .map(|e| format!("{} at {}", e, e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{benchmark}: {errors:?}");
    }
}

#[test]
fn the_snapshot_keeps_its_schema() {
    let schema = fs::read_to_string(repository().join("docs/schema/snapshot-v1.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let snapshot = Haechi::new(&["collect"]).run().must_end_with(0).json();
    let errors: Vec<String> = validator
        .iter_errors(&snapshot)
        .map(|e| format!("{} at {}", e, e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn every_container_is_seen_running_or_not() {
    let names = docker(&["ps", "--all", "--format", "{{.Names}}"]);
    let privileged = haechi_tests::findings(&lab().report, "container-not-privileged");
    let seen: BTreeSet<&str> = privileged.iter().map(|f| f.subject.name.as_str()).collect();
    for name in names.lines().filter(|name| name.starts_with("haechi-lab-")) {
        assert!(seen.contains(name), "{name} is missing");
    }
}

/// A secret that the lab gave to a container or an image is in no report and in no snapshot.
#[test]
fn no_secret_leaves_the_engine() {
    let mut outputs = vec![Haechi::new(&["collect"]).run().must_end_with(0).stdout];
    for format in ["table", "json", "html", "sarif", "junit", "csv", "markdown"] {
        outputs.push(Haechi::new(&["verify", "-v", "--format", format]).run().stdout);
    }
    for output in outputs {
        for secret in ["Xq7-Rz91-kLm3-Vb52", "Tr0ub4dor-und-3"] {
            assert!(
                !output.contains(secret),
                "{secret} is in {}",
                output.chars().take(80).collect::<String>()
            );
        }
    }
}

/// The same check decides a subject the same way, whichever benchmark asks.
#[test]
fn benchmarks_agree_with_each_other() {
    let mut decided: BTreeMap<(String, String, String), (Status, &str)> = BTreeMap::new();
    for benchmark in ["cis-docker-1.13.0", "cis-docker-1.6.0", "nist-sp-800-190"] {
        for finding in verify(benchmark).items.into_iter().flat_map(|item| item.findings) {
            let key = (finding.check, finding.subject.name, finding.subject.id);
            // It counts how often Haechi ran.
            if key.0 == "host-verified-recently" {
                continue;
            }
            let before = decided.insert(key.clone(), (finding.status, benchmark));
            assert!(
                before.is_none_or(|(status, _)| status == finding.status),
                "{key:?}: {before:?}, but {} in {benchmark}",
                finding.status
            );
        }
    }
}
