//! Profiles come back as they were kept, and what comes after a baseline is later than it.
#![expect(clippy::unwrap_used, reason = "helpers of tests may stop at once")]

mod common;

use haechi_core::allowance::Mode;
use haechi_core::profile::{Entry, Gap, Kind, Phase, Run, Workload};
use haechi_store::{Forget, Learned, MadeHere, ProfileId};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry(value: &str, origin: &str, second: i64) -> Entry {
    Entry {
        kind: Kind::Executed,
        value: value.into(),
        first_at: at(second),
        container: "a".into(),
        origin: origin.into(),
        program: "/bin/sh".into(),
    }
}

fn learned(entries: &[Entry]) -> Learned {
    Learned {
        workload: Workload { image: "sha256:1".into(), command: vec!["sh".into()] },
        image_name: "web:1".into(),
        run: Run {
            container: "a".into(),
            name: "web".into(),
            since: at(0),
            until: at(10),
            phases: [].into(),
            gaps: [].into(),
            tasks_max: 0,
            memory_max: 0,
        },
        entries: entries.to_vec(),
    }
}

#[tokio::test]
async fn what_was_not_kept_before_is_told_and_comes_after_the_baseline() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let id = ProfileId(1);
    let first = [entry("/bin/sh", "image", 1), entry("/bin/sh", "changed", 2)];
    let kept = store.learn(&[learned(&first), learned(&first)]).await.unwrap();
    assert_eq!((kept[0].profile, kept[0].baseline_at), (id, None));
    assert_eq!(kept[0].new, first);
    assert!(kept[1].new.is_empty(), "kept already");
    let profile = store.profile(id).await.unwrap();
    assert_eq!((profile.baseline_at, profile.known().count()), (None, 2));

    store.set_baseline(id, at(5)).await.unwrap();
    // Told late, or by a clock that was set back.
    let late = entry("/bin/late", "image", 3);
    let kept = store.learn(&[learned(&[first[0].clone(), late.clone()])]).await.unwrap();
    assert_eq!((kept[0].baseline_at, &kept[0].new), (Some(at(5)), &vec![late]));
    let profile = store.profile(id).await.unwrap();
    assert_eq!((profile.baseline_at, profile.ruled_at), (Some(at(5)), None));
    assert_eq!(profile.known().count(), 2);
    assert_eq!(
        profile.later().map(|entry| entry.value.as_str()).collect::<Vec<_>>(),
        ["/bin/late"]
    );
    let json = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<haechi_core::profile::Profile>(&json).unwrap(), profile);

    // Whatever the clock says, nothing that was seen is left out.
    store.set_baseline(id, at(4)).await.unwrap();
    let profile = store.profile(id).await.unwrap();
    assert_eq!(profile.later().count(), 0);
    // What came after the first baseline was learned on purpose, however often that is done.
    assert_eq!(profile.ruled_at, Some(at(5)));
    store.set_baseline(id, at(9)).await.unwrap();
    assert_eq!(store.profile(id).await.unwrap().ruled_at, Some(at(5)));
}

#[tokio::test]
async fn names_made_by_chance_fill_no_disk_and_that_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let many: Vec<Entry> =
        (0..200_000).map(|number| entry(&format!("/tmp/{number}"), "", 1)).collect();
    assert_eq!(store.learn(&[learned(&many)]).await.unwrap()[0].new.len(), many.len());
    let kept = store.learn(&[learned(&[entry("/tmp/more", "", 2)])]).await.unwrap();
    assert!(kept[0].new.is_empty());
    let profile = store.profile(ProfileId(1)).await.unwrap();
    assert_eq!(profile.entries.len(), many.len());
    assert_eq!(profile.runs[0].gaps, [Gap::Full].into());
}

#[tokio::test]
async fn a_profile_is_forgotten_when_nothing_of_it_is_there_and_was_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let of = |image: &str, container: &str, until| {
        let mut one = learned(&[entry("/bin/sh", "image", 1)]);
        one.workload.image = image.into();
        one.run = Run { container: container.into(), until: at(until), ..one.run };
        one
    };
    let all = [of("old", "a", 10), of("lately", "b", 500), of("there", "c", 10)];
    store.learn(&all).await.unwrap();
    store.learn(&[of("both", "a", 10), of("both", "d", 500)]).await.unwrap();
    let images = || async {
        let all = store.workloads().await.unwrap().into_iter();
        all.map(|(_, profile)| profile.workload.image).collect::<Vec<_>>()
    };
    let mut forget = Forget { older_than: at(100), rows: 0, present: None };
    // As long as nobody knows which containers there are, it stays.
    assert_eq!(store.prune_monitor(&forget).await.unwrap(), 0);
    forget.present = Some(vec!["c".into()]);
    assert_eq!(store.prune_monitor(&forget).await.unwrap(), 1);
    assert_eq!(images().await, ["lately", "there", "both"]);
    assert_eq!(store.prune_monitor(&forget).await.unwrap(), 0);
    // It is learned anew if it comes again.
    let kept = store.learn(&[of("old", "e", 600)]).await.unwrap();
    assert_eq!(kept[0].new.len(), 1);
}

#[tokio::test]
async fn what_is_forgotten_is_learned_anew_and_nothing_is_claimed_of_what_was_told_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let mut first = learned(&[entry("/bin/sh", "image", 1)]);
    first.run.phases = [Phase::Start, Phase::Run].into();
    let id = store.learn(&[first.clone()]).await.unwrap()[0].profile;
    store.set_baseline(id, at(20)).await.unwrap();
    // Not while containers are held to it.
    store.enforce(id, Some(Mode::Deny), false, "uid 0", at(21)).await.unwrap();
    assert!(!store.forget_profile(id).await.unwrap());
    assert_eq!(store.profile(id).await.unwrap().entries.len(), 1);
    store.enforce(id, Some(Mode::DryRun), false, "uid 0", at(22)).await.unwrap();
    assert!(store.forget_profile(id).await.unwrap());
    assert!(
        store.workloads().await.unwrap().is_empty() && store.enforced().await.unwrap().is_empty()
    );
    assert!(!store.forget_profile(id).await.unwrap(), "it is gone");

    // From a file it comes back as it was.
    let id = store.learn(&[first.clone()]).await.unwrap()[0].profile;
    assert_eq!(store.profile(id).await.unwrap().runs, [first.run.clone()]);
    assert!(store.forget_profile(id).await.unwrap());

    // The monitor goes on with the stretch that it has, and does not tell again what was used before.
    let mut later = Learned { entries: Vec::new(), ..first.clone() };
    later.run.until = at(11);
    let id = store.learn(&[later]).await.unwrap()[0].profile;
    let profile = store.profile(id).await.unwrap();
    assert_eq!(profile.baseline_at, None);
    assert_eq!(profile.runs[0].gaps, [Gap::Start, Gap::Lost].into());
    assert_eq!(profile.runs[0].phases, [Phase::Run].into());
    // From its next start on it is learned as any other.
    first.run.since = at(30);
    first.run.until = at(40);
    store.learn(&[first.clone()]).await.unwrap();
    assert_eq!(store.profile(id).await.unwrap().runs[1], first.run);
    // That is remembered as long as the container is there.
    let gone = |present: &[&str]| Forget {
        older_than: at(0),
        rows: 0,
        present: Some(present.iter().map(|id| (*id).to_owned()).collect()),
    };
    store.prune_monitor(&gone(&["a"])).await.unwrap();
    first.run.since = at(0);
    first.run.until = at(12);
    store.learn(&[first.clone()]).await.unwrap();
    assert!(!store.profile(id).await.unwrap().runs[0].gaps.is_empty());
    store.prune_monitor(&gone(&[])).await.unwrap();
    store.learn(&[first]).await.unwrap();
    assert!(store.profile(id).await.unwrap().runs[0].gaps.is_empty());
}

#[tokio::test]
async fn a_container_that_only_tried_it_out_stays_known_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let made = |token: &str, is_trial| MadeHere {
        token: token.into(),
        is_trial,
        old: "a".into(),
        name: format!("web-{token}"),
        past: "{}".into(),
        made: None,
        stopping: false,
    };
    for (token, id, is_trial) in [("try", "b", true), ("next", "c", false)] {
        store.begin_made(&made(token, is_trial), at(1)).await.unwrap();
        store.note_made(token, id).await.unwrap();
        store.forget_made(token).await.unwrap();
    }
    let of = |container: &str| {
        let mut one = learned(&[]);
        one.run.container = container.into();
        one
    };
    // It is told after it is gone.
    store.learn(&[of("a"), of("b"), of("c")]).await.unwrap();
    let profile = store.profile(ProfileId(1)).await.unwrap();
    assert_eq!(profile.trials, ["b".to_owned()].into());
    let own: Vec<&str> = profile.own_runs().map(|run| run.container.as_str()).collect();
    assert_eq!((own, profile.runs.len()), (vec!["a", "c"], 3));
    let json = serde_json::to_string(&profile).unwrap();
    assert!(!json.contains("trials"), "{json}");
}
