//! What a monitor that was killed left behind: actions that last, containers that are frozen, programs that are held.
//!
//! Nothing stays paused that nobody answers for, and nothing that was paused on purpose runs again.

use std::collections::HashMap;
use std::time::Duration;

use haechi_core::event::{Action as Did, Event, Exec, Origin, Process};
use haechi_core::response::{Action, Outcome, Response};
use haechi_store::{ActionId, Store, StoreError};

use super::act::Actor;
use super::watcher::Watcher;
use crate::judge::Order;
use crate::running;

/// How long the engine has to say what a container is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Actions of the store that are not over.
#[derive(Default)]
pub(super) struct Open {
    /// By the number that they have here.
    pub actions: HashMap<u64, Action>,
    /// Their numbers in the store.
    pub ids: HashMap<u64, ActionId>,
    /// The last number that was given.
    pub next: u64,
}

/// Reads what is open, and ends what is over: what the engine does not show as paused is not.
pub(super) async fn open(store: &Store, actor: &Actor) -> Result<Open, StoreError> {
    let mut open = Open::default();
    for (id, mut action) in store.open_actions().await? {
        // An engine that hangs must not keep the monitor from beginning.
        let state = actor.state(&action.container.id);
        let state = tokio::time::timeout(PATIENCE, state).await.ok().flatten();
        let still = match (&*state.clone().unwrap_or_default(), action.response) {
            // Nobody answers: it is looked at again when the monitor starts again.
            _ if state.is_none() => true,
            ("paused", Response::Pause) | ("running" | "paused", Response::Isolate) => true,
            _ => false,
        };
        if still {
            action.outcome = Outcome::Done;
        } else {
            action.outcome = Outcome::Ended;
        }
        store.set_action(id, &action).await?;
        if still {
            open.next += 1;
            open.ids.insert(open.next, id);
            open.actions.insert(open.next, action);
        }
    }
    Ok(open)
}

impl Watcher {
    /// Takes up what was begun in a container that was there before: cuts its network again, judges the programs that
    /// were held, and takes back a freeze that the engine knows nothing about.
    pub(super) fn recover(&mut self, group: &str, before: bool) {
        if !before {
            return;
        }
        let id = group.rsplit('/').next().and_then(haechi_sensor::container_id).unwrap_or_default();
        for action in self.open.values_mut() {
            if action.container.id == id && action.response == Response::Isolate {
                self.actor.isolate(action, group, 0);
            }
        }
        for (pid, started) in self.actor.hands.held(group) {
            if let Some(event) = event(pid, started, group) {
                let _ = self.orders.send(Order::Judge(Box::new(event)));
            }
        }
        if self.actor.hands.is_frozen(group) {
            let (actor, group, id) = (self.actor.clone(), group.to_owned(), id.to_owned());
            tokio::spawn(async move {
                // Where the engine uses the same freezer, what it shows as paused is frozen by it.
                let ours = crate::hands::engine_freezes_elsewhere()
                    || actor.state(&id).await.is_some_and(|state| state == "running");
                if ours && let Err(error) = actor.hands.thaw(&group) {
                    tracing::warn!("{group} is frozen and cannot be thawed: {error}");
                }
            });
        }
    }
}

/// The start of a program that was held, as it would have been told.
fn event(pid: u32, started: u64, group: &str) -> Option<Event> {
    let known = running::one(pid)?;
    let cgroup = crate::hands::groups().join(group.trim_start_matches('/'));
    let cgroup = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(cgroup).ok()?);
    let process = Process {
        pid,
        tid: pid,
        parent: known.parent,
        session: known.session,
        started,
        name: known.name.clone(),
        ..Process::default()
    };
    let exec = Exec {
        path: known.path,
        args: known.args,
        cwd: known.cwd,
        origin: Origin::Unknown,
        held: true,
        ..Exec::default()
    };
    let action = Did::Exec(Box::new(exec));
    let at = crate::judge::now()?;
    Some(Event { at, cgroup, process, call: "execve".into(), result: 0, action })
}
