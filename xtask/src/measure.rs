//! What one process costs: run by the bench in a process of its own, whose only child it then is.

use std::process::{Command, Stdio};
use std::time::Instant;

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
    /// Peak of its memory (of the largest, if it had children), in MiB.
    pub peak_mib: f64,
    /// How it ended.
    pub code: i32,
}

/// `xtask measure PROGRAM ARGUMENTS`: runs it silently and prints its cost as JSON.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    let wall = begin.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let ms = |time: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike;
        precise(time.num_microseconds()) / 1e3
    };
    let cost = Cost {
        wall_ms: wall.as_secs_f64() * 1e3,
        cpu_ms: ms(usage.user_time()) + ms(usage.system_time()),
        peak_mib: precise(usage.max_rss()) / 1024.0,
        code: status.code().unwrap_or(-1),
    };
    print(serde_json::to_string(&cost)?);
    Ok(())
}

/// Microseconds and kibibytes of one process are far below the 2^53 that a float holds exactly.
fn precise(number: i64) -> f64 {
    number as f64
}
