//! Which references of images were marked as unsafe, and why.

use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;

/// One change of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Id of the image.
    pub image: String,
    /// The reference that went.
    pub before: String,
    /// The reference that came.
    pub after: String,
    /// `mark` or `unmark`.
    pub action: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Keeps that a reference was changed.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn record_mark(
        &self,
        image: &str,
        before: &str,
        after: &str,
        action: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let doing = "keeping a mark";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query(
            "INSERT INTO mark (image, before, after, action, reason, at_s) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(image)
        .bind(before)
        .bind(after)
        .bind(action)
        .bind(reason)
        .bind(at.as_second())
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.all.commit().await.map_err(failed)
    }

    /// All changes, oldest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn marks(&self) -> Result<Vec<Mark>, StoreError> {
        let rows: Vec<(String, String, String, String, String, i64)> = sqlx::query_as(
            "SELECT image, before, after, action, reason, at_s FROM mark ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading marks"))?;
        let mark = |(image, before, after, action, reason, at)| Mark {
            image,
            before,
            after,
            action,
            reason,
            at: Timestamp::from_second(at).unwrap_or_default(),
        };
        Ok(rows.into_iter().map(mark).collect())
    }
}
