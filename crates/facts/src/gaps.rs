//! Recording what could not be observed.
//!
//! A collector that cannot learn a fact leaves the field absent and records why here; [`Gaps`] is shared by
//! all collectors of one run. It decides nothing: what a gap means for a check is `haechi-checks`' business.

use std::sync::Mutex;

use haechi_core::facts::Gap;
use haechi_core::finding::{Cause, SubjectKind};

/// The gaps of one run.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<Vec<Gap>>);

impl Gaps {
    /// Records that `fact` of the only subject of its kind (host, engine, swarm) was not, or not completely, observed.
    pub fn record(&self, kind: SubjectKind, fact: &str, cause: Cause, detail: impl Into<String>) {
        self.record_for(kind, "", fact, cause, detail);
    }

    /// Records that `fact` of the subject `id` was not, or not completely, observed. An empty `fact` means all of it.
    pub fn record_for(
        &self,
        kind: SubjectKind,
        id: &str,
        fact: &str,
        cause: Cause,
        detail: impl Into<String>,
    ) {
        let gap = Gap { kind, id: id.into(), fact: fact.into(), cause, detail: detail.into() };
        // A panic while holding the lock cannot leave a half-pushed gap, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(gap);
    }

    /// The value, or `None` with the error recorded.
    pub fn keep<T, E: Observed>(
        &self,
        kind: SubjectKind,
        fact: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.record(kind, fact, error.gap_cause(), error.to_string())).ok()
    }

    /// All gaps, sorted, each once.
    pub fn into_sorted(self) -> Vec<Gap> {
        let mut gaps = self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        gaps.sort();
        gaps.dedup();
        gaps
    }
}

/// An error of a collector that knows which cause it is.
pub trait Observed: std::error::Error {
    /// The cause.
    fn gap_cause(&self) -> Cause;
}
