//! Records verifications of many containers and prints how long keeping and each question of a page take.
//!
//! `checklist_sizes DIR CONTAINERS CHECKS`, as `… 10000 40`. Times are told, never judged: that is `cargo xtask bench`'s.

#[path = "../tests/common/sample.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod sample;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use haechi_core::report::{Item, Summary};
use haechi_core::{Report, Status, SubjectKind, Text};
use haechi_store::Store;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let containers: usize = arguments.next().ok_or("how many containers?")?.parse()?;
    let checks: usize = arguments.next().ok_or("how many checks?")?.parse()?;
    let store = Store::open(Path::new(&dir)).await?;
    let mut out = std::io::stdout().lock();
    let day = |n: u32| format!("2026-07-{n:02}T06:00:00Z");
    let mut last = None;
    for n in 1..=3 {
        let report = many(containers, checks, &day(n));
        let began = Instant::now();
        last = Some(store.record(&report, true).await?);
        writeln!(out, "{:>8.1} ms  keeping {} findings", millis(began), containers * checks)?;
    }
    let id = last.ok_or("nothing was kept")?;
    let size = std::fs::metadata(store.file())?.len() >> 20;
    writeln!(out, "{size:>8} MiB in the database")?;
    let mut view = store.view().await?;
    let subject = format!("{:064x}", containers / 2);
    let kind = SubjectKind::Container;
    let mut tell = |what: &str, began: Instant, rows: usize| {
        writeln!(out, "{:>8.1} ms  {what}: {rows}", millis(began))
    };
    for _ in 0..2 {
        let began = Instant::now();
        tell("findings by check", began, view.tallies(id).await?.len())?;
        let began = Instant::now();
        tell("items", began, view.items(id).await?.len())?;
        let began = Instant::now();
        let found = view.findings_of_check(id, "check-7", Status::Fail, None, 500).await?;
        tell("a page of a check", began, found.len())?;
        let began = Instant::now();
        let from = found.last().map(|one| (one.kept.name.as_str(), one.n));
        let found = view.findings_of_check(id, "check-7", Status::Fail, from, 500).await?;
        tell("the page after it", began, found.len())?;
        let began = Instant::now();
        tell("a subject", began, view.findings_of_subject(id, kind, &subject).await?.len())?;
        let began = Instant::now();
        let found = view.decided(id, "check-7", Status::Fail, "").await?;
        tell("all that fail of a check", began, found.len())?;
        let began = Instant::now();
        let found = view.decided(id, "check-7", Status::Fail, "웹-77").await?;
        tell("those that begin so", began, found.len())?;
        let began = Instant::now();
        tell("checks about a name", began, view.checks_about(id, "nowhere").await?.len())?;
    }
    Ok(())
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// A report in which each container has a finding of each check; two of three fail.
fn many(containers: usize, checks: usize, taken_at: &str) -> Report {
    let mut report = sample::report("web-1", taken_at, 3);
    let sample = report.items.swap_remove(0).findings.swap_remove(0);
    let text = |words: &str| Text::new(words, words);
    report.items = (0..checks)
        .map(|check| {
            let findings = (0..containers).map(|n| {
                let mut finding = sample.clone();
                finding.check = format!("check-{check}");
                finding.subject.name = format!("웹-{n}");
                finding.subject.id = format!("{n:064x}");
                finding.status = if (n + check) % 3 > 0 { Status::Fail } else { Status::Pass };
                finding.evidence.truncate(1);
                finding.fix = Some(format!("docker update --pids-limit 100 web-{n}"));
                finding
            });
            Item::new(format!("5.{check}"), text("An item"), text("Containers"), findings.collect())
        })
        .collect();
    report.summary = Summary::of(&report.items);
    report
}
