//! What Haechi remembers beside verifications: its random key, its own diligence, unlock keys.
//!
//! Times come from the caller. A clock that was set back makes an age 0, never negative. No secret
//! is kept except for the random key; unlock keys come here as keyed hashes.

use haechi_core::facts::History;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::{DAY_SECONDS, Store, VerificationId};

/// Length of the random key.
const SALT_BYTES: usize = 32;

impl Store {
    /// The random key of this data directory: made by the kernel at first use, then the same.
    ///
    /// # Errors
    /// The kernel gave no random bytes, or the database cannot be used.
    pub async fn salt(&self) -> Result<[u8; SALT_BYTES], StoreError> {
        let doing = "keeping the random key";
        let kept: Option<Vec<u8>> = self.read_salt(doing).await?;
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let fresh = random()
                    .map_err(|error| crate::error::of_io(self.file(), doing, &error.into()))?;
                let mut writing = self.begin(doing).await?;
                // Another process may have been faster: then its key counts.
                sqlx::query(
                    "INSERT INTO secret (name, value) VALUES ('salt', ?) ON CONFLICT DO NOTHING",
                )
                .bind(fresh.as_slice())
                .execute(&mut *writing.all)
                .await
                .map_err(self.failed(doing))?;
                writing.commit().await.map_err(self.failed(doing))?;
                self.read_salt(doing).await?.unwrap_or_default()
            }
        };
        kept.try_into().map_err(|_| self.damaged("the random key has a wrong length"))
    }

    async fn read_salt(&self, doing: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT value FROM secret WHERE name = 'salt'")
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed(doing))
    }

    /// What is on record of earlier complete verifications of a host.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn history_facts(&self, host: &str, now: Timestamp) -> Result<History, StoreError> {
        let failed = self.failed("reading the history");
        let mut view = self.pool.begin().await.map_err(failed)?;
        let verifications: i64 =
            sqlx::query_scalar("SELECT count(*) FROM verification WHERE host = ? AND complete = 1")
                .bind(host)
                .fetch_one(&mut *view)
                .await
                .map_err(failed)?;
        let last: Option<(VerificationId, String, i64)> = sqlx::query_as(
            "SELECT id, taken_at, taken_s FROM verification
             WHERE host = ? AND complete = 1 ORDER BY id DESC LIMIT 1",
        )
        .bind(host)
        .fetch_optional(&mut *view)
        .await
        .map_err(failed)?;
        let unverified: i64 = sqlx::query_scalar(
            "SELECT count(DISTINCT check_id) FROM finding
             WHERE verification = ? AND status = 'unverified'",
        )
        .bind(last.as_ref().map(|(id, ..)| *id))
        .fetch_one(&mut *view)
        .await
        .map_err(failed)?;
        view.rollback().await.map_err(failed)?;
        let (at, age) = match last {
            Some((_, at, second)) => (at, days_since(second, now)),
            None => (String::new(), -1),
        };
        Ok(History {
            verifications: Some(verifications),
            last_complete_at: Some(at),
            last_complete_age_days: Some(age),
            last_unverified: Some(unverified),
        })
    }

    /// Remembers that a swarm's unlock key (as a keyed hash) was seen. Says for how many days it
    /// has been seen, and whether another one was seen before it, so that the days count from a
    /// rotation.
    ///
    /// An empty hash (no auto-lock) is not remembered: `(0, false)`.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn observe_unlock_key(
        &self,
        host: &str,
        cluster_id: &str,
        hash: &str,
        now: Timestamp,
    ) -> Result<(i64, bool), StoreError> {
        if hash.is_empty() {
            return Ok((0, false));
        }
        let doing = "remembering the unlock key's hash";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query(
            "INSERT INTO unlock_key (cluster, hash, host, first_seen) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(cluster_id)
        .bind(hash)
        .bind(host)
        .bind(now.as_second())
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        let (first_seen, rotated): (i64, bool) = sqlx::query_as(
            "SELECT first_seen, EXISTS (SELECT 1 FROM unlock_key earlier
                 WHERE earlier.cluster = present.cluster AND earlier.id < present.id)
             FROM unlock_key present WHERE cluster = ? AND hash = ?",
        )
        .bind(cluster_id)
        .bind(hash)
        .fetch_one(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok((days_since(first_seen, now), rotated))
    }
}

fn days_since(second: i64, now: Timestamp) -> i64 {
    (now.as_second().saturating_sub(second) / DAY_SECONDS).max(0)
}

fn random() -> Result<[u8; SALT_BYTES], rustix::io::Errno> {
    let mut bytes = [0; SALT_BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
