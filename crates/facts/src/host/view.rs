//! What this process can see of the host: whether `ROOT/proc` is there, of this kernel, and of
//! which namespaces.
//!
//! Inside a container `/proc`, the network and the host name are the container's own unless it was
//! started to share the host's. Facts that depend on that are collected only where it is known to
//! be the host's.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::procs::{self, ProcessTable};
use crate::root::Root;

/// Why process facts are missing, and how to mend it.
pub(super) const PID_DETAIL: &str = "run as root with the host's process namespace (--pid=host)";

/// What can be seen.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// `ROOT/proc` is a process file system.
    pub proc: bool,
    /// It is that of the kernel that this process runs on.
    pub same_boot: bool,
    /// It shows the initial process namespace: process 1 is the host's.
    pub host_processes: bool,
    /// This process is in the host's network namespace.
    pub host_network: bool,
    /// This process has the host's host name.
    pub host_name: bool,
    /// Whether the user is in the initial user namespace.
    pub initial_user: bool,
}

impl View {
    /// Looks around. `table` is what was read from `ROOT/proc`, if anything.
    pub(super) fn look(root: &Root, table: Option<&ProcessTable>) -> Self {
        let boot = |path: &Path| fs::read_to_string(path).ok();
        let here = boot(Path::new("/proc/sys/kernel/random/boot_id"));
        let host_processes = table.is_some_and(|table| table.view() == procs::View::Host);
        Self {
            proc: root.proc("1/stat").exists() || root.proc("self/stat").exists(),
            same_boot: here.is_some() && boot(&root.proc("sys/kernel/random/boot_id")) == here,
            host_processes,
            host_network: host_processes && shares_network(root),
            host_name: host_processes && shares(root, "uts").unwrap_or(root.is_whole_machine()),
            // The number is fixed in the kernel (PROC_USER_INIT_INO).
            initial_user: fs::read_link("/proc/self/ns/user")
                .is_ok_and(|link| link == Path::new("user:[4026531837]")),
        }
    }

    /// Why network facts of this process are not the host's.
    pub(super) fn network_detail(&self) -> &'static str {
        if self.host_processes {
            "run with the host's network (--network=host)"
        } else {
            "run with the host's process namespace and network (--pid=host --network=host)"
        }
    }
}

/// Whether this process is in the same namespace as process 1 of `ROOT/proc`; `None` if the kernel
/// does not say.
fn shares(root: &Root, kind: &str) -> Option<bool> {
    let theirs = fs::read_link(root.proc(&format!("1/ns/{kind}"))).ok()?;
    let ours = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    Some(theirs == ours)
}

/// The same for the network. Who may not follow the link can compare the tables of Unix sockets:
/// their inodes are unique on the machine, so one inode in both tables means that it is one
/// namespace.
fn shares_network(root: &Root) -> bool {
    shares(root, "net").unwrap_or_else(|| {
        let inodes = |path: &Path| -> HashSet<u64> {
            let table = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&table)
                .lines()
                .filter_map(|line| line.split_ascii_whitespace().nth(6)?.parse().ok())
                .collect()
        };
        let theirs = inodes(&root.proc("1/net/unix"));
        !theirs.is_disjoint(&inodes(Path::new("/proc/self/net/unix")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_seen_whole() {
        let root = Root::new(Path::new("/"));
        let table = ProcessTable::read(&root).unwrap();
        let view = View::look(&root, Some(&table));
        assert!(view.proc && view.same_boot && view.host_processes && view.host_network);
        assert!(view.host_name && view.initial_user);
    }

    #[test]
    fn an_empty_root_shows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let view = View::look(&Root::new(dir.path()), None);
        assert!(!view.proc && !view.same_boot && !view.host_processes && !view.host_network);
    }
}
