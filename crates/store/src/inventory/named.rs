//! Names in alerts that somebody looks for: of rules, and of containers that may be gone by now.

use crate::Store;
use crate::alerts::AlertId;
use crate::error::StoreError;

impl Store {
    /// Rules with an alert on record whose name has a text in it, letters in any case, each with its newest alert; at most
    /// `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn rules_named(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Vec<(String, AlertId)>, StoreError> {
        // Each distinct rule is looked up by the index: there are some hundred of them in a million alerts.
        sqlx::query_as(
            "WITH RECURSIVE one (rule) AS (
                 SELECT (SELECT min(rule) FROM alert)
                 UNION ALL
                 SELECT (SELECT min(alert.rule) FROM alert WHERE alert.rule > one.rule) FROM one
                 WHERE one.rule IS NOT NULL
             ) SELECT one.rule, (SELECT id FROM alert WHERE alert.rule = one.rule ORDER BY at DESC, id DESC LIMIT 1)
             FROM one WHERE one.rule LIKE ? ESCAPE '\\' LIMIT ?",
        )
        .bind(format!("%{}%", super::read::escaped(text)))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("looking for rules"))
    }

    /// Names of containers with an alert on record that begin with a text, each with its newest alert; at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn alerted_named(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Vec<(String, AlertId)>, StoreError> {
        sqlx::query_as(
            "WITH RECURSIVE one (name) AS (
                 SELECT (SELECT min(name) FROM alert WHERE name >= ?1 AND name < ?2)
                 UNION ALL
                 SELECT (SELECT min(alert.name) FROM alert WHERE alert.name > one.name AND alert.name < ?2) FROM one
                 WHERE one.name IS NOT NULL
             ) SELECT one.name, (SELECT id FROM alert WHERE alert.name = one.name ORDER BY at DESC, id DESC LIMIT 1)
             FROM one WHERE one.name IS NOT NULL LIMIT ?3",
        )
        .bind(text)
        // The greatest character: nothing that begins with the text is beyond it.
        .bind(format!("{text}\u{10ffff}"))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("looking for containers with alerts"))
    }
}
