//! Findings of a verification added up by check, and how its items were decided: what pages read instead of counting.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::report::Counts;
use haechi_core::{Area, Finding, Severity, Status};
use jiff::Timestamp;
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::record::json;
use crate::{Store, VerificationId, View, Writing};

/// Rows written by one statement: 10 values each, and SQLite takes at most 32 766 values.
const ROWS_AT_ONCE: usize = 1000;

/// The findings of one check in one verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Area of the check.
    pub area: Area,
    /// Severity of the check.
    pub severity: Severity,
    /// Its findings by status.
    pub counts: Counts,
    /// Keys of the policy that were left at their default and on which it depends.
    pub defaults: BTreeSet<String>,
}

impl Tally {
    /// Adds up findings, by check.
    pub(crate) fn of<'f>(findings: &[&'f Finding]) -> BTreeMap<&'f str, Self> {
        let mut tallies: BTreeMap<&str, Self> = BTreeMap::new();
        for finding in findings {
            let tally = tallies.entry(&finding.check).or_insert_with(|| Self {
                area: finding.area,
                severity: finding.severity,
                counts: Counts::default(),
                defaults: finding.policy_defaults.iter().cloned().collect(),
            });
            tally.counts.add(finding.status);
        }
        tallies
    }
}

const ADDED_UP: &str =
    "SELECT check_id, area, severity, pass, fail, excepted, unverified, not_applicable, defaults
     FROM tally WHERE verification = ?";
/// A check has one area and one severity.
const COUNTED: &str = "SELECT check_id, min(area) AS area, min(severity) AS severity, sum(status = 'pass') AS pass,
         sum(status = 'fail') AS fail, sum(status = 'excepted') AS excepted,
         sum(status = 'unverified') AS unverified, sum(status = 'not-applicable') AS not_applicable, '[]' AS defaults
     FROM finding WHERE verification = ? GROUP BY check_id";

/// How an item was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemState {
    /// Status.
    pub status: Status,
    /// Since when it was not as it should be; absent if it was.
    pub since: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct TallyRow {
    check_id: String,
    area: String,
    severity: String,
    pass: i64,
    fail: i64,
    excepted: i64,
    unverified: i64,
    not_applicable: i64,
    defaults: String,
}

impl Store {
    pub(crate) async fn add_tallies(
        &self,
        writing: &mut Writing,
        id: VerificationId,
        tallies: &BTreeMap<&str, Tally>,
    ) -> Result<(), StoreError> {
        let failed = self.failed("keeping the verification");
        let mut rows = Vec::with_capacity(tallies.len());
        for (check, tally) in tallies {
            rows.push((*check, tally, json(&tally.defaults)?));
        }
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let mut insert = QueryBuilder::new(
                "INSERT INTO tally (verification, check_id, area, severity, pass, fail, excepted,
                     unverified, not_applicable, defaults) ",
            );
            insert.push_values(rows, |mut values, (check, tally, defaults)| {
                let counts = tally.counts;
                let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
                values
                    .push_bind(id)
                    .push_bind(*check)
                    .push_bind(tally.area.name())
                    .push_bind(tally.severity.name())
                    .push_bind(number(counts.pass))
                    .push_bind(number(counts.fail))
                    .push_bind(number(counts.excepted))
                    .push_bind(number(counts.unverified))
                    .push_bind(number(counts.not_applicable))
                    .push_bind(defaults);
            });
            insert.build().execute(&mut *writing.all).await.map_err(failed)?;
        }
        Ok(())
    }

    pub(crate) async fn add_items<'r>(
        &self,
        writing: &mut Writing,
        id: VerificationId,
        items: impl Iterator<Item = (&'r String, Status, Option<i64>)>,
    ) -> Result<(), StoreError> {
        for (item, status, since) in items {
            sqlx::query(
                "INSERT INTO item (verification, item, status, since_s) VALUES (?, ?, ?, ?)",
            )
            .bind(id)
            .bind(item)
            .bind(status.name())
            .bind(since)
            .execute(&mut *writing.all)
            .await
            .map_err(self.failed("keeping the verification"))?;
        }
        Ok(())
    }
}

impl View<'_> {
    /// Findings of a verification by check; counted if it is of before they were added up, which takes longer.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn tallies(
        &mut self,
        id: VerificationId,
    ) -> Result<BTreeMap<String, Tally>, StoreError> {
        let failed = self.store.failed("reading findings by check");
        let mut rows: Vec<TallyRow> = Vec::new();
        for way in [ADDED_UP, COUNTED] {
            rows = sqlx::query_as(way).bind(id).fetch_all(&mut *self.all).await.map_err(failed)?;
            if !rows.is_empty() {
                break;
            }
        }
        rows.into_iter().map(|row| self.tally(row)).collect()
    }

    fn tally(&self, row: TallyRow) -> Result<(String, Tally), StoreError> {
        let number = |count: i64| u64::try_from(count).unwrap_or_default();
        let tally = Tally {
            area: self.store.word(&row.area)?,
            severity: self.store.word(&row.severity)?,
            counts: Counts {
                pass: number(row.pass),
                fail: number(row.fail),
                excepted: number(row.excepted),
                unverified: number(row.unverified),
                not_applicable: number(row.not_applicable),
            },
            defaults: self.store.json(&row.defaults)?,
        };
        Ok((row.check_id, tally))
    }

    /// How the items of a verification were decided, by id; empty if it is of before that was kept.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn items(
        &mut self,
        id: VerificationId,
    ) -> Result<BTreeMap<String, ItemState>, StoreError> {
        let rows: Vec<(String, String, Option<i64>)> =
            sqlx::query_as("SELECT item, status, since_s FROM item WHERE verification = ?")
                .bind(id)
                .fetch_all(&mut *self.all)
                .await
                .map_err(self.store.failed("reading items"))?;
        rows.into_iter()
            .map(|(item, status, since)| {
                let since = since.and_then(|second| Timestamp::from_second(second).ok());
                Ok((item, ItemState { status: self.store.word(&status)?, since }))
            })
            .collect()
    }

    /// How an item was decided in the last verifications, the newest first: number, time and status.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn item_history(
        &mut self,
        host: &str,
        benchmark: &str,
        item: &str,
        limit: u32,
    ) -> Result<Vec<(VerificationId, String, Status)>, StoreError> {
        let rows: Vec<(VerificationId, String, String)> = sqlx::query_as(
            "SELECT verification.id, verification.taken_at, item.status
             FROM verification CROSS JOIN item
             ON item.verification = verification.id AND item.item = ?
             WHERE verification.host = ? AND verification.benchmark = ?
             ORDER BY verification.id DESC LIMIT ?",
        )
        .bind(item)
        .bind(host)
        .bind(benchmark)
        .bind(limit)
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("reading the history of an item"))?;
        rows.into_iter()
            .map(|(id, taken_at, status)| Ok((id, taken_at, self.store.word(&status)?)))
            .collect()
    }
}
