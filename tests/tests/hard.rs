//! Hard cases for the monitor, on the real kernel and the real engine: a container that makes as many processes as it may,
//! and containers that live for a moment. Needs root and a kernel that takes BPF programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use haechi_core::{Cause, Status};
use haechi_tests::{Gone, Haechi, Image, Layer, Monitor, docker, finding, until};
use serde_json::Value;

/// Containers that live for a moment.
const SHORT: usize = 200;

/// A monitor that watches, and listens to the engine.
fn watching(haechi: Haechi) -> Monitor {
    let monitor = Monitor::begin(haechi);
    // It listens a moment later.
    std::thread::sleep(Duration::from_secs(1));
    monitor
}

fn image(tag: &str) {
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut layer = Layer::new().mode("bin/busybox", 0o755, &busybox).mode(
        "usr/sbin/sshd",
        0o755,
        "#!/bin/sh\n: > /ran\nexec sleep 1000\n",
    );
    for applet in ["sh", "sleep", "true"] {
        layer = layer.link(&format!("bin/{applet}"), "busybox");
    }
    let mut image = Image::of([layer]);
    image.tag = tag.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_fork_bomb_hides_no_other_container() {
    const TAG: &str = "haechi-test-hard/bomb:1";
    const BOMB: &str = "haechi-test-hard-bomb";
    const SERVER: &str = "haechi-test-hard-server";
    let _gone = Gone::of([BOMB, SERVER, TAG]);
    image(TAG);
    docker(&["run", "--detach", "--name", SERVER, "--network", "none", TAG]);
    let policy = format!(
        "[[monitor.responses]]\ntag = \"remote-access\"\ncontainer = \"{SERVER}\"\nresponse = \"pause\"\n"
    );
    let haechi = Haechi::new(&["monitor", "--respond", "--format", "json"]).policy(&policy);
    let data = haechi.dir().join("data");
    let mut monitor = watching(haechi);
    // What is ignored stays ignored over the exec: the kernel reaps the orphans, which as zombies would fill the limit and
    // end the bomb.
    let bomb = "trap '' CHLD; bomb() { /bin/true; bomb | bomb & }; bomb; exec /bin/sleep 100000";
    let limits = ["--pids-limit", "500", "--cpus", "1"];
    let run = ["run", "--detach", "--name", BOMB, "--network", "none"];
    docker(&[&run[..], &limits, &[TAG, "/bin/sh", "-c", bomb]].concat());
    let group = || {
        let top = Command::new("docker").args(["top", BOMB, "-eo", "pid"]).output().unwrap();
        String::from_utf8_lossy(&top.stdout).lines().count()
    };
    until("many processes at once", || group() > 100);

    docker(&["exec", "--detach", SERVER, "/usr/sbin/sshd", "-D"]);
    let status = || docker(&["inspect", "--format", "{{.State.Status}}", SERVER]);
    until("the pause of the other one", || status() == "paused");
    let report = Haechi::new(&["verify", "--no-images", "--format", "json"]).data(&data).report();
    let found = finding(&report, "container-no-ssh-server", SERVER);
    assert_eq!(found.status, Status::Fail, "{found:#?}");
    docker(&["kill", BOMB]);
    let done = monitor.end();
    // What was lost is told, and counts; nothing is lost in silence.
    let report = Haechi::new(&["verify", "--no-images", "--format", "json"]).data(&data).report();
    let lost = report.gaps.iter().any(|gap| gap.fact == "alerts" && gap.cause == Cause::EventsLost);
    let said = ["LOST", "counted and not shown", "could be looked at"]
        .iter()
        .any(|words| done.stderr.contains(words));
    assert_eq!(lost, said, "{} {:#?}", done.stderr, report.gaps);
    let of_server: Vec<Value> = lines(&done.stdout)
        .into_iter()
        .filter(|line| line["container"]["name"] == SERVER && line["schema"] == "haechi/action/v1")
        .collect();
    assert!(of_server.iter().any(|action| action["outcome"] == "done"), "{of_server:#?}");
    assert!(
        of_server.iter().all(|action| action["speed"]["before_first_instruction"] == true),
        "{of_server:#?}"
    );
    docker(&["unpause", SERVER]);
}

#[test]
fn each_container_that_lives_for_a_moment_is_known_by_its_name() {
    const TAG: &str = "haechi-test-hard/short:1";
    let names: Vec<String> = (0..SHORT).map(|n| format!("haechi-test-hard-short-{n}")).collect();
    let _gone = Gone::of(names.iter().cloned().chain([TAG.to_owned()]));
    image(TAG);
    let haechi =
        Haechi::new(&["monitor", "--rules", "own.yaml", "--only-rules", "--format", "json"]);
    fs::write(
        haechi.dir().join("own.yaml"),
        "- rule: started\n  desc: d\n  output: o\n  priority: NOTICE\n  condition: evt.type = execve and container.id != host and proc.args contains haechi-test-hard-argument\n",
    )
    .unwrap();
    let mut monitor = watching(haechi);
    for name in &names {
        // Gone as soon as it has ended: what it was called has to be learned while it lives.
        let run = ["run", "--rm", "--name", name, "--network", "none", TAG];
        docker(&[&run[..], &["/bin/true", "haechi-test-hard-argument"]].concat());
    }
    let done = monitor.end();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for alert in lines(&done.stdout) {
        let container = &alert["container"];
        assert_eq!(container["image"], TAG, "{alert:#}");
        *seen.entry(container["name"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let missing: Vec<&String> = names.iter().filter(|name| !seen.contains_key(*name)).collect();
    assert_eq!((missing.len(), seen.len()), (0, SHORT), "{missing:?} {}", done.stderr);
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    assert!(done.stderr.contains("no event lost"), "{}", done.stderr);
}
