//! Reading what a container can make anybody wait for: it may answer for a file system itself (FUSE), and a read of what
//! lies there, or of its memory, then takes as long as it likes.
//!
//! Nothing here waits for a container without an end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

/// A command line is in memory, and read in microseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// What runtimes without root use as a container's root, mounted by them and not by the container.
const ROOTLESS: &str = "fuse.fuse-overlayfs";

/// Opens the program of a process (`/proc/PID/exe`), unless it lies on a file system that its container answers for.
///
/// # Errors
/// It cannot be opened, or must not be.
pub fn open_program(link: &Path) -> io::Result<File> {
    // Only a place: no file system is asked yet.
    let place = rustix::fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let number = place.as_raw_fd();
    if let Some(kind) = file_system(link, number)? {
        let what = format!("its program lies on a file system ({kind}) that may never answer");
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    File::open(format!("/proc/self/fd/{number}"))
}

/// The kind of the file system of an opened place, if it is one that a container may answer for.
fn file_system(link: &Path, number: i32) -> io::Result<Option<String>> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    let Some(id) = id else { return Ok(None) };
    let own = PathBuf::from("/proc/self");
    let of_link = link.parent().filter(|folder| folder.join("mountinfo").exists());
    let mounts = fs::read_to_string(of_link.unwrap_or(&own).join("mountinfo"))?;
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
    let (give, get) = mpsc::channel();
    let sought = path.to_owned();
    // A thread that waits for ever costs little; a verification that does costs everything.
    std::thread::spawn(move || {
        let read = File::open(sought).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(size).read_to_end(&mut bytes).map(|_| bytes)
        });
        let _ = give.send(read);
    });
    get.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let what = format!("{} was not read in time", path.display());
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
}
