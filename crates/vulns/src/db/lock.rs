//! One update at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{DbError, TEMPORARY};

/// The right to write. It ends when this is dropped, also when the process is killed.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, makes the folder if there is none, and removes what an update that was killed has left.
    ///
    /// # Errors
    /// Another update runs, or the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self, DbError> {
        let failed = |e: io::Error| DbError::Folder(dir.to_owned(), e);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let path = dir.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(DbError::Locked(dir.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(Self { _file: file })
    }
}
