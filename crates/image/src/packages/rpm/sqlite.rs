//! SQLite (`rpmdb.sqlite`, rpm since 4.16): one table with a header for each package. Read by SQLite itself from memory,
//! with everything off that a hostile schema could use to run.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, types::ValueRef};

use super::record::Records;
use crate::reader::Unread;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

pub(super) fn is_sqlite(content: &[u8]) -> bool {
    content.starts_with(MAGIC)
}

pub(super) fn read(content: &[u8], records: &mut Records<'_>) -> Result<(), Unread> {
    let broken = |error: rusqlite::Error| Unread(format!("SQLite says: {error}"));
    let database = open(content).map_err(broken)?;
    check_schema(&database)?;
    // NOT INDEXED: from the table itself, not from an index that may hold other values.
    let mut query =
        database.prepare("SELECT hnum, blob FROM main.Packages NOT INDEXED").map_err(broken)?;
    let mut rows = query.query([]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        let number = row.get_ref(0).ok().and_then(|value| value.as_i64().ok()).unwrap_or_default();
        let place = || format!("package {number}");
        match row.get_ref(1) {
            Ok(ValueRef::Blob(blob) | ValueRef::Text(blob)) => {
                if records.admit(blob.len())? {
                    records.take(blob, place);
                }
            }
            _ => records.note(|| format!("{}: no header", place())),
        }
    }
    Ok(())
}

fn open(content: &[u8]) -> rusqlite::Result<Connection> {
    let mut database = Connection::open_in_memory()?;
    // A database in memory has no write-ahead log, and SQLite refuses one that says it needs it. The log is another
    // file of the image, which has its own reader; 1 and 1 say that there is none
    // (<https://www.sqlite.org/fileformat2.html#file_format_version_numbers>).
    let (before, rest) = content.split_at_checked(18).unwrap_or_default();
    let after = rest.get(2..).unwrap_or_default();
    let bytes = std::io::Read::chain(std::io::Read::chain(before, &[1_u8, 1][..]), after);
    database.deserialize_read_exact("main", bytes, before.len() + 2 + after.len(), true)?;
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        database.set_db_config(setting, on)?;
    }
    database.pragma_update(None, "query_only", true)?;
    // Checks cells when a page is read: what does not fit is an error, not a surprise.
    database.pragma_update(None, "cell_size_check", true)?;
    Ok(database)
}

/// `Packages` must be a plain table with plain columns: views, virtual tables and computed columns can run without end.
fn check_schema(database: &Connection) -> Result<(), Unread> {
    let broken = |error: rusqlite::Error| Unread(format!("SQLite says: {error}"));
    let plain: i64 = database
        .query_row(
            "SELECT count(*) FROM main.sqlite_schema WHERE lower(name) = 'packages' AND type = 'table' AND rootpage > 1",
            [],
            |row| row.get(0),
        )
        .map_err(broken)?;
    let computed: i64 = database
        .query_row(
            "SELECT count(*) FROM pragma_table_xinfo('Packages') WHERE hidden <> 0",
            [],
            |row| row.get(0),
        )
        .map_err(broken)?;
    match (plain, computed) {
        (1, 0) => Ok(()),
        (0, _) => Err(Unread("it has no table Packages".into())),
        _ => Err(Unread("its table Packages is not rpm's".into())),
    }
}
