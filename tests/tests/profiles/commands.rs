//! `haechi profile` on profiles made by hand: what it refuses, what it writes, in both languages. Needs no engine.

use std::fs;
use std::path::PathBuf;

use haechi_tests::{Done, Haechi};
use serde_json::{Value, json};
use tempfile::TempDir;

const ID: &str = "c0ffee0011223344c0ffee0011223344c0ffee0011223344c0ffee0011223344";
const IMAGE: &str = "sha256:aaaa0011223344c0ffee0011223344c0ffee0011223344c0ffee00112233445566";

fn entry(kind: &str, value: &str) -> Value {
    json!({
        "kind": kind, "value": value, "first_at": "2026-01-01T00:00:01Z", "container": ID,
        "origin": if kind == "written" { "changed" } else { "image" }, "program": "/usr/sbin/web",
    })
}

/// A web server that was watched for a hundred days.
fn profile() -> Value {
    let entries = [
        ("call", "read"),
        ("call", "socket"),
        ("argument", "socket 2"),
        ("call", "sendfile"),
        ("refused-call", "mount"),
        ("capability", "NET_BIND_SERVICE"),
        ("executed", "/usr/sbin/web"),
        ("read", "/etc/web/conf"),
        ("written", "/run/web.pid"),
        ("listening", "tcp 80"),
        ("peer", "tcp 10.0.0.1:5432"),
    ];
    json!({
        "schema": "haechi/profile/v1",
        "workload": {"image": IMAGE, "command": ["/usr/sbin/web", "--mode\u{1b}[31m"]},
        "image_name": "example/web:1",
        "runs": [{
            "container": ID, "name": "web", "since": "2026-01-01T00:00:00Z",
            "until": "2026-04-10T00:00:00Z", "phases": ["start", "run"], "gaps": [],
            "tasks_max": 4, "memory_max": 10_000_000,
        }],
        "entries": entries.map(|(kind, value)| entry(kind, value)),
    })
}

/// What its container is given.
fn snapshot() -> Value {
    let container = json!({
        "id": ID, "name": "web",
        "config": {"healthcheck": false},
        "host_config": {"readonly_rootfs": false, "pids_limit": 0, "memory": 0},
        "security": {"no_new_privileges": true, "seccomp": "default"},
        "effective": {"capabilities": ["CHOWN", "NET_BIND_SERVICE", "NET_RAW"]},
        "mounts": [],
    });
    json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "0", "taken_at": "2026-04-10T00:00:00Z",
        "took_ms": 1, "containers": [container],
    })
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.put("snapshot.json", &snapshot());
        place.put("profile.json", &profile());
        place
    }

    fn put(&self, name: &str, value: &Value) {
        fs::write(self.path(name), value.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `haechi profile COMMAND --file profile.json`.
    fn file(&self, words: &[&str]) -> Done {
        let file = self.path("profile.json").display().to_string();
        self.run(&[words, &["--file", &file]].concat())
    }

    fn run(&self, words: &[&str]) -> Done {
        Haechi::new(&[&["profile"], words].concat())
            .data(&self.path("."))
            .env("HAECHI_SNAPSHOT", self.path("snapshot.json"))
            .run()
    }

    /// What is kept, without a snapshot in the environment.
    fn kept(&self, words: &[&str]) -> Done {
        Haechi::new(&[&["profile"], words].concat()).data(&self.path(".")).run()
    }
}

#[test]
fn what_is_needed_as_files_and_options() {
    let place = Place::new();
    let done = place.file(&["seccomp"]).must_end_with(0);
    let filter = done.json();
    assert_eq!(filter["defaultAction"], "SCMP_ACT_ERRNO");
    let names = filter["syscalls"][0]["names"].as_array().unwrap();
    assert!(names.contains(&json!("sendfile")) && !names.contains(&json!("mount")));
    let socket =
        filter["syscalls"].as_array().unwrap().iter().find(|r| r["names"] == json!(["socket"]));
    assert_eq!(socket.unwrap()["args"][0]["valueTwo"], 2);
    assert!(
        done.stderr.contains("allowed today") && done.stderr.contains("needed"),
        "{}",
        done.stderr
    );

    let text = place.file(&["run"]).must_end_with(0).stdout;
    for part in [
        "# capabilities: CHOWN NET_BIND_SERVICE NET_RAW -> NET_BIND_SERVICE",
        "# read-only root: no -> yes",
        "--security-opt seccomp=web.seccomp.json",
        "--cap-drop ALL",
        "--cap-add NET_BIND_SERVICE",
        "--security-opt no-new-privileges",
        "--read-only",
        "--tmpfs /run",
        "--pids-limit 24",
        "--memory 48m",
        "  example/web:1\n",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let compose = place.file(&["run", "--format", "compose"]).must_end_with(0).stdout;
    let compose: Value = serde_norway::from_str(&compose).unwrap();
    assert_eq!(compose["services"]["web"]["read_only"], true);
    let pod = place.file(&["run", "--format", "kubernetes"]).must_end_with(0).stdout;
    let pod: Value = serde_norway::from_str(&pod).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"], false);
    let apparmor = place.file(&["apparmor"]).must_end_with(0).stdout;
    assert!(
        apparmor.contains("profile haechi-web ") && apparmor.contains("network inet,"),
        "{apparmor}"
    );

    let file = place.path("web.json");
    place.file(&["seccomp", "-o", &file.display().to_string()]).must_end_with(0);
    let written: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(written, filter);
}

#[test]
fn what_is_not_known_well_enough_is_refused_and_says_so() {
    let place = Place::new();
    let mut short = profile();
    short["runs"][0]["until"] = json!("2026-01-01T00:10:00Z");
    place.put("profile.json", &short);
    for command in ["seccomp", "run", "apparmor"] {
        let done = place.file(&[command]).must_end_with(2);
        assert_eq!(done.stdout, "", "{command}");
        assert!(
            done.stderr.contains("NOT SETTLED") && done.stderr.contains("--unsettled"),
            "{}",
            done.stderr
        );
        let file = place.path("refused");
        place.file(&[command, "-o", &file.display().to_string()]).must_end_with(2);
        assert!(!file.exists());
        let done = place.file(&[command, "--unsettled"]).must_end_with(0);
        let said = if command == "seccomp" { &done.stderr } else { &done.stdout };
        let first = said.lines().next().unwrap();
        assert!(first.contains("NOT SETTLED"), "{command}: {said}");
    }
    // Values that may be missing limit nothing but what the engine's own profile refuses today: sockets of virtual machines.
    let filter = place.file(&["seccomp", "--unsettled"]).json();
    let is_socket = |rule: &&Value| rule["names"].as_array().unwrap().contains(&json!("socket"));
    let rules: Vec<_> = filter["syscalls"].as_array().unwrap().iter().filter(is_socket).collect();
    assert_eq!(rules.len(), 1, "{filter}");
    assert_eq!(
        (&rules[0]["names"], &rules[0]["action"]),
        (&json!(["socket"]), &json!("SCMP_ACT_ALLOW"))
    );
    assert_eq!(
        rules[0]["args"],
        json!([{"index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_NE"}])
    );
    // What the kernel never told is left as it is, and does not stand in the way of the rest.
    let mut blind = profile();
    blind["runs"][0]["gaps"] = json!(["capabilities", "files"]);
    place.put("profile.json", &blind);
    let text = place.file(&["run"]).must_end_with(0).stdout;
    assert!(!text.contains("--cap-drop") && !text.contains("--read-only"), "{text}");
    assert!(text.contains("# capabilities: CHOWN NET_BIND_SERVICE NET_RAW -> not known"), "{text}");
}

#[test]
fn shown_for_people_in_both_languages_and_as_data() {
    let place = Place::new();
    let english = place.file(&["show"]).must_end_with(0).stdout;
    for part in [
        "web  example/web:1 (aaaa00112233)",
        "Settled",
        "tcp 80",
        "tcp 10.0.0.1:5432",
        "/run/  1",
        "/usr/sbin/web",
    ] {
        assert!(english.contains(part), "{part}:\n{english}");
    }
    assert!(!english.contains('\u{1b}'), "a command line cannot move a cursor");
    let korean = place.file(&["show", "--all", "--lang", "ko"]).must_end_with(0).stdout;
    assert!(korean.contains("안정됨") && korean.contains("/run/web.pid"), "{korean}");
    for line in korean.lines() {
        for key in ["show-", "kind-", "part-", "phase-", "setting-", "why-"] {
            assert!(!line.starts_with(key), "{line}");
        }
    }
    let data = place.file(&["show", "--format", "json"]).must_end_with(0).json();
    assert_eq!(data["schema"], "haechi/profile-view/v1");
    assert_eq!(data["settled"], true);
    assert_eq!(data["least"]["capabilities"]["needless"], json!(["CHOWN", "NET_RAW"]));
    assert_eq!(data["entries"]["listening"], json!(["tcp 80"]));
    assert_eq!(data["coverage"]["parts"]["calls"]["unsettled"], json!([]));
}

#[test]
fn learned_on_one_host_and_used_on_another() {
    let place = Place::new();
    let file = place.path("profile.json").display().to_string();
    assert!(place.kept(&["list"]).must_end_with(0).stderr.contains("monitor --profile"));
    place.kept(&["import", &file]).must_end_with(0);
    // Twice is once.
    place.kept(&["import", &file]).must_end_with(0);
    let list = place.kept(&["list", "--format", "json"]).must_end_with(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&list[0]["settled"], &list[0]["entries"]), (&json!(true), &json!(11)));
    let schema = Haechi::new(&["schema", "profile"]).run().must_end_with(0).json();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for target in ["web", "example/web:1", "c0ffee", "sha256:aaaa", "1"] {
        let exported = place.kept(&["export", target]).must_end_with(0).json();
        assert!(schema.is_valid(&exported), "{exported}");
        let sorted = |value: &Value| {
            let mut entries: Vec<String> =
                value["entries"].as_array().unwrap().iter().map(ToString::to_string).collect();
            entries.sort();
            (value["workload"].clone(), value["runs"].clone(), entries)
        };
        assert_eq!(sorted(&exported), sorted(&profile()), "{target}");
    }
    assert!(place.run(&["show", "web"]).must_end_with(0).stdout.contains("Settled"));
    assert!(
        place.kept(&["show", "nobody"]).must_end_with(2).stderr.contains("no profile of `nobody`")
    );

    let mut other = profile();
    other["workload"]["command"] = json!(["/usr/sbin/web", "\u{1b}[2J"]);
    place.put("other.json", &other);
    place.kept(&["import", &place.path("other.json").display().to_string()]).must_end_with(0);
    let done = place.kept(&["show", "web"]).must_end_with(2);
    assert!(
        done.stderr.contains("several")
            && done.stderr.contains("\n  1  ")
            && done.stderr.contains("\n  2  ")
    );
    assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
    place.run(&["show", "2"]).must_end_with(0);
}

#[test]
fn what_is_new_is_shown_and_no_part_of_what_is_made() {
    let place = Place::new();
    let mut later = profile();
    later["baseline_at"] = json!("2026-03-01T00:00:00Z");
    for (kind, value) in [("call", "bpf"), ("read", "/etc/web/other"), ("executed", "/x\u{1b}[2J")]
    {
        let mut new = entry(kind, value);
        new["first_at"] = json!("2026-04-01T00:00:00Z");
        later["entries"].as_array_mut().unwrap().push(new);
    }
    place.put("later.json", &later);
    let file = place.path("later.json").display().to_string();
    let shown = place.run(&["seccomp", "--file", &file]).must_end_with(0).stdout;
    assert!(shown.contains("\"sendfile\"") && !shown.contains("\"bpf\""), "{shown}");
    // What was new on another host is not known here, and nothing is settled that was not watched here.
    place.kept(&["import", &file]).must_end_with(0);
    let list = place.kept(&["list", "--format", "json"]).must_end_with(0).json();
    assert_eq!((&list[0]["entries"], &list[0]["news"]), (&json!(11), &Value::Null));
    for command in ["news", "learn"] {
        let done = place.kept(&[command, "web"]).must_end_with(0);
        assert!(
            done.stdout.is_empty() && done.stderr.contains("not settled yet"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn a_profile_is_forgotten_if_asked_twice_and_not_while_it_is_enforced() {
    let place = Place::new();
    let file = place.path("profile.json").display().to_string();
    place.kept(&["import", &file]).must_end_with(0);
    let asked = place.kept(&["forget", "web"]).must_end_with(2);
    assert!(
        asked.stderr.contains("--yes") && asked.stderr.contains("11 entries"),
        "{}",
        asked.stderr
    );
    // Needs root.
    place.kept(&["enforce", "web", "--mode", "deny", "--at-once"]).must_end_with(0);
    let of = |words: &[&str]| place.kept(words).must_end_with(0).json();
    let shown = of(&["show", "web", "--format", "json"])["enforcement"].clone();
    assert_eq!((&shown["mode"], &shown["monitor"]), (&json!("deny"), &Value::Null), "{shown}");
    assert_eq!(of(&["list", "--format", "json"])[0]["enforcement"], shown);
    for (lang, words) in [("en", "is enforced"), ("ko", "거부 모드로 적용 중")] {
        let refused = place.kept(&["forget", "web", "--yes", "--lang", lang]).must_end_with(2);
        assert!(refused.stderr.contains(words) && refused.stderr.contains("--mode off"));
    }
    place.kept(&["enforce", "web", "--mode", "off"]).must_end_with(0);
    place.kept(&["forget", "web", "--yes"]).must_end_with(0);
    place.kept(&["show", "web"]).must_end_with(2);
    let audit = Haechi::new(&["audit", "list"]).data(&place.path(".")).run().must_end_with(0);
    assert_eq!(audit.stdout.matches("ForgetProfile").count(), 2, "{}", audit.stdout);
    // A file brings it back as it was.
    place.kept(&["import", &file]).must_end_with(0);
    let list = of(&["list", "--format", "json"]);
    assert_eq!((&list[0]["settled"], &list[0]["news"]), (&json!(true), &Value::Null), "{list}");
}

#[test]
fn files_that_are_no_profiles_are_refused() {
    let place = Place::new();
    let mut future = profile();
    future["runs"][0]["until"] = json!("2999-01-01T00:00:00Z");
    let mut new = profile();
    new["entries"][0]["first_at"] = json!("2999-01-01T00:00:00Z");
    let mut foreign = profile();
    foreign["schema"] = json!("haechi/profile/v9");
    for wrong in [json!({}), json!([]), future, new, foreign] {
        place.put("profile.json", &wrong);
        let done = place.file(&["seccomp"]).must_end_with(2);
        assert!(done.stdout.is_empty() && done.stderr.contains("profile.json"), "{}", done.stderr);
        let file = place.path("profile.json").display().to_string();
        place.kept(&["import", &file]).must_end_with(2);
    }
    use std::os::unix::fs::PermissionsExt;
    place.put("profile.json", &profile());
    fs::set_permissions(place.path("profile.json"), fs::Permissions::from_mode(0o666)).unwrap();
    place.file(&["seccomp"]).must_end_with(2);
    assert_eq!(place.run(&["show"]).code, 2, "neither a name nor a file");
}
