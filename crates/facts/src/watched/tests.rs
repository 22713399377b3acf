//! What was seen is a fact; silence counts only if somebody listened all the time.

use haechi_core::facts::ContainerState;

use super::*;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A container that was started an hour ago.
fn container() -> Container {
    let state = ContainerState {
        running: Some(true),
        started_at: Some(at(NOW - HOUR).to_string()),
        finished_at: Some(String::new()),
        ..ContainerState::default()
    };
    Container { id: Some("a".into()), state: Some(state), ..Container::default() }
}

fn watch() -> Watch {
    Watch {
        container: "a".into(),
        since: at(NOW - HOUR),
        from_start: true,
        until: at(NOW - 9),
        lost: 0,
        activity_missed: false,
    }
}

fn exec(second: i64, action: &str, id: &str, privileged: Option<bool>) -> Activity {
    let call = ExecCall { id: id.into(), command: "id".into(), privileged, ..ExecCall::default() };
    Activity {
        at: at(second),
        kind: "container".into(),
        action: action.into(),
        id: "a".into(),
        name: "web".into(),
        image: String::new(),
        details: Vec::new(),
        exec: Some(call),
    }
}

fn filled(record: &Record) -> (Container, Vec<Gap>) {
    let mut container = container();
    let gaps = fill(&mut container, record, at(NOW), SignedDuration::from_hours(24));
    (container, gaps)
}

/// The cause of the gap of exec calls.
fn cause(record: &Record) -> Option<Cause> {
    filled(record).1.iter().find(|gap| gap.fact == "execs").map(|gap| gap.cause)
}

#[test]
fn silence_counts_only_if_somebody_listened() {
    let of = |watch: Watch| Record { watch: Some(watch), ..Record::default() };
    assert_eq!(cause(&of(watch())), None);
    assert_eq!(filled(&of(watch())).0.execs, Some(Vec::new()));
    let missed = Watch { activity_missed: true, ..watch() };
    assert_eq!(cause(&of(missed)), Some(Cause::EventsLost));
    let ended = Watch { until: at(NOW - 61), ..watch() };
    assert_eq!(cause(&of(ended)), Some(Cause::NotObserved));
    let later = Watch { from_start: false, ..watch() };
    assert_eq!(cause(&of(later.clone())), Some(Cause::NotObserved));
    // "From its start" of a life that began when this one ran already.
    let odd = Watch { since: at(NOW - HOUR + 61), ..watch() };
    assert_eq!(cause(&of(odd)), Some(Cause::NotObserved));
    let long = Watch { since: at(NOW - 24 * HOUR), ..later };
    assert_eq!(cause(&of(long)), None);
    // Of the life before: nobody watches this one.
    let before = Watch { since: at(NOW - 9 * HOUR), until: at(NOW - 2 * HOUR), ..watch() };
    let (unwatched, gaps) = filled(&of(before));
    assert_eq!((unwatched.execs, unwatched.alerts, unwatched.lost), (None, None, None));
    assert!(gaps.is_empty());
}

#[test]
fn what_was_seen_is_a_fact_also_without_a_monitor() {
    let privileged = exec(NOW - 60, "exec_create", "x", Some(true));
    let record = Record { activity: vec![privileged], ..Record::default() };
    assert_eq!(cause(&record), Some(Cause::NeedsMonitor));
    assert_eq!(filled(&record).0.execs.unwrap()[0].privileged, Some(true));
    let old = exec(NOW - 2 * HOUR, "exec_create", "x", Some(true));
    let record = Record { activity: vec![old], ..Record::default() };
    assert_eq!(filled(&record).0.execs, None, "of the life before");
}

#[test]
fn an_exec_call_counts_once_and_health_checks_do_not() {
    let mut health = exec(NOW - 50, "exec_start", "h", Some(false));
    health.details.push("health=true".into());
    let activity = vec![
        exec(NOW - 59, "exec_start", "x", Some(false)),
        exec(NOW - 60, "exec_create", "x", None),
        exec(NOW - 51, "exec_create", "h", None),
        health,
        exec(NOW - 40, "exec_create", "p", Some(true)),
    ];
    let record = Record { watch: Some(watch()), activity, ..Record::default() };
    let execs = filled(&record).0.execs.unwrap();
    let short: Vec<_> = execs.iter().map(|e| (e.at.clone().unwrap(), e.privileged)).collect();
    let time = |second| at(second).to_string();
    assert_eq!(short, [(time(NOW - 40), Some(true)), (time(NOW - 60), Some(false))]);
    assert_eq!(cause(&record), None);
}

#[test]
fn calls_that_claim_the_same_id_are_not_one() {
    // A label may overwrite the id in the engine's event.
    let activity = vec![
        exec(NOW - 60, "exec_create", "same", Some(false)),
        exec(NOW - 50, "exec_create", "same", None),
    ];
    let record = Record { watch: Some(watch()), activity, ..Record::default() };
    assert_eq!(filled(&record).0.execs.unwrap().len(), 2);
    assert_eq!(cause(&record), Some(Cause::NotObserved), "one is not told");
}

#[test]
fn losses_are_told_and_alerts_are_redacted() {
    let event = haechi_core::event::Event {
        at: 0,
        cgroup: 0,
        process: haechi_core::event::Process::default(),
        call: "execve".into(),
        result: 0,
        action: haechi_core::event::Action::Exit(0),
    };
    let alert = Alert {
        schema: haechi_core::alert::ALERT_SCHEMA.into(),
        at: at(NOW - 5),
        rule: "Shell".into(),
        priority: haechi_core::alert::Priority::Warning,
        text: "mysql --password=hunter2hunter2".into(),
        tags: Vec::new(),
        checks: vec!["c".into()],
        container: haechi_core::alert::AlertContainer::default(),
        program: String::new(),
        command: "mysql --password=hunter2hunter2".into(),
        ancestors: Vec::new(),
        event,
    };
    let lossy = Watch { lost: 3, ..watch() };
    let record = Record { watch: Some(lossy), alerts: vec![(7, alert)], ..Record::default() };
    let (container, gaps) = filled(&record);
    assert_eq!(container.lost, Some(3));
    assert_eq!((gaps[0].fact.as_str(), gaps[0].cause), ("alerts", Cause::EventsLost));
    let alert = &container.alerts.unwrap()[0];
    assert_eq!((alert.count, alert.checks.clone().unwrap()), (Some(7), vec!["c".to_owned()]));
    assert!(!format!("{alert:?}").contains("hunter2"), "{alert:?}");
}

#[test]
fn in_one_that_never_ran_nothing_happened_and_an_ended_one_needs_nobody_any_more() {
    let mut created = container();
    created.state.as_mut().unwrap().started_at = Some(String::new());
    assert!(fill(&mut created, &Record::default(), at(NOW), SignedDuration::ZERO).is_empty());
    assert_eq!(created.execs, Some(Vec::new()));
    let mut ended = container();
    ended.state.as_mut().unwrap().finished_at = Some(at(NOW - 600).to_string());
    let seen = Watch { until: at(NOW - 630), ..watch() };
    let record = Record { watch: Some(seen), ..Record::default() };
    assert!(fill(&mut ended, &record, at(NOW), SignedDuration::from_hours(24)).is_empty());
    // Its start is not known: all of the past counts.
    let mut unknown = Container { id: Some("a".into()), ..Container::default() };
    let activity = vec![exec(5, "exec_create", "x", Some(true))];
    let record = Record { watch: Some(watch()), activity, ..Record::default() };
    fill(&mut unknown, &record, at(NOW), SignedDuration::from_hours(24));
    assert_eq!(unknown.execs.unwrap().len(), 1);
}

#[test]
fn what_was_seen_and_lost_before_it_was_started_again_is_not_forgotten() {
    let mut container = container();
    container.created_at = Some(at(NOW - 9 * HOUR).to_string());
    let since = Life::of(&container).alerts_since(&container);
    assert_eq!(since, Some(at(NOW - 9 * HOUR - 10)));
    let before = Watch { since: at(NOW - 8 * HOUR), until: at(NOW - 7 * HOUR), lost: 2, ..watch() };
    let other_life = Watch { since: at(0), until: at(60), lost: 70, ..watch() };
    let first = Watch { until: at(NOW - 900), lost: 1, ..watch() };
    let again = Watch { since: at(NOW - 600), from_start: false, ..watch() };
    let record = Record {
        watch: Some(again.clone()),
        earlier: vec![other_life, before, first],
        ..Record::default()
    };
    let gaps = fill(&mut container, &record, at(NOW), SignedDuration::from_hours(24));
    assert_eq!(container.lost, Some(3));
    let watches = container.watches.clone().unwrap();
    assert_eq!(watches.len(), 3);
    assert_eq!(watches[2].since, Some(again.since.to_string()));
    let detail = |fact: &str| gaps.iter().find(|gap| gap.fact == fact).unwrap().detail.clone();
    for said in [at(NOW - 8 * HOUR), at(NOW - 7 * HOUR), at(NOW - 900), again.since, again.until] {
        assert!(detail("alerts").contains(&said.to_string()), "{}", detail("alerts"));
        assert!(detail("execs").contains(&said.to_string()), "{}", detail("execs"));
    }
    // The monitor is gone since: what it lost is still lost.
    let record = Record { watch: None, earlier: record.earlier, ..Record::default() };
    container.watches = None;
    let gaps = fill(&mut container, &record, at(NOW), SignedDuration::ZERO);
    assert!(gaps.iter().any(|gap| gap.fact == "alerts"), "{gaps:?}");
}
