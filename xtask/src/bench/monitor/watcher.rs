//! Programs that watch: started, waited for until they do, and ended as from the keyboard.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::place::Place;
use crate::run::{command, find, haechi, must, repository, say};

/// How long one may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Who watches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Watcher {
    /// `haechi monitor` with all its rules.
    Haechi,
    /// The same, which also keeps what the container uses (`--profile`).
    Profile,
    /// bpftrace, which prints starts of programs, opens for writing and connections of this container.
    Bpftrace,
}

/// One that watches.
pub struct Watching {
    watcher: Watcher,
    child: Child,
    room: TempDir,
}

/// What was seen of it.
pub struct Ended {
    /// Events that it says it lost.
    pub lost: Option<u64>,
    /// The most memory that it had.
    pub peak_mib: f64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watcher {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Haechi => "haechi monitor",
            Self::Profile => "--profile",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Whether this machine has it.
    pub fn is_there(&self) -> bool {
        if *self != Self::Bpftrace {
            return true;
        }
        let lacks = if find("bpftrace").is_none() {
            "the program is not there (`apt-get install bpftrace`)"
        } else if !Path::new("/sys/kernel/tracing/events/syscalls").is_dir() {
            "the kernel's events are not shown (`mount -t tracefs tracefs /sys/kernel/tracing`)"
        } else {
            return true;
        };
        say(format!("{} is not measured: {lacks}.", self.name()));
        false
    }

    /// What it writes when it watches.
    const fn sign(self) -> &'static str {
        match self {
            Self::Haechi | Self::Profile => "Watching",
            Self::Bpftrace => "Attaching",
        }
    }

    fn command(self, place: &Place, room: &TempDir) -> Result<Command> {
        if self == Self::Bpftrace {
            return command("bpftrace", &["-e", &script(place)?]);
        }
        let mut own = Command::new(haechi("release")?);
        own.args(["monitor", "--format", "json", "--only-rules", "--rules"])
            .arg(repository()?.join("rules/haechi.yaml"))
            .arg("--data-dir")
            .arg(room.path())
            .env("LANG", "C.UTF-8");
        if self == Self::Profile {
            own.arg("--profile");
        }
        Ok(own)
    }
}

/// The same job in bpftrace: less of it, for it resolves no path and judges nothing.
fn script(place: &Place) -> Result<String> {
    let here = format!("/cgroup == cgroupid(\"{}\")/", place.group()?);
    let writes = format!("/cgroup == cgroupid(\"{}\") && (args->flags & 3) != 0/", place.group()?);
    Ok(format!(
        "tracepoint:syscalls:sys_enter_execve {here} {{ printf(\"%d %s \", pid, comm); join(args->argv); }} \
         tracepoint:syscalls:sys_enter_openat {writes} {{ printf(\"%d %s %s\\n\", pid, comm, str(args->filename)); }} \
         tracepoint:syscalls:sys_enter_connect {here} {{ printf(\"%d %s connect\\n\", pid, comm); }}"
    ))
}

impl Watching {
    /// Starts one and comes back when it watches.
    pub fn begin(watcher: Watcher, place: &Place) -> Result<Self> {
        let room = tempfile::tempdir()?;
        let mut command = watcher.command(place, &room)?;
        command
            .stdin(Stdio::null())
            .stdout(File::create(room.path().join("stdout"))?)
            .stderr(File::create(room.path().join("stderr"))?);
        let child = command.spawn().with_context(|| format!("cannot run {}", watcher.name()))?;
        let mut watching = Self { watcher, child, room };
        let begin = Instant::now();
        while !watching.said().contains(watcher.sign()) {
            if watching.child.try_wait()?.is_some() || begin.elapsed() > PATIENCE {
                bail!("{} does not begin: {}", watcher.name(), watching.said());
            }
            std::thread::sleep(LOOK);
        }
        // It says so a little before all its programs are in the kernel.
        if watcher == Watcher::Bpftrace {
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(watching)
    }

    fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.room.path().join(name));
        let first: String = read("stdout").unwrap_or_default().chars().take(1000).collect();
        read("stderr").unwrap_or_default() + &first
    }

    /// Ends it.
    pub fn end(mut self) -> Result<Ended> {
        let id = self.child.id().to_string();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        must(command("kill", &["-INT", &id])?)?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                bail!("{} does not end", self.watcher.name());
            }
            std::thread::sleep(LOOK);
        }
        Ok(Ended { lost: lost(&self.said()), peak_mib: peak.unwrap_or_default() / 1024.0 })
    }
}

/// How many events were lost, from what `haechi monitor` says at its end.
fn lost(said: &str) -> Option<u64> {
    if said.contains("no event lost") {
        return Some(0);
    }
    let (before, _) = said.split_once(" events were LOST")?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn losses_are_read_from_the_last_line() {
        assert_eq!(lost("Watching.\n3 alerts, no event lost."), Some(0));
        assert_eq!(lost("3 alerts, but 1204 events were LOST: what they"), Some(1204));
        assert_eq!(lost("Watching."), None);
    }
}
