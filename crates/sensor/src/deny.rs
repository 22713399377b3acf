//! Refuses programs before they start: in the kernel (BPF LSM) where it takes that, by the container's file system
//! (fanotify) where it does not.
//!
//! Promises that a program whose file has a refused name gets EPERM and never runs, in watched containers only; that a
//! tier is used only after it was seen to refuse; and that when this process ends, nothing is refused any more. A name
//! is the last part of the path of the program's file, whatever link or first argument it was started by; for a
//! script the script's and its interpreter's. A copy with another name is not refused, nor what `ld.so` or an
//! interpreter runs as an argument. For single containers it can be the other way round: only programs at given paths are let
//! through, and only if their file lies where it may. It decides nothing: names, paths and containers are given.

mod allow;
mod begun;
mod lsm;
mod names;
mod place;
mod probe;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use haechi_core::allowance::{Allowance, Mode};
use haechi_core::event::Origin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use allow::Allow;
pub use allow::Because;
use begun::Begun;
pub(crate) use lsm::reason;
pub(crate) use names::Names;
pub(crate) use place::Place;
pub(crate) use probe::Probe;

use crate::Ability;
use crate::fence::Fence;
use lsm::Lsm;

/// How programs are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// By the kernel, for every program that a container's processes start.
    Lsm,
    /// By the container's own file system. Not seen: programs in volumes, in memory and in other file systems; where only what is
    /// allowed may start, these are ended before their first instruction.
    Fanotify,
    /// Not at all.
    None,
}

/// A program that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Control group of the innermost watched container; 0 if it could not be told any more.
    pub cgroup: u64,
    /// Process that asked, as the host numbers it; 0 if it cannot be seen from here.
    pub pid: u32,
    /// Last part of the path of the program's file; empty if the path is too long for the kernel to tell, which is
    /// refused as well while there are names ([`Tier::Fanotify`]).
    pub name: String,
    /// The path as the process sees it; empty if the kernel does not tell.
    pub path: String,
    /// When, in nanoseconds since the machine started (`CLOCK_BOOTTIME`).
    pub at_ns: u64,
    /// By what.
    pub tier: Tier,
    /// Why.
    pub because: Because,
    /// Where the file lay, if that was asked.
    pub origin: Origin,
    /// Whether it was refused; else it is only told that it would be.
    pub is_refused: bool,
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Programs that were refused.
    pub refused: u64,
    /// Of these, those that were not told, because nobody read.
    pub untold: u64,
    /// Programs that were let through without a look, because the answer took too long (fanotify).
    pub late: u64,
    /// Failures to read what was asked; the kernel refuses then (fanotify).
    pub unread: u64,
}

/// Programs that were decided on without a look, because the answer took too long ([`Tier::Fanotify`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unlooked {
    /// Those that were let through.
    pub let_through: u64,
    /// Those that were refused, where only what is allowed may start.
    pub refused: u64,
}

/// Why something is not refused.
#[derive(Debug, thiserror::Error)]
pub enum DenyError {
    /// A name that no file has, or too long a one.
    #[error("a name of a program has 1 to {most} bytes: {name:?}")]
    Name {
        /// The name.
        name: String,
        /// The most bytes.
        most: usize,
    },
    /// More names than the kernel side holds.
    #[error("{names} names are too many to be refused; {most} are possible")]
    TooMany {
        /// How many there are.
        names: usize,
        /// How many there may be.
        most: usize,
    },
    /// The group is not a container's.
    #[error("control group {0} is that of the whole machine")]
    Group(u64),
    /// The kernel's table could not be written.
    #[error("map {map}: {cause}")]
    Map {
        /// The table.
        map: &'static str,
        /// What happened.
        cause: String,
    },
    /// The container's file system cannot be watched.
    #[error("{path}: {cause}")]
    Folder {
        /// Its folder on the host.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The tier needs the folder of the container's file system, and it is not known.
    #[error("the container of control group {0} has no file system that can be watched")]
    NoFolder(u64),
    /// What a container's files really are cannot be told.
    #[error("the files of the container of control group {0} cannot be compared: {1}")]
    Place(u64, String),
    /// Neither tier is there.
    #[error("this kernel cannot refuse programs")]
    Unable,
    /// Waiting failed.
    #[error("waiting for refusals: {0}")]
    Wait(#[from] rustix::io::Errno),
}

/// Refuses programs. Dropping it lets everything through.
pub struct Deny {
    guard: Guard,
    names: Names,
    watched: BTreeSet<u64>,
}

enum Guard {
    Lsm(Box<Lsm>),
    /// And what ends what it cannot refuse, or why nothing does; made when it is needed first.
    Fence(Fence, Option<Result<Box<Begun>, String>>),
    None,
}

impl Deny {
    /// Takes the best tier that this kernel really has, and tells what each can or why it cannot. Needs root.
    #[must_use]
    pub fn new() -> (Self, Vec<Ability>) {
        let (guard, mut abilities) = by_lsm();
        if matches!(guard, Guard::Lsm(_)) {
            return (Self::of(guard), abilities);
        }
        let (guard, fence) = by_fence();
        abilities.extend(fence);
        (Self::of(guard), abilities)
    }

    /// Takes one tier or none; for tests and for those who must not use the other.
    #[must_use]
    pub fn with_tier(tier: Tier) -> (Self, Vec<Ability>) {
        let (guard, abilities) = match tier {
            Tier::Lsm => by_lsm(),
            Tier::Fanotify => by_fence(),
            Tier::None => (Guard::None, Vec::new()),
        };
        (Self::of(guard), abilities)
    }

    fn of(guard: Guard) -> Self {
        Self { guard, names: Names::default(), watched: BTreeSet::new() }
    }

    /// How programs are refused.
    #[must_use]
    pub fn tier(&self) -> Tier {
        match self.guard {
            Guard::Lsm(_) => Tier::Lsm,
            Guard::Fence(..) => Tier::Fanotify,
            Guard::None => Tier::None,
        }
    }

    /// Watches a container from now on: its control group (the id of the folder's inode in the hierarchy of version 2)
    /// with all groups below, and, for [`Tier::Fanotify`], the folder on the host where its file system is mounted
    /// (`GraphDriver.Data.MergedDir`), or `/proc/PID/root` of a process in it. It must be mounted: call this when the container is created or starts, and again
    /// each time.
    ///
    /// # Errors
    ///
    /// If this container cannot be guarded: its programs are then not refused.
    pub fn watch(&mut self, cgroup: u64, merged: Option<&Path>) -> Result<(), DenyError> {
        // The kernel gives 1 to the root of the hierarchy.
        if cgroup <= 1 {
            return Err(DenyError::Group(cgroup));
        }
        match &mut self.guard {
            Guard::Lsm(lsm) => lsm.watch(cgroup)?,
            Guard::Fence(fence, _) => {
                fence.watch(cgroup, merged.ok_or(DenyError::NoFolder(cgroup))?)?;
            }
            Guard::None => return Err(DenyError::Unable),
        }
        self.watched.insert(cgroup);
        Ok(())
    }

    /// Forgets a container, and the names that were only its own. One that is not watched is no error.
    ///
    /// # Errors
    ///
    /// If the kernel's table cannot be written.
    pub fn forget(&mut self, cgroup: u64) -> Result<(), DenyError> {
        self.watched.remove(&cgroup);
        let _ = self.allow_only(cgroup, None, None)?;
        match &mut self.guard {
            Guard::Lsm(lsm) => lsm.forget(cgroup)?,
            Guard::Fence(fence, _) => fence.forget(cgroup),
            Guard::None => {}
        }
        if cgroup == 0 || self.names.has_none_of(cgroup) {
            return Ok(());
        }
        self.set_names_of(cgroup, &[])
    }

    /// Refuses these names in every watched container, instead of those before. At no moment is a name that is in both
    /// let through. Of a path the last part counts.
    ///
    /// # Errors
    ///
    /// If a name is not one, if they are too many, or if the kernel's table cannot be written. The old names hold then.
    pub fn set_names(&mut self, names: &[String]) -> Result<(), DenyError> {
        self.exchange(0, names)
    }

    /// The same for one container; what is refused in every container stays refused.
    ///
    /// # Errors
    ///
    /// As [`Self::set_names`].
    pub fn set_names_of(&mut self, cgroup: u64, names: &[String]) -> Result<(), DenyError> {
        if cgroup <= 1 {
            return Err(DenyError::Group(cgroup));
        }
        self.exchange(cgroup, names)
    }

    fn exchange(&mut self, group: u64, names: &[String]) -> Result<(), DenyError> {
        let new = self.names.with(group, names)?;
        match &mut self.guard {
            Guard::Lsm(lsm) => lsm.set(&new)?,
            Guard::Fence(fence, _) => fence.set(&new),
            Guard::None if new == Names::default() => {}
            Guard::None => return Err(DenyError::Unable),
        }
        self.names = new;
        Ok(())
    }

    /// Lets only these programs start in a container that is watched, and, for [`Tier::Lsm`], lets it write only where that is
    /// allowed; `None` takes that back. With [`Tier::Fanotify`] what the file system is not asked about, or was exchanged after it
    /// had answered, is ended before its first instruction instead, and told as refused. The folder is that of [`Self::watch`].
    /// A script's path is followed over links now; it is best called before the container's first program runs. What of it is
    /// not possible, if something is.
    ///
    /// # Errors
    ///
    /// If it cannot be told where the container's files really are, or if the kernel's table cannot be written: then what held
    /// before holds.
    pub fn allow_only(
        &mut self,
        cgroup: u64,
        folder: Option<&Path>,
        allowance: Option<(&Allowance, Mode)>,
    ) -> Result<Option<String>, DenyError> {
        let Some((allowance, mode)) = allowance else {
            match &mut self.guard {
                Guard::Lsm(lsm) => lsm.allow_only(cgroup, None)?,
                Guard::Fence(fence, begun) => {
                    if let Some(Ok(begun)) = begun {
                        begun.allow_only(cgroup, None)?;
                    }
                    fence.allow_only(cgroup, None);
                    None
                }
                Guard::None => None,
            };
            return Ok(None);
        };
        let place = folder
            .ok_or(DenyError::NoFolder(cgroup))
            .and_then(|folder| Place::of(folder).map_err(|cause| DenyError::Place(cgroup, cause)));
        match &mut self.guard {
            // The kernel knows itself what is the image's; what it cannot know is how paths are linked.
            Guard::Lsm(lsm) => {
                let place = place.ok();
                let allow = Allow::of(allowance, mode, place.as_ref());
                lsm.allow_only(cgroup, Some((&allow, folder.map_or(0, device))))
            }
            Guard::Fence(fence, begun) => {
                let place = place?;
                let allow = Allow::of(allowance, mode, Some(&place));
                let ended = match begun.get_or_insert_with(|| Begun::load().map(Box::new)) {
                    Ok(begun) => begun
                        .allow_only(cgroup, Some((&allow, folder.map_or(0, device))))
                        .map_err(|error| error.to_string()),
                    Err(cause) => Err(cause.clone()),
                };
                let ended = ended.err().map(|cause| {
                    format!("programs that fanotify does not see are let through ({cause})")
                });
                fence.allow_only(cgroup, Some((allow, place)));
                let is_asked = allowance.writable.is_some();
                let writing =
                    is_asked.then(|| "fanotify cannot tell reading from writing".to_owned());
                let lacks: Vec<String> = ended.into_iter().chain(writing).collect();
                Ok((!lacks.is_empty()).then(|| lacks.join("; ")))
            }
            Guard::None => Err(DenyError::Unable),
        }
    }

    /// What was refused and not told yet, at most some thousand; does not wait.
    pub fn refused(&mut self) -> Vec<Refusal> {
        match &mut self.guard {
            Guard::Lsm(lsm) => lsm.drain(),
            Guard::Fence(fence, begun) => {
                let mut found = fence.drain();
                if let Some(Ok(begun)) = begun {
                    found.extend(begun.drain());
                }
                found
            }
            Guard::None => Vec::new(),
        }
    }

    /// The same, but waits until there is one or the time is over.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be waited for.
    pub fn next(&mut self, timeout: Duration) -> Result<Vec<Refusal>, DenyError> {
        let found = self.refused();
        if !found.is_empty() {
            return Ok(found);
        }
        let descriptors = self.descriptors();
        if descriptors.is_empty() {
            std::thread::sleep(timeout);
            return Ok(found);
        }
        let waited = |one| PollFd::from_borrowed_fd(one, PollFlags::IN);
        let mut waited: Vec<_> = descriptors.into_iter().map(waited).collect();
        let timeout = Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut waited, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.refused()),
            Err(error) => Err(error.into()),
        }
    }

    /// One of these becomes readable when something was refused; none for [`Tier::None`].
    #[must_use]
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match &self.guard {
            Guard::Lsm(lsm) => vec![lsm.as_fd()],
            Guard::Fence(fence, Some(Ok(begun))) => vec![fence.as_fd(), begun.as_fd()],
            Guard::Fence(fence, _) => vec![fence.as_fd()],
            Guard::None => Vec::new(),
        }
    }

    /// What was decided on without a look since the last call, by control group of the container; 0 if that could not be told.
    pub fn unlooked(&mut self) -> BTreeMap<u64, Unlooked> {
        match &self.guard {
            Guard::Fence(fence, _) => fence.unlooked(),
            Guard::Lsm(_) | Guard::None => BTreeMap::new(),
        }
    }

    /// What happened since the start.
    ///
    /// # Errors
    ///
    /// If the kernel's table cannot be read.
    pub fn counts(&self) -> Result<Counts, DenyError> {
        match &self.guard {
            Guard::Lsm(lsm) => lsm.counts(),
            Guard::Fence(fence, Some(Ok(begun))) => {
                let (begun, fence) = (begun.counts()?, fence.counts());
                Ok(Counts {
                    refused: fence.refused + begun.refused,
                    untold: fence.untold + begun.untold,
                    ..fence
                })
            }
            Guard::Fence(fence, _) => Ok(fence.counts()),
            Guard::None => Ok(Counts::default()),
        }
    }
}

/// The device of a folder's file system, as the kernel counts them (`MKDEV`); 0 if it cannot be told.
fn device(folder: &Path) -> u64 {
    let device = rustix::fs::stat(folder).map_or(0, |stat| stat.st_dev);
    u64::from(rustix::fs::major(device)) << 20 | u64::from(rustix::fs::minor(device))
}

fn by_lsm() -> (Guard, Vec<Ability>) {
    let (guard, missing) = match Lsm::load() {
        Ok(lsm) => (Guard::Lsm(Box::new(lsm)), None),
        Err(cause) => (Guard::None, Some(cause)),
    };
    let gives = "programs are refused before they start";
    (guard, vec![Ability { name: lsm::HOOK, gives, missing }])
}

fn by_fence() -> (Guard, Vec<Ability>) {
    let (guard, missing) = match Fence::new() {
        Ok(fence) => (Guard::Fence(fence, None), None),
        Err(cause) => (Guard::None, Some(cause)),
    };
    let gives = "the same, for programs in a container's own file system";
    (guard, vec![Ability { name: "fanotify", gives, missing }])
}
