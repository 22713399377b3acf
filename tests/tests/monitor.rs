//! The monitor on the real kernel and the real engine. Needs root and a kernel that takes BPF programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::fs;
use std::process::Command;

use haechi_tests::{Haechi, Image, Layer, docker};
use serde_json::Value;

const TAG: &str = "haechi-test-monitor/app:1";
const BEFORE: &str = "haechi-test-monitor-before";
const NAME: &str = "haechi-test-monitor";

/// Containers and images that are gone when the test ends.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        for name in [BEFORE, NAME] {
            let _ = Command::new("docker").args(["rm", "--force", name]).output();
        }
        let _ = Command::new("docker").args(["rmi", "--force", TAG]).output();
    }
}

fn alerts(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The alert of a rule in a container.
fn alert<'a>(alerts: &'a [Value], rule: &str, container: &str) -> &'a Value {
    let of_rule = |alert: &&Value| alert["rule"] == rule && alert["container"]["name"] == container;
    alerts.iter().find(of_rule).unwrap_or_else(|| panic!("no `{rule}` of {container}: {alerts:#?}"))
}

#[test]
fn what_containers_do_is_seen_and_judged() {
    let _gone = Gone;
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut image = Image::of([Layer::new()
        .mode("bin/busybox", 0o755, &busybox)
        .mode("usr/sbin/sshd", 0o755, &busybox)
        .link("bin/sleep", "busybox")
        .link("bin/sh", "busybox")
        .link("bin/apk", "busybox")
        .file("etc/shadow", "root:x:1::::::\n")]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
    docker(&["run", "--detach", "--name", BEFORE, "--network", "none", TAG]);

    let mut haechi = Haechi::new(&["monitor", "--format", "json"]);
    let errors = haechi.dir().join("stderr");
    let monitor = haechi.begin();
    let begun = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        fs::read_to_string(&errors).is_ok_and(|said| said.contains("Watching"))
    });
    assert!(begun, "{}", fs::read_to_string(&errors).unwrap_or_default());

    // One that was there before; the program fails, because busybox has no such part, and was started all the same.
    let _ = Command::new("docker").args(["exec", BEFORE, "/usr/sbin/sshd", "-D"]).output();
    docker(&["exec", BEFORE, "/bin/busybox", "cat", "/etc/../etc/shadow"]);
    // One that lives for a moment.
    let script = "cp /bin/busybox /bin/tool; chmod 4755 /bin/tool; /bin/tool true; apk add x; true";
    docker(&["run", "--name", NAME, "--network", "none", TAG, "/bin/sh", "-c", script]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let asked = interrupt(monitor.id());
    assert!(asked, "the monitor ended early");
    let done = monitor.end().must_end_with(1);
    let alerts = alerts(&done.stdout);
    let ssh = alert(&alerts, "SSH server started in a container", BEFORE);
    assert_eq!(ssh["program"], "/usr/sbin/sshd");
    assert_eq!(ssh["checks"], serde_json::json!(["container-no-ssh-server"]));
    assert_eq!(ssh["container"]["image"], TAG);
    let shadow = alert(&alerts, "Password hashes read", BEFORE);
    assert_eq!(shadow["event"]["action"]["open"]["path"], "/etc/shadow");
    let apk = alert(&alerts, "Package manager run in a container", NAME);
    assert_eq!(apk["command"], "apk add x");
    assert_eq!(apk["container"]["id"].as_str().map(str::len), Some(64));
    alert(&alerts, "System program changed", NAME);
    alert(&alerts, "Set-uid program made", NAME);
    let drift = alert(&alerts, "Program started that is not from the image", NAME);
    assert_eq!(drift["program"], "/bin/tool");
    assert!(done.stderr.contains("no event lost"), "{}", done.stderr);
}

/// Asks a process to end as from the keyboard.
fn interrupt(id: u32) -> bool {
    Command::new("kill").args(["-INT", &id.to_string()]).status().is_ok_and(|done| done.success())
}

#[test]
fn rules_are_listed_and_a_wrong_file_is_refused_with_its_line() {
    let listed = Haechi::new(&["monitor", "--list-rules"]).run().must_end_with(0);
    assert!(
        listed.stdout.contains("SSH server started in a container  (runs)"),
        "{}",
        listed.stdout
    );
    let mut haechi = Haechi::new(&["monitor", "--rules", "wrong.yaml"]);
    fs::write(
        haechi.dir().join("wrong.yaml"),
        "- list: a\n  items: [b]\n- rule: c\n  desc: d\n  condition: evt.type = = execve\n  output: e\n  priority: ERROR\n",
    )
    .unwrap();
    let done = haechi.run().must_end_with(2);
    assert!(done.stderr.contains("wrong.yaml:3"), "{}", done.stderr);
}

#[test]
fn rules_are_read_again_when_their_file_changes_and_a_wrong_one_changes_nothing() {
    const NAME: &str = "haechi-test-monitor-rules";
    const TAG: &str = "haechi-test-monitor/rules:1";
    struct Gone;
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = Command::new("docker").args(["rm", "--force", NAME]).output();
        }
    }
    let _gone = Gone;
    let busybox = fs::read("/bin/busybox").unwrap();
    let layer = Layer::new().mode("bin/busybox", 0o755, &busybox).link("bin/sleep", "busybox");
    let mut image = Image::of([layer]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
    docker(&["run", "--detach", "--name", NAME, "--network", "none", TAG]);
    let rule = |name: &str| {
        format!(
            "- rule: {name}\n  desc: d\n  output: o\n  priority: ERROR\n  condition: evt.type = execve and container.name = {NAME} and proc.args contains uname\n"
        )
    };
    let mut haechi =
        Haechi::new(&["monitor", "--rules", "own.yaml", "--only-rules", "--format", "json"]);
    let file = haechi.dir().join("own.yaml");
    fs::write(&file, rule("first")).unwrap();
    let (errors, out) = (haechi.dir().join("stderr"), haechi.dir().join("stdout"));
    let monitor = haechi.begin();
    let soon = |path: &std::path::Path, words: &str| {
        let said = (0..300).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            fs::read_to_string(path).is_ok_and(|said| said.contains(words))
        });
        assert!(said, "{words}: {}", fs::read_to_string(path).unwrap());
    };
    let act = || docker(&["exec", NAME, "/bin/busybox", "uname"]);
    soon(&errors, "Watching");
    act();
    soon(&out, "\"rule\":\"first\"");
    fs::write(&file, rule("second")).unwrap();
    soon(&errors, "again");
    act();
    soon(&out, "\"rule\":\"second\"");
    fs::write(&file, rule("third").replace("evt.type = execve", "evt.type = = execve")).unwrap();
    soon(&errors, "own.yaml:1");
    soon(&errors, "stay in force");
    act();
    assert!(interrupt(monitor.id()));
    let done = monitor.end().must_end_with(1);
    let rules: Vec<_> = alerts(&done.stdout).iter().map(|alert| alert["rule"].clone()).collect();
    assert_eq!(rules, ["first", "second", "second"]);
    assert!(done.stderr.contains("no event lost"), "{}", done.stderr);
}

#[test]
fn without_bpf_started_programs_are_seen_and_the_rest_is_named() {
    const NAME: &str = "haechi-test-monitor-plain";
    const TAG: &str = "haechi-test-monitor/plain:1";
    struct Gone;
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = Command::new("docker").args(["rm", "--force", NAME]).output();
        }
    }
    let _gone = Gone;
    let busybox = fs::read("/bin/busybox").unwrap();
    let layer = Layer::new()
        .mode("bin/busybox", 0o755, &busybox)
        .mode("usr/sbin/sshd", 0o755, "#!/bin/sh\n/bin/sleep 100\ntrue\n")
        .link("bin/sh", "busybox")
        .link("bin/sleep", "busybox");
    let mut image = Image::of([layer]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
    docker(&["run", "--detach", "--name", NAME, "--network", "none", TAG]);
    let mut haechi = Haechi::new(&["monitor", "--format", "json", "--without-bpf"]);
    let errors = haechi.dir().join("stderr");
    let out = haechi.dir().join("stdout");
    let monitor = haechi.begin();
    let soon = |is: &dyn Fn() -> bool| {
        (0..300).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            is()
        })
    };
    assert!(soon(&|| fs::read_to_string(&errors).is_ok_and(|said| said.contains("Watching"))));
    docker(&["exec", "--detach", NAME, "/bin/sh", "/usr/sbin/sshd", "-p", "2222"]);
    docker(&["exec", "--detach", NAME, "/usr/sbin/sshd"]);
    docker(&["exec", "--detach", NAME, "/bin/busybox", "nc", "-l", "-p", "22"]);
    let told = |rule: &str| fs::read_to_string(&out).is_ok_and(|said| said.contains(rule));
    assert!(soon(&|| told("SSH server started") && told("listens on the SSH port")));
    assert!(interrupt(monitor.id()));
    let done = monitor.end().must_end_with(1);
    assert!(done.stderr.contains("files, connections, system calls"), "{}", done.stderr);
    // What cannot be seen counts as lost: nobody takes this for a clean bill.
    assert!(done.stderr.contains("LOST"), "{}", done.stderr);
    let alerts = alerts(&done.stdout);
    assert_eq!(
        alert(&alerts, "SSH server started in a container", NAME)["program"],
        "/bin/busybox"
    );
}
