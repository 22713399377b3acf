//! The first page says what moved the score in words, and what is most urgent first.

use haechi_core::Snapshot;
use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action, Event, Process};
use haechi_core::policy::Loaded;
use haechi_protocol::{Report, Role};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::testing::{CIS, caller, desk};
use crate::{checklist, period};

/// Verifies a host with three containers, so many of which are privileged.
async fn verify(desk: &Desk, taken_at: &str, privileged: usize) {
    let container = |n: usize| {
        json!({
            "id": format!("{n:064x}"), "name": format!("web-{n}"), "image_id": "i",
            "state": {"status": "running", "running": true},
            "host_config": {"privileged": n < privileged},
        })
    };
    let snapshot: Snapshot = serde_json::from_value(json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "0", "taken_at": taken_at, "took_ms": 1,
        "host": {"hostname": "web-1"}, "engine": {"name": "web-1"},
        "containers": (0..3).map(container).collect::<Vec<Value>>(), "networks": [], "gaps": [],
    }))
    .unwrap();
    let content = &desk.setup.content;
    let benchmark = content.benchmark(CIS).unwrap();
    let report = haechi_checks::verify(content, benchmark, &snapshot, &Loaded::defaults());
    desk.setup.store.record(&report.unwrap(), true).await.unwrap();
}

async fn picture(desk: &Desk) -> Picture {
    overview(desk, &caller(Role::Viewer), &Overview::default()).await.unwrap()
}

#[tokio::test]
async fn what_moved_the_score_is_told_by_its_title() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), |_| ()).await;
    verify(&desk, "2026-05-01T09:00:00Z", 0).await;
    assert!(picture(&desk).await.titles.is_empty(), "nothing to compare with");
    verify(&desk, "2026-05-02T09:00:00Z", 2).await;
    let picture = picture(&desk).await;
    let movement = picture.movement.unwrap();
    assert!(!movement.shown().0.is_empty());
    for moved in movement.shown().0.iter().take(MOVED) {
        let check = desk.setup.content.check(&moved.check).unwrap();
        assert_eq!(picture.titles.get(&moved.check), Some(&check.title));
    }
    assert!(picture.titles.contains_key("container-not-privileged"), "{:?}", picture.titles);
    assert!(picture.titles.len() <= MOVED);
}

#[tokio::test]
async fn a_period_counts_verifications_and_the_days_that_have_one() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), |_| ()).await;
    let day = |back: i64| checklist::today().saturating_sub(jiff::Span::new().days(back));
    for (back, hour) in [(9, "23"), (4, "00"), (4, "07"), (4, "23"), (2, "00"), (1, "00")] {
        verify(&desk, &format!("{}T{hour}:00:00Z", day(back)), 1).await;
    }
    let question = Report { benchmark: CIS.into(), from: day(8), to: day(2) };
    let report = period::report(&desk, &caller(Role::Auditor), &question).await.unwrap();
    assert_eq!((report.taken, report.verifications.len()), (4, 2));
    let nothing = Report { from: day(8), to: day(7), ..question };
    let report = period::report(&desk, &caller(Role::Auditor), &nothing).await.unwrap();
    assert_eq!((report.taken, report.verifications.len()), (0, 0));
}

fn alert(rule: &str, priority: Priority, container: &str, minutes: i64) -> Alert {
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: Timestamp::now() - SignedDuration::from_mins(minutes),
        rule: rule.into(),
        priority,
        text: "said".into(),
        tags: vec![],
        checks: vec![],
        container: AlertContainer { id: container.into(), ..AlertContainer::default() },
        program: "sh".into(),
        command: "sh".into(),
        ancestors: vec![],
        event: Event {
            at: 1,
            cgroup: 1,
            process: Process::default(),
            call: "procexit".into(),
            result: 0,
            action: Action::Exit(0),
        },
    }
}

#[tokio::test]
async fn an_urgent_alert_is_not_hidden_by_many_newer_ones() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), |_| ()).await;
    let mut kept = vec![
        alert("Old", Priority::Emergency, "a", 25 * 60),
        alert("Ssh", Priority::Critical, "a", 600),
        alert("Ssh", Priority::Critical, "a", 590),
        alert("Ssh", Priority::Critical, "b", 595),
    ];
    kept.extend((0..150).map(|n| alert("Shell", Priority::Notice, "a", 500 - n)));
    kept.push(alert("Write", Priority::Warning, "c", 1));
    desk.setup.store.add_alerts(&kept).await.unwrap();
    let found: Vec<_> = picture(&desk).await.newest;
    let short: Vec<_> = found
        .iter()
        .map(|one| {
            let alert = &one.row.alert;
            (alert.rule.as_str(), alert.container.id.as_str(), one.count, one.more)
        })
        .collect();
    let expected = [
        ("Ssh", "a", 2, false),
        ("Ssh", "b", 1, false),
        ("Write", "c", 1, false),
        ("Shell", "a", 100, true),
    ];
    assert_eq!(short, expected);
    assert_eq!(found[0].row.number, 3, "the newest of them");
}
