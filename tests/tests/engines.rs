//! Engines that are not there, refuse, hang, lie, stand elsewhere, or change while they are looked at. The
//! rest of the verification goes on, and what could not be decided says why.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use haechi_core::{Cause, Finding, Report, Status, SubjectKind};
use haechi_tests::{Answer, Haechi, Proxy, docker, findings, id_in, lab, seen};
use serde_json::json;

const JSON: [&str; 4] = ["verify", "--format", "json", "--no-store"];
/// Where some answers never come: the others do, within this time.
const SOME: [&str; 2] = ["--timeout", "10"];

/// Checks about the host that need nothing of the host's own: they are decided wherever the engine is.
const OF_THE_ENGINE: [&str; 3] =
    ["host-container-count", "host-verified-recently", "host-containers-metered"];

fn verify_at(url: &str, further: &[&str]) -> Haechi {
    Haechi::new(&[&JSON, further].concat()).env("DOCKER_HOST", url)
}

fn all(report: &Report<String>) -> impl Iterator<Item = &Finding<String>> {
    report.items.iter().flat_map(|item| &item.findings)
}

fn of_engine(kind: SubjectKind) -> bool {
    !matches!(kind, SubjectKind::Host | SubjectKind::File)
}

/// Nothing of the engine is decided, all for this cause; the host's own items are.
fn only_the_host_is_decided(report: &Report<String>, cause: Cause) {
    assert_eq!(report.items.len(), 104);
    for finding in all(report) {
        let decided = matches!(finding.status, Status::Pass | Status::Fail);
        if of_engine(finding.subject.kind) && finding.check != "engine-config-consistent" {
            assert!(!decided, "{}", seen(finding));
        }
    }
    let containers = findings(report, "container-not-privileged");
    assert!(!containers.is_empty());
    for finding in containers {
        assert_eq!(
            (finding.status, finding.cause),
            (Status::Unverified, Some(cause)),
            "{}",
            seen(finding)
        );
    }
    let host = findings(report, "host-aslr");
    assert!(
        host.iter().all(|f| matches!(f.status, Status::Pass | Status::Fail)),
        "the host is decided"
    );
}

#[test]
fn there_is_no_engine() {
    let done = verify_at("unix:///nonexistent/engine.sock", &[]).run().must_end_with(2);
    assert!(done.stderr.contains("/nonexistent/engine.sock"), "{}", done.stderr);
    only_the_host_is_decided(&done.report(), Cause::Unreachable);
}

#[test]
fn the_engine_is_stopped_and_its_socket_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let done = verify_at(&format!("unix://{}", path.display()), &[]).run().must_end_with(2);
    only_the_host_is_decided(&done.report(), Cause::Unreachable);
}

#[test]
fn this_user_may_not_talk_to_the_engine() {
    let done = Haechi::as_nobody(&JSON).run().must_end_with(2);
    assert!(done.stderr.to_lowercase().contains("permission"), "{}", done.stderr);
    let report = done.report();
    assert_eq!(report.items.len(), 104);
    for finding in findings(&report, "container-not-privileged") {
        assert_eq!(finding.cause, Some(Cause::Permission), "{}", seen(finding));
    }
    // What anybody may read is decided all the same.
    let aslr = findings(&report, "host-aslr");
    assert!(aslr.iter().all(|f| f.status == Status::Pass || f.status == Status::Fail));
}

#[test]
fn one_answer_never_comes() {
    let silent = docker(&["inspect", "--format", "{{.Id}}", "haechi-lab-exemplary"]);
    let proxy = Proxy::unix(move |path| match id_in(path) {
        Some(id) if id == silent => Answer::Hang,
        _ => Answer::Forward,
    });
    let report = verify_at(&proxy.url, &SOME).report();
    let privileged = findings(&report, "container-not-privileged");
    assert!(privileged.len() > 20);
    for finding in privileged {
        if finding.subject.name == "haechi-lab-exemplary" {
            assert_eq!(finding.cause, Some(Cause::TimedOut), "{}", seen(finding));
        } else {
            assert!(matches!(finding.status, Status::Pass | Status::Fail), "{}", seen(finding));
        }
    }
}

#[test]
fn the_list_of_containers_never_comes() {
    let proxy = Proxy::unix(|path| match path {
        "/containers/json" => Answer::Hang,
        _ => Answer::Forward,
    });
    let report = verify_at(&proxy.url, &SOME).report();
    for finding in findings(&report, "container-not-privileged") {
        assert_eq!(finding.cause, Some(Cause::TimedOut), "{}", seen(finding));
    }
    assert!(findings(&report, "image-user").len() >= 10, "images are decided all the same");
}

#[test]
fn nothing_ever_comes() {
    let proxy = Proxy::unix(|_| Answer::Hang);
    let done = verify_at(&proxy.url, &["--timeout", "1"]).run().must_end_with(2);
    for finding in findings(&done.report(), "container-not-privileged") {
        assert_eq!(finding.cause, Some(Cause::TimedOut), "{}", seen(finding));
    }
}

/// No item about the host may be decided: the engine's host is another one.
fn no_host_is_decided(report: &Report<String>) {
    let mut hosts = 0;
    for finding in all(report) {
        if of_engine(finding.subject.kind) || OF_THE_ENGINE.contains(&finding.check.as_str()) {
            continue;
        }
        hosts += 1;
        let undecided = matches!(finding.status, Status::Unverified | Status::NotApplicable);
        assert!(undecided, "{}", seen(finding));
        if finding.status == Status::Unverified {
            let room = matches!(finding.cause, Some(Cause::NeedsDatabase | Cause::NeedsMonitor));
            assert!(
                room || finding.cause == Some(Cause::Unreachable),
                "{:?} {}",
                finding.cause,
                seen(finding)
            );
        }
    }
    assert!(hosts > 20, "{hosts} findings are about the host");
}

#[test]
fn the_engine_is_on_another_host() {
    let proxy = Proxy::tcp(|path| match path {
        "/info" => Answer::Edit(|info| {
            info["Name"] = json!("elsewhere");
            info["KernelVersion"] = json!("4.19.0-elsewhere");
        }),
        _ => Answer::Forward,
    });
    let report = verify_at(&proxy.url, &[]).report();
    no_host_is_decided(&report);
    // What the engine itself says is decided, what only its host could show is not.
    assert_eq!(
        haechi_tests::finding(&report, "container-not-privileged", "haechi-lab-privileged").status,
        Status::Fail
    );
    let ssh = haechi_tests::finding(&report, "container-no-ssh-server", "haechi-lab-hidden-ssh");
    assert_eq!(
        (ssh.status, ssh.cause),
        (Status::Unverified, Some(Cause::Unreachable)),
        "{}",
        seen(ssh)
    );
    assert_eq!(report.host.name, "elsewhere");
}

#[test]
fn a_forwarded_socket_is_not_an_engine_of_this_host() {
    let proxy = Proxy::unix(|_| Answer::Forward);
    let report = verify_at(&proxy.url, &[]).report();
    no_host_is_decided(&report);
}

#[test]
fn containers_vanish_between_list_and_look() {
    let gone = docker(&["inspect", "--format", "{{.Id}}", "haechi-lab-careless"]);
    let proxy = Proxy::unix(move |path| match id_in(path) {
        Some(id) if id == gone => {
            Answer::Say(404, json!({"message": "No such container"}).to_string())
        }
        _ => Answer::Forward,
    });
    let done = verify_at(&proxy.url, &[]).run();
    assert!([0, 1].contains(&done.code), "{}: {}", done.code, done.stderr);
    let report = done.report();
    let names: BTreeSet<&str> = findings(&report, "container-not-privileged")
        .iter()
        .map(|f| f.subject.name.as_str())
        .collect();
    assert!(!names.contains("haechi-lab-careless"), "what is gone is not judged");
    assert!(names.contains("haechi-lab-exemplary"));
}

#[test]
fn containers_come_and_go() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let churn = std::thread::spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            let run = [
                "run",
                "--rm",
                "--label",
                "haechi.lab=1",
                "--network",
                "none",
                "haechi-lab-tools:1",
                "true",
            ];
            docker(&run);
        }
    });
    let reports: Vec<_> = (0..6).map(|_| verify_at("", &[]).report()).collect();
    STOP.store(true, Ordering::Relaxed);
    churn.join().unwrap();
    for report in reports {
        assert_eq!(report.items.len(), 104);
        for finding in findings(&report, "container-not-privileged") {
            assert_ne!(finding.status, Status::Unverified, "{}", seen(finding));
        }
        // Others are not harmed by what is gone.
        for expected in lab().expectations.iter().filter(|e| e.check == "container-memory-limit") {
            assert_eq!(expected.broken(&report), None);
        }
    }
}

#[test]
fn the_engine_talks_nonsense() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let nonsense = [
        "<html>hello</html>".to_owned(),
        "null".into(),
        "[1, 2".into(),
        "{\"Id\": 7}".into(),
        deep,
    ];
    for text in nonsense {
        let inspected = text.clone();
        let proxy = Proxy::unix(move |path| match path {
            "/info" | "/networks" => Answer::Say(200, text.clone()),
            path if id_in(path).is_some() => Answer::Say(200, inspected.clone()),
            _ => Answer::Forward,
        });
        let done = verify_at(&proxy.url, &[]).run();
        assert!([1, 2].contains(&done.code), "{}: {}", done.code, done.stderr);
        for finding in findings(&done.report(), "container-not-privileged") {
            assert_eq!(finding.status, Status::Unverified, "{}", seen(finding));
        }
    }
}

#[test]
fn the_engine_fails() {
    let proxy = Proxy::unix(|path| match path {
        "/images/json" => Answer::Say(500, json!({"message": "disk on fire"}).to_string()),
        _ => Answer::Forward,
    });
    let report = verify_at(&proxy.url, &[]).report();
    for finding in findings(&report, "image-user") {
        assert_eq!(finding.status, Status::Unverified, "{}", seen(finding));
        let reason = finding.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("disk on fire"), "{reason}");
    }
}

/// Seen from a container with the host mounted, the host is what is below `--root`, and no link leaves it.
#[test]
fn the_host_is_below_another_folder() {
    use std::fs::{create_dir_all, write};
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("host");
    create_dir_all(root.join("etc")).unwrap();
    create_dir_all(root.join("proc/sys/kernel")).unwrap();
    create_dir_all(root.join("real")).unwrap();
    write(root.join("proc/sys/kernel/randomize_va_space"), "0\n").unwrap();
    write(root.join("proc/sys/kernel/hostname"), "fake\n").unwrap();
    write(root.join("etc/hostname"), "fake\n").unwrap();
    write(root.join("etc/os-release"), "PRETTY_NAME=\"Fake Linux 1\"\nID=fake\n").unwrap();
    // A link as on a real host: absolute, and meant below the root.
    write(root.join("real/passwd"), "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n")
        .unwrap();
    std::os::unix::fs::symlink("/real/passwd", root.join("etc/passwd")).unwrap();
    let root = root.display().to_string();
    let report = verify_at("unix:///nonexistent/engine.sock", &["--root", &root])
        .run()
        .must_end_with(2)
        .report();
    // A folder that is called proc but is not the kernel's is not believed.
    assert_eq!(haechi_tests::only(&report, "host-aslr").status, Status::Unverified);
    let accounts = haechi_tests::only(&report, "host-single-root-account");
    assert_eq!(accounts.status, Status::Fail, "{}", seen(accounts));
    assert!(seen(accounts).contains("toor"), "{}", seen(accounts));
    assert!(report.host.os.contains("Fake Linux"), "{:?}", report.host);
}
