//! The daemon's process, and whether the engine runs on the machine that the host facts are of.
//!
//! Facts of one machine must not decide about another: an engine counts as local only if its name and kernel
//! are this machine's **and** a process of an engine here serves its socket, or its data lie here. A socket
//! that `ssh` or `socat` forwards is another host's. Command lines are kept in memory, never in a fact as such.

use std::collections::HashSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haechi_core::facts::EngineProcess;
use haechi_core::finding::Cause;
use jiff::Timestamp;
use serde_json::Value;

use super::Scene;
use super::endpoint::{Address, Endpoint};
use super::json::text_at;
use crate::procs::{ProcessEntry, ProcessTable, View, listening_sockets};
use crate::root::Root;

/// The reason where not even the engine's own word is known.
const SILENT: &str = "the engine does not say where it runs";

/// What is known of the daemon as a process of this machine.
pub(super) struct Daemon {
    /// Whether the engine runs on this machine.
    pub(super) local: bool,
    /// How that was decided.
    pub(super) reason: String,
    /// Its process, if visible.
    pub(super) process: Option<Running>,
    /// The processes of this machine, if the engine is local and they can be listed.
    pub(super) table: Option<ProcessTable>,
}

/// A daemon that runs.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// Process id.
    pub(super) pid: i32,
    /// Effective user id on the host.
    pub(super) uid: u32,
    /// Arguments, unredacted.
    pub(super) arguments: Vec<String>,
    /// When it started.
    pub(super) started: Option<Timestamp>,
    /// Program path.
    pub(super) program: String,
}

impl Daemon {
    /// Why facts that need this machine are missing.
    pub(super) fn elsewhere(&self) -> (Cause, String) {
        if self.reason == SILENT {
            return (Cause::Missing, SILENT.into());
        }
        (Cause::Unreachable, format!("the engine is on another host ({})", self.reason))
    }

    /// Why facts that need the daemon's process are missing.
    pub(super) fn unseen(&self) -> (Cause, String) {
        if self.local {
            (
                Cause::Permission,
                "the daemon's process is not visible; run as root on the host".into(),
            )
        } else {
            self.elsewhere()
        }
    }

    /// The daemon's process as facts.
    pub(super) fn facts(&self, root: &Root) -> Option<EngineProcess> {
        let running = self.process.as_ref()?;
        let names = root.user_names();
        Some(EngineProcess {
            pid: Some(running.pid.into()),
            uid: Some(running.uid.into()),
            user: Some(names.get(&running.uid).cloned().unwrap_or_else(|| running.uid.to_string())),
            program: Some(running.program.clone()),
            arguments: Some(crate::redact::arguments(&running.arguments)),
            started_at: Some(running.started.map(|time| time.to_string()).unwrap_or_default()),
        })
    }
}

/// The process that serves a Unix socket, as the kernel says of a connection to it; `None` for TCP, or if it
/// is outside this process's pid namespace.
pub(super) async fn peer(endpoint: &Endpoint, limit: Duration) -> Option<i32> {
    let Address::Unix(path) = &endpoint.address else { return None };
    let connect = tokio::net::UnixStream::connect(path);
    let stream = tokio::time::timeout(limit, connect).await.ok()?.ok()?;
    stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)
}

/// Finds the daemon's process and decides whether it is this machine's.
pub(super) fn find(
    scene: Scene<'_>,
    endpoint: &Endpoint,
    peer: Option<i32>,
    info: Option<&Value>,
) -> Daemon {
    let elsewhere = |reason: String| Daemon { local: false, reason, process: None, table: None };
    if let Address::Tcp { host, port } = &endpoint.address
        && !is_loopback(host, *port)
    {
        return elsewhere(format!("{} is not an address of this machine", endpoint.url));
    }
    let Some(info) = info else {
        return elsewhere(SILENT.into());
    };
    if let Err(reason) = same_machine(scene.root, info) {
        return elsewhere(reason);
    }
    let table = ProcessTable::read(scene.root).ok();
    let server = match &table {
        Some(table) => server(scene.root, table, endpoint, peer),
        None => Server::Unseen,
    };
    let (reason, process) = match server {
        Server::Engine(process)
            if in_container(&process) && !shares_files(scene.root, &process) =>
        {
            return elsewhere(format!("its daemon (process {}) runs in a container", process.pid));
        }
        Server::Engine(process) => {
            let reason = format!(
                "name and kernel are this machine's, and process {} ({}) serves it",
                process.pid, process.name
            );
            (reason, running(scene.root, &process))
        }
        Server::Other(process) => {
            return elsewhere(format!(
                "its socket is served by {} (process {}), which is no engine",
                process.name, process.pid
            ));
        }
        Server::Unseen => match data_is_here(scene.root, info, endpoint) {
            Ok(reason) => (reason, None),
            Err(reason) => return elsewhere(reason),
        },
    };
    Daemon { local: true, reason, process, table }
}

fn is_loopback(host: &str, port: u16) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback();
    }
    // Only names that cannot be anything else are looked up, so that nothing waits for a name server.
    host == "localhost"
        && (host, port).to_socket_addrs().is_ok_and(|mut all| all.all(|a| a.ip().is_loopback()))
}

/// Whether the engine's name and kernel are those of this machine.
fn same_machine(root: &Root, info: &Value) -> Result<(), String> {
    let read = |path: &str| root.read_text(path).map(|text| text.trim().to_owned());
    let kernel = read("/proc/sys/kernel/osrelease")
        .map_err(|error| format!("this machine's kernel is not known: {error}"))?;
    let said = text_at(info, "KernelVersion");
    if said != kernel {
        return Err(format!("its kernel {said} is not this machine's {kernel}"));
    }
    let said = text_at(info, "Name");
    let mut names: Vec<String> = read("/proc/sys/kernel/hostname").into_iter().collect();
    // Seen from a container, /proc tells the container's name and not the host's.
    names.extend(read("/etc/hostname").ok().filter(|_| !root.is_whole_machine()));
    if said.is_empty() || !names.iter().any(|name| name == said) {
        return Err(format!("its name {said:?} is not this machine's {:?}", names.join(" or ")));
    }
    Ok(())
}

/// Who serves the engine's socket.
enum Server {
    /// A daemon.
    Engine(ProcessEntry),
    /// Something that is no engine.
    Other(ProcessEntry),
    /// Not visible for this user or from this container.
    Unseen,
}

fn server(root: &Root, table: &ProcessTable, endpoint: &Endpoint, peer: Option<i32>) -> Server {
    let by_pid = |pid: i32| table.processes().iter().find(|process| process.pid == pid);
    let owner = match &endpoint.address {
        Address::Unix(path) => {
            // The peer's number is of this process's own pid namespace, which another /proc need not show.
            let own = root.is_whole_machine() || table.view() == View::Host;
            let peer = peer.filter(|_| own).and_then(by_pid);
            peer.or_else(|| unix_owner(root, table, path).and_then(by_pid))
        }
        Address::Tcp { port, .. } => tcp_owner(root, table, *port).and_then(by_pid),
    };
    match owner {
        Some(process) if is_engine(process) => Server::Engine(process.clone()),
        // Systemd opened the socket before it started the daemon and handed it over.
        Some(process) if process.pid == 1 || process.name == "systemd" => {
            only_daemon(root, table).map_or(Server::Unseen, Server::Engine)
        }
        Some(process) => Server::Other(process.clone()),
        None => Server::Unseen,
    }
}

/// The one daemon of this machine that is not in a container.
fn only_daemon(root: &Root, table: &ProcessTable) -> Option<ProcessEntry> {
    let daemon = |p: &&ProcessEntry| is_engine(p) && (!in_container(p) || shares_files(root, p));
    let mut daemons = table.processes().iter().filter(daemon);
    let first = daemons.next()?;
    daemons.next().is_none().then(|| first.clone())
}

/// Who listens on the socket file `path`, which may be seen from another mount namespace.
fn unix_owner(root: &Root, table: &ProcessTable, path: &Path) -> Option<i32> {
    let wanted = std::fs::metadata(path).ok()?;
    let wanted = (device(wanted.dev()), wanted.ino());
    let text = std::fs::read(root.proc("1/net/unix")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let is_it =
        |path: &str| root.metadata(path).is_ok_and(|meta| (meta.device, meta.inode) == wanted);
    let inodes: HashSet<u64> = text
        .lines()
        .filter_map(super::listeners::unix_socket)
        .filter(|(_, path)| is_it(path))
        .map(|(inode, _)| inode)
        .collect();
    table.socket_owners(&inodes).0.into_values().next()
}

/// A device number as `major:minor`.
fn device(number: u64) -> String {
    format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number))
}

fn tcp_owner(root: &Root, table: &ProcessTable, port: u16) -> Option<i32> {
    // A loopback address is that of this process's own network, which need not be process 1's.
    let own = i32::try_from(std::process::id()).ok().filter(|_| root.is_whole_machine());
    let sockets = listening_sockets(root, own.unwrap_or(1)).ok()?;
    let inodes: HashSet<u64> = sockets
        .iter()
        .filter(|socket| socket.protocol == "tcp" && socket.port == port)
        .map(|socket| socket.inode)
        .collect();
    table.socket_owners(&inodes).0.into_values().next()
}

/// Whether a process is a container engine's daemon, by its program or, where that is not visible, its name.
fn is_engine(process: &ProcessEntry) -> bool {
    let name = process.exe_name().unwrap_or(&process.name);
    ["dockerd", "podman", "balenad", "balena-engine"].iter().any(|engine| name.starts_with(engine))
}

/// Whether a control group's path says that a process is in a container.
fn in_container(process: &ProcessEntry) -> bool {
    process.cgroups.iter().any(|path| {
        path.split(['/', '-', '.'])
            .any(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

/// Whether the engine's data lie on this machine: what remains where its process is not visible.
fn data_is_here(root: &Root, info: &Value, endpoint: &Endpoint) -> Result<String, String> {
    let data = text_at(info, "DockerRootDir");
    let id = root.read_text(PathBuf::from(data).join("engine-id")).unwrap_or_default();
    let id = id.trim();
    if !id.is_empty() {
        return if id == text_at(info, "ID") {
            Ok("name, kernel and engine id are this machine's".into())
        } else {
            Err("its id is not that of the engine whose data lie here".into())
        };
    }
    let Address::Unix(socket) = &endpoint.address else {
        return Err("nothing of it is visible here".into());
    };
    let below = socket.starts_with(root.base());
    let exists = root.metadata(data).is_ok_and(|meta| meta.kind == "directory");
    if below && exists {
        Ok(format!("name and kernel are this machine's, and {data} exists here"))
    } else {
        Err(format!("neither its process nor its data in {data} are visible here"))
    }
}

/// Whether a process sees the same file systems as process 1: in a machine that is itself a container,
/// every control group's path carries that container's id.
fn shares_files(root: &Root, process: &ProcessEntry) -> bool {
    let namespace = |pid: i32| std::fs::read_link(root.proc(&format!("{pid}/ns/mnt"))).ok();
    namespace(1).is_some_and(|first| namespace(process.pid) == Some(first))
}

fn running(root: &Root, process: &ProcessEntry) -> Option<Running> {
    let read = |file: &str| std::fs::read(root.proc(&format!("{}/{file}", process.pid))).ok();
    let line = read("cmdline")?;
    let mut arguments: Vec<String> =
        line.split(|byte| *byte == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    // The last argument ends with a zero byte too.
    if arguments.last().is_some_and(String::is_empty) {
        arguments.pop();
    }
    let started = started(
        &String::from_utf8_lossy(&read("stat")?),
        &std::fs::read_to_string(root.proc("stat")).ok()?,
        rustix::param::clock_ticks_per_second(),
    );
    Some(Running {
        pid: process.pid,
        uid: process.uid_effective_host,
        arguments,
        started,
        program: process.exe.clone().unwrap_or_default(),
    })
}

/// When a process started: its clock ticks after boot, and the time of boot.
fn started(stat: &str, machine: &str, ticks_per_second: u64) -> Option<Timestamp> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot: i64 = boot.trim().parse().ok()?;
    let after = i64::try_from(ticks.checked_div(ticks_per_second)?).ok()?;
    Timestamp::from_second(boot.checked_add(after)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_counted_from_boot() {
        let stat = "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let at = started(stat, "cpu 1\nbtime 1000000000\n", 100).unwrap();
        assert_eq!(at.as_second(), 1_000_000_123);
        assert!(started("7 (x) S", "btime 1", 100).is_none());
        assert!(started(stat, "btime 99999999999999999999", 100).is_none());
    }

    #[test]
    fn daemons_in_containers_are_told_by_their_control_group() {
        let mut process = ProcessEntry {
            pid: 5,
            ppid: 1,
            name: "dockerd".into(),
            exe: None,
            cgroups: vec!["/system.slice/docker.service".into()],
            uid_effective_host: 0,
            kernel_thread: false,
        };
        assert!(is_engine(&process) && !in_container(&process));
        process.cgroups = vec![format!("/system.slice/docker-{}.scope", "a1".repeat(32))];
        assert!(in_container(&process));
        process.cgroups = vec![format!("/docker/{}/init", "b2".repeat(32))];
        assert!(in_container(&process));
        process.exe = Some("/usr/bin/socat".into());
        assert!(!is_engine(&process), "a process can choose its name, but not its program");
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_else_is() {
        assert!(
            is_loopback("127.0.0.2", 1) && is_loopback("::1", 1) && is_loopback("localhost", 1)
        );
        assert!(!is_loopback("10.0.0.1", 1) && !is_loopback("localhost.example", 1));
    }
}
