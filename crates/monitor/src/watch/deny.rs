//! Programs that no container may start, and what single ones may do and nothing else: refused by the kernel, and told as
//! alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::allowance::Mode;
use haechi_core::event::{Action as Did, Event, Exec, Process};
use haechi_core::profile::Workload;
use haechi_core::response::{ACTION_SCHEMA, Action, Outcome, Response, Speed};
use haechi_sensor::{Deny, Refusal, Tier, Unlooked};
use haechi_store::{Guarded, ProfileId};
use jiff::Timestamp;

use super::enforce::Ruled;
use crate::container::Container;
use crate::monitor::Clock;

/// Name under which refusals are told.
const RULE: &str = "Program refused by the policy";
/// How often it is looked for refusals; nothing waits for that, the program is refused already.
const LOOK: Duration = Duration::from_millis(50);
/// Containers that are remembered before they start.
const MADE_MAX: usize = 4096;
/// What execve(2) returns: `EPERM`.
const REFUSED: i64 = -1;

/// A container whose programs may be refused: also one that came before there was anything to refuse.
struct Known {
    /// The folder of its file system.
    merged: Option<PathBuf>,
    workload: Workload,
}

/// Refuses programs, if there are names of them, and what profiles do not have, where that is in force.
pub(super) struct Guard {
    deny: Option<Deny>,
    names: Vec<String>,
    known: BTreeMap<u64, Known>,
    /// Containers that were made and have not started, by id.
    made: BTreeMap<String, Container>,
    ruled: Vec<Ruled>,
    /// Whether anything is refused; else it is told what would be.
    refuses: bool,
    /// What is in force for which container, and what of it is not possible.
    in_force: BTreeMap<u64, (ProfileId, Result<Option<String>, String>)>,
}

impl Guard {
    pub fn new(names: &[String], refuses: bool) -> Self {
        let mut guard = Self {
            deny: None,
            names: Vec::new(),
            known: BTreeMap::new(),
            made: BTreeMap::new(),
            ruled: Vec::new(),
            refuses,
            in_force: BTreeMap::new(),
        };
        guard.use_names(names);
        guard
    }

    /// Refuses these from now on.
    pub fn use_names(&mut self, names: &[String]) {
        self.names = names.to_vec();
        self.begin();
        if let Some(deny) = &mut self.deny
            && let Err(error) = deny.set_names(names)
        {
            tracing::error!("programs cannot be refused: {error}");
        }
        self.guard_all();
    }

    /// Lets containers do only this from now on; whether anything is refused, or only told.
    pub fn use_rules(&mut self, ruled: Vec<Ruled>) {
        self.ruled = ruled;
        self.begin();
        self.guard_all();
    }

    /// Whether anything is refused from now on.
    pub fn refuse(&mut self, refuses: bool) {
        if self.refuses != refuses {
            self.refuses = refuses;
            self.guard_all();
        }
    }

    /// Whether something is in force for a profile.
    pub fn has_rules(&self) -> bool {
        !self.ruled.is_empty()
    }

    fn begin(&mut self) {
        if self.deny.is_some() || self.names.is_empty() && self.ruled.is_empty() {
            return;
        }
        let (deny, abilities) = Deny::new();
        for ability in abilities.iter().filter(|ability| ability.missing.is_some()) {
            let why = ability.missing.as_deref().unwrap_or_default();
            tracing::info!("{}: {why}", ability.name);
        }
        self.deny = Some(deny);
    }

    pub fn tier(&self) -> Tier {
        self.deny.as_ref().map_or(Tier::None, Deny::tier)
    }

    /// A container was made: what it starts first is held against its profile as well.
    pub fn made(&mut self, container: &Container) {
        if self.made.len() >= MADE_MAX {
            // Those that are gone already; one that waits begins unguarded, as if it had been made before.
            self.made.clear();
        }
        if self.has_rules() {
            self.made.insert(container.id.clone(), container.clone());
        }
    }

    /// A container was removed.
    pub fn unmade(&mut self, id: &str) {
        self.made.remove(id);
    }

    /// A container's control group came; if it is known what it is, it is guarded before its first program.
    pub fn came(&mut self, cgroup: u64, id: &str) {
        if let Some(container) = self.made.remove(id) {
            self.watch(cgroup, &container, Vec::new);
        }
    }

    /// Guards a container: by the folder that the engine names, else by the root of one of its processes.
    pub fn watch(&mut self, cgroup: u64, container: &Container, pids: impl Fn() -> Vec<u32>) {
        self.made.remove(&container.id);
        let merged = match container.merged.as_str() {
            "" => pids().first().map(|pid| PathBuf::from(format!("/proc/{pid}/root"))),
            merged => Some(merged.into()),
        };
        let workload =
            Workload { image: container.image_id.clone(), command: container.command.clone() };
        self.known.insert(cgroup, Known { merged, workload });
        self.guard(cgroup);
    }

    fn guard_all(&mut self) {
        for cgroup in self.known.keys().copied().collect::<Vec<_>>() {
            self.guard(cgroup);
        }
    }

    fn guard(&mut self, cgroup: u64) {
        let (Some(deny), Some(known)) = (&mut self.deny, self.known.get(&cgroup)) else { return };
        let ruled = self.ruled.iter().find(|ruled| ruled.workload == known.workload);
        if ruled.is_none() && self.names.is_empty() {
            // Nobody has to wait for an answer that is always the same.
            self.in_force.remove(&cgroup);
            if let Err(error) = deny.forget(cgroup) {
                tracing::debug!("{error}");
            }
            return;
        }
        let merged = known.merged.as_deref();
        let watched = deny.watch(cgroup, merged);
        if let Err(error) = &watched {
            tracing::error!("programs of the container of group {cgroup} are NOT refused: {error}");
        }
        let allowed = watched.and_then(|()| match ruled {
            None => deny.allow_only(cgroup, None, None),
            Some(ruled) => {
                let mode = if self.refuses { ruled.mode } else { Mode::DryRun };
                deny.allow_only(cgroup, merged, Some((&ruled.allowance, mode)))
            }
        });
        let Some(ruled) = ruled else {
            self.in_force.remove(&cgroup);
            return;
        };
        if let Err(error) = &allowed {
            tracing::error!(
                "the profile of the container of group {cgroup} is NOT enforced: {error}"
            );
        }
        let state = allowed.map_err(|error| error.to_string());
        self.in_force.insert(cgroup, (ruled.profile, state));
    }

    pub fn forget(&mut self, cgroup: u64) {
        self.known.remove(&cgroup);
        self.in_force.remove(&cgroup);
        if let Some(deny) = &mut self.deny
            && let Err(error) = deny.forget(cgroup)
        {
            tracing::debug!("{error}");
        }
    }

    /// The profile that is in force for a container.
    pub fn rule_of(&self, cgroup: u64) -> Option<ProfileId> {
        self.in_force.get(&cgroup).map(|(profile, _)| *profile)
    }

    /// What is really done about each profile for which something is to be done.
    pub fn guarded(&self, now: Timestamp) -> Vec<Guarded> {
        let one = |ruled: &Ruled| {
            let mut problems: BTreeSet<String> = self.let_through().into_iter().collect();
            let (mut containers, mut unlimited) = (0, false);
            for (_, state) in self.in_force.values().filter(|(id, _)| *id == ruled.profile) {
                match state {
                    Ok(problem) => {
                        containers += 1;
                        unlimited |= problem.is_some();
                        problems.extend(problem.clone());
                    }
                    Err(problem) => drop(problems.insert(problem.clone())),
                }
            }
            let is_limited = self.tier() == Tier::Lsm && !unlimited;
            Guarded {
                profile: ruled.profile,
                mode: if self.refuses { ruled.mode } else { Mode::DryRun },
                with_files: ruled.allowance.writable.is_some() && is_limited,
                tier: match self.tier() {
                    Tier::Lsm => "lsm",
                    Tier::Fanotify => "fanotify",
                    Tier::None => "",
                }
                .to_owned(),
                containers,
                problem: problems.into_iter().collect::<Vec<_>>().join("; "),
                since: now,
                at: now,
            }
        };
        self.ruled.iter().map(one).collect()
    }

    /// What was decided on without a look since the last call, by control group.
    pub fn unlooked(&mut self) -> BTreeMap<u64, Unlooked> {
        self.deny.as_mut().map(Deny::unlooked).unwrap_or_default()
    }

    /// What was let through because the answer took too long.
    fn let_through(&self) -> Option<String> {
        let late = self.deny.as_ref()?.counts().ok()?.late;
        (late > 0).then(|| {
            format!("{late} programs were let through without a look since the monitor began, because it was too slow")
        })
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
