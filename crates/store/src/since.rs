//! Since when something has not been as it should be: carried on from one verification to the next.
//!
//! What a verification could not see as a whole proves nothing: a subject that is missing in one that was not complete
//! is taken to be as it was in the last complete one.

use std::collections::HashMap;

use haechi_core::Status;
use haechi_core::diff::Kept;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::{Store, VerificationId};

/// Whether nobody has to do or to have accepted anything.
pub(crate) fn is_as_it_should_be(status: Status) -> bool {
    matches!(status, Status::Pass | Status::NotApplicable)
}

/// A check, and kind and name of its subject: what is made anew under its old name is the same to people.
type Key = (String, String, String);

/// What was not as it should be before, and since when (seconds since 1970).
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    findings: HashMap<Key, i64>,
    items: HashMap<String, i64>,
}

impl Earlier {
    pub(crate) fn finding(&self, kept: &Kept) -> Option<i64> {
        let key = (kept.check.clone(), kept.kind.name().to_owned(), kept.name.clone());
        self.findings.get(&key).copied()
    }

    pub(crate) fn item(&self, id: &str) -> Option<i64> {
        self.items.get(id).copied()
    }
}

#[derive(sqlx::FromRow)]
struct Last {
    id: VerificationId,
    taken_s: i64,
    complete: bool,
}

impl Store {
    /// What the last verification of a host and benchmark found.
    pub(crate) async fn earlier(&self, host: &str, benchmark: &str) -> Result<Earlier, StoreError> {
        let failed = self.failed("reading the verification before");
        let mut view = self.pool.begin().await.map_err(failed)?;
        let mut earlier = Earlier::default();
        let mut last = Vec::new();
        for least in [false, true] {
            let found: Option<Last> = sqlx::query_as(
                "SELECT id, taken_s, complete FROM verification
                 WHERE host = ? AND benchmark = ? AND complete >= ? ORDER BY id DESC LIMIT 1",
            )
            .bind(host)
            .bind(benchmark)
            .bind(least)
            .fetch_optional(&mut *view)
            .await
            .map_err(failed)?;
            last.extend(found);
            if last.iter().any(|one| one.complete) {
                break;
            }
        }
        // The last one is read after the last complete one, and says more where it says anything.
        for one in last.iter().rev() {
            let rows: Vec<(String, String, String, bool, Option<i64>)> = sqlx::query_as(
                "SELECT check_id, kind, name, status IN ('pass', 'not-applicable'), since_s
                 FROM finding WHERE verification = ?1
                 AND (?2 OR status NOT IN ('pass', 'not-applicable'))",
            )
            .bind(one.id)
            .bind(!one.complete)
            .fetch_all(&mut *view)
            .await
            .map_err(failed)?;
            for (check, kind, name, good, since) in rows {
                let key = (check, kind, name);
                if good {
                    earlier.findings.remove(&key);
                } else {
                    earlier.findings.insert(key, since.unwrap_or(one.taken_s));
                }
            }
        }
        if let Some(newest) = last.first() {
            let rows: Vec<(String, Option<i64>)> =
                sqlx::query_as("SELECT item, since_s FROM item WHERE verification = ?")
                    .bind(newest.id)
                    .fetch_all(&mut *view)
                    .await
                    .map_err(failed)?;
            earlier.items =
                rows.into_iter().filter_map(|(item, since)| Some((item, since?))).collect();
        }
        view.rollback().await.map_err(failed)?;
        Ok(earlier)
    }
}

impl Store {
    /// Since when a check has failed for the subject for which it has failed longest, as a verification knew it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn fails_since(
        &self,
        verification: VerificationId,
        check: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let second: Option<i64> = sqlx::query_scalar(
            "SELECT min(since_s) FROM finding
             WHERE verification = ? AND check_id = ? AND status = 'fail' AND newest = 1",
        )
        .bind(verification)
        .bind(check)
        .fetch_one(&self.pool)
        .await
        .map_err(self.failed("looking since when a check fails"))?;
        Ok(second.and_then(|second| Timestamp::from_second(second).ok()))
    }
}
