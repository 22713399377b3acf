//! Containers that are to be made again with other rights when they are started next.
//!
//! Kept until somebody takes one to do it: then it is gone, whatever comes of it.

use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Exchange {
    /// Full id of the container.
    pub container: String,
    /// Its name when it was asked for.
    pub name: String,
    /// What is given, as whoever asks writes it.
    pub body: String,
    /// Who asked, as the audit log names them.
    pub asked_by: String,
}

impl Store {
    /// Asks for it; what was asked of the same container before counts no more.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn ask_exchange(&self, exchange: &Exchange, at: Timestamp) -> Result<(), StoreError> {
        let doing = "keeping what is to be done";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query(
            "INSERT OR REPLACE INTO exchange (container, name, body, asked_by, asked_s)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&exchange.container)
        .bind(&exchange.name)
        .bind(&exchange.body)
        .bind(&exchange.asked_by)
        .bind(at.as_second())
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// All that is asked for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn exchanges(&self) -> Result<Vec<Exchange>, StoreError> {
        sqlx::query_as(
            "SELECT container, name, body, asked_by FROM exchange ORDER BY asked_s, name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading what is to be done"))
    }

    /// Takes what is asked of a container, to do it or to forget it; none if nothing is, or somebody else took it.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn take_exchange(&self, container: &str) -> Result<Option<Exchange>, StoreError> {
        let doing = "taking what is to be done";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let taken = sqlx::query_as(
            "DELETE FROM exchange WHERE container = ?
             RETURNING container, name, body, asked_by",
        )
        .bind(container)
        .fetch_optional(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_asked_for_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).await.unwrap();
        let asked = |body: &str| Exchange {
            container: "c".into(),
            name: "web".into(),
            body: body.into(),
            asked_by: "uid 0".into(),
        };
        let at = Timestamp::UNIX_EPOCH;
        store.ask_exchange(&asked("1"), at).await.unwrap();
        store.ask_exchange(&asked("2"), at).await.unwrap();
        assert_eq!(store.exchanges().await.unwrap(), [asked("2")]);
        assert_eq!(store.take_exchange("d").await.unwrap(), None);
        assert_eq!(store.take_exchange("c").await.unwrap(), Some(asked("2")));
        assert_eq!(store.take_exchange("c").await.unwrap(), None);
        assert!(store.exchanges().await.unwrap().is_empty());
    }
}
