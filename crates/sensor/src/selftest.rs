//! Proves that the hooks fire on this kernel: a control group named as a container, a shell in it that does one thing
//! of each kind, and a look at what was told. Changes nothing but that group and a folder below the temporary one, and
//! takes both away again. Needs root and `/bin/sh`.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

use haechi_core::event::{Action, Event};

use crate::{Ability, Options, Record, Sensor, SensorError, groups};

/// How long is waited for what should come at once, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Enters the group by itself, does things, and becomes another program. `$1` is the group, `$2` a folder.
const DEEDS: &str = "echo $$ > \"$1/cgroup.procs\" && : > \"$2/made\" && (: < \"$2/watched\") \
                     && kill -CONT $$ && ln -s \"$2\" \"$2/way\" && mv \"$2/made\" \"$2/way/moved\" \
                     && ln \"$2/way/moved\" \"$2/linked\" && rm \"$2/way/linked\" \
                     && mv \"$2/moved\" \"$2/made\" && rm \"$2/way\" && exec /bin/sh -c 'rm \"$1/made\"; \
                     echo $$ > \"$2/../cgroup.procs\"' told \"$2\" \"$1\"";
/// Name of a program that is to be held.
const HELD: &str = "haechi-held";
/// Waits for a line, so that it can be moved, and then does what must not be told.
const QUIET: &str = "read line && : > \"$1/quiet\"";

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// What should be told.
    pub what: &'static str,
    /// Whether it was.
    pub seen: bool,
}

/// Why the test could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The sensor could not be loaded.
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// The group, the folder or the shell could not be made.
    #[error("{path}: {cause}")]
    Setup {
        /// What was to be made.
        path: PathBuf,
        /// What happened.
        cause: io::Error,
    },
}

/// A folder that is taken away when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf) -> Result<Self, SelfTestError> {
        fs::create_dir(&path)
            .map_err(|cause| SelfTestError::Setup { path: path.clone(), cause })?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A control group is empty but for its own files, which only go with it. Best effort: it is named for what it is.
        for name in ["made", "moved", "linked", "way", "watched", "quiet", "ran", HELD] {
            let _ = fs::remove_file(self.0.join(name));
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// Tries each hook. Everything should have been seen.
///
/// # Errors
///
/// If the sensor cannot be loaded, or what it should see cannot be made.
pub fn selftest() -> Result<Vec<Tried>, SelfTestError> {
    let options = Options { watch_names: vec!["watched".into()], ..Options::default() };
    let (mut sensor, abilities) = Sensor::load(&options)?;
    let is_probe = |one: &Ability| one.name.starts_with("security_") && one.missing.is_none();
    let probes = abilities.iter().any(is_probe);
    // Of this process, so that two tests at a time do not meet; "5e1f" tells it from a real one.
    let id = format!("5e1f{:060x}", process::id());
    let folder = Folder::new(env::temp_dir().join(format!("haechi-selftest-{}", process::id())))?;
    let watched = folder.path().join("watched");
    fs::write(&watched, []).map_err(|cause| SelfTestError::Setup { path: watched, cause })?;
    let group = Folder::new(groups::root().join(&id))?;

    sensor.hold(&[HELD.into()])?;
    act(DEEDS, [group.path().as_os_str(), folder.path().as_os_str()])?;
    enter_from_outside(group.path(), folder.path())?;
    let mut records = Vec::new();
    let held = is_held(&mut sensor, &mut records, group.path(), folder.path())?;
    drop(group);

    let mut number = records.iter().find_map(|record| match record {
        Record::New { cgroup, container, .. } if *container == id => Some(*cgroup),
        _ => None,
    });
    let over = gather(&mut sensor, &mut records, &mut |record| match record {
        Record::New { cgroup, container, .. } if *container == id => {
            number = Some(*cgroup);
            false
        }
        Record::Gone { cgroup, .. } => Some(*cgroup) == number,
        _ => false,
    })?;
    // Files may come a little later than the rest.
    sensor.next_batch(Duration::from_millis(40), &mut |record| records.push(record))?;
    let events: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Event(seen) if Some(seen.event.cgroup) == number => Some(seen.as_ref()),
            _ => None,
        })
        .collect();
    let any = |wanted: &dyn Fn(&Event) -> bool| events.iter().any(|seen| wanted(&seen.event));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut tried = vec![
        ("a container that is made", number.is_some()),
        ("a container that is removed", over),
        ("a file that is made", any(&|event| opened(event, &path("made"), true))),
        ("a watched file that is read", any(&|event| opened(event, &path("watched"), false))),
        ("a call", any(&|event| event.call == "kill")),
        ("a process that leaves the container's group", any(&|event| event.call == "left_group")),
        ("a program, with arguments and the name before", any(&started)),
        ("a file that is removed", any(&|event| removed(event, &path("made")))),
        (
            "a file that is moved through a link",
            any(&|event| placed(event, "rename", &folder.path().join("moved"), probes)),
        ),
        (
            "a file that gets another name",
            any(&|event| placed(event, "link", &folder.path().join("linked"), probes)),
        ),
        (
            "a link that is made",
            any(&|event| placed(event, "symlink", &folder.path().join("way"), probes)),
        ),
        ("a program that is held before its first instruction", held),
        ("the end of a process", any(&|event| matches!(event.action, Action::Exit(0)))),
        (
            "a process outside the container's mounts",
            events.iter().any(|seen| seen.event.process.host_mounts),
        ),
        (
            "nothing of a process on its way into a container",
            number.is_some() && !any(&|event| opened(event, &path("quiet"), true)),
        ),
    ];
    if probes {
        let told = |start: &str| sensor.resolver.told.iter().any(|call| call.starts_with(start));
        tried.extend([
            ("where a moved file was put, from the kernel", told("rename")),
            ("where a linked file was put, from the kernel", told("link")),
            ("where a link was made, from the kernel", told("symlink")),
            ("where a deleted file was, from the kernel", told("unlink")),
        ]);
    }
    Ok(tried.into_iter().map(|(what, seen)| Tried { what, seen }).collect())
}

/// Takes records until one is what was waited for; whether it came in time.
fn gather(
    sensor: &mut Sensor,
    records: &mut Vec<Record>,
    wanted: &mut dyn FnMut(&Record) -> bool,
) -> Result<bool, SelfTestError> {
    let end = Instant::now() + PATIENCE;
    let mut found = false;
    while !found && Instant::now() < end {
        sensor.next_batch(Duration::from_millis(100), &mut |record| {
            found |= wanted(&record);
            records.push(record);
        })?;
    }
    Ok(found)
}

/// Starts a program that is to be held, and lets it go on; whether it did nothing before that.
fn is_held(
    sensor: &mut Sensor,
    records: &mut Vec<Record>,
    group: &Path,
    folder: &Path,
) -> Result<bool, SelfTestError> {
    let path = folder.join(HELD);
    let failed = |cause| SelfTestError::Setup { path: path.clone(), cause };
    // A script is started under its own name.
    fs::write(&path, format!("#!/bin/sh\n: > {}/ran\n", folder.display())).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "echo $$ > \"$1/cgroup.procs\" && exec \"$2\"", "sh"]).arg(group).arg(&path);
    let mut child = shell.spawn().map_err(failed)?;
    let told = gather(sensor, records, &mut |record| {
        matches!(record, Record::Event(seen)
            if seen.event.process.pid == child.id()
                && matches!(&seen.event.action, Action::Exec(exec) if exec.held))
    })?;
    let waited = !folder.join("ran").exists();
    if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
    }
    child.wait().map_err(failed)?;
    Ok(told && waited && folder.join("ran").exists())
}

fn act<const N: usize>(script: &str, words: [&OsStr; N]) -> Result<(), SelfTestError> {
    let failed = |cause| SelfTestError::Setup { path: "/bin/sh".into(), cause };
    let mut shell = Command::new("/bin/sh");
    let status = shell.args(["-c", script, "sh"]).args(words).status().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    Err(failed(io::Error::other(status.to_string())))
}

/// As a runtime does it: this process moves a child of its own, which then does things.
fn enter_from_outside(group: &Path, folder: &Path) -> Result<(), SelfTestError> {
    let failed = |cause| SelfTestError::Setup { path: group.into(), cause };
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", QUIET, "sh"]).arg(folder).stdin(process::Stdio::piped());
    let mut child = shell.spawn().map_err(failed)?;
    let moved = fs::write(group.join("cgroup.procs"), child.id().to_string());
    if let Some(mut input) = child.stdin.take() {
        let _ = io::Write::write_all(&mut input, b"go\n");
    }
    child.wait().and(moved).map_err(failed)
}

fn opened(event: &Event, path: &str, write: bool) -> bool {
    matches!(&event.action, Action::Open(open) if open.path == path && open.write == write)
}

fn removed(event: &Event, path: &str) -> bool {
    event.call.starts_with("unlink")
        && matches!(&event.action, Action::Path(call) if call.path == path)
}

/// Whether something was given a name. Without probes only the name is sure, as the way there is gone again.
fn placed(event: &Event, call: &str, path: &Path, probes: bool) -> bool {
    let Action::Path(told) = &event.action else { return false };
    let second = Path::new(&told.second);
    event.call.starts_with(call)
        && (second == path || !probes && Some(second.as_os_str()) == path.file_name())
}

fn started(event: &Event) -> bool {
    matches!(&event.action, Action::Exec(exec)
        if exec.before == "sh" && exec.args.iter().any(|word| word == "told"))
}
