//! What the monitor keeps: alerts, actions, activity and stretches of watching survive, are found, and are forgotten.

mod common;

use haechi_core::activity::{Activity, ExecCall, Watch};
use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{self, Event};
use haechi_core::response::{ACTION_SCHEMA, Action, Outcome, Response, Speed, Withheld};
use haechi_store::{ActionFilter, ActivityFilter, AlertFilter, AlertId, Forget, StoreError};
use jiff::{SignedDuration, Timestamp};

const WEB: &str = "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000";
const DB: &str = "bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000";

#[expect(clippy::unwrap_used, reason = "a helper of tests, where a failure may stop at once")]
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// All that is older, as if no container were left.
fn before(older_than: Timestamp) -> Forget {
    Forget { older_than, present: Some(Vec::new()), ..Forget::default() }
}

fn container(id: &str, name: &str) -> AlertContainer {
    AlertContainer { id: id.into(), name: name.into(), ..AlertContainer::default() }
}

fn alert(second: i64, rule: &str, id: &str, name: &str, checks: &[&str]) -> Alert {
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: at(second),
        rule: rule.into(),
        priority: if rule == "Shell" { Priority::Notice } else { Priority::Critical },
        text: format!("{rule} in {name} at {second}"),
        tags: vec!["a".into()],
        checks: checks.iter().map(ToString::to_string).collect(),
        container: container(id, name),
        program: "/bin/sh".into(),
        command: "sh -c 'echo ☃'".into(),
        ancestors: Vec::new(),
        event: Event {
            at: 5,
            cgroup: 7,
            process: event::Process::default(),
            call: "execve".into(),
            result: 0,
            action: event::Action::Exec(Box::default()),
        },
    }
}

fn action(second: i64, response: Response, outcome: Outcome) -> Action {
    Action {
        schema: ACTION_SCHEMA.into(),
        at: at(second),
        response,
        container: container(WEB, "web"),
        pid: 0,
        rule: "Shell".into(),
        cause: "because".into(),
        outcome,
        speed: Speed::default(),
        until: None,
        evidence: None,
    }
}

fn exec(second: i64, id: &str, privileged: Option<bool>) -> Activity {
    let call = ExecCall { id: id.into(), command: "id".into(), privileged, ..ExecCall::default() };
    Activity {
        at: at(second),
        kind: "container".into(),
        action: "exec_start".into(),
        id: WEB.into(),
        name: "web".into(),
        image: "nginx".into(),
        details: Vec::new(),
        exec: Some(call),
    }
}

fn all() -> AlertFilter {
    AlertFilter { limit: 100, ..AlertFilter::default() }
}

#[tokio::test]
async fn alerts_are_found_by_everything_that_they_are_asked_by() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let kept = [
        alert(1, "Shell", WEB, "web", &[]),
        alert(3, "Ssh", WEB, "web", &["no-ssh", "other"]),
        // The clock was set back, and this container has the other one's short id as its name.
        alert(2, "Shell", DB, "aaaaaaaaaaaa", &["no-ssh"]),
        alert(3, "Shell", DB, "aaaaaaaaaaaa", &[]),
    ];
    let ids = store.add_alerts(&kept).await.unwrap();
    assert_eq!(ids.len(), 4);
    assert!(store.add_alerts(&[]).await.unwrap().is_empty());
    store.close().await;

    let store = common::store(dir.path()).await;
    let found = async |filter: AlertFilter| -> Vec<usize> {
        let rows = store.alerts(&filter).await.unwrap();
        let place = |id: AlertId| ids.iter().position(|one| *one == id).unwrap();
        rows.iter().for_each(|(id, alert)| assert_eq!(alert, &kept[place(*id)]));
        rows.iter().map(|(id, _)| place(*id)).collect()
    };
    assert_eq!(found(all()).await, [3, 1, 2, 0]);
    assert_eq!(found(AlertFilter { since: Some(at(2)), ..all() }).await, [3, 1, 2]);
    assert_eq!(found(AlertFilter { until: Some(at(2)), ..all() }).await, [0]);
    assert_eq!(found(AlertFilter { rule: Some("Ssh".into()), ..all() }).await, [1]);
    assert_eq!(found(AlertFilter { check: Some("no-ssh".into()), ..all() }).await, [1, 2]);
    assert_eq!(found(AlertFilter { check: Some("nothing".into()), ..all() }).await, [0; 0]);
    let urgent = AlertFilter { priority_at_least: Some(Priority::Error), ..all() };
    assert_eq!(found(urgent).await, [1]);
    let of = |name: &str| AlertFilter { container: Some(name.into()), ..all() };
    assert_eq!(found(of("web")).await, [1, 0]);
    assert_eq!(found(of(WEB)).await, [1, 0]);
    assert_eq!(found(of("BBBBBBBBBBBB")).await, [3, 2]);
    // An id cannot be chosen, a name can: the name must not hide the other container's alerts.
    assert_eq!(found(of("aaaaaaaaaaaa")).await, [1, 0]);
    assert_eq!(found(of("we")).await, [0; 0]);
    let two = AlertFilter { check: Some("no-ssh".into()), container: Some(DB.into()), ..all() };
    assert_eq!(found(two).await, [2]);

    let mut pages = Vec::new();
    let mut filter = AlertFilter { limit: 1, ..all() };
    loop {
        let page = found(filter.clone()).await;
        let Some(last) = page.last() else { break };
        filter.before_id = Some(ids[*last]);
        pages.extend(page);
    }
    assert_eq!(pages, [3, 1, 2, 0]);
    let gone = AlertFilter { before_id: Some(AlertId(999)), ..all() };
    assert!(matches!(store.alerts(&gone).await, Err(StoreError::NoRow { id: 999, .. })));
}

#[tokio::test]
async fn evidence_is_the_newest_alert_of_each_rule_and_those_for_checks_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let mut kept: Vec<Alert> = (0..50).map(|n| alert(n, "Shell", WEB, "web", &[])).collect();
    kept.push(alert(5, "Ssh", WEB, "web", &["no-ssh"]));
    kept.push(alert(0, "Socket", WEB, "web", &["no-socket"]));
    kept.push(alert(9, "Ssh", DB, "db", &["no-ssh"]));
    store.add_alerts(&kept).await.unwrap();
    let found = store.newest_alerts(WEB, at(1), 10).await.unwrap();
    let short: Vec<_> =
        found.iter().map(|one| (one.newest.rule.as_str(), one.newest.at, one.count)).collect();
    assert_eq!(short, [("Ssh", at(5), 1), ("Shell", at(49), 49)]);
    assert_eq!(store.newest_alerts(WEB, at(1), 1).await.unwrap()[0].newest.rule, "Ssh");
    assert!(store.newest_alerts(DB, at(10), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_most_urgent_come_first_and_no_flood_of_another_rule_hides_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    assert!(store.urgent_alerts(at(0), 8).await.unwrap().is_empty());
    // "Shell" is a notice, all others are critical.
    let mut kept = vec![
        alert(0, "Old", WEB, "web", &[]),
        alert(3, "Ssh", WEB, "web", &[]),
        alert(4, "Ssh", DB, "db", &["no-ssh"]),
        alert(4, "Ssh", WEB, "web", &["no-ssh"]),
    ];
    kept.extend((10..160).map(|second| alert(second, "Shell", WEB, "web", &[])));
    kept.push(alert(5, "Shell", DB, "db", &[]));
    let ids = store.add_alerts(&kept).await.unwrap();
    let found = store.urgent_alerts(at(1), 8).await.unwrap();
    let short: Vec<_> =
        found.iter().map(|one| (one.id, one.newest.rule.as_str(), one.count, one.more)).collect();
    // The shell in the other container is not among the newest of its rule: it is said that there may be more.
    let expected =
        [(ids[3], "Ssh", 2, false), (ids[2], "Ssh", 1, false), (ids[153], "Shell", 100, true)];
    assert_eq!(short, expected);
    found.iter().zip([3, 2, 153]).for_each(|(one, place)| assert_eq!(one.newest, kept[place]));
    let two = store.urgent_alerts(at(1), 2).await.unwrap();
    assert_eq!(two, found[..2], "the least urgent are left out");
}

#[tokio::test]
async fn what_lasts_is_open_until_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let cause = store.add_alerts(&[alert(1, "Shell", WEB, "web", &[])]).await.unwrap()[0];
    let mut pause = action(1, Response::Pause, Outcome::Begun);
    let number = store.add_action(Some(cause), &pause).await.unwrap();
    for (response, outcome) in [
        (Response::Pause, Outcome::DryRun),
        (Response::Isolate, Outcome::Withheld(Withheld::Budget)),
        (Response::Kill, Outcome::Done),
        (Response::Deny, Outcome::Failed("no".into())),
    ] {
        store.add_action(None, &action(2, response, outcome)).await.unwrap();
    }
    assert_eq!(store.open_actions().await.unwrap(), [(number, pause.clone())]);
    pause.outcome = Outcome::Done;
    pause.speed.stopped_us = Some(812);
    store.set_action(number, &pause).await.unwrap();
    store.close().await;

    let store = common::store(dir.path()).await;
    assert_eq!(store.open_actions().await.unwrap(), [(number, pause.clone())]);
    // Open ones are never forgotten, whatever their age.
    store.prune_monitor(&before(at(1000))).await.unwrap();
    assert_eq!(store.open_actions().await.unwrap(), [(number, pause.clone())]);
    pause.outcome = Outcome::Ended;
    store.set_action(number, &pause).await.unwrap();
    assert!(store.open_actions().await.unwrap().is_empty());
    let filter = ActionFilter {
        response: Some(Response::Pause),
        container: Some("web".into()),
        rule: Some("Shell".into()),
        limit: 9,
        ..ActionFilter::default()
    };
    assert_eq!(store.actions(&filter).await.unwrap(), [(number, pause.clone())]);
    store.prune_monitor(&before(at(1000))).await.unwrap();
    assert!(store.actions(&filter).await.unwrap().is_empty());
    let gone = store.set_action(number, &pause).await;
    assert!(matches!(gone, Err(StoreError::NoRow { what: "action", .. })));
    assert!(store.add_action(Some(AlertId(12345)), &pause).await.is_err());
}

#[tokio::test]
async fn activity_that_is_told_twice_is_kept_once_and_told_best() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    assert_eq!(store.last_activity_at().await.unwrap(), None);
    let first = [exec(1, "one", None), exec(1, "two", Some(true)), exec(2, "one", Some(false))];
    assert_eq!(store.add_activity(&first).await.unwrap(), 3);
    assert_eq!(store.add_activity(&first).await.unwrap(), 0);
    assert_eq!(store.add_activity(&[exec(1, "one", Some(true))]).await.unwrap(), 1);
    // What was told once is not forgotten by a replay that comes too late for the exec call.
    assert_eq!(store.add_activity(&first).await.unwrap(), 0);
    assert_eq!(store.last_activity_at().await.unwrap(), Some(at(2)));
    let filter = ActivityFilter { container: Some(WEB.into()), limit: 9, ..Default::default() };
    let rows = store.activity(&filter).await.unwrap();
    let told: Vec<_> = rows.into_iter().map(|(_, one)| one.exec.unwrap().privileged).collect();
    assert_eq!(told, [Some(false), Some(true), Some(true)]);
    let kills = ActivityFilter { action: Some("kill".into()), ..filter };
    assert!(store.activity(&kills).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stretch_is_replaced_by_the_present_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let mut watch = Watch {
        container: WEB.into(),
        since: at(0),
        from_start: true,
        until: at(10),
        lost: 0,
        activity_missed: false,
    };
    let other = Watch { container: DB.into(), ..watch.clone() };
    store.watched(&[watch.clone(), other.clone()]).await.unwrap();
    watch.until = at(20) + SignedDuration::from_nanos(7);
    watch.lost = u64::MAX;
    watch.activity_missed = true;
    store.watched(&[watch.clone()]).await.unwrap();
    watch.lost = i64::MAX.unsigned_abs();
    assert_eq!(store.watches(&[DB, "unknown", WEB]).await.unwrap(), [watch.clone(), other]);
    assert!(store.watches::<&str>(&[]).await.unwrap().is_empty());
    assert_eq!(store.prune_monitor(&before(at(15))).await.unwrap(), 1);
    assert_eq!(store.watches(&[DB, WEB]).await.unwrap(), [watch]);
}

#[tokio::test]
async fn only_what_is_old_is_forgotten_also_when_it_is_much() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let many: Vec<Alert> = (0..6000).map(|n| alert(n, "Ssh", WEB, "web", &["no-ssh"])).collect();
    let ids = store.add_alerts(&many).await.unwrap();
    store.add_action(Some(ids[0]), &action(5990, Response::Kill, Outcome::Done)).await.unwrap();
    store.add_activity(&[exec(1, "one", None), exec(5995, "two", None)]).await.unwrap();
    assert_eq!(store.prune_monitor(&before(at(5990))).await.unwrap(), 5991);
    assert_eq!(store.alerts(&all()).await.unwrap().len(), 10);
    let check = AlertFilter { check: Some("no-ssh".into()), ..all() };
    assert_eq!(store.alerts(&check).await.unwrap().len(), 10);
    // The action stays, although its alert is gone.
    let filter = ActionFilter { limit: 9, ..ActionFilter::default() };
    assert_eq!(store.actions(&filter).await.unwrap().len(), 1);
    store.check().await.unwrap();
}

#[tokio::test]
async fn what_a_verification_needs_of_containers_that_exist_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let mut alerts = Vec::new();
    for n in 0..5 {
        alerts.push(alert(n, "Ssh", WEB, "web", &["no-ssh"]));
        alerts.push(alert(n, "Shell", WEB, "web", &[]));
        alerts.push(alert(n, "Ssh", DB, "db", &["no-ssh"]));
    }
    store.add_alerts(&alerts).await.unwrap();
    let user = |second: i64, id: &str, user: &str, privileged| {
        let mut one = exec(second, id, Some(privileged));
        if let Some(call) = &mut one.exec {
            call.user = user.into();
        }
        one
    };
    let calls = [
        user(0, "harmless", "app", false),
        user(0, "own", "", false),
        user(0, "privileged", "app", true),
        user(0, "root", "root:x", false),
        user(0, "zero", "+0", false),
        exec(0, "untold", None),
        Activity { exec: None, action: "start".into(), ..exec(0, "", None) },
        Activity { id: DB.into(), ..user(0, "other", "root", true) },
    ];
    store.add_activity(&calls).await.unwrap();
    let watch = |id: &str, since: i64, lost: u64| Watch {
        container: id.into(),
        since: at(since),
        from_start: true,
        until: at(since + 1),
        lost,
        activity_missed: false,
    };
    let watches = [watch(WEB, 0, 0), watch(WEB, 2, 3), watch(WEB, 4, 0), watch(DB, 0, 5)];
    store.watched(&watches).await.unwrap();

    let forget = |present| Forget { older_than: at(1000), present, ..Forget::default() };
    // Of WEB: 4 + 4 alerts, 3 calls and one stretch; of DB, which is gone, everything.
    let gone = store.prune_monitor(&forget(Some(vec![WEB.into()]))).await.unwrap();
    assert_eq!(gone, (4 + 4 + 3 + 1) + (5 + 1 + 1));
    let left = store.newest_alerts(WEB, at(0), 9).await.unwrap();
    let left: Vec<_> = left.iter().map(|one| (&*one.newest.rule, one.newest.at)).collect();
    assert_eq!(left, [("Ssh", at(4)), ("Shell", at(4))]);
    let filter = ActivityFilter { limit: 99, ..ActivityFilter::default() };
    let calls = store.activity(&filter).await.unwrap();
    let mut ids: Vec<_> = calls.into_iter().map(|(_, one)| one.exec.unwrap().id).collect();
    ids.sort();
    assert_eq!(ids, ["privileged", "root", "untold", "zero"]);
    assert_eq!(store.watches(&[WEB, DB]).await.unwrap(), [watch(WEB, 2, 3), watch(WEB, 4, 0)]);
    // Which containers exist is not known: nothing that may be needed goes.
    assert_eq!(store.prune_monitor(&forget(None)).await.unwrap(), 0);
    assert_eq!(store.prune_monitor(&forget(Some(Vec::new()))).await.unwrap(), 2 + 4 + 2);
}

#[tokio::test]
async fn what_is_too_much_is_forgotten_also_when_it_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let many: Vec<Alert> = (0..50).map(|n| alert(n, "Shell", WEB, "web", &[])).collect();
    store.add_alerts(&many).await.unwrap();
    let rare = alert(1, "Ssh", WEB, "web", &["no-ssh"]);
    store.add_alerts(&[rare]).await.unwrap();
    let calls: Vec<Activity> = (0..30).map(|n| exec(n, &n.to_string(), Some(false))).collect();
    store.add_activity(&calls).await.unwrap();
    let present = Some(vec![WEB.to_owned()]);
    let forget = Forget { older_than: at(-1), rows: 20, present };
    assert_eq!(store.prune_monitor(&forget).await.unwrap(), 30 + 10);
    let left = store.alerts(&all()).await.unwrap();
    assert_eq!((left.len(), left.last().unwrap().1.rule.as_str()), (21, "Ssh"));
    assert_eq!(store.prune_monitor(&forget).await.unwrap(), 0);
}
