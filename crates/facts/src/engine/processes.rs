//! Processes and sockets of running containers, from /proc.
//!
//! A process belongs to a container if the container's id is part of one of its control groups' paths, or if
//! it is in the pid namespace of the container's first process: one way alone can be evaded. Programs are
//! recognised by marks in their bytes, whatever they are called. Nothing is run or attached to.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use haechi_core::facts::{Container, Listener, Process};
use haechi_core::finding::Cause;

use super::json::Reader;
use super::programs::{Programs, SSH_SERVER};
use crate::gaps::Observed;
use crate::hostile;
use crate::procs::{ListeningSocket, ProcessEntry, ProcessTable, listening_sockets};
use crate::root::{Root, RootError};

/// Processes of one container that are kept; a container with more is short of a pids limit anyway.
const PROCESSES_MAX: usize = 2000;
/// Bytes of a command line that are read.
const COMMAND_LINE_MAX: usize = 64 << 10;
/// Bytes of a command line that are read: one more shows that it is longer.
const COMMAND_LINE_READ: u64 = (64 << 10) + 1;

/// The processes of this machine by container.
pub(super) struct Groups<'a> {
    root: &'a Root,
    table: &'a ProcessTable,
    by_id: HashMap<String, Vec<usize>>,
    by_namespace: HashMap<PathBuf, Vec<usize>>,
    /// The pid namespace of the machine itself.
    own_namespace: Option<PathBuf>,
    sockets: Mutex<HashMap<PathBuf, Arc<Vec<ListeningSocket>>>>,
    programs: Programs,
}

/// One running container's view of /proc.
pub(super) struct Group<'a> {
    /// Its first process.
    pub(super) first: &'a ProcessEntry,
    /// All of them, the first included.
    pub(super) all: Vec<&'a ProcessEntry>,
}

impl<'a> Groups<'a> {
    /// Sorts the processes of `table` by container.
    pub(super) fn new(root: &'a Root, table: &'a ProcessTable) -> Self {
        let mut by_id: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_namespace: HashMap<PathBuf, Vec<usize>> = HashMap::new();
        for (index, process) in table.processes().iter().enumerate() {
            if process.kernel_thread {
                continue;
            }
            let ids: BTreeSet<&str> =
                process.cgroups.iter().flat_map(|path| container_ids(path)).collect();
            for id in ids {
                by_id.entry(id.to_owned()).or_default().push(index);
            }
            if let Some(namespace) = namespace(root, process.pid, "pid") {
                by_namespace.entry(namespace).or_default().push(index);
            }
        }
        Self {
            root,
            table,
            by_id,
            by_namespace,
            own_namespace: namespace(root, 1, "pid"),
            sockets: Mutex::default(),
            programs: Programs::default(),
        }
    }

    /// The processes of the container `id`, whose first process the engine says is `pid`.
    pub(super) fn find(&self, id: &str, pid: i64) -> Option<Group<'a>> {
        let processes = self.table.processes();
        let first = processes.iter().position(|process| i64::from(process.pid) == pid)?;
        let mut members: BTreeSet<usize> = BTreeSet::from([first]);
        members.extend(self.by_id.get(id).into_iter().flatten());
        let inside = namespace(self.root, i32::try_from(pid).ok()?, "pid");
        if let Some(inside) = inside.filter(|_| self.own_namespace.is_some())
            && self.own_namespace.as_ref() != Some(&inside)
        {
            members.extend(self.by_namespace.get(&inside).into_iter().flatten());
        }
        let all = members.into_iter().filter_map(|index| processes.get(index)).collect();
        Some(Group { first: processes.get(first)?, all })
    }

    /// Whether every process of this machine is visible.
    pub(super) fn complete(&self) -> bool {
        !self.table.hidden()
    }

    /// Fills the processes and listeners of a container; what is not visible is a gap.
    pub(super) fn fill(&self, reader: Reader<'_>, group: &Group<'_>, container: &mut Container) {
        if self.table.hidden() {
            let detail = "some processes are hidden from this user; run as root";
            reader.gap("processes", Cause::Permission, detail);
        }
        if group.all.len() > PROCESSES_MAX {
            let detail = format!("{} processes; only {PROCESSES_MAX} were read", group.all.len());
            reader.gap("processes", Cause::Missing, detail);
        }
        let members = || group.all.iter().take(PROCESSES_MAX);
        let mut processes = Vec::new();
        for entry in members() {
            match self.process(entry) {
                Ok(Some(process)) => processes.push(process),
                Ok(None) => {}
                Err((cause, detail)) => {
                    reader.gap("processes", cause, detail);
                }
            }
        }
        match self.listeners(reader, group) {
            Ok(listeners) => container.listeners = Some(listeners),
            Err(error) => reader.gap("listeners", error.gap_cause(), error.to_string()),
        }
        only_servers(&mut processes, container.listeners.as_deref());
        container.processes = Some(processes);
    }

    /// One process; `Ok(None)` if it has ended.
    fn process(&self, entry: &ProcessEntry) -> Result<Option<Process>, (Cause, String)> {
        let Some(program) = entry.exe.clone() else {
            if self.root.proc(&format!("{}", entry.pid)).exists() {
                let detail = format!("the program of process {} is not visible", entry.pid);
                return Err((Cause::Permission, format!("{detail}; run as root")));
            }
            return Ok(None);
        };
        let path = |file: &str| self.root.proc(&format!("{}/{file}", entry.pid));
        let line = match hostile::read_memory(&path("cmdline"), COMMAND_LINE_READ) {
            Ok(line) => line,
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                return Err((Cause::TimedOut, format!("{program}: {error}")));
            }
            Err(_) => return Ok(None),
        };
        let identity = match self.programs.of(&self.root.proc(&entry.pid.to_string())) {
            Ok(Some(identity)) => identity,
            Ok(None) => return Ok(None),
            Err((cause, detail)) => return Err((cause, format!("{program}: {detail}"))),
        };
        let Some(uid) = inside_uid(self.root, entry) else {
            if self.is_gone(entry) {
                return Ok(None);
            }
            return Err((
                Cause::Permission,
                format!("the user of process {} is not visible", entry.pid),
            ));
        };
        Ok(Some(Process {
            pid: Some(entry.pid.into()),
            uid: Some(uid),
            name: Some(entry.name.clone()),
            program: Some(program),
            arguments: Some(crate::redact::arguments(&arguments(&line))),
            identity: Some(identity.to_owned()),
        }))
    }

    /// Sockets in the container's network that its processes own.
    fn listeners(&self, reader: Reader<'_>, group: &Group<'_>) -> Result<Vec<Listener>, RootError> {
        let sockets = self.sockets_of(group.first.pid)?;
        let mut owners: HashMap<u64, &ProcessEntry> = HashMap::new();
        for process in group.all.iter().rev() {
            match self.table.socket_inodes(process.pid) {
                Ok(inodes) => owners.extend(inodes.into_iter().map(|inode| (inode, *process))),
                Err(error) => reader.gap("listeners", error.gap_cause(), error.to_string()),
            }
        }
        let listener = |socket: &ListeningSocket| {
            let owner = owners.get(&socket.inode)?;
            // The engine's own name server inside the container's network.
            if socket.address.to_string() == "127.0.0.11" {
                return None;
            }
            Some(Listener {
                protocol: Some(socket.protocol.into()),
                address: Some(socket.address.to_string()),
                port: Some(socket.port.into()),
                pid: Some(owner.pid.into()),
                program: Some(owner.exe_name().unwrap_or(&owner.name).to_owned()),
            })
        };
        Ok(sockets.iter().filter_map(listener).collect())
    }

    /// The sockets of a process's network, read once per network namespace.
    fn sockets_of(&self, pid: i32) -> Result<Arc<Vec<ListeningSocket>>, RootError> {
        let Some(namespace) = namespace(self.root, pid, "net") else {
            return listening_sockets(self.root, pid).map(Arc::new);
        };
        let mut known = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sockets) = known.get(&namespace) {
            return Ok(Arc::clone(sockets));
        }
        let sockets = Arc::new(listening_sockets(self.root, pid)?);
        known.insert(namespace, Arc::clone(&sockets));
        Ok(sockets)
    }

    /// Whether a process has ended since the table was read.
    fn is_gone(&self, entry: &ProcessEntry) -> bool {
        !self.root.proc(&format!("{}", entry.pid)).exists()
    }

    /// User ids, inside, of the first process and of all that still run; `None` for one that cannot be told.
    pub(super) fn uids(&self, group: &Group<'_>) -> (Option<i64>, Vec<Option<i64>>) {
        let uid = |entry: &ProcessEntry| inside_uid(self.root, entry);
        let running = |entry: &ProcessEntry| match uid(entry) {
            None if self.is_gone(entry) => None,
            uid => Some(uid),
        };
        (uid(group.first), group.all.iter().filter_map(|entry| running(entry)).collect())
    }
}

/// Leaves the identity of a nameless ssh server to those that listen: clients may have the same marks.
fn only_servers(processes: &mut [Process], listeners: Option<&[Listener]>) {
    for process in processes {
        let listens = listeners.is_some_and(|listeners| {
            let owns = |l: &Listener| l.pid == process.pid && l.protocol.as_deref() == Some("tcp");
            listeners.iter().any(owns)
        });
        if process.identity.as_deref() == Some(SSH_SERVER) && !listens {
            process.identity = Some(String::new());
        }
    }
}

/// Container ids in a control group's path.
pub(crate) fn container_ids(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        // Podman's monitor of a container runs outside it, in a group that carries the container's id.
        .filter(|part| !part.contains("conmon"))
        .flat_map(|part| part.split(['-', '.', ':']))
        .filter(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn namespace(root: &Root, pid: i32, kind: &str) -> Option<PathBuf> {
    std::fs::read_link(root.proc(&format!("{pid}/ns/{kind}"))).ok()
}

/// The effective user id inside the process's user namespace.
fn inside_uid(root: &Root, entry: &ProcessEntry) -> Option<i64> {
    let map = std::fs::read_to_string(root.proc(&format!("{}/uid_map", entry.pid))).ok()?;
    map_uid(&map, entry.uid_effective_host)
}

/// Maps a host's user id to the inside through `uid_map`; one that has no place inside is nobody (65534).
fn map_uid(map: &str, uid: u32) -> Option<i64> {
    let uid = i64::from(uid);
    for line in map.lines() {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
        let (inside, outside, count) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        if uid >= outside && uid - outside < count {
            return Some(inside + uid - outside);
        }
    }
    Some(65_534)
}

/// The arguments of `/proc/PID/cmdline`.
fn arguments(line: &[u8]) -> Vec<String> {
    let line = line.get(..COMMAND_LINE_MAX).unwrap_or(line);
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    if line.is_empty() {
        return Vec::new();
    }
    line.split(|byte| *byte == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_every_engine_s_paths() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubepods/pod1/{id}"),
            format!("/system.slice:docker:{id}"),
        ] {
            assert_eq!(container_ids(&path).collect::<Vec<_>>(), [id.as_str()], "{path}");
        }
        let conmon = format!("/machine.slice/libpod-conmon-{id}.scope");
        assert_eq!(container_ids(&conmon).count(), 0);
        assert_eq!(container_ids("/docker/abc/../x").count(), 0);
    }

    #[test]
    fn a_program_that_knows_ssh_is_a_server_only_if_it_listens() {
        let process = |pid, identity: &str| Process {
            pid: Some(pid),
            identity: Some(identity.into()),
            ..Process::default()
        };
        let mut all = [process(1, SSH_SERVER), process(2, SSH_SERVER), process(3, "dropbear")];
        let listener =
            Listener { protocol: Some("tcp".into()), pid: Some(1), ..Listener::default() };
        only_servers(&mut all, Some(&[listener]));
        let seen: Vec<_> = all.iter().filter_map(|p| p.identity.as_deref()).collect();
        assert_eq!(seen, [SSH_SERVER, "", "dropbear"]);
    }

    #[test]
    fn a_process_that_ended_meanwhile_leaves_no_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        for pid in [1, 7, 8, 9] {
            let proc = dir.path().join(format!("proc/{pid}"));
            std::fs::create_dir_all(&proc).unwrap();
            let group = if pid == 1 { "0::/\n".to_owned() } else { format!("0::/docker/{id}\n") };
            let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0 0\n");
            for (file, text) in [
                ("stat", stat.as_str()),
                ("status", "Name:\tx\nUid:\t5\t5\t5\t5\n"),
                ("cgroup", group.as_str()),
                ("uid_map", "0 0 4294967295\n"),
            ] {
                std::fs::write(proc.join(file), text).unwrap();
            }
        }
        let root = Root::new(dir.path());
        let table = ProcessTable::read(&root).unwrap();
        let groups = Groups::new(&root, &table);
        let group = groups.find(&id, 7).unwrap();
        std::fs::remove_dir_all(dir.path().join("proc/8")).unwrap();
        assert_eq!(groups.uids(&group), (Some(5), vec![Some(5), Some(5)]));
        std::fs::remove_file(dir.path().join("proc/9/uid_map")).unwrap();
        assert_eq!(groups.uids(&group), (Some(5), vec![Some(5), None]), "hidden, not gone");
    }

    #[test]
    fn user_ids_are_mapped_to_the_inside() {
        assert_eq!(map_uid("         0          0 4294967295\n", 7), Some(7));
        assert_eq!(map_uid("0 100000 65536\n", 100_000), Some(0));
        assert_eq!(map_uid("0 1000 1\n1 100000 65536\n", 100_999), Some(1000));
        assert_eq!(map_uid("0 100000 65536\n", 0), Some(65_534));
        assert_eq!(map_uid("garbage\n", 0), None);
    }

    #[test]
    fn command_lines_are_split_at_zero_bytes() {
        assert_eq!(arguments(b"a\0\0b\0"), ["a", "", "b"]);
        assert!(arguments(b"").is_empty());
        assert_eq!(arguments(&vec![b'x'; COMMAND_LINE_MAX * 2]).concat().len(), COMMAND_LINE_MAX);
    }
}
