//! When a profile is settled, and that more of the same never takes that away.

use haechi_core::Lang;
use haechi_core::profile::{Entry, Gap, Kind, Kinship, Phase, Predecessor, Profile, Run};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{Coverage, Part, Rule, Unsettled};
use crate::testing::{at, entry, run};

fn rule() -> Rule {
    Rule { quiet_min: 3600, has_health_check: false }
}

fn settled() -> Profile {
    Profile {
        runs: vec![run("a", 0, 20_000)],
        entries: vec![entry(Kind::Call, "accept", 0), entry(Kind::Executed, "/bin/a", 100)],
        ..Profile::default()
    }
}

fn why(profile: &Profile, rule: &Rule, part: Part) -> Vec<Unsettled> {
    Coverage::of(profile, rule).unsettled(&[part]).into_keys().cloned().collect()
}

#[test]
fn enough_quiet_time_after_a_whole_start_settles() {
    let profile = settled();
    let coverage = Coverage::of(&profile, &rule());
    assert!(coverage.is_settled(), "{coverage:?}");
    assert_eq!((coverage.observed, coverage.learned_in, coverage.quiet), (20_000, 100, 19_900));
    assert_eq!(coverage.curve.into_iter().collect::<Vec<_>>(), [(0, 2)]);
    assert_eq!(why(&Profile::default(), &rule(), Part::Calls), [Unsettled::NotWatched]);
}

#[test]
fn what_every_container_calls_unsettles_nothing() {
    let mut profile = settled();
    profile.entries.push(entry(Kind::Call, "sched_yield", 19_999));
    assert!(Coverage::of(&profile, &rule()).is_settled());
    profile.entries.push(entry(Kind::Call, "rename", 19_999));
    assert!(!Coverage::of(&profile, &rule()).is_settled());
}

#[test]
fn what_took_long_to_learn_needs_as_long_again() {
    let mut profile = settled();
    profile.entries.push(entry(Kind::Call, "open", 12_000));
    let reason = Unsettled::TooRecent { quiet: 8000, needed: 12_000, by_learning: true };
    assert_eq!(why(&profile, &rule(), Part::Calls), [reason]);
    // What was new is a call; what is executed is known as well as before.
    assert_eq!(why(&profile, &rule(), Part::Programs), []);
    let strict = Rule { quiet_min: 30_000, ..rule() };
    let reason = Unsettled::TooRecent { quiet: 8000, needed: 30_000, by_learning: false };
    assert_eq!(why(&profile, &strict, Part::Calls), [reason]);
}

#[test]
fn time_in_which_something_may_have_been_missed_does_not_count() {
    for (gap, hidden) in [
        (
            Gap::Lost,
            vec![Part::Calls, Part::Capabilities, Part::Programs, Part::Files, Part::Network],
        ),
        (Gap::Left, Part::ALL.to_vec()),
        (Gap::Calls, vec![Part::Calls]),
        (Gap::Capabilities, vec![Part::Capabilities]),
        (Gap::Files, vec![Part::Programs, Part::Files]),
        (Gap::IoUring, vec![Part::Files, Part::Network]),
    ] {
        let mut profile = settled();
        profile.runs[0].gaps.insert(gap);
        for part in Part::ALL {
            let expected =
                if hidden.contains(&part) { vec![Unsettled::Gap { gap }] } else { vec![] };
            assert_eq!(why(&profile, &rule(), part), expected, "{gap:?} {part:?}");
        }
        // What was seen in it counts as seen, its time as the time it took to learn.
        profile.runs.push(run("b", 30_000, 33_000));
        let reason = Unsettled::TooRecent { quiet: 3000, needed: 3600, by_learning: false };
        assert_eq!(why(&profile, &rule(), *hidden.first().unwrap()), [reason]);
    }
}

#[test]
fn phases_have_to_be_seen_in_whole() {
    let mut profile = settled();
    profile.runs[0].gaps.insert(Gap::Start);
    let start = Unsettled::Phase { phase: Phase::Start };
    assert_eq!(why(&profile, &rule(), Part::Calls), [start]);
    profile.runs.push(run("b", 30_000, 30_010));
    assert_eq!(why(&profile, &rule(), Part::Calls), []);

    let health = Rule { has_health_check: true, ..rule() };
    let reason = Unsettled::Phase { phase: Phase::HealthCheck };
    assert_eq!(why(&profile, &health, Part::Calls), [reason]);

    let mut stopped = run("c", 40_000, 40_010);
    stopped.phases.insert(Phase::Stop);
    stopped.gaps.insert(Gap::Lost);
    profile.runs.push(stopped);
    assert_eq!(why(&profile, &rule(), Part::Calls), [Unsettled::Phase { phase: Phase::Stop }]);
    profile.runs[0].phases.insert(Phase::Stop);
    assert_eq!(why(&profile, &rule(), Part::Calls), []);
}

#[test]
fn what_is_done_in_stopping_takes_no_longer_to_learn_for_a_long_life_before_it() {
    let mut profile = settled();
    profile.runs[0].phases.insert(Phase::Stop);
    profile.entries.push(entry(Kind::Call, "kill", 19_995));
    // It is new all the same.
    let reason = Unsettled::TooRecent { quiet: 5, needed: 3600, by_learning: false };
    assert_eq!(why(&profile, &rule(), Part::Calls), [reason]);
    profile.runs.push(run("b", 30_000, 34_000));
    assert_eq!(why(&profile, &rule(), Part::Calls), []);
    // So is what another does in starting.
    profile.entries.push(Entry { container: "b".into(), ..entry(Kind::Call, "open", 30_030) });
    profile.runs[1].until = at(33_000);
    let reason = Unsettled::TooRecent { quiet: 2970, needed: 3600, by_learning: false };
    assert_eq!(why(&profile, &rule(), Part::Calls), [reason]);
    // But not what it does later on.
    profile.entries.push(Entry { container: "b".into(), ..entry(Kind::Call, "link", 30_070) });
    let reason = Unsettled::TooRecent { quiet: 2930, needed: 20_070, by_learning: true };
    assert_eq!(why(&profile, &rule(), Part::Calls), [reason]);
}

#[test]
fn of_a_new_build_what_no_build_changes_is_settled_and_the_rest_is_learned_again() {
    let before =
        Predecessor { image: "sha256:1".into(), image_name: "a:1".into(), by: Kinship::Reference };
    let mut profile = Profile {
        runs: vec![run("b", 0, 100)],
        entries: vec![entry(Kind::Call, "read", 0), entry(Kind::Peer, "tcp 10.0.0.1:1", 99)],
        predecessor: Some(before),
        carried: vec![entry(Kind::Capability, "CHOWN", -900), entry(Kind::Written, "/tmp/x", -900)],
        ..Profile::default()
    };
    let settled =
        |profile: &Profile| Part::ALL.map(|part| (part, why(profile, &rule(), part).is_empty()));
    let only_carried = Part::ALL.map(|part| (part, part.outlives_builds()));
    assert_eq!(settled(&profile), only_carried);
    // What was taken over took no time of this one.
    profile.entries.push(entry(Kind::Written, "/tmp/y", 99));
    assert!(Coverage::of(&profile, &rule()).parts[&Part::Files].learned_in == 0);
    profile.runs[0].gaps.insert(Gap::Lost);
    assert_eq!(settled(&profile), Part::ALL.map(|part| (part, false)));
    profile.runs = vec![run("b", 0, 20_000)];
    assert!(Coverage::of(&profile, &rule()).is_settled());
}

#[test]
fn a_call_that_is_made_once_a_day_is_known_or_new_but_never_missed() {
    const DAY: i64 = 86_400;
    let rule = Rule { quiet_min: 24 * 3600, has_health_check: false };
    // A job of the night is seen first at the end of the first day: a day is not enough then.
    let mut profile = Profile {
        runs: vec![run("a", 0, DAY + 3600)],
        entries: vec![entry(Kind::Call, "read", 0)],
        ..Profile::default()
    };
    assert!(Coverage::of(&profile, &rule).is_settled());
    profile.entries.push(entry(Kind::Call, "rename", DAY - 60));
    let needed = 24 * 3600;
    let reason = Unsettled::TooRecent { quiet: 3660, needed, by_learning: false };
    assert_eq!(why(&profile, &rule, Part::Calls), [reason]);
    profile.runs[0].until = at(2 * DAY);
    assert!(Coverage::of(&profile, &rule).is_settled());
    // It is settled before the job ran for the first time: the job is new then, and stays so until it is learned.
    profile.baseline_at = Some(at(DAY - 3600));
    assert!(Coverage::of(&profile, &rule).is_settled());
    let values =
        |entries: Vec<&Entry>| entries.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(crate::news::news(profile.known(), profile.later())), ["rename"]);
    assert!(!crate::seccomp::make(&profile, true).seen.contains("rename"));
}

#[test]
fn what_somebody_learned_on_purpose_asks_for_the_least_time_only() {
    const DAY: i64 = 86_400;
    let rule = Rule { quiet_min: 24 * 3600, has_health_check: false };
    let mut profile = Profile {
        runs: vec![run("a", 0, 32 * DAY)],
        entries: vec![entry(Kind::Call, "read", 0), entry(Kind::Call, "mount", 30 * DAY)],
        ..Profile::default()
    };
    assert_ne!(why(&profile, &rule, Part::Calls), [], "it took a month to see it");
    profile.ruled_at = Some(at(2 * DAY));
    assert_eq!(why(&profile, &rule, Part::Calls), []);
    profile.runs[0].until = at(30 * DAY + 3600);
    assert_ne!(why(&profile, &rule, Part::Calls), [], "a day all the same");
    // What was there before that moment was not.
    profile.runs[0].until = at(32 * DAY);
    profile.ruled_at = Some(at(31 * DAY));
    assert_ne!(why(&profile, &rule, Part::Calls), []);
}

#[test]
fn two_at_once_are_not_twice_as_long() {
    let mut profile = settled();
    profile.runs = (0..100).map(|at| run(&at.to_string(), 0, 1000)).collect();
    let coverage = Coverage::of(&profile, &rule());
    assert_eq!((coverage.observed, coverage.watched), (100_000, 1000));
    assert!(!coverage.is_settled());
}

#[test]
fn files_of_a_known_folder_are_nothing_new() {
    let mut profile = settled();
    profile.entries.push(entry(Kind::Written, "/tmp/1", 10));
    profile.entries.push(entry(Kind::Written, "/tmp/2", 19_999));
    assert_eq!(why(&profile, &rule(), Part::Files), []);
    profile.entries.push(entry(Kind::Written, "/var/2", 19_999));
    assert_ne!(why(&profile, &rule(), Part::Files), []);
}

#[test]
fn what_is_new_after_the_baseline_neither_unsettles_nor_counts() {
    let mut profile = settled();
    profile.baseline_at = Some(entry(Kind::Call, "", 15_000).first_at);
    let before = Coverage::of(&profile, &rule());
    profile.entries.push(entry(Kind::Call, "bpf", 19_999));
    profile.entries.push(entry(Kind::Capability, "SYS_ADMIN", 19_999));
    assert_eq!(Coverage::of(&profile, &rule()), before);
    assert!(before.is_settled());
    let made = crate::seccomp::make(&profile, true);
    assert!(made.seen.contains("accept") && !made.seen.contains("bpf"));
    profile.baseline_at = None;
    assert!(!Coverage::of(&profile, &rule()).is_settled());
    assert!(crate::seccomp::make(&profile, true).seen.contains("bpf"));
}

#[test]
fn every_reason_has_a_sentence_in_both_languages() {
    let gaps =
        [Gap::Start, Gap::Capabilities, Gap::Calls, Gap::Files, Gap::Lost, Gap::Full, Gap::IoUring];
    let phases = [Phase::Start, Phase::Run, Phase::HealthCheck, Phase::Exec, Phase::Stop];
    let mut all = vec![Unsettled::NotWatched];
    all.extend(gaps.map(|gap| Unsettled::Gap { gap }));
    all.extend(phases.map(|phase| Unsettled::Phase { phase }));
    all.extend([true, false].map(|by_learning| Unsettled::TooRecent {
        quiet: 5,
        needed: 7200,
        by_learning,
    }));
    for reason in all {
        let [en, ko] = [Lang::En, Lang::Ko].map(|lang| reason.say(lang));
        assert!(!en.starts_with("why-") && en != ko && !en.contains('{'), "{en}: {ko}");
    }
}

#[test]
fn a_time_that_runs_backwards_is_no_time() {
    let mut profile = settled();
    profile.runs = vec![Run { until: Timestamp::MIN, since: Timestamp::MAX, ..run("a", 0, 1) }];
    let coverage = Coverage::of(&profile, &rule());
    assert_eq!((coverage.observed, coverage.watched), (0, 0));
    profile.runs = vec![Run { since: Timestamp::MIN, until: Timestamp::MAX, ..run("a", 0, 1) }];
    profile.entries[0].first_at = Timestamp::MAX;
    assert!(!Coverage::of(&profile, &rule()).is_settled());
}

fn gaps() -> impl Strategy<Value = Vec<Gap>> {
    prop::collection::vec(
        prop::sample::select(vec![Gap::Start, Gap::Lost, Gap::Calls, Gap::Files, Gap::Full]),
        0..2,
    )
}

fn profiles() -> impl Strategy<Value = Profile> {
    let runs = prop::collection::vec((0i64..50_000, 1i64..50_000, gaps()), 1..6);
    let entries = prop::collection::vec((0i64..50_000, 0usize..11, "[a-e]", 0u8..6), 0..12);
    (runs, entries).prop_map(|(runs, entries)| Profile {
        runs: runs
            .into_iter()
            .enumerate()
            .map(|(name, (since, length, gaps))| Run {
                gaps: gaps.into_iter().collect(),
                ..run(&name.to_string(), since, since + length)
            })
            .collect(),
        entries: entries
            .into_iter()
            .map(|(at, kind, value, container)| Entry {
                container: container.to_string(),
                ..entry(Kind::ALL[kind], &format!("/{value}/x"), at)
            })
            .collect(),
        ..Profile::default()
    })
}

fn end(profile: &Profile) -> i64 {
    profile.runs.iter().map(|run| run.until.as_second()).max().unwrap_or_default()
}

proptest! {
    #[test]
    fn more_of_the_same_never_unsettles(
        mut profile in profiles(), pause in 0i64..9000, length in 0i64..9000, quiet_min in 0u64..20_000, last in any::<bool>(),
    ) {
        let rule = Rule { quiet_min, has_health_check: false };
        let before = Coverage::of(&profile, &rule);
        // Another stretch, or the last one goes on.
        let end = end(&profile);
        if last && let Some(run) = profile.runs.iter_mut().find(|run| run.until.as_second() == end) {
            run.until = at(end + length);
        } else {
            profile.runs.push(run("later", end + pause, end + pause + length));
        }
        let after = Coverage::of(&profile, &rule);
        for part in Part::ALL {
            let [was, is] = [&before, &after].map(|coverage| coverage.unsettled(&[part]).is_empty());
            prop_assert!(!was || is, "{part:?}: {before:?} {after:?}");
        }
        prop_assert!(after.observed >= before.observed && after.quiet >= before.quiet);
    }

    #[test]
    fn a_novelty_unsettles(mut profile in profiles(), kind in 0usize..11, quiet_min in 1u64..20_000) {
        let rule = Rule { quiet_min, has_health_check: false };
        let kind = Kind::ALL[kind];
        let new = entry(kind, "/new/x", end(&profile));
        profile.entries.push(new);
        let coverage = Coverage::of(&profile, &rule);
        prop_assert!(!coverage.unsettled(&[Part::of(kind)]).is_empty());
        prop_assert!(!coverage.is_settled());
    }
}

#[test]
fn who_was_talked_to_through_socketcall_is_not_known() {
    let mut profile = settled();
    profile.entries.push(entry(Kind::Call, "compat:socketcall", 100));
    assert_eq!(why(&profile, &rule(), Part::Network), [Unsettled::SocketCall]);
    for part in [Part::Calls, Part::Programs, Part::Files] {
        assert!(why(&profile, &rule(), part).is_empty(), "{part:?}");
    }
}
