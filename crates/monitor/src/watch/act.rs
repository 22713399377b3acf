//! Goes on with what the judging thread began: evidence, and what the engine has to do and to show.
//!
//! A container that is to be paused is frozen already, and its offender held, when this begins. The engine freezes it
//! once more by its own means; then ours are taken back, so that `docker unpause` is all that is needed to let it run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haechi_core::response::{Action, Evidence, Outcome, Response, Withheld};
use haechi_facts::engine::api::{Api, ApiError, Call, encode};
use haechi_facts::engine::http::{HttpApi, Method};
use haechi_sensor::Cut;

use crate::hands::{self, Hands, Signal};
use crate::judge::{Begun, since};

/// How long a stopped container has to end by itself, in seconds.
const STOP_SECONDS: u32 = 10;
/// How long the engine has before the evidence is gathered without it.
const QUICKLY: Duration = Duration::from_millis(100);
/// How long it waits before it asks an engine again that did not answer.
const AGAIN: Duration = Duration::from_secs(2);

/// Makes connections to the engine; `None` without an engine.
pub type Connect = Arc<dyn Fn() -> Option<HttpApi> + Send + Sync>;

/// Goes on with actions.
#[derive(Clone)]
pub(super) struct Actor {
    pub hands: Hands,
    pub engine: Connect,
    /// Networks that are cut, by container.
    pub cuts: Arc<std::sync::Mutex<std::collections::HashMap<String, Cut>>>,
}

impl Actor {
    /// Goes on; what came of it. It ends when the engine did what was asked, or never will.
    pub async fn finish(&self, begun: Begun, told: impl Fn(&Action)) -> Action {
        let Begun { mut action, group, held, at } = begun;
        if action.outcome != Outcome::Begun {
            return action;
        }
        match action.response {
            Response::Pause => self.pause(&mut action, &group, at, held, told).await,
            Response::Stop => self.stop(&mut action, &group, at, held).await,
            Response::Isolate => {
                self.isolate(&mut action, &group, at);
                self.let_go(held);
            }
            Response::Kill | Response::Deny | Response::Alert => {}
        }
        action
    }

    fn let_go(&self, held: Option<(u32, u64)>) {
        let Some((pid, started)) = held else { return };
        if let Err(error) = self.hands.signal(pid, started, Signal::CONT) {
            tracing::warn!("process {pid} was held and cannot be continued: {error}");
        }
    }

    async fn evidence(&self, group: &str) -> Evidence {
        let pids = self.hands.processes(group);
        let gathered =
            tokio::task::spawn_blocking(move || crate::evidence::gather(Path::new("/proc"), &pids));
        gathered.await.unwrap_or_default()
    }

    async fn pause(
        &self,
        action: &mut Action,
        group: &str,
        at: u64,
        held: Option<(u32, u64)>,
        told: impl Fn(&Action),
    ) {
        let id = action.container.id.clone();
        let path = format!("/containers/{}/pause", encode(&id));
        let mut tries = 0;
        let elsewhere = hands::engine_freezes_elsewhere();
        let pausing = async {
            loop {
                // Where the engine uses the same freezer it finds the container paused and refuses; the offender is held
                // all the same.
                if !elsewhere && let Err(error) = self.hands.thaw(group) {
                    tracing::debug!("{group}: {error}");
                }
                let result = self.ask(&path).await;
                let done = match result {
                    Err(error) if is_state(&error) => {
                        self.is_paused(&id).await.then_some(()).ok_or(error)
                    }
                    other => other,
                };
                match done {
                    Ok(()) => return Ok(since(at)),
                    Err(error) if error.is_not_found() => return Err(error),
                    Err(error) => {
                        if !elsewhere {
                            // Better frozen without the engine's knowledge than running.
                            let _ = self.hands.freeze(group);
                        }
                        tries += 1;
                        if tries == 1 {
                            tracing::warn!(
                                "{id} is frozen, but the engine cannot show it: {error}"
                            );
                        }
                        if self.hands.processes(group).is_empty() {
                            return Err(error);
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        };
        tokio::pin!(pausing);
        // It stands still already: the engine first, so that people see it, unless that takes long.
        let shown = match tokio::time::timeout(QUICKLY, &mut pausing).await {
            Ok(shown) => {
                action.evidence = Some(self.evidence(group).await);
                shown
            }
            Err(_) => {
                action.evidence = Some(self.evidence(group).await);
                // What is known is kept, however long the engine takes.
                told(action);
                pausing.await
            }
        };
        match shown {
            Ok(shown) => {
                action.speed.shown_us = shown;
                action.outcome = Outcome::Done;
            }
            Err(error) if error.is_not_found() => {
                action.outcome = Outcome::Withheld(Withheld::Gone);
            }
            Err(error) => action.outcome = Outcome::Failed(error.to_string()),
        }
        // The engine's freezer holds it now, or nothing does: ours is of no use any more.
        if elsewhere {
            let _ = self.hands.thaw(group);
        }
        self.let_go(held);
    }

    async fn stop(&self, action: &mut Action, group: &str, at: u64, held: Option<(u32, u64)>) {
        action.evidence = Some(self.evidence(group).await);
        if let Some((pid, started)) = held
            && let Err(error) = self.hands.signal(pid, started, Signal::KILL)
        {
            tracing::warn!("process {pid}: {error}");
        }
        if let Err(error) = self.hands.thaw(group) {
            tracing::debug!("{group}: {error}");
        }
        let id = encode(&action.container.id);
        let path = format!("/containers/{id}/stop?t={STOP_SECONDS}");
        action.outcome = match self.ask(&path).await {
            Ok(()) => {
                action.speed.shown_us = since(at);
                Outcome::Done
            }
            Err(error) if error.is_not_found() => Outcome::Withheld(Withheld::Gone),
            Err(error) => Outcome::Failed(error.to_string()),
        };
    }

    /// Cuts the network of a container's own control group.
    pub fn isolate(&self, action: &mut Action, group: &str, at: u64) {
        let folder = hands::groups().join(group.trim_start_matches('/'));
        match Cut::cut(&folder) {
            Ok(cut) => {
                action.speed.stopped_us = since(at);
                action.outcome = Outcome::Done;
                if let Ok(mut cuts) = self.cuts.lock() {
                    cuts.insert(action.container.id.clone(), cut);
                }
            }
            Err(error) => action.outcome = Outcome::Failed(error.to_string()),
        }
    }

    /// Gives a container its network back.
    pub fn rejoin(&self, id: &str) {
        if let Ok(mut cuts) = self.cuts.lock() {
            cuts.remove(id);
        }
    }

    /// Lets a paused container run.
    pub async fn resume(&self, id: &str) -> Result<(), ApiError> {
        self.ask(&format!("/containers/{}/unpause", encode(id))).await
    }

    async fn ask(&self, path: &str) -> Result<(), ApiError> {
        match (self.engine)() {
            Some(engine) => engine.act(Method::POST, path).await,
            None => Err(ApiError::Unreachable("there is no engine to ask".into())),
        }
    }

    /// What the engine says a container is: `running`, `paused`, `exited` …; `None` if it does not answer, an empty text
    /// if it knows none of this id.
    pub async fn state(&self, id: &str) -> Option<String> {
        match (self.engine)()?.ask(Call::Container(id)).await {
            Ok(told) => {
                let state = told.pointer("/State/Status").and_then(serde_json::Value::as_str);
                state.map(str::to_owned)
            }
            Err(error) if error.is_not_found() => Some(String::new()),
            Err(_) => None,
        }
    }

    /// Ids of all containers that there are; `None` if the engine does not say.
    pub async fn containers(&self) -> Option<Vec<String>> {
        let told = (self.engine)()?.ask(Call::Containers).await.ok()?;
        let ids = told.as_array()?.iter().filter_map(|one| one.get("Id")?.as_str());
        Some(ids.map(str::to_owned).collect())
    }

    async fn is_paused(&self, id: &str) -> bool {
        self.state(id).await.as_deref() == Some("paused")
    }
}

/// Whether the engine refused because of what the container is at the moment.
fn is_state(error: &ApiError) -> bool {
    matches!(error, ApiError::Status(409 | 500, _))
}
