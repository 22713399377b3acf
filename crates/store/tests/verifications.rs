//! What is recorded comes back unchanged, newest first, and is found by the names people use.

mod common;

use common::sample::report;
use common::{TIME, store};
use haechi_core::Status;
use haechi_core::report::Counts;
use haechi_store::{StoreError, VerificationId, kept_of};
use jiff::Timestamp;

#[tokio::test]
async fn round_trip() {
    let root = tempfile::tempdir().unwrap();
    let first = store(root.path()).await;
    let sent = report("web-1", "2026-07-28T18:30:00+09:00", 2503);
    let id = first.record(&sent, true).await.unwrap();
    first.close().await;

    let store = store(root.path()).await;
    let kept = store.kept(id).await.unwrap();
    assert_eq!(kept.len(), 2503);
    assert_eq!(kept, kept_of(&sent));
    assert_eq!(store.score(id).await.unwrap(), sent.score);
    let back = store.verification(id).await.unwrap();
    assert_eq!(back.host, sent.host);
    assert_eq!(back.summary, sent.summary);
    assert_eq!(back.score, sent.score);
    assert_eq!((back.policy.as_str(), back.haechi_version.as_str()), ("defaults", "0.1.0"));
    let rows = store.history(Some("web-1"), 10).await.unwrap();
    assert_eq!(rows, [back.row]);
    assert_eq!(rows[0].taken_at, TIME, "kept in UTC");
    assert_eq!(rows[0].counts, sent.summary.findings);
    assert_eq!(rows[0].failing, sent.summary.failing);
    assert_eq!((rows[0].score, rows[0].containers), (sent.score.total, 7));
    assert!(rows[0].complete);
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_report_without_findings_or_score_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let id = store.record(&report("", TIME, 0), false).await.unwrap();
    assert_eq!(store.kept(id).await.unwrap(), []);
    let row = store.verification(id).await.unwrap().row;
    assert_eq!((row.score, row.counts, row.complete), (None, Counts::default(), false));
}

#[tokio::test]
async fn a_report_of_no_time_is_refused_and_nothing_of_it_kept() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let error = store.record(&report("web-1", "yesterday", 3), true).await.unwrap_err();
    assert!(matches!(error, StoreError::BadReport(_)), "{error}");
    assert_eq!(store.history(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn newest_is_what_was_recorded_last_whatever_the_clock_said() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let mut ids = Vec::new();
    for time in ["2026-07-28T09:30:00Z", "2026-07-29T09:30:00Z", "2019-01-01T00:00:00Z"] {
        ids.push(store.record(&report("web-1", time, 4), true).await.unwrap());
    }
    let other = store.record(&report("web-2", TIME, 4), true).await.unwrap();
    let listed: Vec<_> = store.history(None, 10).await.unwrap().iter().map(|r| r.id).collect();
    assert_eq!(listed, [other, ids[2], ids[1], ids[0]]);
    assert_eq!(store.history(Some("web-1"), 2).await.unwrap().len(), 2);
    let benchmark = "cis-docker-1.13.0";
    let latest = store.latest("web-1", benchmark, None).await.unwrap().unwrap();
    assert_eq!(latest.id, ids[2]);
    let before = store.latest("web-1", benchmark, Some(ids[2])).await.unwrap().unwrap();
    assert_eq!(before.id, ids[1]);
    assert_eq!(store.latest("web-1", benchmark, Some(ids[0])).await.unwrap(), None);
    assert_eq!(store.latest("web-1", "another", None).await.unwrap(), None);
}

#[tokio::test]
async fn verifications_are_found_by_the_names_people_use() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let error = store.resolve(None, "latest").await.unwrap_err().to_string();
    assert!(error.contains("no verification yet"), "{error}");
    let mut ids = Vec::new();
    for time in ["2026-07-27T09:30:00Z", "2026-07-28T09:30:00.25Z", "2026-07-28T21:00:00Z"] {
        ids.push(store.record(&report("web-1", time, 4), true).await.unwrap());
    }
    let other = store.record(&report("web-2", "2026-08-01T00:00:00Z", 4), true).await.unwrap();
    let web = Some("web-1");
    for (host, spec, id) in [
        (web, "latest", ids[2]),
        (web, "previous", ids[1]),
        (None, "latest", other),
        (web, "2", ids[1]),
        (web, "2026-07-28", ids[2]),
        (web, "2026-07-28T09", ids[1]),
        (web, "2026-07-28T18:30:00+09:00", ids[1]),
        (web, "2026-07-27T09:30:00Z", ids[0]),
        (web, "2026-07", ids[2]),
        (None, "2026-08", other),
    ] {
        assert_eq!(store.resolve(host, spec).await.unwrap(), id, "{host:?} {spec}");
    }
    for (host, spec, says) in [
        (None, "previous", "the only one of host \"web-2\""),
        (web, "4", "of host \"web-2\", not of \"web-1\""),
        (web, "99", "no verification of this number"),
        (web, "2025-01", "the 3 on record are of 2026-07-27T09:30:00Z to 2026-07-28T21:00:00Z"),
        (Some("web-3"), "2026-07", "no verification of host \"web-3\" yet"),
        (web, "yesterday", "say `latest`, `previous`, a number"),
    ] {
        let error = store.resolve(host, spec).await.unwrap_err().to_string();
        assert!(error.contains(says), "{spec}: {error}");
    }
    let none = VerificationId(99);
    assert!(matches!(store.kept(none).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.score(none).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.verification(none).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn history_counts_complete_verifications_only() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let now: Timestamp = "2026-08-02T09:29:00Z".parse().unwrap();
    store.record(&report("web-1", "2026-08-01T00:00:00Z", 9), false).await.unwrap();
    let never = store.history_facts("web-1", now).await.unwrap();
    assert_eq!(never.verifications, Some(0));
    assert_eq!(never.last_complete_at.as_deref(), Some(""));
    assert_eq!(never.last_complete_age_days, Some(-1));
    assert_eq!(never.last_unverified, Some(0));

    let sent = report("web-1", TIME, 40);
    let id = store.record(&sent, true).await.unwrap();
    store.record(&report("web-1", "2026-08-01T00:00:00Z", 9), false).await.unwrap();
    store.record(&report("web-2", "2026-08-01T00:00:00Z", 9), true).await.unwrap();
    let facts = store.history_facts("web-1", now).await.unwrap();
    assert_eq!(facts.verifications, Some(1));
    assert_eq!(facts.last_complete_at.as_deref(), Some(TIME));
    assert_eq!(facts.last_complete_age_days, Some(4), "one minute short of five");
    let mut unverified: Vec<String> = store
        .kept(id)
        .await
        .unwrap()
        .into_iter()
        .filter(|kept| kept.status == Status::Unverified)
        .map(|kept| kept.check)
        .collect();
    unverified.sort();
    unverified.dedup();
    assert_eq!(facts.last_unverified, Some(i64::try_from(unverified.len()).unwrap()));
    let back = store.history_facts("web-1", "2020-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(back.last_complete_age_days, Some(0), "a clock set back makes no negative age");
}

#[tokio::test]
async fn unlock_keys_are_remembered_per_cluster() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let day = |n: i64| Timestamp::from_second(1_800_000_000 + n * 86_400).unwrap();
    for (cluster, hash, at, seen) in [
        ("a", "", 0, (0, false)),
        ("a", "one", 0, (0, false)),
        ("a", "one", 30, (30, false)),
        ("b", "two", 30, (0, false)),
        ("a", "two", 40, (0, true)),
        ("a", "two", 45, (5, true)),
        ("a", "two", 20, (0, true)),
        // An old key that comes back is as old as it is.
        ("a", "one", 50, (50, false)),
    ] {
        let said = store.observe_unlock_key("web-1", cluster, hash, day(at)).await.unwrap();
        assert_eq!(said, seen, "{cluster} {hash} day {at}");
    }
}

#[tokio::test]
async fn the_random_key_stays() {
    let root = tempfile::tempdir().unwrap();
    let first = store(root.path()).await;
    let salt = first.salt().await.unwrap();
    assert_ne!(salt, [0; 32]);
    assert_eq!(first.salt().await.unwrap(), salt);
    first.close().await;
    assert_eq!(store(root.path()).await.salt().await.unwrap(), salt);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(store(other.path()).await.salt().await.unwrap(), salt);
}

#[tokio::test]
async fn old_verifications_are_forgotten_but_never_the_latest() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let old = "2020-01-01T00:00:00Z";
    store.record(&report("web-1", old, 20), true).await.unwrap();
    let complete = store.record(&report("web-1", old, 20), true).await.unwrap();
    store.record(&report("web-1", old, 20), false).await.unwrap();
    let new = store.record(&report("web-1", TIME, 20), false).await.unwrap();
    let other = store.record(&report("web-2", old, 20), false).await.unwrap();
    let now: Timestamp = "2026-07-30T00:00:00Z".parse().unwrap();
    assert_eq!(store.prune(u32::MAX, now).await.unwrap(), 0);
    assert_eq!(store.prune(30, now).await.unwrap(), 2);
    let left: Vec<_> = store.history(None, 10).await.unwrap().iter().map(|r| r.id).collect();
    assert_eq!(left, [other, new, complete]);
    store.check().await.unwrap();
    let next = store.record(&report("web-1", TIME, 1), true).await.unwrap();
    assert!(next > other);
}
