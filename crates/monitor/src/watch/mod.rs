//! The whole monitor at work: the kernel's events judged in a thread of their own, names and activity from the engine,
//! responses carried through, everything kept and shown.
//!
//! Data goes one way: kernel → [`crate::judge`] → here → store → whoever is shown. Nothing here is waited for by the
//! judging thread. After a kill it takes up what was open: see [`recover`].

mod act;
mod deny;
mod engine;
mod recover;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use haechi_core::activity::{Activity, Watch};
use haechi_core::alert::Alert;
use haechi_core::event::Event;
use haechi_core::policy::MonitorPolicy;
use haechi_core::response::{Action, Outcome, Response};
use haechi_rules::Rules;
use haechi_sensor::{Ability, Losses, Options, Sensor, SensorError};
use haechi_store::{Store, StoreError};
use jiff::Timestamp;
use tokio::sync::mpsc as queue;

pub use act::Connect;

use crate::hands::Hands;
use crate::judge::{Begun, Counts, Ended, Judge, Order, Told, identify};
use crate::respond::Responder;
use crate::throttle::Throttle;
use crate::{Clock, Monitor, Watched, hands, running};
use act::Actor;
use engine::Told as Engine;
use writer::Keep;

/// Records that may wait here; alerts beyond are counted and not told.
const WAITING: usize = 65_536;
/// Programs that may wait for a look at their content.
const LOOKS: usize = 10_000;
/// How often it is kept how long containers were watched, and looked for what is due.
const BEAT: Duration = Duration::from_secs(5);
/// How long the actions that are under way may take at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the monitor works with.
pub struct Setup {
    /// Rules.
    pub rules: Rules,
    /// What is done about alerts.
    pub policy: MonitorPolicy,
    /// Whether anything is done about alerts at all.
    pub respond: bool,
    /// Name of this machine.
    pub host: String,
    /// The container that this process runs in.
    pub own: Option<String>,
    /// Makes connections to the engine.
    pub engine: Connect,
    /// Where things are kept; without it they are only shown.
    pub store: Option<Store>,
    /// Other rules and another policy, when they come.
    pub renewed: queue::Receiver<(Rules, MonitorPolicy)>,
    /// To whom alerts and actions are shown, after they were kept.
    pub show: Box<dyn FnMut(Shown<'_>) + Send>,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// Whether all events are shown, not only what rules say about them.
    pub events: bool,
}

/// What is shown.
pub enum Shown<'a> {
    /// An alert, and whether it is kept or was not meant to be.
    Alert(&'a Alert, bool),
    /// What came of an action, or how far it is.
    Action(&'a Action),
    /// An event, if all are to be shown.
    Event(&'a Event),
}

/// What was done until the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Alerts.
    pub alerts: u64,
    /// Events of the kernel that were lost.
    pub lost: u64,
    /// Alerts of which there were too many.
    pub suppressed: u64,
    /// Alerts and actions that could not be kept.
    pub unkept: u64,
}

/// Why there is no monitor, or no more.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The kernel's side.
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of our own lists is broken.
    #[error("the list of watched files: {0}")]
    List(#[from] serde_norway::Error),
    /// A thread ended that should not have.
    #[error("the thread that judges events failed")]
    Thread,
}

/// A container that is watched.
struct Known {
    id: String,
    name: String,
    since: Timestamp,
    from_start: bool,
    lost: u64,
    path: String,
}

/// The tasks' ends, and what is known.
struct Watcher {
    actor: Actor,
    orders: mpsc::Sender<Order>,
    looks: mpsc::SyncSender<Box<Event>>,
    names: queue::UnboundedSender<String>,
    keep: queue::Sender<Keep>,
    results: queue::UnboundedSender<(u64, Action)>,
    store: Option<Store>,
    deny: deny::Guard,
    known: BTreeMap<u64, Known>,
    /// Actions that last, by number.
    open: HashMap<u64, Action>,
    /// When containers were let run again last, by the engine's clock.
    unpaused: HashMap<String, Timestamp>,
    number: u64,
    unkept: u64,
    listening: bool,
}

/// Watches until `end`.
///
/// # Errors
/// The kernel takes no programs, or the store cannot be read.
pub async fn watch(
    setup: Setup,
    ready: impl FnOnce(&[Ability], haechi_sensor::Tier),
    end: impl Future<Output = ()>,
) -> Result<Summary, WatchError> {
    let Setup {
        rules,
        policy,
        respond,
        host,
        own,
        engine,
        store,
        mut renewed,
        show,
        counts,
        events,
    } = setup;
    let watched = Watched::embedded()?;
    let (sensor, abilities) = Sensor::load(&Options {
        watch_names: watched.names,
        watch_folders: watched.folders,
        ..Options::default()
    })?;
    // After the programs are in place, so that no process falls between.
    let mut monitor = Monitor::new(rules, clock(), host);
    for process in running::processes("/proc".as_ref()) {
        monitor.tree.seed(process);
    }
    let hands = Hands::new(hands::groups());
    let responder = Responder::new(policy, respond, own);
    let denied: Vec<String> = responder.denied_names().into_iter().collect();
    let (tell, mut told) = queue::channel(WAITING);
    let (orders, ordered) = mpsc::channel();
    let (looks, looked) = mpsc::sync_channel(LOOKS);
    let judge = Judge {
        sensor,
        monitor,
        responder,
        hands: hands.clone(),
        orders: ordered,
        told: tell,
        counts: Arc::clone(&counts),
        throttle: Throttle::default(),
        held: HashMap::new(),
        parents: Vec::new(),
        events,
    };
    let actor = Actor { hands, engine: Connect::clone(&engine), cuts: Arc::new(Mutex::default()) };
    let recovered = match (&store, respond) {
        (Some(store), true) => recover::open(store, &actor).await?,
        _ => recover::Open::default(),
    };
    let judging = std::thread::spawn(move || judge.run());
    let looking = {
        let orders = orders.clone();
        std::thread::spawn(move || identify(&looked, &orders))
    };
    let (names, asked) = queue::unbounded_channel();
    let (tell_engine, mut engine_told) = queue::channel(1024);
    let last = match &store {
        Some(store) => store.last_activity_at().await?,
        None => None,
    };
    let tasks = [
        tokio::spawn(engine::name(Connect::clone(&engine), asked, tell_engine.clone())),
        tokio::spawn(engine::listen(engine, last, tell_engine)),
    ];
    let (keep, kept) = queue::channel(writer::WAITING);
    let writing = tokio::spawn(writer::write(store.clone(), kept, recovered.ids, show));
    let (results, mut resulted) = queue::unbounded_channel();
    let mut watcher = Watcher {
        actor,
        orders,
        looks,
        names,
        keep,
        results,
        store,
        deny: deny::Guard::new(&denied),
        known: BTreeMap::new(),
        number: recovered.next,
        open: recovered.actions,
        unpaused: HashMap::new(),
        unkept: 0,
        listening: false,
    };
    ready(&abilities, watcher.deny.tier());
    let mut beat = tokio::time::interval(BEAT);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            what = told.recv() => match what {
                Some(what) => watcher.told(what, respond).await,
                // The thread ended by itself: why is asked below.
                None => break,
            },
            Some(what) = engine_told.recv() => watcher.engine(what).await,
            Some((number, action)) = resulted.recv() => watcher.result(number, action),
            Some((rules, policy)) = renewed.recv() => watcher.renew(rules, policy),
            refusals = watcher.deny.next() => watcher.refused(refusals, &counts),
            _ = beat.tick() => watcher.beat().await,
        }
    }
    for task in tasks {
        task.abort();
    }
    // What is held goes on, what was begun is finished, what was told is kept.
    let _ = watcher.orders.send(Order::End);
    let joined = tokio::task::spawn_blocking(move || judging.join());
    tokio::pin!(joined);
    let ended: Result<Ended, SensorError> = loop {
        tokio::select! {
            Some(what) = told.recv() => watcher.told(what, respond).await,
            ended = &mut joined => break ended.map_err(|_| WatchError::Thread)?.map_err(|_| WatchError::Thread)?,
        }
    };
    while let Ok(what) = told.try_recv() {
        watcher.told(what, respond).await;
    }
    watcher.finish(&mut resulted).await;
    watcher.beat().await;
    let unkept = watcher.unkept;
    drop(watcher);
    let unkept = unkept + writing.await.unwrap_or_default();
    let _ = tokio::task::spawn_blocking(move || looking.join()).await;
    Ok(Summary {
        alerts: counts.alerts.load(Ordering::Relaxed),
        lost: ended?.lost,
        suppressed: counts.suppressed.load(Ordering::Relaxed),
        unkept,
    })
}

impl Watcher {
    async fn told(&mut self, what: Told, respond: bool) {
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
                if let Some(mut known) = self.known.remove(&cgroup) {
                    known.lost = losses.lost;
                    self.keep_watches(vec![watch_of(&known)]).await;
                    self.over(&known.id);
                }
            }
            // Looks that nobody has time for are of programs that were not known by name either.
            Told::Event(event) => self.keep(Keep::Event(event)),
            Told::Identify(event) => drop(self.looks.try_send(event)),
            Told::Losses(losses) => self.losses(&losses).await,
        }
    }

    fn alert(&mut self, alert: Box<Alert>, begun: Option<Box<Begun>>) {
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

    fn result(&mut self, number: u64, mut action: Action) {
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

    fn keep(&mut self, what: Keep) {
        // A disk that is too slow or a reader that does not read: what is lost is counted and said at the end.
        if self.keep.try_send(what).is_err() {
            self.unkept += 1;
        }
    }

    async fn engine(&mut self, what: Engine) {
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

    async fn activity(&mut self, activity: &Activity) {
        if let Some(store) = &self.store
            && let Err(error) = store.add_activity(std::slice::from_ref(activity)).await
        {
            self.unkept += 1;
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
    fn ended(&mut self, container: &str, response: Response) {
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

    fn over(&mut self, container: &str) {
        self.unpaused.remove(container);
        self.ended(container, Response::Pause);
        self.ended(container, Response::Isolate);
        self.actor.rejoin(container);
    }

    fn renew(&mut self, rules: Rules, policy: MonitorPolicy) {
        self.deny.use_names(&policy.denied_programs);
        let _ = self.orders.send(Order::Use(Box::new(rules), Box::new(policy)));
    }

    fn refused(&mut self, refusals: Vec<haechi_sensor::Refusal>, counts: &Counts) {
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
    async fn beat(&mut self) {
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

    async fn losses(&mut self, losses: &BTreeMap<u64, Losses>) {
        for (cgroup, losses) in losses {
            if let Some(known) = self.known.get_mut(cgroup) {
                known.lost = losses.lost;
            }
        }
        // Without the engine's events nothing can be said of what was done through it.
        if self.listening {
            let watches = self.known.values().map(watch_of).collect();
            self.keep_watches(watches).await;
        }
    }

    async fn keep_watches(&self, watches: Vec<Watch>) {
        if let Some(store) = &self.store
            && let Err(error) = store.watched(&watches).await
        {
            tracing::error!("how long containers were watched could not be kept: {error}");
        }
    }

    /// Waits for the actions that are under way.
    async fn finish(&mut self, resulted: &mut queue::UnboundedReceiver<(u64, Action)>) {
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

fn watch_of(known: &Known) -> Watch {
    Watch {
        container: known.id.clone(),
        since: known.since,
        from_start: known.from_start,
        until: Timestamp::now(),
        lost: known.lost,
        activity_missed: false,
    }
}

/// The moment at which the machine started.
fn clock() -> Clock {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = i64::from(since.tv_nsec as i32);
    let since =
        jiff::SignedDuration::new(since.tv_sec, 0) + jiff::SignedDuration::from_nanos(nanoseconds);
    let now = Timestamp::now();
    Clock { started: now.checked_sub(since).unwrap_or(now) }
}
