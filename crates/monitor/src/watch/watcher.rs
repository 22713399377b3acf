//! What is known while the monitor runs, and what follows from what it is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use haechi_core::activity::{Activity, Watch};
use haechi_core::alert::Alert;
use haechi_core::event::Event;
use haechi_core::policy::MonitorPolicy;
use haechi_core::response::{Action, Outcome, Response};
use haechi_outputs::Metrics;
use haechi_rules::Rules;
use haechi_sensor::Losses;
use haechi_store::Store;
use jiff::Timestamp;
use tokio::sync::mpsc as queue;

use super::act::Actor;
use super::engine::Told as Engine;
use super::writer::Keep;
use super::{PATIENCE, clock, deny};
use crate::judge::{Begun, Counts, Order, Told};

/// A container that is watched.
pub(super) struct Known {
    pub id: String,
    pub name: String,
    pub since: Timestamp,
    pub from_start: bool,
    pub lost: u64,
    pub path: String,
}

/// The tasks' ends, and what is known.
pub(super) struct Watcher {
    pub actor: Actor,
    pub orders: mpsc::Sender<Order>,
    pub looks: mpsc::SyncSender<Box<Event>>,
    pub names: queue::UnboundedSender<String>,
    pub keep: queue::Sender<Keep>,
    pub results: queue::UnboundedSender<(u64, Action)>,
    pub store: Option<Store>,
    pub deny: deny::Guard,
    pub known: BTreeMap<u64, Known>,
    /// Actions that last, by number.
    pub open: HashMap<u64, Action>,
    /// When containers were let run again last, by the engine's clock.
    pub unpaused: HashMap<String, Timestamp>,
    pub number: u64,
    pub unkept: u64,
    /// Events lost of containers that are gone.
    pub lost: u64,
    pub listening: bool,
    /// Whether something that was done through the engine could not be kept.
    pub activity_missed: bool,
    pub metrics: Arc<Metrics>,
}

impl Watcher {
    pub async fn told(&mut self, what: Told, respond: bool) {
        match what {
            Told::Alert(alert, begun) => self.alert(alert, begun),
            Told::Came { cgroup, container, path, before } => {
                if respond {
                    self.recover(&path, before);
                }
                let _ = self.names.send(container.clone());
                let known = Known {
                    id: container,
                    name: String::new(),
                    since: Timestamp::now(),
                    from_start: !before && self.listening,
                    lost: 0,
                    path,
                };
                self.known.insert(cgroup, known);
            }
            Told::Went { cgroup, losses } => {
                self.deny.forget(cgroup);
                self.lost += losses.lost;
                if let Some(mut known) = self.known.remove(&cgroup) {
                    known.lost = losses.lost;
                    self.keep_watches(vec![watch_of(&known, self.activity_missed)]).await;
                    self.over(&known.id);
                }
            }
            // Looks that nobody has time for are of programs that were not known by name either.
            Told::Event(event) => self.keep(Keep::Event(event)),
            Told::Identify(event) => drop(self.looks.try_send(event)),
            Told::Losses(losses) => self.losses(&losses).await,
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
        if self.keep.try_send(what).is_err() {
            self.unkept += 1;
        }
    }

    pub async fn engine(&mut self, what: Engine) {
        match what {
            Engine::Container(container) => {
                for (cgroup, known) in &mut self.known {
                    if known.id == container.id {
                        known.name.clone_from(&container.name);
                        let pids = || self.actor.hands.processes(&known.path);
                        self.deny.watch(*cgroup, &container.merged, pids);
                    }
                }
                let _ = self.orders.send(Order::Learn(container));
            }
            Engine::Activity(activity) => self.activity(&activity).await,
            Engine::Listening => {
                self.listening = true;
                // What was done through the engine before is not known.
                for known in self.known.values_mut() {
                    known.since = Timestamp::now();
                    known.from_start = false;
                }
                self.beat().await;
            }
            Engine::Gone => self.listening = false,
        }
    }

    pub async fn activity(&mut self, activity: &Activity) {
        self.metrics.counts.activity.fetch_add(1, Ordering::Relaxed);
        if let Some(store) = &self.store
            && let Err(error) = store.add_activity(std::slice::from_ref(activity)).await
        {
            self.unkept += 1;
            self.activity_missed = true;
            tracing::error!("activity of the engine could not be kept: {error}");
        }
        // An image's name may have changed meanwhile, a container's as well.
        if activity.action == "rename" {
            let _ = self.names.send(activity.id.clone());
        }
        if activity.kind == "container" && activity.action == "unpause" {
            self.unpaused.insert(activity.id.clone(), activity.at);
            self.ended(&activity.id, Response::Pause);
        }
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

    pub fn renew(&mut self, rules: Rules, policy: MonitorPolicy) {
        self.deny.use_names(&policy.denied_programs);
        self.metrics.counts.rules.store(rules.running().len() as u64, Ordering::Relaxed);
        let _ = self.orders.send(Order::Use(Box::new(rules), Box::new(policy)));
    }

    pub fn refused(&mut self, refusals: Vec<haechi_sensor::Refusal>, counts: &Counts) {
        for refusal in refusals {
            let known = self.known.get(&refusal.cgroup);
            let (id, name) =
                known.map(|known| (known.id.clone(), known.name.clone())).unwrap_or_default();
            let (alert, action) = deny::alert(&refusal, id, name, clock());
            counts.alerts.fetch_add(1, Ordering::Relaxed);
            self.number += 1;
            let begun = Some((self.number, Box::new(action.clone())));
            self.keep(Keep::Alert(Box::new(alert), begun));
            self.keep(Keep::Action(self.number, Box::new(action)));
        }
    }

    /// Keeps how long containers were watched, and takes back what is due.
    pub async fn beat(&mut self) {
        let _ = self.orders.send(Order::Losses);
        let now = Timestamp::now();
        let due = self.open.values().filter(|action| {
            action.outcome == Outcome::Done && action.until.is_some_and(|until| until <= now)
        });
        let due: Vec<(String, Response)> =
            due.map(|action| (action.container.id.clone(), action.response)).collect();
        for (id, response) in due {
            match response {
                Response::Pause => match self.actor.resume(&id).await {
                    Ok(()) => self.ended(&id, Response::Pause),
                    Err(error) => tracing::warn!("{id} cannot be resumed: {error}"),
                },
                _ => {
                    self.actor.rejoin(&id);
                    self.ended(&id, Response::Isolate);
                }
            }
        }
    }

    pub async fn losses(&mut self, losses: &BTreeMap<u64, Losses>) {
        for (cgroup, losses) in losses {
            if let Some(known) = self.known.get_mut(cgroup) {
                known.lost = losses.lost;
            }
        }
        let counts = &self.metrics.counts;
        counts.containers.store(self.known.len() as u64, Ordering::Relaxed);
        let lost: u64 = losses.values().map(|losses| losses.lost).sum();
        counts.lost.store(self.lost + lost, Ordering::Relaxed);
        // Without the engine's events nothing can be said of what was done through it.
        if self.listening {
            let missed = self.activity_missed;
            let watches = self.known.values().map(|known| watch_of(known, missed)).collect();
            self.keep_watches(watches).await;
        }
    }

    pub async fn keep_watches(&self, watches: Vec<Watch>) {
        if let Some(store) = &self.store
            && let Err(error) = store.watched(&watches).await
        {
            tracing::error!("how long containers were watched could not be kept: {error}");
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

fn watch_of(known: &Known, activity_missed: bool) -> Watch {
    Watch {
        container: known.id.clone(),
        since: known.since,
        from_start: known.from_start,
        until: Timestamp::now(),
        lost: known.lost,
        activity_missed,
    }
}
