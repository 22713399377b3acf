//! Decides what is done about an alert: by the policy, within its budget, and never to what is protected.
//!
//! Pure: it does nothing itself, and the time is given to it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use haechi_core::alert::Alert;
use haechi_core::policy::MonitorPolicy;
use haechi_core::response::{ACTION_SCHEMA, Action, Outcome, Response, Speed, Withheld};
use haechi_rules::{Field, Needed, Rules};

use crate::fields::{FIELDS, Id};

/// Nanoseconds that a stopped container has to end, and some more.
const STOPPING_NS: u64 = 15_000_000_000;

/// Decides responses.
#[derive(Debug)]
pub struct Responder {
    policy: MonitorPolicy,
    /// Whether anything is done at all.
    on: bool,
    /// The container that Haechi itself runs in.
    own: Option<String>,
    /// When responses were done, oldest first.
    done: VecDeque<Instant>,
    /// Responses to whole containers that took effect, with the moment in nanoseconds since the machine started.
    in_effect: HashMap<(String, Response), u64>,
}

impl Responder {
    /// Without `on` every alert is only told.
    pub fn new(policy: MonitorPolicy, on: bool, own: Option<String>) -> Self {
        Self { policy, on, own, done: VecDeque::new(), in_effect: HashMap::new() }
    }

    /// Another policy from now on; what was done counts on.
    pub fn use_policy(&mut self, policy: MonitorPolicy) {
        self.policy = policy;
    }

    /// The policy.
    pub const fn policy(&self) -> &MonitorPolicy {
        &self.policy
    }

    /// What is to be done about an alert, or was withheld; `None` if it is only told.
    pub fn decide(&mut self, alert: &Alert, now: Instant) -> Option<Action> {
        let response = self.policy.response(alert);
        if !self.on || response == Response::Alert {
            return None;
        }
        let outcome = self.outcome(alert, response, now);
        let minutes = self.policy.resume_minutes;
        let lasts = matches!(response, Response::Pause | Response::Isolate);
        let until = (minutes > 0 && lasts && outcome == Outcome::Begun)
            .then(|| jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes));
        Some(Action {
            schema: ACTION_SCHEMA.into(),
            at: jiff::Timestamp::now(),
            response,
            container: alert.container.clone(),
            pid: match response {
                Response::Kill | Response::Deny => alert.event.process.pid,
                _ => 0,
            },
            rule: alert.rule.clone(),
            cause: alert.text.clone(),
            outcome,
            speed: Speed::default(),
            until,
            evidence: None,
        })
    }

    fn outcome(&mut self, alert: &Alert, response: Response, now: Instant) -> Outcome {
        let container = &alert.container;
        // A container without a name cannot be told from a protected one.
        let unknown = container.name.is_empty() && !self.policy.protected.is_empty();
        let own = self.own.as_ref().is_some_and(|own| *own == container.id);
        if own || unknown || self.policy.protects(&container.name) {
            return Outcome::Withheld(Withheld::Protected);
        }
        let key = (container.id.clone(), response);
        if self.in_effect.get(&key).is_some_and(|since| goes_on(response, *since, alert.event.at)) {
            return Outcome::Withheld(Withheld::Repeated);
        }
        if self.policy.dry_run {
            return Outcome::DryRun;
        }
        let minutes = u64::try_from(self.policy.actions_minutes).unwrap_or(1);
        let window = Duration::from_secs(60 * minutes);
        while self.done.front().is_some_and(|at| now.duration_since(*at) >= window) {
            self.done.pop_front();
        }
        let most = usize::try_from(self.policy.actions_max).unwrap_or(0);
        if self.done.len() >= most {
            return Outcome::Withheld(Withheld::Budget);
        }
        self.done.push_back(now);
        Outcome::Begun
    }

    /// A response to a whole container took effect at this moment (nanoseconds since the machine started).
    pub fn took_effect(&mut self, container: &str, response: Response, at: u64) {
        if !matches!(response, Response::Kill | Response::Deny) {
            self.in_effect.insert((container.to_owned(), response), at);
        }
    }

    /// The container is gone, or what was done to it was taken back.
    pub fn over(&mut self, container: &str) {
        self.in_effect.retain(|(id, _), _| id != container);
    }

    /// Names of programs that the kernel is to hold until they are judged: those without which no rule that is answered
    /// can be true for a started program.
    pub fn held_names(&self, rules: &Rules) -> BTreeSet<String> {
        if !self.on || self.policy.dry_run {
            return BTreeSet::new();
        }
        self.names(rules, |response| response != Response::Alert)
    }

    /// Whether anything is refused before it runs.
    pub fn refuses(&self) -> bool {
        self.on && !self.policy.dry_run
    }

    /// Names of programs that are refused before they run.
    pub fn denied_names(&self) -> BTreeSet<String> {
        if !self.refuses() {
            return BTreeSet::new();
        }
        self.policy.denied_programs.iter().cloned().collect()
    }

    fn names(&self, rules: &Rules, wanted: impl Fn(Response) -> bool) -> BTreeSet<String> {
        let answered = rules.running().iter().filter(|rule| {
            self.policy.responses.iter().any(|line| {
                wanted(line.response) && line.fits_rule(&rule.name, &rule.tags, rule.priority)
            })
        });
        let started = answered.filter(|rule| rules.can_match(rule, "execve"));
        started.filter_map(|rule| rules.needs(rule, &program)).flatten().collect()
    }
}

/// Whether what an event shows is answered already. What a frozen container did after it was frozen shows that it runs
/// again.
const fn goes_on(response: Response, since: u64, event: u64) -> bool {
    match response {
        Response::Pause => event <= since,
        Response::Stop => event <= since.saturating_add(STOPPING_NS),
        _ => true,
    }
}

/// The names of programs that a comparison asks for.
fn program(field: &Field, needed: Needed<'_>) -> Option<Vec<String>> {
    let id = FIELDS.get(usize::from(field.id))?.id;
    let last = |path: &str| path.rsplit_once('/').map(|(_, name)| name.to_owned());
    match (id, needed) {
        (Id::ProcName, Needed::Texts(names)) => {
            Some(names.into_iter().map(str::to_owned).collect())
        }
        (Id::ProcPath, Needed::Texts(paths)) => paths.into_iter().map(last).collect(),
        (Id::ProcPath, Needed::End(end)) => Some(vec![last(end)?]),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
