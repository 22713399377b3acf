//! Fragments say what was found, whole, and whatever a profile names stays a name in them.

use std::process::Command;

use haechi_core::profile::{Entry, Kind, Profile};
use serde_json::{Value, json};

use super::{Format, Names, write};
use crate::coverage::{Coverage, Rule};
use crate::least::Least;
use crate::testing::{entry, profile};
use crate::today::Today;

fn web() -> Profile {
    let mut profile = profile(&[
        (Kind::Call, "read"),
        (Kind::Capability, "NET_BIND_SERVICE"),
        (Kind::Capability, "CHOWN"),
    ]);
    let written = |path: &str| Entry { origin: "changed".into(), ..entry(Kind::Written, path, 0) };
    profile.entries.extend([written("/run/a.pid"), written("/var/cache/it's a \"name\"/x")]);
    profile
}

fn fragment(profile: &Profile, format: Format, remarks: &[String]) -> String {
    let rule = Rule { quiet_min: 3600, has_health_check: false };
    let least = Least::of(profile, &Coverage::of(profile, &rule), &Today::default());
    write(&least, &Names::of(profile, "Web_1"), format, remarks)
}

/// The words of a command as a shell takes them.
fn words(command: &str) -> Vec<String> {
    let script = format!("docker() {{ printf '%s\\0' \"$@\"; }}\n{command}");
    let done = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{command}: {done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    said.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

fn read(yaml: &str) -> Value {
    serde_norway::from_str(yaml).unwrap()
}

#[test]
fn a_command_line_has_every_setting() {
    let text = fragment(&web(), Format::Docker, &["one\ntwo".into()]);
    assert!(text.starts_with("# one\n# two\ndocker run \\\n"), "{text}");
    assert_eq!(
        words(&text),
        [
            "run",
            "--security-opt",
            "seccomp=web-1.seccomp.json",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "CHOWN",
            "--cap-add",
            "NET_BIND_SERVICE",
            "--read-only",
            "--tmpfs",
            "/run",
            "--tmpfs",
            "/var/cache/it's a \"name\"",
            "--pids-limit",
            "24",
            "--memory",
            "64m",
            "example/a:1",
        ]
    );
}

#[test]
fn services_and_pods_say_the_same() {
    let compose = read(&fragment(&web(), Format::Compose, &["why".into()]));
    assert_eq!(
        compose,
        json!({"services": {"web-1": {
            "image": "example/a:1", "security_opt": ["seccomp=./web-1.seccomp.json"],
            "cap_drop": ["ALL"], "cap_add": ["CHOWN", "NET_BIND_SERVICE"], "read_only": true,
            "tmpfs": ["/run", "/var/cache/it's a \"name\""], "pids_limit": 24, "mem_limit": "64m",
        }}})
    );
    let pod = read(&fragment(&web(), Format::Kubernetes, &[]));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({
            "seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/web-1.seccomp.json"},
            "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]},
            "readOnlyRootFilesystem": true,
        })
    );
    assert_eq!(container["volumeMounts"][1]["mountPath"], "/var/cache/it's a \"name\"");
    assert_eq!(
        pod["spec"]["volumes"][1],
        json!({"name": "memory-1", "emptyDir": {"medium": "Memory"}})
    );
    assert_eq!(container["resources"]["limits"]["memory"], "64Mi");
}

#[test]
fn a_low_port_needs_a_capability_where_the_engine_does_not_give_it() {
    let text = |port: &str, format| {
        let profile = profile(&[(Kind::Call, "read"), (Kind::Listening, port)]);
        fragment(&profile, format, &[]).contains("NET_BIND_SERVICE")
    };
    assert!(text("tcp 80", Format::Kubernetes) && !text("tcp 8080", Format::Kubernetes));
    assert!(!text("tcp 80", Format::Docker) && !text("tcp 80 x", Format::Kubernetes));
}

#[test]
fn what_is_not_known_is_not_taken_away() {
    let mut profile = web();
    profile.runs[0].gaps =
        [haechi_core::profile::Gap::Capabilities, haechi_core::profile::Gap::Files].into();
    profile.runs[0].tasks_max = 0;
    profile.runs[0].memory_max = 0;
    for format in [Format::Docker, Format::Compose, Format::Kubernetes] {
        let text = fragment(&profile, format, &[]);
        for word in ["cap", "drop", "read", "tmpfs", "emptyDir", "pids", "mem", "privilege"] {
            assert!(!text.to_lowercase().contains(word), "{word}: {text}");
        }
        assert!(text.contains("seccomp"));
    }
}

#[test]
fn hostile_names_are_no_options_and_no_commands() {
    let odd =
        ["$(touch x)", "a'b\"; rm -rf /", "a\nb", "--privileged", "`x`", "웹", "a: b # c", ""];
    for image in odd {
        let mut profile = web();
        profile.image_name = image.into();
        let image = profile.workload.image.clone();
        assert_eq!(words(&fragment(&profile, Format::Docker, &[])).last(), Some(&image));
        let compose = read(&fragment(&profile, Format::Compose, &[]));
        assert_eq!(compose["services"]["web-1"]["image"], image);
        let pod = read(&fragment(&profile, Format::Kubernetes, &[]));
        assert_eq!(pod["spec"]["containers"][0]["image"], image);
        profile.workload.image = "-x".into();
        assert!(fragment(&profile, Format::Docker, &[]).ends_with("  IMAGE\n"));
    }
    for (name, slug) in [("", "container"), ("웹", "container"), ("../../x", "x"), ("A b", "a-b")]
    {
        assert_eq!(super::slug(name), slug);
    }
    assert_eq!(super::quote("it's $x"), "'it'\\''s $x'");
}
