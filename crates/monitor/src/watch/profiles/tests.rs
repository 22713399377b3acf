//! From a settled profile on, what is new is told once, and no more than that.

use std::collections::BTreeSet;

use haechi_core::alert::Priority;
use haechi_core::profile::{Phase, Workload};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn keeper(folder: &std::path::Path) -> Keeper {
    let store = Store::open(folder).await.unwrap();
    let clock = Clock { started: at(500) };
    Keeper::new(store, Quiet::default(), clock, Arc::default())
}

fn entry(container: &str, kind: Kind, value: &str, origin: &str, second: i64) -> Entry {
    Entry {
        kind,
        value: value.into(),
        first_at: at(second),
        container: container.into(),
        origin: origin.into(),
        program: "/bin/sh".into(),
    }
}

/// A container that was watched from its start at 1,000 on.
fn lesson(container: &str, until: i64, entries: Vec<Entry>) -> Lesson {
    let run = Run {
        container: container.into(),
        name: format!("web-{container}"),
        since: at(1000),
        until: at(until),
        phases: [Phase::Start, Phase::Run].into(),
        gaps: BTreeSet::new(),
        tasks_max: 1,
        memory_max: 1,
    };
    let workload = Workload { image: "sha256:1".into(), command: vec!["sh".into()] };
    let learned = Learned { workload, image_name: "web:1".into(), run, entries };
    Lesson { learned, has_health_check: false, execs: Vec::new() }
}

fn shell(container: &str) -> Vec<Entry> {
    vec![
        entry(container, Kind::Executed, "/bin/sh", "image", 1001),
        entry(container, Kind::Written, "/tmp/1", "", 1002),
    ]
}

fn told(alerts: &[Alert]) -> Vec<(&str, Priority)> {
    alerts.iter().map(|alert| (alert.text.split(';').next().unwrap(), alert.priority)).collect()
}

async fn baseline(keeper: &Keeper) -> Option<Timestamp> {
    keeper.store.profile(ProfileId(1)).await.unwrap().baseline_at
}

/// Settled at 2,000.
async fn settled(folder: &std::path::Path) -> Keeper {
    let mut keeper = keeper(folder).await;
    assert!(keeper.take(vec![lesson("a", 2000, shell("a"))], at(2000)).await.is_empty());
    assert_eq!(baseline(&keeper).await, Some(at(2000)));
    keeper
}

#[tokio::test]
async fn before_it_is_settled_nothing_is_new_and_it_is_settled_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(dir.path()).await;
    keeper.quiet.0.store(3600, Ordering::Relaxed);
    assert!(keeper.take(vec![lesson("a", 2000, shell("a"))], at(2000)).await.is_empty());
    assert_eq!(baseline(&keeper).await, None);
    let new = entry("a", Kind::Executed, "/tmp/x", "changed", 2500);
    assert!(keeper.take(vec![lesson("a", 2600, vec![new])], at(2600)).await.is_empty());
    assert_eq!(baseline(&keeper).await, None);
    assert!(keeper.take(vec![lesson("a", 9000, vec![])], at(9000)).await.is_empty());
    assert_eq!(baseline(&keeper).await, Some(at(9000)));
    assert!(keeper.take(vec![lesson("a", 9900, vec![])], at(9900)).await.is_empty());
    assert_eq!(baseline(&keeper).await, Some(at(9000)));
    // A health check that nobody saw is missing, and it is looked at once in a while.
    let other = |until| {
        let mut other = lesson("b", until, shell("b"));
        other.learned.workload.command.clear();
        other
    };
    for (until, has_health_check, is_settled) in
        [(9000, true, false), (9049, false, false), (9050, false, true)]
    {
        keeper.take(vec![Lesson { has_health_check, ..other(until) }], at(until)).await;
        let found = keeper.store.profile(ProfileId(2)).await.unwrap().baseline_at;
        assert_eq!(found, is_settled.then(|| at(until)), "{until}");
    }
}

#[tokio::test]
async fn a_novelty_is_one_alert_in_all_containers_of_the_workload() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let new = |container: &str| {
        vec![
            entry(container, Kind::Executed, "/bin/sh", "changed", 3000),
            entry(container, Kind::Executed, "/x", "changed", 3000),
            entry(container, Kind::Written, "/tmp/2", "", 3001),
            entry(container, Kind::Read, "/root/key", "", 3002),
            entry(container, Kind::Capability, "CHOWN", "", 3003),
            entry(container, Kind::Call, "chown", "", 3004),
            entry(container, Kind::Argument, "socket 2", "", 3005),
        ]
    };
    let alerts = keeper.take(vec![lesson("a", 3010, new("a"))], at(3010)).await;
    assert_eq!(
        told(&alerts),
        [
            ("executed /bin/sh", Priority::Error),
            ("executed /x", Priority::Error),
            ("used the capability CHOWN", Priority::Warning),
            ("made the system call chown", Priority::Notice),
        ]
    );
    let [_, one, ..] = alerts.as_slice() else { panic!() };
    assert_eq!(
        one.text,
        "executed /x; the file was added or changed in the container; by /bin/sh; nothing new was seen since \
         1970-01-01 00:16 UTC (container=web-a)"
    );
    assert_eq!((one.container.id.as_str(), one.container.image.as_str()), ("a", "web:1"));
    assert_eq!((one.at, one.event.at), (at(3000), 2500 * 1_000_000_000));
    // It goes on being settled, and what is new next is told as well.
    assert_eq!(baseline(&keeper).await, Some(at(2000)));
    assert!(keeper.take(vec![lesson("a", 3020, new("a"))], at(3020)).await.is_empty());
    assert!(keeper.take(vec![lesson("b", 3030, new("b"))], at(3030)).await.is_empty());
    let next = vec![entry("b", Kind::Executed, "/y", "", 3040)];
    let alerts = keeper.take(vec![lesson("b", 3041, next)], at(3041)).await;
    assert_eq!(told(&alerts), [("executed /y", Priority::Warning)]);
}

#[tokio::test]
async fn two_containers_at_once_do_not_hide_what_is_new_in_both() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let both = ["a", "b"].map(|container| {
        let path = format!("/new/{container}");
        lesson(container, 3010, vec![entry(container, Kind::Written, &path, "", 3000)])
    });
    let alerts = keeper.take(both.into(), at(3010)).await;
    assert_eq!(told(&alerts), [("wrote /new/a, the first in its folder", Priority::Notice)]);
}

#[tokio::test]
async fn what_is_learned_by_order_is_no_news_any_more_and_a_clock_that_is_set_back_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let new = |value: &str| vec![entry("a", Kind::Executed, value, "changed", 1500)];
    assert_eq!(keeper.take(vec![lesson("a", 3000, new("/x"))], at(3000)).await.len(), 1);
    let profile = || async { keeper.store.profile(ProfileId(1)).await.unwrap() };
    assert_eq!(profile().await.later().count(), 1);
    keeper.store.set_baseline(ProfileId(1), at(3000)).await.unwrap();
    assert_eq!(profile().await.later().count(), 0);
    assert_eq!(keeper.take(vec![lesson("a", 3010, new("/x"))], at(3010)).await.len(), 0);
    assert_eq!(keeper.take(vec![lesson("a", 3020, new("/y"))], at(3020)).await.len(), 1);
}

#[tokio::test]
async fn names_that_are_made_up_do_not_drown_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let mut new: Vec<Entry> = (0..500)
        .map(|number| entry("a", Kind::Written, &format!("/{number}/x"), "", 3000))
        .collect();
    new.push(entry("a", Kind::Executed, "/x", "memory", 3001));
    let alerts = keeper.take(vec![lesson("a", 3010, new)], at(3010)).await;
    assert_eq!(alerts.len(), 101);
    assert!(alerts.iter().any(|alert| alert.priority == Priority::Error));
    assert_eq!(keeper.counts.suppressed.load(Ordering::Relaxed), 400);
}

#[tokio::test]
async fn what_could_not_be_kept_is_kept_and_told_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(&dir.path().join("good")).await;
    let full = Store::open(&dir.path().join("full")).await.unwrap();
    full.clone().close().await;
    let good = std::mem::replace(&mut keeper.store, full);
    let new = vec![entry("a", Kind::Executed, "/x", "changed", 3000)];
    assert!(keeper.take(vec![lesson("a", 3000, new)], at(3000)).await.is_empty());
    keeper.store = good;
    assert_eq!(keeper.take(vec![lesson("a", 3010, vec![])], at(3010)).await.len(), 1);
}

#[tokio::test]
async fn of_a_new_build_only_what_no_update_explains_is_told_until_it_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(dir.path()).await;
    let mut known = shell("a");
    known.push(entry("a", Kind::Listening, "tcp 80", "", 1002));
    known.push(entry("a", Kind::Capability, "CHOWN", "", 1002));
    known.push(entry("a", Kind::Executed, "/data/tool", "mounted", 1002));
    keeper.take(vec![lesson("a", 2000, known)], at(2000)).await;
    assert!(baseline(&keeper).await.is_some());
    keeper.quiet.0.store(3600, Ordering::Relaxed);
    let updated = |until, entries| {
        let mut updated = lesson("b", until, entries);
        updated.learned.workload.image = "sha256:2".into();
        updated
    };
    let new = vec![
        entry("b", Kind::Executed, "/bin/new", "image", 1001),
        entry("b", Kind::Call, "bpf", "", 1001),
        entry("b", Kind::Read, "/etc/new", "image", 1001),
        entry("b", Kind::Written, "/new/x", "", 1001),
        entry("b", Kind::Listening, "tcp 80", "", 1002),
        entry("b", Kind::Capability, "CHOWN", "", 1002),
        entry("b", Kind::Executed, "/data/tool", "mounted", 1002),
    ];
    assert_eq!(told(&keeper.take(vec![updated(2000, new)], at(2000)).await), []);
    let strange = vec![
        entry("b", Kind::Executed, "/bin/new", "changed", 1500),
        entry("b", Kind::Listening, "tcp 4444", "", 1501),
        entry("b", Kind::Capability, "SYS_ADMIN", "", 1502),
        entry("b", Kind::Peer, "tcp 10.0.0.9:4444", "", 1503),
    ];
    let alerts = keeper.take(vec![updated(2010, strange)], at(2010)).await;
    assert_eq!(
        told(&alerts),
        [
            ("executed /bin/new", Priority::Error),
            ("listens on tcp 4444", Priority::Warning),
            ("used the capability SYS_ADMIN", Priority::Warning),
        ]
    );
    assert!(
        alerts[0].text.contains("the update of the image does not explain it (web:1 before)"),
        "{}",
        alerts[0].text
    );
    // It is settled by the same rule; then everything is told again, but what was taken over.
    keeper.take(vec![updated(9000, vec![])], at(9000)).await;
    assert_eq!(keeper.store.profile(ProfileId(2)).await.unwrap().baseline_at, Some(at(9000)));
    let late = vec![entry("b", Kind::Call, "chown", "", 9100)];
    let alerts = keeper.take(vec![updated(9110, late)], at(9110)).await;
    assert_eq!(told(&alerts), [("made the system call chown", Priority::Notice)]);
}

#[tokio::test]
async fn what_comes_right_after_a_command_of_the_engine_is_told_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let exec = Exec { at: at(3000), command: "sh -c 'x\u{1b}[2J'".into() };
    let new = vec![
        entry("a", Kind::Executed, "/bin/before", "image", 2998),
        entry("a", Kind::Executed, "/bin/then", "image", 3000),
        entry("a", Kind::Executed, "/bin/later", "image", 3011),
    ];
    let lesson = Lesson { execs: vec![exec], ..lesson("a", 3010, new) };
    let alerts = keeper.take(vec![lesson], at(3010)).await;
    let with: Vec<bool> =
        alerts.iter().map(|alert| alert.text.contains("had just been run in it")).collect();
    assert_eq!(with, [false, true, false]);
    assert!(!alerts[1].text.contains('\u{1b}'), "{:?}", alerts[1].text);
}

#[tokio::test]
async fn names_made_to_mislead_forge_nothing_in_what_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let evil = format!("/x\n2026-01-01 forged\u{1b}[2J\u{202e}\"'`$(x) {}", "가".repeat(300));
    let mut new: Vec<Entry> = [Kind::Executed, Kind::Mapped, Kind::Written, Kind::Peer, Kind::Call]
        .map(|kind| entry("a", kind, &evil, "changed", 3000))
        .into();
    new.iter_mut().for_each(|one| one.program.clone_from(&evil));
    let mut lesson = lesson("a", 3010, new);
    lesson.learned.run.name.clone_from(&evil);
    lesson.execs = vec![Exec { at: at(2999), command: evil.clone() }];
    let alerts = keeper.take(vec![lesson], at(3010)).await;
    assert_eq!(alerts.len(), 5);
    for alert in alerts {
        assert!(!alert.text.contains(['\n', '\u{1b}', '\u{202e}']), "{:?}", alert.text);
    }
}

#[tokio::test]
async fn that_nothing_new_can_be_told_any_more_is_told_once_for_each_container_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = settled(dir.path()).await;
    let flooded = |container: &str, until, gaps: &[Gap]| {
        let mut lesson = lesson(container, until, Vec::new());
        lesson.learned.run.gaps = gaps.iter().copied().collect();
        lesson
    };
    let alerts = keeper.take(vec![flooded("a", 3000, &[Gap::Start])], at(3000)).await;
    assert!(alerts.is_empty());
    let alerts = keeper.take(vec![flooded("a", 3100, &[Gap::Start, Gap::Full])], at(3100)).await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].priority, Priority::Error);
    assert!(alerts[0].text.contains("cannot be told any more") && alerts[0].text.contains("web-a"));
    let again = vec![flooded("a", 3200, &[Gap::Full]), flooded("b", 3200, &[Gap::Full])];
    assert_eq!(keeper.take(again, at(3200)).await.len(), 1);
    let other = keeper.take(vec![flooded("a", 3300, &[Gap::Full, Gap::Lost])], at(3300)).await;
    assert_eq!(other.len(), 1);
    // The monitor began again: what was told stays told, until what was seen counts as known.
    let mut again = self::keeper(dir.path()).await;
    let later = |until, gaps: &[Gap]| {
        let mut lesson = flooded("a", until, gaps);
        lesson.learned.run.since = at(3400);
        lesson
    };
    let both = [Gap::Full, Gap::Lost];
    assert!(again.take(vec![later(3500, &both)], at(3500)).await.is_empty());
    let new = again.take(vec![later(3600, &[Gap::Full, Gap::IoUring])], at(3600)).await;
    assert_eq!(new.len(), 1);
    again.store.set_baseline(ProfileId(1), at(3700)).await.unwrap();
    let mut learned = self::keeper(dir.path()).await;
    let mut last = later(3900, &[Gap::Full]);
    last.learned.run.since = at(3800);
    assert_eq!(learned.take(vec![last], at(3900)).await.len(), 1);
}

#[tokio::test]
async fn before_it_is_settled_a_gap_is_no_alert() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(dir.path()).await;
    keeper.quiet.0.store(3600, Ordering::Relaxed);
    let mut one = lesson("a", 2000, shell("a"));
    one.learned.run.gaps.insert(Gap::Full);
    assert!(keeper.take(vec![one], at(2000)).await.is_empty());
}
