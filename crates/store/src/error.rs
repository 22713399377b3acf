//! What can go wrong with a data directory: each error names the path and how to mend it.
//!
//! SQLite's error codes end here. Nothing is retried here; what could be waited for was waited for.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no exception of this number.
    #[error("there is no exception {0}; `haechi except list` shows them")]
    NoException(
        /// The number.
        i64,
    ),
    /// There is no such row, or it was forgotten meanwhile.
    #[error("there is no {what} {id} (any more)")]
    NoRow {
        /// What kind of thing.
        what: &'static str,
        /// Its number.
        id: i64,
    },
    /// Another user could replace what is kept.
    #[error(
        "{path}: other users can write here (mode {mode:04o}), so its history cannot be trusted; \
         mend with `chmod go-w {path}`, or choose another data directory (--data-dir)",
        path = .path.display()
    )]
    OthersCanWrite {
        /// The directory or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else, who could replace what is kept.
    #[error(
        "{path}: belongs to user id {owner}, not to the user that runs Haechi (user id {user}); \
         run Haechi as its owner, mend with `chown`, or choose another data directory (--data-dir)",
        path = .path.display()
    )]
    OtherOwner {
        /// The directory or file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs Haechi.
        user: u32,
    },
    /// There is something else in its place.
    #[error(
        "{path}: is not a {wanted}; move it away, or choose another data directory (--data-dir)",
        path = .path.display()
    )]
    WrongKind {
        /// What is in the way.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// The kernel refused.
    #[error(
        "{path}: no permission while {doing}, or a read-only file system ({detail}); run Haechi as \
         the owner of the data directory, make it writable for its owner (`chmod u+rwx` on the \
         directory), or choose another one (--data-dir)",
        path = .path.display()
    )]
    Denied {
        /// The directory or file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        detail: String,
    },
    /// No space left, or a quota.
    #[error(
        "{path}: the disk is full while {doing} ({detail}); nothing that was kept is lost, but \
         this was not kept. Free some space and try again",
        path = .path.display()
    )]
    Full {
        /// The database.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        detail: String,
    },
    /// Another process did not let go in time.
    #[error(
        "{path}: another process kept the database busy while {doing} ({detail}); wait for other \
         Haechi processes that use this data directory (or end one that hangs) and try again",
        path = .path.display()
    )]
    Locked {
        /// The database.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        detail: String,
    },
    /// It is no database, or a damaged one.
    #[error(
        "{path}: the database is damaged ({detail}); move it away together with its `-wal` and \
         `-shm` files and Haechi begins a new history (`sqlite3 FILE .recover` may save the old)",
        path = .path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A newer Haechi wrote it.
    #[error(
        "{path}: was written by a newer Haechi (its schema is version {found}, this Haechi knows \
         up to version {known}); use the newer Haechi, or choose another directory (--data-dir)",
        path = .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this Haechi knows.
        known: i64,
    },
    /// There is no such verification.
    #[error("{asked}: {detail}; `haechi history` lists the verifications on record")]
    NotFound {
        /// What was asked for.
        asked: String,
        /// What there is instead.
        detail: String,
    },
    /// What was asked for names no verification in any form.
    #[error(
        "{asked}: not a verification; say `latest`, `previous`, a number from `haechi history`, or \
         a date such as `2026-07-28` or `2026-07-28T09:30:00Z`"
    )]
    BadSpec {
        /// What was asked for.
        asked: String,
    },
    /// A report that cannot be kept.
    #[error("the report cannot be kept: {0}")]
    BadReport(String),
    /// The system did not answer as it should.
    #[error("{path}: could not be used while {doing} ({detail})", path = .path.display())]
    Other {
        /// The directory or file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        detail: String,
    },
}

/// An error of the file system, in the words above.
pub(crate) fn of_io(path: &Path, doing: &'static str, error: &io::Error) -> StoreError {
    use io::ErrorKind as Kind;
    let (path, detail) = (path.to_owned(), error.to_string());
    match error.kind() {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            StoreError::Denied { path, doing, detail }
        }
        Kind::StorageFull | Kind::QuotaExceeded => StoreError::Full { path, doing, detail },
        Kind::NotADirectory => StoreError::WrongKind { path, wanted: "directory" },
        _ => StoreError::Other { path, doing, detail },
    }
}

/// An error of the database, in the words above.
pub(crate) fn of_sql(path: &Path, doing: &'static str, error: &sqlx::Error) -> StoreError {
    let (path, detail) = (path.to_owned(), error.to_string());
    match error {
        sqlx::Error::Io(error) => of_io(&path, doing, error),
        sqlx::Error::PoolTimedOut => StoreError::Locked { path, doing, detail },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            StoreError::Corrupt { path, detail }
        }
        // Primary result codes: https://www.sqlite.org/rescode.html
        sqlx::Error::Database(inner) => match primary_code(inner.code().as_deref()) {
            // PERM, READONLY, CANTOPEN, AUTH
            Some(3 | 8 | 14 | 23) => StoreError::Denied { path, doing, detail },
            // BUSY, LOCKED
            Some(5 | 6) => StoreError::Locked { path, doing, detail },
            // CORRUPT, NOTADB
            Some(11 | 26) => StoreError::Corrupt { path, detail },
            // FULL
            Some(13) => StoreError::Full { path, doing, detail },
            _ => StoreError::Other { path, doing, detail },
        },
        _ => StoreError::Other { path, doing, detail },
    }
}

/// An error of the migrations, in the words above.
pub(crate) fn of_migrate(path: &Path, error: &sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError as Error;
    let doing = "bringing the database up to date";
    match error {
        Error::Execute(error) | Error::ExecuteMigration(error, _) => of_sql(path, doing, error),
        other => StoreError::Other { path: path.to_owned(), doing, detail: other.to_string() },
    }
}

/// The low byte of an extended result code says what kind of error it is.
fn primary_code(code: Option<&str>) -> Option<i32> {
    code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_are_reduced() {
        assert_eq!(primary_code(Some("1032")), Some(8)); // SQLITE_READONLY_DBMOVED
        assert_eq!(primary_code(Some("261")), Some(5)); // SQLITE_BUSY_RECOVERY
        assert_eq!(primary_code(Some("no number")), None);
    }

    #[test]
    fn every_kind_of_refusal_names_the_path_and_the_mend() {
        let path = Path::new("some/dir");
        for (kind, mend) in [
            (io::ErrorKind::PermissionDenied, "--data-dir"),
            (io::ErrorKind::ReadOnlyFilesystem, "--data-dir"),
            (io::ErrorKind::StorageFull, "Free some space"),
            (io::ErrorKind::NotADirectory, "move it away"),
        ] {
            let text = of_io(path, "testing", &kind.into()).to_string();
            assert!(text.contains("some/dir") && text.contains(mend), "{text}");
        }
    }
}
