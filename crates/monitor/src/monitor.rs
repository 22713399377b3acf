//! Events in, alerts out.

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Ancestor, Priority};
use haechi_core::event::Event;
use haechi_rules::Rules;
use jiff::{SignedDuration, Timestamp};

use crate::container::{Container, Containers};
use crate::tree::Tree;
use crate::view::View;

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

/// Judges events.
pub struct Monitor {
    rules: Rules,
    clock: Clock,
    host: String,
    /// Processes.
    pub tree: Tree,
    /// Containers.
    pub containers: Containers,
}

impl Monitor {
    /// Knows no process and no container yet.
    pub fn new(rules: Rules, clock: Clock, host: String) -> Self {
        Self { rules, clock, host, tree: Tree::default(), containers: Containers::default() }
    }

    /// The rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Other rules from now on; what is known stays.
    pub fn use_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Learns from an event and judges it. Events have to come in the order in which they happened.
    pub fn see(&mut self, event: &Event) -> Vec<Alert> {
        self.tree.see(event);
        let container = self.containers.get(event.cgroup);
        let view = View { event, tree: &self.tree, container, host: &self.host };
        let matching = self.rules.matching(&event.call, &view);
        matching.map(|rule| self.alert(rule, event, container, &view)).collect()
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
        let own = self.tree.get(event.process.pid);
        let ancestors = self.tree.ancestors(event.process.pid).take(ANCESTORS_SHOWN);
        Alert {
            schema: ALERT_SCHEMA.into(),
            at: self.clock.at(event.at),
            rule: rule.name.clone(),
            priority: priority(rule),
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

fn priority(rule: &haechi_rules::Rule) -> Priority {
    use haechi_rules::Priority as Rules;
    match rule.priority {
        Rules::Emergency => Priority::Emergency,
        Rules::Alert => Priority::Alert,
        Rules::Critical => Priority::Critical,
        Rules::Error => Priority::Error,
        Rules::Warning => Priority::Warning,
        Rules::Notice => Priority::Notice,
        Rules::Informational => Priority::Informational,
        Rules::Debug => Priority::Debug,
    }
}
