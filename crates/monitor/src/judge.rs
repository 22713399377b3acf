//! The thread that reads the kernel's rings, judges each event, and acts at once where the policy says so.
//!
//! It never waits for the engine, the store or a reader of alerts: what takes longer than a signal goes on in
//! [`crate::watch`]. A program that the kernel held is let go on here, unless something is done about it.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use haechi_core::alert::Alert;
use haechi_core::event::{Action as Did, Event, EventLine};
use haechi_core::policy::MonitorPolicy;
use haechi_core::response::{Action, Outcome, Response};
use haechi_outputs::Metrics;
use haechi_rules::Rules;
use haechi_sensor::{Losses, Record, SensorError};
use jiff::Timestamp;
use tokio::sync::mpsc as told;

use crate::container::Container;
use crate::hands::{Hands, Parent, Signal};
use crate::identity::Identity;
use crate::monitor::{Judged, Monitor};
use crate::redact::redacted;
use crate::respond::Responder;
use crate::running;
use crate::source::Source;
use crate::throttle::Throttle;
use crate::unkept::Unkept;

/// How long the thread waits for records before it looks at its orders.
const PATIENCE: Duration = Duration::from_millis(20);
/// Precedence of the thread (nice(2)).
const NICE: i32 = -10;
/// When it is looked whether the parent of a program that was held stopped itself with it, as `su` and `sudo` do.
const PARENT_LOOKS: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1)];
/// How long it waits for a frozen container to stand still.
const STILL: Duration = Duration::from_millis(2);

/// What the thread is told.
pub enum Order {
    /// What the engine says about a container.
    Learn(Box<Container>),
    /// Other rules and another policy from now on.
    Use(Box<Rules>, Box<MonitorPolicy>),
    /// What the program of an event was found to be.
    Identified(Box<Event>, Box<Identity>),
    /// An event that somebody else saw: what a monitor before this one held.
    Judge(Box<Event>),
    /// What was done to a container was taken back, or it is gone.
    Over(String),
    /// Tell the losses of all containers.
    Losses,
    /// Let all go on that is held, and end.
    End,
}

/// What the thread tells.
pub enum Told {
    /// A rule matched; with what was done, or withheld.
    Alert(Box<Alert>, Option<Box<Begun>>),
    /// A container is there.
    Came {
        /// Control group.
        cgroup: u64,
        /// Full id.
        container: String,
        /// Path of its control group.
        path: String,
        /// Whether it was there when the monitor began.
        before: bool,
    },
    /// A container is gone.
    Went {
        /// Control group.
        cgroup: u64,
        /// What was lost of it.
        losses: Losses,
    },
    /// An event, if all are told.
    Event(Box<EventLine>),
    /// A program whose content should be looked at.
    Identify(Box<Event>),
    /// Losses of each control group until this moment; all alerts of before were told before.
    Losses(Timestamp, std::collections::BTreeMap<u64, Losses>),
}

/// An action that was begun, and what is needed to go on with it.
pub struct Begun {
    /// The action.
    pub action: Action,
    /// Path of the container's control group.
    pub group: String,
    /// The program that did it, if it is held: its id and start.
    pub held: Option<(u32, u64)>,
    /// When the event was, in nanoseconds since the machine started.
    pub at: u64,
}

/// What the monitor counts of itself, beside its metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Alerts.
    pub alerts: AtomicU64,
    /// Alerts of which there were too many of one kind, or for which there was no room.
    pub suppressed: AtomicU64,
    /// Programs that nobody could look at: they may have been anything.
    pub unlooked: AtomicU64,
    /// What is on no record, by container.
    pub unkept: Unkept,
    /// What is offered to others.
    pub metrics: Arc<Metrics>,
}

impl Counts {
    /// A program of a container (its full id) that nobody could look at; the container proves nothing by silence.
    pub fn not_looked_at(&self, container: &str) {
        self.unlooked.fetch_add(1, Ordering::Relaxed);
        self.unkept.add(container);
    }
}

/// The thread's state.
pub struct Judge {
    /// The kernel's side.
    pub sensor: Source,
    /// What is known, and the rules.
    pub monitor: Monitor,
    /// What is done.
    pub responder: Responder,
    /// Does it.
    pub hands: Hands,
    /// Orders.
    pub orders: mpsc::Receiver<Order>,
    /// Where it tells.
    pub told: told::Sender<Told>,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// Keeps one rule from drowning all others.
    pub throttle: Throttle,
    /// Processes whose program is held.
    pub held: HashMap<u32, Held>,
    /// Parents of programs that were let go on, and when they are looked at.
    pub parents: Vec<(Instant, Parent)>,
}

/// A process whose program is held.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// When it was started, in nanoseconds since the machine started.
    pub started: u64,
    /// Its control group.
    pub cgroup: u64,
}

impl Held {
    const fn of(event: &Event) -> Self {
        Self { started: event.process.started, cgroup: event.cgroup }
    }
}

/// What was lost when it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Events that were lost, of whatever container.
    pub lost: u64,
}

impl Judge {
    /// Runs until it is told to end.
    ///
    /// # Errors
    /// The kernel cannot be read any more.
    pub fn run(mut self) -> Result<Ended, SensorError> {
        self.hold()?;
        // A busy machine must not make it late: it has little to do, and that at once.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!("the judging thread has no precedence: {error}");
        }
        // Nor must the kernel put its short sleeps together with others' (50 µs by default).
        if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
            tracing::debug!("the judging thread sleeps longer than it asks for: {error}");
        }
        let mut gone = 0;
        let mut began = true;
        let mut batch = Vec::new();
        loop {
            self.sensor.next_batch(PATIENCE, &mut |record| batch.push(record))?;
            for record in batch.drain(..) {
                gone += self.record(record, began);
            }
            began = false;
            let judged = self.monitor.tick(Instant::now());
            self.answer(judged);
            self.continue_parents();
            loop {
                match self.orders.try_recv() {
                    Ok(Order::End) | Err(mpsc::TryRecvError::Disconnected) => {
                        return self.end(gone);
                    }
                    Ok(order) => self.order(order)?,
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
        }
    }

    fn end(mut self, gone: u64) -> Result<Ended, SensorError> {
        // First no more are held, then those that are go on.
        self.sensor.hold(&[])?;
        let mut batch = Vec::new();
        self.sensor.next_batch(Duration::ZERO, &mut |record| batch.push(record))?;
        let mut gone = gone;
        for record in batch {
            gone += self.record(record, false);
        }
        let judged = self.monitor.rest();
        self.answer(judged);
        for (pid, held) in std::mem::take(&mut self.held) {
            self.let_go(pid, held.started);
        }
        let missed = self.sensor.missed()?;
        let losses = self.sensor.losses()?;
        let present: u64 = losses.values().map(|losses| losses.lost).sum();
        self.tell(Told::Losses(Timestamp::now(), losses));
        Ok(Ended { lost: gone + present + missed.life + missed.groups + missed.unread })
    }

    fn hold(&mut self) -> Result<(), SensorError> {
        let names: Vec<String> =
            self.responder.held_names(self.monitor.rules()).into_iter().collect();
        self.sensor.hold(&names)
    }

    fn order(&mut self, order: Order) -> Result<(), SensorError> {
        match order {
            Order::Learn(container) => {
                let judged = self.monitor.learn(&container);
                self.answer(judged);
            }
            Order::Use(rules, policy) => {
                self.monitor.use_rules(*rules);
                self.responder.use_policy(*policy);
                self.hold()?;
            }
            Order::Identified(event, found) => {
                let judged = self.monitor.identified(&event, &found);
                self.answer(vec![judged]);
            }
            Order::Judge(event) => {
                self.held.insert(event.process.pid, Held::of(&event));
                let judged = self.monitor.see(*event, Instant::now());
                self.answer(judged);
            }
            Order::Over(container) => self.responder.over(&container),
            Order::Losses => {
                let losses = self.sensor.losses()?;
                self.tell(Told::Losses(Timestamp::now(), losses));
            }
            Order::End => {}
        }
        Ok(())
    }

    /// Takes a record; how much was lost of a container that is gone.
    fn record(&mut self, record: Record, before: bool) -> u64 {
        match record {
            // A container that may make groups can name one like another container: it stays what it is in.
            Record::New { cgroup, outer: Some(outer), .. } => {
                self.monitor.containers.inside(cgroup, outer);
                0
            }
            Record::New { cgroup, container, path, outer: None } => {
                self.monitor.containers.begin(cgroup, &container, &path, 0);
                self.tell(Told::Came { cgroup, container, path, before });
                0
            }
            Record::Gone { cgroup, losses, .. } => {
                self.monitor.containers.end(cgroup);
                self.tell(Told::Went { cgroup, losses });
                losses.lost
            }
            Record::Event(seen) => {
                self.counts.metrics.counts.events.fetch_add(1, Ordering::Relaxed);
                let event = seen.event;
                let at = event.at;
                if let Did::Exec(exec) = &event.action {
                    if exec.held {
                        self.held.insert(event.process.pid, Held::of(&event));
                    }
                    if self.monitor.wants_identity(&event) {
                        self.tell(Told::Identify(Box::new(event.clone())));
                    }
                }
                let judged = self.monitor.see(event, Instant::now());
                self.answer(judged);
                if let Some(latency) = since(at) {
                    self.counts.metrics.latency(latency);
                }
                0
            }
        }
    }

    /// Acts on what was judged, and tells it.
    fn answer(&mut self, judged: Vec<Judged>) {
        for one in judged {
            if let Some(line) = one.event {
                self.tell(Told::Event(line));
            }
            let mut kept = false;
            for alert in one.alerts {
                let begun = self.act(&alert).map(Box::new);
                kept |= begun.as_ref().is_some_and(|begun| begun.held.is_some());
                self.alert(alert, begun);
            }
            if kept {
                self.held.remove(&one.pid);
            } else if let Some(held) = self.held.remove(&one.pid) {
                self.let_go(one.pid, held.started);
                let now = Instant::now();
                let parent = self.parent(one.pid, held);
                let looks = PARENT_LOOKS.iter().map(|after| now + *after);
                self.parents.extend(looks.filter_map(|at| Some((at, parent.clone()?))));
            }
        }
    }

    /// The parent of a process that was held: a process of the same container that is there no shorter than its child.
    fn parent(&self, pid: u32, held: Held) -> Option<Parent> {
        let parent = self.monitor.tree.get(pid)?.parent;
        let group = self.monitor.containers.get(held.cgroup)?.path.clone();
        let started = running::started(parent).filter(|started| *started <= held.started)?;
        Some(Parent { pid: parent, started, group })
    }

    /// A parent that waits for stopped children (`WUNTRACED`) may have stopped itself: what was held goes on, so does it.
    fn continue_parents(&mut self) {
        if self.parents.is_empty() {
            return;
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.parents).into_iter().partition(|(at, _)| *at <= now);
        self.parents = later;
        for (_, parent) in due {
            self.hands.continue_stopped(&parent);
        }
    }

    fn let_go(&self, pid: u32, started: u64) {
        if let Err(error) = self.hands.signal(pid, started, Signal::CONT) {
            tracing::warn!("process {pid} was held and cannot be continued: {error}");
        }
    }

    /// Does what has to be done at once.
    fn act(&mut self, alert: &Alert) -> Option<Begun> {
        let mut action = self.responder.decide(alert, Instant::now())?;
        let event = &alert.event;
        let (pid, started) = (event.process.pid, event.process.started);
        let held = self.held.get(&pid).map(|held| (pid, held.started));
        let group = self.monitor.containers.get(event.cgroup).map(|known| known.path.clone());
        let group = group.unwrap_or_default();
        action.speed.seen_us = since(event.at);
        action.speed.before_first_instruction = held.is_some();
        let acted = action.outcome == Outcome::Begun;
        if acted {
            let done = match action.response {
                Response::Kill | Response::Deny => {
                    self.hands.signal(pid, started, Signal::KILL).map(|there| {
                        action.outcome = if there { Outcome::Done } else { gone() };
                    })
                }
                Response::Pause | Response::Stop => self.hands.freeze(&group).map(|()| {
                    self.hands.wait_frozen(&group, STILL);
                }),
                Response::Isolate | Response::Alert => Ok(()),
            };
            match done {
                Ok(()) => {
                    action.speed.stopped_us = since(event.at);
                    let effect = now().unwrap_or(event.at);
                    self.responder.took_effect(&action.container.id, action.response, effect);
                }
                // The engine may still do it: its answer decides.
                Err(error) => tracing::warn!("{} of {group}: {error}", action.response.name()),
            }
        }
        let held = held.filter(|_| acted && action.outcome == Outcome::Begun);
        Some(Begun { action, group, held, at: event.at })
    }

    fn alert(&mut self, alert: Alert, begun: Option<Box<Begun>>) {
        self.counts.alerts.fetch_add(1, Ordering::Relaxed);
        if let Some(mut begun) = begun {
            let alert = redacted(alert);
            begun.action.cause.clone_from(&alert.text);
            self.tell(Told::Alert(Box::new(alert), Some(begun)));
            return;
        }
        // Nobody may drown the others' alerts, nor make this thread wait.
        let container = alert.container.id.clone();
        let passed = self.throttle.passes(&alert.rule, &container, Instant::now());
        let told = |alert| Told::Alert(Box::new(redacted(alert)), None);
        if !passed || self.told.try_send(told(alert)).is_err() {
            self.counts.suppressed.fetch_add(1, Ordering::Relaxed);
            self.counts.unkept.add(&container);
        }
    }

    /// Tells what must not be lost; it is little, and who takes it takes it quickly.
    fn tell(&self, what: Told) {
        // Nobody takes it any more: this is the end.
        let _ = self.told.blocking_send(what);
    }
}

const fn gone() -> Outcome {
    Outcome::Withheld(haechi_core::response::Withheld::Gone)
}

/// Microseconds since a moment of the machine's clock.
pub fn since(at: u64) -> Option<u64> {
    Some(now()?.checked_sub(at)? / 1000)
}

/// Nanoseconds since the machine started.
pub fn now() -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Some(u64::try_from(now.tv_sec).ok()? * 1_000_000_000 + u64::try_from(now.tv_nsec).ok()?)
}
