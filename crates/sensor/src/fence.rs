//! Refusal by the container's own file system (fanotify), for kernels that do not take BPF LSM.
//!
//! Promises that questions are answered in turn, however many there are; that if one takes 100 ms, it and what waits behind
//! it is let through and counted, but where only what is allowed may start: that waits 2 s and is refused and counted then; and
//! that nothing waits for a process that is gone: the kernel lets everything through then. A process that is stopped (SIGSTOP) cannot answer;
//! programs of watched containers wait for it. Only files of the container's own overlay are seen; who starts a refused
//! program from it is refused, from whatever group.

mod allowed;
mod answer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FsWord, fstatfs};

use crate::deny::{Allow, Counts, DenyError, Names, Place as Files, Probe, Refusal, Unlooked};
use allowed::Allowed;

/// `OVERLAYFS_SUPER_MAGIC` (linux/magic.h).
const OVERLAY: FsWord = 0x794c_7630;
/// Refusals that wait to be read; more are counted as untold.
const UNTOLD: usize = 4096;
/// Refusals given by one call.
const TURN: usize = 1024;
/// How long the proof waits for what should come at once.
const TOLD: Duration = Duration::from_secs(5);
/// How long the end waits for the threads: they end at once, if the kernel holds none of them up.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is watched.
#[derive(Debug, Clone, Default)]
struct Scope {
    /// Control group of each watched file system, by its device.
    devices: HashMap<u64, u64>,
    /// These groups.
    groups: HashSet<u64>,
}

/// What the threads and the owner share.
struct Shared {
    group: Fanotify,
    /// Readable when all is over.
    stop: OwnedFd,
    /// Readable when something was refused.
    told: OwnedFd,
    /// Readable when the watchdog gave back what it did not answer.
    again: OwnedFd,
    names: Mutex<Arc<Names>>,
    scope: Mutex<Arc<Scope>>,
    /// What single groups may start, and nothing else.
    allowed: Mutex<Arc<Allowed>>,
    turn: Mutex<answer::Turn>,
    /// What was answered without a look and is not told yet, by group; 0 if it could not be told any more.
    unlooked: Mutex<BTreeMap<u64, Unlooked>>,
    refused: AtomicU64,
    untold: AtomicU64,
    late: AtomicU64,
    unread: AtomicU64,
}

/// Where a container's file system is, and what it was.
struct Place {
    folder: PathBuf,
    device: u64,
}

/// See above. Dropping it lets everything through.
pub(crate) struct Fence {
    shared: Arc<Shared>,
    refusals: Receiver<Refusal>,
    places: HashMap<u64, Place>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Fence {
    /// Begins to answer, and proves that a program is refused.
    pub(crate) fn new() -> Result<Self, String> {
        let group = Fanotify::init(
            InitFlags::FAN_CLOEXEC
                | InitFlags::FAN_CLASS_CONTENT
                | InitFlags::FAN_NONBLOCK
                // A full queue lets through what comes then.
                | InitFlags::FAN_UNLIMITED_QUEUE
                | InitFlags::FAN_UNLIMITED_MARKS,
            EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC | EventFFlags::O_LARGEFILE,
        )
        .map_err(|error| format!("fanotify_init: {error}"))?;
        let event = || {
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|error| format!("eventfd: {error}"))
        };
        let shared = Arc::new(Shared {
            group,
            stop: event()?,
            told: event()?,
            again: event()?,
            names: Mutex::default(),
            scope: Mutex::default(),
            allowed: Mutex::default(),
            turn: Mutex::default(),
            unlooked: Mutex::default(),
            refused: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            late: AtomicU64::new(0),
            unread: AtomicU64::new(0),
        });
        let (sender, refusals) = sync_channel(UNTOLD);
        let start = |name: &str, body: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(body).map_err(|error| error.to_string())
        };
        // From here on the drop of `fence` ends what was begun.
        let mut fence =
            Self { shared: Arc::clone(&shared), refusals, places: HashMap::new(), threads: vec![] };
        let own = Arc::clone(&shared);
        fence.threads.push(start("fence", Box::new(move || answer::answer(&own, &sender)))?);
        fence.threads.push(start("fence-watchdog", Box::new(move || answer::watch(&shared)))?);
        fence.prove()?;
        Ok(fence)
    }

    fn prove(&self) -> Result<(), String> {
        let probe = Probe::new()?;
        let name = probe.name().to_owned();
        let only = Names::default().with(0, &[name]).map_err(|error| error.to_string())?;
        self.set(&only);
        let mark = |what| {
            let mask = MaskFlags::FAN_OPEN_EXEC_PERM;
            self.shared
                .group
                .mark(what, mask, &probe, None::<&Path>)
                .map_err(|error| format!("fanotify_mark: {error}"))
        };
        mark(MarkFlags::FAN_MARK_ADD)?;
        let tried = probe.is_refused();
        mark(MarkFlags::FAN_MARK_REMOVE)?;
        self.set(&Names::default());
        if !tried? {
            return Err("the kernel does not ask before a start".into());
        }
        // It is told after it was answered.
        self.refusals
            .recv_timeout(TOLD)
            .map_err(|_| "the kernel refuses, and nothing is told".to_owned())?;
        self.clear();
        self.shared.refused.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Watches the file system that is mounted at a folder.
    pub(crate) fn watch(&mut self, cgroup: u64, folder: &Path) -> Result<(), DenyError> {
        let wrong = |cause: String| DenyError::Folder { path: folder.to_owned(), cause };
        // Opened once, so that what is looked at is what is watched; closed at once, as it holds the mount.
        let file = File::open(folder).map_err(|error| wrong(error.to_string()))?;
        let device = own_device(&file, folder).map_err(wrong)?;
        if self.places.get(&cgroup).is_some_and(|place| place.device != device) {
            self.forget(cgroup);
        }
        let scope = |change: &dyn Fn(&mut Scope)| {
            let mut scope = lock(&self.shared.scope);
            let mut new = Scope::clone(&scope);
            change(&mut new);
            *scope = Arc::new(new);
        };
        // Before the mark, so that nothing is asked that is not known.
        scope(&|scope| {
            scope.devices.insert(device, cgroup);
            scope.groups.insert(cgroup);
        });
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        let mask = MaskFlags::FAN_OPEN_EXEC_PERM;
        if let Err(error) = self.shared.group.mark(flags, mask, &file, None::<&Path>) {
            scope(&|scope| {
                scope.devices.remove(&device);
                scope.groups.remove(&cgroup);
            });
            return Err(wrong(format!("fanotify_mark: {error}")));
        }
        self.places.insert(cgroup, Place { folder: folder.to_owned(), device });
        Ok(())
    }

    /// Forgets a container. What is unmounted meanwhile the kernel has forgotten by itself.
    pub(crate) fn forget(&mut self, cgroup: u64) {
        let Some(place) = self.places.remove(&cgroup) else { return };
        let mut scope = lock(&self.shared.scope);
        let mut new = Scope::clone(&scope);
        // The kernel gives the number of a device that is gone to the next.
        let still_its = new.devices.get(&place.device) == Some(&cgroup);
        if still_its {
            new.devices.remove(&place.device);
        }
        new.groups.remove(&cgroup);
        *scope = Arc::new(new);
        drop(scope);
        let file = File::open(&place.folder);
        if let Ok(file) = file
            && still_its
            && file.metadata().is_ok_and(|meta| meta.dev() == place.device)
        {
            let flags = MarkFlags::FAN_MARK_REMOVE | MarkFlags::FAN_MARK_FILESYSTEM;
            // Best effort: without names for it, all is let through.
            let _ =
                self.shared.group.mark(flags, MaskFlags::FAN_OPEN_EXEC_PERM, &file, None::<&Path>);
        }
    }

    /// Exchanges all names at once.
    pub(crate) fn set(&self, names: &Names) {
        *lock(&self.shared.names) = Arc::new(names.clone());
    }

    /// Lets only these programs of a group start; `None` takes that back.
    pub(crate) fn allow_only(&self, cgroup: u64, allow: Option<(Allow, Files)>) {
        let mut allowed = lock(&self.shared.allowed);
        *allowed = Arc::new(allowed.with(cgroup, allow));
    }

    /// What was refused since the last call.
    pub(crate) fn drain(&self) -> Vec<Refusal> {
        self.clear();
        let found: Vec<_> = self.refusals.try_iter().take(TURN).collect();
        if found.len() == TURN {
            // There may be more, and nobody would say so again.
            self.shared.tell();
        }
        found
    }

    fn clear(&self) {
        // Fails if nothing was told.
        let _ = rustix::io::read(&self.shared.told, &mut [0_u8; 8]);
    }

    /// What was answered without a look since the last call.
    pub(crate) fn unlooked(&self) -> BTreeMap<u64, Unlooked> {
        std::mem::take(&mut lock(&self.shared.unlooked))
    }

    pub(crate) fn counts(&self) -> Counts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { refused, untold, late, unread, .. } = self.shared.as_ref();
        Counts { refused: get(refused), untold: get(untold), late: get(late), unread: get(unread) }
    }
}

impl AsFd for Fence {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.told.as_fd()
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        // First nothing new is asked; then what was asked is let through by the kernel, as the last thread ends.
        let flush = MarkFlags::FAN_MARK_FLUSH;
        for what in [flush, flush | MarkFlags::FAN_MARK_FILESYSTEM] {
            let root = File::open("/");
            if let Ok(root) = root {
                let _ = self.shared.group.mark(what, MaskFlags::empty(), &root, None::<&Path>);
            }
        }
        let _ = rustix::io::write(&self.shared.stop, &1_u64.to_ne_bytes());
        let end = std::time::Instant::now() + PATIENCE;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && std::time::Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// Wakes who waits for refusals.
    fn tell(&self) {
        // Fails only if the counter is full: it is readable then.
        let _ = rustix::io::write(&self.told, &1_u64.to_ne_bytes());
    }
}

/// The device of a container's own file system. Refused is whatever is not an overlay mounted right there: the mark
/// would hold for the file system that the folder is in, in the worst case for the whole machine.
fn own_device(file: &File, folder: &Path) -> Result<u64, String> {
    let numbers = |meta: Metadata| (meta.dev(), meta.ino());
    let of = |path: &Path| path.metadata().map(numbers).map_err(|error| error.to_string());
    let kind = fstatfs(file).map_err(|error| error.to_string())?.f_type;
    let own = file.metadata().map(numbers).map_err(|error| error.to_string())?;
    // The root of a container, seen through one of its processes, has itself above.
    let above = of(&folder.join(".."))?;
    let mounted_here = above.0 != own.0 || above == own;
    if kind != OVERLAY || !mounted_here || own.0 == of(Path::new("/"))?.0 {
        return Err("not the mounted overlay of a container".into());
    }
    Ok(own.0)
}

/// What a panic left behind is as good as before: every change is made in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use haechi_core::allowance::Mode;

    use super::*;
    use crate::groups;

    #[test]
    fn only_a_mounted_overlay_is_watched() {
        for folder in ["/", "/proc", "/dev", "/usr"] {
            let file = File::open(folder).unwrap();
            assert!(own_device(&file, Path::new(folder)).is_err(), "{folder}");
        }
    }

    /// This process in a control group of its own, until dropped.
    struct Group(PathBuf);

    impl Group {
        fn new() -> Self {
            let folder = groups::root().join(format!("haechi-fence-{}", std::process::id()));
            fs::create_dir(&folder).unwrap();
            Self::enter(&folder);
            Self(folder)
        }

        fn enter(folder: &Path) {
            fs::write(folder.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            Self::enter(&groups::root());
            let _ = fs::remove_dir(&self.0);
        }
    }

    #[test]
    fn where_only_what_is_allowed_may_start_nothing_is_let_through_without_a_look() {
        let fence = Fence::new().unwrap();
        let own = Group::new();
        let group = own.0.metadata().unwrap().ino();
        lock(&fence.shared.scope)
            .clone_from(&Arc::new(Scope { devices: HashMap::new(), groups: [group].into() }));
        let allow = |mode| Allow { mode, programs: [].into(), loaders: [].into(), writable: None };
        let probe = Probe::new().unwrap();
        let (flags, mask) = (MarkFlags::FAN_MARK_ADD, MaskFlags::FAN_OPEN_EXEC_PERM);
        fence.shared.group.mark(flags, mask, &probe, None::<&Path>).unwrap();
        for (mode, is_refused) in [(Mode::DryRun, false), (Mode::Deny, true)] {
            fence.allow_only(group, Some((allow(mode), Files::nowhere())));
            // The thread that answers needs the names, and does not get them.
            let held = lock(&fence.shared.names);
            let begin = std::time::Instant::now();
            assert_eq!(probe.is_refused(), Ok(is_refused));
            assert!(!is_refused || begin.elapsed() >= Duration::from_secs(2), "it was looked at");
            drop(held);
            let only =
                Unlooked { let_through: u64::from(!is_refused), refused: u64::from(is_refused) };
            let mut unlooked = BTreeMap::new();
            // It is counted after it was given.
            while unlooked.is_empty() && begin.elapsed() < Duration::from_secs(300) {
                thread::sleep(Duration::from_millis(1));
                unlooked = fence.unlooked();
            }
            assert_eq!(unlooked, [(group, only)].into());
        }
        // What goes on waiting is looked at as soon as somebody can.
        let held = lock(&fence.shared.names);
        let asked = thread::spawn(move || probe.is_refused());
        thread::sleep(Duration::from_millis(500));
        assert!(!asked.is_finished());
        drop(held);
        assert_eq!(asked.join().unwrap(), Ok(true));
        assert!(fence.unlooked().is_empty());
    }

    #[test]
    fn a_late_answer_is_given_by_the_watchdog_and_counted() {
        let fence = Fence::new().unwrap();
        let probe = Probe::new().unwrap();
        let names = Names::default().with(0, &[probe.name().to_owned()]).unwrap();
        fence.set(&names);
        let (flags, mask) = (MarkFlags::FAN_MARK_ADD, MaskFlags::FAN_OPEN_EXEC_PERM);
        fence.shared.group.mark(flags, mask, &probe, None::<&Path>).unwrap();
        assert_eq!(probe.is_refused(), Ok(true));
        // The thread that answers needs the names, and does not get them.
        let held = lock(&fence.shared.names);
        assert_eq!(probe.is_refused(), Ok(false));
        // It is counted after it was given.
        let begin = std::time::Instant::now();
        while fence.counts().late == 0 && begin.elapsed() < Duration::from_secs(300) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(held);
        let counts = fence.counts();
        assert_eq!((counts.refused, counts.late), (1, 1), "{counts:?}");
        let unlooked = [(0, Unlooked { let_through: 1, refused: 0 })].into();
        assert_eq!((fence.unlooked(), fence.unlooked()), (unlooked, BTreeMap::new()));
        assert_eq!(probe.is_refused(), Ok(true), "it goes on afterwards");
    }
}
