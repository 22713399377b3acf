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
/// And of one that was killed.
const ENDED: i32 = 137;
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
fn what_fanotify_is_not_asked_about_is_ended_as_it_begins() {
    let container = Container::start_with(&["--tmpfs", "/mem:exec"], "exec sleep 300");
    let outside = Container::start_with(&["--tmpfs", "/mem:exec"], "exec sleep 300");
    let (mut deny, _) = Deny::with_tier(Tier::Fanotify);
    let (group, merged) = (container.group(), container.merged());
    deny.watch(group, Some(&merged)).unwrap();
    deny.watch(outside.group(), Some(&outside.merged())).unwrap();
    let allowed = allowance(&[("/bin/busybox", Origin::Image), ("/mem/known", Origin::Mounted)]);
    let shell = |script: &str| container.status(&["sh", "-c", script]);
    assert_eq!(shell(&format!("busybox cp {OTHER} /mem/known; busybox cp {OTHER} /mem/other")), 0);

    let lacks = deny.allow_only(group, Some(&merged), Some((&allowed, Mode::DryRun))).unwrap();
    assert_eq!(lacks, None);
    for program in ["/mem/known", OTHER, "/mem/other"] {
        assert_eq!(shell(program), RAN);
    }
    let told = until_told(&mut deny, "/mem/other", Origin::Mounted);
    let paths: Vec<_> = told.iter().map(|one| (one.path.as_str(), one.is_refused)).collect();
    assert_eq!(paths, [(OTHER, false), ("/mem/other", false)], "each is told once");

    deny.allow_only(group, Some(&merged), Some((&allowed, Mode::Deny))).unwrap();
    for _ in 0..20 {
        assert_eq!(shell("/mem/known"), RAN);
        assert_eq!(shell("/mem/other"), ENDED);
    }
    let mount = "busybox cp /mem/other /tmp/other; exec /mem/other";
    assert_eq!(
        outside.status(&["sh", "-c", &format!("busybox cp {OTHER} /mem/other; {mount}")]),
        RAN
    );
    let told = until_told(&mut deny, "/mem/other", Origin::Mounted);
    assert!(told.iter().all(|one| one.is_refused && one.because == Because::NotAllowed));
    assert!(deny.counts().unwrap().refused >= 20);
    deny.allow_only(group, None, None).unwrap();
    assert_eq!(shell("/mem/other"), RAN);
}

/// How often it is tried: in some of it the program is exchanged between answer and opening.
const TRIED: usize = 6;
/// How many start at once.
const AT_ONCE: usize = 60;
/// What the program says that is put in the place of another.
const WRONG: i32 = 42;

/// The smallest program: it ends with `WRONG`.
fn wrong() -> Vec<u8> {
    let (machine, code): (u16, &[u8]) = if cfg!(target_arch = "aarch64") {
        (183, &[0x40, 5, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4])
    } else {
        (62, &[0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 5])
    };
    let (header, base) = (120_u64, 0x40_0000_u64);
    let size = header + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    [base + header, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    [64_u16, 56, 1, 0, 0, 0].iter().for_each(|half| file.extend(half.to_le_bytes()));
    // One part to be loaded, read and run.
    [1_u32, 5].iter().for_each(|word| file.extend(word.to_le_bytes()));
    [0, base, base, size, size, 0x1000].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(code);
    file
}

#[test]
fn a_program_that_is_exchanged_after_fanotify_was_asked_does_not_run() {
    let mut all: BTreeMap<i32, usize> = BTreeMap::new();
    for _ in 0..TRIED {
        let container = Container::start("exec sleep 300");
        let (group, merged) = (container.group(), container.merged());
        fs::write(merged.join("tmp/wrong"), wrong()).unwrap();
        let run = "busybox cp /tmp/wrong /tmp/run; busybox chmod 755 /tmp/run; /tmp/run";
        assert_eq!(container.status(&["sh", "-c", run]), WRONG);
        let (mut deny, _) = Deny::with_tier(Tier::Fanotify);
        deny.watch(group, Some(&merged)).unwrap();
        let allowed = allowance(&[("/bin/busybox", Origin::Image), (KNOWN, Origin::Image)]);
        deny.allow_only(group, Some(&merged), Some((&allowed, Mode::Deny))).unwrap();
        let script = format!(
            "i=0; while [ $i -lt {AT_ONCE} ]; do {{ {KNOWN} 2>/dev/null; echo $? >> /tmp/codes; }} & \
             i=$((i+1)); done; busybox cat /tmp/wrong > {KNOWN}; wait"
        );
        container.status(&["sh", "-c", &script]);
        let told = fs::read_to_string(merged.join("tmp/codes")).unwrap();
        told.lines().for_each(|code| *all.entry(code.parse().unwrap()).or_default() += 1);
    }
    println!("ended as: {all:?}");
    assert_eq!(all.values().sum::<usize>(), TRIED * AT_ONCE, "{all:?}");
    assert!(all.keys().all(|code| [RAN, REFUSED, ENDED].contains(code)), "{all:?}");
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
