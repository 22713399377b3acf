//! Opening the database: durable settings, and its schema brought up to date by one process only.
//!
//! A database of a newer Haechi is refused, never changed. No question about verifications is
//! answered here.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use crate::error::{StoreError, of_migrate, of_sql};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long a connection waits for another process that writes.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// How long a question waits for a free connection; longer than one writer may wait.
const POOL_WAIT: Duration = Duration::from_secs(20);
/// One writes, others may read meanwhile.
const CONNECTIONS: u32 = 4;

/// Opens an existing file as a database and brings its schema up to date.
pub(crate) async fn open(file: &Path) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_WAIT)
        .journal_mode(SqliteJournalMode::Wal) // readers beside a writer; a kill loses nothing
        .synchronous(SqliteSynchronous::Full) // what was acknowledged survives a power failure
        .pragma("trusted_schema", "OFF") // a planted schema may call no functions with side effects
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(POOL_WAIT)
        // A full disk makes SQLite end a transaction by itself; sqlx then cannot roll it back, and takes the connection for
        // one in a transaction ever after: nothing could be written with it.
        .before_acquire(|connection, _| {
            let is_free = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_free) })
        })
        .connect_with(options)
        .await
        .map_err(|error| of_sql(file, "opening the database", &error))?;
    match bring_up_to_date(&pool, file).await {
        Ok(()) => Ok(pool),
        Err(error) => {
            pool.close().await;
            Err(error)
        }
    }
}

async fn bring_up_to_date(pool: &SqlitePool, file: &Path) -> Result<(), StoreError> {
    let doing = "reading the version of the database's schema";
    let failed = |error: sqlx::Error| of_sql(file, doing, &error);
    let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found = schema_version(pool).await.map_err(failed)?;
    if found > known {
        return Err(StoreError::Newer { path: file.to_owned(), found, known });
    }
    if found == known {
        return Ok(()); // needs no write lock, so a reader does not wait for a writer
    }
    // All or nothing, and only one process: the migrations run inside this transaction.
    let mut all = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    MIGRATOR.run_direct(None, &mut *all, false).await.map_err(|error| of_migrate(file, &error))?;
    all.commit().await.map_err(|error| of_sql(file, "bringing the database up to date", &error))
}

async fn schema_version(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(pool)
            .await?;
    if tables == 0 {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(pool)
        .await
}

#[cfg(test)]
mod tests {

    use super::*;

    #[tokio::test]
    async fn a_transaction_that_the_database_ended_by_itself_spoils_no_connection() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pool = open(file.path()).await.unwrap();
        for _ in 0..2 * CONNECTIONS {
            let mut all = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
            // What SQLite does when the disk is full.
            sqlx::query("ROLLBACK").execute(&mut *all).await.unwrap();
            assert!(all.commit().await.is_err());
        }
        pool.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();
    }
}
