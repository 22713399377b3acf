//! Processes of containers at the moment the programs are loaded: whose they are, and which of them are runtimes on their way
//! in: what they still do there is not the container's. Later ones the kernel side finds by itself.
//!
//! Reads `/proc` (proc(5)). A process is taken for one only if it was started a moment ago by somebody outside the
//! container and runs a runtime's program; it counts as one until it starts another program, and no longer than a minute.

use std::fs;
use std::path::Path;

use aya::maps::{HashMap, MapData, MapError};

use crate::groups;

/// `struct member` in `bpf/record.h`.
pub(crate) type Member = [u64; 2];
/// Do not replace an entry: the kernel's own is fresher (`BPF_NOEXIST`).
const NOEXIST: u64 = 1;
/// Names of runtimes' programs, as parts of the link to them: a runtime may run from a copy in memory.
const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];
/// The kernel tells the start of a process in hundredths of a second.
const TICKS_PER_SECOND: u64 = 100;
/// How long ago a runtime that is still on its way was started, in ticks.
const RECENT: u64 = 10 * TICKS_PER_SECOND;

/// Processes of a container's group that are runtimes on their way.
pub(crate) fn entering(folder: &Path, container: &str) -> Vec<u32> {
    processes(folder).into_iter().filter(|pid| is_entering(*pid, container)).collect()
}

fn processes(folder: &Path) -> Vec<u32> {
    let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    processes.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Tells the kernel side whose each process is that is there, so that it knows when one leaves. Those that come it finds itself:
/// call this when it does.
pub(crate) fn tell_members(
    members: &mut HashMap<&mut MapData, u32, Member>,
    root: &Path,
) -> Result<(), MapError> {
    for group in groups::existing(root) {
        let folder = root.join(group.path.trim_start_matches('/'));
        for pid in processes(&folder) {
            match members.insert(pid, [group.container, u64::from(pid)], NOEXIST) {
                // Its number would be the next one's.
                Ok(()) if !Path::new("/proc").join(pid.to_string()).exists() => {
                    let _ = members.remove(&pid);
                }
                Ok(()) => {}
                Err(_) if members.get(&pid, 0).is_ok() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn is_entering(pid: u32, container: &str) -> bool {
    let folder = Path::new("/proc").join(pid.to_string());
    let Ok(program) = fs::read_link(folder.join("exe")) else { return false };
    let program = program.to_string_lossy();
    let Some((parent, started)) = stat(&folder) else { return false };
    let Ok(groups) = fs::read_to_string(format!("/proc/{parent}/cgroup")) else { return false };
    RUNTIMES.iter().any(|runtime| program.contains(runtime))
        && uptime().is_some_and(|now| now.saturating_sub(started) < RECENT)
        && !groups.contains(container)
}

/// Parent and start of a process, in ticks.
pub(crate) fn stat(folder: &Path) -> Option<(u32, u64)> {
    let stat = fs::read(folder.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, after) = stat.rsplit_once(')')?;
    let mut words = after.split_ascii_whitespace();
    let parent = words.nth(1)?.parse().ok()?;
    Some((parent, words.nth(17)?.parse().ok()?))
}

/// Ticks since the machine started.
fn uptime() -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an uptime")]
    Some((seconds * 100.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_no_runtime_and_is_read() {
        let own = std::process::id();
        let (parent, started) = stat(&Path::new("/proc").join(own.to_string())).unwrap();
        assert!(parent > 0 && started > 0 && uptime().unwrap() >= started);
        assert!(!is_entering(own, "no container"));
    }
}
