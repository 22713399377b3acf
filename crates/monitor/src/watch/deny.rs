//! Programs that no container may start: refused by the kernel, and told as alerts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action as Did, Event, Exec, Process};
use haechi_core::response::{ACTION_SCHEMA, Action, Outcome, Response, Speed};
use haechi_sensor::{Deny, Refusal, Tier};

use crate::monitor::Clock;

/// Name under which refusals are told.
const RULE: &str = "Program refused by the policy";
/// How often it is looked for refusals; nothing waits for that, the program is refused already.
const LOOK: Duration = Duration::from_millis(50);
/// What execve(2) returns: `EPERM`.
const REFUSED: i64 = -1;

/// Refuses programs, if there are names of them.
pub(super) struct Guard {
    deny: Option<Deny>,
    /// Containers, with the folder of their file system: also those that came before there were names.
    known: BTreeMap<u64, Option<PathBuf>>,
}

impl Guard {
    pub fn new(names: &[String]) -> Self {
        let mut guard = Self { deny: None, known: BTreeMap::new() };
        guard.use_names(names);
        guard
    }

    /// Refuses these from now on.
    pub fn use_names(&mut self, names: &[String]) {
        if self.deny.is_none() && !names.is_empty() {
            let (deny, abilities) = Deny::new();
            for ability in abilities.iter().filter(|ability| ability.missing.is_some()) {
                let why = ability.missing.as_deref().unwrap_or_default();
                tracing::info!("{}: {why}", ability.name);
            }
            self.deny = Some(deny);
            let known: Vec<(u64, Option<PathBuf>)> =
                self.known.iter().map(|(cgroup, merged)| (*cgroup, merged.clone())).collect();
            for (cgroup, merged) in known {
                self.guard(cgroup, merged.as_deref());
            }
        }
        if let Some(deny) = &mut self.deny
            && let Err(error) = deny.set_names(names)
        {
            tracing::error!("programs cannot be refused: {error}");
        }
    }

    pub fn tier(&self) -> Tier {
        self.deny.as_ref().map_or(Tier::None, Deny::tier)
    }

    /// Guards a container: by the folder that the engine names, else by the root of one of its processes.
    pub fn watch(&mut self, cgroup: u64, merged: &str, pids: impl Fn() -> Vec<u32>) {
        let merged = match merged {
            "" => pids().first().map(|pid| PathBuf::from(format!("/proc/{pid}/root"))),
            merged => Some(merged.into()),
        };
        self.guard(cgroup, merged.as_deref());
        self.known.insert(cgroup, merged);
    }

    fn guard(&mut self, cgroup: u64, merged: Option<&Path>) {
        if let Some(deny) = &mut self.deny
            && let Err(error) = deny.watch(cgroup, merged)
        {
            tracing::error!("programs of the container of group {cgroup} are NOT refused: {error}");
        }
    }

    pub fn forget(&mut self, cgroup: u64) {
        self.known.remove(&cgroup);
        if let Some(deny) = &mut self.deny
            && let Err(error) = deny.forget(cgroup)
        {
            tracing::debug!("{error}");
        }
    }

    /// What was refused; waits until there is something, for ever if nothing is refused.
    pub async fn next(&mut self) -> Vec<Refusal> {
        let Some(deny) = &mut self.deny else { return std::future::pending().await };
        loop {
            let found = deny.refused();
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A refusal as an alert, and as what was done about it.
pub(super) fn alert(refusal: &Refusal, id: String, name: String, clock: Clock) -> (Alert, Action) {
    let container = AlertContainer { id, name, ..AlertContainer::default() };
    let path = if refusal.path.is_empty() { &refusal.name } else { &refusal.path };
    let exec = Exec { path: path.clone(), file: refusal.name.clone(), ..Exec::default() };
    let process = Process { pid: refusal.pid, tid: refusal.pid, ..Process::default() };
    let at = clock.at(refusal.at_ns);
    let text = format!("{path} was refused (container={})", container.name);
    let action = Action {
        schema: ACTION_SCHEMA.into(),
        at,
        response: Response::Deny,
        container: container.clone(),
        pid: refusal.pid,
        rule: RULE.into(),
        cause: text.clone(),
        // Nothing is left to be done or taken back.
        outcome: Outcome::Ended,
        speed: Speed { before_first_instruction: true, ..Speed::default() },
        until: None,
        evidence: None,
    };
    let alert = Alert {
        schema: ALERT_SCHEMA.into(),
        at,
        rule: RULE.into(),
        priority: Priority::Error,
        text,
        tags: vec!["deny".into()],
        checks: Vec::new(),
        container,
        program: path.clone(),
        command: String::new(),
        ancestors: Vec::new(),
        event: Event {
            at: refusal.at_ns,
            cgroup: refusal.cgroup,
            process,
            call: "execve".into(),
            result: REFUSED,
            action: Did::Exec(Box::new(exec)),
        },
    };
    (alert, action)
}
