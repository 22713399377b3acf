//! A container as it is at this moment: processes, open files and sockets, maps, files that were changed, with hashes.
//!
//! Read from `/proc` (proc(5)) and the container's own layer (overlayfs), while the container stands still. What is too
//! much, or cannot be read, is named as a gap. It follows no link of the container and changes nothing.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use haechi_core::response::{Evidence, EvidenceFile, EvidenceProcess};
use haechi_facts::{hostile, redact};
use sha2::{Digest, Sha256};

/// Processes that are described: a fork bomb has more, and they are all alike.
const PROCESSES_MAX: usize = 256;
/// Open files, and mapped files, that are named of a process.
const LINES_MAX: usize = 256;
/// Changed files that are looked at, and that are kept, the newest.
const LOOKED_MAX: usize = 50_000;
const FILES_MAX: usize = 500;
/// Bytes of one file, and of all, that are read for hashes.
const FILE_BYTES_MAX: u64 = 64 << 20;
const ALL_BYTES_MAX: u64 = 256 << 20;
/// All of it may take so long: the container waits for it.
const TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of one text of `/proc` that are read.
const TEXT_MAX: u64 = 1 << 20;

/// Gathers evidence.
struct Gathering {
    proc: PathBuf,
    end: Instant,
    bytes_left: u64,
    found: Evidence,
}

/// What can be said of the processes with these ids, all of one container.
pub fn gather(proc: &Path, pids: &[u32]) -> Evidence {
    let mut gathering = Gathering {
        proc: proc.into(),
        end: Instant::now() + TIME_MAX,
        bytes_left: ALL_BYTES_MAX,
        found: Evidence::default(),
    };
    if pids.len() > PROCESSES_MAX {
        gathering.gap(format!("{} processes, of which {PROCESSES_MAX} are described", pids.len()));
    }
    for pid in pids.iter().take(PROCESSES_MAX) {
        gathering.process(*pid);
    }
    match pids.iter().find_map(|pid| upper(&proc.join(pid.to_string()))) {
        Some(layer) => gathering.layer(&layer),
        None => gathering.gap("the container's own layer was not found: no changed files".into()),
    }
    gathering.found
}

impl Gathering {
    fn gap(&mut self, what: String) {
        self.found.gaps.push(what);
    }

    fn late(&self) -> bool {
        Instant::now() >= self.end
    }

    fn process(&mut self, pid: u32) {
        let folder = self.proc.join(pid.to_string());
        let Some(status) = text(&folder.join("status")) else { return };
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        };
        let link = |name: &Path| fs::read_link(name).ok().map(|to| to.display().to_string());
        let arguments = hostile::read_memory(&folder.join("cmdline"), TEXT_MAX).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        let arguments: Vec<String> =
            arguments.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        let mut files = Vec::new();
        for entry in fs::read_dir(folder.join("fd")).into_iter().flatten().flatten() {
            if files.len() == LINES_MAX {
                self.gap(format!("process {pid} has more than {LINES_MAX} open files"));
                break;
            }
            if let Some(to) = link(&entry.path()) {
                files.push(format!("{} → {to}", entry.file_name().to_string_lossy()));
            }
        }
        let mut maps: Vec<String> = text(&folder.join("maps"))
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.find('/').and_then(|at| line.get(at..)).map(str::to_owned))
            .collect();
        maps.sort();
        maps.dedup();
        maps.truncate(LINES_MAX);
        let program = hostile::open_program(&folder.join("exe"));
        if let Err(error) = &program {
            self.gap(format!("program of process {pid}: {error}"));
        }
        let sha256 = program.ok().and_then(|file| self.hash(file));
        self.found.processes.push(EvidenceProcess {
            pid,
            parent: number("PPid:").unwrap_or_default(),
            uid: number("Uid:").unwrap_or_default(),
            program: link(&folder.join("exe")).unwrap_or_default(),
            sha256: sha256.unwrap_or_default(),
            command: redact::arguments(&arguments).join(" "),
            files,
            maps,
        });
    }

    /// The hash of a file, if there are bytes and time for it.
    fn hash(&mut self, file: File) -> Option<String> {
        let size = file.metadata().ok()?.len();
        if size > FILE_BYTES_MAX || size > self.bytes_left || self.late() {
            return None;
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        // It may grow while it is read.
        let mut limited = file.take(FILE_BYTES_MAX.min(self.bytes_left));
        loop {
            match limited.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.bytes_left = self.bytes_left.saturating_sub(count as u64);
                    hash.update(buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        let digest = hash.finalize();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Files of the container's own layer, the newest first.
    fn layer(&mut self, layer: &Path) {
        let mut found: Vec<(PathBuf, fs::Metadata)> = Vec::new();
        let mut left = vec![layer.to_path_buf()];
        let mut looked = 0;
        'all: while let Some(folder) = left.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                looked += 1;
                if looked > LOOKED_MAX || self.late() {
                    self.gap(format!("after {looked} changed files no more were looked at"));
                    break 'all;
                }
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() {
                    left.push(entry.path());
                } else {
                    found.push((entry.path(), meta));
                }
            }
        }
        found.sort_by_key(|(_, meta)| std::cmp::Reverse((meta.ctime(), meta.ctime_nsec())));
        if found.len() > FILES_MAX {
            self.gap(format!(
                "{} changed files, of which the newest {FILES_MAX} are kept",
                found.len()
            ));
        }
        for (path, meta) in found.into_iter().take(FILES_MAX) {
            // A whiteout is a device with the number 0 (overlayfs, Documentation/filesystems/overlayfs.rst).
            let deleted = meta.file_type().is_char_device() && meta.rdev() == 0;
            let sha256 =
                if meta.is_file() { open(&path).and_then(|file| self.hash(file)) } else { None };
            let inner = path.strip_prefix(layer).unwrap_or(&path);
            self.found.files.push(EvidenceFile {
                path: format!("/{}", inner.display()),
                size: meta.len(),
                mode: meta.mode(),
                modified: meta.mtime(),
                sha256: sha256.unwrap_or_default(),
                deleted,
            });
        }
    }
}

/// Opens a file and no link, and does not wait for the other end of a pipe.
fn open(path: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()
}

fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(TEXT_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The writable layer of the file system that a process has as its root.
fn upper(process: &Path) -> Option<PathBuf> {
    let mounts = text(&process.join("mountinfo"))?;
    mounts.lines().find_map(upper_of)
}

/// The writable layer in a line of mountinfo (proc_pid_mountinfo(5)) that is about the root.
fn upper_of(line: &str) -> Option<PathBuf> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut words = file_system.split(' ');
    let (kind, options) = (words.next()?, words.nth(1)?);
    if kind != "overlay" || mount.split(' ').nth(4) != Some("/") {
        return None;
    }
    let folder = options.split(',').find_map(|option| option.strip_prefix("upperdir="))?;
    // Relative ones are of another process's folder.
    folder.starts_with('/').then(|| PathBuf::from(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_is_found_in_the_line_of_the_root() {
        let line = |at: &str, upper: &str| {
            format!(
                "1 2 0:9 / {at} rw - overlay overlay rw,lowerdir=/a:/b,upperdir={upper},workdir=/w"
            )
        };
        assert_eq!(upper_of(&line("/", "/x/diff")), Some("/x/diff".into()));
        assert_eq!(upper_of(&line("/data", "/x/diff")), None);
        assert_eq!(upper_of(&line("/", "x")), None);
        assert_eq!(upper_of("1 2 0:9 / / rw - ext4 /dev/a rw"), None);
    }

    #[test]
    fn this_process_and_a_layer_are_described() {
        let own = std::process::id();
        let found = gather(Path::new("/proc"), &[own]);
        let [process] = found.processes.as_slice() else { panic!("{found:?}") };
        assert_eq!((process.pid, process.sha256.len()), (own, 64));
        assert!(!process.files.is_empty() && !process.maps.is_empty());

        let layer = tempfile::tempdir().unwrap();
        fs::create_dir(layer.path().join("etc")).unwrap();
        fs::write(layer.path().join("etc/new"), "abc").unwrap();
        std::os::unix::fs::symlink("/etc/shadow", layer.path().join("link")).unwrap();
        let mut gathering = Gathering {
            proc: "/proc".into(),
            end: Instant::now() + TIME_MAX,
            bytes_left: ALL_BYTES_MAX,
            found: Evidence::default(),
        };
        gathering.layer(layer.path());
        let files: Vec<_> =
            gathering.found.files.iter().map(|f| (f.path.as_str(), f.sha256.as_str())).collect();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(files.contains(&("/etc/new", abc)) && files.contains(&("/link", "")), "{files:?}");
    }

    #[test]
    fn no_time_and_no_bytes_leave_no_hash() {
        let mut gathering = Gathering {
            proc: "/proc".into(),
            end: Instant::now(),
            bytes_left: ALL_BYTES_MAX,
            found: Evidence::default(),
        };
        assert_eq!(gathering.hash(File::open("/proc/self/status").unwrap()), None);
        gathering.layer(Path::new("/etc"));
        assert_eq!(gathering.found.gaps.len(), 1);
    }
}
