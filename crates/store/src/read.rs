//! Reading what was kept. Newest first means greatest id first: clocks jump, ids do not.
//!
//! What cannot be understood is damage and is said, never skipped. Nothing is written here.

use std::collections::BTreeMap;

use haechi_core::Severity;
use haechi_core::diff::Kept;
use haechi_core::report::{Counts, HostLine, Summary};
use haechi_core::score::Score;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::{Store, VerificationId};

/// A verification, as a list of them shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerificationRow {
    /// Its number.
    pub id: VerificationId,
    /// When its facts were taken (RFC 3339, UTC).
    pub taken_at: String,
    /// Name of the host.
    pub host: String,
    /// Id of the benchmark.
    pub benchmark: String,
    /// The posture score; absent if no check applied.
    pub score: Option<f64>,
    /// Findings by status, each counted once.
    pub counts: Counts,
    /// Failing findings by severity.
    pub failing: BTreeMap<Severity, u64>,
    /// Number of containers; -1 if unknown.
    pub containers: i64,
    /// Whether everything was looked at that can be.
    pub complete: bool,
}

/// A verification with all that was kept of it, except for its findings ([`Store::kept`]).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// What a list shows of it.
    pub row: VerificationRow,
    /// The Haechi that decided it.
    pub haechi_version: String,
    /// The policy that was used: a path, or `defaults`.
    pub policy: String,
    /// The host and engine as they were.
    pub host: HostLine,
    /// All counts.
    pub summary: Summary,
    /// The posture score with what each check contributed.
    pub score: Score,
}

#[derive(sqlx::FromRow)]
pub(crate) struct ListRow {
    id: VerificationId,
    taken_at: String,
    host: String,
    benchmark: String,
    score_total: Option<f64>,
    summary: String,
    containers: i64,
    complete: bool,
}

#[derive(sqlx::FromRow)]
struct FullRow {
    #[sqlx(flatten)]
    list: ListRow,
    haechi_version: String,
    policy: String,
    host_line: String,
    score: String,
}

#[derive(sqlx::FromRow)]
pub(crate) struct KeptRow {
    check_id: String,
    kind: String,
    name: String,
    subject_id: String,
    area: String,
    severity: String,
    status: String,
    cause: Option<String>,
    seen: String,
}

impl Store {
    /// The verifications of a host (of all hosts without one), newest first, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn history(
        &self,
        host: Option<&str>,
        limit: u32,
    ) -> Result<Vec<VerificationRow>, StoreError> {
        let rows: Vec<ListRow> = sqlx::query_as(
            "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete
             FROM verification WHERE ?1 IS NULL OR host = ?1 ORDER BY id DESC LIMIT ?2",
        )
        .bind(host)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading the history"))?;
        rows.into_iter().map(|row| self.list_row(row)).collect()
    }

    /// The latest verification of a host with a benchmark: of all, or of those before another one.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn latest(
        &self,
        host: &str,
        benchmark: &str,
        before: Option<VerificationId>,
    ) -> Result<Option<VerificationRow>, StoreError> {
        let row: Option<ListRow> = sqlx::query_as(
            "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete
             FROM verification WHERE host = ?1 AND benchmark = ?2 AND (?3 IS NULL OR id < ?3)
             ORDER BY id DESC LIMIT 1",
        )
        .bind(host)
        .bind(benchmark)
        .bind(before)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("looking for the latest verification"))?;
        row.map(|row| self.list_row(row)).transpose()
    }

    /// One verification.
    ///
    /// # Errors
    /// There is none of this number, or the database cannot be read or is damaged.
    pub async fn verification(&self, id: VerificationId) -> Result<Verification, StoreError> {
        let row: FullRow = sqlx::query_as(
            "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete,
                    haechi_version, policy, host_line, score
             FROM verification WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("reading a verification"))?
        .ok_or_else(|| none(id))?;
        Ok(Verification {
            summary: self.json(&row.list.summary)?,
            row: self.list_row(row.list)?,
            haechi_version: row.haechi_version,
            policy: row.policy,
            host: self.json(&row.host_line)?,
            score: self.json(&row.score)?,
        })
    }

    /// The posture score of one verification, with what each check contributed.
    ///
    /// # Errors
    /// There is none of this number, or the database cannot be read or is damaged.
    pub async fn score(&self, id: VerificationId) -> Result<Score, StoreError> {
        let score: String = sqlx::query_scalar("SELECT score FROM verification WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("reading a score"))?
            .ok_or_else(|| none(id))?;
        self.json(&score)
    }

    /// The findings of one verification, in the order of its report.
    ///
    /// # Errors
    /// There is none of this number, or the database cannot be read or is damaged.
    pub async fn kept(&self, id: VerificationId) -> Result<Vec<Kept>, StoreError> {
        let failed = self.failed("reading findings");
        // One view for both questions: another process may forget old verifications meanwhile.
        let mut view = self.pool.begin().await.map_err(failed)?;
        let findings: i64 = sqlx::query_scalar("SELECT findings FROM verification WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *view)
            .await
            .map_err(failed)?
            .ok_or_else(|| none(id))?;
        let rows: Vec<KeptRow> = sqlx::query_as(
            "SELECT check_id, kind, name, subject_id, area, severity, status, cause, seen
             FROM finding WHERE verification = ? ORDER BY n",
        )
        .bind(id)
        .fetch_all(&mut *view)
        .await
        .map_err(failed)?;
        view.rollback().await.map_err(failed)?;
        if i64::try_from(rows.len()) != Ok(findings) {
            let found = rows.len();
            return Err(
                self.damaged(format!("verification {id} has {found} of {findings} findings"))
            );
        }
        rows.into_iter().map(|row| self.kept_row(row)).collect()
    }

    pub(crate) fn list_row(&self, row: ListRow) -> Result<VerificationRow, StoreError> {
        let summary: Summary = self.json(&row.summary)?;
        Ok(VerificationRow {
            id: row.id,
            taken_at: row.taken_at,
            host: row.host,
            benchmark: row.benchmark,
            score: row.score_total,
            counts: summary.findings,
            failing: summary.failing,
            containers: row.containers,
            complete: row.complete,
        })
    }

    pub(crate) fn kept_row(&self, row: KeptRow) -> Result<Kept, StoreError> {
        Ok(Kept {
            check: row.check_id,
            kind: self.word(&row.kind)?,
            name: row.name,
            id: row.subject_id,
            area: self.word(&row.area)?,
            severity: self.word(&row.severity)?,
            status: self.word(&row.status)?,
            cause: row.cause.map(|cause| self.word(&cause)).transpose()?,
            seen: self.json(&row.seen)?,
        })
    }

    /// One of a closed list of names.
    pub(crate) fn word<'a, T: Deserialize<'a>>(&self, name: &'a str) -> Result<T, StoreError> {
        let deserializer: StrDeserializer<'_, ValueError> = name.into_deserializer();
        T::deserialize(deserializer).map_err(|error| self.damaged(error.to_string()))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.damaged(error.to_string()))
    }
}

/// There is no verification of this number.
pub(crate) fn none(id: VerificationId) -> StoreError {
    StoreError::NotFound {
        asked: id.to_string(),
        detail: "there is no verification of this number".to_owned(),
    }
}
