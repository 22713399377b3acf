//! What is new, in one order: alerts, actions that were begun or went on, work, verifications.
//!
//! Numbers only grow, whatever process wrote; whoever asks with the last number it has seen misses nothing. Only the
//! last 100,000 are kept.

use std::collections::BTreeSet;

use crate::Store;
use crate::error::StoreError;

/// Changes that are told at once.
const AT_ONCE: u32 = 500;

/// What changed since a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The last number that this goes up to.
    pub up_to: i64,
    /// Whether some before these are not known any more.
    pub gap: bool,
    /// Numbers of alerts, the oldest first.
    pub alerts: BTreeSet<i64>,
    /// Numbers of actions.
    pub actions: BTreeSet<i64>,
    /// Numbers of pieces of work.
    pub jobs: BTreeSet<i64>,
    /// Numbers of verifications.
    pub verifications: BTreeSet<i64>,
}

impl Store {
    /// The number of the newest change; 0 if there was none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn newest_change(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.failed("looking for what is new"))
    }

    /// What changed after a number; at most some hundred changes, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn changes(&self, after: i64) -> Result<Changes, StoreError> {
        let rows: Vec<(i64, String, i64)> =
            sqlx::query_as("SELECT n, kind, id FROM change WHERE n > ? ORDER BY n LIMIT ?")
                .bind(after)
                .bind(AT_ONCE)
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("reading what is new"))?;
        let gap = rows.first().is_some_and(|(n, ..)| *n > after + 1);
        let mut changes = Changes { up_to: after, gap, ..Changes::default() };
        for (n, kind, id) in rows {
            changes.up_to = n;
            let _ = match kind.as_str() {
                "alert" => changes.alerts.insert(id),
                "action" => changes.actions.insert(id),
                "job" => changes.jobs.insert(id),
                "verification" => changes.verifications.insert(id),
                other => return Err(self.damaged(format!("change {n} is of {other:?}"))),
            };
        }
        Ok(changes)
    }

    /// Paths of the files that the newest verification judged.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn file_subjects(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT DISTINCT name FROM finding
             WHERE verification = (SELECT max(id) FROM verification) AND kind = 'file'",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("looking which files are watched"))
    }
}
