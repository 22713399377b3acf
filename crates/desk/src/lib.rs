//! The desk: the process that has the rights. It answers the web server's questions from the store, decides who may
//! ask what, starts work, and keeps the audit log.
//!
//! What the web server says counts only with the secret that comes with each question. It is believed in one thing more:
//! from which address a visitor comes. Limits on logins and the audit log go by that, so a web server that was broken into
//! can get around those limits, and put wrong addresses, but no wrong names, on record. The desk parses no HTTP, renders
//! nothing, and decides no finding: work is done by Haechi's own commands, started as processes of their own.

mod accounts;
mod alerts;
mod checklist;
mod containers;
mod conversation;
mod deeds;
mod dispatch;
mod exceptions;
mod images;
mod jobs;
mod overview;
mod period;
mod profiles;
mod quiet;
mod search;
mod settings;
#[cfg(test)]
mod testing;
mod watchdog;
mod watcher;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use haechi_checks::Content;
use haechi_core::policy::Loaded;
use haechi_protocol::{MonitorState, Refusal};
use haechi_store::Store;
use serde_json::json;
use tokio::sync::watch;

pub use accounts::{Accounts, AuditLog, Begun, Caller, HEAD_FILE, PUBLIC_FILE, outcome};
pub use conversation::talk;
pub use jobs::Progress;
pub use watchdog::Began;

use jobs::Jobs;

/// How often it is looked whether something is new: what a person takes for at once.
const LOOK: Duration = Duration::from_millis(200);

/// What the desk is made of.
pub struct Setup {
    /// Where everything is kept.
    pub store: Store,
    /// Checks and benchmarks with their texts.
    pub content: Arc<Content>,
    /// Reads the policy in force.
    pub policy: Box<dyn Fn() -> anyhow::Result<Loaded> + Send + Sync>,
    /// The policy's file, or `defaults`.
    pub policy_name: String,
    /// Ids of the benchmarks that are verified; the first one is shown first.
    pub benchmarks: Vec<String>,
    /// Where the host's files are.
    pub root: PathBuf,
    /// The engine, if one was named.
    pub endpoint: Option<String>,
    /// Haechi's own program, and the options that each of its commands is given.
    pub program: (PathBuf, Vec<OsString>),
    /// Arguments of the command that updates the vulnerability data.
    pub update: Vec<String>,
    /// Arguments of the command that watches containers; none if they are not watched.
    pub monitor: Option<Vec<String>>,
    /// Files of Haechi's own whose change asks for a verification: policy, checks, benchmarks.
    pub watched: Vec<PathBuf>,
    /// The certificate's SHA-256 fingerprint.
    pub certificate: String,
    /// Minutes between verifications; 0 means only when something changed or somebody asks.
    pub interval_minutes: u64,
}

impl Setup {
    /// A desk that only answers, from this store and content, with Haechi's own policy: nothing is watched, and nothing
    /// asks for a verification by itself.
    pub fn of(store: Store, content: Arc<Content>) -> Self {
        Self {
            store,
            content,
            policy: Box::new(|| Ok(Loaded::defaults())),
            policy_name: "defaults".to_owned(),
            benchmarks: Vec::new(),
            root: "/".into(),
            endpoint: None,
            program: ("haechi".into(), Vec::new()),
            update: Vec::new(),
            monitor: None,
            watched: Vec::new(),
            certificate: String::new(),
            interval_minutes: 0,
        }
    }
}

/// The desk.
pub struct Desk {
    pub(crate) setup: Setup,
    /// Who may ask, and who did what.
    pub(crate) accounts: Accounts,
    /// Work that takes longer.
    pub(crate) jobs: Jobs,
    /// Whether containers are watched.
    pub(crate) monitor: watch::Sender<MonitorState>,
    /// Number of the newest change.
    pub(crate) changed: watch::Sender<i64>,
    /// Whether the engine tells what is done through it.
    pub(crate) heard: AtomicBool,
}

impl Desk {
    /// A desk that answers, but does nothing by itself until [`Desk::run`].
    pub fn new(setup: Setup, accounts: Accounts) -> Arc<Self> {
        let jobs = Jobs::new(&setup);
        let (monitor, changed) = (watch::Sender::default(), watch::Sender::default());
        let heard = AtomicBool::new(false);
        Arc::new(Self { setup, accounts, jobs, monitor, changed, heard })
    }

    /// Works, watches, and keeps the monitor running, until dropped.
    pub async fn run(self: &Arc<Self>) {
        let watching = async {
            match &self.setup.monitor {
                Some(arguments) => watchdog::keep(self, arguments, &self.monitor).await,
                None => std::future::pending().await,
            }
        };
        let news = async {
            loop {
                match self.setup.store.newest_change().await {
                    Ok(newest) => {
                        self.changed
                            .send_if_modified(|known| std::mem::replace(known, newest) != newest);
                    }
                    Err(error) => tracing::warn!("what is new is not known: {error}"),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = self.jobs.work(self) => {}
            () = watching => {}
            () = watcher::watch(self) => {}
            () = news => {}
        }
    }

    /// Records that the desk began. Without a record it must not.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn began(&self) -> anyhow::Result<()> {
        let about = json!({ "version": env!("CARGO_PKG_VERSION") });
        self.accounts.log().record("haechi", "", "Began", "", "done", &about).await?;
        Ok(())
    }

    /// Records that the desk ended in order, and signs the log.
    pub async fn ended(&self) {
        self.own("Ended", "", "done", "").await;
        self.accounts.log().close().await;
    }

    /// What has to be done now and then, about once a minute.
    pub async fn tend(&self) {
        self.accounts.tend().await;
    }

    /// Records something that Haechi did by itself.
    pub(crate) async fn own(&self, action: &str, subject: &str, outcome: &str, about: &str) {
        let about = if about.is_empty() { json!({}) } else { json!({ "about": about }) };
        let log = self.accounts.log();
        if let Err(error) = log.record("haechi", "", action, subject, outcome, &about).await {
            tracing::error!("{action} {subject} is not in the audit log: {error}");
        }
    }
}

/// Logs what went wrong, and says to whoever asked that it cannot be done now.
pub(crate) fn unavailable(error: impl std::fmt::Display) -> Refusal {
    static UNANSWERED: quiet::Quiet = quiet::Quiet::new();
    UNANSWERED.warn(format_args!("a question could not be answered: {error}"));
    Refusal::Unavailable
}
