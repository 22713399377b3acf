//! "Never" is said only where it was watched well enough, and nothing that came later makes anything look needed.

use haechi_core::facts::{ContainerConfig, Effective, HostConfig};
use haechi_core::profile::{Gap, PROFILE_SCHEMA, Phase, Run, Workload};
use haechi_profile::coverage::Rule;
use jiff::Timestamp;

use super::*;

const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn run(since: i64, until: i64, gaps: &[Gap]) -> Run {
    Run {
        container: "a".into(),
        name: "web".into(),
        since: at(since),
        until: at(until),
        phases: [Phase::Start, Phase::Run].into(),
        gaps: gaps.iter().copied().collect(),
        tasks_max: 0,
        memory_max: 0,
    }
}

fn entry(kind: Kind, value: &str, second: i64) -> Entry {
    Entry {
        kind,
        value: value.into(),
        first_at: at(second),
        container: "a".into(),
        origin: String::new(),
        program: String::new(),
    }
}

/// Watched for three days.
fn profile(entries: &[Entry]) -> Profile {
    Profile {
        schema: PROFILE_SCHEMA.into(),
        workload: Workload { image: "sha256:1".into(), command: vec!["web".into()] },
        runs: vec![run(0, 3 * DAY, &[])],
        entries: entries.to_vec(),
        ..Profile::default()
    }
}

fn mount(destination: &str, host_paths: &[&str]) -> ContainerMount {
    ContainerMount {
        destination: Some(destination.into()),
        host_paths: Some(host_paths.iter().map(|path| (*path).to_owned()).collect()),
        ..ContainerMount::default()
    }
}

fn container(mounts: Vec<ContainerMount>) -> Container {
    let held = ["CHOWN", "KILL", "NET_RAW"].map(str::to_owned).into();
    Container {
        id: Some("a".into()),
        name: Some("web".into()),
        config: Some(ContainerConfig { healthcheck: Some(false), ..ContainerConfig::default() }),
        host_config: Some(HostConfig::default()),
        effective: Some(Effective { capabilities: Some(held), ..Effective::default() }),
        mounts: Some(mounts),
        ..Container::default()
    }
}

fn seen(profile: &Profile, mounts: Vec<ContainerMount>) -> Behaviour {
    let mut container = container(mounts);
    let rule = Rule { quiet_min: 86_400, has_health_check: false };
    fill(&mut container, profile, &Coverage::of(profile, &rule));
    container.behaviour.unwrap()
}

fn names(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|name| (*name).to_owned()).collect())
}

/// What is said of each mount.
fn uses(behaviour: &Behaviour) -> Vec<&str> {
    behaviour.mounts.iter().flatten().filter_map(|mount| mount.used.as_deref()).collect()
}

#[test]
fn capabilities_are_used_new_or_never_asked_for() {
    let mut known = profile(&[
        entry(Kind::Capability, "CHOWN", 1),
        entry(Kind::RefusedCapability, "SYS_ADMIN", 2),
        entry(Kind::Capability, "NET_RAW", 2 * DAY),
    ]);
    // Before there is a baseline, all that was seen is what it does.
    let all = seen(&known, vec![]);
    assert_eq!(all.capabilities, names(&["CHOWN", "NET_RAW"]));
    assert_eq!((all.unused_capabilities, all.new_capabilities), (names(&["KILL"]), names(&[])));
    // Later, who used it may be anybody.
    known.baseline_at = Some(at(DAY));
    let later = seen(&known, vec![]);
    assert_eq!(later.capabilities, names(&["CHOWN"]));
    assert_eq!(later.unused_capabilities, names(&["KILL"]));
    assert_eq!(later.new_capabilities, names(&["NET_RAW"]));
    // Another container of the workload asked for it and did not hold it.
    known.entries.push(entry(Kind::RefusedCapability, "KILL", 3));
    assert_eq!(seen(&known, vec![]).unused_capabilities, names(&[]));
}

#[test]
fn each_part_says_how_long_it_was_watched_and_what_may_be_missing() {
    let mut known = profile(&[entry(Kind::Capability, "CHOWN", 1)]);
    let first = |known: &Profile| seen(known, vec![]).known.unwrap()["capabilities"].clone();
    let line = "profile, capabilities: settled; watched for 72 h 0 min, containers: 1, \
                until 2023-11-17 22:13 UTC; gaps: none";
    assert_eq!(first(&known), [line]);
    assert_eq!(seen(&known, vec![]).settled.unwrap().len(), Part::ALL.len());
    // A gap later takes nothing back that was known without it, and is told.
    known.runs.push(run(3 * DAY, 3 * DAY + 3660, &[Gap::Lost]));
    let gapped = first(&known);
    assert!(gapped[0].contains(": settled; watched for 73 h 1 min"), "{gapped:?}");
    assert!(gapped[0].ends_with("gaps: something could not be recorded (1 h 1 min)"), "{gapped:?}");
    // Ended in a storm, it is still known what it did until it was settled; without that, an end was never seen in whole.
    if let Some(run) = known.runs.last_mut() {
        run.phases.insert(Phase::Stop);
    }
    assert!(first(&known)[0].contains("capabilities: not known yet; "));
    known.baseline_at = Some(at(2 * DAY));
    assert_eq!((first(&known).len(), first(&known)[0].contains(": settled; ")), (1, true));
    known.baseline_at = None;
    // With nothing but gaps, nothing is known, and it says why.
    known.runs = vec![run(0, 3 * DAY, &[Gap::Capabilities])];
    let none = first(&known);
    assert!(none[0].contains("capabilities: not known yet; "), "{none:?}");
    assert_eq!(none[1], "This kernel does not tell which capabilities are used.");
    let settled = seen(&known, vec![]).settled.unwrap();
    assert!(!settled.contains(&"capabilities".to_owned()) && settled.len() == 4, "{settled:?}");
}

#[test]
fn a_mount_is_called_unused_only_if_its_use_would_have_been_seen() {
    let etc = || mount("/host/etc", &["/etc"]);
    let known = profile(&[
        entry(Kind::Read, "/host/home/a", 1),
        entry(Kind::Read, "/host/etcetera", 1),
        entry(Kind::Written, "/host/home/inner/b", 1),
    ]);
    let mounts = || {
        vec![
            mount("/host/home", &["/home"]),
            mount("/host/home/inner", &["/srv/inner"]),
            etc(),
            mount("/data", &[]),
        ]
    };
    let found = seen(&known, mounts());
    // A volume shows no path of the host.
    assert_eq!(uses(&found), ["yes", "yes", "no"]);
    let inner = &found.mounts.unwrap()[1];
    assert_eq!((inner.read, inner.written), (Some(0), Some(1)));
    assert_eq!(inner.files, names(&["/host/home/inner/b"]));

    // Not watched well enough.
    let mut short = known.clone();
    short.runs = vec![run(0, 60, &[])];
    assert_eq!(uses(&seen(&short, vec![etc()])), ["unknown"]);
    // What is read of the kernel's own file systems is not told; the root shows them.
    for shown in ["/proc", "/sys/fs", "/"] {
        assert_eq!(uses(&seen(&known, vec![mount("/m", &[shown])])), ["unknown"], "{shown}");
    }
    // The same files through another mount are told once.
    let twice = vec![mount("/host/home", &["/home"]), mount("/again", &["/home/a"])];
    assert_eq!(uses(&seen(&known, twice)), ["yes", "unknown"]);
    // A socket by a path that leads who knows where; one in the mount; and one without a file.
    let with = |peer: &str| {
        let mut known = known.clone();
        known.entries.push(entry(Kind::Peer, peer, 1));
        uses(&seen(&known, vec![etc()])).first().map(|used| (*used).to_owned())
    };
    assert_eq!(with("unix run.sock").as_deref(), Some("unknown"));
    assert_eq!(with("unix /host/etc/x.sock").as_deref(), Some("yes"));
    assert_eq!(with("unix @x").as_deref(), Some("no"));
    assert_eq!(with("tcp 10.0.0.1:80").as_deref(), Some("no"));
    // Used only lately is used all the same.
    let mut later = known.clone();
    later.baseline_at = Some(at(DAY));
    later.entries.push(entry(Kind::Read, "/host/etc/passwd", 2 * DAY));
    assert_eq!(uses(&seen(&later, vec![etc()])), ["yes"]);
}

#[test]
fn ports_folders_and_calls_are_told() {
    let mut known = profile(&[
        entry(Kind::Listening, "tcp 80", 1),
        entry(Kind::Listening, "udp 53", 1),
        entry(Kind::Listening, "unix /run/x", 1),
        entry(Kind::Listening, "tcp 4444", 2 * DAY),
        entry(Kind::Written, "/run/web.pid", 1),
        entry(Kind::Written, "/var/lib/web/db", 1),
        entry(Kind::Call, "read", 1),
    ]);
    known.baseline_at = Some(at(DAY));
    let found = seen(&known, vec![]);
    assert_eq!(found.listening, names(&["53/udp", "80/tcp"]));
    assert_eq!(found.new_listening, names(&["4444/tcp"]));
    assert_eq!(found.tmpfs, names(&["/run", "/var/lib/web"]));
    assert_eq!(found.kept_folders, names(&["/var/lib/web"]));
    assert_eq!((found.root_obstacles.clone(), found.calls_used), (names(&[]), Some(1)));
    assert!(found.calls_needed > found.calls_used);
    // A file directly in the root stands against it.
    known.entries.push(entry(Kind::Written, "/x", 1));
    let found = seen(&known, vec![]);
    assert_eq!(found.tmpfs, names(&[]));
    assert!(found.root_obstacles.unwrap()[0].contains("/x lies directly in it"));
}

#[test]
fn hostile_names_are_shown_and_short() {
    let name = format!("/m/\u{1b}[2J<script>\n{}", "한".repeat(2000));
    let found = seen(&profile(&[entry(Kind::Read, &name, 1)]), vec![mount("/m", &["/srv"])]);
    let file = &found.mounts.unwrap()[0].files.clone().unwrap()[0];
    assert!(file.len() <= TEXT_MAX + 3 && !file.contains(['\u{1b}', '\n']), "{file:?}");
}
