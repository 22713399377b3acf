//! Processes that were there before the monitor, from `/proc` (proc(5)).
//!
//! One that ends while this reads is left out. What a process says of itself (its arguments) it may have changed.

use std::fs;
use std::path::Path;

use haechi_facts::hostile;
use haechi_sensor::container_id;

use crate::tree::Known;

/// The kernel tells the start of a process in hundredths of a second (`USER_HZ`), whatever its own clock.
pub const TICK_NS: u64 = 10_000_000;
/// Bytes of arguments that are read: as much as the kernel side keeps.
const ARGS_MAX: u64 = 4096;
/// States of a process that has ended and is still in the table (proc_pid_stat(5)).
const ENDED: [&str; 2] = ["Z", "X"];

/// All processes below `proc`.
pub fn processes(proc: &Path) -> Vec<Known> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let folders = entries.flatten().map(|entry| entry.path());
    folders.filter_map(|folder| process(&folder)).collect()
}

/// A process outside every container, as it is now: one inside may make a reader wait.
pub fn outside(pid: u32) -> Option<Known> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let inside = groups.split(['/', '\n']).any(|part| container_id(part).is_some());
    if inside { None } else { one(pid) }
}

/// One process, as it is now.
pub fn one(pid: u32) -> Option<Known> {
    process(&Path::new("/proc").join(pid.to_string()))
}

/// When a process was started, in nanoseconds since the machine started (proc_pid_stat(5), field 22, in hundredths of a
/// second).
pub fn started(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, after) = stat.rsplit_once(')')?;
    let ticks: u64 = after.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(ticks * TICK_NS)
}

fn process(folder: &Path) -> Option<Known> {
    let pid: u32 = folder.file_name()?.to_str()?.parse().ok()?;
    let stat = fs::read(folder.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (name, state, parent, session, tty) = parse(&stat)?;
    let login = fs::read_to_string(folder.join("loginuid")).ok();
    let login_uid = login.and_then(|text| text.trim().parse().ok()).unwrap_or(u32::MAX);
    // Without its arguments it is known all the same; one that has ended has no memory, and reading that takes a while.
    let args = if ENDED.contains(&state) {
        Vec::new()
    } else {
        hostile::read_memory(&folder.join("cmdline"), ARGS_MAX).unwrap_or_default()
    };
    let args = args.strip_suffix(b"\0").unwrap_or(&args);
    let args = args.split(|&byte| byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned());
    let link = |name: &str| {
        let target = fs::read_link(folder.join(name)).ok();
        target.map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Some(Known {
        pid,
        parent,
        session,
        tty,
        login_uid,
        name: name.to_owned(),
        path: link("exe"),
        args: args.collect(),
        cwd: link("cwd"),
        ..Known::default()
    })
}

/// Name, state, parent, session and terminal of `/proc/PID/stat`. The name may hold blanks and brackets.
fn parse(stat: &str) -> Option<(&str, &str, u32, u32, u32)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut words = after.split_ascii_whitespace();
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    let session = words.nth(1)?.parse().ok()?;
    let tty: i32 = words.next()?.parse().ok()?;
    Some((name, state, parent, session, tty.cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        assert_eq!(parse("7 (a) R 9 (b) S 5 6 4 34816"), Some(("a) R 9 (b", "S", 5, 4, 34816)));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn this_process_is_among_them() {
        let own = std::process::id();
        let all = processes(Path::new("/proc"));
        let known = all.iter().find(|known| known.pid == own).unwrap();
        assert!(known.parent > 0 && !known.args.is_empty() && known.path.starts_with('/'));
    }
}
