//! Verifies as many made-up containers as wanted and prints how long the desk takes for each question of the checklist.
//!
//! `checklist_sizes DIR CONTAINERS`; a directory that has verifications is only asked. Times are told, never judged: that
//! is `cargo xtask bench`'s.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use haechi_checks::Content;
use haechi_core::Snapshot;
use haechi_core::policy::{Exception, Loaded};
use haechi_desk::{Accounts, Desk, Setup, talk};
use haechi_protocol::{Answered, Asked, Credential, frame, routes};
use haechi_store::Store;
use serde_json::{Value, json};
use tokio::net::UnixStream;

const BENCHMARK: &str = "cis-docker-1.13.0";

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
    let accounts = Accounts::open(store.clone(), &dir).await?;
    let first = accounts.first().await.map_err(|why| anyhow!("{why}"))?;
    let kept = store.clone();
    let desk = Desk::new(setup(store, content, &dir), accounts);
    let (here, there) = UnixStream::pair()?;
    let talking = tokio::spawn(talk(desk, there));
    let mut line = Line { stream: here, credential: Credential::None };
    let password = "a long enough one";
    let old = first.as_deref().unwrap_or(password);
    let login = json!({"name": "admin", "password": old});
    line.log_in(line_of("Login", login)?).await?;
    if let Some(old) = &first {
        line.ask("ChangePassword", json!({"old": old, "new": password})).await?;
    }
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
    drop(line);
    talking.await??;
    Ok(())
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

fn setup(store: Store, content: Arc<Content>, dir: &Path) -> Setup {
    Setup {
        store,
        content,
        policy: Box::new(|| Ok(Loaded::defaults())),
        policy_name: "defaults".into(),
        benchmarks: vec![BENCHMARK.into()],
        root: "/".into(),
        endpoint: None,
        program: ("haechi".into(), Vec::new()),
        update: Vec::new(),
        monitor: None,
        watched: Vec::new(),
        data_dir: dir.to_owned(),
        certificate: String::new(),
        interval_minutes: 0,
    }
}

/// The web server's end.
struct Line {
    stream: UnixStream,
    credential: Credential,
}

fn line_of(name: &str, question: Value) -> anyhow::Result<haechi_protocol::Ask> {
    let route =
        routes().into_iter().find(|route| route.name == name).context("no such question")?;
    Ok((route.read)(question)?)
}

impl Line {
    async fn send(&mut self, ask: haechi_protocol::Ask) -> anyhow::Result<Value> {
        let asked =
            Asked { id: 1, credential: self.credential.clone(), address: String::new(), ask };
        frame::write(&mut self.stream, &asked, frame::QUESTION_MAX).await?;
        let answered: Option<Answered> = frame::read(&mut self.stream, frame::ANSWER_MAX).await?;
        answered.context("the desk hung up")?.answer.map_err(|why| anyhow!("{why}"))
    }

    async fn log_in(&mut self, login: haechi_protocol::Ask) -> anyhow::Result<()> {
        let logged_in = self.send(login).await?;
        let text = |pointer: &str| {
            logged_in.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.credential = Credential::Session { secret: text("/secret"), csrf: text("/me/csrf") };
        Ok(())
    }

    /// Asks, and prints how long it took.
    async fn ask(&mut self, name: &str, question: Value) -> anyhow::Result<Value> {
        let ask = line_of(name, question.clone())?;
        let began = Instant::now();
        let answer = self.send(ask).await?;
        let bytes = answer.to_string().len();
        println!("{:>9.1} ms  {name} {question}: {bytes} bytes", millis(began));
        Ok(answer)
    }
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
