//! The monitor, kept running as a process of its own: started, and started again when it ends.
//!
//! What it sees it keeps in the store itself; here is only known whether it runs.

use std::time::Duration;

use haechi_protocol::MonitorState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

use crate::Desk;
use crate::jobs::last_words;

/// Waits before it is started again: the first time, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Whoever ran for so long did not fail at its start.
const STEADY: Duration = Duration::from_secs(60);

/// What the monitor says when it has begun, as one line of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// Rules that run.
    pub rules: usize,
    /// What cannot be seen or done on this kernel, and why.
    pub lacks: Vec<String>,
}

/// Keeps the monitor running, until dropped.
pub(crate) async fn keep(desk: &Desk, arguments: &[String], state: &watch::Sender<MonitorState>) {
    let mut wait = AGAIN.0;
    loop {
        let begun = std::time::Instant::now();
        let why = match run(desk, arguments, state).await {
            Ok(said) => said,
            Err(error) => format!("{error:#}"),
        };
        tracing::warn!("the monitor ended: {why}");
        desk.own("MonitorEnded", "monitor", "failed", "").await;
        state.send_replace(MonitorState { lacks: vec![why], ..MonitorState::default() });
        wait = if begun.elapsed() > STEADY { AGAIN.0 } else { (wait * 2).min(AGAIN.1) };
        tokio::time::sleep(wait).await;
    }
}

async fn run(
    desk: &Desk,
    arguments: &[String],
    state: &watch::Sender<MonitorState>,
) -> anyhow::Result<String> {
    let mut child = desk.jobs.command(arguments).spawn()?;
    let said = tokio::spawn(last_words(child.stderr.take()));
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            let Ok(began) = serde_json::from_str::<Began>(&line) else { continue };
            desk.own("MonitorBegun", "monitor", "done", "").await;
            state.send_replace(MonitorState {
                watching: true,
                since: Some(Timestamp::now()),
                lost: 0,
                lacks: began.lacks,
                ..MonitorState::default()
            });
        }
    }
    let status = child.wait().await?;
    let said = said.await.unwrap_or_default();
    Ok(if said.is_empty() { status.to_string() } else { said })
}
