//! Engines that do not answer, and what is lost meanwhile.

use std::sync::Mutex;

use haechi_core::alert::AlertContainer;
use haechi_core::response::{ACTION_SCHEMA, Speed};

use super::*;
use crate::hands::{Hands, groups};

/// A watcher without an engine, and where it tells that one was asked.
fn watcher() -> (Watcher, queue::UnboundedReceiver<(String, bool)>, queue::Receiver<Keep>) {
    let (orders, _) = mpsc::channel();
    let (looks, _) = mpsc::sync_channel(1);
    let (names, _) = queue::unbounded_channel();
    let (keep, kept) = queue::channel(2);
    let (results, _) = queue::unbounded_channel();
    let (resumed, let_run) = queue::unbounded_channel();
    let cuts = Arc::new(Mutex::default());
    let watcher = Watcher {
        actor: Actor { hands: Hands::new(groups()), engine: Arc::new(|| None), cuts },
        orders,
        looks,
        names,
        keep,
        results,
        resumed,
        deny: deny::Guard::new(&[], false),
        known: BTreeMap::new(),
        open: HashMap::new(),
        resuming: HashSet::new(),
        unpaused: HashMap::new(),
        unsent: BTreeMap::new(),
        number: 0,
        unkept: 0,
        unshown: 0,
        lost: 0,
        listening: true,
        counts: Arc::default(),
        forgetter: None,
        hints: mpsc::channel().0,
        quiet: Quiet::default(),
        notes: queue::channel(1).0,
        late: Late::default(),
    };
    (watcher, let_run, kept)
}

fn known(lost: u64) -> Known {
    Known {
        id: "a".into(),
        name: "web".into(),
        since: Timestamp::UNIX_EPOCH,
        from_start: true,
        lost,
        lost_told: 0,
        lost_before: 0,
        path: "/docker/a".into(),
    }
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_asked_once_at_a_time_and_waited_for_by_nobody() {
    let (mut watcher, mut let_run, _kept) = watcher();
    let action = Action {
        schema: ACTION_SCHEMA.into(),
        at: Timestamp::UNIX_EPOCH,
        response: Response::Pause,
        container: AlertContainer { id: "a".into(), ..AlertContainer::default() },
        pid: 0,
        rule: "r".into(),
        cause: String::new(),
        outcome: Outcome::Done,
        speed: Speed::default(),
        until: Some(Timestamp::UNIX_EPOCH),
        evidence: None,
    };
    watcher.open.insert(1, action);
    for _ in 0..3 {
        watcher.beat();
    }
    assert_eq!(let_run.recv().await, Some(("a".to_owned(), false)));
    assert!(let_run.try_recv().is_err(), "asked while it was asked");
    watcher.resumed("a", false);
    assert!(watcher.open.contains_key(&1));
    watcher.beat();
    assert_eq!(let_run.recv().await, Some(("a".to_owned(), false)));
    watcher.resumed("a", true);
    assert!(watcher.open.is_empty());
}

#[tokio::test]
async fn losses_belong_to_the_stretch_in_which_they_were_and_none_is_forgotten() {
    let (mut watcher, _let_run, mut kept) = watcher();
    watcher.known.insert(7, known(0));
    let losses = |lost| BTreeMap::from([(7, Losses { lost, ..Losses::default() })]);
    let at = |second| Timestamp::from_second(second).unwrap();
    // The engine goes and begins again: another stretch, to which belongs what was lost meanwhile.
    watcher.losses(at(5), &losses(3));
    watcher.engine(Engine::Gone);
    watcher.losses(at(7), &losses(4));
    watcher.engine(Engine::Listening);
    // The writer has no room any more, and what is told meanwhile is told later.
    watcher.losses(at(10), &losses(4));
    watcher.losses(at(15), &losses(4));
    watcher.told(Told::Went { cgroup: 7, losses: Losses { lost: 9, ..Losses::default() } }, false);
    let mut told = BTreeMap::new();
    let mut take = |keep| {
        let Keep::Watches(watches) = keep else { return };
        for watch in watches {
            told.insert(watch.since, watch.lost);
        }
    };
    while let Ok(keep) = kept.try_recv() {
        take(keep);
    }
    watcher.keep_watches([]);
    while let Ok(keep) = kept.try_recv() {
        take(keep);
    }
    assert_eq!(told.into_values().collect::<Vec<_>>(), [3, 6]);
    assert!(watcher.unsent.is_empty());
}
