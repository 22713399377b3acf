//! What pages show of containers and images: as it was verified, as it is now, and never better than that.

mod gone;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action, Event, Process};
use haechi_core::inventory::{Package, PackageKind, Scan, ScanSubject};
use haechi_core::policy::Loaded;
use haechi_core::profile::{Entry, Kind};
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, ImageReport, Safety, Verdict};
use haechi_core::vulnerability::{Assessment, FixState, Rating, Vulnerability};
use haechi_core::{Policy, Snapshot};
use haechi_examine::risk::{self, Known, Seen};
use haechi_protocol::{ListImages, Overview, Role, Search, ShowImage};
use serde_json::{Value, json};

use super::*;
use crate::overview::overview;
use crate::search;
use crate::testing::{self, CIS};

const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\n웹";

async fn desk(root: &Path) -> Arc<Desk> {
    // Nothing listens there: the engine does not answer.
    let nobody = format!("unix://{}/none.sock", root.display());
    testing::desk(root, |setup| setup.endpoint = Some(nobody)).await
}

fn caller() -> Caller {
    testing::caller(Role::Viewer)
}

fn id(n: usize) -> String {
    format!("{n:064x}")
}

fn image_id(n: usize) -> String {
    format!("sha256:{n:064x}")
}

/// Container 0 is privileged and open, 1 has a hostile name, the others are plain; every third does not run.
fn snapshot(containers: usize) -> Snapshot {
    let container = |n: usize| {
        json!({
            "id": id(n),
            "name": if n == 1 { HOSTILE.to_owned() } else { format!("web-{n}") },
            "image_ref": "app:1",
            "image_id": image_id(n % 2),
            "state": {"status": if n % 3 == 2 { "exited" } else { "running" }, "running": n % 3 != 2},
            "host_config": {"privileged": n == 0, "network_mode": "app", "memory": 0},
            "effective": {"capabilities": [], "uid": 0, "runs_as_root": true},
            "host_namespaces": [], "mounts": [],
            "ports": if n == 0 { json!([{"host_address": "0.0.0.0", "host_port": 80}]) } else { json!([]) },
            "networks": [], "alerts": [],
        })
    };
    let all: Vec<Value> = (0..containers).map(container).collect();
    let image = |n: usize| json!({"id": image_id(n), "tags": [format!("app:{n}")], "size": 5});
    serde_json::from_value(json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "0", "took_ms": 1,
        "taken_at": Timestamp::now().to_string(),
        "host": {"hostname": "web-1"}, "engine": {"name": "web-1"},
        "containers": all, "images": [image(0), image(1)], "networks": [], "gaps": [],
    }))
    .unwrap()
}

fn flaw(id: &str, package: &str, rating: Rating, fixed: &str) -> Vulnerability {
    Vulnerability {
        id: id.into(),
        aliases: vec![],
        advisories: vec![],
        package: String::new(),
        kind: PackageKind::Deb,
        name: package.into(),
        installed: "1".into(),
        path: String::new(),
        layer: None,
        state: FixState::Fixed,
        fixed: fixed.into(),
        command: String::new(),
        rating,
        rated_by: String::new(),
        scores: vec![],
        exploited: None,
        epss: None,
        title: String::new(),
        description: String::new(),
        urls: vec![],
        cwes: vec![],
        published: String::new(),
        source: String::new(),
        rank: 0.0,
    }
}

fn image_report(n: usize) -> ImageReport {
    let package = |name: &str| Package {
        files: vec![format!("usr/bin/{name}")],
        ..Package::new(PackageKind::Deb, name, "1", "var/lib/dpkg/status")
    };
    let vulnerabilities = vec![
        flaw("CVE-2024-1000", "openssl", Rating::High, "2"),
        flaw("CVE-2024-1001", "openssl", Rating::Low, "2"),
        flaw("CVE-2024-2000", "vim", Rating::Critical, ""),
    ];
    ImageReport {
        schema: IMAGE_REPORT_SCHEMA.into(),
        haechi_version: "0".into(),
        taken_at: Timestamp::now().to_string(),
        scan: Scan {
            subject: ScanSubject { id: image_id(n), ..ScanSubject::default() },
            packages: vec![package("openssl"), package("vim")],
            ..Scan::default()
        },
        assessment: Assessment { vulnerabilities, ..Assessment::default() },
        verdict: Verdict { safety: Safety::Unsafe, reasons: vec![], more: 0 },
        containers: vec![],
        seen: Default::default(),
    }
}

/// Verifies and keeps, as `haechi work verify` does.
async fn verify(desk: &Desk, containers: usize) {
    let (store, content) = (&desk.setup.store, &desk.setup.content);
    let snapshot = snapshot(containers);
    let benchmark = content.benchmark(CIS).unwrap();
    let report = haechi_checks::verify(content, benchmark, &snapshot, &Loaded::defaults()).unwrap();
    let kept = store.record(&report, true).await.unwrap();
    let images = [image_report(0)];
    let program = Entry {
        kind: Kind::Executed,
        value: "/bin/openssl".into(),
        first_at: Timestamp::now(),
        container: id(0),
        origin: String::new(),
        program: String::new(),
    };
    let seen = HashMap::from([(id(0), Seen { entries: vec![program], is_settled: false })]);
    let inventory = risk::inventory(&Known {
        snapshot: &snapshot,
        reports: &[&report],
        policy: &Policy::default(),
        images: &images,
        earlier: &[],
        seen: &seen,
    });
    store.keep_inventory(kept, &inventory.unwrap(), &images).await.unwrap();
}

/// A container that runs on this made-up host.
fn runs(root: &Path, id: &str, pids: &[u32]) {
    let group = root.join(format!("sys/fs/cgroup/system.slice/docker-{id}.scope"));
    fs::create_dir_all(group.join("inner")).unwrap();
    fs::write(root.join("sys/fs/cgroup/cgroup.controllers"), "memory pids\n").unwrap();
    let (first, rest) = pids.split_first().unwrap();
    fs::write(group.join("cgroup.procs"), format!("{first}\n")).unwrap();
    let inner: String = rest.iter().map(|pid| format!("{pid}\n")).collect();
    fs::write(group.join("inner/cgroup.procs"), inner).unwrap();
    for (file, text) in [
        ("cgroup.events", "populated 1\nfrozen 0\n"),
        ("memory.current", "4096\n"),
        ("memory.max", "max\n"),
        ("cpu.stat", "usage_usec 1000\nuser_usec 1\n"),
        ("cpu.max", "50000 100000\n"),
        ("pids.current", "2\n"),
        ("pids.max", "100\n"),
    ] {
        fs::write(group.join(file), text).unwrap();
    }
    for pid in pids {
        let proc = root.join(format!("proc/{pid}"));
        fs::create_dir_all(proc.join("fd")).unwrap();
        fs::create_dir_all(proc.join("net")).unwrap();
        fs::write(proc.join("stat"), format!("{pid} (sh) S 1 1 1 0 -1 0 0 0\n")).unwrap();
        fs::write(proc.join("status"), "Name:\tsh\nUid:\t0\t0\t0\t0\n").unwrap();
        fs::write(proc.join("cmdline"), "mysql\0--password=hunter2-secret\0").unwrap();
        std::os::unix::fs::symlink("socket:[42]", proc.join("fd/3")).unwrap();
        let head = "  sl  local_address rem_address st\n";
        let tcp = format!(
            "{head} 0: 0100007F:1F90 0200007F:0016 01 0:0 00:0 0 0 0 42 1\n \
                    1: 00000000:0050 00000000:0000 0A 0:0 00:0 0 0 0 43 1\n"
        );
        fs::write(proc.join("net/tcp"), tcp).unwrap();
        fs::write(proc.join("net/udp"), head).unwrap();
    }
}

fn question(limit: u32) -> ListContainers {
    ListContainers { limit, ..ListContainers::default() }
}

fn alert(container: &str) -> Alert {
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: Timestamp::now(),
        rule: "Reverse shell".into(),
        priority: Priority::Critical,
        text: "said".into(),
        tags: vec![],
        checks: vec![],
        container: AlertContainer {
            id: container.into(),
            name: "gone-1".into(),
            ..AlertContainer::default()
        },
        program: "sh".into(),
        command: "sh".into(),
        ancestors: vec![],
        event: Event {
            at: 1,
            cgroup: 1,
            process: Process::default(),
            call: "procexit".into(),
            result: 0,
            action: Action::Exit(0),
        },
    }
}

#[tokio::test]
async fn before_the_first_verification_what_runs_is_shown_as_not_verified() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    let all = list(&desk, &caller(), &question(10)).await.unwrap();
    assert!(all.rows.is_empty() && all.next.is_none());
    assert_eq!(all.total, None, "that there are none is not known");
    runs(root.path(), &id(7), &[70]);
    let all = list(&desk, &caller(), &question(10)).await.unwrap();
    assert_eq!(all.rows.len(), 1);
    assert!(!all.rows[0].verified && all.rows[0].counts.total() == 0);
    assert_eq!(top_risks(&desk, 10).await.unwrap(), []);
    let page = show(&desk, &caller(), &ShowContainer { id: id(7) }).await.unwrap();
    assert!(!page.container.verified && page.risks.is_empty());
    for gone in [id(8), "web-1".into(), String::new(), "../../etc".into()] {
        let shown = show(&desk, &caller(), &ShowContainer { id: gone }).await;
        assert_eq!(shown.unwrap_err(), Refusal::Missing);
    }
}

#[tokio::test]
async fn containers_come_by_rank_and_newcomers_before_them() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    verify(&desk, 25).await;
    runs(root.path(), &id(0), &[100, 101]);
    runs(root.path(), &id(999), &[200]);
    desk.setup.store.add_alerts(&[alert(&id(3)), alert(&id(3))]).await.unwrap();
    let picture = async || overview(&desk, &caller(), &Overview::default()).await.unwrap();
    assert!(picture().await.ranked);
    let mut question = question(10);
    let first = list(&desk, &caller(), &question).await.unwrap();
    assert_eq!((first.rows.len(), first.total), (11, Some(26)));
    assert_eq!((first.rows[0].id.as_str(), first.rows[0].verified), (id(999).as_str(), false));
    assert_eq!(first.rows[1].id, id(0), "privileged and open comes first");
    let report = haechi_checks::verify(
        &desk.setup.content,
        desk.setup.content.benchmark(CIS).unwrap(),
        &Snapshot { taken_at: "2099-01-01T00:00:00Z".into(), ..snapshot(25) },
        &Loaded::defaults(),
    );
    desk.setup.store.record(&report.unwrap(), true).await.unwrap();
    let later = picture().await;
    assert!(!later.ranked && !later.risks.is_empty(), "ranks are of the verification before");
    let mut seen: Vec<ContainerRow> = first.rows[1..].to_vec();
    question.after = first.next;
    while question.after.is_some() {
        let page = list(&desk, &caller(), &question).await.unwrap();
        question.after = page.next;
        seen.extend(page.rows);
    }
    let ids: BTreeSet<&str> = seen.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(
        (seen.len(), ids.len()),
        (25, 25),
        "each once, and newcomers on the first page only"
    );
    assert!(seen.iter().is_sorted_by(|a, b| a.rank >= b.rank));
    let alerts = |n: usize| seen.iter().find(|row| row.id == id(n)).unwrap().alerts;
    assert_eq!((alerts(3), alerts(4)), (2, 0));
    let of = async |text: &str, running| {
        let question = ListContainers { text: Some(text.into()), running, limit: 500, after: None };
        list(&desk, &caller(), &question).await.unwrap().rows.len()
    };
    assert_eq!(of("<SCRIPT>", None).await, 1);
    assert_eq!(of("web-1", Some(false)).await, 3, "11, 14 and 17 do not run");
    assert_eq!(of("  ", Some(false)).await, 8);
}

#[tokio::test]
async fn a_rank_is_explained_by_the_first_risk_and_the_moment_is_shown() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    verify(&desk, 4).await;
    runs(root.path(), &id(0), &[100, 101]);
    desk.setup.store.add_alerts(&[alert(&id(0))]).await.unwrap();
    for n in 0..4 {
        let page = show(&desk, &caller(), &ShowContainer { id: id(n) }).await.unwrap();
        assert_eq!(page.risks[0].rank, page.container.rank, "{n}");
        assert!(page.risks.iter().is_sorted_by(|a, b| a.rank >= b.rank));
        assert!(!page.findings.is_empty() && page.container.verified);
    }
    let page = show(&desk, &caller(), &ShowContainer { id: id(0) }).await.unwrap();
    let flaws = page.risks.iter().find(|risk| risk.title.en.contains("CVE-2024-1000")).unwrap();
    assert_eq!((flaws.mends, &*flaws.title.ko), (2, "app:1의 openssl: CVE-2024-1000 외 1건"));
    assert!(flaws.factors.iter().any(|f| f.factor == "executed" && f.times > 1.0));
    let processes = page.processes.unwrap();
    assert_eq!(processes.iter().map(|one| one.pid).collect::<Vec<_>>(), [100, 101]);
    assert!(processes.iter().all(|one| !one.command.contains("hunter2")), "{processes:?}");
    assert_eq!(page.connections.len(), 1, "of another container's socket nothing is told");
    assert_eq!(page.connections[0].local, "127.0.0.1:8080");
    assert_eq!(page.connections[0].remote, "127.0.0.2:22");
    let used = page.resources.unwrap();
    assert_eq!((used.memory, used.memory_max), (Some(4096), None));
    assert_eq!((used.cpu_max, used.cpu, used.pids_max), (Some(0.5), Some(0.0), Some(100)));
    assert_eq!(page.alerts.len(), 1);
    assert_eq!(page.image.unwrap().image.name, "app:0");
    // One that has no control group does not run.
    let page = show(&desk, &caller(), &ShowContainer { id: id(1) }).await.unwrap();
    assert_eq!((page.processes, page.resources), (None, None));
    // Its command line cannot be hidden by being unreadable.
    fs::remove_file(root.path().join("proc/101/status")).unwrap();
    fs::create_dir(root.path().join("proc/101/status")).unwrap();
    let page = show(&desk, &caller(), &ShowContainer { id: id(0) }).await.unwrap();
    assert!(page.unseen.iter().any(|what| what.contains("101")), "{:?}", page.unseen);
}

#[tokio::test]
async fn images_are_told_with_report_containers_and_what_was_in_use() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    let question = ListImages { limit: 10, ..ListImages::default() };
    let none = images::list(&desk, &caller(), &question).await.unwrap();
    assert_eq!((none.rows.len(), none.total), (0, None), "that there are none is not known");
    verify(&desk, 6).await;
    let other = ListImages { text: Some("no such image".into()), ..question.clone() };
    let none = images::list(&desk, &caller(), &other).await.unwrap();
    assert_eq!((none.rows.len(), none.total), (0, Some(0)), "that none fits is known");
    let all = images::list(&desk, &caller(), &question).await.unwrap();
    assert_eq!((all.rows.len(), all.total, all.next), (2, Some(2), None));
    let page = images::show(&desk, &caller(), &ShowImage { id: image_id(0) }).await.unwrap();
    assert_eq!(page.used, ["openssl 1"]);
    assert_eq!(page.containers.len(), 3);
    let report = page.report.unwrap();
    assert_eq!(report["assessment"]["vulnerabilities"].as_array().unwrap().len(), 3);
    // One that was not scanned has no count that could be taken for none.
    let page = images::show(&desk, &caller(), &ShowImage { id: image_id(1) }).await.unwrap();
    assert_eq!((page.report, page.image.image.ratings), (None, None));
    let missing = images::show(&desk, &caller(), &ShowImage { id: "x".into() }).await;
    assert_eq!(missing.unwrap_err(), Refusal::Missing);
}

#[tokio::test]
async fn things_are_found_by_their_names_the_best_first() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    verify(&desk, 25).await;
    desk.setup.store.add_alerts(&[alert(&id(3))]).await.unwrap();
    let find = async |text: &str| {
        search::search(&desk, &caller(), &Search { text: text.into() })
            .await
            .map(|found| found.rows)
    };
    let found = find("web-2").await.unwrap();
    assert_eq!((found[0].kind.as_str(), found[0].title.as_str()), ("container", "web-2"));
    assert!(found.len() > 3 && found.iter().all(|row| row.link.starts_with("/containers/")));
    let found = find("cve-2024-1").await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].link, format!("/images/{}", image_id(0)));
    let found = find("특권").await.unwrap();
    assert!(found.iter().any(|row| row.kind == "item" && row.title.contains("특권")), "{found:?}");
    let found = find("reverse").await.unwrap();
    assert_eq!(
        (found[0].kind.as_str(), found[0].link.as_str()),
        ("alert", "/events?rule=Reverse%20shell")
    );
    assert_eq!(find("gone-").await.unwrap()[0].detail, "Reverse shell");
    assert_eq!(find("%_").await.unwrap(), []);
    for wrong in ["", " a ", &"x".repeat(201)] {
        assert!(matches!(find(wrong).await, Err(Refusal::Invalid { .. })), "{wrong:?}");
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    for after in ["", "x", "NaN/1", "9999999"] {
        let question = ListContainers { after: Some(after.into()), ..question(5) };
        let refused = list(&desk, &caller(), &question).await;
        assert_eq!(refused.unwrap_err(), Refusal::invalid("after", "not-a-cursor"));
    }
    let question = ListContainers { text: Some("가".repeat(201)), ..question(5) };
    let refused = list(&desk, &caller(), &question).await;
    assert_eq!(refused.unwrap_err(), Refusal::invalid("text", "too-long"));
}
