//! What reads files of an image: one [`Reader`] for each format, and what they find, as [`Found`].
//!
//! A reader sees one file of one layer: its [`Meta`] and its bytes. It knows nothing of other layers and opens
//! nothing. Whether the file is still there in the end is found out when layers are merged.

use haechi_core::inventory::{Distro, Package, WeakSource};
use serde::{Deserialize, Serialize};

/// What the archive says about an entry.
#[derive(Debug, Clone, Default)]
pub struct Meta<'a> {
    /// Path without leading `/` or `./`, without `.` and `..`; bytes that are no UTF-8 as `\xNN`.
    pub path: &'a str,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes.
    pub size: u64,
}

impl Meta<'_> {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether anyone may execute it.
    pub fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// One format.
pub struct Reader {
    /// Name for messages: `dpkg status`.
    pub name: &'static str,
    /// Largest file that is read. A larger one that is wanted is a problem of the image.
    pub size_max: u64,
    /// Whether it wants this file, from its path and mode and its first bytes (up to 4096).
    pub wants: fn(&Meta<'_>, head: &[u8]) -> bool,
    /// Reads it, complete.
    pub read: fn(&Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread>,
}

/// A file that its reader could not read, or not completely. What was found until then counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unread(pub String);

/// What readers found in one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The distribution that it names.
    pub distro: Option<Distro>,
    /// Packages.
    pub packages: Vec<Package>,
    /// Which package owns which files.
    pub owned: Vec<Owned>,
    /// Accounts (`etc/passwd`): name and user id.
    pub accounts: Vec<(String, i64)>,
    /// Settings that skip verification; their layer is filled in later.
    pub weak_sources: Vec<WeakSource>,
    /// Parts of it that could not be read (an inner archive, one stanza): what and why.
    pub unread: Vec<String>,
    /// Files that dpkg moved aside for another package: where they were, and where they are (dpkg-divert(1)).
    pub diversions: Vec<(String, String)>,
}

impl Found {
    /// Takes what another reader found in the same file.
    pub fn absorb(&mut self, other: Self) {
        let Self { distro, packages, owned, accounts, weak_sources, unread, diversions } = other;
        self.distro = self.distro.take().or(distro);
        self.packages.extend(packages);
        self.owned.extend(owned);
        self.accounts.extend(accounts);
        self.weak_sources.extend(weak_sources);
        self.unread.extend(unread);
        self.diversions.extend(diversions);
    }
}

/// The files of one package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The package's name; for dpkg with `:arch` if its file name has it.
    pub package: String,
    /// Its files.
    pub files: Vec<OwnedFile>,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedFile {
    /// Path without leading `/`.
    pub path: String,
    /// What its content must be; absent if the package does not say.
    pub digest: Option<Digest>,
    /// Whether the site is expected to change it (a configuration file).
    pub config: bool,
}

/// A checksum in a package database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Digest {
    /// MD5.
    Md5([u8; 16]),
    /// SHA-1.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
    /// Another algorithm; cannot be compared.
    Other,
}
