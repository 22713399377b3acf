//! The whole monitor at work: the kernel's events judged in a thread of their own, names and activity from the engine,
//! responses carried through, everything kept and shown.
//!
//! Data goes one way: kernel → [`crate::judge`] → here → store → whoever is shown. Nothing here is waited for by the
//! judging thread. After a kill it takes up what was open: see [`recover`].

mod act;
mod deny;
mod enforce;
mod engine;
mod forget;
mod late;
mod profiles;
mod recover;
mod watcher;
mod writer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use haechi_core::alert::Alert;
use haechi_core::event::EventLine;
use haechi_core::policy::MonitorPolicy;
use haechi_core::response::Action;
use haechi_outputs::Outputs;
use haechi_rules::Rules;
use haechi_sensor::{Ability, Options, SensorError};
use haechi_store::{Store, StoreError};
use jiff::Timestamp;
use tokio::sync::mpsc as queue;

pub use act::Connect;

use crate::hands::Hands;
use crate::judge::{Counts, Ended, Judge, Order};
use crate::learn::{Hint, learn};
use crate::looks::{LOOKS, look};
use crate::respond::Responder;
use crate::source::Source;
use crate::throttle::Throttle;
use crate::{Clock, Monitor, Watched, hands, running};
use act::Actor;
use enforce::Enforcer;
use profiles::{Keeper, Quiet};
use watcher::Watcher;

/// Records that may wait here; alerts beyond are counted and not told.
const WAITING: usize = 65_536;
/// Bytes for what containers use first: it is read twice a second, and what has no room is told when it is used again.
const PROFILE_BYTES: u32 = 4 << 20;
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
    /// Ways out, and what is counted for them.
    pub outputs: Outputs,
    /// Whether the kernel's programs are left out, even if it takes them.
    pub without_kernel: bool,
    /// Whether all events are shown, not only what rules say about them.
    pub events: bool,
    /// Whether profiles are made of what containers use; they need the kernel's programs and a store.
    pub profile: bool,
}

/// What is shown.
pub enum Shown<'a> {
    /// An alert, and whether it is kept or was not meant to be.
    Alert(&'a Alert, bool),
    /// What came of an action, or how far it is.
    Action(&'a Action),
    /// An event, if all are to be shown.
    Event(&'a EventLine),
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
    /// Programs that nobody could look at.
    pub unlooked: u64,
    /// Alerts and actions that could not be kept.
    pub unkept: u64,
    /// Events that were not shown: whoever reads them is too slow.
    pub unshown: u64,
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
        outputs,
        without_kernel,
        events,
        profile,
    } = setup;
    let metrics = Arc::clone(outputs.metrics());
    let counts = Arc::new(Counts { metrics: Arc::clone(&metrics), ..Counts::default() });
    let running_rules = rules.running().len() as u64;
    metrics.counts.rules.store(running_rules, Ordering::Relaxed);
    let watched = Watched::embedded()?;
    let options = Options {
        watch_names: watched.names,
        watch_folders: watched.folders,
        prompt: respond,
        profile_bytes: if profile && store.is_some() { PROFILE_BYTES } else { 0 },
        ..Options::default()
    };
    let (mut sensor, abilities) = Source::load(&options, without_kernel)?;
    let (hints, hinted) = mpsc::channel();
    let (learned, lessons) = queue::unbounded_channel();
    let learning = sensor
        .profiler()
        .map(|profiler| std::thread::spawn(move || learn(profiler, clock(), &hinted, &learned)));
    metrics.set_abilities(abilities.iter().map(|one| (one.name, one.missing.is_none())));
    // After the programs are in place, so that no process falls between.
    let mut monitor = Monitor::new(rules, clock(), host);
    monitor.shows = events;
    for process in running::processes("/proc".as_ref()) {
        monitor.tree.seed(process);
    }
    let quiet = Quiet::default();
    quiet.use_policy(&policy);
    let forgetter = store.clone().map(|store| forget::Forgetter::new(store, &policy));
    let hands = Hands::new(hands::groups());
    let responder = Responder::new(policy, respond, own);
    let denied: Vec<String> = responder.denied_names().into_iter().collect();
    let refuses = responder.refuses();
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
    };
    let actor = Actor { hands, engine: Connect::clone(&engine), cuts: Arc::new(Mutex::default()) };
    let recovered = match (&store, respond) {
        (Some(store), true) => recover::open(store, &actor).await?,
        _ => recover::Open::default(),
    };
    let judging = std::thread::spawn(move || judge.run());
    let looking = {
        let (orders, hands, counts) = (orders.clone(), actor.hands.clone(), Arc::clone(&counts));
        std::thread::spawn(move || look(&looked, &orders, &hands, &counts))
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
    let store_of_rules = store.clone();
    let keeping = store.clone().map(|store| {
        let keeper = Keeper::new(store, quiet.clone(), clock(), Arc::clone(&counts));
        tokio::spawn(keeper.keep(lessons, keep.clone()))
    });
    let writer = writer::Writer {
        store,
        known: recovered.ids,
        show,
        outputs,
        counts: Arc::clone(&counts),
        unwritten: BTreeMap::new(),
        missed: HashMap::new(),
        lost: 0,
    };
    let writing = tokio::spawn(writer.write(kept));
    let (notes, noted) = queue::channel(enforce::WAITING);
    let (tell_rules, mut ruled) = queue::channel(1);
    let enforcing = store_of_rules.map(|store| {
        let enforcer = Enforcer::new(store, clock(), Arc::clone(&counts));
        tokio::spawn(enforcer.run(tell_rules, noted, keep.clone()))
    });
    let (results, mut resulted) = queue::unbounded_channel();
    let (resumed, mut let_run) = queue::unbounded_channel();
    let mut watcher = Watcher {
        actor,
        orders,
        looks,
        names,
        keep,
        results,
        resumed,
        deny: deny::Guard::new(&denied, refuses),
        known: BTreeMap::new(),
        number: recovered.next,
        open: recovered.actions,
        resuming: HashSet::new(),
        unpaused: HashMap::new(),
        unsent: BTreeMap::new(),
        unkept: 0,
        unshown: 0,
        lost: 0,
        listening: false,
        counts: Arc::clone(&counts),
        forgetter,
        hints: hints.clone(),
        quiet,
        notes,
        late: late::Late::default(),
    };
    ready(&abilities, watcher.deny.tier());
    let mut beat = tokio::time::interval(BEAT);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            what = told.recv() => match what {
                Some(what) => watcher.told(what, respond),
                // The thread ended by itself: why is asked below.
                None => break,
            },
            Some(what) = engine_told.recv() => watcher.engine(what),
            Some((number, action)) = resulted.recv() => watcher.result(number, action),
            Some((id, done)) = let_run.recv() => watcher.resumed(&id, done),
            Some((rules, policy)) = renewed.recv() => watcher.renew(rules, policy, respond),
            Some(ruled) = ruled.recv() => watcher.use_rules(ruled),
            refusals = watcher.deny.next() => watcher.refused(refusals),
            _ = beat.tick() => watcher.beat(),
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
            Some(what) = told.recv() => watcher.told(what, respond),
            ended = &mut joined => break ended.map_err(|_| WatchError::Thread)?.map_err(|_| WatchError::Thread)?,
        }
    };
    while let Ok(what) = told.try_recv() {
        watcher.told(what, respond);
    }
    watcher.finish(&mut resulted).await;
    let (unkept, unshown) = (watcher.unkept, watcher.unshown);
    drop(watcher);
    if let Some(enforcing) = enforcing {
        let _ = enforcing.await;
    }
    let _ = hints.send(Hint::End);
    if let Some(learning) = learning {
        let ended = tokio::task::spawn_blocking(move || learning.join()).await;
        if !matches!(ended, Ok(Ok(Ok(())))) {
            tracing::error!("profiles were not made to the end");
        }
        if let Some(keeping) = keeping {
            let _ = keeping.await;
        }
    }
    let unkept = unkept + writing.await.unwrap_or_default();
    // It ends by itself when nobody sends any more; a file that nobody answers for holds nobody up.
    drop(looking);
    Ok(Summary {
        alerts: counts.alerts.load(Ordering::Relaxed),
        lost: ended?.lost,
        suppressed: counts.suppressed.load(Ordering::Relaxed),
        unlooked: counts.unlooked.load(Ordering::Relaxed),
        unkept,
        unshown,
    })
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
