//! What a program is, by marks in its bytes and not by its name.
//!
//! Knows the two usual ssh servers, and by the protocol's greeting others that are one program. Each distinct file is read once, in pieces, within a budget for the whole
//! run; a program that was not read to its end is an error and not "nothing known".

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use haechi_core::finding::Cause;
use memchr::memmem::Finder;

use crate::hostile;

/// Largest program that is read; Node.js has 120 MB.
const PROGRAM_SIZE_MAX: u64 = 192 << 20;
/// Bytes of all programs together: about half a second from the page cache.
const BUDGET: u64 = 1 << 30;
/// `OVERLAYFS_SUPER_MAGIC` of the kernel's `include/uapi/linux/magic.h`.
const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;
/// Bytes of one piece.
const PIECE: usize = 4 << 20;
/// Bytes that two pieces share: longer than every mark.
const OVERLAP: usize = 32;

/// What a program is called that can greet as an ssh server does; one that listens is one.
pub(super) const SSH_SERVER: &str = "ssh-server";
/// What the loader of dynamic programs is called: what it runs is what it has mapped.
const LOADER: &str = "loader";

/// Marks, and the bits they set.
const MARKS: [(&[u8], u16); 13] = [
    (b"sshd_config", 1),
    (b"OpenSSH_", 2),
    (b"Dropbear server", 4),
    (b"dropbear_", 8),
    (b"_host_key", 16),
    (b"SSH-2.0-", 32),
    // Go programs keep the names of the functions that they use, and a client does not use this one.
    (b"golang.org/x/crypto/ssh.", 64),
    (b"crypto/ssh.NewServerConn", 128),
    // libssh, for servers only; libssh2 has no server.
    (b"ssh_bind_listen", 256),
    (b"SSH-2.0-libssh2", 512),
    // Options of glibc's loader, and how musl's calls itself.
    (b"--inhibit-cache", 1024),
    (b"--inhibit-rpath", 2048),
    (b"Dynamic Program Loader", 4096),
];

/// Identity of a file's content. The device of an overlay is left out, because every container has its own for the same
/// file of the same image. The change time cannot be set from inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Programs that were looked at.
pub(super) struct Programs {
    known: Mutex<Known>,
    finders: Vec<(Finder<'static>, u16)>,
}

#[derive(Default)]
struct Known {
    by_key: HashMap<Key, &'static str>,
    read: u64,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            finders: MARKS.iter().map(|(mark, bit)| (Finder::new(*mark), *bit)).collect(),
        }
    }
}

impl Programs {
    /// What a process (`/proc/PID`) runs: a name, empty if nothing known, `None` if it has ended.
    ///
    /// # Errors
    /// A program is too large, the budget is used up, or reading fails: why.
    pub(super) fn of(&self, process: &Path) -> Result<Option<&'static str>, (Cause, String)> {
        let program = match hostile::open_program(&process.join("exe")) {
            Err(error) if hostile::is_gone(&error) => return Ok(None),
            opened => self.of_file(opened.map_err(failed)?)?,
        };
        if program != LOADER {
            return Ok(Some(program));
        }
        let mapped = match hostile::open_mapped(process) {
            Err(error) if hostile::is_gone(&error) => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        for file in mapped {
            let loaded = self.of_file(file)?;
            if !matches!(loaded, "" | LOADER) {
                return Ok(Some(loaded));
            }
        }
        Ok(Some(""))
    }

    fn of_file(&self, file: File) -> Result<&'static str, (Cause, String)> {
        let meta = file.metadata().map_err(failed)?;
        let overlay = rustix::fs::fstatfs(&file)
            .is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(OVERLAYFS_SUPER_MAGIC));
        let key = Key {
            device: if overlay { 0 } else { meta.dev() },
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known.by_key.get(&key) {
            return Ok(identity);
        }
        if key.size > PROGRAM_SIZE_MAX || known.read.saturating_add(key.size) > BUDGET {
            let detail = format!("a program of {} bytes was not read", key.size);
            return Err((Cause::Missing, detail));
        }
        known.read += key.size;
        let identity = self.scan(file.take(PROGRAM_SIZE_MAX)).map_err(failed)?;
        known.by_key.insert(key, identity);
        Ok(identity)
    }

    /// What the bytes say.
    fn scan(&self, mut program: impl Read) -> std::io::Result<&'static str> {
        let mut found = 0_u16;
        let mut buffer = vec![0_u8; PIECE];
        let mut kept = 0;
        while let Some(free) = buffer.get_mut(kept..) {
            let read = program.read(free)?;
            if read == 0 {
                break;
            }
            let filled = kept + read;
            let piece = buffer.get(..filled).unwrap_or_default();
            for (finder, bit) in &self.finders {
                if found & bit == 0 && finder.find(piece).is_some() {
                    found |= bit;
                }
            }
            let start = filled.saturating_sub(OVERLAP);
            buffer.copy_within(start..filled, 0);
            kept = filled - start;
        }
        let has = |bits: u16| found & bits == bits;
        Ok(if has(1 | 2) {
            "openssh-server"
        } else if has(4) || has(8 | 16) {
            "dropbear"
        } else if has(128) || has(256) || (has(32) && !has(64) && !has(512)) {
            SSH_SERVER
        } else if has(1024 | 2048) || has(4096) {
            LOADER
        } else {
            ""
        })
    }
}

fn failed(error: std::io::Error) -> (Cause, String) {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            (Cause::Permission, "not readable; run as root".into())
        }
        std::io::ErrorKind::TimedOut => (Cause::TimedOut, error.to_string()),
        _ => (Cause::Missing, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time, as a slow disk may.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(7).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn servers_are_known_by_their_bytes_wherever_pieces_end() {
        let programs = Programs::default();
        let sshd = b"\x7fELF....OpenSSH_9.2p1....../etc/ssh/sshd_config..";
        assert_eq!(programs.scan(Slow(sshd)).unwrap(), "openssh-server");
        assert_eq!(programs.scan(Slow(b"...Dropbear server v%s...")).unwrap(), "dropbear");
        assert_eq!(programs.scan(Slow(b"OpenSSH_9.2p1 ssh_config")).unwrap(), "", "the client");
        let go = b"..SSH-2.0-Go..golang.org/x/crypto/ssh.Dial..";
        assert_eq!(programs.scan(Slow(go)).unwrap(), "", "a client");
        let go = b"..SSH-2.0-Go..golang.org/x/crypto/ssh.NewServerConn..";
        assert_eq!(programs.scan(Slow(go)).unwrap(), SSH_SERVER);
        assert_eq!(programs.scan(Slow(b"..SSH-2.0-AcmeServer..")).unwrap(), SSH_SERVER);
        assert_eq!(programs.scan(Slow(b"..SSH-2.0-libssh2_1.11..")).unwrap(), "", "a client");
        let mut late = vec![0_u8; PIECE * 2 - 5];
        late.extend(b"sshd_config OpenSSH_");
        assert_eq!(programs.scan(late.as_slice()).unwrap(), "openssh-server");
    }

    #[test]
    fn files_are_read_once_and_not_beyond_the_budget() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web");
        std::fs::write(&path, b"sshd_config OpenSSH_").unwrap();
        let programs = Programs::default();
        let identify = |path: &Path| programs.of_file(File::open(path).unwrap());
        assert_eq!(identify(&path), Ok("openssh-server"));
        let used = programs.known.lock().unwrap().read;
        assert_eq!(identify(&path), Ok("openssh-server"));
        assert_eq!(programs.known.lock().unwrap().read, used);
        let large = File::create(dir.path().join("large")).unwrap();
        large.set_len(PROGRAM_SIZE_MAX + 1).unwrap();
        assert!(identify(&dir.path().join("large")).is_err());
    }

    #[test]
    fn a_program_that_the_loader_runs_is_what_it_is() {
        let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
        if !loader.exists() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        // A program with the marks of a server behind its end, under another name.
        let program = dir.path().join("agent");
        let bytes = [&std::fs::read("/bin/sleep").unwrap()[..], b"sshd_config OpenSSH_"].concat();
        std::fs::write(&program, bytes).unwrap();
        let start = |program: &Path| {
            std::process::Command::new(loader).arg(program).arg("60").spawn().unwrap()
        };
        for (path, is) in [(&*program, "openssh-server"), (Path::new("/bin/sleep"), "")] {
            let mut child = start(path);
            let process = Path::new("/proc").join(child.id().to_string());
            let maps = || std::fs::read_to_string(process.join("maps")).unwrap_or_default();
            while !maps().contains("libc.so") {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            assert_eq!(Programs::default().of(&process), Ok(Some(is)), "{path:?}");
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(Programs::default().of(&process), Ok(None));
        }
    }
}
