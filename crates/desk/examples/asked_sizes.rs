//! Verifies as many made-up containers as wanted and prints how long the desk takes for each question of the checklist.
//!
//! `asked_sizes DIR CONTAINERS`; a directory that has verifications is only asked. Times are told, never judged: that
//! is `cargo xtask bench`'s.
#![expect(clippy::print_stdout, reason = "an example prints")]

mod asked;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use asked::{BENCHMARK, Line, millis};
use haechi_checks::Content;
use haechi_core::Snapshot;
use haechi_core::policy::{Exception, Loaded};
use haechi_store::Store;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().context("which directory?")?);
    let containers: usize = arguments.next().context("how many containers?")?.parse()?;
    let content = Arc::new(Content::embedded().map_err(|errors| anyhow!("{errors:?}"))?);
    let store = Store::open(&dir).await?;
    if store.history(None, 1).await?.is_empty() {
        for day in 1..=2 {
            let benchmark = content.benchmark(BENCHMARK).context("no benchmark")?;
            let snapshot = snapshot(containers, &format!("2026-07-0{day}T06:00:00Z"))?;
            let began = Instant::now();
            let policy = Loaded::defaults();
            let report = haechi_checks::verify(&content, benchmark, &snapshot, &policy)
                .map_err(|errors| anyhow!("{errors:?}"))?;
            let findings = report.summary.findings.total();
            println!("{:>9.1} ms  deciding {findings} findings", millis(began));
            let began = Instant::now();
            store.record(&report, true).await?;
            println!("{:>9.1} ms  keeping them", millis(began));
        }
    }
    for (number, _) in store.exceptions().await? {
        store.remove_exception(number).await?; // of the last time
    }
    let kept = store.clone();
    let mut line = Line::open(store, content, &dir).await?;
    let item = json!({"benchmark": BENCHMARK, "item": "5.10", "limit": 500});
    let ends = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().tomorrow()?;
    let exception = |check: &str, subject: &str| json!({"check": check, "subject": subject, "reason": "measured", "expires": ends});
    let rounds = [
        "",
        " (nothing is accepted)",
        " (2,500 and all of a check are accepted)",
        " (1,000 of a check are accepted one by one)",
    ];
    for round in rounds {
        if round.contains("one by one") {
            for n in 0..1000 {
                let accepted = Exception {
                    check: "container-memory-limit".into(),
                    kind: None,
                    subject: format!("web-{}", n * 7),
                    reason: "measured".into(),
                    owner: "admin".into(),
                    expires: ends,
                };
                kept.add_exception(&accepted).await?;
            }
        }
        if round.contains("2,500") {
            for (check, subject) in [
                ("container-memory-limit", "web-7*"),
                ("container-read-only-rootfs", "*"),
                ("container-no-new-privileges", "*5"),
            ] {
                line.ask("Accept", exception(check, subject)).await?;
            }
        }
        println!("{round}");
        line.ask("Overview", json!({})).await?;
        line.ask("ListItems", json!({"benchmark": BENCHMARK})).await?;
        line.ask("ListItems", json!({"benchmark": BENCHMARK, "text": "web-9999"})).await?;
        let page = line.ask("ShowItem", item.clone()).await?;
        let mut next = item.clone();
        if let (Some(next), Some(after)) = (next.as_object_mut(), page.get("next")) {
            next.insert("after".to_owned(), after.clone());
        }
        line.ask("ShowItem", next).await?;
        line.ask("ListVerifications", json!({})).await?;
        line.ask("ListExceptions", json!({})).await?;
        line.ask(
            "Report",
            json!({"benchmark": BENCHMARK, "from": "2026-06-01", "to": "2026-07-31"}),
        )
        .await?;
    }
    line.close().await
}

/// Containers as an engine tells them; some are set up well.
fn snapshot(containers: usize, taken_at: &str) -> anyhow::Result<Snapshot> {
    let container = |n: usize| {
        json!({
            "id": format!("{n:064x}"),
            "name": format!("web-{n}"),
            "image_id": format!("sha256:{:064x}", n % 2000),
            "state": {"status": "running", "running": true},
            "host_config": {
                "memory": if n.is_multiple_of(5) { 1 << 29 } else { 0 },
                "readonly_rootfs": n.is_multiple_of(7),
                "privileged": n.is_multiple_of(100),
                "pids_limit": 0, "nano_cpus": 0, "cpu_shares": 0, "cpu_quota": 0,
                "network_mode": "default", "pid_mode": "", "ipc_mode": "private", "uts_mode": "",
                "cgroup_parent": "", "security_opt": [], "restart_policy": "no", "restart_retries": 0,
                "devices": [], "ulimits": [],
            },
            "host_namespaces": [], "mounts": [], "ports": [],
        })
    };
    let all: Vec<Value> = (0..containers).map(container).collect();
    Ok(serde_json::from_value(json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "0", "taken_at": taken_at, "took_ms": 1,
        "host": {"hostname": "web-1"}, "engine": {"name": "web-1"}, "containers": all,
    }))?)
}
