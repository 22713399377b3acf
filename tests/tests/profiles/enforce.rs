//! A settled profile is enforced: first in a dry run that refuses nothing and tells, then really; what it has goes on.
//! Needs root and an engine.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use haechi_tests::{Gone, Haechi, Image, Layer, Monitor, docker, until};
use serde_json::Value;

use crate::{POLICY, profile, workload_with};

const TAG: &str = "haechi-test-enforce/job:1";
const NAME: &str = "haechi-test-enforce";
const OTHER: &str = "haechi-test-enforce-other";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// The same work again and again: a script, a program of the image, and one that needs a loader.
const SCRIPT: &str = "#!/bin/sh
while :; do /bin/work true; /bin/linked; /bin/sleep 1; done
";

/// A program of this machine with its loader and libraries, as an image has them.
fn linked(layer: Layer) -> Layer {
    let program = "/bin/true";
    let told = Command::new("ldd").arg(program).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
    let paths: BTreeSet<&str> = paths.chain([LOADER]).collect();
    let layer = layer.mode("bin/linked", 0o755, fs::read(program).unwrap());
    paths.into_iter().fold(layer, |layer, path| {
        layer.mode(path.trim_start_matches('/'), 0o755, fs::read(path).unwrap())
    })
}

fn load(busybox: &[u8]) {
    let layer = Layer::new()
        .mode("bin/busybox", 0o755, busybox)
        .link("bin/sh", "busybox")
        .link("bin/sleep", "busybox")
        .mode("bin/work", 0o755, busybox)
        .mode("job", 0o755, SCRIPT)
        .dir("opt", 0o755);
    let mut image = Image::of([linked(layer)]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/job"]});
    image.load();
}

fn enforce(data: &Path, words: &[&str]) -> Haechi {
    profile(data, &[&["enforce", NAME], words].concat())
}

/// What the command says of it, as data.
fn state(data: &Path) -> Value {
    enforce(data, &["--format", "json"]).run().must_end_with(0).json()
}

fn is_settled(data: &Path) -> bool {
    workload_with(data, TAG).is_some_and(|row| row["news"].is_u64())
}

/// Whether a program in a container ran: copies of busybox under names of our own only say that they did.
fn starts(name: &str, words: &[&str]) -> bool {
    let mut exec = Command::new("timeout");
    exec.args(["120", "docker", "exec", name]).args(words);
    let done = exec.output().unwrap();
    done.status.success() || String::from_utf8_lossy(&done.stderr).contains("applet not found")
}

fn alerts(monitor: &Monitor, way: &str) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    monitor
        .alerts()
        .iter()
        .filter(|alert| alert["rule"] == "Not in the enforced profile" && alert["tags"][1] == way)
        .map(|alert| (word(&alert["program"]), word(&alert["tags"][2])))
        .collect()
}

#[test]
fn what_a_profile_does_not_have_is_told_in_a_dry_run_and_then_refused() {
    let _gone = Gone::of([NAME, OTHER, TAG]);
    let busybox = fs::read("/bin/busybox").unwrap();
    load(&busybox);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        let mut content = busybox.clone();
        content.extend_from_slice(name.as_bytes());
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let run = |name: &str| docker(&["run", "--detach", "--network", "none", "--name", name, TAG]);
    let data = tempfile::tempdir().unwrap();
    let words = [
        "monitor",
        "--profile",
        "--respond",
        "--rules",
        "none.yaml",
        "--only-rules",
        "--format",
        "json",
    ];
    let haechi = Haechi::new(&words).data(data.path()).policy(POLICY);
    fs::write(haechi.dir().join("none.yaml"), "[]\n").unwrap();
    let monitor = Monitor::begin(haechi);
    run(NAME);
    until("it is known", || {
        let list = profile(data.path(), &["list"]).run().must_end_with(0);
        list.stdout.contains(TAG)
    });
    let early = enforce(data.path(), &["--mode", "dry-run"]).run();
    if early.code == 2 {
        assert!(state(data.path())["in_force"].is_null(), "{}", early.stderr);
    }
    // What people do in it belongs to what it does.
    assert!(starts(NAME, &["/bin/work", "true"]));
    until("it is settled", || is_settled(data.path()));

    let refused = enforce(data.path(), &["--mode", "deny"]).run().must_end_with(2);
    assert!(refused.stderr.contains("dry run first"), "{}", refused.stderr);
    let begun = enforce(data.path(), &["--mode", "dry-run"]).run().must_end_with(0);
    assert!(begun.stdout.contains("A monitor does it for 1 containers"), "{}", begun.stdout);
    docker(&["cp", &file("added"), &format!("{NAME}:/opt/added")]);
    assert!(starts(NAME, &["/opt/added", "true"]), "a dry run refuses nothing");
    until("it is told", || !alerts(&monitor, "dry-run").is_empty());
    let found = state(data.path())["found"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!((&found[0]["value"], &found[0]["known"]), (&"/opt/added".into(), &false.into()));
    let refused = enforce(data.path(), &["--mode", "deny"]).run().must_end_with(2);
    assert!(refused.stderr.contains("/opt/added"), "{}", refused.stderr);

    let denied = enforce(data.path(), &["--mode", "deny", "--at-once"]).run().must_end_with(0);
    println!("{}", denied.stdout);
    until("it is refused", || state(data.path())["monitor"]["mode"] == "deny");
    assert!(!starts(NAME, &["/opt/added", "true"]));
    docker(&["cp", &file("work"), &format!("{NAME}:/bin/work")]);
    assert!(!starts(NAME, &["/bin/work", "true"]), "overwritten in place");
    assert!(!starts(
        NAME,
        &["/bin/sh", "-c", "/bin/busybox cp /bin/linked /opt/copy && /opt/copy"]
    ));
    assert!(!starts(NAME, &[LOADER, "/bin/linked"]), "the loader by itself");
    // Another container of the workload is held from its first program on; its own work goes on.
    run(OTHER);
    for _ in 0..20 {
        assert!(starts(OTHER, &["/bin/work", "true"]));
        assert!(starts(OTHER, &["/bin/linked"]));
    }
    docker(&["cp", &file("added"), &format!("{OTHER}:/opt/added")]);
    assert!(!starts(OTHER, &["/opt/added", "true"]));
    let running = docker(&["inspect", "--format", "{{.State.Running}}", OTHER]);
    assert_eq!(running.trim(), "true");
    let wanted = ["/opt/added", "/bin/work", "/opt/copy", LOADER];
    until("each is told", || {
        let told = alerts(&monitor, "deny");
        wanted.iter().all(|path| told.iter().any(|(told, _)| told.ends_with(path)))
    });
    let told = alerts(&monitor, "deny");
    let twice = told.iter().filter(|(path, _)| path == "/opt/added").count();
    assert_eq!(twice, 1, "once for the workload: {told:?}");
    assert!(told.contains(&("/bin/work".into(), "replaced".into())), "{told:?}");

    enforce(data.path(), &["--mode", "off"]).run().must_end_with(0);
    until("all is let through", || starts(NAME, &["/opt/added", "true"]));
    assert!(starts(NAME, &["/bin/work", "true"]));
    enforce(data.path(), &["--mode", "deny", "--at-once"]).run().must_end_with(0);
    until("it is refused again", || !starts(NAME, &["/opt/added", "true"]));
    monitor.kill();
    until("nobody refuses it", || starts(NAME, &["/opt/added", "true"]));
    let log = Haechi::new(&["audit", "list"]).data(data.path()).run().must_end_with(0);
    assert!(log.stdout.contains("EnforceProfile"), "{}", log.stdout);
}
