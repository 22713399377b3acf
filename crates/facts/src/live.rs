//! A container as it is at this moment: its processes, connections and what it uses, from /proc and control groups.
//!
//! A container is known by its id in the path of its control group, as every engine writes it. Nothing is asked of an
//! engine, and nothing here waits for a container without an end ([`crate::hostile`]). What could not be seen is said; it
//! never looks like nothing.

mod groups;
mod used;

use std::collections::HashSet;
use std::io;

use crate::hostile;
use crate::procs::{Socket, read_entry, socket_inodes_of, sockets};
use crate::redact;
use crate::root::Root;

pub use groups::{Group, Groups, Use};
pub use used::files as files_in_use;

/// Processes that are told; a container with more is short of a limit.
const PROCESSES_MAX: usize = 1000;
/// Connections that are told.
const CONNECTIONS_MAX: usize = 1000;
/// Bytes of a command line that are read.
const COMMAND_MAX: u64 = 4096;

/// A process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveProcess {
    /// Id on this host.
    pub pid: u32,
    /// Id of its parent on this host.
    pub parent: u32,
    /// Effective user id on this host.
    pub uid: u32,
    /// Command line, secrets redacted; its name in brackets if it has none.
    pub command: String,
}

/// What is seen of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Its processes, by id.
    pub processes: Vec<LiveProcess>,
    /// Its connections and the ports that it listens on, sorted.
    pub sockets: Vec<Socket>,
    /// What of these could not be seen, and why, in words.
    pub unseen: Vec<String>,
}

/// Looks at the processes of a container's control group. It may take some seconds if the container makes that so.
pub fn look(root: &Root, group: &Group) -> Live {
    let mut live = Live::default();
    let pids = match group.pids() {
        Ok(pids) => pids,
        Err(error) => {
            live.unseen.push(format!("{}: {error}", group.path().display()));
            return live;
        }
    };
    if pids.len() > PROCESSES_MAX {
        live.unseen.push(format!("{} processes, {PROCESSES_MAX} are told", pids.len()));
    }
    let mut inodes = HashSet::new();
    let mut slow = false;
    for pid in pids.iter().take(PROCESSES_MAX) {
        let folder = root.proc(&pid.to_string());
        let Ok(number) = i32::try_from(*pid) else { continue };
        let entry = match read_entry(&folder, number) {
            Ok(entry) => entry,
            Err(error) if hostile::is_gone(&error) => continue,
            Err(error) => {
                live.unseen.push(format!("/proc/{pid}: {error}"));
                continue;
            }
        };
        // Whoever makes one read wait would make every other wait, too.
        let line = match slow {
            true => Err(io::Error::from(io::ErrorKind::TimedOut)),
            false => hostile::read_memory(&folder.join("cmdline"), COMMAND_MAX),
        };
        if let Err(error) = &line
            && error.kind() == io::ErrorKind::TimedOut
            && !std::mem::replace(&mut slow, true)
        {
            live.unseen.push(format!("/proc/{pid}/cmdline: {error}"));
        }
        live.processes.push(LiveProcess {
            pid: *pid,
            parent: u32::try_from(entry.ppid).unwrap_or_default(),
            uid: entry.uid_effective_host,
            command: command(line.ok().as_deref().unwrap_or_default(), &entry.name),
        });
        match socket_inodes_of(&folder) {
            Ok(found) => inodes.extend(found),
            Err(error) => live.unseen.push(format!("/proc/{pid}/fd: {error}")),
        }
    }
    // Processes of one container share a network; one that left it has no sockets of the others.
    match live.processes.first().map(|process| sockets(root, process.pid)) {
        Some(Ok(all)) => {
            live.sockets = all.into_iter().filter(|s| inodes.contains(&s.inode)).collect()
        }
        Some(Err(error)) => live.unseen.push(error.to_string()),
        None => {}
    }
    if live.sockets.len() > CONNECTIONS_MAX {
        live.unseen.push(format!("{} connections, {CONNECTIONS_MAX} are told", live.sockets.len()));
        live.sockets.truncate(CONNECTIONS_MAX);
    }
    live
}

/// A command line as one line.
fn command(line: &[u8], name: &str) -> String {
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    if line.is_empty() {
        return format!("[{name}]");
    }
    let arguments: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|one| String::from_utf8_lossy(one).into_owned())
        .collect();
    redact::arguments(&arguments).join(" ")
}
