//! Findings of the newest verification of a host and benchmark, as pages ask for them: by check, and by subject.
//!
//! Of an earlier verification nothing is found here. Each question is answered from one index, page by page.

use std::collections::BTreeSet;

use haechi_core::diff::Kept;
use haechi_core::{Status, Subject, SubjectKind, Text};
use jiff::Timestamp;
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::read::KeptRow;
use crate::record::Detail;
use crate::{VerificationId, View};

/// Findings that are asked for by number in one statement.
const NUMBERS_AT_ONCE: usize = 1000;
/// Findings about one subject: more than there are checks.
const OF_SUBJECT_MAX: u32 = 1000;

/// A finding of the newest verification, with all that was kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its number within the verification.
    pub n: i64,
    /// What is kept of every finding.
    pub kept: Kept,
    /// Since when it has not been as it should be; absent if it is.
    pub since: Option<Timestamp>,
    /// Why it does not apply or could not be verified.
    pub reason: Option<Text>,
    /// What mends this very subject.
    pub fix: Option<String>,
    /// Where each line of evidence was read, if not all in one place: then it is the place that the check names.
    pub sources: Vec<String>,
}

/// What was decided for a subject of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Its number within the verification.
    pub n: i64,
    /// The subject; its id is not told.
    pub subject: Subject,
}

#[derive(sqlx::FromRow)]
struct PresentRow {
    n: i64,
    #[sqlx(flatten)]
    kept: KeptRow,
    since_s: Option<i64>,
    detail: Option<String>,
}

const COLUMNS: &str = "SELECT n, check_id, kind, name, subject_id, area, severity, status, cause, seen, since_s, detail FROM finding";
/// Findings of one verification, which comes next, from an index that has those of the newest only.
const BY_CHECK: &str = " INDEXED BY finding_of_check WHERE newest = 1 AND verification = ";
const BY_SUBJECT: &str = " INDEXED BY finding_of_subject WHERE newest = 1 AND verification = ";
const BY_NUMBER: &str = " WHERE newest = 1 AND verification = ";

impl View<'_> {
    /// Findings of a check that were decided so, by the name of their subject: those after a name and number.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn findings_of_check(
        &mut self,
        id: VerificationId,
        check: &str,
        status: Status,
        after: Option<(&str, i64)>,
        limit: u32,
    ) -> Result<Vec<Present>, StoreError> {
        let mut sql = QueryBuilder::new(COLUMNS);
        sql.push(BY_CHECK).push_bind(id);
        sql.push(" AND check_id = ").push_bind(check);
        sql.push(" AND status = ").push_bind(status.name());
        if let Some((name, n)) = after {
            sql.push(" AND (name, n) > (").push_bind(name).push(", ").push_bind(n).push(")");
        }
        sql.push(" ORDER BY name, n LIMIT ").push_bind(limit);
        self.present(sql).await
    }

    /// Findings about a subject, in no order.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn findings_of_subject(
        &mut self,
        id: VerificationId,
        kind: SubjectKind,
        subject: &str,
    ) -> Result<Vec<Present>, StoreError> {
        let mut sql = QueryBuilder::new(COLUMNS);
        sql.push(BY_SUBJECT).push_bind(id);
        sql.push(" AND kind = ").push_bind(kind.name());
        sql.push(" AND subject_id = ").push_bind(subject);
        sql.push(" LIMIT ").push_bind(OF_SUBJECT_MAX);
        self.present(sql).await
    }

    /// The findings of these numbers, by the name of their subject.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn findings_at(
        &mut self,
        id: VerificationId,
        numbers: &[i64],
    ) -> Result<Vec<Present>, StoreError> {
        let mut found = Vec::with_capacity(numbers.len());
        for numbers in numbers.chunks(NUMBERS_AT_ONCE) {
            let mut sql = QueryBuilder::new(COLUMNS);
            sql.push(BY_NUMBER).push_bind(id).push(" AND n IN (");
            let mut list = sql.separated(", ");
            for n in numbers {
                list.push_bind(*n);
            }
            sql.push(")");
            found.extend(self.present(sql).await?);
        }
        found.sort_by(|a, b| (&a.kept.name, a.n).cmp(&(&b.kept.name, b.n)));
        Ok(found)
    }

    /// What was decided so for the subjects of a check whose names begin like this.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn decided(
        &mut self,
        id: VerificationId,
        check: &str,
        status: Status,
        beginning: &str,
    ) -> Result<Vec<Decided>, StoreError> {
        // All that begin like it are between it and it with the last character there is.
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT n, kind, name FROM finding
             WHERE newest = 1 AND verification = ?1 AND check_id = ?2 AND status = ?3
             AND name >= ?4 AND name <= ?4 || char(1114111)",
        )
        .bind(id)
        .bind(check)
        .bind(status.name())
        .bind(beginning)
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("reading findings"))?;
        rows.into_iter()
            .map(|(n, kind, name)| {
                let subject = Subject { kind: self.store.word(&kind)?, name, id: String::new() };
                Ok(Decided { n, subject })
            })
            .collect()
    }

    /// Checks with findings about subjects whose names have this in them; of ASCII letters the case does not matter.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn checks_about(
        &mut self,
        id: VerificationId,
        text: &str,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut pattern = String::from("%");
        for c in text.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        let checks: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT check_id FROM finding INDEXED BY finding_of_check
             WHERE newest = 1 AND verification = ?1 AND name LIKE ?2 ESCAPE '\\'",
        )
        .bind(id)
        .bind(pattern)
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("looking for subjects"))?;
        Ok(checks.into_iter().collect())
    }

    /// The check, status, name and number of a finding: a place in a list of them. `None` if it is forgotten.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn place(
        &mut self,
        id: VerificationId,
        n: i64,
    ) -> Result<Option<(String, Status, Subject)>, StoreError> {
        let row: Option<(String, String, String, String)> = sqlx::query_as(
            "SELECT check_id, status, kind, name FROM finding WHERE verification = ? AND n = ?",
        )
        .bind(id)
        .bind(n)
        .fetch_optional(&mut *self.all)
        .await
        .map_err(self.store.failed("reading a finding"))?;
        row.map(|(check, status, kind, name)| {
            let subject = Subject { kind: self.store.word(&kind)?, name, id: String::new() };
            Ok((check, self.store.word(&status)?, subject))
        })
        .transpose()
    }

    async fn present(
        &mut self,
        mut sql: QueryBuilder<sqlx::Sqlite>,
    ) -> Result<Vec<Present>, StoreError> {
        let rows: Vec<PresentRow> = sql
            .build_query_as()
            .fetch_all(&mut *self.all)
            .await
            .map_err(self.store.failed("reading findings"))?;
        rows.into_iter()
            .map(|row| {
                let detail: Detail = match &row.detail {
                    Some(detail) => self.store.json(detail)?,
                    None => Detail::default(),
                };
                Ok(Present {
                    n: row.n,
                    kept: self.store.kept_row(row.kept)?,
                    since: row.since_s.and_then(|second| Timestamp::from_second(second).ok()),
                    reason: detail.reason,
                    fix: detail.fix,
                    sources: detail.sources,
                })
            })
            .collect()
    }
}
