//! Brings the database up to date: [`update`], what it is told ([`Plan`]) and what it tells ([`UpdateReport`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::{DbError, Meta, folder, network};

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the publishers.
    Publishers,
    /// From a mirror below this address.
    Mirror(String),
    /// From files below this folder.
    Folder(PathBuf),
}

/// What to bring up to date.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From where.
    pub origin: Origin,
    /// Names of sources (`osv/npm`, `nvd`, `kev`); all that are usual if empty. For a folder: all that is found.
    pub only: Vec<String>,
    /// Whether the operator declares that each source which is brought up to date is complete, though it may look partial.
    pub complete: bool,
    /// Key for NVD's API, which then answers ten times as often.
    pub nvd_api_key: Option<String>,
    /// The present.
    pub now: Timestamp,
}

/// Is told how far it is. Called often, and from several threads.
pub trait Progress: Send + Sync {
    /// `done` of `total` bytes or entries of `what`; `total` is nothing if it is not known.
    fn at(&self, what: &str, done: u64, total: Option<u64>);
}

/// Says nothing.
impl Progress for () {
    fn at(&self, _: &str, _: u64, _: Option<u64>) {}
}

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was replaced.
    Updated,
    /// It has not changed since the last time.
    Unchanged,
    /// The mirror does not have it; what was there is still there.
    Absent,
    /// It could not be read or written; what was there is still there.
    Failed(String),
}

/// A source after an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUpdate {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What is known about it now; nothing if there is none.
    pub meta: Option<Meta>,
    /// Entries that it had before; nothing if there was none.
    pub records_before: Option<u64>,
}

/// What an update did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateReport {
    /// Sources, sorted by name.
    pub sources: Vec<SourceUpdate>,
    /// Files that could not be read, each with the cause.
    pub failures: Vec<(String, String)>,
    /// Files that were not needed, each with the cause (an older day's scores).
    pub skipped: Vec<(String, String)>,
    /// Files in the folder that are none of the known feeds: the first 1000.
    pub unrecognised: Vec<String>,
    /// How many such files there are.
    pub unrecognised_count: u64,
}

/// Brings the database in `dir` up to date. Dropping the future ends the work at the next entry; what was not yet
/// complete leaves the old data in use.
///
/// # Errors
/// Another update runs, the folder cannot be written, or the folder to read from cannot be read at all. What is wrong
/// with one source is in the report.
pub async fn update(
    dir: &Path,
    plan: &Plan,
    progress: Arc<dyn Progress>,
) -> Result<UpdateReport, DbError> {
    let cancel = Cancel(Arc::new(AtomicBool::new(false)));
    match &plan.origin {
        Origin::Folder(from) => {
            let (dir, from, plan) = (dir.to_owned(), from.clone(), plan.clone());
            let cancelled = Arc::clone(&cancel.0);
            blocking(move || folder::load(&dir, &from, &plan, &*progress, cancelled)).await
        }
        Origin::Publishers | Origin::Mirror(_) => {
            network::fetch(dir, plan, progress, &cancel).await
        }
    }
}

/// Runs work that reads and computes on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(DbError::Refused(format!("the update ended early: {error}"))),
    }
}

/// Tells the threads when nobody waits any more.
pub(super) struct Cancel(pub Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
