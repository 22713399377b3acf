//! Without programs in the kernel: started programs and new listeners of containers, from the process connector and
//! `/proc`.
//!
//! What ends before it is looked at is seen by its id only, and not told. Files, connections, system calls, namespaces
//! and privileges are not seen at all, and nothing can be held. All that counts as lost: no container passes a run-time
//! check by it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use haechi_core::event::{Action as Did, Endpoint, Event, Exec, Network, Origin, Process, Socket};
use haechi_sensor::{Ability, Connector, Happened, Losses, Record, Seen, container_id};

use crate::judge::now;
use crate::{hands, running};

/// How often all processes are looked at: with the connector only for what it lost.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_ALONE: Duration = Duration::from_millis(50);
/// Listeners of one container that are remembered.
const LISTENERS_MAX: usize = 1000;
/// State `TCP_LISTEN` in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A container that is there.
#[derive(Debug, Default)]
struct Known {
    first: u32,
    listeners: BTreeSet<(IpAddr, u16)>,
    told: u64,
}

/// Looks.
#[derive(Debug)]
pub struct Fallback {
    connector: Option<Connector>,
    containers: BTreeMap<u64, Known>,
    /// Processes of containers, with their start and program.
    processes: HashMap<u32, (u64, String)>,
    looked: Option<Instant>,
}

impl Fallback {
    /// Begins; `why` there are no programs in the kernel.
    pub fn new(why: &str) -> (Self, Vec<Ability>) {
        let connector = Connector::open();
        let lacks = |name, gives| Ability { name, gives, missing: Some(why.to_owned()) };
        let abilities = vec![
            lacks(
                "BPF",
                "files, connections, system calls, namespaces, privileges; programs that live for a moment",
            ),
            lacks("bpf_send_signal", "programs stopped before their first instruction"),
            Ability {
                name: "process connector",
                gives: "started programs at once, not once a moment",
                missing: connector.as_ref().err().map(ToString::to_string),
            },
        ];
        let connector = connector.ok();
        let fallback = Self {
            connector,
            containers: BTreeMap::new(),
            processes: HashMap::new(),
            looked: None,
        };
        (fallback, abilities)
    }

    /// Gives what happened; waits for it no longer than `timeout`.
    pub fn next_batch(&mut self, timeout: Duration, give: &mut dyn FnMut(Record)) {
        let happened = match &self.connector {
            Some(connector) => connector.next(timeout).unwrap_or_default(),
            None => {
                std::thread::sleep(timeout);
                Vec::new()
            }
        };
        let mut lost = false;
        for one in happened {
            match one {
                Happened::Exec(pid) => self.started(pid, give),
                Happened::Exit(pid, status) => self.ended(pid, status, give),
                Happened::Lost => lost = true,
            }
        }
        let often = if self.connector.is_some() { LOOK } else { LOOK_ALONE };
        if lost || self.looked.is_none_or(|at| at.elapsed() >= often) {
            self.look(give);
            self.looked = Some(Instant::now());
        }
    }

    /// All that is not seen counts as lost.
    pub fn losses(&self) -> BTreeMap<u64, Losses> {
        let all = self.containers.iter();
        all.map(|(group, known)| (*group, Losses { sent: known.told, lost: 1 })).collect()
    }

    /// Looks at all processes, and at the listeners of each container.
    fn look(&mut self, give: &mut dyn FnMut(Record)) {
        let mut present = BTreeSet::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some((group, _, _)) = container_of(pid) {
                present.insert(group);
                self.started(pid, give);
            }
        }
        let gone: Vec<u64> =
            self.containers.keys().filter(|group| !present.contains(group)).copied().collect();
        for group in gone {
            let told = self.containers.remove(&group).map_or(0, |known| known.told);
            let losses = Losses { sent: told, lost: 1 };
            give(Record::Gone { cgroup: group, container: group, losses });
        }
        self.processes.retain(|pid, _| Path::new("/proc").join(pid.to_string()).exists());
        for (group, known) in &mut self.containers {
            for (ip, port) in listeners(known.first) {
                if known.listeners.len() < LISTENERS_MAX && known.listeners.insert((ip, port)) {
                    let network = Network {
                        socket: Socket::Tcp,
                        local: Some(Endpoint { ip, port }),
                        remote: None,
                        path: String::new(),
                        payload: Vec::new(),
                    };
                    // Who listens is not known, so nobody is blamed for it.
                    let process = Process { login_uid: u32::MAX, ..Process::default() };
                    known.told += 1;
                    give(event(*group, process, "listen", Did::Network(network)));
                }
            }
        }
    }

    /// A process of a container may have started a program.
    fn started(&mut self, pid: u32, give: &mut dyn FnMut(Record)) {
        let Some((group, id, path)) = container_of(pid) else { return };
        let (Some(process), Some(known)) = (process(pid), running::one(pid)) else { return };
        // A runtime on its way into the container.
        if process.host_mounts {
            return;
        }
        let program = format!("{} {:?}", known.path, known.args);
        let before = self.processes.insert(pid, (process.started, program.clone()));
        if before.is_some_and(|before| before == (process.started, program)) {
            return;
        }
        let container = self.containers.entry(group).or_insert_with(|| {
            give(Record::New { cgroup: group, container: id, path, outer: None });
            Known { first: pid, ..Known::default() }
        });
        container.told += 1;
        let inode = fs::metadata(format!("/proc/{pid}/exe")).map(|meta| (meta.ino(), meta.mtime()));
        let (inode, modified) = inode.unwrap_or_default();
        let exec = Exec {
            file: known.path.clone(),
            path: known.path,
            args: known.args,
            cwd: known.cwd,
            origin: Origin::Unknown,
            inode,
            modified,
            ..Exec::default()
        };
        give(event(group, process, "execve", Did::Exec(Box::new(exec))));
    }

    fn ended(&mut self, pid: u32, status: i32, give: &mut dyn FnMut(Record)) {
        let Some((started, _)) = self.processes.remove(&pid) else { return };
        // Its group is not told any more: the container is found by the processes that are left.
        let group = container_of(pid).map(|(group, ..)| group);
        if let Some(group) = group {
            let process = Process { pid, tid: pid, started, ..Process::default() };
            give(event(group, process, "procexit", Did::Exit(status)));
        }
    }
}

fn event(cgroup: u64, process: Process, call: &str, action: Did) -> Record {
    let at = now().unwrap_or_default();
    let event = Event { at, cgroup, process, call: call.to_owned(), result: 0, action };
    Record::Event(Box::new(Seen { event, compat: false, cut: false }))
}

/// The container of a process: number, id, and path of its control group of version 2, if it has one.
fn container_of(pid: u32) -> Option<(u64, String, String)> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let id = groups.lines().flat_map(|line| line.split('/')).find_map(container_id)?.to_owned();
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let path = unified.filter(|path| path.contains(&id)).unwrap_or_default().to_owned();
    let folder = hands::groups().join(path.trim_start_matches('/'));
    let group = match fs::metadata(folder) {
        Ok(meta) if !path.is_empty() => meta.ino(),
        // Control groups of version 1 only: a number of its own for each id.
        _ => u64::from_str_radix(id.get(..16)?, 16).ok()?,
    };
    Some((group, id, path))
}

/// A process, as `/proc` tells it.
fn process(pid: u32) -> Option<Process> {
    let known = running::one(pid)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let words = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.map(|rest| rest.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    let ids = |key: &str| words(key).unwrap_or_default();
    let id = |all: &[String], at: usize| all.get(at).and_then(|word| word.parse().ok());
    let (uids, gids) = (ids("Uid:"), ids("Gid:"));
    let bits = |key: &str| {
        let all = ids(key);
        all.first().and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or_default()
    };
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    Some(Process {
        pid,
        tid: pid,
        inner_pid: ids("NSpid:").last().and_then(|word| word.parse().ok()).unwrap_or_default(),
        parent: known.parent,
        started: running::started(pid)?,
        uid: id(&uids, 0).unwrap_or_default(),
        euid: id(&uids, 1).unwrap_or_default(),
        gid: id(&gids, 0).unwrap_or_default(),
        login_uid: u32::MAX,
        session: known.session,
        capabilities: bits("CapEff:"),
        permitted: bits("CapPrm:"),
        name: known.name,
        host_mounts: mounts(&pid.to_string()).is_some_and(|own| Some(own) == mounts("self")),
        ..Process::default()
    })
}

/// Addresses on which somebody listens in the network of a process.
fn listeners(pid: u32) -> Vec<(IpAddr, u16)> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|kind| fs::read_to_string(format!("/proc/{pid}/net/{kind}")).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(listener).collect::<Vec<_>>())
        .collect()
}

/// A line of `/proc/net/tcp` (proc_pid_net(5)): addresses are words of the machine's byte order.
fn listener(line: &str) -> Option<(IpAddr, u16)> {
    let mut words = line.split_ascii_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    if state != LISTENING {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let word = |at: usize| {
        let hex = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(hex, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let bytes: Vec<u8> = (0..4).filter_map(word).flatten().collect();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_their_line() {
        let line = |local: &str, state: &str| format!("  0: {local} 00000000:0000 {state} 0 0 0");
        let found = listener(&line("0100007F:0016", LISTENING));
        assert_eq!(found, Some((Ipv4Addr::LOCALHOST.into(), 22)));
        let found = listener(&line("00000000000000000000000001000000:1F90", LISTENING));
        assert_eq!(found, Some((Ipv6Addr::LOCALHOST.into(), 8080)));
        assert_eq!(listener(&line("0100007F:0016", "01")), None);
        assert_eq!(listener(&line("01:0016", LISTENING)), None);
        assert_eq!(listener(""), None);
    }

    #[test]
    fn this_process_is_of_no_container_and_is_read() {
        let own = process(std::process::id()).unwrap();
        assert!(own.started > 0 && own.parent > 0 && own.host_mounts);
    }
}
