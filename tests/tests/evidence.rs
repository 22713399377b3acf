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

use haechi_core::{Cause, Finding, Report, Status};
use haechi_tests::{Haechi, Image, Layer, docker};
use serde_json::Value;

const TAG: &str = "haechi-test-evidence/app:1";
const BEFORE: &str = "haechi-test-evidence-before";
const BAD: &str = "haechi-test-evidence-bad";
const GOOD: &str = "haechi-test-evidence-good";
const ALL: [&str; 3] = [BEFORE, BAD, GOOD];

/// The monitor writes every ten seconds until when it has watched.
const BEAT: Duration = Duration::from_secs(15);
/// Exec calls that live for a moment.
const SHORT: usize = 20;

/// Containers and images that are gone when the test ends.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        for name in ALL {
            let _ = Command::new("docker").args(["rm", "--force", name]).output();
        }
        let _ = Command::new("docker").args(["rmi", "--force", TAG]).output();
    }
}

fn start(name: &str) {
    docker(&["run", "--detach", "--name", name, "--network", "none", TAG]);
}

/// Runs a command in a container; whether the engine lets it run to its end does not matter.
fn exec(arguments: &[&str]) {
    let _ = Command::new("docker").arg("exec").args(arguments).output();
}

fn finding<'a>(report: &'a Report<String>, check: &str, name: &str) -> &'a Finding<String> {
    let all = report.items.iter().flat_map(|item| &item.findings);
    all.into_iter()
        .find(|finding| finding.check == check && finding.subject.name == name)
        .unwrap_or_else(|| panic!("no finding of {check} for {name}"))
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
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")]);
    image.tag = TAG.to_owned();
    let health = serde_json::json!({"Test": ["CMD", "/bin/true"], "Interval": 1_000_000_000_u64});
    image.config =
        serde_json::json!({"Cmd": ["/bin/sleep", "100000"], "User": "app", "Healthcheck": health});
    image.load();
}

#[test]
fn what_was_seen_fails_and_silence_passes_only_if_somebody_listened() {
    let _gone = Gone;
    load();
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    start(BEFORE);

    // Nobody watches: what happens only at run time is not known.
    let report = verify(data);
    let found = finding(&report, "container-no-privileged-exec", BEFORE);
    assert_eq!((found.status, found.cause), (Status::Unverified, Some(Cause::NeedsMonitor)));

    let mut haechi = Haechi::new(&["monitor"]).data(data);
    let errors = haechi.dir().join("stderr");
    let monitor = haechi.begin();
    let begun = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        fs::read_to_string(&errors).is_ok_and(|said| said.contains("Watching"))
    });
    assert!(begun, "{}", fs::read_to_string(&errors).unwrap_or_default());
    std::thread::sleep(Duration::from_secs(1));
    start(BAD);
    start(GOOD);
    for name in [GOOD, BEFORE] {
        exec(&[name, "/bin/true"]);
    }
    for _ in 0..SHORT {
        exec(&[GOOD, "/bin/true"]);
    }
    exec(&["--user", "root", BAD, "/bin/sh", "-c", "true --password=hunter2hunter2"]);
    exec(&["--privileged", BAD, "/bin/sh"]);
    exec(&[BAD, "/usr/sbin/sshd", "-D"]);
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
    let sheet = Haechi::new(&["alerts", "--since", "1h", "--format", "csv"]).data(data).run();
    assert!(sheet.stdout.starts_with("number,at,priority,rule,"), "{}", sheet.stdout);
    assert!(sheet.stdout.contains(BAD));
    let none = Haechi::new(&["actions", "--since", "1h"]).data(data).run().must_end_with(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("No such action"), "{none:?}");

    // A new life: what was seen in the one before is not held against it.
    docker(&["restart", "--time", "0", BAD]);
    std::thread::sleep(BEAT);
    let report = verify(data);
    let found = finding(&report, "container-no-privileged-exec", BAD);
    assert_eq!(found.status, Status::Pass, "{found:#?}");

    // The monitor is gone: after a minute silence proves nothing any more, what was seen stays.
    let _ = Command::new("kill").args(["-INT", &monitor.id().to_string()]).status();
    monitor.end();
}
