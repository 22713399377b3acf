//! The data directory: who may use it, and what is said about one that cannot be used.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may stop at once when something is not as expected"
)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::sample::report;
use common::{TIME, store};
use haechi_store::{Store, StoreError};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

async fn refusal(dir: &Path) -> StoreError {
    Store::open(dir).await.expect_err("must be refused")
}

#[tokio::test]
async fn made_for_the_owner_only() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b/data");
    let store = Store::open(&dir).await.unwrap();
    store.record(&report("web-1", TIME, 3), true).await.unwrap();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&root.path().join("a")), 0o700);
    for file in ["haechi.db", "haechi.db-wal", "haechi.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    // A copy from elsewhere that others can read is closed to them.
    store.close().await;
    set_mode(&dir.join("haechi.db"), 0o644);
    Store::open(&dir).await.unwrap();
    assert_eq!(mode(&dir.join("haechi.db")), 0o600);
}

#[tokio::test]
async fn refused_if_others_can_write() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    store(root.path()).await.close().await;
    for bits in [0o777, 0o1777, 0o770, 0o702] {
        set_mode(&dir, bits);
        let error = refusal(&dir).await;
        assert!(matches!(error, StoreError::OthersCanWrite { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&dir.display().to_string()) && text.contains("chmod go-w"), "{text}");
    }
    set_mode(&dir, 0o755);
    Store::open(&dir).await.unwrap().close().await;
    set_mode(&dir.join("haechi.db"), 0o666);
    let text = refusal(&dir).await.to_string();
    assert!(text.contains("haechi.db") && text.contains("chmod go-w"), "{text}");
}

#[tokio::test]
async fn refused_if_something_else_is_there() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(refusal(&file).await, StoreError::WrongKind { wanted: "directory", .. }));
    assert!(matches!(refusal(&file.join("data")).await, StoreError::WrongKind { .. }));
    let dir = root.path().join("data");
    fs::create_dir(&dir).unwrap();
    symlink(&file, dir.join("haechi.db")).unwrap();
    assert!(matches!(refusal(&dir).await, StoreError::WrongKind { wanted: "regular file", .. }));
}

/// Needs root to give a directory away; on the machines of this project the tests run as root.
#[tokio::test]
async fn refused_if_it_belongs_to_somebody_else() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o700);
    std::os::unix::fs::chown(&dir, Some(12345), None).expect("this test needs root");
    let error = refusal(&dir).await;
    assert!(matches!(error, StoreError::OtherOwner { owner: 12345, .. }), "{error}");
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o500);
    // Root is above permissions; this thread, and those that it starts, give that up.
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, sets).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for wanted in [dir.clone(), dir.join("below")] {
        let error = runtime.block_on(refusal(&wanted));
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&wanted.display().to_string()) && text.contains("--data-dir"));
    }
    // The same with a database in it that may not be written.
    set_mode(&dir, 0o700);
    runtime.block_on(async { Store::open(&dir).await.unwrap().close().await });
    set_mode(&dir.join("haechi.db"), 0o400);
    set_mode(&dir, 0o500);
    runtime.block_on(async {
        let error = match Store::open(&dir).await {
            Err(error) => error,
            Ok(store) => store.record(&report("web-1", TIME, 3), true).await.unwrap_err(),
        };
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    });
    set_mode(&dir, 0o700);
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let file = dir.join("haechi.db");
    let good = store(root.path()).await;
    let id = good.record(&report("web-1", TIME, 500), true).await.unwrap();
    good.close().await;
    let bytes = fs::read(&file).unwrap();

    // Not a database at all.
    fs::write(&file, "this is a letter, not a database\n".repeat(200)).unwrap();
    let error = refusal(&dir).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&file.display().to_string()) && text.contains("move it away"), "{text}");

    // Everything after the first page overwritten, or half of it lost.
    let mut overwritten = bytes.clone();
    overwritten[4096..].fill(0xa5);
    for damaged in [overwritten, bytes[..bytes.len() / 2].to_vec()] {
        fs::write(&file, damaged).unwrap();
        let error = match Store::open(&dir).await {
            Err(error) => error,
            Ok(store) => {
                assert!(matches!(store.check().await, Err(StoreError::Corrupt { .. })));
                store.kept(id).await.unwrap_err()
            }
        };
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
    // Moved away, a new history begins.
    fs::remove_file(&file).unwrap();
    assert_eq!(store(root.path()).await.history(None, 1).await.unwrap(), []);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    store(root.path()).await.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("haechi.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'the future', TRUE, X'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let before = fs::read(dir.join("haechi.db")).unwrap();
    let error = refusal(&dir).await;
    assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
    assert!(error.to_string().contains("newer Haechi"), "{error}");
    assert_eq!(fs::read(dir.join("haechi.db")).unwrap(), before);
}
