//! Several questions about verifications, answered from one moment: a verification that ends meanwhile is not seen.
//!
//! Newest first means greatest id first: clocks jump, ids do not. Nothing is written here.

use sqlx::{Sqlite, Transaction};

use crate::error::StoreError;
use crate::read::ListRow;
use crate::{Store, VerificationId, VerificationRow};

/// The store at one moment. Held for as long as one answer takes: it keeps a connection.
#[derive(Debug)]
pub struct View<'a> {
    pub(crate) store: &'a Store,
    pub(crate) all: Transaction<'static, Sqlite>,
}

impl Store {
    /// The store as it is at the first question.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn view(&self) -> Result<View<'_>, StoreError> {
        let all = self.pool.begin().await.map_err(self.failed("reading"))?;
        Ok(View { store: self, all })
    }
}

impl View<'_> {
    /// Verifications, newest first: of a benchmark, or of all; those before a number.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn verifications(
        &mut self,
        benchmark: Option<&str>,
        before: Option<VerificationId>,
        limit: u32,
    ) -> Result<Vec<VerificationRow>, StoreError> {
        let rows: Vec<ListRow> = sqlx::query_as(match benchmark {
            Some(_) => {
                "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete
                 FROM verification WHERE benchmark = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
            }
            None => {
                "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete
                 FROM verification WHERE id < ?2 ORDER BY id DESC LIMIT ?3"
            }
        })
        .bind(benchmark)
        .bind(before.map_or(i64::MAX, |id| id.0))
        .bind(limit)
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("reading the history"))?;
        rows.into_iter().map(|row| self.store.list_row(row)).collect()
    }

    /// The newest verification of a benchmark, of whichever host.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn newest(&mut self, benchmark: &str) -> Result<Option<VerificationRow>, StoreError> {
        Ok(self.verifications(Some(benchmark), None, 1).await?.pop())
    }

    /// Scores of the last verifications of a host with a benchmark, the newest first: number, time, score, and whether everything
    /// could be seen.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn scores(
        &mut self,
        host: &str,
        benchmark: &str,
        limit: u32,
    ) -> Result<Vec<(VerificationId, String, Option<f64>, bool)>, StoreError> {
        sqlx::query_as(
            "SELECT id, taken_at, score_total, complete FROM verification
             WHERE host = ? AND benchmark = ? ORDER BY id DESC LIMIT ?",
        )
        .bind(host)
        .bind(benchmark)
        .bind(limit)
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("reading scores"))
    }
}
