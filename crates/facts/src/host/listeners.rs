//! Sockets that the host listens on, with the program that has them open.
//!
//! They are those of process 1's network namespace. Sockets of the kernel itself have no owner.

use std::collections::{HashMap, HashSet};

use haechi_core::facts::Listener;
use haechi_core::finding::{Cause, SubjectKind};

use super::view::{PID_DETAIL, View};
use crate::gaps::Gaps;
use crate::procs::{ProcessTable, listening_sockets};
use crate::root::Root;

/// The host's listening sockets, sorted by protocol, address and port.
pub(super) fn collect(
    root: &Root,
    table: &ProcessTable,
    view: &View,
    gaps: &Gaps,
) -> Option<Vec<Listener>> {
    if !view.host_processes {
        // Process 1 is a container's, and so would its network be.
        gaps.record(SubjectKind::Host, "listeners", Cause::Permission, PID_DETAIL);
        return None;
    }
    let sockets = gaps.keep(SubjectKind::Host, "listeners", listening_sockets(root, 1))?;
    let wanted: HashSet<u64> =
        sockets.iter().map(|s| s.inode).filter(|inode| *inode != 0).collect();
    let (owners, complete) = table.socket_owners(&wanted);
    if !complete && wanted.iter().any(|inode| !owners.contains_key(inode)) {
        let detail = "not all processes are visible; run as root, in the host's process namespace";
        gaps.record(SubjectKind::Host, "listeners.program", Cause::Permission, detail);
    }
    let names: HashMap<i32, &str> =
        table.processes().iter().map(|process| (process.pid, process.name.as_str())).collect();
    let mut listeners: Vec<Listener> = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let pid = owners.get(&socket.inode).copied().unwrap_or(0);
        let listener = Listener {
            protocol: Some(socket.protocol.into()),
            address: Some(socket.address.to_string()),
            port: Some(socket.port.into()),
            pid: Some(pid.into()),
            program: Some(names.get(&pid).copied().unwrap_or_default().to_owned()),
        };
        // Several sockets of one program on one port (SO_REUSEPORT) are one listener.
        if !listeners.contains(&listener) {
            listeners.push(listener);
        }
    }
    Some(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let root = Root::new("/".as_ref());
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let port = i64::from(socket.local_addr().unwrap().port());
        let table = ProcessTable::read(&root).unwrap();
        let view = View::look(&root, Some(&table));
        let gaps = Gaps::default();
        let seen = collect(&root, &table, &view, &gaps).unwrap();
        let own = seen.iter().find(|l| l.port == Some(port)).unwrap();
        assert_eq!(own.protocol.as_deref(), Some("udp"));
        assert_eq!(own.address.as_deref(), Some("::1"));
        assert_eq!(own.pid, Some(i64::from(std::process::id())));
        assert!(!own.program.as_deref().unwrap().is_empty());
        let gaps = Gaps::default();
        let contained = View { host_processes: false, ..view };
        assert_eq!(collect(&root, &table, &contained, &gaps), None);
        assert_eq!(gaps.into_sorted()[0].fact, "listeners");
    }
}
