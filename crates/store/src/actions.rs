//! What was done about alerts: begun, then set to what came of it, and found again after a restart of the monitor.
//!
//! An action that lasts (paused, cut off, denied) is open until it is ended; open ones are never forgotten.

use std::fmt;

use haechi_core::response::{Action, Outcome, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::alerts::AlertId;
use crate::error::StoreError;
use crate::page::{Question, Row, Table, body, nanoseconds};

const TABLE: Table = Table { name: "action", container: "container", what: "action" };

/// The number of an action: a number is never used twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct ActionId(pub i64);

impl From<ActionId> for i64 {
    fn from(id: ActionId) -> Self {
        id.0
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which actions; each field that is set makes them fewer.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// On this container: id, beginning of the id (12 characters or more), or name.
    pub container: Option<String>,
    /// That answer this rule.
    pub rule: Option<String>,
    /// Of this kind.
    pub response: Option<Response>,
    /// The next page: those that come after this one in the list.
    pub before_id: Option<ActionId>,
    /// At most so many (and 10,000).
    pub limit: u32,
}

impl Store {
    /// Keeps an action; durable when it returns.
    ///
    /// # Errors
    /// There is no such alert, or it could not be written.
    pub async fn add_action(
        &self,
        alert: Option<AlertId>,
        action: &Action,
    ) -> Result<ActionId, StoreError> {
        let doing = "keeping an action";
        let failed = self.failed(doing);
        let body = body(action)?;
        let mut writing = self.begin(doing).await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO action (alert, at, rule, response, outcome, container, name, open, body)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(alert)
        .bind(nanoseconds(action.at))
        .bind(&action.rule)
        .bind(action.response.name())
        .bind(action.outcome.name())
        .bind(&action.container.id)
        .bind(&action.container.name)
        .bind(is_open(action))
        .bind(body)
        .fetch_one(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok(ActionId(id))
    }

    /// Sets an action to what became of it.
    ///
    /// # Errors
    /// There is none of this number, or it could not be written.
    pub async fn set_action(&self, id: ActionId, action: &Action) -> Result<(), StoreError> {
        let doing = "keeping an action";
        let failed = self.failed(doing);
        let body = body(action)?;
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "UPDATE action SET at = ?, rule = ?, response = ?, outcome = ?, container = ?, name = ?,
                 open = ?, body = ? WHERE id = ?",
        )
        .bind(nanoseconds(action.at))
        .bind(&action.rule)
        .bind(action.response.name())
        .bind(action.outcome.name())
        .bind(&action.container.id)
        .bind(&action.container.name)
        .bind(is_open(action))
        .bind(body)
        .bind(id)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        match done.rows_affected() {
            0 => Err(StoreError::NoRow { what: TABLE.what, id: id.0 }),
            _ => Ok(()),
        }
    }

    /// Actions that last and are not ended, oldest first: what a restarted monitor has to look after.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn open_actions(&self) -> Result<Vec<(ActionId, Action)>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT id, body FROM action WHERE open = 1 ORDER BY id")
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("reading open actions"))?;
        rows.into_iter()
            .map(|row| self.understood(row).map(|(id, action)| (ActionId(id), action)))
            .collect()
    }

    /// One action; `None` if it is forgotten.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn action(&self, id: ActionId) -> Result<Option<Action>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT id, body FROM action WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("reading an action"))?;
        Ok(row.map(|row| self.understood(row)).transpose()?.map(|(_, action)| action))
    }

    /// What was done about an alert, oldest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn actions_about(
        &self,
        alert: AlertId,
    ) -> Result<Vec<(ActionId, Action)>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT id, body FROM action WHERE alert = ? ORDER BY id LIMIT 100")
                .bind(alert)
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("reading actions"))?;
        rows.into_iter()
            .map(|row| self.understood(row).map(|(id, action)| (ActionId(id), action)))
            .collect()
    }

    /// Actions, newest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged, or the action that the page comes after is forgotten.
    pub async fn actions(
        &self,
        filter: &ActionFilter,
    ) -> Result<Vec<(ActionId, Action)>, StoreError> {
        let mut question = Question::new(self, &TABLE, "action", "reading actions");
        question.between("action.at", filter.since, filter.until);
        question.of_container(filter.container.as_deref()).await?;
        if let Some(rule) = &filter.rule {
            question.only("action.rule =", rule.clone());
        }
        if let Some(response) = filter.response {
            question.only("action.response =", response.name());
        }
        let before = filter.before_id.map(|id| id.0);
        let rows = question.page("action.at", "action.id", before, filter.limit).await?;
        Ok(rows.into_iter().map(|(id, action)| (ActionId(id), action)).collect())
    }
}

/// Whether it lasts and was not ended. One that was only begun may have taken effect before the monitor was killed.
fn is_open(action: &Action) -> bool {
    let lasts = matches!(action.response, Response::Pause | Response::Isolate | Response::Deny);
    lasts && matches!(action.outcome, Outcome::Begun | Outcome::Done)
}
