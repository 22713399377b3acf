//! Sessions of the dashboard, and from where somebody logged in. How long one lasts is the desk's to decide.

use jiff::Timestamp;

use crate::Store;
use crate::accounts::{ACCOUNT, AccountKept, AccountRow, Hashed};
use crate::error::StoreError;
use crate::page::{moment, nanoseconds};

/// Sessions that an account has at most: a new one ends that which was unused for longest.
const SESSIONS_MAX: i64 = 32;
/// Addresses that are remembered of an account.
const ADDRESSES_MAX: i64 = 8;

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKept {
    /// When it began.
    pub begun: Timestamp,
    /// When it was used last, to the minute.
    pub used: Timestamp,
    /// When it ends at the latest.
    pub expires: Timestamp,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    begun: i64,
    used: i64,
    expires: i64,
    #[sqlx(flatten)]
    account: AccountRow,
}

impl Store {
    /// Whether somebody logged in with this account from there.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn knows_address(&self, account: i64, address: &str) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT at FROM login_address WHERE account = ? AND address = ?")
                .bind(account)
                .bind(address)
                .fetch_optional(&self.pool)
                .await
                .map_err(self.failed("reading from where somebody logged in"))?;
        Ok(found.is_some())
    }

    /// Opens a session, if the account is not locked and its password is still the one that was proven.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open_session(
        &self,
        account: &AccountKept,
        address: &str,
        secret: &Hashed,
        session: &SessionKept,
    ) -> Result<bool, StoreError> {
        let doing = "opening a session";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "UPDATE account SET last_login = ? WHERE id = ? AND password = ? AND locked = 0",
        )
        .bind(nanoseconds(session.begun))
        .bind(account.id)
        .bind(&account.password)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO session (secret, account, address, begun, used, expires)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(secret.as_slice())
        .bind(account.id)
        .bind(address)
        .bind(nanoseconds(session.begun))
        .bind(nanoseconds(session.used))
        .bind(nanoseconds(session.expires))
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        sqlx::query(
            "DELETE FROM session WHERE account = ?1 AND secret NOT IN
             (SELECT secret FROM session WHERE account = ?1 ORDER BY used DESC, begun DESC LIMIT ?2)",
        )
        .bind(account.id)
        .bind(SESSIONS_MAX)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        sqlx::query("INSERT OR REPLACE INTO login_address (account, address, at) VALUES (?, ?, ?)")
            .bind(account.id)
            .bind(address)
            .bind(nanoseconds(session.begun))
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        sqlx::query(
            "DELETE FROM login_address WHERE account = ?1 AND address NOT IN
             (SELECT address FROM login_address WHERE account = ?1 ORDER BY at DESC LIMIT ?2)",
        )
        .bind(account.id)
        .bind(ADDRESSES_MAX)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// The session of a secret, with its account as it is now.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn session(
        &self,
        secret: &Hashed,
    ) -> Result<Option<(SessionKept, AccountKept)>, StoreError> {
        let row: Option<SessionRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT s.begun, s.used, s.expires, {ACCOUNT}
             FROM session s JOIN account a ON a.id = s.account WHERE s.secret = ?"
        )))
        .bind(secret.as_slice())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("reading a session"))?;
        Ok(row.map(|row| {
            let session = SessionKept {
                begun: moment(row.begun),
                used: moment(row.used),
                expires: moment(row.expires),
            };
            (session, row.account.into())
        }))
    }

    /// Remembers that a session was used.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn session_used(&self, secret: &Hashed, at: Timestamp) -> Result<(), StoreError> {
        let doing = "keeping when a session was used";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query("UPDATE session SET used = max(used, ?) WHERE secret = ?")
            .bind(nanoseconds(at))
            .bind(secret.as_slice())
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn end_session(&self, secret: &Hashed) -> Result<(), StoreError> {
        let doing = "ending a session";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query("DELETE FROM session WHERE secret = ?")
            .bind(secret.as_slice())
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Ends the sessions that have run out; with no time, all.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn end_sessions(
        &self,
        unused_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let doing = "ending sessions";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query("DELETE FROM session WHERE ?1 IS NULL OR expires <= ?2 OR used <= ?1")
            .bind(unused_since.map(nanoseconds))
            .bind(nanoseconds(now))
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }
}
