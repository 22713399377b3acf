//! Events in, alerts out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Ancestor};
use haechi_core::event::{Action, Event, EventLine, Exec, Origin};
use haechi_rules::Rules;
use jiff::{SignedDuration, Timestamp};

use crate::container::{Container, Containers};
use crate::identity::{Identity, LOADER};
use crate::judged_before::JudgedBefore;
use crate::running;
use crate::tree::Tree;
use crate::view::View;

/// How long events of a container wait for its name: rules ask for it, and the engine answers within some milliseconds.
const NAME_WAIT: Duration = Duration::from_millis(500);
/// Events that wait for the name of one container; with more of them nothing waits.
const WAITING_MAX: usize = 10_000;

/// Programs that are remembered.
const PROGRAMS_MAX: usize = 100_000;
/// Ancestors that an alert names.
const ANCESTORS_SHOWN: usize = 8;

/// Turns the kernel's clock into the time of day.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The moment at which the machine started, as the time of day says now.
    pub started: Timestamp,
}

impl Clock {
    /// The time of day at so many nanoseconds after the start.
    pub fn at(&self, nanoseconds: u64) -> Timestamp {
        let since = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
        self.started.saturating_add(since).unwrap_or(self.started)
    }
}

/// What became of one event: nothing is said of events of which there is nothing to say.
#[derive(Debug)]
pub struct Judged {
    /// The process that did it.
    pub pid: u32,
    /// What rules said.
    pub alerts: Vec<Alert>,
    /// The event itself, if all are shown.
    pub event: Option<Box<EventLine>>,
}

/// A program of an image, as it is told apart without reading it: control group, path, inode, time of the last change.
type ProgramKey = (u64, String, u64, i64);

/// Judges events.
pub struct Monitor {
    rules: Rules,
    clock: Clock,
    host: String,
    seen: u64,
    /// Events of containers whose name is not known yet, by control group, with the moment of the first.
    waiting: BTreeMap<u64, (Instant, Vec<Event>)>,
    /// Programs of images that were looked at, and what they are.
    programs: HashMap<ProgramKey, String>,
    before: JudgedBefore,
    /// Processes.
    pub tree: Tree,
    /// Containers.
    pub containers: Containers,
    /// Whether all events are shown.
    pub shows: bool,
}

impl Monitor {
    /// Knows no process and no container yet.
    pub fn new(rules: Rules, clock: Clock, host: String) -> Self {
        Self {
            before: JudgedBefore::new(&rules),
            rules,
            clock,
            host,
            seen: 0,
            waiting: BTreeMap::new(),
            programs: HashMap::default(),
            tree: Tree::default(),
            containers: Containers::default(),
            shows: false,
        }
    }

    /// The rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Other rules from now on; what is known stays.
    pub fn use_rules(&mut self, rules: Rules) {
        self.before = JudgedBefore::new(&rules);
        self.rules = rules;
    }

    /// Takes an event. Those of one container have to come in the order in which they happened. They are judged at
    /// once, or, while the container has no name, when that is told or the time for it is over.
    pub fn see(&mut self, event: Event, now: Instant) -> Vec<Judged> {
        let unnamed = self.containers.get(event.cgroup).is_some_and(|known| known.name.is_empty());
        if !unnamed {
            return self.judge(event).into_iter().collect();
        }
        let (since, events) = self.waiting.entry(event.cgroup).or_insert_with(|| (now, Vec::new()));
        if now.duration_since(*since) < NAME_WAIT && events.len() < WAITING_MAX {
            events.push(event);
            return Vec::new();
        }
        let mut judged = self.release(event.cgroup);
        judged.extend(self.judge(event));
        judged
    }

    /// Takes what the engine says about a container, and judges what waited for it.
    pub fn learn(&mut self, told: &Container) -> Vec<Judged> {
        self.containers.learn(told);
        self.before.change();
        self.release_if(|containers, cgroup, _| {
            containers.get(cgroup).is_none_or(|known| !known.name.is_empty())
        })
    }

    /// Judges what has waited long enough. To be called a few times a second.
    pub fn tick(&mut self, now: Instant) -> Vec<Judged> {
        self.release_if(|_, _, since| now.duration_since(since) >= NAME_WAIT)
    }

    /// Judges all that waits: the end.
    pub fn rest(&mut self) -> Vec<Judged> {
        self.release_if(|_, _, _| true)
    }

    fn release_if(&mut self, which: impl Fn(&Containers, u64, Instant) -> bool) -> Vec<Judged> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let all = self.waiting.iter().map(|(cgroup, (since, _))| (*cgroup, *since));
        let ready: Vec<u64> = all
            .filter(|(cgroup, since)| which(&self.containers, *cgroup, *since))
            .map(|(cgroup, _)| cgroup)
            .collect();
        ready.into_iter().flat_map(|cgroup| self.release(cgroup)).collect()
    }

    fn release(&mut self, cgroup: u64) -> Vec<Judged> {
        // The moment of the first stays, so that a container that never gets a name waits only once.
        let Some((_, events)) = self.waiting.get_mut(&cgroup) else { return Vec::new() };
        let events = std::mem::take(events);
        if self.containers.get(cgroup).is_none_or(|known| !known.name.is_empty()) {
            self.waiting.remove(&cgroup);
        }
        events.into_iter().filter_map(|event| self.judge(event)).collect()
    }

    /// Learns from an event and judges it.
    fn judge(&mut self, mut event: Event) -> Option<Judged> {
        self.seen += 1;
        // A parent outside the container (of `docker exec`) was never told of, and its id may be another's by now.
        if matches!(event.action, Action::Exec(_))
            && self.tree.get(event.process.parent).is_none_or(|known| known.started == 0)
            && let Some(parent) = running::outside(event.process.parent)
        {
            self.tree.seed(parent);
        }
        self.tree.see(&event);
        self.tree.complete(&mut event);
        let event = &event;
        if matches!(event.action, Action::Exec(_) | Action::Exit(_)) {
            self.before.change();
        }
        let line = self.shows.then(|| Box::new(self.line(event)));
        let mark = self.before.mark(event);
        if mark.is_some_and(|mark| self.before.is_known(mark)) {
            return line.map(|line| Judged {
                pid: event.process.pid,
                alerts: Vec::new(),
                event: Some(line),
            });
        }
        let mut held = false;
        if let Action::Exec(exec) = &event.action {
            held = exec.held;
            if let Some(program) = self.programs.get(&key(event, exec)) {
                self.tree.name(event, program);
            }
        }
        let alerts = self.alerts(event, &self.tree);
        if let Some(mark) = mark.filter(|_| alerts.is_empty()) {
            self.before.remember(mark);
        }
        let is_said = held || line.is_some() || !alerts.is_empty();
        is_said.then_some(Judged { pid: event.process.pid, alerts, event: line })
    }

    /// The event as it is shown.
    fn line(&self, event: &Event) -> EventLine {
        let container = self.containers.get(event.cgroup).map(named).unwrap_or_default();
        EventLine::new(self.clock.at(event.at), container, event.clone())
    }

    fn alerts(&self, event: &Event, tree: &Tree) -> Vec<Alert> {
        let container = self.containers.get(event.cgroup);
        let view = View { event, number: self.seen, tree, container, host: &self.host };
        let matching = self.rules.matching(&event.call, &view);
        matching.map(|rule| self.alert(rule, event, container, &view)).collect()
    }

    /// Whether the content of a started program should be looked at: it was not yet, or may have changed since, or it is
    /// a loader, which runs another one each time.
    pub fn wants_identity(&self, event: &Event) -> bool {
        let Action::Exec(exec) = &event.action else { return false };
        // What is not of the image can be changed in place, and its time set back.
        if exec.origin != Origin::Image {
            return true;
        }
        self.programs.get(&key(event, exec)).is_none_or(|program| program == LOADER)
    }

    /// Takes what a started program was found to be, and judges its start once more: by what it is now known to be. What
    /// was told before is not told again.
    pub fn identified(&mut self, event: &Event, found: &Identity) -> Judged {
        let program = &found.runs;
        if let Action::Exec(exec) = &event.action
            && exec.origin == Origin::Image
        {
            if self.programs.len() >= PROGRAMS_MAX {
                self.programs.clear();
            }
            self.programs.insert(key(event, exec), found.file.clone());
        }
        if program.is_empty() {
            return Judged { pid: event.process.pid, alerts: Vec::new(), event: None };
        }
        let mut then = self.tree.at_start_of(event);
        let before = self.alerts(event, &then);
        self.tree.name(event, program);
        self.before.change();
        then.name(event, program);
        let mut alerts = self.alerts(event, &then);
        alerts.retain(|alert| !before.iter().any(|told| told.rule == alert.rule));
        Judged { pid: event.process.pid, alerts, event: None }
    }

    fn alert(
        &self,
        rule: &haechi_rules::Rule,
        event: &Event,
        container: Option<&Container>,
        view: &View<'_>,
    ) -> Alert {
        let mut text = String::new();
        rule.output.render(view, &mut text);
        let own = view.tree.at(event.process.pid, event.at);
        let ancestors = view.tree.ancestors(event.process.pid).take(ANCESTORS_SHOWN);
        Alert {
            schema: ALERT_SCHEMA.into(),
            at: self.clock.at(event.at),
            rule: rule.name.clone(),
            priority: rule.priority,
            text,
            tags: rule.tags.clone(),
            checks: rule.checks().map(str::to_owned).collect(),
            container: container.map(named).unwrap_or_default(),
            program: own.map(|own| own.path.clone()).unwrap_or_default(),
            command: own.map(crate::tree::Known::command_line).unwrap_or_default(),
            ancestors: ancestors
                .map(|known| Ancestor {
                    pid: known.pid,
                    name: known.name.clone(),
                    path: known.path.clone(),
                    command: known.command_line(),
                })
                .collect(),
            event: event.clone(),
        }
    }
}

fn key(event: &Event, exec: &Exec) -> ProgramKey {
    (event.cgroup, exec.path.clone(), exec.inode, exec.modified)
}

fn named(container: &Container) -> AlertContainer {
    let (namespace, pod) = container.pod().unwrap_or_default();
    AlertContainer {
        id: container.id.clone(),
        name: container.name.clone(),
        image: container.image.clone(),
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
    }
}

#[cfg(test)]
mod tests;
