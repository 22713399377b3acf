//! What is enforced, and what was refused, comes back as it was kept.
#![expect(clippy::unwrap_used, reason = "helpers of tests may stop at once")]

mod common;

use haechi_core::allowance::Mode;
use haechi_core::profile::{Run, Workload};
use haechi_store::{Guarded, Learned, ProfileId, Refused};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn refused(value: &str, mode: Mode, second: i64) -> Refused {
    Refused {
        mode,
        because: "not-allowed".into(),
        value: value.into(),
        origin: "changed".into(),
        container: "a".into(),
        first_at: at(second),
        last_at: at(second),
        times: 2,
    }
}

#[tokio::test]
async fn a_thing_is_new_once_and_a_dry_run_begins_with_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let workload = Workload { image: "sha256:1".into(), command: vec!["sh".into()] };
    let run = Run {
        container: "a".into(),
        name: "web".into(),
        since: at(0),
        until: at(10),
        phases: [].into(),
        gaps: [].into(),
        tasks_max: 0,
        memory_max: 0,
    };
    let learned = Learned {
        workload: workload.clone(),
        image_name: "web:1".into(),
        run,
        entries: Vec::new(),
    };
    let id = store.learn(&[learned]).await.unwrap()[0].profile;
    assert!(store.enforced().await.unwrap().is_empty());

    store.enforce(id, Some(Mode::DryRun), true, "uid 0", at(1)).await.unwrap();
    let found = store.enforced().await.unwrap();
    assert_eq!((found.len(), &found[0].workload), (1, &workload));
    let one = &found[0].enforcement;
    assert_eq!((one.mode, one.with_files, one.since), (Mode::DryRun, true, at(1)));

    let hostile = "/opt/\u{1b}[2J'; --";
    assert!(store.add_refused(id, &refused(hostile, Mode::DryRun, 2)).await.unwrap());
    assert!(!store.add_refused(id, &refused(hostile, Mode::DryRun, 5)).await.unwrap());
    assert!(store.add_refused(id, &refused(hostile, Mode::Deny, 6)).await.unwrap());
    let kept = store.refused(id).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!((kept[0].value.as_str(), kept[0].times), (hostile, 4));
    assert_eq!((kept[0].first_at, kept[0].last_at), (at(2), at(5)));

    // What was found stays when it is refused, and is gone when another dry run begins.
    store.enforce(id, Some(Mode::Deny), false, "uid 0", at(7)).await.unwrap();
    assert_eq!(store.refused(id).await.unwrap().len(), 2);
    store.enforce(id, Some(Mode::DryRun), false, "uid 0", at(8)).await.unwrap();
    assert!(store.refused(id).await.unwrap().is_empty());
    store.enforce(id, None, false, "uid 0", at(9)).await.unwrap();
    assert!(store.enforced().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_does_it_is_known_since_it_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let workload = Workload { image: "sha256:1".into(), command: Vec::new() };
    let run = Run {
        container: "a".into(),
        name: String::new(),
        since: at(0),
        until: at(10),
        phases: [].into(),
        gaps: [].into(),
        tasks_max: 0,
        memory_max: 0,
    };
    let learned = Learned { workload, image_name: String::new(), run, entries: Vec::new() };
    let id = store.learn(&[learned]).await.unwrap()[0].profile;
    assert_eq!(store.guarded(id).await.unwrap(), None);
    let guarded = |mode, second| Guarded {
        profile: id,
        mode,
        with_files: false,
        tier: "fanotify".into(),
        containers: 2,
        problem: String::new(),
        since: at(second),
        at: at(second),
    };
    for (mode, second, since) in [(Mode::DryRun, 1, 1), (Mode::DryRun, 6, 1), (Mode::Deny, 11, 11)]
    {
        store.set_guarded(&[guarded(mode, second)]).await.unwrap();
        let found = store.guarded(id).await.unwrap().unwrap();
        assert_eq!((found.mode, found.since, found.at), (mode, at(since), at(second)));
    }
    // Of a profile that is gone there is nothing to say.
    let gone = Guarded { profile: ProfileId(99), ..guarded(Mode::Deny, 20) };
    store.set_guarded(&[gone]).await.unwrap();
    assert_eq!(store.guarded(ProfileId(99)).await.unwrap(), None);
}
