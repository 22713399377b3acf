//! Reading what a container can make anybody wait for: it may answer for a file system itself (FUSE), and a read of what
//! lies there, or of its memory, then takes as long as it likes.
//!
//! Nothing here waits for a container without an end.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// A command line is in memory, and read in microseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Files of one process that are looked at; a loader maps the program first, then some ten libraries.
const MAPPED_MAX: usize = 64;
/// Bytes of a list of maps that are read: some ten thousand maps.
const MAPS_MAX: u64 = 1 << 20;
/// What runtimes without root use as a container's root, mounted by them and not by the container.
const ROOTLESS: &str = "fuse.fuse-overlayfs";

/// Opens the program of a process (`/proc/PID/exe`), unless it lies on a file system that its container answers for.
///
/// # Errors
/// It cannot be opened, or must not be.
pub fn open_program(link: &Path) -> io::Result<File> {
    open_place(link.parent().unwrap_or(link), place(link)?)
}

/// Whether an error about a process says that it has ended.
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Opens the files that a process (`/proc/PID`) has mapped as code, each once and at most 64.
///
/// # Errors
/// Its maps cannot be read, or not in time, or one of the files cannot be opened, or must not be.
pub fn open_mapped(process: &Path) -> io::Result<Vec<File>> {
    let process = process.to_owned();
    // Whoever waits for a page of such a file system holds the list of maps.
    in_time("the maps of a process", move || {
        let mut maps = String::new();
        File::open(process.join("maps"))?.take(MAPS_MAX).read_to_string(&mut maps)?;
        let mut seen = BTreeSet::new();
        let code = maps.lines().filter_map(code).filter(|(_, file)| seen.insert(file.to_string()));
        let files = code.take(MAPPED_MAX).map(|(range, _)| {
            place(&process.join("map_files").join(range)).and_then(|at| open_place(&process, at))
        });
        // One may be gone again.
        files.filter(|file| !file.as_ref().is_err_and(is_gone)).collect()
    })
}

/// Opens a regular file as a process (`/proc/PID`) sees it by this path: only on the file system that is its root, and only
/// if its container does not answer for that.
///
/// # Errors
/// It is not there, is no regular file, or must not be opened.
pub fn open_inside(process: &Path, path: &str) -> io::Result<File> {
    let root = place(&process.join("root"))?;
    refuse_answering(process, root.as_raw_fd())?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), within)?;
    if !rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Only a place: no file system is asked yet.
fn place(link: &Path) -> io::Result<rustix::fd::OwnedFd> {
    Ok(rustix::fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn open_place(process: &Path, place: rustix::fd::OwnedFd) -> io::Result<File> {
    let number = place.as_raw_fd();
    refuse_answering(process, number)?;
    File::open(format!("/proc/self/fd/{number}"))
}

fn refuse_answering(process: &Path, number: i32) -> io::Result<()> {
    let Some(kind) = file_system(process, number)? else { return Ok(()) };
    let what = format!("it lies on a file system ({kind}) that may never answer");
    Err(io::Error::new(io::ErrorKind::Unsupported, what))
}

/// Range and file (device and inode) of a line of maps (proc_pid_maps(5)), if a file is mapped as code there.
fn code(line: &str) -> Option<(String, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (rights, rest) = rest.split_once(' ')?;
    let (_, file) = rest.split_once(' ')?;
    let path = file.find('/')?;
    let file = file.get(..path)?.trim_end();
    let (start, end) = range.split_once('-')?;
    let number = |hex: &str| u64::from_str_radix(hex, 16).ok();
    // The links are named without leading zeros.
    let range = format!("{:x}-{:x}", number(start)?, number(end)?);
    (rights.contains('x') && !file.ends_with(" 0")).then_some((range, file))
}

/// The kind of the file system of an opened place, if it is one that a container may answer for.
fn file_system(process: &Path, number: i32) -> io::Result<Option<String>> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    let Some(id) = id else { return Ok(None) };
    let own = PathBuf::from("/proc/self");
    let of_process = Some(process).filter(|folder| folder.join("mountinfo").exists());
    let mounts = fs::read_to_string(of_process.unwrap_or(&own).join("mountinfo"))?;
    Ok(mounts.lines().find_map(|line| answering(line, id)))
}

/// The kind of a mount in a line of mountinfo (proc_pid_mountinfo(5)), if it has this id and a container may answer for it.
fn answering(line: &str, id: &str) -> Option<String> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut words = mount.split(' ');
    let (own, point) = (words.next()?, words.nth(3)?);
    let kind = kind.split(' ').next()?;
    let by_runtime = kind == ROOTLESS && point == "/";
    (own == id && kind.starts_with("fuse") && !by_runtime).then(|| kind.to_owned())
}

/// Reads a file of `/proc` that is in the memory of a process, at most `size` bytes of it.
///
/// # Errors
/// It cannot be read, or not in time.
pub fn read_memory(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let sought = path.to_owned();
    in_time(&path.display().to_string(), move || {
        let mut bytes = Vec::new();
        File::open(sought)?.take(size).read_to_end(&mut bytes).map(|_| bytes)
    })
}

/// Does what may never end, and waits some seconds for it.
fn in_time<T: Send + 'static>(
    what: &str,
    does: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (give, get) = mpsc::channel();
    // A thread that waits for ever costs little; a verification that does costs everything.
    std::thread::spawn(move || drop(give.send(does())));
    get.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let what = format!("{what} was not read in time");
        Err(io::Error::new(io::ErrorKind::TimedOut, what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fuse_that_is_not_the_runtimes_is_refused() {
        let line =
            |id: &str, point: &str, kind: &str| format!("{id} 1 0:9 / {point} rw - {kind} x rw");
        assert_eq!(answering(&line("7", "/m", "fuse"), "7").as_deref(), Some("fuse"));
        assert_eq!(answering(&line("7", "/m", ROOTLESS), "7").as_deref(), Some(ROOTLESS));
        assert_eq!(answering(&line("7", "/", ROOTLESS), "7"), None);
        assert_eq!(answering(&line("8", "/m", "fuse"), "7"), None);
        assert_eq!(answering(&line("7", "/", "overlay"), "7"), None);
    }

    #[test]
    fn this_program_and_its_command_line_are_read() {
        let mut start = [0; 4];
        open_program(Path::new("/proc/self/exe")).unwrap().read_exact(&mut start).unwrap();
        assert_eq!(&start, b"\x7fELF");
        assert!(!read_memory(Path::new("/proc/self/cmdline"), 100).unwrap().is_empty());
        assert!(read_memory(Path::new("/proc/self/none"), 100).is_err());
    }

    #[test]
    fn only_files_that_are_mapped_as_code_are_looked_at() {
        let line = |rights: &str, file: &str| format!("00400000-7f0a {rights} 00001000 {file}");
        let found = |rights: &str, file: &str| code(&line(rights, file)).is_some();
        let own = line("r-xp", "fe:01 17      /usr/bin/a b");
        assert_eq!(code(&own), Some(("400000-7f0a".to_owned(), "fe:01 17")));
        assert!(!found("r--p", "fe:01 17 /usr/bin/a") && !found("r-xp", "00:00 0 [vdso]"));
        assert!(!found("r-xp", "00:00 0") && !found("rwxp", "00:00 0 /none"));
    }

    #[test]
    fn what_a_process_has_mapped_and_what_lies_in_its_root_is_opened() {
        let own = Path::new("/proc/self");
        let inode = |file: &File| std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        let program = inode(&File::open("/proc/self/exe").unwrap());
        let mapped = open_mapped(own).unwrap();
        assert!(mapped.iter().any(|file| inode(file) == program));
        assert!(open_mapped(Path::new("/proc/none")).is_err());
        assert!(open_inside(own, "/etc/passwd").is_ok());
        // Another file system, a folder, and nothing.
        for path in ["/proc/version", "/etc", "/none"] {
            assert!(open_inside(own, path).is_err(), "{path}");
        }
    }
}
