//! Tests of putting records together.

use super::*;

fn judged(id: &str, aliases: &[&str], covers: &[&str], feed: &str, verdict: Verdict) -> Judged {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let record = Record {
        id: id.into(),
        aliases: list(aliases),
        covers: list(covers),
        feed: feed.into(),
        ..Record::default()
    };
    Judged { record: Rc::new(record), verdict, place: 0 }
}

fn ids(merged: &Merged) -> Vec<String> {
    merged.flaws.iter().map(|flaw| best_name(&flaw.names)).collect()
}

use Verdict::{Affected, NotAffected};

#[test]
fn names_of_one_flaw_are_joined_through_any_alias() {
    let all = [
        judged("GHSA-a", &["CVE-2024-0001"], &[], "osv/PyPI", Affected),
        judged("PYSEC-1", &["GHSA-b"], &[], "osv/PyPI", Affected),
        judged("GHSA-c", &["PYSEC-1", "CVE-2024-0001"], &[], "osv/PyPI", NotAffected),
        judged("GHSA-z", &[], &[], "osv/PyPI", Affected),
    ];
    let merged = merge(&all, false);
    assert_eq!(ids(&merged), ["CVE-2024-0001", "GHSA-z"]);
    assert_eq!(merged.flaws[0].records.len(), 2);
    assert!(merged.flaws[0].names.contains("GHSA-b"));
}

#[test]
fn an_advisory_counts_for_each_cve_that_it_covers_and_joins_none() {
    let covers = ["CVE-2024-0001", "CVE-2024-0002"];
    let all = [
        judged("DSA-1-1", &[], &covers, "osv/Debian", Affected),
        judged("CVE-2024-0001", &[], &[], "osv/Debian", Affected),
    ];
    let merged = merge(&all, true);
    assert_eq!(ids(&merged), ["CVE-2024-0001", "CVE-2024-0002"]);
    assert!(merged.flaws.iter().all(|flaw| flaw.records.iter().any(|r| r.id == "DSA-1-1")));
    let alone = merge(&[judged("DSA-2-1", &[], &[], "osv/Debian", Affected)], true);
    assert_eq!(ids(&alone), ["DSA-2-1"]);
}

#[test]
fn the_distributions_own_feed_wins_then_the_record_of_the_cve() {
    let own = judged("CVE-2024-0001", &[], &[], "debian-tracker", NotAffected);
    let osv = judged("DEBIAN-CVE-2024-0001", &[], &[], "osv/Debian", Affected);
    let dsa = judged("DSA-1-1", &[], &["CVE-2024-0001"], "osv/Debian", Affected);
    assert!(merge(&[dsa.clone(), osv.clone(), own.clone()], true).flaws.is_empty());
    let osv_not = Judged { verdict: NotAffected, ..osv.clone() };
    assert!(merge(&[dsa.clone(), osv_not], true).flaws.is_empty());
    assert_eq!(merge(&[dsa, osv.clone()], true).flaws.len(), 1);
    // For languages there is no order: one that says affected is enough.
    assert_eq!(merge(&[own, osv], false).flaws.len(), 1);
}

#[test]
fn what_cannot_be_read_is_named_unless_another_says_affected() {
    let unreadable = || Verdict::Unreadable("odd".to_owned());
    let own = judged("CVE-2024-0001", &[], &[], "debian-tracker", unreadable());
    let not = judged("DEBIAN-CVE-2024-0001", &[], &[], "osv/Debian", NotAffected);
    let merged = merge(&[own.clone(), not.clone()], true);
    assert_eq!(merged.unreadable[0].0, "CVE-2024-0001");
    let yes = Judged { verdict: Affected, ..not };
    let merged = merge(&[own, yes], true);
    assert!(merged.unreadable.is_empty() && merged.flaws.len() == 1);
}

#[test]
fn cves_are_found_in_longer_names() {
    assert_eq!(cve_in("UBUNTU-CVE-2021-3782"), Some("CVE-2021-3782"));
    assert_eq!(cve_in("CVE-2021-3782"), Some("CVE-2021-3782"));
    assert_eq!(cve_in("XCVE-2021-3782"), None);
    assert_eq!(cve_in("CVE-2021-3782x"), None);
    assert_eq!(cve_in("CVE-2021-"), None);
}
