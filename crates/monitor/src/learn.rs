//! Makes profiles of what containers use: the kernel's sets, with the names that the engine gives.
//!
//! Promises that what was told is told to whoever keeps it until it is kept, that a stretch of time says what may be missing
//! in it, and that it ends where it is not certain any more. It judges nothing: what was seen is a profile, whatever rules
//! say about it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use haechi_core::capability;
use haechi_core::event::Origin;
use haechi_core::profile::{Entry, Gap, Kind, Phase, Run, Workload};
use haechi_profile::news;
use haechi_sensor::{First, Profiler, SensorError, Used};
use haechi_store::Learned;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc as queue;

use crate::Clock;
use crate::container::Container;

mod seed;
mod sizes;

/// How long it waits for something that is used first.
const WAIT: Duration = Duration::from_millis(500);
/// How often the sets are read.
const BEAT: Duration = Duration::from_secs(5);
/// How often it is told that a container goes on, if nothing else is new.
const TELL: SignedDuration = SignedDuration::from_secs(60);
/// After its start a container is in its everyday work.
const STARTING: SignedDuration = SignedDuration::from_secs(60);
/// How long the name of a container that is gone is waited for.
const NAMELESS: SignedDuration = SignedDuration::from_secs(15);
/// Commands run through the engine that are remembered of a container.
const EXECS_MAX: usize = 16;
/// Bytes of a value that are kept: a path may have 4,096, and whoever makes them may make many.
const VALUE_MAX: usize = 1024;

/// What others know about containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The path of a control group, below the root of its hierarchy.
    Group(u64, String),
    /// Name, image and command of a container.
    Container(Box<Container>),
    /// A part of the life of the container with this id was seen.
    Phase(String, Phase),
    /// A command was run through the engine in the container with this id.
    Exec(String, Exec),
    /// That was all.
    End,
}

/// A command that was run in a container through the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// The command, secrets redacted.
    pub command: String,
}

/// What was learned, and what decides whether that is enough.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lesson {
    pub learned: Learned,
    pub has_health_check: bool,
    /// What was run in the container through the engine lately, the oldest first.
    pub execs: Vec<Exec>,
}

/// A container that is learned.
#[derive(Debug)]
struct Known {
    id: String,
    named: Option<(Workload, String)>,
    name: String,
    path: String,
    from_start: bool,
    /// Whether what it had loaded before it was watched is known, or nothing can be.
    is_seeded: bool,
    since: Timestamp,
    until: Timestamp,
    phases: BTreeSet<Phase>,
    gaps: BTreeSet<Gap>,
    tasks_max: u64,
    memory_max: u64,
    /// Calls and capabilities that were told already.
    told: HashSet<(Kind, String)>,
    fresh: Vec<Entry>,
    /// Code not of the image, by kind and path.
    foreign: HashSet<(Kind, String)>,
    /// What of that was used again as another file. In a container with groups of its own each tells it: then it means nothing.
    again: Vec<Entry>,
    told_at: Option<Timestamp>,
    groups: BTreeSet<u64>,
    is_over: bool,
}

/// Everything that is being learned. Pure: what it reads is given to it.
#[derive(Debug)]
pub struct Learner {
    clock: Clock,
    /// What this kernel does not tell.
    gaps: BTreeSet<Gap>,
    /// When it began: containers that were there before are watched since then.
    begun: Timestamp,
    known: BTreeMap<u64, Known>,
    /// What came before its container was known, by control group.
    early: BTreeMap<u64, Vec<First>>,
    /// By id of the container, for hints that come before the sets are read.
    named: BTreeMap<String, (Workload, String, String)>,
    phases: BTreeMap<String, BTreeSet<Phase>>,
    paths: BTreeMap<u64, String>,
    /// Workloads with a health check.
    checked: HashSet<Workload>,
    /// What was run through the engine lately, by id of the container.
    execs: BTreeMap<String, VecDeque<Exec>>,
}

impl Learner {
    /// Nothing is known yet.
    pub fn new(clock: Clock, gaps: BTreeSet<Gap>, begun: Timestamp) -> Self {
        Self {
            clock,
            gaps,
            begun,
            known: BTreeMap::new(),
            early: BTreeMap::new(),
            named: BTreeMap::new(),
            phases: BTreeMap::new(),
            paths: BTreeMap::new(),
            checked: HashSet::new(),
            execs: BTreeMap::new(),
        }
    }

    /// Something was used first.
    pub fn first(&mut self, first: First) {
        match self.known.get_mut(&first.group) {
            Some(known) => known.first(&self.clock, first),
            None => self.early.entry(first.group).or_default().push(first),
        }
    }

    /// Somebody knows more.
    pub fn hint(&mut self, hint: Hint) {
        match hint {
            Hint::Group(group, path) => drop(self.paths.insert(group, path)),
            Hint::Container(container) => {
                let Container { id, name, image, image_id, command, has_health_check, .. } =
                    *container;
                let workload = Workload { image: image_id, command };
                if has_health_check {
                    self.checked.insert(workload.clone());
                }
                // What nobody knows is no workload of its own.
                if workload != Workload::default() {
                    self.named.insert(id, (workload, image, name));
                }
            }
            Hint::Phase(id, phase) => drop(self.phases.entry(id).or_default().insert(phase)),
            Hint::Exec(id, exec) => {
                self.phases.entry(id.clone()).or_default().insert(Phase::Exec);
                let execs = self.execs.entry(id).or_default();
                execs.truncate(EXECS_MAX - 1);
                execs.push_front(exec);
            }
            Hint::End => {}
        }
    }

    /// The sets as they are now: what is to be kept, and the groups that may be forgotten.
    pub fn beat(&mut self, used: Vec<Used>, now: Timestamp) -> (Vec<Learned>, Vec<u64>) {
        for one in used {
            self.read(one, now);
        }
        let (mut learned, mut gone) = (Vec::new(), Vec::new());
        // One that was stopped and started again at once is there twice: what is told of it is of the one that goes on.
        let going_on: HashSet<String> = self
            .known
            .values()
            .filter(|known| !known.is_over)
            .map(|known| known.id.clone())
            .collect();
        self.known.retain(|group, known| {
            let is_last = !known.is_over || !going_on.contains(&known.id);
            if known.named.is_none()
                && let Some((workload, image, name)) = self.named.get(&known.id)
            {
                known.named = Some((workload.clone(), image.clone()));
                known.name.clone_from(name);
            }
            if is_last && let Some(phases) = self.phases.remove(&known.id) {
                known.phases.extend(phases);
            }
            if known.path.is_empty()
                && let Some(path) = self.paths.remove(group)
            {
                known.path = path;
            }
            learned.extend(known.tell(now));
            let is_over = known.is_over
                && (known.named.is_some() || now.duration_since(known.until) > NAMELESS);
            if is_over {
                if known.named.is_none() {
                    tracing::warn!(
                        "no profile of {}: the engine did not tell what it is",
                        known.id
                    );
                }
                gone.extend(known.groups.iter().copied());
                if is_last {
                    self.named.remove(&known.id);
                    self.execs.remove(&known.id);
                }
            }
            !is_over
        });
        (learned, gone)
    }

    /// With what else is known of its workload.
    fn lesson(&self, learned: Learned) -> Lesson {
        let has_health_check = self.checked.contains(&learned.workload);
        let execs = self.execs.get(&learned.run.container).into_iter().flatten();
        let execs = execs.rev().cloned().collect();
        Lesson { learned, has_health_check, execs }
    }

    /// Containers that are there, with where their control groups are.
    fn running(&self) -> impl Iterator<Item = (u64, &str)> {
        let alive = self.known.iter().filter(|(_, known)| !known.is_over);
        alive.map(|(group, known)| (*group, known.path.as_str()))
    }

    /// How many processes and how much memory a container has had at once.
    fn measured(&mut self, group: u64, tasks: u64, memory: u64) {
        if let Some(known) = self.known.get_mut(&group) {
            known.tasks_max = known.tasks_max.max(tasks);
            known.memory_max = known.memory_max.max(memory);
        }
    }

    fn read(&mut self, used: Used, now: Timestamp) {
        let own = used.group == used.container;
        if !self.known.contains_key(&used.container) {
            // A group inside a container whose own is forgotten already.
            let Some(id) = used.id.clone().filter(|_| own) else { return };
            let since = used.since.map_or(self.begun, |at| self.clock.at(at));
            let mut gaps = self.gaps.clone();
            let mut phases = BTreeSet::new();
            if used.since.is_some() {
                phases.insert(Phase::Start);
            } else {
                gaps.insert(Gap::Start);
            }
            let mut known = Known {
                id,
                named: None,
                name: String::new(),
                path: String::new(),
                from_start: used.since.is_some(),
                is_seeded: used.since.is_some(),
                since,
                until: since,
                phases,
                gaps,
                tasks_max: 0,
                memory_max: 0,
                told: HashSet::new(),
                fresh: Vec::new(),
                foreign: HashSet::new(),
                again: Vec::new(),
                told_at: None,
                groups: BTreeSet::new(),
                is_over: false,
            };
            for first in self.early.remove(&used.container).into_iter().flatten() {
                known.first(&self.clock, first);
            }
            self.known.insert(used.container, known);
        }
        let Some(known) = self.known.get_mut(&used.container) else { return };
        known.groups.insert(used.group);
        if own {
            // Two clocks that differ by a moment must not make a stretch of time that ends before it begins.
            known.until = used.gone.map_or(now, |at| self.clock.at(at)).max(known.since);
            if used.gone.is_some() && !known.is_over {
                known.is_over = true;
                known.phases.insert(Phase::Stop);
            }
        }
        if !known.from_start || known.until.duration_since(known.since) > STARTING {
            known.phases.insert(Phase::Run);
        }
        if used.lost > 0 {
            known.gaps.insert(Gap::Lost);
        }
        if used.full {
            known.gaps.insert(Gap::Full);
        }
        if used.left {
            known.gaps.insert(Gap::Left);
        }
        // Also of a ring that was there before it was watched.
        if used.calls.iter().any(|call| call.trim_start_matches("compat:").starts_with("io_uring_"))
        {
            known.gaps.insert(Gap::IoUring);
        }
        let capabilities = |bits| capability::from_bits(bits);
        known.set(Kind::Call, used.calls, now);
        known.set(Kind::RefusedCall, used.refused_calls, now);
        known.set(Kind::Capability, capabilities(used.capabilities), now);
        known.set(Kind::RefusedCapability, capabilities(used.refused_capabilities), now);
    }
}

impl Known {
    fn first(&mut self, clock: &Clock, first: First) {
        let entry = |kind, value: String, gaps: &mut BTreeSet<Gap>| {
            let value = without_numbers(value);
            if value.len() > VALUE_MAX {
                gaps.insert(Gap::Full);
            }
            Entry {
                kind,
                value: shortened(value),
                first_at: clock.at(first.at),
                container: self.id.clone(),
                origin: origin(first.origin).to_owned(),
                program: shortened(first.program.clone()),
            }
        };
        let is_code = match first.kind {
            // Of a script what read it is told as often.
            Kind::Executed => first.script.is_empty(),
            Kind::Mapped => true,
            Kind::Read => news::is_code(&first.value),
            _ => false,
        };
        // The kernel tells a file once, as long as it is the same: what is told again is another.
        let is_again = is_code
            && matches!(first.origin, Origin::Changed | Origin::Mounted)
            && !self.foreign.insert((first.kind, first.value.clone()));
        let script = Some(first.script).filter(|script| !script.is_empty());
        // Where the interpreter lies says nothing about the script.
        let script = script.map(|script| Entry {
            origin: String::new(),
            ..entry(Kind::Executed, script, &mut self.gaps)
        });
        let one = entry(first.kind, first.value, &mut self.gaps);
        if is_again {
            self.again.push(Entry { origin: "replaced".into(), ..one.clone() });
        }
        self.fresh.push(one);
        self.fresh.extend(script);
    }

    fn set(&mut self, kind: Kind, values: impl IntoIterator<Item = String>, now: Timestamp) {
        for value in values {
            let key = (kind, value);
            if self.told.contains(&key) {
                continue;
            }
            self.fresh.push(Entry {
                kind,
                value: key.1.clone(),
                first_at: now.min(self.until),
                container: self.id.clone(),
                origin: String::new(),
                program: String::new(),
            });
            self.told.insert(key);
        }
    }

    /// What is to be kept, if it is known what this is, and something is new or it is time.
    fn tell(&mut self, now: Timestamp) -> Option<Learned> {
        let (workload, image_name) = self.named.clone()?;
        let again = std::mem::take(&mut self.again);
        if self.groups.len() == 1 {
            self.fresh.extend(again);
        }
        let is_due = self.told_at.is_none_or(|at| now.duration_since(at) >= TELL);
        if self.fresh.is_empty() && !is_due && !self.is_over {
            return None;
        }
        self.told_at = Some(now);
        let run = Run {
            container: self.id.clone(),
            name: self.name.clone(),
            since: self.since,
            until: self.until,
            phases: self.phases.clone(),
            gaps: self.gaps.clone(),
            tasks_max: self.tasks_max,
            memory_max: self.memory_max,
        };
        Some(Learned { workload, image_name, run, entries: std::mem::take(&mut self.fresh) })
    }
}

/// What is kept of a value.
fn shortened(value: String) -> String {
    if value.len() <= VALUE_MAX {
        return value;
    }
    let end = value.floor_char_boundary(VALUE_MAX);
    format!("{}…", value.get(..end).unwrap_or_default())
}

/// Paths of processes in `/proc` are of whatever process: its number says nothing.
fn without_numbers(path: String) -> String {
    let Some(rest) = path.strip_prefix("/proc/") else { return path };
    let is_number =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if !rest.split('/').next().is_some_and(|name| is_number(&name)) {
        return path;
    }
    let names: Vec<&str> =
        rest.split('/').map(|name| if is_number(&name) { "self" } else { name }).collect();
    format!("/proc/{}", names.join("/"))
}

fn origin(of: Origin) -> &'static str {
    match of {
        Origin::Unknown => "",
        Origin::Image => "image",
        Origin::Changed => "changed",
        Origin::Mounted => "mounted",
        Origin::Memory => "memory",
    }
}

/// Learns until it is told that that was all, in a thread of its own.
///
/// # Errors
/// The kernel's tables cannot be read.
pub(crate) fn learn(
    mut profiler: Profiler,
    clock: Clock,
    hints: &mpsc::Receiver<Hint>,
    keep: &queue::UnboundedSender<Vec<Lesson>>,
) -> Result<(), SensorError> {
    let mut learner = Learner::new(clock, profiler.gaps().clone(), Timestamp::now());
    let mut last: Option<Instant> = None;
    loop {
        profiler.next(WAIT, &mut |first| learner.first(first))?;
        let mut is_over = false;
        for hint in hints.try_iter() {
            is_over |= hint == Hint::End;
            learner.hint(hint);
        }
        if last.is_some_and(|at| at.elapsed() < BEAT) && !is_over {
            continue;
        }
        last = Some(Instant::now());
        let groups: Vec<(u64, String)> =
            learner.running().map(|(group, path)| (group, path.to_owned())).collect();
        for (group, path) in groups.iter().filter(|(_, path)| !path.is_empty()) {
            learner.measured(*group, sizes::tasks(path), sizes::memory(path));
        }
        for (group, path) in learner.unseeded() {
            learner.seed(group, seed::loaded(&path), Timestamp::now());
        }
        let (learned, gone) = learner.beat(profiler.used()?, Timestamp::now());
        profiler.forget(&gone)?;
        if !learned.is_empty() {
            let _ = keep.send(learned.into_iter().map(|one| learner.lesson(one)).collect());
        }
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
