//! What the monitor tells whom: events, lists of rules, a rehearsal of refusals, and critical alerts in a verification.
//! Needs root, a real engine, and a kernel that takes BPF programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use haechi_core::Status;
use haechi_tests::{Done, Gone, Haechi, Image, Layer, docker, expect, finding, seen, until};
use serde_json::Value;

/// A program that no other container has.
const TOOL: &str = "haechi-test-tool";
const RULE: &str = "- rule: Tool run
  desc: d
  output: tool (%proc.cmdline)
  priority: CRITICAL
  tags: [check:container-no-such-check]
  condition: evt.type = execve and proc.exepath endswith /haechi-test-tool and container.name startswith haechi-test-told
";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A container of this name, and of an image called like it.
fn start(name: &str) -> Gone {
    let tag = tag(name);
    let gone = Gone::of([name, &tag]);
    let busybox = fs::read("/bin/busybox").unwrap();
    let layer = Layer::new()
        .mode("bin/busybox", 0o755, &busybox)
        .mode(&format!("bin/{TOOL}"), 0o755, &busybox)
        .link("bin/sleep", "busybox");
    let mut image = Image::of([layer]);
    image.tag.clone_from(&tag);
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
    docker(&["run", "--detach", "--name", name, "--network", "none", &tag]);
    gone
}

fn tag(name: &str) -> String {
    format!("{name}:1")
}

/// Runs the program in a container; it says that it knows no such part of itself.
fn act(name: &str) {
    let _ = Command::new("docker").args(["exec", name, &format!("/bin/{TOOL}"), "x"]).output();
}

fn says(file: &Path, words: &str) {
    until(words, || fs::read_to_string(file).is_ok_and(|said| said.contains(words)));
}

/// Runs the monitor while the program runs in a container, until `words` are on stdout, and ends it as a service manager does.
fn watch(mut haechi: Haechi, words: &str, name: &str) -> Done {
    fs::create_dir_all(haechi.dir().join("rules/deep/er")).unwrap();
    fs::write(haechi.dir().join("rules/deep/er/own.yaml"), RULE).unwrap();
    let (errors, out) = (haechi.dir().join("stderr"), haechi.dir().join("stdout"));
    let monitor = haechi.begin();
    says(&errors, "Watching");
    act(name);
    says(&out, words);
    let id = monitor.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    monitor.end().must_end_with(1)
}

#[test]
fn events_say_when_where_and_what_and_a_critical_alert_fails_its_container() {
    const NAME: &str = "haechi-test-told-events";
    let _gone = start(NAME);
    let data = tempfile::tempdir().unwrap();
    let arguments = ["monitor", "--rules", "rules", "--events", "--format", "json"];
    let done = watch(Haechi::new(&arguments).data(data.path()), "\"rule\":\"Tool run\"", NAME);
    // In a folder within a folder, and of a check that does not exist.
    assert!(done.stderr.contains("deep/er/own.yaml:1"), "{}", done.stderr);
    assert!(done.stderr.contains("container-no-such-check"), "{}", done.stderr);
    let all = lines(&done.stdout);
    let is_tool = |line: &&Value| {
        line["type"] == "exec"
            && line["container"]["name"] == NAME
            && line["event"]["action"]["exec"]["path"] == format!("/bin/{TOOL}")
    };
    let event = all.iter().find(is_tool).unwrap_or_else(|| panic!("{}", done.stdout));
    assert_eq!(event["schema"], "haechi/event/v1");
    assert_eq!(event["container"]["image"], tag(NAME));
    let schema = Haechi::new(&["schema", "event"]).run().must_end_with(0).json();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for event in all.iter().filter(|line| line["schema"] == "haechi/event/v1") {
        assert!(schema.is_valid(event), "{event}");
    }

    let text = |arguments: &[&str]| {
        let done = Haechi::new(arguments).data(data.path()).run().must_end_with(0);
        (done.stdout, done.stderr)
    };
    let (found, _) = text(&["alerts", "--container", "haechi-test-t*", "--rule", "Tool ?un"]);
    assert!(found.contains("critical") && found.contains("Tool run: tool ("), "{found}");
    let (found, why) = text(&["alerts", "--container", "nobody-*"]);
    assert!(found.is_empty() && why.contains("none that fits"), "{why}");
    let (found, why) = text(&["actions"]);
    assert!(found.is_empty() && why.contains("at all"), "{why}");

    let arguments = ["verify", "--no-images", "--format", "json", "--benchmark", "haechi-runtime"];
    let report = Haechi::new(&arguments).data(data.path()).report();
    let found = finding(&report, "container-no-critical-alert", NAME);
    expect(found, Status::Fail);
    assert!(seen(found).contains("Tool run: tool ("), "{found:?}");
    // Where nobody asks for it, it is said.
    let arguments = ["verify", "--no-images", "--format", "json"];
    let done = Haechi::new(&arguments).data(data.path()).run();
    assert!(done.stderr.contains("Alerts on record, critical or worse"), "{}", done.stderr);
}

#[test]
fn events_are_lines_for_people_too_and_what_is_asked_for_is_not_blamed_on_the_kernel() {
    const NAME: &str = "haechi-test-told-lines";
    let _gone = start(NAME);
    let arguments = ["monitor", "--rules", "rules", "--events", "--without-bpf", "--lang", "ko"];
    let mut haechi = Haechi::new(&arguments);
    fs::create_dir(haechi.dir().join("rules")).unwrap();
    let (errors, out) = (haechi.dir().join("stderr"), haechi.dir().join("stdout"));
    let monitor = haechi.begin();
    says(&errors, "지켜보는 중");
    // It lives long enough to be looked at.
    docker(&["exec", "--detach", NAME, "/bin/busybox", "sleep", "300"]);
    says(&out, &format!("{NAME}  busybox["));
    let id = monitor.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let done = monitor.end();
    assert!(done.stdout.contains("execve"), "{}", done.stdout);
    assert!(done.stderr.contains("지정한 대로"), "{}", done.stderr);
    assert!(!done.stderr.contains("이 커널에서는 BPF"), "{}", done.stderr);
}

#[test]
fn refusals_are_rehearsed_in_a_dry_run() {
    const NAME: &str = "haechi-test-told-dry";
    let _gone = start(NAME);
    let policy = format!("[monitor]\ndenied_programs = [\"{TOOL}\"]\n");
    let arguments = ["monitor", "--rules", "rules", "--respond", "--dry-run"];
    let done = watch(Haechi::new(&arguments).policy(&policy), "dry run", NAME);
    let told = |line: &str| line.contains("would be refused") && line.contains(NAME);
    assert!(
        done.stdout.lines().any(|line| told(line) && line.contains("error")),
        "{}",
        done.stdout
    );
    assert!(done.stdout.lines().any(|line| told(line) && line.contains("deny")), "{}", done.stdout);
}

#[test]
fn rules_are_listed_with_their_places_and_what_they_lack() {
    let mut haechi = Haechi::new(&["monitor", "--list-rules", "--only-rules", "--rules", "r.yaml"]);
    let rules = format!(
        "{RULE}- rule: lacks\n  desc: d\n  output: o\n  priority: INFO\n  condition: proc.nothing = 1\n"
    );
    fs::write(haechi.dir().join("r.yaml"), &rules).unwrap();
    let done = haechi.run().must_end_with(0);
    for words in [
        "Tool run  (runs)",
        "r.yaml:1  check:container-no-such-check",
        "lacks  (does not run: no field",
    ] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    let arguments =
        ["monitor", "--list-rules", "--only-rules", "--rules", "r.yaml", "--format", "json"];
    let mut haechi = Haechi::new(&arguments);
    fs::write(haechi.dir().join("r.yaml"), &rules).unwrap();
    let listed = lines(&haechi.run().must_end_with(0).stdout);
    assert_eq!((&listed[0]["state"], &listed[0]["line"]), (&"runs".into(), &1.into()));
    assert_eq!(listed[0]["checks"], serde_json::json!(["container-no-such-check"]));
    assert_eq!(
        (&listed[1]["state"], &listed[1]["lacks"]),
        (&"left_out".into(), &"no field `proc.nothing`".into())
    );
    let mut haechi = Haechi::new(&[
        "monitor",
        "--list-rules",
        "--only-rules",
        "--rules",
        "r.yaml",
        "--lang",
        "ko",
    ]);
    fs::write(haechi.dir().join("r.yaml"), &rules).unwrap();
    let done = haechi.run().must_end_with(0);
    assert!(
        done.stdout.contains("필드 `proc.nothing`") && !done.stdout.contains("runs"),
        "{}",
        done.stdout
    );
    assert!(done.stderr.contains("점검이 없음"), "{}", done.stderr);
}
