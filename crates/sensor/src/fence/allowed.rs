//! What single containers may start, held against the file that the kernel asks about. Nothing of a file is read.
//!
//! The kernel opens a program's loader as it opens the program. It is let through only right after a program of the same
//! process, so that `ld.so FILE` is refused unless the profile has it; whoever makes a start fail in between gets it through,
//! and so does everybody where programs may come from mounts, of which the kernel does not ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use haechi_core::allowance::Mode;
use haechi_core::event::Origin;
use nix::sys::fanotify::FanotifyEvent;
use rustix::fs::fstat;

use super::lock;
use crate::deny::{Allow, Because, Place};

/// Processes of which it is remembered that their loader may come.
const STARTING: usize = 4096;

/// Of each group.
#[derive(Debug, Default)]
pub(super) struct Allowed(HashMap<u64, Arc<One>>);

#[derive(Debug)]
struct One {
    allow: Allow,
    place: Place,
    /// Processes whose program was let through last.
    starting: Mutex<Vec<i32>>,
}

/// What is not allowed.
pub(super) struct Found {
    pub because: Because,
    pub origin: Origin,
    pub is_refused: bool,
}

impl Allowed {
    /// With that of one group exchanged.
    pub(super) fn with(&self, group: u64, allow: Option<(Allow, Place)>) -> Self {
        let mut new = self.0.clone();
        match allow {
            Some((allow, place)) => {
                new.insert(group, Arc::new(One { allow, place, starting: Mutex::default() }))
            }
            None => new.remove(&group),
        };
        Self(new)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether only what is allowed may start in a group.
    pub(super) fn denies(&self, group: u64) -> bool {
        self.0.get(&group).is_some_and(|one| one.allow.mode == Mode::Deny)
    }

    /// What is wrong with a program; `None` if its group may start it, or anything. No path is too long a path.
    pub(super) fn refuses(
        &self,
        group: u64,
        path: Option<&str>,
        event: &FanotifyEvent,
    ) -> Option<Found> {
        let one = self.0.get(&group)?;
        let is_refused = one.allow.mode == Mode::Deny;
        let Some(path) = path else {
            return Some(Found {
                because: Because::NotAllowed,
                origin: Origin::Unknown,
                is_refused,
            });
        };
        let origin = one.origin(path, event);
        let begun = one.has_begun(event.pid()) || one.allow.starts_mounted();
        if begun && one.allow.is_loader(path) && origin == Origin::Image {
            return None;
        }
        let because = one.allow.refuses(path, || origin);
        // What is not known and starts all the same may have any loader.
        if one.allow.loaders.contains_key(path) || because.is_some() && !is_refused {
            one.begins(event.pid());
        }
        because.map(|because| Found { because, origin, is_refused })
    }
}

impl One {
    /// Where the file lies; what is not at its path is not what the path says.
    fn origin(&self, path: &str, event: &FanotifyEvent) -> Origin {
        let stat = event.fd().and_then(|file| fstat(file).ok());
        match stat {
            Some(stat) if self.place.is_at(path, &stat) => self.place.origin(path),
            Some(_) => Origin::Mounted,
            None => Origin::Unknown,
        }
    }

    fn begins(&self, pid: i32) {
        let mut starting = lock(&self.starting);
        if starting.len() >= STARTING {
            starting.remove(0);
        }
        starting.push(pid);
    }

    /// Whether the program of this process was let through just now; once.
    fn has_begun(&self, pid: i32) -> bool {
        let mut starting = lock(&self.starting);
        let before = starting.len();
        starting.retain(|one| *one != pid);
        starting.len() < before
    }
}
