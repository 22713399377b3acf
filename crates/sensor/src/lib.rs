//! The kernel edge: what processes of containers do, from programs in the kernel to typed events.
//!
//! Promises that only processes of containers are told of, that what could not be told is counted for each container,
//! that no record is believed before its length and tag are checked, and that an ability which this kernel lacks is
//! named. It judges nothing, keeps no state about processes and holds nothing up: a slow reader loses events, which are
//! counted. It knows no engine: a container is a control group (version 2) named as runtimes name them. Machines
//! without that hierarchy, or other than x86-64, are refused.

mod calls;
mod connector;
mod cut;
pub mod decode;
mod deny;
mod entering;
mod fence;
mod groups;
mod load;
mod record;
mod resolve;
mod rights;
mod selftest;
mod used;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, RingBuf};
use haechi_core::event::{Action, PathCall};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use connector::{Connector, Happened};
pub use cut::{Cut, CutError, Stopped};
pub use deny::{Because, Counts, Deny, DenyError, Refusal, Tier, Unlooked};
pub use groups::container_id;
pub use record::{Losses, Record, Seen};
pub use selftest::{SelfTestError, Tried, selftest};
pub use used::{First, Profiler, Used};

/// How often the ring that wakes nobody is looked at.
const BULK_WAIT: Duration = Duration::from_millis(20);
/// How long a record of the ring that wakes nobody is kept back: a record of the other ring, written before it by the
/// same process, may not be readable yet while another processor finishes one before that.
const LATE: Duration = Duration::from_millis(1);
/// Records that are kept back.
const LATE_MAX: usize = 4 * TURN;
/// Records taken from one ring before the other is looked at, so that neither starves and few are in memory.
const TURN: usize = 1024;
/// Records given by one call, so that a container that never rests cannot keep the caller from anything else.
const BATCH: usize = 4096;

/// `RENAME_EXCHANGE`.
const EXCHANGE: u64 = 2;
/// Kinds of records, and one for none: `enum kind` in `bpf/record.h`.
const KINDS: usize = 9;
/// `struct group` in `bpf/record.h`: the container, the device of its root, then what was sent and lost of each kind.
type GroupState = [u64; 2 + 2 * KINDS];

/// What to watch, and with how much memory.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of files (last part of the path) of which opening for reading is told.
    pub watch_names: Vec<String>,
    /// Names of folders (last part of their path); reading a file right in one is told.
    pub watch_folders: Vec<String>,
    /// Wake the reader at once for started programs, network and calls, because something may be done about them; else
    /// it looks every 20 ms. Waking costs the watched more than telling.
    pub prompt: bool,
    /// Tell every open for reading, whatever the name.
    pub all_reads: bool,
    /// Bytes of the ring for what containers use first, for profiles ([`Sensor::profiler`]); 0 keeps nothing of what they
    /// use.
    pub profile_bytes: u32,
    /// Bytes of the ring for what wakes the reader at once (programs, network, calls): a power of two of pages.
    pub alert_bytes: u32,
    /// Bytes of the ring for what may wait 20 ms (files).
    pub bulk_bytes: u32,
}

impl Default for Options {
    /// Nothing is read but what is written; rings that survive a reader that sleeps for a twentieth of a second under the heaviest load.
    fn default() -> Self {
        Self {
            watch_names: Vec::new(),
            watch_folders: Vec::new(),
            prompt: false,
            all_reads: false,
            profile_bytes: 0,
            alert_bytes: 1 << 20,
            bulk_bytes: 4 << 20,
        }
    }
}

/// One thing the sensor can do, and why it cannot if it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// Name of the kernel's hook.
    pub name: &'static str,
    /// What is seen by it.
    pub gives: &'static str,
    /// Why it is missing; `None` if it is there.
    pub missing: Option<String>,
}

/// Why there is no sensor, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The kernel tells nothing about its own structures.
    #[error("this kernel has no type information (/sys/kernel/btf/vmlinux): {0}")]
    Types(String),
    /// This kernel or this user may not load programs.
    #[error("the kernel took no program: {0}")]
    Load(String),
    /// A part of the embedded object is not there: a fault of this program.
    #[error("the embedded object has no {0}")]
    Object(&'static str),
    /// Control groups of version 2 are not mounted.
    #[error("no control groups of version 2 at {0}")]
    Groups(String),
    /// A map could not be read or written.
    #[error("map {name}: {cause}")]
    Map {
        /// The map.
        name: &'static str,
        /// What happened.
        cause: String,
    },
    /// Waiting for the kernel failed.
    #[error("waiting for events: {0}")]
    Wait(#[from] rustix::io::Errno),
}

/// What was missed and belongs to no container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// Records about containers that came or went, for which there was no room.
    pub life: u64,
    /// Control groups that are not watched, because there are more than the kernel side holds.
    pub groups: u64,
    /// Records that could not be read.
    pub unread: u64,
}

/// Programs in the kernel, and what they tell. Dropping it takes them out.
pub struct Sensor {
    /// Keeps the programs attached.
    _programs: Ebpf,
    alerts: RingBuf<MapData>,
    bulk: RingBuf<MapData>,
    groups: HashMap<MapData, u64, GroupState>,
    holds: HashMap<MapData, [u8; load::NAME], u8>,
    tallies: Array<MapData, u64>,
    /// Containers that were there before.
    waiting: Vec<Record>,
    /// Records of the ring that wakes nobody, until what was written to the other one before them is there for sure.
    late: Vec<(u64, Record)>,
    /// When the oldest of them was read.
    late_since: Instant,
    unread: u64,
    resolver: resolve::Resolver,
    profiler: Option<Profiler>,
}

impl Sensor {
    /// Loads the programs, registers the containers that exist, and begins.
    ///
    /// Needs root (`CAP_BPF`, `CAP_PERFMON`, and `CAP_SYS_PTRACE` to see the host's namespace).
    ///
    /// # Errors
    ///
    /// If the kernel has no type information, takes no program, or has no control groups of version 2. A single program
    /// that it does not take is no error: see [`Ability::missing`].
    pub fn load(options: &Options) -> Result<(Self, Vec<Ability>), SensorError> {
        load::load(options)
    }

    /// What reads the sets of what containers use, to be read in a thread of its own; once, and only if profiles were asked
    /// for.
    pub fn profiler(&mut self) -> Option<Profiler> {
        self.profiler.take()
    }

    /// From now on, programs whose file or name as a process is one of these are stopped (`SIGSTOP`) by the kernel
    /// before their first instruction ([`haechi_core::event::Exec::held`]); whoever reads the event has to let each go
    /// on. None at the beginning. A name is the last part of a path, at most 63 bytes.
    ///
    /// # Errors
    ///
    /// If a name is empty or too long (then nothing is changed), or the kernel's table cannot be written.
    pub fn hold(&mut self, names: &[String]) -> Result<(), SensorError> {
        load::hold(&mut self.holds, names)
    }

    /// Gives what there is, or waits for it until `timeout` is over; how many records were given.
    ///
    /// What a process did comes after the start of its program, in whatever ring it was told, but what it did before
    /// may come after the start of its next one: [`haechi_core::event::Event::at`] tells.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be waited for.
    pub fn next_batch(
        &mut self,
        timeout: Duration,
        give: &mut dyn FnMut(Record),
    ) -> Result<usize, SensorError> {
        let end = Instant::now() + timeout;
        let mut given = self.waiting.len();
        self.waiting.iter().for_each(|record| self.resolver.see(record));
        self.waiting.drain(..).for_each(&mut *give);
        let mut turn = Vec::new();
        let mut bulk = Vec::new();
        loop {
            while given < BATCH {
                drain(&mut self.bulk, &mut self.resolver, &mut self.unread, &mut bulk);
                drain(&mut self.alerts, &mut self.resolver, &mut self.unread, &mut turn);
                if !self.late.is_empty() && self.late_since.elapsed() >= LATE {
                    turn.append(&mut self.late);
                }
                if !bulk.is_empty() {
                    if self.late.is_empty() {
                        self.late_since = Instant::now();
                    }
                    self.late.append(&mut bulk);
                    // So many that it makes no sense to keep them: the time they took to be read is long enough.
                    if self.late.len() >= LATE_MAX {
                        turn.append(&mut self.late);
                    }
                }
                if turn.is_empty() {
                    break;
                }
                given += turn.len();
                turn.sort_by_key(|(at, _)| *at);
                turn.drain(..).for_each(|(_, record)| give(record));
            }
            let left = end.saturating_duration_since(Instant::now());
            if given > 0 || left.is_zero() {
                return Ok(given);
            }
            let soon = if self.late.is_empty() { BULK_WAIT } else { LATE };
            self.wait(left.min(soon))?;
        }
    }

    /// Waits until a ring has something or the time is over.
    fn wait(&self, timeout: Duration) -> Result<(), SensorError> {
        let mut rings = [
            PollFd::from_borrowed_fd(self.alerts.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.bulk.as_fd(), PollFlags::IN),
        ];
        // Never more than 20 ms.
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        match poll(&mut rings, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Events of each container that is there, by its control group. Counts only grow; those of a container that is
    /// gone come with [`Record::Gone`].
    ///
    /// # Errors
    ///
    /// If the kernel's table cannot be read.
    pub fn losses(&self) -> Result<BTreeMap<u64, Losses>, SensorError> {
        let mut sums = BTreeMap::<u64, Losses>::new();
        for entry in self.groups.iter() {
            let (_, state) = entry
                .map_err(|error| SensorError::Map { name: "groups", cause: error.to_string() })?;
            let [container, _, counts @ ..] = state;
            let (sent, lost) = counts.split_at(KINDS);
            let sum = sums.entry(container).or_default();
            sum.sent += sent.iter().sum::<u64>();
            sum.lost += lost.iter().sum::<u64>();
        }
        Ok(sums)
    }

    /// What was missed and belongs to no container.
    ///
    /// # Errors
    ///
    /// If the kernel's table cannot be read.
    pub fn missed(&self) -> Result<Missed, SensorError> {
        let get = |index: u32| {
            self.tallies
                .get(&index, 0)
                .map_err(|error| SensorError::Map { name: "tallies", cause: error.to_string() })
        };
        Ok(Missed { life: get(0)?, groups: get(1)?, unread: self.unread })
    }
}

/// Two files that are exchanged (`RENAME_EXCHANGE` of renameat2(2)) are both moved: the second move, if there is one.
fn exchanged(record: &Record) -> Option<Record> {
    let Record::Event(seen) = record else { return None };
    let Action::Path(call) = &seen.event.action else { return None };
    let [.., flags, _] = call.args;
    if seen.event.call != "renameat2" || seen.event.result < 0 || flags & EXCHANGE == 0 {
        return None;
    }
    let mut other = seen.clone();
    let (path, second) = (call.second.clone(), call.path.clone());
    other.event.action = Action::Path(PathCall { path, second, args: call.args });
    Some(Record::Event(other))
}

/// Takes one turn's records off a ring, each with its time.
fn drain(
    ring: &mut RingBuf<MapData>,
    resolver: &mut resolve::Resolver,
    unread: &mut u64,
    turn: &mut Vec<(u64, Record)>,
) {
    for _ in 0..TURN {
        let Some(bytes) = ring.next() else { break };
        match decode::record(&bytes) {
            Ok(mut record) => {
                resolver.see(&record);
                let at = decode::at(&bytes);
                let doubt = match &mut record {
                    Record::Event(seen) if decode::is_resolved(&bytes) => resolver.told(seen),
                    Record::Event(seen) => resolver.resolve(seen, || decode::given_paths(&bytes)),
                    Record::New { .. } | Record::Gone { .. } => None,
                };
                let told = [Some(record), doubt.map(Record::Event)].into_iter().flatten();
                for one in told {
                    let other = exchanged(&one);
                    turn.push((at, one));
                    turn.extend(other.map(|other| (at, other)));
                }
            }
            Err(_) => *unread += 1,
        }
    }
}
