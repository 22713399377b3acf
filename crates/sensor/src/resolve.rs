//! Where a path led, looked up after a call, for kernels that cannot be asked while it is made
//! (`bpf/paths.h`).
//!
//! A path is followed one part at a time in the process's file system, from its root as the kernel has it. If any folder
//! on the way was changed since the call, it may have led elsewhere: then the event is told twice, once with the path as
//! it leads now and once with its last part alone, which is known for sure. Where it cannot be followed (the process is
//! gone, or a container answers for the file system itself), only the last part is told. So nobody can exchange a link
//! behind a call and go untold. Nothing here waits for a container, opens a file or changes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use haechi_core::event::{Action, Event};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};

use crate::record::{Record, Seen};
use crate::{entering, groups};

/// How far the kernel's clock for files may be behind the one for events: a tick of the slowest kernels.
const TICK_NS: i128 = 10_000_000;
/// The kernel tells the start of a process in hundredths of a second.
const START_NS: u64 = 10_000_000;
/// Links that the kernel follows in one path (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;
/// Parts of a path with all its links, so that none makes this take long.
const PARTS_MAX: usize = 400;
/// What runtimes without root use as a container's root, mounted by them and not by the container.
const ROOTLESS: &str = "fuse.fuse-overlayfs ";
/// `AT_SYMLINK_FOLLOW`
const FOLLOW: u64 = 0x400;

/// Containers' groups, and where their processes are listed.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    groups: BTreeMap<u64, PathBuf>,
    /// Calls of which the kernel itself told where their paths led.
    pub(crate) told: BTreeSet<String>,
}

/// Which of a call's paths are followed to the end: the first, the second. `None` is not a name in a folder.
type Ends = [Option<bool>; 2];

fn ends(event: &Event, args: [u64; 6]) -> Ends {
    let [.., flags, _] = args;
    match event.call.as_str() {
        "rename" | "renameat" | "renameat2" | "link" => [Some(false), Some(false)],
        "linkat" => [Some(flags & FOLLOW != 0), Some(false)],
        "symlink" | "symlinkat" => [None, Some(false)],
        "truncate" => [Some(true), None],
        _ => [None, None],
    }
}

impl Resolver {
    /// Learns where the groups of containers are.
    pub(crate) fn see(&mut self, record: &Record) {
        match record {
            Record::New { cgroup, path, .. } => {
                let folder = groups::root().join(path.trim_start_matches('/'));
                self.groups.insert(*cgroup, folder);
            }
            Record::Gone { cgroup, .. } => {
                self.groups.remove(cgroup);
            }
            Record::Event(_) => {}
        }
    }

    /// The kernel told where the paths of an event led.
    pub(crate) fn told(&mut self, seen: &Seen) -> Option<Box<Seen>> {
        if !self.told.contains(&seen.event.call) {
            self.told.insert(seen.event.call.clone());
        }
        None
    }

    /// Puts where they led in the place of an event's paths; the event once more with what is sure, if that is less.
    pub(crate) fn resolve(
        &self,
        seen: &mut Seen,
        given: impl FnOnce() -> [(String, String); 2],
    ) -> Option<Box<Seen>> {
        let Action::Path(call) = &seen.event.action else { return None };
        let ends = ends(&seen.event, call.args);
        if seen.event.result < 0 || ends == [None, None] {
            return None;
        }
        let viewer = self.viewer(&seen.event);
        let at = seen.event.at;
        let inner_pid = seen.event.process.inner_pid;
        let mut doubt = seen.clone();
        let (Action::Path(call), Action::Path(sure)) =
            (&mut seen.event.action, &mut doubt.event.action)
        else {
            return None;
        };
        let mut doubted = false;
        let paths = [(&mut call.path, &mut sure.path), (&mut call.second, &mut sure.second)];
        for (((path, sure), end), (name, folder)) in paths.into_iter().zip(ends).zip(given()) {
            let Some(follow) = end else { continue };
            // A name in a folder that the kernel told.
            if !follow
                && !folder.is_empty()
                && !name.contains('/')
                && !matches!(&*name, "" | "." | "..")
            {
                continue;
            }
            let led = viewer.as_ref().and_then(|viewer| {
                Walk::begin(viewer)?.follow(&own_folder(path, inner_pid), follow, at)
            });
            last(path).clone_into(sure);
            match led {
                Some((led, true)) => {
                    sure.clone_from(&led);
                    *path = led;
                }
                Some((led, false)) => {
                    doubted = true;
                    *path = led;
                }
                None => {
                    seen.cut = true;
                    path.clone_from(sure);
                }
            }
        }
        doubt.cut = true;
        doubted.then(|| Box::new(doubt))
    }

    /// A process that sees the container's files from their root: the event's own, or the container's first.
    fn viewer(&self, event: &Event) -> Option<PathBuf> {
        let own = Path::new("/proc").join(event.process.pid.to_string());
        let same = entering::stat(&own)
            .is_some_and(|(_, ticks)| ticks == event.process.started / START_NS);
        let at_root = |folder: &Path| {
            fs::read_link(folder.join("root")).is_ok_and(|root| root == Path::new("/"))
        };
        if same && at_root(&own) {
            return Some(own);
        }
        let listed =
            fs::read_to_string(self.groups.get(&event.cgroup)?.join("cgroup.procs")).ok()?;
        let first = listed.lines().filter_map(|line| line.parse::<u32>().ok()).min()?;
        Some(Path::new("/proc").join(first.to_string())).filter(|first| at_root(first))
    }
}

/// `/proc/self` is somebody else for whoever looks later.
fn own_folder(path: &str, inner: u32) -> String {
    for own in ["/proc/self/", "/proc/thread-self/"] {
        if let Some(rest) = path.strip_prefix(own) {
            return format!("/proc/{inner}/{rest}");
        }
    }
    path.to_owned()
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// On the way through folders.
struct Walk {
    viewer: PathBuf,
    /// From the root to where we are, each with its name; the root has none.
    places: Vec<(OwnedFd, String, u64)>,
    links: usize,
    /// When a folder that was looked into was changed last, in nanoseconds since 1970.
    changed: i128,
}

impl Walk {
    fn begin(viewer: &Path) -> Option<Self> {
        let root =
            rustix::fs::open(viewer.join("root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .ok()?;
        let mount = look(&root)?.stx_mnt_id;
        let mut walk = Self { viewer: viewer.to_owned(), places: Vec::new(), links: 0, changed: 0 };
        walk.answered_by_kernel(mount)?;
        walk.places.push((root, String::new(), mount));
        Some(walk)
    }

    /// The path without links, and whether it led there at that moment for sure; `None` if it cannot be told.
    fn follow(mut self, path: &str, last_too: bool, at: u64) -> Option<(String, bool)> {
        let mut left: Vec<String> = parts(path);
        let mut end = None;
        for _ in 0..PARTS_MAX {
            let Some(part) = left.pop() else { break };
            if part == ".." {
                if self.places.len() > 1 {
                    self.places.pop();
                }
                continue;
            }
            if left.is_empty() && !last_too {
                end = Some(part);
                break;
            }
            let (found, kind) = self.look_up(&part)?;
            match kind {
                FileType::Symlink => {
                    self.links += 1;
                    let target = rustix::fs::readlinkat(&found, "", Vec::new()).ok()?;
                    let target = target.into_string().ok().filter(|_| self.links <= LINKS_MAX)?;
                    if target.starts_with('/') {
                        self.places.truncate(1);
                    }
                    left.extend(parts(&target));
                }
                FileType::Directory => {
                    let mount = look(&found)?.stx_mnt_id;
                    self.places.push((found, part, mount));
                }
                _ if left.is_empty() => end = Some(part),
                _ => return None,
            }
        }
        if !left.is_empty() {
            return None;
        }
        let names = self.places.iter().skip(1).map(|(_, name, _)| name.as_str());
        let path = names.chain(end.as_deref()).fold(String::new(), |path, name| path + "/" + name);
        Some((path, self.changed < since_1970(at) - TICK_NS))
    }

    /// One part in the folder where we are.
    fn look_up(&mut self, part: &str) -> Option<(OwnedFd, FileType)> {
        let (folder, _, mount) = self.places.last()?;
        let seen = look(folder)?;
        self.changed = self.changed.max(
            i128::from(seen.stx_ctime.tv_sec) * 1_000_000_000 + i128::from(seen.stx_ctime.tv_nsec),
        );
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(folder.as_fd(), part, flags, Mode::empty()).ok()?;
        let seen = look(&found)?;
        if seen.stx_mnt_id != *mount {
            self.answered_by_kernel(seen.stx_mnt_id)?;
        }
        Some((found, FileType::from_raw_mode(seen.stx_mode.into())))
    }

    /// That a mount is no file system that a program answers for (FUSE): it could let us wait for ever.
    fn answered_by_kernel(&self, mount: u64) -> Option<()> {
        let mounts = fs::read_to_string(self.viewer.join("mountinfo")).ok()?;
        let id = format!("{mount} ");
        let line = mounts.lines().find(|line| line.starts_with(&id))?;
        let (place, kind) = line.split_once(" - ")?;
        let by_runtime = kind.starts_with(ROOTLESS) && place.split(' ').nth(4) == Some("/");
        (by_runtime || !kind.starts_with("fuse")).then_some(())
    }
}

/// A file as a process sees it that is at the root of its container, without opening it. The path has no links.
pub(crate) fn at(viewer: &Path, path: &str) -> Option<OwnedFd> {
    let mut walk = Walk::begin(viewer)?;
    let mut left = parts(path);
    while let Some(part) = left.pop() {
        match walk.look_up(&part)? {
            (file, FileType::RegularFile) if left.is_empty() => return Some(file),
            (folder, FileType::Directory) => {
                let mount = look(&folder)?.stx_mnt_id;
                walk.places.push((folder, part, mount));
            }
            _ => return None,
        }
    }
    None
}

/// Parts of a path, the first last.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').rev().filter(|part| !part.is_empty() && *part != ".");
    parts.map(str::to_owned).collect()
}

/// What is known about a place without asking its file system anew.
fn look(place: &OwnedFd) -> Option<Statx> {
    let what = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let how = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(place, "", how, what).ok()
}

/// A moment of the kernel's events (nanoseconds since the machine started) as files are dated.
fn since_1970(at: u64) -> i128 {
    let read = |clock| {
        let now = rustix::time::clock_gettime(clock);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    };
    read(rustix::time::ClockId::Realtime) - read(rustix::time::ClockId::Boottime) + i128::from(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::thread::sleep;
    use std::time::Duration;

    use haechi_core::event::{PathCall, Process};

    use super::*;

    fn now() -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
    }

    fn led(path: &str, follow: bool, at: u64) -> Option<(String, bool)> {
        Walk::begin(Path::new("/proc/self")).unwrap().follow(path, follow, at)
    }

    /// A folder that is taken away again.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn folder(name: &str) -> Folder {
        // Not in the folder for temporary files, which others change all the time.
        let folder =
            Path::new("/var/lib").join(format!("haechi-resolve-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    #[test]
    fn links_are_followed_and_their_exchange_is_noticed() {
        let folder = folder("links");
        let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/file"), []).unwrap();
        symlink("real/../real", at("link")).unwrap();
        symlink("file", at("real/name")).unwrap();
        sleep(Duration::from_millis(50));
        let then = now();
        assert_eq!(led(&at("link/./file"), false, then), Some((at("real/file"), true)));
        assert_eq!(led(&at("link/name"), false, then), Some((at("real/name"), true)));
        assert_eq!(led(&at("link/name"), true, then), Some((at("real/file"), true)));
        assert_eq!(led(&at("none/name"), false, then), None);
        fs::remove_file(at("link")).unwrap();
        fs::create_dir(at("link")).unwrap();
        assert_eq!(
            led(&at("link/file"), false, then),
            Some((at("link/file"), false)),
            "it may have led elsewhere"
        );
        sleep(Duration::from_millis(50));
        assert_eq!(led(&at("link/file"), false, now()), Some((at("link/file"), true)));
    }

    #[test]
    fn without_the_process_the_last_part_is_what_is_known() {
        let path = PathCall { path: "/srv/x".into(), second: "/tmp/e/shadow".into(), args: [0; 6] };
        let event = Event {
            at: now(),
            cgroup: 1,
            process: Process { pid: u32::MAX, ..Process::default() },
            call: "rename".into(),
            result: 0,
            action: Action::Path(path),
        };
        let mut seen = Seen { event, compat: false, cut: false };
        let given = || [("x", "/srv"), ("e/shadow", "/tmp")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(Resolver::default().resolve(&mut seen, given), None);
        let Action::Path(call) = &seen.event.action else { panic!() };
        // The kernel knew the folder of the first.
        assert_eq!((call.path.as_str(), call.second.as_str()), ("/srv/x", "shadow"));
        assert!(seen.cut);
    }

    #[test]
    fn what_may_have_led_elsewhere_is_told_both_ways() {
        let folder = folder("both");
        let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
        let started = entering::stat(Path::new("/proc/self")).unwrap().1 * START_NS;
        fs::create_dir(at("d")).unwrap();
        let path = PathCall { path: at("d/x"), second: at("d/y"), args: [0; 6] };
        let process = Process { pid: std::process::id(), started, ..Process::default() };
        let event = Event {
            at: now(),
            cgroup: 1,
            process,
            call: "rename".into(),
            result: 0,
            action: Action::Path(path),
        };
        let mut seen = Seen { event, compat: false, cut: false };
        let given = || [(at("d/x"), "/".to_owned()), (at("d/y"), "/".to_owned())];
        let doubt = Resolver::default().resolve(&mut seen, given).unwrap();
        let paths = |seen: &Seen| match &seen.event.action {
            Action::Path(call) => (call.path.clone(), call.second.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(paths(&seen), (at("d/x"), at("d/y")));
        assert_eq!(paths(&doubt), ("x".to_owned(), "y".to_owned()));
    }
}
