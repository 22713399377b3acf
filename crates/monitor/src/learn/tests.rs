//! What is learned is told once, to whoever it belongs to, with what may be missing.

use super::*;

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The machine started at 1,000.
fn learner() -> Learner {
    Learner::new(Clock { started: at(1000) }, BTreeSet::new(), at(2000))
}

fn nanoseconds(second: u64) -> u64 {
    second * 1_000_000_000
}

fn used(calls: &[&str]) -> Used {
    Used {
        group: 7,
        container: 7,
        id: Some(ID.into()),
        since: Some(nanoseconds(1500)),
        gone: None,
        lost: 0,
        full: false,
        left: false,
        capabilities: 1,
        refused_capabilities: 0,
        calls: calls.iter().map(|call| (*call).to_owned()).collect(),
        refused_calls: BTreeSet::new(),
    }
}

fn first(kind: Kind, value: &str) -> First {
    First {
        at: nanoseconds(1501),
        group: 7,
        kind,
        value: value.into(),
        script: String::new(),
        origin: Origin::Image,
        program: "/bin/sh".into(),
    }
}

fn named() -> Hint {
    Hint::Container(Box::new(Container {
        id: ID.into(),
        name: "web".into(),
        image: "web:1".into(),
        image_id: "sha256:1".into(),
        command: vec!["sh".into()],
        ..Container::default()
    }))
}

fn values(learned: &[Learned]) -> Vec<(Kind, &str)> {
    let entries = learned.iter().flat_map(|one| &one.entries);
    entries.map(|entry| (entry.kind, entry.value.as_str())).collect()
}

#[test]
fn what_was_used_before_its_container_had_a_name_is_not_forgotten_and_told_once() {
    let mut learner = learner();
    learner.first(first(Kind::Executed, "/bin/sh"));
    let (learned, gone) = learner.beat(vec![used(&["read"])], at(2502));
    assert!(learned.is_empty() && gone.is_empty(), "nobody knows what it is");
    learner.hint(named());
    let (learned, _) = learner.beat(vec![used(&["read", "write"])], at(2507));
    assert_eq!(
        values(&learned),
        [
            (Kind::Executed, "/bin/sh"),
            (Kind::Call, "read"),
            (Kind::Capability, "CHOWN"),
            (Kind::Call, "write")
        ]
    );
    let [one] = learned.as_slice() else { panic!("{learned:?}") };
    assert_eq!((one.workload.image.as_str(), one.run.name.as_str()), ("sha256:1", "web"));
    assert_eq!((one.run.since, one.run.until), (at(2500), at(2507)));
    assert_eq!(one.run.phases, BTreeSet::from([Phase::Start]));
    assert!(one.run.gaps.is_empty());
    assert_eq!(one.entries[0].first_at, at(2501));
    // Nothing new, and it is not time yet; then it is said that it goes on.
    assert!(learner.beat(vec![used(&["read", "write"])], at(2512)).0.is_empty());
    let (learned, _) = learner.beat(vec![used(&["read", "write"])], at(2570));
    assert_eq!(values(&learned), []);
    assert_eq!(learned[0].run.until, at(2570));
    assert!(learned[0].run.phases.contains(&Phase::Run));
}

#[test]
fn a_stretch_of_time_never_ends_before_it_begins() {
    let mut learner = learner();
    learner.hint(named());
    // Its start is by the kernel's clock, the reading by the other one.
    let (learned, _) = learner.beat(vec![used(&["read"])], at(2499));
    assert_eq!((learned[0].run.since, learned[0].run.until), (at(2500), at(2500)));
}

#[test]
fn the_end_is_told_when_it_was_and_the_kernel_may_forget_it() {
    let mut learner = learner();
    learner.hint(named());
    learner.hint(Hint::Phase(ID.into(), Phase::HealthCheck));
    let inner = Used { group: 8, id: None, ..used(&["fork"]) };
    learner.beat(vec![used(&[]), inner.clone()], at(2503));
    let gone = Used { gone: Some(nanoseconds(1504)), ..used(&["exit_group"]) };
    let (learned, forget) = learner.beat(vec![gone.clone(), inner.clone()], at(2508));
    assert_eq!(values(&learned), [(Kind::Call, "exit_group")]);
    assert_eq!(learned[0].run.until, at(2504));
    let phases = [Phase::Start, Phase::HealthCheck, Phase::Stop];
    assert_eq!(learned[0].run.phases, phases.into());
    assert_eq!(forget, [7, 8]);
    // A group inside it that comes too late is no container.
    assert_eq!(learner.beat(vec![inner], at(2513)), (vec![], vec![]));
}

#[test]
fn what_may_be_missing_is_said() {
    let gaps = |change: fn(&mut Used)| {
        let mut learner = learner();
        learner.hint(named());
        let mut one = used(&[]);
        change(&mut one);
        learner.beat(vec![one], at(2503)).0[0].run.gaps.clone()
    };
    assert_eq!(gaps(|_| ()), BTreeSet::new());
    assert_eq!(gaps(|one| one.since = None), [Gap::Start].into());
    assert_eq!(gaps(|one| one.lost = 1), [Gap::Lost].into());
    assert_eq!(gaps(|one| one.full = true), [Gap::Full].into());
    assert_eq!(gaps(|one| one.left = true), [Gap::Left].into());
    for call in ["setup", "enter", "register"].map(|call| format!("io_uring_{call}")) {
        for call in [call.clone(), format!("compat:{call}")] {
            let mut learner = learner();
            learner.hint(named());
            let learned = learner.beat(vec![used(&[&call])], at(2503)).0;
            assert_eq!(learned[0].run.gaps, [Gap::IoUring].into(), "{call}");
        }
    }
    let mut learner = learner();
    learner.hint(named());
    learner.first(first(Kind::Written, &"가".repeat(400)));
    let (learned, _) = learner.beat(vec![used(&[])], at(2503));
    assert!(learned[0].run.gaps.contains(&Gap::Full));
    assert!(learned[0].entries[0].value.len() <= VALUE_MAX + "…".len());
}

#[test]
fn a_container_that_nobody_names_is_given_up_and_one_without_an_image_is_no_workload() {
    let mut learner = learner();
    let gone = Used { gone: Some(nanoseconds(1504)), ..used(&[]) };
    assert_eq!(learner.beat(vec![gone.clone()], at(2505)), (vec![], vec![]));
    learner.hint(Hint::Container(Box::new(Container { id: ID.into(), ..Container::default() })));
    assert_eq!(learner.beat(vec![gone.clone()], at(2510)), (vec![], vec![]));
    assert_eq!(learner.beat(vec![gone], at(2520)), (vec![], vec![7]));
}

#[test]
fn one_that_is_started_again_at_once_keeps_its_name_and_its_phases() {
    let mut learner = learner();
    learner.hint(named());
    learner.beat(vec![used(&[])], at(2503));
    // Between two looks it ended, came again, was named again, and something was run in it.
    learner.hint(named());
    let exec = Exec { at: at(2506), command: "ls".into() };
    learner.hint(Hint::Exec(ID.into(), exec.clone()));
    let gone = Used { gone: Some(nanoseconds(1504)), ..used(&[]) };
    let again = Used { group: 9, container: 9, since: Some(nanoseconds(1505)), ..used(&["read"]) };
    let (learned, _) = learner.beat(vec![gone, again.clone()], at(2508));
    let [ended, begun] = learned.as_slice() else { panic!("{learned:?}") };
    assert_eq!((ended.run.since, begun.run.since), (at(2500), at(2505)));
    assert!(ended.run.phases.contains(&Phase::Stop) && !ended.run.phases.contains(&Phase::Exec));
    assert!(begun.run.phases.contains(&Phase::Exec));
    assert_eq!(learner.lesson(begun.clone()).execs, [exec]);
    let (learned, _) =
        learner.beat(vec![Used { calls: ["write".into()].into(), ..again }], at(2513));
    assert_eq!(values(&learned), [(Kind::Call, "write")]);
}

#[test]
fn code_that_is_told_again_is_another_unless_groups_of_the_container_tell_it() {
    let again = |groups: &[u64]| {
        let mut learner = learner();
        learner.hint(named());
        for (kind, value, origin) in [
            (Kind::Executed, "/tmp/x", Origin::Changed),
            (Kind::Executed, "/bin/sh", Origin::Image),
            (Kind::Read, "/app/a.py", Origin::Mounted),
            (Kind::Read, "/app/data", Origin::Changed),
        ] {
            let first = First { origin, ..first(kind, value) };
            learner.first(first.clone());
            learner.first(first.clone());
            // The interpreter of two scripts is one program.
            let script = First { script: "/a".into(), value: "/opt/sh".into(), ..first };
            learner.first(script);
        }
        let inner = |group: &u64| Used { group: *group, id: None, ..used(&[]) };
        let all = [vec![used(&[])], groups.iter().map(inner).collect()].concat();
        let (learned, _) = learner.beat(all, at(2502));
        let entries = learned.into_iter().flat_map(|one| one.entries);
        let again = entries.filter(|entry| entry.origin == "replaced");
        again.map(|entry| entry.value).collect::<Vec<_>>()
    };
    assert_eq!(again(&[]), ["/tmp/x", "/app/a.py"]);
    assert!(again(&[8]).is_empty());
}

#[test]
fn paths_of_processes_have_no_numbers() {
    for (path, expected) in [
        ("/proc/201/oom_score_adj", "/proc/self/oom_score_adj"),
        ("/proc/7/task/8/comm", "/proc/self/task/self/comm"),
        ("/proc/sys/vm/1", "/proc/sys/vm/1"),
        ("/proc/", "/proc/"),
        ("/data/proc/1/x", "/data/proc/1/x"),
    ] {
        assert_eq!(without_numbers(path.into()), expected);
    }
}

#[test]
fn what_ran_before_it_was_watched_is_learned_once_and_only_of_such() {
    let mut learner = learner();
    learner.hint(named());
    learner.hint(Hint::Group(7, "/docker/a".into()));
    learner.beat(vec![Used { since: None, ..used(&[]) }], at(2502));
    assert_eq!(learner.unseeded(), [(7, "/docker/a".to_owned())]);
    let loaded = seed::Loaded {
        programs: ["/usr/bin/perl".to_owned()].into(),
        libraries: [("/lib/x.so".to_owned(), "/usr/bin/perl".to_owned())].into(),
        has_ring: true,
    };
    learner.seed(7, loaded, at(2503));
    assert!(learner.unseeded().is_empty());
    let (learned, _) = learner.beat(vec![Used { since: None, ..used(&[]) }], at(2507));
    assert_eq!(values(&learned), [(Kind::Executed, "/usr/bin/perl"), (Kind::Mapped, "/lib/x.so")]);
    assert_eq!(learned[0].run.gaps, [Gap::Start, Gap::IoUring].into());
    let mut whole = self::learner();
    whole.hint(named());
    whole.hint(Hint::Group(7, "/docker/a".into()));
    whole.beat(vec![used(&[])], at(2502));
    assert!(whole.unseeded().is_empty());
}
