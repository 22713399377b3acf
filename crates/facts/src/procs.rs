//! Processes of a host: one pass over `ROOT/proc`, and the listening sockets of a process's
//! network.
//!
//! Processes come and go while this reads: one that vanished half-way is left out, never an error.
//! What this user may not see is told by [`ProcessTable::hidden`] and [`ProcessTable::view`],
//! because an absent process must not look like one that is not there. It decides nothing about
//! containers.

mod sockets;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

pub use self::sockets::{ListeningSocket, Socket, listening_sockets, sockets};
use crate::root::{Root, RootError};

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// The name of the initial pid namespace; its inode is fixed in the kernel (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
/// More descriptors of one process than this are not looked at; the kernel's own default limit is
/// 2^20.
const DESCRIPTORS_MAX: usize = 1 << 20;

/// One process, as it was when the table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Process id, in the pid namespace that `ROOT/proc` shows.
    pub pid: i32,
    /// Parent's process id; 0 if the kernel or something outside the namespace is.
    pub ppid: i32,
    /// Its name (`comm`): at most 15 bytes, and the process can choose it.
    pub name: String,
    /// The program's path in the process's own file system; `None` for kernel threads and where it
    /// is not visible.
    pub exe: Option<String>,
    /// The path column of `/proc/PID/cgroup`, one per hierarchy.
    pub cgroups: Vec<String>,
    /// Effective user id as this process's user namespace sees it: the host's, if Haechi runs in
    /// the host's.
    pub uid_effective_host: u32,
    /// Whether it is a thread of the kernel.
    pub kernel_thread: bool,
}

impl ProcessEntry {
    /// The last part of the program's path, without the kernel's mark for a replaced file.
    pub fn exe_name(&self) -> Option<&str> {
        let exe = self.exe.as_deref()?;
        let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
        Path::new(exe).file_name()?.to_str()
    }
}

/// Which pid namespace `ROOT/proc` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The initial one: all processes of the machine.
    Host,
    /// That of a container: process 1 is not the host's.
    Container,
    /// It could not be told.
    Unknown,
}

/// All processes of one moment.
#[derive(Debug, Clone)]
pub struct ProcessTable {
    root: Root,
    processes: Vec<ProcessEntry>,
    hidden: bool,
}

impl ProcessTable {
    /// Reads all processes below `ROOT/proc`, sorted by process id.
    ///
    /// # Errors
    /// `ROOT/proc` is no process file system, or may not be listed.
    pub fn read(root: &Root) -> Result<Self, RootError> {
        let base = root.proc("");
        let fail = |error| RootError::new(Path::new("/proc"), error);
        let mut processes = Vec::new();
        let mut hidden = false;
        let mut process_1 = false;
        for entry in fs::read_dir(&base).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
            process_1 |= pid == 1;
            match read_entry(&base.join(&name), pid) {
                Ok(entry) => processes.push(entry),
                Err(error) => hidden |= is_permission(&error),
            }
        }
        if processes.is_empty() {
            return Err(fail(io::ErrorKind::NotFound.into()));
        }
        // A proc file system with `hidepid` leaves out what others own: process 1 is always there,
        // so it tells.
        hidden |= !process_1;
        processes.sort_by_key(|p| p.pid);
        Ok(Self { root: root.clone(), processes, hidden })
    }

    /// All processes, sorted by process id.
    pub fn processes(&self) -> &[ProcessEntry] {
        &self.processes
    }

    /// Whether there are processes that this user may not see (`hidepid`).
    pub fn hidden(&self) -> bool {
        self.hidden
    }

    /// Which pid namespace is shown.
    pub fn view(&self) -> View {
        match fs::read_link(self.root.proc("1/ns/pid")) {
            Ok(link) if link == Path::new(INITIAL_PID_NAMESPACE) => View::Host,
            Ok(_) => View::Container,
            // Only root may follow that link. But kernel threads are in the initial namespace
            // alone, and the second process there is one.
            Err(_) => match self.processes.iter().find(|p| p.pid == 2) {
                Some(process) if process.kernel_thread => View::Host,
                _ => View::Unknown,
            },
        }
    }

    /// Inodes of the sockets that a process has open; empty if the process has gone.
    ///
    /// # Errors
    /// This user may not see the process's descriptors.
    pub fn socket_inodes(&self, pid: i32) -> Result<Vec<u64>, RootError> {
        socket_inodes_of(&self.root.proc(&pid.to_string()))
            .map_err(|error| RootError::new(Path::new(&format!("/proc/{pid}/fd")), error))
    }

    /// Who has these sockets open: process ids by inode. Process 1 is named only where nobody else
    /// has the socket, because it keeps those that it hands to the services it starts. The flag
    /// tells whether every process could be asked.
    pub fn socket_owners(&self, wanted: &HashSet<u64>) -> (HashMap<u64, i32>, bool) {
        let mut owners = HashMap::new();
        let mut complete = !self.hidden;
        let (first, others): (Vec<_>, Vec<_>) = self.processes.iter().partition(|p| p.pid == 1);
        for process in others.into_iter().chain(first).filter(|p| !p.kernel_thread) {
            if owners.len() == wanted.len() {
                break;
            }
            let Ok(inodes) = self.socket_inodes(process.pid) else {
                complete = false;
                continue;
            };
            for inode in inodes.into_iter().filter(|inode| wanted.contains(inode)) {
                owners.entry(inode).or_insert(process.pid);
            }
        }
        (owners, complete)
    }
}

/// Inodes of the sockets that a process (`/proc/PID`) has open; empty if it has gone.
pub(crate) fn socket_inodes_of(process: &Path) -> io::Result<Vec<u64>> {
    let mut inodes = Vec::new();
    let entries = match fs::read_dir(process.join("fd")) {
        Ok(entries) => entries,
        Err(error) if is_permission(&error) => return Err(error),
        Err(_) => return Ok(inodes),
    };
    for entry in entries.take(DESCRIPTORS_MAX).flatten() {
        match fs::read_link(entry.path()) {
            Ok(link) => inodes.extend(link.to_str().and_then(socket_inode)),
            Err(error) if is_permission(&error) => return Err(error),
            // The descriptor was closed meanwhile.
            Err(_) => {}
        }
    }
    Ok(inodes)
}

fn is_permission(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// One process, from its folder in /proc.
pub(crate) fn read_entry(dir: &Path, pid: i32) -> io::Result<ProcessEntry> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let stat = fs::read(dir.join("stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    let (name, ppid, flags) = parse_stat(&stat).ok_or_else(broken)?;
    let status = fs::read(dir.join("status"))?;
    let status = String::from_utf8_lossy(&status);
    let uid_effective_host = parse_effective_uid(&status).ok_or_else(broken)?;
    let cgroups = fs::read(dir.join("cgroup")).unwrap_or_default();
    let exe = fs::read_link(dir.join("exe")).ok();
    Ok(ProcessEntry {
        pid,
        ppid,
        name: name.to_owned(),
        exe: exe.map(|path| path.to_string_lossy().into_owned()),
        cgroups: parse_cgroups(&String::from_utf8_lossy(&cgroups)),
        uid_effective_host,
        kernel_thread: flags & KERNEL_THREAD != 0,
    })
}

/// Name, parent and flags. The name may hold spaces and parentheses, so it ends at the last one.
fn parse_stat(stat: &str) -> Option<(&str, i32, u32)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    let flags = fields.nth(4)?.parse().ok()?;
    Some((name, ppid, flags))
}

fn parse_effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn parse_cgroups(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(str::to_owned).collect()
}

fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn process(dir: &Path, pid: i32, name: &str, flags: u32) {
        let dir = dir.join(format!("proc/{pid}"));
        fs::create_dir_all(dir.join("fd")).unwrap();
        fs::write(dir.join("stat"), format!("{pid} ({name}) S 1 1 1 0 -1 {flags} 0 0\n")).unwrap();
        fs::write(dir.join("status"), "Name:\tx\nUid:\t1000\t1001\t1000\t1000\n").unwrap();
        fs::write(dir.join("cgroup"), "2:cpu:/docker/ab:c\n0::/user.slice\n").unwrap();
    }

    #[test]
    fn reads_processes_with_odd_names_and_skips_half_gone_ones() {
        let dir = tempfile::tempdir().unwrap();
        process(dir.path(), 1, "init", 0);
        process(dir.path(), 2, "kthreadd", KERNEL_THREAD);
        process(dir.path(), 30, "a) S 7 (b", 0);
        fs::create_dir_all(dir.path().join("proc/31")).unwrap();
        symlink("/usr/bin/x (deleted)", dir.path().join("proc/30/exe")).unwrap();
        symlink("socket:[77]", dir.path().join("proc/30/fd/3")).unwrap();
        symlink("socket:[77]", dir.path().join("proc/1/fd/9")).unwrap();
        symlink("/dev/null", dir.path().join("proc/30/fd/0")).unwrap();
        let table = ProcessTable::read(&Root::new(dir.path())).unwrap();
        let pids: Vec<_> = table.processes().iter().map(|p| p.pid).collect();
        assert_eq!(pids, [1, 2, 30]);
        let odd = &table.processes()[2];
        assert_eq!((odd.name.as_str(), odd.ppid), ("a) S 7 (b", 1));
        assert_eq!(odd.exe_name(), Some("x"));
        assert_eq!(odd.uid_effective_host, 1001);
        assert_eq!(odd.cgroups, ["/docker/ab:c", "/user.slice"]);
        assert!(!table.hidden());
        assert_eq!(table.view(), View::Host, "the second process is a kernel thread");
        assert_eq!(table.socket_inodes(30).unwrap(), [77]);
        assert!(table.socket_inodes(99).unwrap().is_empty());
        let (owners, complete) = table.socket_owners(&HashSet::from([77, 78]));
        assert_eq!((owners.get(&77), owners.get(&78), complete), (Some(&30), None, true));
    }

    #[test]
    fn a_container_s_proc_and_hidden_processes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert!(ProcessTable::read(&root).unwrap_err().is_not_found());
        process(dir.path(), 7, "mine", 0);
        let table = ProcessTable::read(&root).unwrap();
        assert!(table.hidden());
        assert_eq!(table.view(), View::Unknown);
        process(dir.path(), 1, "init", 0);
        fs::create_dir_all(dir.path().join("proc/1/ns")).unwrap();
        symlink("pid:[4026532299]", dir.path().join("proc/1/ns/pid")).unwrap();
        assert_eq!(ProcessTable::read(&root).unwrap().view(), View::Container);
    }

    #[test]
    fn this_machine_s_own_sockets_and_processes_are_found() {
        let root = Root::new(Path::new("/"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = i32::try_from(std::process::id()).unwrap();
        let table = ProcessTable::read(&root).unwrap();
        let me = table.processes().iter().find(|p| p.pid == own).unwrap();
        assert!(me.exe.is_some() && !me.kernel_thread);
        let sockets = listening_sockets(&root, own).unwrap();
        let mine = sockets.iter().find(|s| s.port == port).unwrap();
        let (owners, _) = table.socket_owners(&HashSet::from([mine.inode]));
        assert_eq!(owners.get(&mine.inode), Some(&own));
    }
}
