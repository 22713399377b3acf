//! A folder as an image of one layer: a root file system that lies unpacked on this machine.
//!
//! It is walked by descriptors, so no link leads out of it, and stays on one file system, so /proc and /sys of a
//! running system are left out. Nothing in it is opened that is not a regular file.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use haechi_core::inventory::{Part, ProblemKind};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};

use crate::builder::{self, Builder, Tools};
use crate::layer::{LayerScan, NodeKind};
use crate::path::{self, PATH_MAX};
use crate::reader::Meta;
use crate::tarball::Stop;

/// Deepest folder. Each level holds one descriptor.
const DEPTH_MAX: usize = 100;

/// Where the kernel keeps the capabilities of a file: capabilities(7), xattr(7).
const CAPABILITY: &str = "security.capability";

/// Opens the folder, before the sandbox closes.
///
/// # Errors
/// There is none, or it may not be read.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Reads everything below the folder, or only what lies on the way to and below these paths.
pub fn read(root: OwnedFd, only: &[String], tools: &Tools) -> LayerScan {
    builder::layer(tools, |builder| {
        if let Err(stop) = walk(root, only, builder) {
            let detail = format!("the folder was read up to here: {}", stop.detail);
            builder.problem(stop.kind, "", detail, &Part::ALL);
        }
    })
}

struct Level {
    folder: OwnedFd,
    path: String,
    /// Names left to read, last first.
    names: Vec<Vec<u8>>,
}

impl Level {
    /// Names are sorted, so that the same folder always gives the same result.
    fn new(folder: OwnedFd, path: String) -> io::Result<Self> {
        let mut names = Vec::new();
        // A second descriptor for the listing: opening the folder anew is a system call that the sandbox refuses.
        for entry in Dir::new(folder.try_clone()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { folder, path, names })
    }
}

fn walk(root: OwnedFd, only: &[String], builder: &mut Builder<'_>) -> Result<(), Stop> {
    let device = rustix::fs::fstat(&root).map_err(io::Error::from)?.st_dev;
    let mut levels = vec![Level::new(root, String::new())?];
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { return Ok(()) };
        let Some(name) = level.names.pop() else {
            levels.pop();
            continue;
        };
        builder.entry()?;
        let shown = path::text(&name);
        let path = if level.path.is_empty() { shown } else { format!("{}/{shown}", level.path) };
        if !only.is_empty() && !only.iter().any(|wanted| is_on_way(&path, wanted)) {
            continue;
        }
        let stat =
            match rustix::fs::statat(&level.folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Gone since the folder was listed: a running system is never still.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => {
                    unread(builder, &path, &error.into());
                    continue;
                }
            };
        let meta = meta(&path, &stat);
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            FileType::RegularFile => {
                let opened = opened(level.folder.as_fd(), &name, OFlags::NONBLOCK);
                let read = opened.and_then(|file| {
                    match has_attribute(file.as_fd(), CAPABILITY) {
                        Ok(false) => {}
                        Ok(true) => builder.capable(path.clone()),
                        Err(error) => {
                            let detail = format!("its capabilities cannot be read: {error}");
                            builder.problem(ProblemKind::Absent, &path, detail, &[Part::Files]);
                        }
                    }
                    builder.file(&meta, &mut File::from(file))
                });
                if let Err(error) = read {
                    // The file was cut while it was read, or it may not be read.
                    unread(builder, &path, &error);
                }
            }
            FileType::Directory => {
                builder.node(&meta, NodeKind::Directory);
                if stat.st_dev != device {
                    // What the kernel shows there is no part of the system; a disk of its own for /var or /opt is.
                    let kernels = ["proc", "sys", "dev", "run"].contains(&path.as_str());
                    let affects: &[Part] = if kernels { &[] } else { &Part::ALL };
                    let detail = "another file system; not read".to_owned();
                    builder.problem(ProblemKind::Unsupported, &path, detail, affects);
                    continue;
                }
                if depth >= DEPTH_MAX || path.len() > PATH_MAX {
                    builder.problem(
                        ProblemKind::Limit,
                        &path,
                        "folders too deep".into(),
                        &Part::ALL,
                    );
                    continue;
                }
                let folder = opened(level.folder.as_fd(), &name, OFlags::DIRECTORY);
                match folder.and_then(|folder| Level::new(folder, path.clone())) {
                    Ok(level) => levels.push(level),
                    Err(error) => unread(builder, &path, &error),
                }
            }
            FileType::Symlink => {
                match rustix::fs::readlinkat(&level.folder, name.as_slice(), Vec::new()) {
                    Ok(target) => {
                        builder.node(&meta, NodeKind::Symlink(path::text(target.to_bytes())));
                    }
                    Err(error) => unread(builder, &path, &error.into()),
                }
            }
            _ => builder.node(&meta, NodeKind::Special),
        }
    }
}

/// Whether a path leads to the wanted one, or lies below it.
fn is_on_way(path: &str, wanted: &str) -> bool {
    let below = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(wanted, path) || below(path, wanted)
}

fn opened(folder: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | flags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(folder, name, flags, Mode::empty(), resolve)?)
}

/// Whether a file has an extended attribute, whatever its value; on a file system without any it has none.
fn has_attribute(file: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    use rustix::io::Errno;
    match rustix::fs::fgetxattr_query(file, name) {
        Ok(size) => Ok(size > 0),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn unread(builder: &mut Builder<'_>, path: &str, error: &io::Error) {
    builder.problem(ProblemKind::Absent, path, format!("cannot be read: {error}"), &Part::ALL);
}

fn meta<'p>(path: &'p str, stat: &Stat) -> Meta<'p> {
    Meta {
        path,
        mode: stat.st_mode & 0o7777,
        uid: u64::from(stat.st_uid),
        gid: u64::from(stat.st_gid),
        size: u64::try_from(stat.st_size).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(folder: &Path) -> LayerScan {
        let tools = crate::worker::tools(None, false).unwrap();
        read(open(folder).unwrap(), &[], &tools)
    }

    #[test]
    fn an_attribute_is_seen_whatever_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        assert!(!has_attribute(file.as_fd(), "user.haechi").unwrap());
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::fsetxattr(&file, "user.haechi", b"\x01\0", flags) {
            // Not every file system keeps them.
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            other => {
                other.unwrap();
                assert!(has_attribute(file.as_fd(), "user.haechi").unwrap());
            }
        }
        assert!(has_attribute(file.as_fd(), "no-namespace").is_ok_and(|has| !has));
    }

    #[test]
    fn capabilities_are_read_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ping", "cat"] {
            std::fs::write(folder.path().join(name), "text").unwrap();
        }
        // vfs_cap_data, revision 2: effective, CAP_NET_RAW permitted.
        let mut value = [0_u8; 20];
        value[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
        let path = folder.path().join("ping");
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::setxattr(&path, CAPABILITY, &value, flags);
        let expected: &[&str] = if set.is_ok() { &["ping"] } else { &[] };
        let scan = scan(folder.path());
        assert_eq!(scan.capable, expected);
        assert!(scan.problems.is_empty(), "{:?}", scan.problems);
    }
}
