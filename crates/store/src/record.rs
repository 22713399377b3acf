//! Keeping a verification: all of it in one transaction, or nothing; and forgetting old ones.
//!
//! Texts of findings are not kept that are content, found again by the check's id. What only the newest verification of
//! a host and benchmark has (details, places in the indexes) is taken from those before it afterwards, in short steps.

use std::collections::HashMap;

use haechi_core::diff::Kept;
use haechi_core::report::distinct;
use haechi_core::{Finding, Report, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::since::{Earlier, is_as_it_should_be};
use crate::tally::Tally;
use crate::{DAY_SECONDS, Store, VerificationId, Writing};

/// Rows written by one statement: 14 values each, and SQLite takes at most 32 766 values.
const ROWS_AT_ONCE: usize = 1000;
/// Findings that lose their details in one transaction: short enough that alerts need not wait.
const AT_ONCE: i64 = 5000;

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

/// What is kept of a finding besides, while its verification is the newest.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Detail {
    /// Why it does not apply or could not be verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Text>,
    /// What mends this very subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
    /// Where each line was read, if not all in one place: then it is the place that the check names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<String>,
}

impl Detail {
    fn of(finding: &Finding) -> Self {
        let mut sources: Vec<String> =
            finding.evidence.iter().map(|evidence| evidence.source.clone()).collect();
        if sources.iter().all(|source| Some(source) == sources.first()) {
            sources.clear();
        }
        Self { reason: finding.reason.clone(), fix: finding.fix.clone(), sources }
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
        let findings: Vec<&Finding> = distinct(&report.items).collect();
        let (score, summary) = (json(&report.score)?, json(&report.summary)?);
        let host_line = json(&report.host)?;
        // Read before the writing begins: it takes a while, and alerts wait for whoever writes.
        let earlier = self.earlier(&report.host.name, &report.benchmark).await?;

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
        .bind(count(findings.len()))
        .fetch_one(&mut *writing.all)
        .await
        .map_err(failed)?;

        let since = self.add_findings(&mut writing, id, taken, &findings, &earlier).await?;
        self.add_tallies(&mut writing, id, &Tally::of(&findings)).await?;
        let items = report.items.iter().map(|item| {
            let first = item.findings.iter().filter_map(|one| since.get(&one.key()).copied()).min();
            let since = earlier.item(&item.id).or(first);
            (&item.id, item.status, since.filter(|_| !is_as_it_should_be(item.status)))
        });
        self.add_items(&mut writing, id, items).await?;
        writing.commit().await.map_err(failed)?;
        let forgotten = self.forget_details(&report.host.name, &report.benchmark, id).await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "the next verification forgets these details");
        }
        Ok(id)
    }

    /// Writes the findings; since when each is open, of those that are.
    async fn add_findings<'f>(
        &self,
        writing: &mut Writing,
        id: VerificationId,
        taken: Timestamp,
        findings: &[&'f Finding],
        earlier: &Earlier,
    ) -> Result<HashMap<(&'f str, &'f haechi_core::Subject), i64>, StoreError> {
        let failed = self.failed("keeping the verification");
        let mut since = HashMap::new();
        for (chunk, rows) in findings.chunks(ROWS_AT_ONCE).enumerate() {
            let mut numbered = Vec::with_capacity(rows.len());
            for (place, finding) in rows.iter().enumerate() {
                let kept = kept(finding);
                let seen = json(&kept.seen)?;
                let detail = Detail::of(finding);
                let detail = (detail != Detail::default()).then(|| json(&detail)).transpose()?;
                let open = (!is_as_it_should_be(kept.status))
                    .then(|| earlier.finding(&kept).unwrap_or(taken.as_second()));
                if let Some(open) = open {
                    since.insert(finding.key(), open);
                }
                numbered.push((count(chunk * ROWS_AT_ONCE + place), kept, seen, open, detail));
            }
            let mut insert = QueryBuilder::new(
                "INSERT INTO finding (verification, n, check_id, kind, name, subject_id, area,
                     severity, status, cause, seen, since_s, detail, newest) ",
            );
            insert.push_values(numbered, |mut values, (n, row, seen, since, detail)| {
                values
                    .push_bind(id)
                    .push_bind(n)
                    .push_bind(row.check)
                    .push_bind(row.kind.name())
                    .push_bind(row.name)
                    .push_bind(row.id)
                    .push_bind(row.area.name())
                    .push_bind(row.severity.name())
                    .push_bind(row.status.name())
                    .push_bind(row.cause.map(|cause| cause.name()))
                    .push_bind(seen)
                    .push_bind(since)
                    .push_bind(detail)
                    .push_bind(true);
            });
            insert.build().execute(&mut *writing.all).await.map_err(failed)?;
        }
        Ok(since)
    }

    /// Takes from the verifications before this one what only the newest has. Interrupted, the next one does it.
    async fn forget_details(
        &self,
        host: &str,
        benchmark: &str,
        newest: VerificationId,
    ) -> Result<(), StoreError> {
        let doing = "forgetting details of earlier verifications";
        let failed = self.failed(doing);
        loop {
            let mut writing = self.begin(doing).await?;
            let done = sqlx::query(
                "UPDATE finding SET newest = 0, detail = NULL WHERE (verification, n) IN (
                     SELECT finding.verification, finding.n FROM verification
                     CROSS JOIN finding ON finding.verification = verification.id AND finding.newest = 1
                     WHERE verification.host = ? AND verification.benchmark = ? AND verification.id < ?
                     LIMIT ?)",
            )
            .bind(host)
            .bind(benchmark)
            .bind(newest)
            .bind(AT_ONCE)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?
            .rows_affected();
            writing.commit().await.map_err(failed)?;
            if done < AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
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

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::BadReport(error.to_string()))
}

/// A length as SQLite's integer.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
