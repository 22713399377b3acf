//! Keeping a verification: all of it in one transaction, or nothing; and forgetting old ones.
//!
//! Texts of findings are not kept (they are content, found again by the check's id).

use haechi_core::diff::Kept;
use haechi_core::report::distinct;
use haechi_core::{Finding, Report};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::{DAY_SECONDS, Store, VerificationId};

/// Rows written by one statement: 11 values each, and SQLite takes at most 32 766 values.
const ROWS_AT_ONCE: usize = 1000;

/// The findings of a report as they are kept, each once, in the order of the report.
pub fn kept_of<T>(report: &Report<T>) -> Vec<Kept> {
    distinct(&report.items).map(kept).collect()
}

fn kept<T>(finding: &Finding<T>) -> Kept {
    Kept {
        check: finding.check.clone(),
        kind: finding.subject.kind,
        name: finding.subject.name.clone(),
        id: finding.subject.id.clone(),
        area: finding.area,
        severity: finding.severity,
        status: finding.status,
        cause: finding.cause,
        seen: finding.evidence.iter().map(|evidence| evidence.seen.clone()).collect(),
    }
}

impl Store {
    /// Keeps a verification; `complete` says that everything was looked at that can be.
    ///
    /// # Errors
    /// The report's time is no RFC 3339 time; or it could not be written: then nothing of it was.
    pub async fn record(
        &self,
        report: &Report,
        complete: bool,
    ) -> Result<VerificationId, StoreError> {
        let doing = "keeping the verification";
        let failed = self.failed(doing);
        let taken: Timestamp = report.taken_at.parse().map_err(|error| {
            StoreError::BadReport(format!("taken_at {:?} is no time ({error})", report.taken_at))
        })?;
        let kept = kept_of(report);
        let (score, summary) = (json(&report.score)?, json(&report.summary)?);
        let host_line = json(&report.host)?;

        let mut writing = self.begin(doing).await?;
        let id: VerificationId = sqlx::query_scalar(
            "INSERT INTO verification (host, benchmark, taken_at, taken_s, haechi_version, policy,
                 complete, containers, score_total, score, summary, host_line, findings)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(&report.host.name)
        .bind(&report.benchmark)
        .bind(taken.to_string())
        .bind(taken.as_second())
        .bind(&report.haechi_version)
        .bind(&report.policy)
        .bind(complete)
        .bind(report.host.containers)
        .bind(report.score.total)
        .bind(score)
        .bind(summary)
        .bind(host_line)
        .bind(count(kept.len()))
        .fetch_one(&mut *writing.all)
        .await
        .map_err(failed)?;

        for (chunk, rows) in kept.chunks(ROWS_AT_ONCE).enumerate() {
            let mut numbered = Vec::with_capacity(rows.len());
            for (place, row) in rows.iter().enumerate() {
                numbered.push((count(chunk * ROWS_AT_ONCE + place), row, json(&row.seen)?));
            }
            let mut insert = QueryBuilder::new(
                "INSERT INTO finding (verification, n, check_id, kind, name, subject_id, area,
                     severity, status, cause, seen) ",
            );
            insert.push_values(numbered, |mut values, (n, row, seen)| {
                values
                    .push_bind(id)
                    .push_bind(n)
                    .push_bind(&row.check)
                    .push_bind(row.kind.name())
                    .push_bind(&row.name)
                    .push_bind(&row.id)
                    .push_bind(row.area.name())
                    .push_bind(row.severity.name())
                    .push_bind(row.status.name())
                    .push_bind(row.cause.map(|cause| cause.name()))
                    .push_bind(seen);
            });
            insert.build().execute(&mut *writing.all).await.map_err(failed)?;
        }
        writing.commit().await.map_err(failed)?;
        Ok(id)
    }

    /// Forgets verifications that are older than `keep_days`, and says how many. The latest one and
    /// the latest complete one of every host and benchmark stay.
    ///
    /// # Errors
    /// It could not be written, and then nothing was forgotten.
    pub async fn prune(&self, keep_days: u32, now: Timestamp) -> Result<u64, StoreError> {
        let doing = "forgetting old verifications";
        let oldest = now.as_second().saturating_sub(DAY_SECONDS * i64::from(keep_days));
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "DELETE FROM verification WHERE taken_s < ?
             AND id NOT IN (SELECT max(id) FROM verification GROUP BY host, benchmark)
             AND id NOT IN (SELECT max(id) FROM verification WHERE complete = 1
                            GROUP BY host, benchmark)",
        )
        .bind(oldest)
        .execute(&mut *writing.all)
        .await
        .map_err(self.failed(doing))?;
        writing.commit().await.map_err(self.failed(doing))?;
        Ok(done.rows_affected())
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::BadReport(error.to_string()))
}

/// A length as SQLite's integer.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
