//! Programs of real containers are refused before they start, on this machine's kernel. Needs root, Docker and busybox.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod container;

use std::path::Path;
use std::time::Instant;

use container::{Container, PATIENCE};
use haechi_sensor::{Deny, DenyError, Refusal, Tier};

/// What a shell says of a program that it was not allowed to start.
const REFUSED: i32 = 126;
/// What the test's programs say when they run.
const RAN: i32 = 127;
/// A name that a monitor on this machine does not refuse by itself.
const UNWANTED: &str = "/usr/sbin/haechi-unwanted";
const OTHER: &str = "/usr/sbin/haechi-other";

fn names(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_best_tier_that_works_is_taken_and_what_is_missing_has_a_reason() {
    let (deny, abilities) = Deny::new();
    assert_ne!(deny.tier(), Tier::None, "{abilities:?}");
    assert!(abilities.iter().all(|ability| ability.missing.as_deref() != Some("")));
    let there = abilities.iter().filter(|ability| ability.missing.is_none()).count();
    assert_eq!(there, 1, "{abilities:?}");
}

#[test]
fn only_refused_names_of_watched_containers_are_refused() {
    for tier in [Tier::Lsm, Tier::Fanotify] {
        let (mut deny, abilities) = Deny::with_tier(tier);
        if deny.tier() != tier {
            // Which one is there `the_best_tier…` looks at; the other is tried in the virtual machine.
            assert!(abilities.iter().any(|ability| ability.missing.is_some()));
            continue;
        }
        refuses(&mut deny, tier);
    }
}

/// Waits for so many refusals; no more of them may come along.
fn told(deny: &mut Deny, count: usize) -> Vec<Refusal> {
    let end = Instant::now() + PATIENCE;
    let mut told = Vec::new();
    while told.len() < count && Instant::now() < end {
        told.extend(deny.next(end.saturating_duration_since(Instant::now())).unwrap());
    }
    assert_eq!(told.len(), count, "{told:?}");
    told
}

fn refuses(deny: &mut Deny, tier: Tier) {
    let watched = Container::start("exec sleep 300");
    let outside = Container::start("exec sleep 300");
    let group = watched.group();
    deny.watch(group, Some(&watched.merged())).unwrap();
    assert_eq!(watched.status(&[UNWANTED]), RAN, "no name is refused yet");

    deny.set_names(&names(&[UNWANTED])).unwrap();
    assert_ne!(watched.status(&[UNWANTED]), RAN, "started by the engine");
    assert_eq!(
        watched.status(&["sh", "-c", "cd /usr; exec sbin/../sbin/haechi-unwanted -D"]),
        REFUSED
    );
    let link = "busybox ln -sf /usr/sbin/haechi-unwanted /tmp/innocent; /tmp/innocent";
    assert_eq!(watched.status(&["sh", "-c", link]), REFUSED, "a link is what it points to");
    assert_eq!(watched.status(&[OTHER]), RAN);
    assert_eq!(outside.status(&[UNWANTED]), RAN);

    for one in &told(deny, 3) {
        assert_eq!((one.cgroup, one.tier), (group, tier));
        assert_eq!((one.name.as_str(), one.path.as_str()), ("haechi-unwanted", UNWANTED));
        assert!(one.pid > 0 && one.at_ns > 0);
    }
    assert_eq!(deny.counts().unwrap().refused, 3);

    deny.set_names(&[]).unwrap();
    assert_eq!(watched.status(&[UNWANTED]), RAN);
    deny.set_names_of(group, &names(&["haechi-other"])).unwrap();
    assert_eq!(watched.status(&["sh", "-c", OTHER]), REFUSED);
    // The next that is told: nothing was in between.
    assert!(told(deny, 1).iter().all(|one| one.path == OTHER));
    assert_eq!(watched.status(&[UNWANTED]), RAN);
    deny.set_names(&names(&["haechi-unwanted"])).unwrap();
    // As where no engine says where the file system is.
    deny.watch(outside.group(), Some(&outside.root())).unwrap();
    assert_eq!(outside.status(&["sh", "-c", UNWANTED]), REFUSED);
    deny.forget(group).unwrap();
    assert_eq!(watched.status(&[OTHER]), RAN);
    assert_eq!(watched.status(&[UNWANTED]), RAN);
}

/// Longer than a path that the kernel tells; each folder is entered from the one above.
const DEEP: &str = "name=$(printf '%0200d' 0); i=0
    while [ $i -lt 25 ]; do busybox mkdir -p $name && cd -P $name; i=$((i+1)); done
    busybox cp /usr/sbin/haechi-unwanted . && ./haechi-unwanted";

#[test]
fn a_path_that_cannot_be_told_hides_nothing() {
    let container = Container::start("exec sleep 300");
    assert_eq!(container.status(&["sh", "-c", DEEP]), RAN);
    let (mut deny, _) = Deny::new();
    deny.watch(container.group(), Some(&container.merged())).unwrap();
    deny.set_names(&names(&["haechi-unwanted"])).unwrap();
    assert_eq!(container.status(&["sh", "-c", DEEP]), REFUSED);
    let told = told(&mut deny, 1);
    let name = if deny.tier() == Tier::Fanotify { "" } else { "haechi-unwanted" };
    assert_eq!(told[0].name, name, "the path is as long as it should be");
}

#[test]
fn when_it_is_dropped_all_is_let_through() {
    let container = Container::start("exec sleep 300");
    let (mut deny, _) = Deny::new();
    deny.watch(container.group(), Some(&container.merged())).unwrap();
    deny.set_names(&names(&["haechi-unwanted"])).unwrap();
    assert_eq!(container.status(&["sh", "-c", UNWANTED]), REFUSED);
    drop(deny);
    assert_eq!(container.status(&[UNWANTED]), RAN);
}

#[test]
fn what_cannot_be_guarded_is_said() {
    let (mut deny, _) = Deny::with_tier(Tier::Fanotify);
    assert!(matches!(deny.watch(5, None), Err(DenyError::NoFolder(5))));
    assert!(matches!(deny.watch(5, Some(Path::new("/"))), Err(DenyError::Folder { .. })));
    assert!(matches!(deny.watch(1, Some(Path::new("/"))), Err(DenyError::Group(1))));
    let own = Path::new("/proc/self/root");
    assert!(matches!(deny.watch(5, Some(own)), Err(DenyError::Folder { .. })));
    let (mut none, abilities) = Deny::with_tier(Tier::None);
    assert!(abilities.is_empty());
    assert!(matches!(none.watch(5, None), Err(DenyError::Unable)));
    assert!(matches!(none.set_names(&names(&["haechi-unwanted"])), Err(DenyError::Unable)));
    assert!(none.descriptors().is_empty() && none.refused().is_empty());
}
