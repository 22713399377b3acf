//! What is known while the monitor runs, and what follows from what it is told. Nothing here waits: neither for the engine
//! nor for a disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use haechi_core::activity::{Activity, Watch};
use haechi_core::alert::Alert;
use haechi_core::policy::MonitorPolicy;
use haechi_core::profile::Phase;
use haechi_core::response::{Action, Outcome, Response};
use haechi_rules::Rules;
use haechi_sensor::{Because, Losses};
use jiff::Timestamp;
use tokio::sync::mpsc as queue;

use super::act::Actor;
use super::enforce::{Note, Ruled};
use super::engine::Told as Engine;
use super::forget::Forgetter;
use super::late::Late;
use super::profiles::Quiet;
use super::writer::Keep;
use super::{PATIENCE, clock, deny};
use crate::judge::{Begun, Counts, Order, Told};
use crate::learn::{Exec, Hint};
use crate::looks::Look;

/// A container that is watched.
pub(super) struct Known {
    pub id: String,
    pub name: String,
    pub since: Timestamp,
    pub from_start: bool,
    /// Events lost since it is there.
    pub lost: u64,
    /// How many of them are on record, and how many as those of an earlier stretch.
    pub lost_told: u64,
    pub lost_before: u64,
    pub path: String,
}

/// The tasks' ends, and what is known.
pub(super) struct Watcher {
    pub actor: Actor,
    pub orders: mpsc::Sender<Order>,
    pub looks: mpsc::SyncSender<Look>,
    pub names: queue::UnboundedSender<String>,
    pub keep: queue::Sender<Keep>,
    pub results: queue::UnboundedSender<(u64, Action)>,
    pub resumed: queue::UnboundedSender<(String, bool)>,
    pub deny: deny::Guard,
    pub known: BTreeMap<u64, Known>,
    /// Actions that last, by number.
    pub open: HashMap<u64, Action>,
    /// Containers of which the engine was asked to let them run again, and has not answered yet.
    pub resuming: HashSet<String>,
    /// When containers were let run again last, by the engine's clock.
    pub unpaused: HashMap<String, Timestamp>,
    /// Watches that the writer had no room for, by container and beginning.
    pub unsent: BTreeMap<(String, Timestamp), Watch>,
    pub number: u64,
    pub unkept: u64,
    /// Events for which there was no room.
    pub unshown: u64,
    /// Events lost of containers that are gone.
    pub lost: u64,
    pub listening: bool,
    pub counts: Arc<Counts>,
    pub forgetter: Option<Forgetter>,
    /// To whoever makes profiles.
    pub hints: mpsc::Sender<Hint>,
    /// To whoever says when profiles are settled.
    pub quiet: Quiet,
    /// To whoever keeps what profiles do not have.
    pub notes: queue::Sender<Note>,
    /// Programs that nobody could look at in time.
    pub late: Late,
}

impl Watcher {
    pub fn told(&mut self, what: Told, respond: bool) {
        match what {
            Told::Alert(alert, begun) => self.alert(alert, begun),
            Told::Came { cgroup, container, path, before } => {
                if respond {
                    self.recover(&path, before);
                }
                self.deny.came(cgroup, &container);
                let _ = self.names.send(container.clone());
                let _ = self.hints.send(Hint::Group(cgroup, path.clone()));
                let known = Known {
                    id: container,
                    name: String::new(),
                    since: Timestamp::now(),
                    from_start: !before && self.listening,
                    lost: 0,
                    lost_told: 0,
                    lost_before: 0,
                    path,
                };
                self.known.insert(cgroup, known);
            }
            Told::Went { cgroup, losses } => {
                // While it has a name.
                self.hear_late();
                self.deny.forget(cgroup);
                self.lost += losses.lost;
                if let Some(mut known) = self.known.remove(&cgroup) {
                    known.lost = losses.lost;
                    self.keep_watches([watch_of(&known, Timestamp::now())]);
                    self.over(&known.id);
                }
            }
            Told::Event(event) => self.keep(Keep::Event(event)),
            Told::Identify(event) => self.look(event),
            Told::Losses(at, losses) => self.losses(at, &losses),
        }
    }

    /// Has a program looked at; one that nobody has time for may be anything.
    fn look(&mut self, event: Box<haechi_core::event::Event>) {
        let known = self.known.get(&event.cgroup);
        let (container, group) =
            known.map(|known| (known.id.clone(), known.path.clone())).unwrap_or_default();
        if let Err(full) = self.looks.try_send(Look { event, container, group }) {
            let (mpsc::TrySendError::Full(look) | mpsc::TrySendError::Disconnected(look)) = full;
            self.counts.not_looked_at(&look.container);
        }
    }

    pub fn alert(&mut self, alert: Box<Alert>, begun: Option<Box<Begun>>) {
        let Some(begun) = begun else {
            self.keep(Keep::Alert(alert, None));
            return;
        };
        self.number += 1;
        let number = self.number;
        self.keep(Keep::Alert(alert, Some((number, Box::new(begun.action.clone())))));
        self.open.insert(number, begun.action.clone());
        let (actor, results) = (self.actor.clone(), self.results.clone());
        tokio::spawn(async move {
            let between = |action: &Action| drop(results.send((number, action.clone())));
            let action = actor.finish(*begun, between).await;
            let _ = results.send((number, action));
        });
    }

    pub fn result(&mut self, number: u64, mut action: Action) {
        // Somebody was quicker than the evidence.
        let resumed = self.unpaused.get(&action.container.id).is_some_and(|at| *at > action.at);
        if action.response == Response::Pause && action.outcome == Outcome::Done && resumed {
            let _ = self.orders.send(Order::Over(action.container.id.clone()));
            action.outcome = Outcome::Ended;
        }
        self.keep(Keep::Action(number, Box::new(action.clone())));
        let lasts = matches!(action.response, Response::Pause | Response::Isolate);
        if lasts && matches!(action.outcome, Outcome::Begun | Outcome::Done) {
            self.open.insert(number, action);
        } else {
            self.open.remove(&number);
        }
    }

    pub fn keep(&mut self, what: Keep) {
        // A disk that is too slow or a reader that does not read: what is lost is counted and said at the end.
        if let Err(full) = self.keep.try_send(what) {
            let full = full.into_inner();
            if matches!(full, Keep::Event(_)) {
                self.unshown += 1;
                return;
            }
            self.unkept += 1;
            match full {
                Keep::Alert(alert, _) => self.counts.unkept.add(&alert.container.id),
                Keep::Activity(_) => self.counts.unkept.miss_activity(),
                _ => {}
            }
        }
    }

    pub fn engine(&mut self, what: Engine) {
        match what {
            Engine::Container(container) => {
                let mut is_there = false;
                for (cgroup, known) in &mut self.known {
                    if known.id == container.id {
                        is_there = true;
                        known.name.clone_from(&container.name);
                        let pids = || self.actor.hands.processes(&known.path);
                        self.deny.watch(*cgroup, &container, pids);
                    }
                }
                if !is_there {
                    self.deny.made(&container);
                }
                let _ = self.hints.send(Hint::Container(container.clone()));
                let _ = self.orders.send(Order::Learn(container));
            }
            Engine::Activity(activity) => self.activity(activity),
            Engine::Checked(id) => drop(self.hints.send(Hint::Phase(id, Phase::HealthCheck))),
            Engine::Listening => {
                self.listening = true;
                // What was done through the engine before is not known.
                for known in self.known.values_mut() {
                    known.since = Timestamp::now();
                    known.from_start = false;
                    known.lost_before = known.lost_told;
                }
                self.beat();
            }
            Engine::Gone => self.listening = false,
        }
    }

    pub fn activity(&mut self, activity: Box<Activity>) {
        self.counts.metrics.counts.activity.fetch_add(1, Ordering::Relaxed);
        // An image's name may have changed meanwhile, a container's as well.
        if activity.action == "rename" {
            let _ = self.names.send(activity.id.clone());
        }
        // What it starts first is over by the time at which the engine is asked what it is.
        if activity.kind == "container" && activity.action == "create" && self.deny.has_rules() {
            let _ = self.names.send(activity.id.clone());
        }
        if activity.action == "destroy" {
            self.deny.unmade(&activity.id);
        }
        if activity.action == "exec_start" {
            let command =
                activity.exec.as_ref().map(|exec| exec.command.clone()).unwrap_or_default();
            let _ =
                self.hints.send(Hint::Exec(activity.id.clone(), Exec { at: activity.at, command }));
        }
        if activity.kind == "container" && activity.action == "unpause" {
            self.unpaused.insert(activity.id.clone(), activity.at);
            self.ended(&activity.id, Response::Pause);
        }
        self.keep(Keep::Activity(activity));
    }

    /// Somebody took back what lasted, or its container is gone.
    pub fn ended(&mut self, container: &str, response: Response) {
        let which: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, action)| action.container.id == container && action.response == response)
            .filter(|(_, action)| action.outcome == Outcome::Done)
            .map(|(number, _)| *number)
            .collect();
        for number in which {
            if let Some(mut action) = self.open.remove(&number) {
                let _ = self.orders.send(Order::Over(container.to_owned()));
                action.outcome = Outcome::Ended;
                self.keep(Keep::Action(number, Box::new(action)));
            }
        }
    }

    pub fn over(&mut self, container: &str) {
        self.unpaused.remove(container);
        self.ended(container, Response::Pause);
        self.ended(container, Response::Isolate);
        self.actor.rejoin(container);
    }

    pub fn renew(&mut self, rules: Rules, policy: MonitorPolicy, respond: bool) {
        let refuses = respond && !policy.dry_run;
        self.deny.refuse(refuses);
        self.deny.use_names(if refuses { &policy.denied_programs } else { &[] });
        if let Some(forgetter) = &mut self.forgetter {
            forgetter.use_policy(&policy);
        }
        self.quiet.use_policy(&policy);
        self.counts.metrics.counts.rules.store(rules.running().len() as u64, Ordering::Relaxed);
        let _ = self.orders.send(Order::Use(Box::new(rules), Box::new(policy)));
    }

    /// Other rules for what containers may do.
    pub fn use_rules(&mut self, ruled: Vec<Ruled>) {
        self.deny.use_rules(ruled);
        self.tell_guarded();
    }

    /// Has it kept what is really enforced.
    fn tell_guarded(&self) {
        let guarded = self.deny.guarded(Timestamp::now());
        if !guarded.is_empty() {
            // A queue that is full has one that is hardly older.
            let _ = self.notes.try_send(Note::Guarded(guarded));
        }
    }

    pub fn refused(&mut self, refusals: Vec<haechi_sensor::Refusal>) {
        for refusal in refusals {
            let known = self.known.get(&refusal.cgroup);
            let (id, name) =
                known.map(|known| (known.id.clone(), known.name.clone())).unwrap_or_default();
            if refusal.because != Because::Name {
                if let Some(profile) = self.deny.rule_of(refusal.cgroup)
                    && self.notes.try_send(Note::Refused { profile, id, name, refusal }).is_err()
                {
                    self.unkept += 1;
                }
                continue;
            }
            let (alert, action) = deny::alert(&refusal, id, name, clock());
            self.counts.alerts.fetch_add(1, Ordering::Relaxed);
            self.number += 1;
            let begun = Some((self.number, Box::new(action.clone())));
            self.keep(Keep::Alert(Box::new(alert), begun));
            self.keep(Keep::Action(self.number, Box::new(action)));
        }
    }

    /// Takes up which programs nobody could look at in time.
    fn hear_late(&mut self) {
        for (cgroup, unlooked) in self.deny.unlooked() {
            let known = self.known.get(&cgroup);
            let (id, name) =
                known.map(|known| (known.id.clone(), known.name.clone())).unwrap_or_default();
            self.late.add(cgroup, id, name, unlooked);
        }
    }

    /// Asks how long containers were watched, and takes back what is due.
    pub fn beat(&mut self) {
        let _ = self.orders.send(Order::Losses);
        self.tell_guarded();
        self.hear_late();
        for alert in self.late.due(Instant::now(), Timestamp::now(), clock()) {
            self.counts.alerts.fetch_add(1, Ordering::Relaxed);
            self.keep(Keep::Alert(Box::new(alert), None));
        }
        if let Some(forgetter) = &mut self.forgetter {
            forgetter.beat(&self.actor, || self.known.values().map(|one| one.id.clone()).collect());
        }
        let now = Timestamp::now();
        let due = self.open.values().filter(|action| {
            action.outcome == Outcome::Done && action.until.is_some_and(|until| until <= now)
        });
        let due: Vec<(String, Response)> =
            due.map(|action| (action.container.id.clone(), action.response)).collect();
        for (id, response) in due {
            match response {
                Response::Pause if self.resuming.insert(id.clone()) => {
                    let (actor, resumed) = (self.actor.clone(), self.resumed.clone());
                    tokio::spawn(async move {
                        let result = actor.resume(&id).await;
                        if let Err(error) = &result {
                            tracing::warn!("{id} cannot be resumed: {error}");
                        }
                        let _ = resumed.send((id, result.is_ok()));
                    });
                }
                // The engine was asked, and has not answered yet.
                Response::Pause => {}
                _ => {
                    self.actor.rejoin(&id);
                    self.ended(&id, Response::Isolate);
                }
            }
        }
    }

    /// The engine was asked to let a container run again, and did or did not: then it is asked again at the next beat.
    pub fn resumed(&mut self, container: &str, done: bool) {
        self.resuming.remove(container);
        if done {
            self.ended(container, Response::Pause);
        }
    }

    fn losses(&mut self, at: Timestamp, losses: &BTreeMap<u64, Losses>) {
        for (cgroup, losses) in losses {
            if let Some(known) = self.known.get_mut(cgroup) {
                known.lost = losses.lost;
            }
        }
        let counts = &self.counts.metrics.counts;
        counts.containers.store(self.known.len() as u64, Ordering::Relaxed);
        let lost: u64 = losses.values().map(|losses| losses.lost).sum();
        counts.lost.store(self.lost + lost, Ordering::Relaxed);
        // Without the engine's events nothing can be said of what was done through it.
        if self.listening {
            for known in self.known.values_mut() {
                known.lost_told = known.lost;
            }
            let watches = self.known.values().map(|known| watch_of(known, at));
            let watches: Vec<Watch> = watches.collect();
            self.keep_watches(watches);
        }
    }

    /// Has it kept how long containers were watched: after all alerts of before, so that it never says more than is kept.
    fn keep_watches(&mut self, watches: impl IntoIterator<Item = Watch>) {
        let by_beginning = |watch: Watch| ((watch.container.clone(), watch.since), watch);
        self.unsent.extend(watches.into_iter().map(by_beginning));
        if !self.unsent.is_empty()
            && let Ok(place) = self.keep.try_reserve()
        {
            let watches = std::mem::take(&mut self.unsent).into_values().collect();
            place.send(Keep::Watches(watches));
        }
    }

    /// Waits for the actions that are under way.
    pub async fn finish(&mut self, resulted: &mut queue::UnboundedReceiver<(u64, Action)>) {
        let end = tokio::time::sleep(PATIENCE);
        tokio::pin!(end);
        while self.open.values().any(|action| action.outcome == Outcome::Begun) {
            tokio::select! {
                () = &mut end => break,
                Some((number, action)) = resulted.recv() => self.result(number, action),
            }
        }
        while let Ok((number, action)) = resulted.try_recv() {
            self.result(number, action);
        }
    }
}

fn watch_of(known: &Known, until: Timestamp) -> Watch {
    Watch {
        container: known.id.clone(),
        since: known.since,
        from_start: known.from_start,
        until,
        lost: known.lost.saturating_sub(known.lost_before),
        // The writer knows.
        activity_missed: false,
    }
}

#[cfg(test)]
mod tests;
