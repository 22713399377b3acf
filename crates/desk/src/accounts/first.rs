//! The first account's password in a file, for a start that nobody watches: under systemd stderr is a log, which is kept
//! and read by many.
//!
//! The file is there until another password is chosen or given.

use std::fs::{self, File};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::Accounts;

/// Name of the first account.
pub(super) const FIRST: &str = "admin";
/// Name of the file in the folder of the data.
const FILE: &str = "first-password";

impl Accounts {
    /// Writes the first account's password to a file that only its owner may read; where it is.
    ///
    /// # Errors
    /// The file cannot be written. Then nobody knows the password: the account needs a new one.
    pub fn keep_first(&self, password: &str) -> Result<PathBuf> {
        self.forget_first()?;
        let path = self.first_file();
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{password}")?;
        file.sync_all()?;
        Ok(path)
    }

    /// An account has another password, or is gone: what the file says of the first one is not true any more.
    pub(super) fn other_password(&self, account: &str) {
        if account.eq_ignore_ascii_case(FIRST)
            && let Err(error) = self.forget_first()
        {
            tracing::warn!("{}: cannot be removed: {error}", self.first_file().display());
        }
    }

    fn first_file(&self) -> PathBuf {
        self.log.dir().join(FILE)
    }

    fn forget_first(&self) -> Result<()> {
        match fs::remove_file(self.first_file()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
