//! The host's file system below one directory.
//!
//! All paths given here are the host's own absolute paths. They are opened so that neither `..` nor a link,
//! absolute ones included, leads out of the root (`openat2` with `RESOLVE_IN_ROOT`): with the host mounted at
//! `/host`, `/var/run/docker.sock` is found below `/host/run`. Reads are limited in size. Nothing is written.
//!
//! /proc is special: its `exe`, `cwd` and `root` links may only be followed by the kernel, so [`Root::proc`]
//! gives a plain path for code that reads processes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use haechi_core::finding::Cause;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};

use crate::gaps::Observed;

/// `PROC_SUPER_MAGIC` of the kernel's `include/uapi/linux/magic.h`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// Configuration files larger than this are not read: none of an engine's or system's comes near.
pub const FILE_SIZE_MAX: u64 = 16 << 20;
/// Entries of one directory that are looked at.
pub const DIR_ENTRIES_MAX: usize = 100_000;

/// The host's file system below one directory.
#[derive(Debug, Clone)]
pub struct Root {
    base: PathBuf,
    proc: PathBuf,
}

/// Why a path could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {kind}")]
pub struct RootError {
    /// The host's own path.
    pub path: String,
    /// What happened.
    pub kind: RootErrorKind,
}

/// What happened to a path.
#[derive(Debug, thiserror::Error)]
pub enum RootErrorKind {
    /// It does not exist.
    #[error("does not exist")]
    NotFound,
    /// This user may not; root may.
    #[error("permission denied; run as root")]
    Permission,
    /// Larger than [`FILE_SIZE_MAX`], or more than [`DIR_ENTRIES_MAX`] entries.
    #[error("too large to be what it should be")]
    TooLarge,
    /// Not what was asked for, as a folder where a file should be.
    #[error("is not a {0}")]
    WrongKind(&'static str),
    /// Anything else.
    #[error("{0}")]
    Io(io::Error),
}

impl RootError {
    /// What the system said of a path.
    pub(crate) fn new(path: &Path, error: io::Error) -> Self {
        let kind = match error.kind() {
            // ENOTDIR: a parent is no directory, so the path does not exist either.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => RootErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => RootErrorKind::Permission,
            _ => RootErrorKind::Io(error),
        };
        Self { path: path.display().to_string(), kind }
    }

    /// Whether the path does not exist (as opposed to: could not be looked at).
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, RootErrorKind::NotFound)
    }
}

impl Observed for RootError {
    fn gap_cause(&self) -> Cause {
        match self.kind {
            RootErrorKind::Permission => Cause::Permission,
            _ => Cause::Missing,
        }
    }
}

/// What `stat` says of a path, links followed.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The path with all links resolved.
    pub real_path: String,
    /// `file`, `directory`, `socket` or `other`.
    pub kind: &'static str,
    /// Owner id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, set-id bits included.
    pub mode: u32,
    /// Device as `major:minor`.
    pub device: String,
    /// Inode.
    pub inode: u64,
    /// Time of the last change of content, seconds since the epoch.
    pub modified: i64,
    /// Size in bytes.
    pub size: u64,
    /// Whether an access control list extends the mode.
    pub acl: bool,
}

impl Root {
    /// The file system below `base`.
    pub fn new(base: &Path) -> Self {
        Self { base: base.to_owned(), proc: base.join("proc") }
    }

    /// Whether it is this machine's own root.
    pub fn is_whole_machine(&self) -> bool {
        self.base == Path::new("/")
    }

    /// The directory itself.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// A plain path below `/proc`, for code that reads processes.
    pub fn proc(&self, rest: &str) -> PathBuf {
        self.proc.join(rest)
    }

    /// The same with /proc only if it is the kernel's: below a mounted root anybody may have made a folder of that
    /// name, with pipes and endless files in it. Otherwise every path below /proc is one that does not exist.
    #[must_use]
    pub fn with_real_proc(mut self) -> Self {
        let is_real = rustix::fs::statfs(&self.proc)
            .is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(PROC_SUPER_MAGIC));
        if !is_real {
            self.proc = self.proc.join("no-process-file-system-is-mounted-here");
        }
        self
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, RootError> {
        let fail = |error: rustix::io::Errno| RootError::new(path, error.into());
        let base = rustix::fs::open(
            &self.base,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(fail)?;
        rustix::fs::openat2(
            base,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
        .map_err(fail)
    }

    /// Reads a whole file, at most [`FILE_SIZE_MAX`] bytes; pipes and devices are refused.
    ///
    /// # Errors
    /// The path does not exist, is not readable, not a file, or too large.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, RootError> {
        let path = path.as_ref();
        // NONBLOCK: opening a pipe must not wait for a writer.
        let fd = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| RootError::new(path, e.into()))?;
        let refuse = |kind| RootError { path: path.display().to_string(), kind };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refuse(RootErrorKind::WrongKind("file")));
        }
        let mut bytes = Vec::new();
        File::from(fd)
            .take(FILE_SIZE_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| RootError::new(path, e))?;
        if bytes.len() as u64 > FILE_SIZE_MAX {
            return Err(refuse(RootErrorKind::TooLarge));
        }
        Ok(bytes)
    }

    /// Reads a whole file as text; bytes that are not UTF-8 become `U+FFFD`.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_text(&self, path: impl AsRef<Path>) -> Result<String, RootError> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Names in a directory, sorted.
    ///
    /// # Errors
    /// The path does not exist, is not readable or not a directory, or holds too many entries.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>, RootError> {
        let path = path.as_ref();
        let fd = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let dir = rustix::fs::Dir::new(fd).map_err(|e| RootError::new(path, e.into()))?;
        let mut names = Vec::new();
        for entry in dir {
            let entry = entry.map_err(|e| RootError::new(path, e.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == DIR_ENTRIES_MAX {
                return Err(RootError {
                    path: path.display().to_string(),
                    kind: RootErrorKind::TooLarge,
                });
            }
            names.push(std::os::unix::ffi::OsStringExt::from_vec(name.to_vec()));
        }
        names.sort();
        Ok(names)
    }

    /// Opens a directory, for code that walks down from it by descriptors.
    ///
    /// # Errors
    /// The path does not exist, is not readable or not a directory.
    pub(crate) fn open_dir(&self, path: &Path) -> Result<OwnedFd, RootError> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Where a link points, as written in it; `None` if the path is not a link.
    ///
    /// # Errors
    /// The path does not exist or may not be looked at.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<Option<String>, RootError> {
        let path = path.as_ref();
        let fd = self.open(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        match rustix::fs::readlinkat(&fd, "", Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            // What the kernel says of a descriptor that is not a link's.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => Ok(None),
            Err(error) => Err(RootError::new(path, error.into())),
        }
    }

    /// What a path is, links followed.
    ///
    /// # Errors
    /// The path does not exist or may not be looked at.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata, RootError> {
        let path = path.as_ref();
        let fd = self.open(path, OFlags::PATH)?;
        let stat: Stat = rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH)
            .map_err(|e| RootError::new(path, e.into()))?;
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let seen = std::fs::read_link(&link).map_err(|e| RootError::new(path, e))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => "file",
            FileType::Directory => "directory",
            FileType::Socket => "socket",
            _ => "other",
        };
        let mut probe = [0_u8; 0];
        // The kernel answers with the size of the list, so an empty buffer tells whether there is one.
        let acl = rustix::fs::getxattr(Path::new(&link), "system.posix_acl_access", &mut probe)
            .is_ok_and(|size| size > 0);
        Ok(Metadata {
            real_path: self.inside(&seen),
            kind,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            device: format!(
                "{}:{}",
                rustix::fs::major(stat.st_dev),
                rustix::fs::minor(stat.st_dev)
            ),
            inode: stat.st_ino,
            modified: stat.st_mtime,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            acl,
        })
    }

    /// The host's own path of something found below the root.
    fn inside(&self, seen: &Path) -> String {
        let base = std::fs::canonicalize(&self.base).unwrap_or_else(|_| self.base.clone());
        match seen.strip_prefix(&base) {
            Ok(rest) => Path::new("/").join(rest).display().to_string(),
            Err(_) => seen.display().to_string(),
        }
    }

    /// Names of users by id, from /etc/passwd; empty if it cannot be read.
    pub fn user_names(&self) -> BTreeMap<u32, String> {
        self.names("/etc/passwd")
    }

    /// Names of groups by id, from /etc/group; empty if it cannot be read.
    pub fn group_names(&self) -> BTreeMap<u32, String> {
        self.names("/etc/group")
    }

    fn names(&self, path: &str) -> BTreeMap<u32, String> {
        let mut names = BTreeMap::new();
        for line in self.read_text(path).unwrap_or_default().lines() {
            let mut fields = line.split(':');
            let (name, id) = (fields.next(), fields.nth(1));
            if let (Some(name), Some(Ok(id))) = (name, id.map(str::parse)) {
                // The first line wins, as in the C library.
                names.entry(id).or_insert_with(|| name.to_owned());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir_all(dir.path().join("run")).unwrap();
        std::fs::create_dir_all(dir.path().join("var")).unwrap();
        std::fs::write(dir.path().join("run/x"), "inside").unwrap();
        symlink("/run", dir.path().join("var/run")).unwrap();
        symlink("../../../../run/x", dir.path().join("up")).unwrap();
        assert_eq!(root.read_text("/var/run/x").unwrap(), "inside");
        assert_eq!(root.read_text("/up").unwrap(), "inside");
        let meta = root.metadata("/var/run/x").unwrap();
        assert_eq!(meta.real_path, "/run/x");
        assert_eq!(meta.kind, "file");
        assert!(!meta.acl);
        assert_eq!(root.read_link("/var/run").unwrap().as_deref(), Some("/run"));
        assert_eq!(root.read_link("/run/x").unwrap(), None);
    }

    #[test]
    fn missing_files_pipes_and_folders_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert!(root.read("/none").unwrap_err().is_not_found());
        std::fs::write(dir.path().join("file"), "x").unwrap();
        assert!(root.read("/file/below").unwrap_err().is_not_found());
        let error = root.read("/").unwrap_err();
        assert_eq!(error.to_string(), "/: is not a file");
        let fifo = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        assert_eq!(root.read("/pipe").unwrap_err().to_string(), "/pipe: is not a file");
        std::fs::set_permissions(dir.path().join("file"), PermissionsExt::from_mode(0o4640))
            .unwrap();
        assert_eq!(root.metadata("/file").unwrap().mode, 0o4640);
    }
}
