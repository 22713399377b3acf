//! A new build of a workload's image takes over what no build changes, from the build before and from no other.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at once"
)]

mod common;

use haechi_core::profile::{Entry, Kind, Kinship, Run, Workload};
use haechi_store::{Learned, ProfileId, Store};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry(kind: Kind, value: &str, origin: &str, second: i64) -> Entry {
    Entry {
        kind,
        value: value.into(),
        first_at: at(second),
        container: "a".into(),
        origin: origin.into(),
        program: "/bin/sh".into(),
    }
}

/// A container of an image, in words: id, reference, command, name of the container.
fn learned([id, reference, command, name]: [&str; 4], entries: Vec<Entry>) -> Learned {
    Learned {
        workload: Workload { image: id.into(), command: vec![command.into()] },
        image_name: reference.into(),
        run: Run {
            container: format!("{id}{command}{name}"),
            name: name.into(),
            since: at(0),
            until: at(10),
            phases: [].into(),
            gaps: [].into(),
            tasks_max: 0,
            memory_max: 0,
        },
        entries,
    }
}

/// Keeps it; its number.
async fn keep(store: &Store, words: [&str; 4], entries: Vec<Entry>) -> ProfileId {
    store.learn(&[learned(words, entries)]).await.unwrap()[0].profile
}

async fn settled(store: &Store, words: [&str; 4], entries: Vec<Entry>) -> ProfileId {
    let id = keep(store, words, entries).await;
    store.set_baseline(id, at(100)).await.unwrap();
    id
}

/// Id of the image of the build before, and what tells it.
async fn before(store: &Store, words: [&str; 4]) -> Option<(String, Kinship)> {
    let kept = store.learn(&[learned(words, Vec::new())]).await.unwrap();
    let found = store.profile(kept[0].profile).await.unwrap().predecessor;
    assert_eq!(kept[0].predecessor, found);
    found.map(|before| (before.image, before.by))
}

#[tokio::test]
async fn what_no_build_changes_is_taken_over_and_its_own_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    let carried = vec![
        entry(Kind::Listening, "tcp 80", "", 1),
        entry(Kind::Peer, "tcp 10.0.0.1:443", "", 1),
        entry(Kind::Capability, "CHOWN", "", 1),
        entry(Kind::Written, "/data/x", "", 1),
        entry(Kind::Argument, "socket 2", "", 1),
        entry(Kind::Executed, "/data/tool", "mounted", 1),
    ];
    let own = vec![
        entry(Kind::Call, "read", "", 1),
        entry(Kind::Executed, "/bin/sh", "image", 1),
        entry(Kind::Read, "/etc/passwd", "image", 1),
    ];
    let old =
        settled(&store, ["sha256:1", "web:1", "run", "web"], [carried.clone(), own].concat()).await;
    // What came after the baseline was never taken for what it does.
    let late = vec![entry(Kind::Capability, "SYS_ADMIN", "", 200)];
    keep(&store, ["sha256:1", "web:1", "run", "web"], late).await;

    let new = keep(&store, ["sha256:2", "web:1", "run", "web-2"], Vec::new()).await;
    let profile = store.profile(new).await.unwrap();
    let mut sorted = carried;
    sorted.sort();
    assert_eq!(profile.carried, sorted);
    assert_eq!(profile.known().count(), sorted.len());
    assert!(profile.entries.is_empty());
    let heads = store.workloads().await.unwrap();
    assert_eq!(heads.iter().filter(|(_, head)| head.predecessor.is_some()).count(), 1);
    let json = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<haechi_core::profile::Profile>(&json).unwrap(), profile);

    // The third build takes over what the second did itself, and not what it only took over.
    keep(
        &store,
        ["sha256:2", "web:1", "run", "web-2"],
        vec![entry(Kind::Listening, "tcp 80", "", 3)],
    )
    .await;
    store.set_baseline(new, at(300)).await.unwrap();
    let third = keep(&store, ["sha256:3", "web:1", "run", "web"], Vec::new()).await;
    let profile = store.profile(third).await.unwrap();
    assert_eq!(profile.predecessor.unwrap().image, "sha256:2");
    assert_eq!(profile.carried.len(), 1);
    assert_ne!(old, third);
}

#[tokio::test]
async fn a_predecessor_is_settled_and_has_two_things_in_common() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    settled(&store, ["sha256:1", "web:1", "run", "web"], Vec::new()).await;
    keep(&store, ["sha256:9", "other:1", "run", "other"], Vec::new()).await;
    let of = |image: &str, by| Some((image.to_owned(), by));
    for (words, expected) in [
        (["sha256:2", "web:1", "run", "else"], of("sha256:1", Kinship::Reference)),
        (["sha256:3", "web:2", "run", "web"], of("sha256:1", Kinship::Container)),
        (["sha256:4", "web:1", "serve", "web"], of("sha256:1", Kinship::Both)),
        // One thing alone is no kinship: many have the same command, many the same base.
        (["sha256:5", "web:2", "run", "else"], None),
        (["sha256:6", "web:1", "serve", "else"], None),
        (["sha256:7", "web:2", "serve", "web"], None),
        // Another command of the same image is no update; nor is what nobody knows the image of.
        (["sha256:1", "web:1", "serve", "web"], None),
        (["", "web:1", "run", "web"], None),
        // Not settled.
        (["sha256:8", "other:1", "run", "other"], None),
    ] {
        assert_eq!(before(&store, words).await, expected, "{words:?}");
        // Told again, it stays what it was.
        assert_eq!(before(&store, words).await, expected, "{words:?}");
    }
    // What was there already gets none later.
    settled(&store, ["sha256:10", "web:2", "run", "else"], Vec::new()).await;
    assert_eq!(before(&store, ["sha256:5", "web:2", "run", "else"]).await, None);
}

#[tokio::test]
async fn of_several_the_nearest_and_then_the_last_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::store(dir.path()).await;
    settled(&store, ["sha256:1", "web:1", "run", "a"], Vec::new()).await;
    settled(&store, ["sha256:2", "web:1", "run", "b"], Vec::new()).await;
    settled(&store, ["sha256:3", "web:2", "run", "c"], Vec::new()).await;
    settled(&store, ["sha256:4", "web:1", "other", "c"], Vec::new()).await;
    assert_eq!(before(&store, ["sha256:5", "web:1", "run", "c"]).await.unwrap().0, "sha256:2");
    let mut seen_last = learned(["sha256:1", "web:1", "run", "a"], Vec::new());
    seen_last.run.until = at(50);
    store.learn(&[seen_last]).await.unwrap();
    assert_eq!(before(&store, ["sha256:6", "web:1", "run", "c"]).await.unwrap().0, "sha256:1");
    let same = before(&store, ["sha256:7", "web:9", "run", "c"]).await.unwrap();
    assert_eq!(same, ("sha256:3".to_owned(), Kinship::Container));
}
