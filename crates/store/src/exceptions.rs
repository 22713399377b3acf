//! Failures that the site accepted from the command line.
//!
//! They count like the exceptions of the policy; whether one is in force is `haechi-core`'s to say.

use haechi_core::policy::Exception;
use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;

/// An exception as it is on record.
#[derive(Debug, Clone, PartialEq)]
pub struct ExceptionKept {
    /// Its number.
    pub number: i64,
    /// What is accepted.
    pub exception: Exception,
    /// When it was accepted.
    pub added: Timestamp,
    /// When it was taken back; `None` if it was not.
    pub withdrawn: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct ExceptionRow {
    id: i64,
    check_id: String,
    kind: Option<String>,
    subject: String,
    reason: String,
    owner: String,
    expires: String,
    added_s: i64,
    withdrawn_s: Option<i64>,
}

impl Store {
    /// Keeps an exception; its number.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn add_exception(&self, exception: &Exception) -> Result<i64, StoreError> {
        let doing = "keeping an exception";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "INSERT INTO exception (check_id, kind, subject, reason, owner, expires, added_s)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&exception.check)
        .bind(exception.kind.map(|kind| kind.name()))
        .bind(&exception.subject)
        .bind(&exception.reason)
        .bind(&exception.owner)
        .bind(exception.expires.to_string())
        .bind(Timestamp::now().as_second())
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.all.commit().await.map_err(failed)?;
        Ok(done.last_insert_rowid())
    }

    /// All exceptions with their numbers, expired ones too but not those taken back, oldest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn exceptions(&self) -> Result<Vec<(i64, Exception)>, StoreError> {
        let rows: Vec<ExceptionRow> = sqlx::query_as(
            "SELECT id, check_id, kind, subject, reason, owner, expires, added_s, withdrawn_s
             FROM exception WHERE withdrawn_s IS NULL ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading exceptions"))?;
        let kept = |row| self.exception(row).map(|kept| (kept.number, kept.exception));
        rows.into_iter().map(kept).collect()
    }

    /// Exceptions that were there at some time of a period, those taken back since too, oldest first; the end is not in
    /// it.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn exceptions_in(
        &self,
        from: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<ExceptionKept>, StoreError> {
        let rows: Vec<ExceptionRow> = sqlx::query_as(
            "SELECT id, check_id, kind, subject, reason, owner, expires, added_s, withdrawn_s
             FROM exception WHERE added_s < ?2 AND (withdrawn_s IS NULL OR withdrawn_s >= ?1) ORDER BY id",
        )
        .bind(from.as_second())
        .bind(end.as_second())
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading exceptions"))?;
        rows.into_iter().map(|row| self.exception(row)).collect()
    }

    fn exception(&self, row: ExceptionRow) -> Result<ExceptionKept, StoreError> {
        let odd = || self.damaged(format!("exception {} cannot be understood", row.id));
        let kind = match &row.kind {
            Some(kind) => Some(serde_json::from_value(kind.as_str().into()).map_err(|_| odd())?),
            None => None,
        };
        let expires = row.expires.parse().map_err(|_| odd())?;
        let exception = Exception {
            check: row.check_id,
            kind,
            subject: row.subject,
            reason: row.reason,
            owner: row.owner,
            expires,
        };
        let moment = |second| Timestamp::from_second(second).map_err(|_| odd());
        let (added, withdrawn) = (moment(row.added_s)?, row.withdrawn_s.map(moment).transpose()?);
        Ok(ExceptionKept { number: row.id, exception, added, withdrawn })
    }

    /// Takes an exception back. That it was there stays on record.
    ///
    /// # Errors
    /// There is none of this number, or the database cannot be written.
    pub async fn remove_exception(&self, number: i64) -> Result<(), StoreError> {
        let doing = "removing an exception";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "UPDATE exception SET withdrawn_s = ? WHERE id = ? AND withdrawn_s IS NULL",
        )
        .bind(Timestamp::now().as_second())
        .bind(number)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.all.commit().await.map_err(failed)?;
        match done.rows_affected() {
            0 => Err(StoreError::NoException(number)),
            _ => Ok(()),
        }
    }
}
