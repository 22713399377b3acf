//! Keeps the audit log: adds records one after the other, whichever process asks, and reads them.
//!
//! Each record is chained and, if it is its turn, signed in the transaction that adds it. What a chain is, is
//! `haechi-audit`'s to say; nothing is ever changed or removed here.

use haechi_audit::{Checkpoint, EVERY, Hash, Kept, Record};

use crate::Store;
use crate::error::StoreError;
use crate::page::{moment, nanoseconds};
use crate::{Writing, page};

const COLUMNS: &str = "number, at, actor, address, action, subject, outcome, detail, hash";

/// Signs the hash of a record.
pub type Sign<'a> = &'a (dyn Fn(u64, Hash) -> Checkpoint + Send + Sync);

#[derive(sqlx::FromRow)]
struct AuditRow {
    number: i64,
    at: i64,
    actor: String,
    address: String,
    action: String,
    subject: String,
    outcome: String,
    detail: String,
    hash: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct CheckpointRow {
    number: i64,
    hash: Vec<u8>,
    at: i64,
    signature: String,
}

/// What somebody wrote there instead of a hash or a number is none that fits.
fn hash(bytes: &[u8]) -> Hash {
    bytes.try_into().map_or(Hash::NONE, Hash)
}

fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl From<AuditRow> for Kept {
    fn from(row: AuditRow) -> Self {
        let record = Record {
            number: number(row.number),
            at: moment(row.at),
            actor: row.actor,
            address: row.address,
            action: row.action,
            subject: row.subject,
            outcome: row.outcome,
            detail: row.detail,
        };
        Self { record, hash: hash(&row.hash) }
    }
}

impl From<CheckpointRow> for Checkpoint {
    fn from(row: CheckpointRow) -> Self {
        Self {
            number: number(row.number),
            hash: hash(&row.hash),
            at: moment(row.at),
            signature: row.signature,
        }
    }
}

impl Store {
    /// Adds a record with the next number, whatever number it has; and a checkpoint, if it is time for one.
    ///
    /// # Errors
    /// The database cannot be written; then there is no record.
    pub async fn add_audit(
        &self,
        mut record: Record,
        sign: Sign<'_>,
    ) -> Result<(Kept, Option<Checkpoint>), StoreError> {
        let doing = "adding to the audit log";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let (last, before) = self.audit_end(&mut writing).await?;
        record.number = last + 1;
        record.at = moment(nanoseconds(record.at)); // the hash is over what is kept
        let hash = record.hash(before);
        sqlx::query(
            "INSERT INTO audit (number, at, actor, address, action, subject, outcome, detail, hash)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(record.number.cast_signed())
        .bind(nanoseconds(record.at))
        .bind(&record.actor)
        .bind(&record.address)
        .bind(&record.action)
        .bind(&record.subject)
        .bind(&record.outcome)
        .bind(&record.detail)
        .bind(hash.0.as_slice())
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        let due = record.number >= self.signed(&mut writing).await?.saturating_add(EVERY);
        let point = if due {
            Some(self.add_checkpoint(&mut writing, sign(record.number, hash)).await?)
        } else {
            None
        };
        writing.commit().await.map_err(failed)?;
        Ok((Kept { record, hash }, point))
    }

    /// Signs the newest record, if it is not signed yet.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn sign_audit(&self, sign: Sign<'_>) -> Result<Option<Checkpoint>, StoreError> {
        let doing = "signing the audit log";
        let mut writing = self.begin(doing).await?;
        let (last, hash) = self.audit_end(&mut writing).await?;
        if last <= self.signed(&mut writing).await? {
            return Ok(None);
        }
        let point = self.add_checkpoint(&mut writing, sign(last, hash)).await?;
        writing.commit().await.map_err(self.failed(doing))?;
        Ok(Some(point))
    }

    /// Number and hash of the newest record.
    async fn audit_end(&self, writing: &mut Writing) -> Result<(u64, Hash), StoreError> {
        let row: Option<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
                .fetch_optional(&mut *writing.all)
                .await
                .map_err(self.failed("reading the audit log"))?;
        Ok(row.map_or((0, Hash::NONE), |(last, bytes)| (number(last), hash(&bytes))))
    }

    /// Number of the newest record that is signed.
    async fn signed(&self, writing: &mut Writing) -> Result<u64, StoreError> {
        let newest: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM checkpoint")
            .fetch_one(&mut *writing.all)
            .await
            .map_err(self.failed("reading the audit log"))?;
        Ok(number(newest))
    }

    async fn add_checkpoint(
        &self,
        writing: &mut Writing,
        point: Checkpoint,
    ) -> Result<Checkpoint, StoreError> {
        // One that is there stays: after a log was cut it is what proves it.
        sqlx::query(
            "INSERT OR IGNORE INTO checkpoint (number, hash, at, signature) VALUES (?, ?, ?, ?)",
        )
        .bind(point.number.cast_signed())
        .bind(point.hash.0.as_slice())
        .bind(nanoseconds(point.at))
        .bind(&point.signature)
        .execute(&mut *writing.all)
        .await
        .map_err(self.failed("signing the audit log"))?;
        Ok(point)
    }

    /// Records after a number, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn audit_after(&self, after: u64, limit: u32) -> Result<Vec<Kept>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?");
        let rows: Vec<AuditRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(after.cast_signed())
            .bind(limit.min(page::PAGE_MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("reading the audit log"))?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Records before a number, the newest first; only what an account and its tokens did, if one is given.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn audit_page(
        &self,
        account: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Kept>, StoreError> {
        let of = if account.is_some() { "account = ?3 AND" } else { "" };
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE {of} number > 0 AND number < ?1 ORDER BY number DESC LIMIT ?2"
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit.min(page::PAGE_MAX));
        if let Some(account) = account {
            query = query.bind(account);
        }
        let rows: Vec<AuditRow> =
            query.fetch_all(&self.pool).await.map_err(self.failed("reading the audit log"))?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn newest_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let row: Option<CheckpointRow> = sqlx::query_as(
            "SELECT number, hash, at, signature FROM checkpoint ORDER BY number DESC LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("reading checkpoints"))?;
        Ok(row.map(Into::into))
    }

    /// All checkpoints.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let rows: Vec<CheckpointRow> =
            sqlx::query_as("SELECT number, hash, at, signature FROM checkpoint ORDER BY number")
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("reading checkpoints"))?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
