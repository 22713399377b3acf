//! What was learned of a container is evidence, and names what mends it; it never makes anything better.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use haechi_checks::{Content, verify};
use haechi_core::facts::Snapshot;
use haechi_core::policy::Loaded;
use haechi_core::{Finding, Report, Status};
use serde_json::{Value, json};

fn report(snapshot: &Value) -> Report {
    let content = Content::embedded().unwrap();
    let benchmark = content.benchmark("cis-docker-1.13.0").unwrap().clone();
    let snapshot = Snapshot::parse(snapshot.to_string().as_bytes()).unwrap();
    verify(&content, &benchmark, &snapshot, &Loaded::defaults()).unwrap()
}

fn finding<'r>(report: &'r Report, check: &str) -> &'r Finding {
    let mut all = report.items.iter().flat_map(|item| &item.findings);
    all.find(|finding| finding.check == check).unwrap()
}

fn seen(finding: &Finding) -> String {
    finding.evidence.iter().map(|line| line.seen.clone()).collect::<Vec<_>>().join("\n")
}

fn snapshot(behaviour: Option<Value>, image: Option<Value>) -> Value {
    let mut container = json!({
        "id": "c1", "name": "web; rm -rf /", "image_id": "sha256:1",
        "state": {"running": true, "status": "running"},
        "host_config": {"privileged": false, "readonly_rootfs": false, "publish_all_ports": false, "security_opt": []},
        "host_namespaces": [],
        "security": {"seccomp": "unconfined"},
        "effective": {"capabilities": ["CHOWN", "KILL"], "source": "kernel"},
        "mounts": [
            {"kind": "bind", "source": "/etc", "host_path": "/etc", "host_paths": ["/etc"], "destination": "/m; x", "writable": true},
            {"kind": "bind", "source": "/home", "host_path": "/home", "host_paths": ["/home"], "destination": "/home", "writable": true},
        ],
        "ports": [{"container_port": 80, "protocol": "tcp", "host_address": "127.0.0.1", "host_port": 8080}],
        "listeners": [], "joined_listeners": [],
    });
    if let Some(behaviour) = behaviour {
        container["behaviour"] = behaviour;
    }
    let mut of_image = json!({
        "id": "sha256:1", "tags": ["web:1"], "exposed_ports": ["80/tcp"], "used_by": ["web"],
        "scan": {
            "packages": ["gcc", "libc6", "libxml2", "vim"],
            "layers": [{"created_by": "FROM debian"}, {"created_by": "RUN apt-get install --yes gcc vim libxml2"}],
        },
    });
    if let Some(image) = image {
        of_image["behaviour"] = image;
    }
    json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "1", "taken_at": "2026-01-01T00:00:00Z", "took_ms": 1,
        "engine": {"data_root": "/var/lib/docker"}, "containers": [container], "images": [of_image],
    })
}

fn known(state: &str) -> Value {
    let line = |part: &str| json!([format!("profile, {part}: {state}")]);
    json!({
        "calls": line("system calls"), "capabilities": line("capabilities"), "files": line("files"),
        "network": line("network"), "programs": line("programs"),
    })
}

fn learned(settled: &[&str], state: &str) -> Value {
    json!({
        "settled": settled, "known": known(state), "watched": "74 h 20 min",
        "capabilities": ["CHOWN"], "unused_capabilities": ["KILL"], "new_capabilities": [],
        "listening": [], "new_listening": ["4444/tcp"],
        "mounts": [
            {"destination": "/m; x", "used": if settled.is_empty() { "unknown" } else { "no" }, "read": 0, "written": 0, "files": []},
            {"destination": "/home", "used": "yes", "read": 2, "written": 0, "files": ["/home/a"]},
        ],
        "tmpfs": ["/run", "/tmp:exec"], "kept_folders": [], "root_obstacles": [],
        "calls_used": 60, "calls_allowed": 370, "calls_needed": 80,
    })
}

fn packages(settled: bool) -> Value {
    let package = |name: &str, state: &str, layer: i64| {
        let file = if state == "executed" { format!("/usr/bin/{name}") } else { String::new() };
        json!({"kind": "deb", "name": name, "version": "1", "state": state, "new": false, "file": file, "layer": layer})
    };
    let idle = if settled { "present" } else { "unknown" };
    json!({
        "settled": settled, "known": ["profiles, packages: …"],
        "packages": [
            package("gcc", "executed", 1), package("libc6", idle, 0), package("libxml2", idle, 1),
            package("vim", idle, 1),
        ],
    })
}

const SIX: [&str; 6] = [
    "image-no-unneeded-packages",
    "container-capabilities",
    "container-no-sensitive-mounts",
    "container-only-needed-ports",
    "container-read-only-rootfs",
    "container-seccomp",
];

#[test]
fn what_was_learned_names_what_mends_it() {
    let all = ["calls", "capabilities", "files", "network", "programs"];
    let report = report(&snapshot(Some(learned(&all, "settled")), Some(packages(true))));
    for (check, evidence, fix) in [
        (SIX[0], "gcc: executed (/usr/bin/gcc)", "leave out of the image: libxml2 vim"),
        (SIX[0], "vim: never used", ""),
        (
            SIX[0],
            "never used, of layer 1 (RUN apt-get install --yes gcc vim libxml2): libxml2 vim",
            "",
        ),
        (
            SIX[0],
            "packages: 1 executed, 0 loaded, 3 never used (1 of them of the base), 0 not known",
            "",
        ),
        (SIX[1], "held and never used: KILL", "--cap-drop ALL --cap-add CHOWN"),
        (
            SIX[2],
            "use of /m; x: no file in 74 h 20 min",
            "no file used in 74 h 20 min: remove the mount '/m; x'; only read in 74 h 20 min: mount /home read-only",
        ),
        (SIX[2], "use of /home: 2 files read, 0 written (/home/a)", ""),
        (
            SIX[3],
            "80/tcp on host port 8080, exposed by the image, nothing listens, it never listened there in 74 h 20 min",
            "it never listened there in 74 h 20 min: do not publish 80/tcp",
        ),
        (SIX[3], "listened on before, not now: 4444/tcp", ""),
        (
            SIX[4],
            "writes outside of mounts: /run, /tmp:exec",
            "--read-only --tmpfs /run --tmpfs /tmp:exec",
        ),
        (
            SIX[5],
            "system calls: 60 seen, 370 allowed today, 80 by haechi profile seccomp",
            "haechi profile seccomp 'web; rm -rf /' --output 'web; rm -rf /.seccomp.json'",
        ),
    ] {
        let found = finding(&report, check);
        assert_eq!(found.status, Status::Fail, "{found:#?}");
        assert!(seen(found).lines().any(|line| line == evidence), "{evidence}: {found:#?}");
        assert!(fix.is_empty() || found.fix.as_deref() == Some(fix), "{fix}: {found:#?}");
        assert!(found.evidence[0].source.contains("haechi monitor --profile"), "{found:#?}");
    }
}

#[test]
fn a_package_that_was_used_lately_is_needless_and_is_not_called_never_used() {
    let all = ["calls", "capabilities", "files", "network", "programs"];
    let mut packages = packages(true);
    packages["packages"][3]["new"] = json!(true);
    let report = report(&snapshot(Some(learned(&all, "settled")), Some(packages)));
    let found = finding(&report, SIX[0]);
    assert_eq!(found.status, Status::Fail, "{found:#?}");
    for line in [
        "packages: 1 executed, 0 loaded, 2 never used (1 of them of the base), 0 not known",
        "used only since its profile was settled: vim",
        "never used, of layer 1 (RUN apt-get install --yes gcc vim libxml2): libxml2",
    ] {
        assert!(seen(found).lines().any(|one| one == line), "{line}: {found:#?}");
    }
    assert_eq!(found.fix.as_deref(), Some("leave out of the image: libxml2 vim"));
}

#[test]
fn a_profile_makes_nothing_better_and_an_unsettled_one_nothing_worse() {
    let before = report(&snapshot(None, None));
    let unsettled = report(&snapshot(Some(learned(&[], "not known yet")), Some(packages(false))));
    let all = ["calls", "capabilities", "files", "network", "programs"];
    let after = report(&snapshot(Some(learned(&all, "settled")), Some(packages(true))));
    let rank = |status| match status {
        Status::Fail => 2,
        Status::Unverified => 1,
        _ => 0,
    };
    for check in SIX {
        let status = |report| finding(report, check).status;
        assert_eq!(status(&before), status(&unsettled), "{check}");
        assert!(rank(status(&after)) >= rank(status(&before)), "{check}");
        let found = finding(&unsettled, check);
        assert!(check == SIX[0] || seen(found).contains("not known yet"), "{found:#?}");
        // Only what the deny list, or nobody's profile, says.
        assert!(found.fix.is_none() || check == SIX[2], "{found:#?}");
    }
    let of = |report| finding(report, "container-capabilities").status;
    assert_eq!((of(&before), of(&after)), (Status::Pass, Status::Fail));
}
