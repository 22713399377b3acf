//! What was in a period: verifications, alerts, and for how long containers were watched. Its end is not in it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::StoreError;
use crate::page::nanoseconds;
use crate::read::ListRow;
use crate::{DAY_SECONDS, VerificationRow, View};

/// For how long containers were watched in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct WatchedIn {
    /// How many containers were.
    pub containers: i64,
    /// Nanoseconds in which at least one was.
    pub nanoseconds: i64,
    /// Events that were lost in stretches that reach into the period, and alerts that are not on record.
    pub lost: i64,
    /// Whether activity of the engine was missed in such a stretch.
    pub activity_missed: bool,
}

impl View<'_> {
    /// The last verification of a host with a benchmark on each day (UTC) of a period, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn each_day(
        &mut self,
        host: &str,
        benchmark: &str,
        from: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<VerificationRow>, StoreError> {
        let rows: Vec<ListRow> = sqlx::query_as(
            "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete
             FROM verification WHERE id IN (
                 SELECT max(id) FROM verification
                 WHERE host = ?1 AND benchmark = ?2 AND taken_s >= ?3 AND taken_s < ?4
                 GROUP BY taken_s / ?5)
             ORDER BY taken_s, id",
        )
        .bind(host)
        .bind(benchmark)
        .bind(from.as_second())
        .bind(end.as_second())
        .bind(DAY_SECONDS)
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("reading a period"))?;
        rows.into_iter().map(|row| self.store.list_row(row)).collect()
    }

    /// How many verifications of a host with a benchmark were taken in a period.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn taken_in(
        &mut self,
        host: &str,
        benchmark: &str,
        from: Timestamp,
        end: Timestamp,
    ) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM verification
             WHERE host = ? AND benchmark = ? AND taken_s >= ? AND taken_s < ?",
        )
        .bind(host)
        .bind(benchmark)
        .bind(from.as_second())
        .bind(end.as_second())
        .fetch_one(&mut *self.all)
        .await
        .map_err(self.store.failed("reading a period"))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The last verification of a host with a benchmark that was taken before a moment.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn last_before(
        &mut self,
        host: &str,
        benchmark: &str,
        moment: Timestamp,
    ) -> Result<Option<VerificationRow>, StoreError> {
        let row: Option<ListRow> = sqlx::query_as(
            "SELECT id, taken_at, host, benchmark, score_total, summary, containers, complete
             FROM verification WHERE host = ? AND benchmark = ? AND taken_s < ?
             ORDER BY taken_s DESC, id DESC LIMIT 1",
        )
        .bind(host)
        .bind(benchmark)
        .bind(moment.as_second())
        .fetch_optional(&mut *self.all)
        .await
        .map_err(self.store.failed("reading a period"))?;
        row.map(|row| self.store.list_row(row)).transpose()
    }

    /// For how long containers were watched in a period.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn watched_in(
        &mut self,
        from: Timestamp,
        end: Timestamp,
    ) -> Result<WatchedIn, StoreError> {
        // Stretches overlap: of each, only what is after the end of all before it counts.
        sqlx::query_as(
            "WITH stretch AS (
                 SELECT container, lost, activity_missed, max(since, ?1) AS a, min(until, ?2) AS b
                 FROM watch WHERE until >= ?1 AND since < ?2),
             after AS (
                 SELECT *, max(b) OVER (ORDER BY a, b
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS seen FROM stretch)
             SELECT count(DISTINCT container) AS containers,
                 coalesce(sum(max(b - max(a, coalesce(seen, a)), 0)), 0) AS nanoseconds,
                 coalesce(sum(lost), 0) AS lost,
                 coalesce(max(activity_missed), 0) AS activity_missed
             FROM after",
        )
        .bind(nanoseconds(from))
        .bind(nanoseconds(end))
        .fetch_one(&mut *self.all)
        .await
        .map_err(self.store.failed("reading for how long containers were watched"))
    }

    /// How many alerts of each rule there were in a period.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn alerts_by_rule(
        &mut self,
        from: Timestamp,
        end: Timestamp,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        // One look at the index for each rule, whatever else there is of it.
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "WITH RECURSIVE each(rule) AS (
                 SELECT min(rule) FROM alert
                 UNION ALL
                 SELECT (SELECT min(rule) FROM alert WHERE rule > each.rule) FROM each
                 WHERE each.rule IS NOT NULL)
             SELECT rule, (SELECT count(*) FROM alert
                           WHERE alert.rule = each.rule AND at >= ?1 AND at < ?2) AS number
             FROM each WHERE number > 0",
        )
        .bind(nanoseconds(from))
        .bind(nanoseconds(end))
        .fetch_all(&mut *self.all)
        .await
        .map_err(self.store.failed("counting alerts"))?;
        Ok(rows
            .into_iter()
            .map(|(rule, count)| (rule, u64::try_from(count).unwrap_or_default()))
            .collect())
    }
}
