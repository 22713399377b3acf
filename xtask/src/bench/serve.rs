//! What the dashboard costs on a large host: pages and API with 10,000 containers and 1,000,000 alerts on record, for one
//! visitor and for ten at once (`wrk`), and the memory of its two processes.
//!
//! The host is made up from this one's containers and images (`crates/desk/examples/fill.rs`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::needs::{self, For};
use crate::run::{Failed, PATIENCE, haechi, must, output, print, say, target};
use crate::{engine, lab};

const CONTAINERS: &str = "10000";
const ALERTS: &str = "1000000";
const PASSWORD: &str = "seven small lanterns";
/// Promised in SPECIFICATION.md: 99 of 100 answers to one visitor within this.
const P99_MS_MAX: f64 = 200.0;

/// What is asked for; `{container}`, `{image}` and `{alert}` are filled in.
const PATHS: [&str; 18] = [
    "/",
    "/checklist",
    "/checklist?status=fail&area=instance",
    "/checklist/cis-docker-1.13.0/5.4",
    "/images",
    "/images/{image}",
    "/containers",
    "/containers/{container}",
    "/events",
    "/events?priority=critical",
    "/events?rule=Rule+number+7",
    "/events/{alert}",
    "/activity",
    "/search?text=haechi",
    "/settings",
    "/report",
    "/api/v1/overview",
    "/api/v1/alerts?limit=500",
];

/// The dashboard; it ends with the measurement.
struct Dashboard(Child);

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// What `wrk` measured, in milliseconds.
struct Load {
    p50: f64,
    p99: f64,
    per_second: f64,
    refused: bool,
}

pub fn run() -> Result<()> {
    needs::meet(For::Bench)?;
    engine::meet()?;
    lab::up()?;
    let folder = target()?.join("bench-serve");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    let _ = fs::remove_dir_all(&folder);
    measured
}

fn measure(folder: &Path) -> Result<()> {
    let data = fill(folder)?;
    let said = folder.join("said");
    let log = File::create(&said)?;
    let begin = Instant::now();
    let serving = Command::new(haechi("release")?)
        .args(["serve", "--listen", "127.0.0.1:0", "--no-monitor", "--interval", "0", "--data-dir"])
        .arg(&data)
        .args(["--host", "unix:///nonexistent/engine.sock"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let dashboard = Dashboard(serving);
    let address = loop {
        let said = fs::read_to_string(&said)?;
        let after = |mark: &str, end: char| {
            let (_, rest) = said.split_once(mark)?;
            Some(rest.split_once(end)?.0.trim().to_owned())
        };
        if let Some(address) = after("https://", '\n') {
            break format!("https://{address}");
        }
        if begin.elapsed() > PATIENCE {
            bail!("the dashboard does not begin: {said}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    say(format!("It began within {} ms.", begin.elapsed().as_millis()));
    let first = fs::read_to_string(data.join("first-password"))?;
    let cookie = log_in(folder, &address, first.trim())?;
    let mut missed = Vec::new();
    print(format!("{:<40}  {:^21}  {:^32}", "", "one visitor, ms", "ten at once"));
    print(format!(
        "{:<40}  {:>9}  {:>10}  {:>9}  {:>10}  {:>9}",
        "path", "p50", "p99", "p50 ms", "p99 ms", "/s"
    ));
    for path in paths(&address, &cookie)? {
        let one = load(&address, &path, &cookie, 1)?;
        let ten = load(&address, &path, &cookie, 10)?;
        let shown: String = path.chars().take(40).collect();
        let Load { p50, p99, per_second, .. } = ten;
        print(format!(
            "{shown:<40}  {:>9.1}  {:>10.1}  {p50:>9.1}  {p99:>10.1}  {per_second:>9.0}",
            one.p50, one.p99
        ));
        if one.refused || ten.refused {
            missed.push(format!("{path} was not answered with 200"));
        }
        if one.p99 > P99_MS_MAX {
            missed.push(format!("{path}: {:.0} ms", one.p99));
        }
    }
    memory(dashboard.0.id())?;
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failed(format!("more than {P99_MS_MAX} ms: {}", missed.join(", "))).into())
    }
}

/// A data directory of a large host.
fn fill(folder: &Path) -> Result<PathBuf> {
    let (snapshot, data) = (folder.join("snapshot.json"), folder.join("data"));
    let mut collect = Command::new(haechi("release")?);
    collect.args(["collect", "--quiet", "--no-images", "--data-dir"]).arg(folder.join("none"));
    let status = collect.arg("--output").arg(&snapshot).status()?;
    if !snapshot.is_file() {
        bail!("no facts of this host: haechi collect ended with {status}");
    }
    say(format!("Making up {CONTAINERS} containers and {ALERTS} alerts (minutes) …"));
    let begin = Instant::now();
    let mut fill = Command::new(target()?.join("release/examples/fill"));
    must({
        fill.arg(&snapshot).arg(&data).args([CONTAINERS, ALERTS]);
        fill
    })?;
    let bytes = fs::metadata(data.join("haechi.db"))?.len();
    say(format!("{} s, {} MiB.", begin.elapsed().as_secs(), bytes >> 20));
    Ok(data)
}

fn curl(arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--max-time", "60"]).args(arguments);
    let said = output(command)?;
    serde_json::from_str(&said).with_context(|| said)
}

/// The cookie of a session.
fn log_in(folder: &Path, address: &str, first: &str) -> Result<String> {
    let jar = folder.join("jar").display().to_string();
    let json = ["--header", "Content-Type: application/json"];
    let session = format!("{address}/api/v1/session");
    let login = format!("{{\"name\":\"admin\",\"password\":\"{first}\"}}");
    let me = curl(&[&json[..], &["--cookie-jar", &jar, "--data", &login, &session]].concat())?;
    let csrf = me.get("csrf").and_then(Value::as_str).context("no session")?;
    let header = format!("X-Haechi-CSRF: {csrf}");
    let change = format!("{{\"old\":\"{first}\",\"new\":\"{PASSWORD}\"}}");
    let password = format!("{session}/password");
    let put = ["--request", "PUT", "--header", &header, "--cookie", &jar, "--data", &change];
    curl(&[&json[..], &put, &[&password]].concat())?;
    let kept = fs::read_to_string(&jar)?;
    let line = kept.lines().find(|line| line.contains("__Host-haechi")).context("no cookie")?;
    let value = line.rsplit('\t').next().context("no cookie")?;
    Ok(format!("Cookie: __Host-haechi={value}"))
}

/// The paths with things that are there.
fn paths(address: &str, cookie: &str) -> Result<Vec<String>> {
    let first = |list: &str, part: &str| -> Result<String> {
        let told = curl(&["--header", cookie, &format!("{address}/api/v1/{list}?limit=1")])?;
        let found = told.pointer(&format!("/rows/0/{part}")).with_context(|| told.to_string())?;
        Ok(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
    };
    let container = first("containers", "id")?;
    let image = first("images", "image/id")?.replace(':', "%3A");
    let alert = first("alerts", "number")?;
    let fill = |path: &str| {
        path.replace("{container}", &container)
            .replace("{image}", &image)
            .replace("{alert}", &alert)
    };
    Ok(PATHS.iter().map(|path| fill(path)).collect())
}

fn load(address: &str, path: &str, cookie: &str, visitors: u32) -> Result<Load> {
    let mut wrk = Command::new("wrk");
    let visitors = visitors.to_string();
    wrk.args(["--threads", "1", "--connections", &visitors, "--duration", "4s", "--latency"]);
    wrk.args(["--timeout", "30s", "--header", cookie]).arg(format!("{address}{path}"));
    let said = output(wrk)?;
    let field = |name: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(name));
        let text = line.with_context(|| format!("no {name} in {said}"))?.trim();
        let (number, factor) = match text {
            _ if text.ends_with("us") => (text.trim_end_matches("us"), 0.001),
            _ if text.ends_with("ms") => (text.trim_end_matches("ms"), 1.0),
            _ if text.ends_with('s') => (text.trim_end_matches('s'), 1000.0),
            _ => (text, 1.0),
        };
        Ok(number.parse::<f64>().with_context(|| text.to_owned())? * factor)
    };
    Ok(Load {
        p50: field("50%")?,
        p99: field("99%")?,
        per_second: field("Requests/sec:")?,
        refused: said.contains("Non-2xx") || said.contains("Socket errors"),
    })
}

/// The most memory that desk and web server have held.
fn memory(desk: u32) -> Result<()> {
    // A child belongs to the thread that started it.
    let mut children = String::new();
    for thread in fs::read_dir(format!("/proc/{desk}/task"))? {
        children += &fs::read_to_string(thread?.path().join("children"))?;
    }
    let web: Vec<&str> = children.split_whitespace().collect();
    let desk = desk.to_string();
    let named =
        std::iter::once(("desk", desk.as_str())).chain(web.iter().map(|id| ("web server", *id)));
    for (name, id) in named {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 =
            peak.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        print(format!("{name}: {} MiB at the peak", peak >> 10));
    }
    Ok(())
}
