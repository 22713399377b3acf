//! Fills a store with as many made-up containers, images and alerts as wanted, and prints how long the desk takes for each
//! question about them.
//!
//! `inventory_sizes DIR CONTAINERS IMAGES FLAWS_OF_EACH ALERTS`, as `… 10000 2000 300 1000000`; a directory that has an
//! inventory is only asked. Times are told, never judged: that is `cargo xtask bench`'s.
#![expect(clippy::print_stdout, reason = "an example prints")]

mod asked;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use asked::{BENCHMARK, Line, millis};
use haechi_checks::Content;
use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action, Event, Process};
use haechi_core::inventory::{Package, PackageKind, Scan, ScanSubject};
use haechi_core::policy::Loaded;
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, ImageReport, Safety, Verdict};
use haechi_core::vulnerability::{Assessment, Epss, FixState, Rating, Score, Vulnerability};
use haechi_core::{Policy, Snapshot};
use haechi_examine::risk::{self, Known};
use haechi_store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Alerts that are kept at once.
const ALERTS_AT_ONCE: usize = 5000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().context("which directory?")?);
    let mut number =
        |what| -> anyhow::Result<usize> { Ok(arguments.next().context(what)?.parse()?) };
    let (containers, images) = (number("how many containers?")?, number("how many images?")?);
    let (flaws, alerts) = (number("how many flaws?")?, number("how many alerts?")?);
    let content = Arc::new(Content::embedded().map_err(|errors| anyhow!("{errors:?}"))?);
    let store = Store::open(&dir).await?;
    if store.inventory(None, BENCHMARK).await?.is_none() {
        fill(&store, &content, containers, images, flaws).await?;
        watch(&store, containers, alerts).await?;
    }
    println!("{:>9} MiB in the database", std::fs::metadata(store.file())?.len() >> 20);
    let mut line = Line::open(store, content, &dir).await?;
    for round in ["", " (again)"] {
        println!("{round}");
        line.ask("Overview", json!({})).await?;
        for (name, other) in [("ListContainers", json!({})), ("ListImages", json!({}))] {
            let first = line.ask(name, json!({"limit": 500})).await?;
            line.ask(name, json!({"limit": 500, "after": first.get("next")})).await?;
            line.ask(name, json!({"limit": 100, "text": "9999"})).await?;
            line.ask(name, json!({"limit": 100, "text": "no such thing"})).await?;
            line.ask(name, other).await?;
        }
        line.ask("ListContainers", json!({"running": false})).await?;
        line.ask("ListImages", json!({"safety": "unsafe"})).await?;
        line.ask("ShowContainer", json!({"id": id(containers / 2)})).await?;
        line.ask("ShowImage", json!({"id": image_id(images / 2)})).await?;
        for text in ["web-99", "CVE-2024-1", "package-1", "web", "특권", "no such thing"] {
            line.ask("Search", json!({"text": text})).await?;
        }
    }
    line.close().await
}

async fn fill(
    store: &Store,
    content: &Content,
    containers: usize,
    images: usize,
    flaws: usize,
) -> anyhow::Result<()> {
    let snapshot = snapshot(containers, images)?;
    let benchmark = content.benchmark(BENCHMARK).context("no benchmark")?;
    let began = Instant::now();
    let report = haechi_checks::verify(content, benchmark, &snapshot, &Loaded::defaults())
        .map_err(|errors| anyhow!("{errors:?}"))?;
    println!("{:>9.1} ms  deciding {} findings", millis(began), report.summary.findings.total());
    let began = Instant::now();
    let kept = store.record(&report, true).await?;
    println!("{:>9.1} ms  keeping them", millis(began));
    let reports: Vec<ImageReport> = (0..images).map(|n| image_report(n, flaws)).collect();
    for round in ["the first time", "again, the same"] {
        let began = Instant::now();
        let inventory = risk::inventory(&Known {
            snapshot: &snapshot,
            reports: &[&report],
            policy: &Policy::default(),
            images: &reports,
            earlier: &[],
            seen: &HashMap::new(),
        });
        println!("{:>9.1} ms  ranking", millis(began));
        let began = Instant::now();
        store.keep_inventory(kept, &inventory.context("nothing to keep")?, &reports).await?;
        println!("{:>9.1} ms  keeping containers, images and reports, {round}", millis(began));
    }
    Ok(())
}

async fn watch(store: &Store, containers: usize, alerts: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    let now = Timestamp::now();
    let all: Vec<usize> = (0..alerts).collect();
    for some in all.chunks(ALERTS_AT_ONCE) {
        let some: Vec<Alert> = some
            .iter()
            .map(|n| {
                // A tenth of all are of one container that never rests.
                let of = if n.is_multiple_of(10) { 1 } else { n % containers.max(1) };
                let ago = SignedDuration::from_secs(i64::try_from(*n).unwrap_or_default());
                alert(of, n % 60, now - ago)
            })
            .collect();
        store.add_alerts(&some).await?;
    }
    println!("{:>9.1} ms  keeping {alerts} alerts", millis(began));
    Ok(())
}

fn alert(container: usize, rule: usize, at: Timestamp) -> Alert {
    let (id, name) = (id(container), format!("web-{container}"));
    Alert {
        schema: ALERT_SCHEMA.into(),
        at,
        rule: format!("Rule {rule}"),
        priority: Priority::Warning,
        text: "said".into(),
        tags: vec![],
        checks: vec![],
        container: AlertContainer { id, name, ..AlertContainer::default() },
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

fn id(n: usize) -> String {
    format!("{n:064x}")
}

fn image_id(n: usize) -> String {
    format!("sha256:{n:064x}")
}

fn snapshot(containers: usize, images: usize) -> anyhow::Result<Snapshot> {
    let container = |n: usize| {
        json!({
            "id": id(n), "name": format!("web-{n}"), "image_ref": format!("registry.example.com/app-{}:1", n % images),
            "image_id": image_id(n % images),
            "state": {"status": "running", "running": !n.is_multiple_of(7)},
            "host_config": {"privileged": n.is_multiple_of(1000), "network_mode": "app", "memory": 0},
            "effective": {"capabilities": ["CHOWN", "KILL"], "uid": 0, "runs_as_root": n.is_multiple_of(2)},
            "host_namespaces": [], "mounts": [], "networks": [], "alerts": [],
            "ports": if n.is_multiple_of(3) { json!([{"host_address": "0.0.0.0", "host_port": n}]) } else { json!([]) },
        })
    };
    let image = |n: usize| json!({"id": image_id(n), "tags": [format!("registry.example.com/app-{n}:1")], "size": 100_000_000});
    let containers: Vec<Value> = (0..containers).map(container).collect();
    let images: Vec<Value> = (0..images).map(image).collect();
    Ok(serde_json::from_value(json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "0", "took_ms": 1,
        "taken_at": Timestamp::now().to_string(),
        "host": {"hostname": "web-1"}, "engine": {"name": "web-1"},
        "containers": containers, "images": images, "networks": [], "gaps": [],
    }))?)
}

fn image_report(n: usize, flaws: usize) -> ImageReport {
    let package = |p: usize| Package {
        files: (0..20).map(|file| format!("usr/share/package-{p}/{file}")).collect(),
        ..Package::new(PackageKind::Deb, format!("package-{p}"), "1.2-3", "var/lib/dpkg/status")
    };
    ImageReport {
        schema: IMAGE_REPORT_SCHEMA.into(),
        haechi_version: "0".into(),
        taken_at: Timestamp::now().to_string(),
        scan: Scan {
            subject: ScanSubject { id: image_id(n), ..ScanSubject::default() },
            packages: (0..200).map(package).collect(),
            ..Scan::default()
        },
        assessment: Assessment {
            vulnerabilities: (0..flaws).map(|flaw| vulnerability(n, flaw)).collect(),
            ..Assessment::default()
        },
        verdict: Verdict { safety: Safety::Unsafe, reasons: vec![], more: 0 },
        containers: vec![],
        seen: Default::default(),
    }
}

fn vulnerability(image: usize, n: usize) -> Vulnerability {
    let score = f64::from(u8::try_from(n % 100).unwrap_or_default()) / 10.0;
    let fixed = !n.is_multiple_of(3);
    Vulnerability {
        // Most are the same in every image.
        id: if n.is_multiple_of(10) {
            format!("CVE-2024-{image}{n}")
        } else {
            format!("CVE-2023-{n}")
        },
        aliases: vec![],
        advisories: vec![format!("DSA-{n}")],
        package: format!("pkg:deb/debian/package-{}@1.2-3", n % 200),
        kind: PackageKind::Deb,
        name: format!("package-{}", n % 200),
        installed: "1.2-3".into(),
        path: "var/lib/dpkg/status".into(),
        layer: Some(0),
        state: if fixed { FixState::Fixed } else { FixState::Affected },
        fixed: if fixed { "1.2-4".into() } else { String::new() },
        command: if fixed { format!("apt-get install package-{}", n % 200) } else { String::new() },
        rating: Rating::of_score(score),
        rated_by: "nvd 3.1".into(),
        scores: vec![Score {
            by: "nvd".into(),
            version: "3.1".into(),
            vector: "CVSS:3.1/AV:N".into(),
            score,
        }],
        exploited: None,
        epss: Some(Epss { score: score / 20.0, percentile: 0.5 }),
        title: "A program does what it should not".into(),
        description: "It does so for reasons that are told here at some length. ".repeat(8),
        urls: vec!["https://example.com/advisory".into(); 3],
        cwes: vec!["CWE-79".into()],
        published: "2024-01-01".into(),
        source: "osv/Debian".into(),
        rank: 30.0,
    }
}
