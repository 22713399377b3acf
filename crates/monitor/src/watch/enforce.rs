//! Takes up what of profiles is to be enforced, and keeps and tells what they do not have.
//!
//! Promises that a change in the store holds within seconds, without a restart, and that a program or file is told once for
//! a workload, in however many containers and however often it is refused. It refuses nothing itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::allowance::{Allowance, Mode};
use haechi_core::event::{Action as Did, Call, Event, Exec, Origin, Process};
use haechi_core::profile::Workload;
use haechi_profile::allowed::Allowed;
use haechi_sensor::{Because, Refusal};
use haechi_store::{Enforced, Guarded, ProfileId, Refused, Store, StoreError};
use tokio::sync::mpsc as queue;

use super::writer::Keep;
use crate::Clock;
use crate::judge::Counts;
use crate::redact::redacted;

/// Name under which it is told.
const RULE: &str = "Not in the enforced profile";
/// Notes that may wait.
pub(super) const WAITING: usize = 16_384;
/// How often it is looked what is to be enforced, and kept what was refused.
const LOOK: Duration = Duration::from_secs(1);
/// Different things that wait to be kept; more are counted with none.
const PENDING_MAX: usize = 10_000;
/// What execve(2) and open(2) return: `EPERM`.
const REFUSED: i64 = -1;

/// What containers of a workload may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ruled {
    pub profile: ProfileId,
    pub workload: Workload,
    pub mode: Mode,
    pub allowance: Allowance,
}

/// What is to be kept.
pub(super) enum Note {
    /// A container did what its profile does not have.
    Refused { profile: ProfileId, id: String, name: String, refusal: Refusal },
    /// What is really enforced.
    Guarded(Vec<Guarded>),
}

/// A thing that a profile does not have.
#[derive(PartialEq, Eq, Hash)]
struct Thing {
    profile: ProfileId,
    mode: Mode,
    because: Because,
    value: String,
    origin: &'static str,
}

/// See above.
pub(super) struct Enforcer {
    store: Store,
    clock: Clock,
    counts: Arc<Counts>,
    enforced: Vec<Enforced>,
    /// What was refused and is not kept yet: the first of each, its container's name, and the row.
    pending: HashMap<Thing, (Refusal, String, Refused)>,
}

impl Enforcer {
    pub fn new(store: Store, clock: Clock, counts: Arc<Counts>) -> Self {
        Self { store, clock, counts, enforced: Vec::new(), pending: HashMap::new() }
    }

    /// Goes on until nobody sends notes any more.
    pub async fn run(
        mut self,
        tell: queue::Sender<Vec<Ruled>>,
        mut notes: queue::Receiver<Note>,
        keep: queue::Sender<Keep>,
    ) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.note(note).await,
                    None => break,
                },
                _ = look.tick() => {
                    self.flush(&keep).await;
                    match self.changed().await {
                        Ok(Some(ruled)) => drop(tell.send(ruled).await),
                        Ok(None) => {}
                        Err(error) => tracing::error!("what is to be enforced could not be read: {error}"),
                    }
                }
            }
        }
        self.flush(&keep).await;
        // Whoever asks must not be told that it goes on.
        let ended: Vec<ProfileId> =
            self.enforced.iter().map(|one| one.enforcement.profile).collect();
        if let Err(error) = self.store.clear_guarded(&ended).await {
            tracing::warn!("{error}");
        }
    }

    /// What is to be enforced, if that is not what it was.
    async fn changed(&mut self) -> Result<Option<Vec<Ruled>>, StoreError> {
        let enforced = self.store.enforced().await?;
        if enforced == self.enforced {
            return Ok(None);
        }
        let mut ruled = Vec::with_capacity(enforced.len());
        for one in &enforced {
            let profile = self.store.profile(one.enforcement.profile).await?;
            ruled.push(Ruled {
                profile: one.enforcement.profile,
                workload: one.workload.clone(),
                mode: one.enforcement.mode,
                allowance: Allowed::of(&profile, one.enforcement.with_files).allowance,
            });
        }
        self.enforced = enforced;
        Ok(Some(ruled))
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Guarded(guarded) => {
                if let Err(error) = self.store.set_guarded(&guarded).await {
                    tracing::warn!("{error}");
                }
            }
            Note::Refused { profile, id, name, refusal } => {
                let at = self.clock.at(refusal.at_ns);
                let thing = Thing {
                    profile,
                    mode: if refusal.is_refused { Mode::Deny } else { Mode::DryRun },
                    because: refusal.because,
                    value: value(&refusal),
                    origin: origin(refusal.origin),
                };
                if let Some((_, _, row)) = self.pending.get_mut(&thing) {
                    row.last_at = row.last_at.max(at);
                    row.times += 1;
                    return;
                }
                if self.pending.len() >= PENDING_MAX {
                    return;
                }
                let row = Refused {
                    mode: thing.mode,
                    because: because(thing.because).to_owned(),
                    value: thing.value.clone(),
                    origin: thing.origin.to_owned(),
                    container: id,
                    first_at: at,
                    last_at: at,
                    times: 1,
                };
                self.pending.insert(thing, (refusal, name, row));
            }
        }
    }

    /// Keeps what waits, and tells what of it is new.
    async fn flush(&mut self, keep: &queue::Sender<Keep>) {
        for (thing, (refusal, name, row)) in std::mem::take(&mut self.pending) {
            match self.store.add_refused(thing.profile, &row).await {
                Ok(true) => {
                    self.counts.alerts.fetch_add(1, Ordering::Relaxed);
                    let alert = redacted(alert(&refusal, &row, &name));
                    let _ = keep.send(Keep::Alert(Box::new(alert), None)).await;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!("what was refused could not be kept yet: {error}");
                    self.pending.insert(thing, (refusal, name, row));
                    return;
                }
            }
        }
    }
}

/// What is compared; what has no path that the kernel tells is known by its name.
fn value(refusal: &Refusal) -> String {
    if refusal.path.is_empty() { refusal.name.clone() } else { refusal.path.clone() }
}

fn because(because: Because) -> &'static str {
    match because {
        Because::Name => "name",
        Because::NotAllowed => "not-allowed",
        Because::Replaced => "replaced",
        Because::Written => "written",
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Unknown => "",
        Origin::Image => "image",
        Origin::Changed => "changed",
        Origin::Mounted => "mounted",
        Origin::Memory => "memory",
    }
}

fn alert(refusal: &Refusal, row: &Refused, name: &str) -> Alert {
    let why = match refusal.because {
        Because::Replaced => "it is not the file that the profile has",
        Because::Written => "the profile does not have that it is written there",
        Because::NotAllowed | Because::Name => "it is not in the profile",
    };
    let done = if refusal.is_refused { "was refused" } else { "would be refused" };
    let path = value(refusal);
    let visible = haechi_core::text::visible(&path);
    let text = format!("{visible} {done}: {why} (container={})", haechi_core::text::visible(name));
    let is_file = refusal.because == Because::Written;
    let action = if is_file {
        Did::Call(Call { text: path.clone(), ..Call::default() })
    } else {
        Did::Exec(Box::new(Exec {
            path: path.clone(),
            file: refusal.name.clone(),
            origin: refusal.origin,
            ..Exec::default()
        }))
    };
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: row.first_at,
        rule: RULE.into(),
        priority: if refusal.is_refused { Priority::Error } else { Priority::Warning },
        text,
        tags: vec!["profile".into(), row.mode.name().into(), row.because.clone()],
        checks: Vec::new(),
        container: AlertContainer {
            id: row.container.clone(),
            name: name.to_owned(),
            ..AlertContainer::default()
        },
        program: if is_file { String::new() } else { path },
        command: String::new(),
        ancestors: Vec::new(),
        event: Event {
            at: refusal.at_ns,
            cgroup: refusal.cgroup,
            process: Process { pid: refusal.pid, tid: refusal.pid, ..Process::default() },
            call: if is_file { String::new() } else { "execve".into() },
            result: if refusal.is_refused { REFUSED } else { 0 },
            action,
        },
    }
}
