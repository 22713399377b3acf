//! Accounts of the dashboard and their API tokens.
//!
//! What keeps one admin there is decided in the same transaction as the change. Names, roles and passwords are the
//! desk's to judge; here they are texts. Secrets are known by their hashes only.

use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::page::{moment, nanoseconds};

/// The role that at least one account has to have.
const ADMIN: &str = "admin";

/// SHA-256 of a secret.
pub type Hashed = [u8; 32];

/// An account as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountKept {
    /// Its number; a name that is used again has another.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its password as a PHC string.
    pub password: String,
    /// Whether the password has to be changed before anything else.
    pub must_change: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// When somebody logged in with it.
    pub last_login: Option<Timestamp>,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKept {
    /// Its number.
    pub id: i64,
    /// Name of its account.
    pub account: String,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scope: String,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was used last, to the minute.
    pub used: Option<Timestamp>,
}

/// What came of a change of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It was made; the account as it is now (or was, if it is removed).
    Done(AccountKept),
    /// There is no such account.
    Missing,
    /// No admin would be left who can log in; nothing was changed.
    LastAdmin,
}

/// A change of an account.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Another role, or locked or not; what is absent stays.
    Set {
        /// The role.
        role: Option<&'a str>,
        /// Whether it is locked. Its sessions end.
        locked: Option<bool>,
    },
    /// Another password that has to be changed. Its sessions end.
    Reset {
        /// As a PHC string.
        password: &'a str,
    },
    /// It goes, with its sessions and tokens.
    Remove,
}

pub(crate) const ACCOUNT: &str = "a.id AS account_id, a.name AS account_name, a.role, a.password, \
     a.must_change, a.locked, a.last_login";

#[derive(sqlx::FromRow)]
pub(crate) struct AccountRow {
    account_id: i64,
    account_name: String,
    role: String,
    password: String,
    must_change: bool,
    locked: bool,
    last_login: Option<i64>,
}

impl From<AccountRow> for AccountKept {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.account_id,
            name: row.account_name,
            role: row.role,
            password: row.password,
            must_change: row.must_change,
            locked: row.locked,
            last_login: row.last_login.map(moment),
        }
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: i64,
    token: String,
    scope: String,
    expires: i64,
    used: Option<i64>,
    #[sqlx(flatten)]
    account: AccountRow,
}

impl From<TokenRow> for (TokenKept, AccountKept) {
    fn from(row: TokenRow) -> Self {
        let account = AccountKept::from(row.account);
        let token = TokenKept {
            id: row.id,
            account: account.name.clone(),
            name: row.token,
            scope: row.scope,
            expires: moment(row.expires),
            used: row.used.map(moment),
        };
        (token, account)
    }
}

impl Store {
    /// All accounts, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn accounts(&self) -> Result<Vec<AccountKept>, StoreError> {
        let rows: Vec<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {ACCOUNT} FROM account a ORDER BY a.name"
        )))
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading accounts"))?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The account of a name, whatever its case.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn account(&self, name: &str) -> Result<Option<AccountKept>, StoreError> {
        let row: Option<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {ACCOUNT} FROM account a WHERE a.name = ?"
        )))
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("reading an account"))?;
        Ok(row.map(Into::into))
    }

    /// Adds an account whose password has to be changed; nothing if there is one of this name.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn add_account(
        &self,
        name: &str,
        role: &str,
        password: &str,
    ) -> Result<Option<AccountKept>, StoreError> {
        let doing = "adding an account";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "INSERT INTO account (name, role, password, must_change, locked)
             VALUES (?, ?, ?, 1, 0) ON CONFLICT DO NOTHING",
        )
        .bind(name)
        .bind(role)
        .bind(password)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        if done.rows_affected() == 0 { Ok(None) } else { self.account(name).await }
    }

    /// Changes an account, unless no admin who can log in would be left.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn change_account(
        &self,
        name: &str,
        change: Change<'_>,
    ) -> Result<Changed, StoreError> {
        let doing = "changing an account";
        let failed = self.failed(doing);
        let read = format!("SELECT {ACCOUNT} FROM account a WHERE a.name = ?");
        let mut writing = self.begin(doing).await?;
        let before: Option<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(read.clone()))
            .bind(name)
            .fetch_optional(&mut *writing.all)
            .await
            .map_err(failed)?;
        let Some(before) = before.map(AccountKept::from) else { return Ok(Changed::Missing) };
        let query = match change {
            Change::Set { role, locked } => sqlx::query(
                "UPDATE account SET role = coalesce(?, role), locked = coalesce(?, locked) WHERE id = ?",
            )
            .bind(role)
            .bind(locked),
            Change::Reset { password } => {
                sqlx::query("UPDATE account SET password = ?, must_change = 1 WHERE id = ?").bind(password)
            }
            Change::Remove => sqlx::query("DELETE FROM account WHERE id = ?"),
        };
        query.bind(before.id).execute(&mut *writing.all).await.map_err(failed)?;
        if matches!(change, Change::Reset { .. } | Change::Set { locked: Some(true), .. }) {
            sqlx::query("DELETE FROM session WHERE account = ?")
                .bind(before.id)
                .execute(&mut *writing.all)
                .await
                .map_err(failed)?;
        }
        let admins: i64 =
            sqlx::query_scalar("SELECT count(*) FROM account WHERE role = ? AND locked = 0")
                .bind(ADMIN)
                .fetch_one(&mut *writing.all)
                .await
                .map_err(failed)?;
        if admins == 0 && before.role == ADMIN && !before.locked {
            return Ok(Changed::LastAdmin); // the transaction is dropped
        }
        let after: Option<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(read))
            .bind(name)
            .fetch_optional(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok(Changed::Done(after.map_or(before, Into::into)))
    }

    /// Gives an account the password that its owner chose, and ends its other sessions. Whether it was still the one
    /// that was proven.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn change_password(
        &self,
        account: &AccountKept,
        password: &str,
        keep: &Hashed,
    ) -> Result<bool, StoreError> {
        let doing = "changing a password";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "UPDATE account SET password = ?, must_change = 0 WHERE id = ? AND password = ?",
        )
        .bind(password)
        .bind(account.id)
        .bind(&account.password)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM session WHERE account = ? AND secret <> ?")
            .bind(account.id)
            .bind(keep.as_slice())
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// The tokens of an account, or all; the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn tokens(&self, account: Option<i64>) -> Result<Vec<TokenKept>, StoreError> {
        let rows: Vec<TokenRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT t.id, t.name AS token, t.scope, t.expires, t.used, {ACCOUNT}
             FROM token t JOIN account a ON a.id = t.account
             WHERE ?1 IS NULL OR t.account = ?1 ORDER BY t.id DESC"
        )))
        .bind(account)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading tokens"))?;
        Ok(rows.into_iter().map(|row| <(TokenKept, AccountKept)>::from(row).0).collect())
    }

    /// The token of a secret, with its account.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn token(
        &self,
        secret: &Hashed,
    ) -> Result<Option<(TokenKept, AccountKept)>, StoreError> {
        let row: Option<TokenRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT t.id, t.name AS token, t.scope, t.expires, t.used, {ACCOUNT}
             FROM token t JOIN account a ON a.id = t.account WHERE t.secret = ?"
        )))
        .bind(secret.as_slice())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("reading a token"))?;
        Ok(row.map(Into::into))
    }

    /// Adds a token; its number, or nothing if the account has `most` already.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn add_token(
        &self,
        account: i64,
        secret: &Hashed,
        token: &TokenKept,
        most: u32,
    ) -> Result<Option<i64>, StoreError> {
        let doing = "adding a token";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query(
            "INSERT INTO token (secret, account, name, scope, expires)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM token WHERE account = ?2) < ?6",
        )
        .bind(secret.as_slice())
        .bind(account)
        .bind(&token.name)
        .bind(&token.scope)
        .bind(nanoseconds(token.expires))
        .bind(most)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok((done.rows_affected() > 0).then(|| done.last_insert_rowid()))
    }

    /// Remembers that a token was used.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn token_used(&self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        let doing = "keeping when a token was used";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query("UPDATE token SET used = ? WHERE id = ?")
            .bind(nanoseconds(at))
            .bind(id)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Removes a token, of this account only if one is given. Whether there was such a one.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn remove_token(&self, id: i64, account: Option<i64>) -> Result<bool, StoreError> {
        let doing = "removing a token";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let done = sqlx::query("DELETE FROM token WHERE id = ?1 AND (?2 IS NULL OR account = ?2)")
            .bind(id)
            .bind(account)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }
}
