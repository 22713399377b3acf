//! Which containers were made here, and in place of which: on record before the engine is asked to make one, and after it said its id.
//!
//! Promises that what is not on record was not made here. It does not know whether a container is still there.

use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;

/// A container that was made here, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MadeHere {
    /// Unguessable: what its label says.
    pub token: String,
    /// Whether it only runs beside another for a while.
    pub is_trial: bool,
    /// Full id of the one that it is like.
    pub old: String,
    /// The name under which it is made.
    pub name: String,
    /// How the old one was, as whoever makes it writes it.
    pub past: String,
    /// Its full id; none until the engine said it.
    pub made: Option<String>,
    /// Whether the engine was asked to stop the old one.
    pub stopping: bool,
}

impl Store {
    /// Keeps that a container is about to be made.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn begin_made(&self, one: &MadeHere, at: Timestamp) -> Result<(), StoreError> {
        let doing = "keeping what is about to be made";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query(
            "INSERT INTO made (token, is_trial, old, name, past, made, stopping, begun_s)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&one.token)
        .bind(one.is_trial)
        .bind(&one.old)
        .bind(&one.name)
        .bind(&one.past)
        .bind(&one.made)
        .bind(one.stopping)
        .bind(at.as_second())
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Keeps the full id that the engine gave it.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn note_made(&self, token: &str, id: &str) -> Result<(), StoreError> {
        self.change_made("UPDATE made SET made = ? WHERE token = ?", &[id, token]).await?;
        // Its record goes with it, and what was learned of it stays.
        let trial =
            "INSERT OR IGNORE INTO trial SELECT made FROM made WHERE token = ? AND is_trial";
        self.change_made(trial, &[token]).await
    }

    /// Keeps that the engine is about to be asked to stop the old one.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn note_stopping(&self, token: &str) -> Result<(), StoreError> {
        self.change_made("UPDATE made SET stopping = 1 WHERE token = ?", &[token]).await
    }

    /// Forgets one: it is gone.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn forget_made(&self, token: &str) -> Result<(), StoreError> {
        self.change_made("DELETE FROM made WHERE token = ?", &[token]).await
    }

    async fn change_made(&self, asked: &'static str, values: &[&str]) -> Result<(), StoreError> {
        let doing = "keeping what was made";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let query = values.iter().fold(sqlx::query(asked), |query, value| query.bind(*value));
        query.execute(&mut *writing.all).await.map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// All that are on record, the last first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn made(&self) -> Result<Vec<MadeHere>, StoreError> {
        sqlx::query_as(
            "SELECT token, is_trial, old, name, past, made, stopping FROM made
             ORDER BY begun_s DESC, token",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading what was made"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_made_is_on_record_from_before_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).await.unwrap();
        let mut one = MadeHere {
            token: "t".into(),
            is_trial: false,
            old: "a".into(),
            name: "web-next".into(),
            past: "{}".into(),
            made: None,
            stopping: false,
        };
        store.begin_made(&one, Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(store.made().await.unwrap(), [one.clone()]);
        store.note_made("t", "b").await.unwrap();
        store.note_made("other", "c").await.unwrap();
        store.note_stopping("t").await.unwrap();
        (one.made, one.stopping) = (Some("b".into()), true);
        assert_eq!(store.made().await.unwrap(), [one]);
        store.forget_made("t").await.unwrap();
        assert!(store.made().await.unwrap().is_empty());
    }
}
