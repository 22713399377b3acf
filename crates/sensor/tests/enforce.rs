//! Real containers start only what they are allowed to, and only as it came with their image, by what this machine's kernel
//! has. Needs root, Docker and busybox.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod container;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use container::{Container, PATIENCE};
use haechi_core::allowance::{Allowance, Mode};
use haechi_core::event::Origin;
use haechi_sensor::{Because, Deny, Refusal, Tier};

/// What a shell says of a program that it was not allowed to start.
const REFUSED: i32 = 126;
/// What the test's programs say when they run.
const RAN: i32 = 127;
const KNOWN: &str = "/usr/sbin/haechi-unwanted";
const OTHER: &str = "/usr/sbin/haechi-other";

fn allowance(programs: &[(&str, Origin)]) -> Allowance {
    let programs = programs.iter().map(|(path, origin)| ((*path).to_owned(), [*origin].into()));
    Allowance { programs: programs.collect(), writable: None }
}

/// Everything that was told until one of this path came, which lay there.
fn until_told(deny: &mut Deny, path: &str, origin: Origin) -> Vec<Refusal> {
    let end = Instant::now() + PATIENCE;
    let mut told: Vec<Refusal> = Vec::new();
    while !told.iter().any(|one| (one.path.as_str(), one.origin) == (path, origin)) {
        assert!(Instant::now() < end, "{path} was not told: {told:?}");
        told.extend(deny.next(end.saturating_duration_since(Instant::now())).unwrap());
    }
    told
}

#[test]
fn only_what_is_allowed_starts_and_only_as_the_image_has_it() {
    let container = Container::start_with(&["--cap-add", "SYS_ADMIN"], "exec sleep 300");
    let outside = Container::start("exec sleep 300");
    let (mut deny, abilities) = Deny::new();
    assert_ne!(deny.tier(), Tier::None, "{abilities:?}");
    let (group, merged) = (container.group(), container.merged());
    deny.watch(group, Some(&merged)).unwrap();
    let allowed = allowance(&[
        ("/bin/busybox", Origin::Image),
        (KNOWN, Origin::Image),
        ("/tmp/own", Origin::Changed),
        // A script, of which only the path is known, over a link.
        ("/bin/../tmp/own.sh", Origin::Unknown),
    ]);
    let shell = |script: &str| container.status(&["sh", "-c", script]);

    // First it is only told.
    deny.allow_only(group, Some(&merged), Some((&allowed, Mode::DryRun))).unwrap();
    assert_eq!(shell(KNOWN), RAN);
    assert_eq!(shell(OTHER), RAN);
    let told = until_told(&mut deny, OTHER, Origin::Image);
    assert!(told.iter().all(|one| !one.is_refused && one.path == OTHER), "{told:?}");
    assert_eq!((told[0].because, told[0].origin), (Because::NotAllowed, Origin::Image));
    assert_eq!(deny.counts().unwrap().refused, 0);

    deny.allow_only(group, Some(&merged), Some((&allowed, Mode::Deny))).unwrap();
    for _ in 0..20 {
        assert_eq!(shell(KNOWN), RAN);
    }
    assert_eq!(shell(OTHER), REFUSED);
    assert_eq!(outside.status(&[OTHER]), RAN);
    assert_eq!(shell(&format!("busybox cp {KNOWN} /tmp/copy; /tmp/copy")), REFUSED);
    assert_eq!(shell(&format!("busybox cp {KNOWN} /tmp/own; /tmp/own")), RAN);
    // Another of the image's programs, put over the one that may.
    let mounted = format!("busybox mount -o bind {OTHER} {KNOWN} && {KNOWN}");
    assert_eq!(shell(&mounted), REFUSED);
    assert_eq!(shell(&format!("busybox umount {KNOWN}; {KNOWN}")), RAN);
    // In place.
    assert_eq!(shell(&format!("busybox cp {OTHER} {KNOWN}; {KNOWN}")), REFUSED);
    let told = until_told(&mut deny, KNOWN, Origin::Changed);
    let told: BTreeSet<_> =
        told.iter().map(|one| (one.path.as_str(), one.because, one.is_refused)).collect();
    assert!(told.contains(&(OTHER, Because::NotAllowed, true)), "{told:?}");
    assert!(told.contains(&("/tmp/copy", Because::NotAllowed, true)), "{told:?}");
    assert!(told.contains(&(KNOWN, Because::Replaced, true)), "{told:?}");

    deny.allow_only(group, None, None).unwrap();
    assert_eq!(shell(OTHER), RAN);
    deny.allow_only(group, Some(&merged), Some((&allowed, Mode::Deny))).unwrap();
    assert_eq!(shell(OTHER), REFUSED);
    drop(deny);
    assert_eq!(shell(OTHER), RAN, "nobody refuses any more");
}

/// How many start at once; a flood is easily made.
const FLOOD: usize = 3000;

#[test]
fn nothing_gets_through_fanotify_when_thousands_start_at_once() {
    let container = Container::start("exec sleep 3000");
    let outside = Container::start("exec sleep 3000");
    let (mut deny, abilities) = Deny::with_tier(Tier::Fanotify);
    assert_eq!(deny.tier(), Tier::Fanotify, "{abilities:?}");
    let (group, merged) = (container.group(), container.merged());
    deny.watch(group, Some(&merged)).unwrap();
    deny.watch(outside.group(), Some(&outside.merged())).unwrap();
    let allowed = allowance(&[("/bin/busybox", Origin::Image)]);
    deny.allow_only(group, Some(&merged), Some((&allowed, Mode::Deny))).unwrap();
    let script = format!(
        "i=0; while [ $i -lt {FLOOD} ]; do {{ {OTHER} 2>/dev/null; echo $? >> /tmp/codes; }} & i=$((i+1)); done; wait"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| outside.status(&["sh", "-c", &script]));
        container.status(&["sh", "-c", &script]);
    });
    let codes = |container: &Container| {
        let told = fs::read_to_string(container.merged().join("tmp/codes")).unwrap();
        told.lines().fold(BTreeMap::<i32, usize>::new(), |mut codes, code| {
            *codes.entry(code.parse().unwrap()).or_default() += 1;
            codes
        })
    };
    let unlooked = deny.unlooked();
    let said = format!("{unlooked:?} {:?}", deny.counts());
    assert_eq!(codes(&container), [(REFUSED, FLOOD)].into(), "{said}");
    assert_eq!(codes(&outside), [(RAN, FLOOD)].into(), "{said}");
    assert!(unlooked.get(&group).is_none_or(|of_it| of_it.let_through == 0), "{said}");
}

#[test]
fn what_cannot_be_compared_is_said_and_nothing_is_claimed() {
    let container = Container::start("exec sleep 300");
    let (mut deny, _) = Deny::with_tier(Tier::Fanotify);
    let group = container.group();
    deny.watch(group, Some(&container.merged())).unwrap();
    let allowed = allowance(&[]);
    let only = Some((&allowed, Mode::Deny));
    assert!(deny.allow_only(group, None, only).is_err());
    assert!(deny.allow_only(group, Some("/".as_ref()), only).is_err());
    let with_files = Allowance { writable: Some(Default::default()), ..allowance(&[]) };
    let root = container.root();
    let lacks = deny.allow_only(group, Some(&root), Some((&with_files, Mode::Deny))).unwrap();
    assert!(lacks.is_some_and(|why| why.contains("writing")));
    assert_ne!(
        container.status(&["sh", "-c", KNOWN]),
        RAN,
        "the shell itself, started by the engine"
    );
    let (mut none, _) = Deny::with_tier(Tier::None);
    assert!(none.allow_only(group, Some(&root), only).is_err());
}
