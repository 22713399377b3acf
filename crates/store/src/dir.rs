//! The data directory and its one file: made for their owner only, refused if others can write.
//!
//! No database is opened here that already exists: closing a second descriptor of it would drop the
//! locks that SQLite holds in this process. Directories above the data directory are not judged.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{StoreError, of_io};

/// The database in the data directory.
pub const FILE: &str = "haechi.db";
/// Permission bits that let somebody else write.
const OTHERS_WRITE: u32 = 0o022;
/// Permission bits that concern somebody else at all.
const OTHERS: u32 = 0o077;
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// How long to wait for another process that is just opening the same directory.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Held while a database is made or brought up to date, so that two processes do not do it at once.
/// The kernel releases it with the process.
#[derive(Debug)]
pub(crate) struct DirLock(#[expect(dead_code, reason = "held, not read")] Option<File>);

/// Makes or judges the data directory.
pub(crate) fn prepare(dir: &Path) -> Result<(), StoreError> {
    match fs::metadata(dir) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_dir(dir)?,
        Err(error) => return Err(of_io(dir, "looking at the data directory", &error)),
    }
    let meta = fs::metadata(dir).map_err(|e| of_io(dir, "looking at the data directory", &e))?;
    if !meta.is_dir() {
        return Err(StoreError::WrongKind { path: dir.to_owned(), wanted: "directory" });
    }
    judge(dir, &meta)
}

/// Waits until no other process is opening this directory.
pub(crate) async fn lock(dir: &Path) -> Result<DirLock, StoreError> {
    let doing = "locking the data directory";
    let file = File::open(dir).map_err(|error| of_io(dir, doing, &error))?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(DirLock(Some(file))),
            Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_WAIT => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: dir.to_owned(),
                    doing,
                    detail: format!("waited {} s", LOCK_WAIT.as_secs()),
                });
            }
            // Some network file systems lock no directories; the database's own locks remain.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, "the data directory cannot be locked");
                return Ok(DirLock(None));
            }
        }
    }
}

/// Makes or judges the database file; the caller holds the lock.
pub(crate) fn database(dir: &Path) -> Result<PathBuf, StoreError> {
    let path = dir.join(FILE);
    match fs::symlink_metadata(&path) {
        Ok(meta) if !meta.is_file() => {
            return Err(StoreError::WrongKind { path, wanted: "regular file" });
        }
        Ok(meta) => {
            judge(&path, &meta)?;
            if meta.mode() & OTHERS != 0 {
                set_mode(&path, FILE_MODE)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_file(dir, &path)?,
        Err(error) => return Err(of_io(&path, "looking at the database", &error)),
    }
    Ok(path)
}

fn create_dir(dir: &Path) -> Result<(), StoreError> {
    let doing = "making the data directory";
    let failed = |error: io::Error| of_io(dir, doing, &error);
    let mut builder = DirBuilder::new();
    builder.mode(DIR_MODE);
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    builder.recursive(true).create(parent).map_err(failed)?;
    match builder.recursive(false).create(dir) {
        Ok(()) => {}
        // Another process was faster; it is judged like any other.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    set_mode(dir, DIR_MODE)?;
    sync_dir(parent)
}

fn create_file(dir: &Path, path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|error| of_io(path, "making the database", &error))?;
    set_mode(path, FILE_MODE)?;
    sync_dir(dir)
}

/// Sets a mode whatever the umask is.
fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| of_io(path, "setting its mode", &error))
}

/// Makes a new name survive a power failure.
fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        // A directory above that may not be read, or a file system that syncs no directories.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done.map_err(|error| of_io(dir, "syncing the directory", &error)),
    }
}

/// Refuses what somebody else than this user (or root) could have written.
fn judge(path: &Path, meta: &fs::Metadata) -> Result<(), StoreError> {
    let (owner, user) = (meta.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(StoreError::OtherOwner { path: path.to_owned(), owner, user });
    }
    // Named users and groups of an access control list show up in the group's bits.
    if meta.mode() & OTHERS_WRITE != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(StoreError::OthersCanWrite { path: path.to_owned(), mode });
    }
    Ok(())
}
