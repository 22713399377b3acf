//! What the monitor does to processes and containers by itself, in microseconds: signals and the freezer of control
//! groups (version 2). It decides nothing, and it never touches a process that is not the one that was seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::running::{self, TICK_NS};

pub use rustix::process::Signal;

/// The parent of a program that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub pid: u32,
    /// When it was started, in nanoseconds since the machine started.
    pub started: u64,
    /// Path of the control group of the container that the program is in.
    pub group: String,
}

/// Where processes and control groups are.
#[derive(Debug, Clone)]
pub struct Hands {
    proc: PathBuf,
    groups: PathBuf,
}

impl Hands {
    /// On this machine.
    pub fn new(groups: PathBuf) -> Self {
        Self { proc: "/proc".into(), groups }
    }

    /// The folder of a control group; none if its path is not one.
    fn group(&self, path: &str) -> io::Result<PathBuf> {
        let inner = path.trim_start_matches('/');
        // The root group is the whole machine.
        if inner.is_empty() || inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let what = format!("{path:?} is no control group of a container");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(self.groups.join(inner))
    }

    /// Stops all processes of a group where they are. They may need a moment more: see [`Hands::wait_frozen`].
    ///
    /// # Errors
    /// The group is gone, or its file cannot be written.
    pub fn freeze(&self, group: &str) -> io::Result<()> {
        fs::write(self.group(group)?.join("cgroup.freeze"), "1")
    }

    /// Takes that back.
    ///
    /// # Errors
    /// The group is gone, or its file cannot be written.
    pub fn thaw(&self, group: &str) -> io::Result<()> {
        fs::write(self.group(group)?.join("cgroup.freeze"), "0")
    }

    /// Whether somebody froze a group through this hierarchy.
    pub fn is_frozen(&self, group: &str) -> bool {
        let file = self.group(group).map(|folder| folder.join("cgroup.freeze"));
        file.and_then(fs::read_to_string).is_ok_and(|text| text.trim() == "1")
    }

    /// Waits until all processes of a group stand still; whether they do.
    pub fn wait_frozen(&self, group: &str, patience: Duration) -> bool {
        let Ok(folder) = self.group(group) else { return false };
        let events = folder.join("cgroup.events");
        let end = Instant::now() + patience;
        loop {
            let frozen = fs::read_to_string(&events)
                .is_ok_and(|text| text.lines().any(|line| line == "frozen 1"));
            if frozen || Instant::now() >= end {
                return frozen;
            }
            thread::sleep(Duration::from_micros(20));
        }
    }

    /// Processes of a group and of those below it.
    pub fn processes(&self, group: &str) -> Vec<u32> {
        let Ok(folder) = self.group(group) else { return Vec::new() };
        let mut found = Vec::new();
        let mut left = vec![folder];
        while let Some(folder) = left.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        found
    }

    /// Sends a signal to the process that was started then (nanoseconds since the machine started); whether it was
    /// still there.
    ///
    /// # Errors
    /// This user may not send it.
    pub fn signal(&self, pid: u32, started: u64, signal: Signal) -> io::Result<bool> {
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let handle = match pidfd_open(id, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // The handle holds on to one process; that it is the right one is checked after it was taken.
        if running::started(pid).is_none_or(|known| known.abs_diff(started) > 2 * TICK_NS) {
            return Ok(false);
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Processes of a group that stand at their first instruction because somebody stopped them there: what a monitor
    /// that was killed held. Each with its start in nanoseconds.
    pub fn held(&self, group: &str) -> Vec<(u32, u64)> {
        let pids = self.processes(group).into_iter();
        pids.filter(|pid| self.is_held(*pid))
            .filter_map(|pid| Some((pid, running::started(pid)?)))
            .collect()
    }

    fn is_held(&self, pid: u32) -> bool {
        // Still in execve or execveat: it has run no instruction of the new program (proc_pid_syscall(5)).
        self.is_stopped(pid)
            && self.read(pid, "syscall").is_some_and(|call| {
                matches!(call.split_ascii_whitespace().next(), Some("59" | "322"))
            })
    }

    /// Lets the parent of a program that was held go on, if it is stopped, is the one that was seen, and is in the same
    /// container.
    pub fn continue_stopped(&self, parent: &Parent) {
        let Parent { pid, started, group } = parent;
        if self.is_in(*pid, group)
            && self.is_stopped(*pid)
            && let Err(error) = self.signal(*pid, *started, Signal::CONT)
        {
            tracing::warn!("process {pid} stopped itself and cannot be continued: {error}");
        }
    }

    /// Whether a process is in a control group or in one below it.
    fn is_in(&self, pid: u32, group: &str) -> bool {
        self.read(pid, "cgroup").is_some_and(|groups| {
            let path = groups.lines().find_map(|line| line.strip_prefix("0::"));
            let inner = path.and_then(|path| path.strip_prefix(group.trim_end_matches('/')));
            !group.trim_matches('/').is_empty()
                && inner.is_some_and(|inner| inner.is_empty() || inner.starts_with('/'))
        })
    }

    fn is_stopped(&self, pid: u32) -> bool {
        self.read(pid, "stat").is_some_and(|stat| {
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
        })
    }

    fn read(&self, pid: u32, name: &str) -> Option<String> {
        let text = fs::read(self.proc.join(pid.to_string()).join(name)).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Where the hierarchy of version 2 is mounted: alone, or beside those of version 1.
pub fn groups() -> PathBuf {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.procs").exists() { hybrid.into() } else { "/sys/fs/cgroup".into() }
}

/// Whether engines freeze containers by another hierarchy than the one that is used here.
pub fn engine_freezes_elsewhere() -> bool {
    Path::new("/sys/fs/cgroup/freezer/tasks").exists()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn hands() -> Hands {
        Hands::new(groups())
    }

    #[test]
    fn only_the_process_that_was_seen_gets_a_signal() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let started = running::started(child.id()).unwrap();
        assert!(!hands().signal(child.id(), started + 100 * TICK_NS, Signal::KILL).unwrap());
        assert!(child.try_wait().unwrap().is_none());
        assert!(hands().signal(child.id(), started, Signal::KILL).unwrap());
        assert!(!child.wait().unwrap().success());
        assert!(!hands().signal(child.id(), started, Signal::KILL).unwrap());
    }

    #[test]
    fn the_root_group_and_what_is_outside_is_never_touched() {
        for path in ["", "/", "//", "/../x", "/a/../..", "/./a"] {
            assert!(hands().freeze(path).is_err(), "{path}");
            assert!(hands().thaw(path).is_err(), "{path}");
        }
    }

    #[test]
    fn only_a_parent_of_the_same_container_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let hands = Hands { proc: folder.path().into(), ..hands() };
        fs::create_dir(folder.path().join("7")).unwrap();
        let is_in = |own: &str, group: &str| {
            fs::write(folder.path().join("7/cgroup"), format!("1:cpu:/x\n0::{own}\n")).unwrap();
            hands.is_in(7, group)
        };
        assert!(is_in("/docker/ab", "/docker/ab") && is_in("/docker/ab/inner", "/docker/ab"));
        for (own, group) in
            [("/docker/abc", "/docker/ab"), ("/docker/ab", "/docker/cd"), ("/a", "")]
        {
            assert!(!is_in(own, group), "{own} {group}");
        }
        assert!(!hands.is_in(8, "/docker/ab"));
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let started = running::started(child.id()).unwrap();
        self::hands().signal(child.id(), started, Signal::STOP).unwrap();
        let pid = child.id();
        while !self::hands().is_stopped(pid) {
            thread::yield_now();
        }
        // Another process had that id: it is left as it is.
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
        let parent = |started| Parent { pid, started, group: group.clone() };
        self::hands().continue_stopped(&parent(started + 100 * TICK_NS));
        self::hands()
            .continue_stopped(&Parent { group: "/docker/other".into(), ..parent(started) });
        assert!(self::hands().is_stopped(pid));
        if group != "/" {
            self::hands().continue_stopped(&parent(started));
            assert!(!self::hands().is_stopped(pid));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_was_stopped_later_is_not_held() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let started = running::started(child.id()).unwrap();
        thread::sleep(Duration::from_millis(50));
        hands().signal(child.id(), started, Signal::STOP).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(!hands().is_held(child.id()));
        hands().signal(child.id(), started, Signal::KILL).unwrap();
        child.wait().unwrap();
    }
}
