//! What the monitor saw is evidence for checks, on the real kernel and the real engine. Needs root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use haechi_core::{Cause, Report, Status};
use haechi_tests::{Gone, Haechi, Image, Layer, Monitor, debian, docker, finding, until};
use serde_json::Value;

const TAG: &str = "haechi-test-evidence/app:1";
const BEFORE: &str = "haechi-test-evidence-before";
const BAD: &str = "haechi-test-evidence-bad";
const GOOD: &str = "haechi-test-evidence-good";
const FLOOD: &str = "haechi-test-evidence-flood";
const ALL: [&str; 5] = [BEFORE, BAD, GOOD, FLOOD, TAG];

/// The monitor writes every ten seconds until when it has watched.
const BEAT: Duration = Duration::from_secs(15);
/// Exec calls that live for a moment.
const SHORT: usize = 20;

fn start(name: &str) {
    docker(&["run", "--detach", "--name", name, "--network", "none", TAG]);
}

/// Runs a command in a container; whether the engine lets it run to its end does not matter.
fn exec(arguments: &[&str]) {
    let _ = Command::new("docker").arg("exec").args(arguments).output();
}

/// A monitor that watches, and listens to the engine.
fn watching(data: &Path) -> Monitor {
    let monitor = Monitor::begin(Haechi::new(&["monitor"]).data(data));
    // It listens a moment later.
    std::thread::sleep(Duration::from_secs(1));
    monitor
}

/// Waits until an alert of a container that is evidence for a check is kept.
fn until_alert(data: &Path, container: &str, check: &str) {
    until("the alert is kept", || {
        !records(data, &["alerts", "--container", container, "--check", check]).is_empty()
    });
}

fn verify(data: &Path) -> Report<String> {
    Haechi::new(&["verify", "--no-images", "--format", "json"]).data(data).report()
}

/// The records of a command as JSON lines.
fn records(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--format", "json", "--limit", "0"]].concat();
    let done = Haechi::new(&arguments).data(data).run().must_end_with(0);
    done.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn load() {
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut image = Image::of([Layer::new()
        .mode("bin/busybox", 0o755, &busybox)
        .mode("usr/sbin/sshd", 0o755, &busybox)
        .link("bin/sleep", "busybox")
        .link("bin/sh", "busybox")
        .link("bin/true", "busybox")
        .link("bin/cat", "busybox")
        .file("etc/shadow", "root:x:1::::::\n")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")]);
    image.tag = TAG.to_owned();
    let health = serde_json::json!({"Test": ["CMD", "/bin/true"], "Interval": 1_000_000_000_u64});
    image.config =
        serde_json::json!({"Cmd": ["/bin/sleep", "100000"], "User": "app", "Healthcheck": health});
    image.load();
}

#[test]
fn what_was_seen_fails_and_silence_passes_only_if_somebody_listened() {
    let _gone = Gone::of(ALL);
    load();
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    start(BEFORE);

    // Nobody watches: what happens only at run time is not known.
    let report = verify(data);
    let found = finding(&report, "container-no-privileged-exec", BEFORE);
    assert_eq!((found.status, found.cause), (Status::Unverified, Some(Cause::NeedsMonitor)));

    let mut monitor = watching(data);
    start(BAD);
    start(GOOD);
    start(FLOOD);
    for name in [GOOD, BEFORE] {
        exec(&[name, "/bin/busybox", "true"]);
    }
    for _ in 0..SHORT {
        // Not as its health check, which nobody does.
        exec(&[GOOD, "/bin/busybox", "true"]);
    }
    exec(&["--user", "root", BAD, "/bin/sh", "-c", "true --password=hunter2hunter2"]);
    exec(&["--privileged", BAD, "/bin/sh"]);
    exec(&[BAD, "/usr/sbin/sshd", "-D"]);
    // So many alerts of one rule at once that they are only counted.
    let many = ["/bin/cat"].into_iter().chain(["/etc/shadow"; 400]);
    exec(&[FLOOD].into_iter().chain(many).collect::<Vec<_>>());
    exec(&["--detach", BAD, "/bin/busybox", "nc", "-l", "-p", "22"]);
    std::thread::sleep(BEAT);

    let report = verify(data);
    for (check, name, status, cause) in [
        ("container-no-privileged-exec", BAD, Status::Fail, None),
        ("container-no-root-exec", BAD, Status::Fail, None),
        ("container-no-ssh-server", BAD, Status::Fail, None),
        ("container-no-privileged-exec", GOOD, Status::Pass, None),
        ("container-no-root-exec", GOOD, Status::Pass, None),
        ("container-no-ssh-server", GOOD, Status::Pass, None),
        // What is on no record may have been anything.
        ("container-no-ssh-server", FLOOD, Status::Unverified, Some(Cause::EventsLost)),
        // It ran before the monitor, and was watched for some seconds of 24 hours.
        ("container-no-privileged-exec", BEFORE, Status::Unverified, Some(Cause::NotObserved)),
    ] {
        let found = finding(&report, check, name);
        assert_eq!((found.status, found.cause), (status, cause), "{check} of {name}: {found:#?}");
    }
    let ssh = finding(&report, "container-no-ssh-server", BAD);
    assert!(ssh.evidence[0].seen.contains("SSH"), "{ssh:#?}");
    assert!(ssh.evidence[0].source.contains("monitor"), "{ssh:#?}");
    let root = finding(&report, "container-no-root-exec", BAD);
    assert!(root.evidence.iter().any(|line| line.seen.contains("as root")), "{root:#?}");

    // An exception accepts what the monitor saw as anything else.
    let exception = format!(
        "[[exceptions]]\ncheck = \"container-no-ssh-server\"\nsubject = \"{BAD}\"\nreason = \"test\"\n\
         owner = \"test\"\nexpires = \"2999-12-31\"\n"
    );
    let report = Haechi::new(&["verify", "--no-images", "--format", "json"])
        .data(data)
        .policy(&exception)
        .report();
    assert_eq!(finding(&report, "container-no-ssh-server", BAD).status, Status::Excepted);

    // The audit trail: each call with its rights, also those that lived for a moment; and no secrets.
    let calls = records(data, &["activity", "--container", GOOD, "--action", "exec_create"]);
    let told = calls.iter().filter(|call| call["exec"]["privileged"] == false).count();
    eprintln!("{told} of {} exec calls were told in time", calls.len());
    assert_eq!(told, calls.len());
    assert!(told > SHORT);
    let bad = records(data, &["activity", "--container", BAD]);
    let all = serde_json::to_string(&bad).unwrap();
    assert!(!all.contains("hunter2"), "{all}");
    let is = |user: &str, privileged: bool| {
        let of = |call: &&Value| {
            call["exec"]["user"] == user && call["exec"]["privileged"] == privileged
        };
        bad.iter().any(|call| of(&call))
    };
    assert!(is("root", false) && is("app", true), "{all}");
    let alerts =
        records(data, &["alerts", "--container", BAD, "--check", "container-no-ssh-server"]);
    assert!(!alerts.is_empty());
    let sheet = Haechi::new(&["alerts", "--since", "1h", "--container", BAD, "--format", "csv"])
        .data(data)
        .run();
    assert!(sheet.stdout.starts_with("number,at,priority,rule,"), "{}", sheet.stdout);
    assert!(sheet.stdout.contains(BAD));
    let none = Haechi::new(&["actions", "--since", "1h"]).data(data).run().must_end_with(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("No action"), "{none:?}");

    // Started again, it is the same container with the same files: what rules said stays; of what was done through the
    // engine the present life counts.
    docker(&["restart", "--time", "0", BAD]);
    std::thread::sleep(BEAT);
    let report = verify(data);
    let found = finding(&report, "container-no-privileged-exec", BAD);
    assert_eq!(found.status, Status::Pass, "{found:#?}");
    let found = finding(&report, "container-no-ssh-server", BAD);
    assert_eq!(found.status, Status::Fail, "{found:#?}");
    assert!(found.evidence[0].seen.contains("before it was started again at"), "{found:#?}");
    let found = finding(&report, "container-no-ssh-server", GOOD);
    let watched = &found.evidence.last().unwrap().seen;
    assert!(watched.starts_with("watched from ") && watched.contains("(its start)"), "{found:#?}");

    // The monitor started again: what it saw and lost before is not forgotten, and it says since when it watches.
    monitor.end();
    let mut monitor = watching(data);
    std::thread::sleep(BEAT);
    let report = verify(data);
    let found = finding(&report, "container-no-privileged-exec", GOOD);
    assert_eq!(found.cause, Some(Cause::NotObserved), "{found:#?}");
    assert_eq!(found.reason.as_ref().unwrap().matches("from ").count(), 3, "{found:#?}");
    let found = finding(&report, "container-no-ssh-server", FLOOD);
    assert_eq!(found.cause, Some(Cause::EventsLost), "{found:#?}");
    let found = finding(&report, "container-no-ssh-server", BAD);
    assert_eq!(found.status, Status::Fail, "{found:#?}");
    monitor.end();
}

/// What the monitor's list and that of the facts know an ssh server by.
const MARKS: &[u8] = b"no hostkeys available -- exiting sshd_config OpenSSH_";

#[test]
fn an_ssh_server_that_the_loader_runs_is_one() {
    const TAG: &str = "haechi-test-evidence/loader:1";
    const LOADED: &str = "haechi-test-evidence-loaded";
    const LATER: &str = "haechi-test-evidence-loaded-later";
    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
    let _gone = Gone::of([LOADED, LATER, TAG]);
    // A program that sleeps, and has in its file what an ssh server has; and the loader under two names.
    let agent = [&fs::read("/bin/sleep").unwrap()[..], MARKS].concat();
    let libc = "/lib/x86_64-linux-gnu/libc.so.6";
    let loader = fs::read(LOADER).unwrap();
    let mut image = Image::of([Layer::new()
        .mode(LOADER.trim_start_matches('/'), 0o755, &loader)
        .mode("bin/run", 0o755, &loader)
        .mode(libc.trim_start_matches('/'), 0o755, fs::read(libc).unwrap())
        .mode("bin/sleep", 0o755, fs::read("/bin/sleep").unwrap())
        .mode("opt/agent", 0o644, agent)]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
    let run = |name: &str, command: &[&str]| {
        docker(&[&["run", "--detach", "--name", name, "--network", "none", TAG], command].concat());
    };
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    // Without a monitor, by what runs.
    run(LOADED, &[LOADER, "--argv0", "web", "/opt/agent", "100000"]);
    let report = verify(data);
    let found = finding(&report, "container-no-ssh-server", LOADED);
    assert_eq!(found.status, Status::Fail, "{found:#?}");
    assert!(found.evidence.iter().any(|line| line.seen.contains("openssh-server")), "{found:#?}");

    // By the monitor, also when it is over.
    let mut monitor = watching(data);
    run(LATER, &[]);
    exec(&[LATER, "/bin/run", "--argv0", "web", "/opt/agent", "1"]);
    until_alert(data, LATER, "container-no-ssh-server");
    let report = verify(data);
    let found = finding(&report, "container-no-ssh-server", LATER);
    assert_eq!(found.status, Status::Fail, "{found:#?}");
    assert!(found.evidence[0].seen.contains("SSH server"), "{found:#?}");
    monitor.end();
}

#[test]
fn a_package_manager_that_is_run_fails_its_image() {
    const TAG: &str = "haechi-test-evidence/debian:1";
    const NAME: &str = "haechi-test-evidence-packages";
    let _gone = Gone::of([NAME, TAG]);
    docker(&["import", debian().to_str().unwrap(), TAG]);
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let mut monitor = watching(data);
    docker(&["run", "--detach", "--name", NAME, "--network", "none", TAG, "sleep", "100000"]);
    exec(&[NAME, "apt-get", "--version"]);
    let kept =
        || records(data, &["alerts", "--container", NAME, "--check", "image-verified-packages"]);
    // It finds nothing to install here, and was run all the same; what it was asked before is no alert.
    exec(&[NAME, "apt-get", "install", "--yes", "hello"]);
    until_alert(data, NAME, "image-verified-packages");
    assert!(kept().iter().all(|alert| alert["command"] != "apt-get --version"), "{:#?}", kept());
    let report = verify(data);
    let item = report.items.iter().find(|item| item.id == "4.11").unwrap();
    let of_image = |found: &&haechi_core::Finding<String>| found.subject.name.contains(TAG);
    let found = item.findings.iter().find(of_image).unwrap();
    assert_eq!(
        (&*found.check, found.status),
        ("image-verified-packages", Status::Fail),
        "{found:#?}"
    );
    assert!(found.evidence[0].seen.contains("apt-get install"), "{found:#?}");
    assert!(found.evidence[0].seen.contains(NAME), "{found:#?}");
    monitor.end();
}
