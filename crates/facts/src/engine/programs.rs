//! What a program is, by marks in its bytes and not by its name.
//!
//! Knows the two usual ssh servers, and by the protocol's greeting others that are one program. Each distinct file is read once, in pieces, within a budget for the whole
//! run; a program that was not read to its end is an error and not "nothing known".

use std::collections::HashMap;
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
/// Bytes of one piece.
const PIECE: usize = 4 << 20;
/// Bytes that two pieces share: longer than every mark.
const OVERLAP: usize = 32;

/// What a program is called that can greet as an ssh server does; one that listens is one.
pub(super) const SSH_SERVER: &str = "ssh-server";

/// Marks, and the bits they set.
const MARKS: [(&[u8], u16); 10] = [
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
];

/// Identity of a file's content: its device is left out, because every container's overlay has its own for
/// the same file of the same image. The change time cannot be set from inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
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
    by_key: HashMap<Key, Option<&'static str>>,
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
    /// What the program behind `path` is: a name, empty if nothing known, `None` if it cannot be opened
    /// because the process has ended.
    ///
    /// # Errors
    /// It is too large, the budget is used up, or reading fails: why.
    pub(super) fn identify(&self, path: &Path) -> Result<Option<&'static str>, (Cause, String)> {
        let failed = |error: &std::io::Error| (Cause::Missing, error.to_string());
        let file = match hostile::open_program(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err((Cause::Permission, "not readable; run as root".into()));
            }
            Err(error) => return Err(failed(&error)),
        };
        let meta = file.metadata().map_err(|error| failed(&error))?;
        let key = Key {
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known.by_key.get(&key) {
            return Ok(*identity);
        }
        if key.size > PROGRAM_SIZE_MAX || known.read.saturating_add(key.size) > BUDGET {
            let detail = format!("a program of {} bytes was not read", key.size);
            return Err((Cause::Missing, detail));
        }
        known.read += key.size;
        let identity = Some(self.scan(file.take(PROGRAM_SIZE_MAX)).map_err(|e| failed(&e))?);
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
        } else {
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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
        assert_eq!(programs.identify(&path), Ok(Some("openssh-server")));
        assert_eq!(programs.identify(&dir.path().join("none")), Ok(None));
        let used = programs.known.lock().unwrap().read;
        assert_eq!(programs.identify(&path), Ok(Some("openssh-server")));
        assert_eq!(programs.known.lock().unwrap().read, used);
        let large = File::create(dir.path().join("large")).unwrap();
        large.set_len(PROGRAM_SIZE_MAX + 1).unwrap();
        assert!(programs.identify(&dir.path().join("large")).is_err());
    }
}
