//! What one process costs: run by the bench in a process of its own, whose only child it then is.
//!
//! Of a program that starts others the memory of all at the same moment counts ([`run_tree`]). It is looked at every
//! few milliseconds, so a peak that is shorter may be missed; what processes share is counted for each.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::run::print;

/// What it cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cost {
    /// Wall clock, in milliseconds.
    pub wall_ms: f64,
    /// Processor, user and system, of it and its children, in milliseconds.
    pub cpu_ms: f64,
    /// Peak of its memory (of the largest, if it had children; of all together, if that was asked for), in MiB.
    pub peak_mib: f64,
    /// How it ended.
    pub code: i32,
}

/// Time between two looks at the memory of a family of processes.
const LOOK: Duration = Duration::from_millis(5);

/// `xtask measure PROGRAM ARGUMENTS`: runs it silently and prints its cost as JSON.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let begin = Instant::now();
    let status = start(program, arguments)?.wait()?;
    finish(begin.elapsed(), status.code(), 0)
}

/// The same, with the memory of all its processes together.
pub fn run_tree(program: &str, arguments: &[&str]) -> Result<()> {
    let begin = Instant::now();
    let mut child = start(program, arguments)?;
    let id = child.id();
    let ended = AtomicBool::new(false);
    let (status, wall, peak) = std::thread::scope(|threads| {
        let looker = threads.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(family_kib(id));
                std::thread::sleep(LOOK);
            }
            peak
        });
        let status = child.wait();
        let wall = begin.elapsed();
        ended.store(true, Ordering::Relaxed);
        (status, wall, looker.join().unwrap_or_default())
    });
    finish(wall, status?.code(), peak)
}

fn start(program: &str, arguments: &[&str]) -> Result<std::process::Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| format!("cannot run {program}"))
}

fn finish(wall: Duration, code: Option<i32>, family_kib: i64) -> Result<()> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let ms = |time: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike;
        precise(time.num_microseconds()) / 1e3
    };
    let cost = Cost {
        wall_ms: wall.as_secs_f64() * 1e3,
        cpu_ms: ms(usage.user_time()) + ms(usage.system_time()),
        peak_mib: precise(usage.max_rss().max(family_kib)) / 1024.0,
        code: code.unwrap_or(-1),
    };
    print(serde_json::to_string(&cost)?);
    Ok(())
}

/// Resident memory of a process and all that descend from it, in KiB.
fn family_kib(root: u32) -> i64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    // Children have higher numbers than their parents, so most of a machine is passed over.
    let mut ids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&id| id >= root)
        .collect();
    ids.sort_unstable();
    let mut family = Vec::new();
    let mut total = 0;
    for id in ids {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<i64>().ok()
        };
        let parent = field("PPid:").and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
        if id == root || family.contains(&parent) {
            family.push(id);
            total += field("VmRSS:").unwrap_or_default();
        }
    }
    total
}

/// Microseconds and kibibytes of one process are far below the 2^53 that a float holds exactly.
fn precise(number: i64) -> f64 {
    number as f64
}
