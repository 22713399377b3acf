//! Work that takes longer than an answer may: verifications, scans, updates of the vulnerability data.
//!
//! Each is one of Haechi's own commands, started as a process: what goes wrong in it, or what it needs of memory, is
//! not the desk's. In the order in which they were asked for, one at a time, and beside them one update of the
//! vulnerability data: it may wait for a network that is not there, and nobody waits for that.

use std::ffi::OsStr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use haechi_protocol::{Job, JobState, List, ListJobs, Refusal, ScanImage, UpdateDatabase, Verify};
use haechi_store::{JobRow, Store};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::accounts::Caller;
use crate::{Desk, Setup, unavailable};

/// Work that may wait: more than a person asks for.
const WAITING_MAX: u32 = 32;
/// Pieces of work that a list has.
const LISTED: u32 = 100;
/// How long a piece of work may take: a first download of all vulnerability data through a slow line.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// How long a question to one of our commands may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Bytes of such an answer.
const ANSWER_MAX: u64 = 8 << 20;
/// Bytes of what a failed piece of work said that are kept.
const PROBLEM_MAX: usize = 2000;
/// Wait before the store is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// Least time between two records of how far it is.
const BEAT: Duration = Duration::from_millis(500);

// What went wrong, in words that `texts/web.yaml` has sentences for (`job.problem`).
/// The desk ended before the work did.
const INTERRUPTED: &str = "interrupted";
/// How it ended could not be kept then.
const NOT_KEPT: &str = "not-kept";
/// It took longer than it may.
const TOO_LONG: &str = "too-long";

/// How far a piece of work is, as its process says on stdout, a line of JSON each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Parts that are done.
    pub done: u64,
    /// Parts altogether.
    pub total: u64,
}

/// Starts work.
pub struct Jobs {
    store: Store,
    program: (std::path::PathBuf, Vec<std::ffi::OsString>),
    asked: Notify,
}

impl Jobs {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self { store: setup.store.clone(), program: setup.program.clone(), asked: Notify::new() }
    }

    /// Asks for work. What waits already is not asked for twice.
    ///
    /// # Errors
    /// Too much waits, or the store cannot be written.
    pub(crate) async fn start(&self, kind: &str, subject: &str, by: &str) -> Result<Job, Refusal> {
        let job = self.store.add_job(kind, subject, by, WAITING_MAX).await.map_err(unavailable)?;
        let job = job.ok_or(Refusal::TooMany { retry_s: 60 })?;
        self.asked.notify_waiters();
        Ok(told(job))
    }

    /// One of Haechi's own commands, to be started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let (program, options) = &self.program;
        let mut command = Command::new(program);
        command
            .args(options)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// What one of Haechi's own commands prints.
    ///
    /// # Errors
    /// It cannot be started, takes too long, or prints too much.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut child = self.command(arguments).stderr(Stdio::null()).spawn()?;
        let mut out = String::new();
        let reading = async {
            if let Some(stdout) = child.stdout.take() {
                stdout.take(ANSWER_MAX).read_to_string(&mut out).await?;
            }
            child.wait().await
        };
        tokio::time::timeout(ANSWER, reading).await??;
        Ok(out)
    }

    /// Works, one piece after the other, until dropped. What an earlier desk left undone has failed. A store that says
    /// no, as on a full disk, is asked again later.
    pub(crate) async fn work(&self, desk: &Arc<Desk>) {
        while let Err(error) = self.take_up().await {
            wait(&error).await;
        }
        tokio::join!(self.lane(desk, is_update), self.lane(desk, |kind| !is_update(kind)));
    }

    /// Works on some kinds, one piece after the other, until dropped.
    async fn lane(&self, desk: &Arc<Desk>, is_own: fn(&str) -> bool) {
        loop {
            if let Err(error) = self.next(desk, is_own).await {
                wait(&error).await;
            }
        }
    }

    async fn take_up(&self) -> anyhow::Result<()> {
        for mut job in self.store.open_jobs().await? {
            if job.state == haechi_store::JobState::Running {
                self.end(&mut job, Err(INTERRUPTED.into())).await?;
            }
        }
        Ok(())
    }

    /// Does the next piece of work of these kinds, when there is one.
    async fn next(&self, desk: &Arc<Desk>, is_own: fn(&str) -> bool) -> anyhow::Result<()> {
        // Before it is looked, so that what is asked for meanwhile is not missed.
        let asked = self.asked.notified();
        tokio::pin!(asked);
        asked.as_mut().enable();
        let open = self.store.open_jobs().await?;
        let Some(mut job) = open.into_iter().find(|job| is_own(&job.kind)) else {
            asked.await;
            return Ok(());
        };
        if job.state == haechi_store::JobState::Running {
            // It ended, and that could not be kept then.
            return self.end(&mut job, Err(NOT_KEPT.into())).await;
        }
        job.state = haechi_store::JobState::Running;
        self.store.set_job(&job).await?;
        desk.own("JobBegun", &job.kind, "done", &job.subject).await;
        let ended = match tokio::time::timeout(PATIENCE, self.run(&mut job, desk)).await {
            Ok(ended) => ended.map_err(|error| format!("{error:#}")),
            Err(_) => Err(TOO_LONG.to_owned()),
        };
        let outcome = if ended.is_ok() { "done" } else { "failed" };
        desk.own("JobEnded", &job.kind, outcome, &job.subject).await;
        self.end(&mut job, ended).await
    }

    async fn end(&self, job: &mut JobRow, ended: Result<(), String>) -> anyhow::Result<()> {
        job.state = match ended {
            Ok(()) => haechi_store::JobState::Done,
            Err(why) => {
                tracing::warn!("{} {} failed: {why}", job.kind, job.subject);
                job.problem = Some(why);
                haechi_store::JobState::Failed
            }
        };
        job.ended = Some(Timestamp::now());
        Ok(self.store.set_job(job).await?)
    }

    async fn run(&self, job: &mut JobRow, desk: &Desk) -> anyhow::Result<()> {
        let mut arguments: Vec<String>;
        match job.kind.as_str() {
            // What is read anew of an image is judged in a verification; layers that are known are not read again.
            "verify" | "scan" => {
                arguments = vec!["serve-work".into(), "verify".into()];
                for benchmark in &desk.setup.benchmarks {
                    arguments.extend(["--benchmark".into(), benchmark.clone()]);
                }
            }
            "update" => arguments = desk.setup.update.clone(),
            other => anyhow::bail!("nobody knows how to {other}"),
        }
        let mut child = self.command(&arguments).spawn()?;
        let said = tokio::spawn(last_words(child.stderr.take()));
        self.follow(&mut child, job).await?;
        let status = child.wait().await?;
        let said = said.await.unwrap_or_default();
        anyhow::ensure!(
            status.success(),
            "{}",
            if said.is_empty() { status.to_string() } else { said }
        );
        Ok(())
    }

    /// Keeps how far it is, until it says no more.
    async fn follow(&self, child: &mut Child, job: &mut JobRow) -> anyhow::Result<()> {
        let Some(stdout) = child.stdout.take() else { return Ok(()) };
        let mut lines = BufReader::new(stdout.take(ANSWER_MAX)).lines();
        let mut kept = tokio::time::Instant::now();
        while let Some(line) = lines.next_line().await? {
            let Ok(progress) = serde_json::from_str::<Progress>(&line) else { continue };
            (job.done, job.total) = (progress.done, progress.total);
            if kept.elapsed() >= BEAT {
                self.store.set_job(job).await?;
                kept = tokio::time::Instant::now();
            }
        }
        Ok(())
    }
}

/// Whether it goes on beside all other work.
fn is_update(kind: &str) -> bool {
    kind == "update"
}

/// A store that says no, as on a full disk, is asked again later.
async fn wait(error: &anyhow::Error) {
    tracing::error!("work waits: {error:#}");
    tokio::time::sleep(AGAIN).await;
}

/// The end of what a process said on stderr.
pub(crate) async fn last_words(stderr: Option<tokio::process::ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut end: Vec<u8> = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut part).await {
        end.extend(part.iter().take(length));
        let more = end.len().saturating_sub(PROBLEM_MAX);
        end.drain(..more);
    }
    haechi_core::text::visible(String::from_utf8_lossy(&end).trim()).into_owned()
}

/// A piece of work in the conversation's words.
pub(crate) fn told(row: JobRow) -> Job {
    Job {
        number: row.id,
        kind: row.kind,
        subject: row.subject,
        by: row.by,
        state: match row.state {
            haechi_store::JobState::Waiting => JobState::Waiting,
            haechi_store::JobState::Running => JobState::Running,
            haechi_store::JobState::Done => JobState::Done,
            haechi_store::JobState::Failed => JobState::Failed,
        },
        progress: (row.total > 0).then_some((row.done, row.total)),
        problem: row.problem,
        since: row.since,
        ended: row.ended,
    }
}

/// Work that waits or goes on.
pub(crate) async fn running(desk: &Desk) -> Result<Vec<Job>, Refusal> {
    let rows = desk.setup.store.open_jobs().await.map_err(unavailable)?;
    Ok(rows.into_iter().map(told).collect())
}

/// Answers [`Verify`].
pub(crate) async fn verify(desk: &Desk, caller: &Caller, _: &Verify) -> Result<Job, Refusal> {
    desk.jobs.start("verify", "", &caller.name).await
}

/// Answers [`ScanImage`].
pub(crate) async fn scan(
    desk: &Desk,
    caller: &Caller,
    question: &ScanImage,
) -> Result<Job, Refusal> {
    let digest = question.id.strip_prefix("sha256:").unwrap_or_default();
    let hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digest.len() != 64 || !digest.bytes().all(hex) {
        return Err(Refusal::Missing);
    }
    desk.jobs.start("scan", &question.id, &caller.name).await
}

/// Answers [`UpdateDatabase`].
pub(crate) async fn update(
    desk: &Desk,
    caller: &Caller,
    _: &UpdateDatabase,
) -> Result<Job, Refusal> {
    desk.jobs.start("update", "", &caller.name).await
}

/// Answers [`ListJobs`].
pub(crate) async fn list(desk: &Desk, _: &Caller, _: &ListJobs) -> Result<List<Job>, Refusal> {
    let rows = desk.setup.store.last_jobs(LISTED).await.map_err(unavailable)?;
    Ok(List { rows: rows.into_iter().map(told).collect(), next: None, total: None })
}

#[cfg(test)]
mod tests {
    use haechi_protocol::Role;

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn an_update_that_waits_for_ever_holds_up_no_verification() {
        let root = tempfile::tempdir().unwrap();
        let script = "case $0 in slow) sleep 1000;; *) exit 0;; esac";
        let desk = testing::desk(root.path(), |setup| {
            setup.program = ("/bin/sh".into(), vec!["-c".into(), script.into()]);
            setup.update = vec!["slow".into()];
        });
        let desk = desk.await;
        let asker = testing::caller(Role::Admin);
        let updating = update(&desk, &asker, &UpdateDatabase::default()).await.unwrap();
        let verified = async {
            let asked = verify(&desk, &asker, &Verify::default()).await.unwrap();
            loop {
                let job = desk.setup.store.job(asked.number).await.unwrap().unwrap();
                if job.state == haechi_store::JobState::Done {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = desk.jobs.work(&desk) => {}
            () = verified => {}
            () = tokio::time::sleep(Duration::from_secs(600)) => panic!("it waits"),
        }
        let update = desk.setup.store.job(updating.number).await.unwrap().unwrap();
        assert_ne!(update.state, haechi_store::JobState::Done);
    }
}
