//! Keeps what the monitor saw, and only then shows it: what was shown is in the store, unless it says that it is not. What
//! could not be kept is counted with the container's watch, which is written after it.
//!
//! It has a queue of its own, so that a slow disk or a slow terminal holds nobody else up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use haechi_core::activity::{Activity, Watch};
use haechi_core::alert::Alert;
use haechi_core::event::EventLine;
use haechi_core::response::Action;
use haechi_outputs::Outputs;
use haechi_store::{ActionId, AlertId, Store, StoreError};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Shown;
use crate::judge::Counts;

/// What waits to be kept.
pub(super) const WAITING: usize = 16_384;
/// Alerts of one transaction.
const AT_ONCE: usize = 512;
/// How often alerts are tried again while another process writes: the verification of a large host holds the database for
/// longer than one try waits.
const TRIES: usize = 5;

/// What is to be kept.
pub(super) enum Keep {
    /// An alert, with the action that answers it, and the action's number here.
    Alert(Box<Alert>, Option<(u64, Box<Action>)>),
    /// What became of an action.
    Action(u64, Box<Action>),
    /// What was done through the engine.
    Activity(Box<Activity>),
    /// How long containers were watched, and what was lost of them.
    Watches(Vec<Watch>),
    /// Nothing is kept of it: it is only shown.
    Event(Box<EventLine>),
}

/// An alert, with the number here of the action that answers it, and the action.
type Answered = (Alert, Option<(u64, Box<Action>)>);

/// Keeps and shows.
pub(super) struct Writer {
    pub store: Option<Store>,
    /// Numbers of actions in the store.
    pub known: HashMap<u64, ActionId>,
    pub show: Box<dyn FnMut(Shown<'_>) + Send>,
    pub outputs: Outputs,
    pub counts: Arc<Counts>,
    /// Watches that are not written yet, by container and beginning.
    pub unwritten: BTreeMap<(String, Timestamp), Watch>,
    /// Alerts that are on no record, by container: since which watch, and how many since then.
    pub missed: HashMap<String, (Timestamp, u64)>,
    /// Alerts, actions and activity that could not be kept.
    pub lost: u64,
}

impl Writer {
    /// Keeps and shows until nobody sends any more; how many could not be kept.
    pub async fn write(mut self, mut coming: mpsc::Receiver<Keep>) -> u64 {
        let mut batch = Vec::with_capacity(AT_ONCE);
        while coming.recv_many(&mut batch, AT_ONCE).await > 0 {
            let (mut alerts, mut activity, mut rest) = (Vec::new(), Vec::new(), Vec::new());
            for keep in batch.drain(..) {
                match keep {
                    Keep::Alert(alert, action) => alerts.push((*alert, action)),
                    Keep::Activity(one) => activity.push(*one),
                    other => rest.push(other),
                }
            }
            self.alerts(alerts).await;
            self.activity(&activity).await;
            for keep in rest {
                match keep {
                    Keep::Action(number, action) => self.action(number, &action).await,
                    Keep::Watches(watches) => self.watches(watches).await,
                    Keep::Event(event) => (self.show)(Shown::Event(&event)),
                    Keep::Alert(..) | Keep::Activity(_) => {}
                }
            }
        }
        let dropped = self.outputs.close().await;
        if dropped > 0 {
            tracing::warn!("{dropped} messages to the outside were dropped");
        }
        self.lost
    }

    /// Alerts in one transaction, each with the action that answers it.
    async fn alerts(&mut self, alerts: Vec<Answered>) {
        let (alerts, begun): (Vec<Alert>, Vec<_>) = alerts.into_iter().unzip();
        let ids = self.keep_alerts(&alerts).await;
        for (at, (alert, action)) in alerts.iter().zip(begun).enumerate() {
            let kept = ids.get(at).copied();
            (self.show)(Shown::Alert(alert, kept.is_some() || self.store.is_none()));
            self.outputs.alert(alert);
            let (Some((number, action)), Some(store)) = (action, &self.store) else { continue };
            match store.add_action(kept, &action).await {
                Ok(id) => drop(self.known.insert(number, id)),
                Err(error) => {
                    self.lost += 1;
                    tracing::error!("an action could not be kept: {error}");
                }
            }
        }
    }

    async fn keep_alerts(&mut self, alerts: &[Alert]) -> Vec<AlertId> {
        let Some(store) = &self.store else { return Vec::new() };
        let mut kept = store.add_alerts(alerts).await;
        for _ in 0..TRIES {
            if !matches!(kept, Err(StoreError::Locked { .. })) {
                break;
            }
            kept = store.add_alerts(alerts).await;
        }
        match kept {
            Ok(ids) => ids,
            Err(error) => {
                self.lost += alerts.len() as u64;
                alerts.iter().for_each(|alert| self.counts.unkept.add(&alert.container.id));
                tracing::error!("{} alerts could not be kept: {error}", alerts.len());
                Vec::new()
            }
        }
    }

    async fn action(&mut self, number: u64, action: &Action) {
        if let (Some(store), Some(id)) = (&self.store, self.known.get(&number))
            && let Err(error) = store.set_action(*id, action).await
        {
            self.lost += 1;
            tracing::error!("an action could not be kept: {error}");
        }
        (self.show)(Shown::Action(action));
        self.outputs.action(action);
    }

    async fn activity(&mut self, activity: &[Activity]) {
        if let Some(store) = &self.store
            && let Err(error) = store.add_activity(activity).await
        {
            self.lost += activity.len() as u64;
            self.counts.unkept.miss_activity();
            tracing::error!("activity of the engine could not be kept: {error}");
        }
    }

    /// Watches, with what could not be kept until now; what cannot be written is written with the next.
    async fn watches(&mut self, watches: Vec<Watch>) {
        for mut watch in watches {
            let new = self.counts.unkept.take(&watch.container);
            if new > 0 || self.missed.contains_key(&watch.container) {
                let missed = self.missed.entry(watch.container.clone()).or_default();
                let before = if missed.0 == watch.since { missed.1 } else { 0 };
                *missed = (watch.since, before + new);
                watch.lost += before + new;
            }
            watch.activity_missed = self.counts.unkept.missed_activity();
            self.unwritten.insert((watch.container.clone(), watch.since), watch);
        }
        let watches: Vec<Watch> = self.unwritten.values().cloned().collect();
        if let Some(store) = &self.store
            && let Err(error) = store.watched(&watches).await
        {
            tracing::error!("how long containers were watched could not be kept: {error}");
            return;
        }
        self.unwritten.clear();
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::alert::{ALERT_SCHEMA, AlertContainer, Priority};
    use haechi_core::event::{Action as Did, Event, Process};
    use haechi_outputs::Config;

    use super::*;

    fn alert() -> Alert {
        Alert {
            schema: ALERT_SCHEMA.into(),
            at: Timestamp::UNIX_EPOCH,
            rule: "r".into(),
            priority: Priority::Critical,
            text: String::new(),
            tags: Vec::new(),
            checks: Vec::new(),
            container: AlertContainer { id: "a".repeat(64), ..AlertContainer::default() },
            program: String::new(),
            command: String::new(),
            ancestors: Vec::new(),
            event: Event {
                at: 1,
                cgroup: 7,
                process: Process::default(),
                call: "execve".into(),
                result: 0,
                action: Did::Exit(0),
            },
        }
    }

    fn watch(since: i64, lost: u64) -> Watch {
        Watch {
            container: "a".repeat(64),
            since: Timestamp::from_second(since).unwrap(),
            from_start: true,
            until: Timestamp::from_second(since + 5).unwrap(),
            lost,
            activity_missed: false,
        }
    }

    #[tokio::test]
    async fn what_cannot_be_kept_counts_as_lost_of_its_container() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("good")).await.unwrap();
        let full = Store::open(&dir.path().join("full")).await.unwrap();
        full.clone().close().await;
        let counts = Arc::new(Counts::default());
        let mut writer = Writer {
            store: Some(store.clone()),
            known: HashMap::new(),
            show: Box::new(|_| {}),
            outputs: Outputs::new(Config::default()).await.unwrap(),
            counts: Arc::clone(&counts),
            unwritten: BTreeMap::new(),
            missed: HashMap::new(),
            lost: 0,
        };
        let kept = || async { store.watches(&["a".repeat(64)]).await.unwrap() };
        writer.alerts(vec![(alert(), None)]).await;
        writer.watches(vec![watch(1, 0)]).await;
        assert_eq!(kept().await, [watch(1, 0)]);
        // The disk is full: neither the alert is kept nor that it is not.
        writer.store = Some(full);
        writer.alerts(vec![(alert(), None)]).await;
        writer.watches(vec![watch(1, 2)]).await;
        assert_eq!(writer.lost, 1);
        // It has room again: then that is said, once for its stretch, and with what was counted elsewhere.
        writer.store = Some(store.clone());
        counts.unkept.add(&"a".repeat(64));
        writer.watches(vec![watch(1, 2)]).await;
        assert_eq!(kept().await, [watch(1, 4)]);
        writer.watches(vec![watch(1, 3)]).await;
        assert_eq!(kept().await, [watch(1, 5)]);
        counts.unkept.miss_activity();
        writer.watches(vec![watch(9, 0)]).await;
        let missed = Watch { activity_missed: true, ..watch(9, 0) };
        assert_eq!(kept().await, [watch(1, 5), missed]);
    }
}
