//! Alerts of the monitor: kept as they were shown, found by time, container, rule, priority and check.
//!
//! All of one call are kept, or none; what was acknowledged survives a power failure. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use haechi_core::alert::{Alert, Priority};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::error::StoreError;
use crate::page::{Question, Table, body, nanoseconds};

const TABLE: Table = Table { name: "alert", container: "container", what: "alert" };

/// The number of an alert: a number is never used twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct AlertId(pub i64);

impl From<AlertId> for i64 {
    fn from(id: AlertId) -> Self {
        id.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which alerts; each field that is set makes them fewer.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Of this container: id, beginning of the id (12 characters or more), or name.
    pub container: Option<String>,
    /// Of this rule.
    pub rule: Option<String>,
    /// As urgent as this, or more.
    pub priority_at_least: Option<Priority>,
    /// Evidence for this check.
    pub check: Option<String>,
    /// The next page: those that come after this one in the list.
    pub before_id: Option<AlertId>,
    /// At most so many (and 10,000).
    pub limit: u32,
}

/// The newest alert of a rule in a container, and how many there are of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleAlerts {
    /// How many.
    pub count: u64,
    /// The newest.
    pub newest: Alert,
}

/// Newest alerts of each rule that [`Store::urgent_alerts`] counts: more would be read one by one.
const COUNTED_MAX: i64 = 100;

/// Alerts of one rule in one container.
#[derive(Debug, Clone, PartialEq)]
pub struct AlikeAlerts {
    /// Number of the newest.
    pub id: AlertId,
    /// The newest.
    pub newest: Alert,
    /// How many there are of it among the 100 newest of its rule.
    pub count: u64,
    /// Whether its rule has that many, so that there may be more of it.
    pub more: bool,
}

impl Store {
    /// Keeps alerts, and gives their numbers in the same order. They are durable when it returns.
    ///
    /// # Errors
    /// They could not be written: then none of them was.
    pub async fn add_alerts(&self, alerts: &[Alert]) -> Result<Vec<AlertId>, StoreError> {
        if alerts.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "keeping alerts";
        let failed = self.failed(doing);
        let bodies: Vec<String> = alerts.iter().map(body).collect::<Result<_, _>>()?;
        let mut writing = self.begin(doing).await?;
        let mut ids = Vec::with_capacity(alerts.len());
        for (alert, body) in alerts.iter().zip(bodies) {
            let checks: BTreeSet<&str> = alert.checks.iter().map(String::as_str).collect();
            let at = nanoseconds(alert.at);
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO alert (at, rule, priority, container, name, checks, body)
                 VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            )
            .bind(at)
            .bind(&alert.rule)
            .bind(rank(alert.priority))
            .bind(&alert.container.id)
            .bind(&alert.container.name)
            .bind(checks.iter().copied().collect::<Vec<_>>().join(" "))
            .bind(body)
            .fetch_one(&mut *writing.all)
            .await
            .map_err(failed)?;
            for check in checks {
                sqlx::query("INSERT INTO alert_check (check_id, at, alert) VALUES (?, ?, ?)")
                    .bind(check)
                    .bind(at)
                    .bind(id)
                    .execute(&mut *writing.all)
                    .await
                    .map_err(failed)?;
            }
            ids.push(AlertId(id));
        }
        writing.commit().await.map_err(failed)?;
        Ok(ids)
    }

    /// Alerts, newest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged, or the alert that the page comes after is forgotten.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<(AlertId, Alert)>, StoreError> {
        // The table that is read first holds the order; CROSS JOIN keeps it first.
        let (from, at, id) = match filter.check {
            Some(_) => (
                "alert_check CROSS JOIN alert ON alert.id = alert_check.alert",
                "alert_check.at",
                "alert_check.alert",
            ),
            None => ("alert", "alert.at", "alert.id"),
        };
        let mut question = Question::new(self, &TABLE, from, "reading alerts");
        if let Some(check) = &filter.check {
            question.only("alert_check.check_id =", check.clone());
        }
        question.between(at, filter.since, filter.until);
        question.of_container(filter.container.as_deref()).await?;
        if let Some(rule) = &filter.rule {
            question.only("alert.rule =", rule.clone());
        }
        if let Some(least) = filter.priority_at_least {
            question.only("alert.priority <=", rank(least));
        }
        let before = filter.before_id.map(|id| id.0);
        let rows = question.page(at, id, before, filter.limit).await?;
        Ok(rows.into_iter().map(|(id, alert)| (AlertId(id), alert)).collect())
    }

    /// One alert; `None` if it is forgotten.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError> {
        let row: Option<(i64, String)> = sqlx::query_as("SELECT id, body FROM alert WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("reading an alert"))?;
        Ok(row.map(|row| self.understood(row)).transpose()?.map(|(_, alert)| alert))
    }

    /// How many alerts there are of each priority since a moment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn alerts_by_priority(
        &self,
        since: Timestamp,
    ) -> Result<BTreeMap<Priority, u64>, StoreError> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("SELECT priority, count(*) FROM alert WHERE at >= ? GROUP BY priority")
                .bind(nanoseconds(since))
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("counting alerts"))?;
        let named = |number: i64| PRIORITIES.into_iter().find(|one| rank(*one) == number);
        Ok(rows
            .into_iter()
            .filter_map(|(priority, count)| {
                Some((named(priority)?, u64::try_from(count).unwrap_or_default()))
            })
            .collect())
    }

    /// The newest alert of each rule in a container since a moment, those that are evidence for a check first, then
    /// the newest first; at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn newest_alerts(
        &self,
        container: &str,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RuleAlerts>, StoreError> {
        // A bare column beside one max() is of the row that has it: https://www.sqlite.org/lang_select.html#bareagg
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT found.id, found.number, alert.body FROM (
                 SELECT id, max(at) AS at, count(*) AS number, checks FROM alert
                 WHERE container = ?1 AND at >= ?2 GROUP BY rule, checks
                 ORDER BY checks = '', at DESC LIMIT ?3
             ) found JOIN alert ON alert.id = found.id
             ORDER BY found.checks = '', found.at DESC, found.id DESC",
        )
        .bind(container)
        .bind(nanoseconds(since))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading alerts"))?;
        rows.into_iter()
            .map(|(id, number, body)| {
                let (_, newest) = self.understood((id, body))?;
                Ok(RuleAlerts { count: u64::try_from(number).unwrap_or_default(), newest })
            })
            .collect()
    }

    /// Alerts since a moment, those of one rule in one container together: the most urgent first, then the newest; at
    /// most `limit`. Rules are told apart before containers, so that no flood of one rule hides a more urgent one.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn urgent_alerts(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<AlikeAlerts>, StoreError> {
        // One look at the index for each rule, whatever else there is of it; then the newest of the rules that show.
        let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(
            "WITH RECURSIVE each(rule) AS (
                 SELECT min(rule) FROM alert
                 UNION ALL
                 SELECT (SELECT min(rule) FROM alert WHERE rule > each.rule) FROM each
                 WHERE each.rule IS NOT NULL),
             newest AS (
                 SELECT (SELECT id FROM alert WHERE alert.rule = each.rule AND at >= ?1
                         ORDER BY at DESC, id DESC LIMIT 1) AS id FROM each),
             urgent AS (
                 SELECT alert.rule FROM newest JOIN alert ON alert.id = newest.id
                 ORDER BY priority, at DESC, alert.id DESC LIMIT ?2),
             alike AS (
                 SELECT alert.id, alert.rule, priority, max(at) AS at, count(*) AS number
                 FROM urgent CROSS JOIN alert ON alert.id IN (
                     SELECT id FROM alert WHERE alert.rule = urgent.rule AND at >= ?1
                     ORDER BY at DESC, id DESC LIMIT ?3)
                 GROUP BY alert.rule, container)
             SELECT found.id, found.number, found.of_rule, alert.body FROM (
                 SELECT *, sum(number) OVER (PARTITION BY rule) AS of_rule FROM alike
                 ORDER BY priority, at DESC, id DESC LIMIT ?2
             ) found JOIN alert ON alert.id = found.id
             ORDER BY found.priority, found.at DESC, found.id DESC",
        )
        .bind(nanoseconds(since))
        .bind(limit)
        .bind(COUNTED_MAX)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading alerts"))?;
        rows.into_iter()
            .map(|(id, number, of_rule, body)| {
                let (_, newest) = self.understood((id, body))?;
                let count = u64::try_from(number).unwrap_or_default();
                let more = of_rule >= COUNTED_MAX;
                Ok(AlikeAlerts { id: AlertId(id), newest, count, more })
            })
            .collect()
    }
}

const PRIORITIES: [Priority; 8] = [
    Priority::Emergency,
    Priority::Alert,
    Priority::Critical,
    Priority::Error,
    Priority::Warning,
    Priority::Notice,
    Priority::Informational,
    Priority::Debug,
];

/// A priority as a number: the most urgent is 0.
fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::Emergency => 0,
        Priority::Alert => 1,
        Priority::Critical => 2,
        Priority::Error => 3,
        Priority::Warning => 4,
        Priority::Notice => 5,
        Priority::Informational => 6,
        Priority::Debug => 7,
    }
}
