//! What containers use, as sets that the kernel keeps (`bpf/profile.h`).
//!
//! Promises that what is once in a set stays until it was read and forgotten, also when the container is gone; that what
//! could not be told is counted and told when it is used again; and that what this kernel does not tell is named as a gap.
//! What is used through io_uring passes no system call and is not in the sets.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData, RingBuf};
use haechi_core::event::Origin;
use haechi_core::profile::{Gap, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use syscalls::{x86, x86_64};

use crate::{SensorError, decode, rights};

/// `struct used` in `bpf/record.h`, in words.
pub(crate) type UsedState = [u64; 49];
/// `struct use_key`, the first word of which is the group.
pub(crate) type UseKey = [u64; 4];
/// What the 32-bit half of a set of calls begins with.
const COMPAT: usize = 512;
/// `enum used_flag` in `bpf/record.h`.
const LEFT: u64 = 1;
const USED_X32: u64 = 2;
const REFUSED_X32: u64 = 4;
/// Groups that are gone, of which the kernel's table is cleaned at once; or after a while.
const STALE_MAX: usize = 256;
/// That while.
const STALE_WAIT: Duration = Duration::from_secs(60);

/// Calls of which an argument matters for what they may do: number at the 64-bit and at the 32-bit entry, argument (1 is the
/// first), and which bits of it.
pub(crate) const ASKED: [(u32, u32, u64, u64); 10] = [
    (16, 54, 2, 0xffff_ffff),   // ioctl: the request
    (41, 359, 1, 0xffff_ffff),  // socket: the family
    (53, 360, 1, 0xffff_ffff),  // socketpair: the family
    (56, 120, 1, 0x7e02_0000),  // clone: new namespaces
    (101, 26, 1, 0xffff_ffff),  // ptrace: the request
    (135, 136, 1, 0xffff_ffff), // personality
    (157, 172, 1, 0xffff_ffff), // prctl: the operation
    (250, 288, 1, 0xffff_ffff), // keyctl: the operation
    (272, 310, 1, 0xffff_ffff), // unshare: what
    (321, 357, 1, 0xffff_ffff), // bpf: the command
];

/// Something that a container used for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    /// When, in nanoseconds since the machine started.
    pub at: u64,
    /// The container's control group.
    pub group: u64,
    /// What kind of thing.
    pub kind: Kind,
    /// Which one, as [`haechi_core::profile::Entry::value`].
    pub value: String,
    /// Path of the script, if it was one that was executed; `value` is what read it.
    pub script: String,
    /// Where a file lay.
    pub origin: Origin,
    /// Path of the program that used it.
    pub program: String,
}

/// What a control group has used until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Id of the group.
    pub group: u64,
    /// The container's group; the same unless the group is inside it.
    pub container: u64,
    /// The container's id; `None` of a group inside it.
    pub id: Option<String>,
    /// When it was made, in nanoseconds since the machine started; `None` if it was there before.
    pub since: Option<u64>,
    /// When it was removed; `None` if it is there.
    pub gone: Option<u64>,
    /// How often something could not be told that was used first; it is told when it is used again.
    pub lost: u64,
    /// Kinds of which more was used than is remembered.
    pub full: bool,
    /// Whether a process left the container's control group, or may have: what it does since is in no set.
    pub left: bool,
    /// Bits of the capabilities that were used, and of those without which the file of a program is not executed.
    pub capabilities: u64,
    /// Bits of the capabilities that were asked for and not held.
    pub refused_capabilities: u64,
    /// Names of the system calls that were made; those of the 32-bit entry with `compat:` before it. All that were made by the
    /// numbers of x32 are one, `x32`.
    pub calls: BTreeSet<String>,
    /// Names of the system calls that were refused.
    pub refused_calls: BTreeSet<String>,
}

/// Reads the sets. Belongs to a [`crate::Sensor`], and tells nothing new after that is gone.
pub struct Profiler {
    pub(crate) used: HashMap<MapData, u64, UsedState>,
    pub(crate) uses: HashMap<MapData, UseKey, u8>,
    pub(crate) firsts: RingBuf<MapData>,
    /// What this kernel does not tell.
    pub(crate) gaps: BTreeSet<Gap>,
    pub(crate) unread: u64,
    /// Whether the kernel does not tell what files of programs ask for: then it is looked up.
    pub(crate) asks_files: bool,
    /// By group, what was found.
    pub(crate) rights: BTreeMap<u64, u64>,
    pub(crate) stale: BTreeSet<u64>,
    pub(crate) cleaned: Instant,
}

impl Profiler {
    /// What is missing in every set.
    pub fn gaps(&self) -> &BTreeSet<Gap> {
        &self.gaps
    }

    /// Records that could not be read.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// Gives what was used first, and waits for more at most so long.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be waited for.
    pub fn next(
        &mut self,
        timeout: Duration,
        give: &mut dyn FnMut(First),
    ) -> Result<(), SensorError> {
        if self.drain(give) > 0 {
            return Ok(());
        }
        let mut ring = [PollFd::from_borrowed_fd(self.firsts.as_fd(), PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut ring, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.drain(give);
        Ok(())
    }

    fn drain(&mut self, give: &mut dyn FnMut(First)) -> usize {
        let mut given = 0;
        while let Some(bytes) = self.firsts.next() {
            given += 1;
            match decode::first(&bytes) {
                Ok((first, processes)) => {
                    if self.asks_files && first.kind == Kind::Executed {
                        *self.rights.entry(first.group).or_default() |=
                            rights::of_program(first.group, processes, &first.value);
                    }
                    give(first);
                }
                Err(_) => self.unread += 1,
            }
        }
        given
    }

    /// What every group has used, those that are gone and not forgotten too.
    ///
    /// # Errors
    ///
    /// If the kernel's table cannot be read.
    pub fn used(&self) -> Result<Vec<Used>, SensorError> {
        let failed = |error: aya::maps::MapError| SensorError::Map {
            name: "used",
            cause: error.to_string(),
        };
        self.used
            .iter()
            .map(|entry| {
                let (group, state) = entry.map_err(failed)?;
                let mut used = used(group, &state);
                used.capabilities |= self.rights.get(&group).copied().unwrap_or_default();
                Ok(used)
            })
            .collect()
    }

    /// Takes groups that are gone out of the kernel's tables.
    ///
    /// # Errors
    ///
    /// If a table cannot be written.
    pub fn forget(&mut self, groups: &[u64]) -> Result<(), SensorError> {
        let failed = |name: &'static str| {
            move |error: aya::maps::MapError| SensorError::Map { name, cause: error.to_string() }
        };
        for group in groups {
            let _ = self.used.remove(group);
            self.rights.remove(group);
            self.stale.insert(*group);
        }
        let is_due = self.stale.len() >= STALE_MAX || self.cleaned.elapsed() >= STALE_WAIT;
        if self.stale.is_empty() || !is_due {
            return Ok(());
        }
        let keys: Vec<UseKey> =
            self.uses.keys().collect::<Result<_, _>>().map_err(failed("uses"))?;
        for key in keys {
            let [group, ..] = key;
            if self.stale.contains(&group) {
                let _ = self.uses.remove(&key);
            }
        }
        self.stale.clear();
        self.cleaned = Instant::now();
        Ok(())
    }
}

/// The state of a group that was there before the programs.
pub(crate) fn state_of_existing(container: u64, id: Option<&str>) -> UsedState {
    let mut state = [0; 49];
    let [first, ..] = &mut state;
    *first = container;
    let words = id.unwrap_or_default().as_bytes().chunks_exact(8);
    for (to, from) in state.iter_mut().skip(40).take(8).zip(words) {
        let mut word = [0; 8];
        word.copy_from_slice(from);
        *to = u64::from_ne_bytes(word);
    }
    state
}

fn used(group: u64, state: &UsedState) -> Used {
    let [container, since, gone, _told, lost, full, capabilities, refused_capabilities, rest @ ..] =
        state;
    let (calls, rest) = rest.split_at(16);
    let (refused, rest) = rest.split_at(16);
    let (id, flags) = rest.split_at(8);
    let flags = flags.first().copied().unwrap_or_default();
    let id: Vec<u8> = id.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let id = std::str::from_utf8(&id).ok().filter(|id| crate::container_id(id).is_some());
    Used {
        group,
        container: *container,
        id: id.map(str::to_owned),
        since: (*since != 0).then_some(*since),
        gone: (*gone != 0).then_some(*gone),
        lost: *lost,
        full: *full != 0,
        left: flags & LEFT != 0,
        capabilities: *capabilities,
        refused_capabilities: *refused_capabilities,
        calls: x32(call_names(calls), flags & USED_X32 != 0),
        refused_calls: x32(call_names(refused), flags & REFUSED_X32 != 0 && flags & USED_X32 == 0),
    }
}

/// Name of a call of the 64-bit entry.
pub(crate) fn call_name(number: u32) -> Option<String> {
    x86_64::Sysno::new(usize::try_from(number).ok()?).map(|call| call.name().to_owned())
}

/// With the one that stands for all that were made by the numbers of x32.
fn x32(mut calls: BTreeSet<String>, is_used: bool) -> BTreeSet<String> {
    if is_used {
        calls.insert("x32".to_owned());
    }
    calls
}

fn call_names(words: &[u64]) -> BTreeSet<String> {
    let bits = words.iter().enumerate().flat_map(|(at, word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
    });
    // One that is newer than this program has its number.
    bits.map(|number| match number.checked_sub(COMPAT) {
        None => x86_64::Sysno::new(number)
            .map_or_else(|| number.to_string(), |call| call.name().to_owned()),
        Some(number) => x86::Sysno::new(number)
            .map_or_else(|| format!("compat:{number}"), |call| format!("compat:{}", call.name())),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_numbers_of_a_call_are_of_the_same_one() {
        for (number, compat, ..) in ASKED {
            let compat = x86::Sysno::new(compat as usize).map(|call| call.name().to_owned());
            assert_eq!(call_name(number), compat);
        }
    }

    #[test]
    fn a_state_says_what_was_used() {
        let id = "0123456789abcdef".repeat(4);
        let mut state = state_of_existing(7, Some(&id));
        // openat of the 64-bit entry and execve of the 32-bit one; open was refused.
        state[8 + 257 / 64] |= 1 << (257 % 64);
        state[8 + (512 + 11) / 64] |= 1 << ((512 + 11) % 64);
        state[8 + 16] |= 1 << 2;
        state[6] = 0b11;
        state[48] = LEFT | USED_X32 | REFUSED_X32;
        let used = used(9, &state);
        assert_eq!((used.group, used.container, used.id.as_deref()), (9, 7, Some(id.as_str())));
        assert_eq!(used.calls, ["compat:execve", "openat", "x32"].map(String::from).into());
        assert_eq!(used.refused_calls, ["open"].map(String::from).into());
        assert_eq!((used.capabilities, used.since, used.gone, used.full), (3, None, None, false));
        assert!(used.left);
    }
}
