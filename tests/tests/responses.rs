//! What the monitor does about alerts, on the real kernel and the real engine: hold, pause, stop, kill, cut off, refuse;
//! and what is left when it is killed. Needs root and a kernel that takes BPF programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haechi_tests::{Daemon, Done, Haechi, Image, Layer, Monitor, debian_package, docker};
use serde_json::Value;

const TAG: &str = "haechi-test-responses/app:1";
/// Rounds of one attack.
const ROUNDS: usize = 20;

/// Only one monitor of a machine may respond.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Containers that are gone when the test ends.
struct Gone(&'static [&'static str]);

impl Drop for Gone {
    fn drop(&mut self) {
        for name in self.0 {
            let _ = Command::new("docker").args(["rm", "--force", name]).output();
        }
    }
}

/// An image with busybox, and a script named as an ssh server that leaves a trace as soon as it runs.
fn image() -> Image {
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut layer = Layer::new().mode("bin/busybox", 0o755, &busybox).mode(
        "usr/sbin/sshd",
        0o755,
        "#!/bin/sh\n: > /ran\nexec sleep 1000\n",
    );
    for applet in ["sh", "sleep", "apk", "rm", "nc", "ls", "cat", "true"] {
        layer = layer.link(&format!("bin/{applet}"), "busybox");
    }
    let mut image = Image::of([layer]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image
}

fn start(name: &str, more: &[&str]) {
    let first = ["run", "--detach", "--name", name];
    docker(&[&first[..], more, &[TAG]].concat());
}

fn status(name: &str) -> String {
    docker(&["inspect", "--format", "{{.State.Status}}", name])
}

fn wait(what: &str, seconds: u64, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(seconds), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Where a container's files are on the host.
fn files(name: &str) -> PathBuf {
    docker(&["inspect", "--format", "{{.GraphDriver.Data.MergedDir}}", name]).into()
}

fn monitor(policy: &str, more: &[&str]) -> Monitor {
    let arguments = [&["monitor", "--respond", "--format", "json"], more].concat();
    Monitor::begin(Haechi::new(&arguments).policy(policy))
}

/// Lines of JSON that are whole.
fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Last words about each action in a container.
fn actions(done: &Done, container: &str) -> Vec<Value> {
    let mut last: Vec<Value> = Vec::new();
    for line in lines(&done.stdout) {
        if line["schema"] == "haechi/action/v1" && line["container"]["name"] == container {
            last.retain(|known| known["at"] != line["at"]);
            last.push(line);
        }
    }
    last
}

fn pause(tag: &str) -> String {
    format!(
        "[monitor]\nactions_max = 1000\n[[monitor.responses]]\ntag = \"{tag}\"\ncontainer = \"haechi-test-responses-*\"\nresponse = \"pause\"\n"
    )
}

#[test]
fn an_ssh_server_never_runs_and_its_container_is_paused() {
    let _alone = alone();
    const NAME: &str = "haechi-test-responses-ssh";
    let _gone = Gone(&[NAME]);
    image().load();
    start(NAME, &["--network", "none"]);
    let files = files(NAME);
    let mut monitor = monitor(&pause("remote-access"), &[]);
    for round in 0..ROUNDS {
        let _ = fs::remove_file(files.join("ran"));
        docker(&["exec", "--detach", NAME, "/usr/sbin/sshd", "-D"]);
        wait("the pause", 20, || status(NAME) == "paused");
        assert!(!files.join("ran").exists(), "it ran in round {round}");
        // What people expect: all that is needed to let it run is this.
        docker(&["unpause", NAME]);
        wait("its going on", 20, || files.join("ran").exists());
    }
    let done = monitor.end();
    let pauses = actions(&done, NAME);
    assert_eq!(pauses.len(), ROUNDS, "{}", done.stdout);
    let mut stopped = Vec::new();
    let mut shown = Vec::new();
    for action in &pauses {
        assert_eq!(action["outcome"], "ended", "{action:#}");
        assert_eq!(action["speed"]["before_first_instruction"], true);
        let processes = action["evidence"]["processes"].as_array().unwrap();
        assert!(processes.iter().any(|one| one["command"].as_str().unwrap().contains("sshd")));
        assert!(processes.iter().all(|one| one["sha256"].as_str().unwrap().len() == 64));
        stopped.push(action["speed"]["stopped_us"].as_u64().unwrap());
        shown.push(action["speed"]["shown_us"].as_u64().unwrap());
    }
    stopped.sort_unstable();
    shown.sort_unstable();
    println!("frozen after {stopped:?} µs, shown as paused after {shown:?} µs");
    assert_eq!(kept(&monitor.dir().join("data"), "actions").len(), ROUNDS);
}

/// What a store has: `haechi alerts`, `haechi actions`.
fn kept(data: &Path, what: &str) -> Vec<Value> {
    let mut asked = Haechi::new(&[what, "--format", "json", "--limit", "0"]).data(data);
    lines(&asked.run().must_end_with(0).stdout)
}

#[test]
fn a_renamed_ssh_server_is_known_by_what_it_is() {
    let _alone = alone();
    const NAME: &str = "haechi-test-responses-renamed";
    let _gone = Gone(&[NAME]);
    let (_, dropbear) = debian_package("dropbear-bin");
    let mut layer = Layer::new();
    let mut libraries = BTreeMap::new();
    for package in ["libc6", "libtomcrypt1", "libtommath1", "libgmp10", "zlib1g", "libcrypt1"] {
        shared(&debian_package(package).1, &mut libraries);
    }
    for (name, path) in &libraries {
        let bytes = fs::read(path).unwrap();
        layer = layer.mode(&format!("lib/x86_64-linux-gnu/{name}"), 0o755, &bytes);
        if name.starts_with("ld-linux") {
            layer = layer.mode(&format!("lib64/{name}"), 0o755, &bytes);
        }
    }
    let server = fs::read(dropbear.join("usr/sbin/dropbear")).unwrap();
    layer = layer.mode("usr/bin/helper", 0o755, &server);
    let busybox = fs::read("/bin/busybox").unwrap();
    layer = layer.mode("bin/busybox", 0o755, &busybox).link("bin/sleep", "busybox");
    let mut image = Image::of([layer]);
    image.tag = "haechi-test-responses/renamed:1".into();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
    docker(&["run", "--detach", "--name", NAME, "--network", "none", &image.tag]);
    let mut monitor = monitor(&pause("remote-access"), &[]);
    docker(&["exec", "--detach", NAME, "/usr/bin/helper", "-F", "-R", "-p", "2222"]);
    wait("the pause", 20, || status(NAME) == "paused");
    docker(&["unpause", NAME]);
    let done = monitor.end();
    let [action] = &actions(&done, NAME)[..] else { panic!("{}", done.stdout) };
    println!("known and frozen after {} µs", action["speed"]["stopped_us"]);
    assert_eq!(action["speed"]["before_first_instruction"], false);
}

fn shared(folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            shared(&path, found);
        } else if path.file_name().unwrap().to_str().unwrap().contains(".so")
            && path.is_file()
            && !path.components().any(|part| part.as_os_str() == "gconv")
        {
            found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), path);
        }
    }
}

#[test]
fn each_response_does_what_it_says_and_protected_containers_are_left_alone() {
    let _alone = alone();
    const NAMES: [&str; 6] = [
        "haechi-test-responses-kill",
        "haechi-test-responses-stop",
        "haechi-test-responses-isolate",
        "haechi-test-responses-db",
        "haechi-test-responses-deny",
        "haechi-test-responses-dry",
    ];
    let _gone = Gone(&NAMES);
    let [kill, stop, isolate, db, deny, dry] = NAMES;
    image().load();
    for name in NAMES {
        start(name, &[]);
    }
    let line = |container: &str, response: &str| {
        format!(
            "[[monitor.responses]]\ntag = \"package-install\"\ncontainer = \"{container}\"\nresponse = \"{response}\"\n"
        )
    };
    let policy = format!(
        "[monitor]\nprotected = [\"*-db\"]\ndenied_programs = [\"nc\"]\n{}{}{}{}",
        line(kill, "kill"),
        line(stop, "stop"),
        line(isolate, "isolate"),
        line(db, "stop"),
    );
    let mut monitor = monitor(&policy, &[]);
    let exec = |name: &str, program: &str| {
        let mut command = Command::new("docker");
        command.args(["exec", name, program, "add", "x"]).output().unwrap()
    };
    assert_eq!(exec(kill, "/bin/apk").status.code(), Some(137), "killed");
    assert_eq!(status(kill), "running");
    let _ = exec(stop, "/bin/apk");
    wait("the stop", 30, || status(stop) == "exited");
    let reaches = |name: &str| {
        // The bridge's own end answers with a refusal at once, or nothing answers.
        let gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
        let gateway = docker(&["inspect", "--format", gateway, name]);
        let script = format!("busybox timeout 2 busybox telnet {gateway} 1; echo $?");
        let said = Command::new("docker").args(["exec", name, "/bin/sh", "-c", &script]).output();
        let said = said.unwrap();
        String::from_utf8_lossy(&said.stderr).contains("refused")
    };
    assert!(reaches(isolate) && reaches(kill));
    let _ = exec(isolate, "/bin/apk");
    wait("the cut", 20, || !reaches(isolate));
    assert!(reaches(kill), "others keep their network");
    let _ = exec(db, "/bin/apk");
    let refused = Command::new("docker").args(["exec", deny, "/bin/busybox", "true"]).output();
    assert!(refused.unwrap().status.success(), "others are not refused");
    let done = monitor.end();
    assert!(reaches(isolate), "the network is back when the monitor ends");
    let outcome =
        |name: &str| actions(&done, name).iter().map(|a| a["outcome"].clone()).collect::<Vec<_>>();
    assert_eq!(outcome(kill), ["done"]);
    assert_eq!(outcome(stop), ["done"]);
    assert_eq!(outcome(isolate), ["done"]);
    assert_eq!(outcome(db), [serde_json::json!({"withheld": "protected"})]);
    assert_eq!(status(db), "running");

    let dry_policy = format!("[monitor]\n{}", line(dry, "stop"));
    let mut monitor = self::monitor(&dry_policy, &["--dry-run"]);
    let _ = exec(dry, "/bin/apk");
    std::thread::sleep(Duration::from_secs(1));
    let done = monitor.end();
    assert_eq!(actions(&done, dry)[0]["outcome"], "dry_run");
    assert_eq!(status(dry), "running");
}

#[test]
fn a_second_monitor_does_not_respond() {
    let _alone = alone();
    let mut first = monitor("", &[]);
    let second = Haechi::new(&["monitor", "--respond", "--seconds", "1"]).run();
    assert_eq!(second.code, 2);
    assert!(second.stderr.contains(&first.id().to_string()), "{}", second.stderr);
    Haechi::new(&["monitor", "--seconds", "1"]).run();
    first.end();
}

#[test]
fn a_refused_program_never_starts() {
    let _alone = alone();
    const NAME: &str = "haechi-test-responses-refused";
    let _gone = Gone(&[NAME]);
    image().load();
    start(NAME, &["--network", "none"]);
    let mut monitor = monitor("[monitor]\ndenied_programs = [\"sshd\"]\n", &[]);
    let files = files(NAME);
    // The engine tells the name a moment after the beginning.
    std::thread::sleep(Duration::from_secs(2));
    let run = ["5", "docker", "exec", NAME, "/usr/sbin/sshd"];
    let refused = Command::new("timeout").args(run).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
    assert!(said.contains("not permitted"), "{said}");
    assert!(!files.join("ran").exists());
    std::thread::sleep(Duration::from_secs(1));
    let done = monitor.end();
    let refused = actions(&done, NAME);
    assert!(refused.iter().any(|action| action["response"] == "deny"), "{}", done.stdout);
    assert!(
        kept(&monitor.dir().join("data"), "alerts")
            .iter()
            .any(|alert| alert["container"]["name"] == NAME)
    );
    // Without the monitor nobody refuses it.
    docker(&["exec", "--detach", NAME, "/usr/sbin/sshd"]);
    wait("its start", 10, || files.join("ran").exists());
}

/// Whether a container's processes stand still without the engine's knowledge.
fn forgotten(daemon: &Daemon, name: &str) -> bool {
    let id = daemon.docker(&["inspect", "--format", "{{.Id}}", name]);
    let paused = daemon.docker(&["inspect", "--format", "{{.State.Paused}}", name]) == "true";
    let groups = ["/sys/fs/cgroup/unified/docker", "/sys/fs/cgroup/docker"];
    let group = groups.iter().map(|at| Path::new(at).join(&id)).find(|at| at.is_dir()).unwrap();
    let frozen = fs::read_to_string(group.join("cgroup.freeze")).unwrap().trim() == "1";
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    let stopped = processes.lines().any(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    });
    !paused && (frozen || stopped)
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_behind_and_forgets_nothing() {
    let _alone = alone();
    let mut daemon = Daemon::start("{}", &["--live-restore=true"]);
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("image.tar");
    fs::write(&archive, image().docker_archive()).unwrap();
    daemon.docker(&["load", "--input", archive.to_str().unwrap()]);
    let names: Vec<String> = (0..3).map(|n| format!("haechi-test-responses-k{n}")).collect();
    for name in &names {
        daemon.docker(&["run", "--detach", "--name", name, "--network", "none", TAG]);
    }
    let data = dir.path().join("data");
    let url = daemon.url();
    let haechi = || {
        Haechi::new(&["monitor", "--respond", "--format", "json", "--host", &url])
            .policy(&pause("remote-access"))
            .data(&data)
    };
    let mut shown: Vec<Value> = Vec::new();
    // As good as random, and the same each time: from before the first event to long after.
    let moments = (0..ROUNDS).map(|n| Duration::from_millis((n as u64 * 397) % 1500));
    for (round, moment) in moments.enumerate() {
        let monitor = Monitor::begin(haechi());
        for name in &names {
            let _ = Command::new("docker").args(["--host", &url, "unpause", name]).output();
            let attack = ["--host", &url, "exec", "--detach", name, "/usr/sbin/sshd"];
            let _ = Command::new("docker").args(attack).spawn().unwrap().wait();
        }
        if round % 4 == 3 {
            daemon.restart();
        }
        std::thread::sleep(moment);
        shown.extend(lines(&monitor.kill()));
    }
    let mut monitor = Monitor::begin(haechi());
    std::thread::sleep(Duration::from_secs(3));
    let done = monitor.end();
    shown.extend(lines(&done.stdout));
    for name in &names {
        assert!(!forgotten(&daemon, name), "{name} stands still and nobody says so");
        if daemon.docker(&["inspect", "--format", "{{.State.Paused}}", name]) == "true" {
            daemon.docker(&["unpause", name]);
        }
        // Nothing is held any more: this comes to its end.
        daemon.docker(&["exec", name, "/bin/busybox", "rm", "-f", "/ran"]);
        daemon.docker(&["exec", "--detach", name, "/usr/sbin/sshd"]);
        let ran = || {
            let seen = ["--host", &url, "exec", name, "/bin/busybox", "ls", "/ran"];
            Command::new("docker").args(seen).output().unwrap().status.success()
        };
        wait("a start without the monitor", 10, ran);
    }
    let kept = kept(&data, "alerts");
    let alerts: Vec<&Value> =
        shown.iter().filter(|line| line["schema"] == "haechi/alert/v1").collect();
    assert!(alerts.len() >= ROUNDS, "{} alerts", alerts.len());
    for alert in &alerts {
        let same = |other: &&Value| {
            other["at"] == alert["at"]
                && other["rule"] == alert["rule"]
                && other["event"] == alert["event"]
        };
        assert!(kept.iter().any(|other| same(&other)), "shown, not kept: {alert:#}");
    }
    println!("{} alerts shown, {} kept", alerts.len(), kept.len());
    for name in &names {
        daemon.docker(&["rm", "--force", name]);
    }
}
