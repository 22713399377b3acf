//! Alerts, actions and events as lines for people: what happened, where, and what was done about it.
//!
//! Names of priorities, responses and events are those of rules and policy, in every language. What comes from a
//! container is made harmless for a terminal.

use std::fmt::Write;

use haechi_core::alert::{Alert, AlertContainer, headline};
use haechi_core::event::{Action as Did, EventLine, Network};
use haechi_core::response::{Action, Outcome, Withheld};
use haechi_core::text::visible;

use crate::setting::Setting;

/// The name of a container, or else its short id.
pub fn name(container: &AlertContainer) -> &str {
    short(&container.name, &container.id)
}

/// The name, or else the short id.
pub fn short<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id.get(..12).unwrap_or(id) } else { name }
}

/// An alert without its time.
pub fn alert(alert: &Alert) -> String {
    let (priority, name) = (alert.priority.name(), name(&alert.container));
    visible(&format!("{priority:<13}  {name}  {}", alert.headline())).into_owned()
}

/// An action without its time.
pub fn action(action: &Action, setting: &Setting) -> String {
    let (response, name) = (action.response.name(), name(&action.container));
    let outcome = outcome(&action.outcome, setting);
    let milliseconds = |us: u64| format!(" {}.{:03} ms", us / 1000, us % 1000);
    let speed = action.speed.stopped_us.map(milliseconds).unwrap_or_default();
    let cause = headline(&action.rule, &action.cause);
    visible(&format!("{response:<13}  {name}  {outcome}{speed}  {cause}")).into_owned()
}

/// What came of an action, in the user's language.
pub fn outcome(outcome: &Outcome, setting: &Setting) -> String {
    let why = match outcome {
        Outcome::Failed(why) => why.clone(),
        Outcome::Withheld(why) => setting.text(&format!("withheld-{}", withheld(*why)), &[]),
        _ => String::new(),
    };
    setting.text(&format!("outcome-{}", outcome.name()), &[("why", &why)])
}

/// The name as in JSON.
pub const fn withheld(why: Withheld) -> &'static str {
    match why {
        Withheld::Protected => "protected",
        Withheld::Budget => "budget",
        Withheld::Repeated => "repeated",
        Withheld::Gone => "gone",
        Withheld::HostNetwork => "host_network",
    }
}

/// An event without its time: kind, call, container, process, and what it did.
pub fn event(line: &EventLine) -> String {
    let (event, name) = (&line.event, name(&line.container));
    let (process, call) = (&event.process, &event.call);
    let mut text =
        format!("{:<7}  {call:<14}  {name}  {}[{}]", line.kind, process.name, process.pid);
    let did = did(&event.action);
    if !did.is_empty() {
        // Writing to a text cannot fail.
        let _ = write!(text, "  {did}");
    }
    if event.result < 0 {
        let _ = write!(text, "  = {}", event.result);
    }
    visible(&text).into_owned()
}

fn did(action: &Did) -> String {
    match action {
        Did::Exec(exec) => format!("{}: {}", exec.path, exec.args.join(" ")),
        Did::Exit(status) => status.to_string(),
        Did::Open(open) => {
            let way = if open.write { "w" } else { "r" };
            format!("{way} {}", open.path)
        }
        Did::Network(network) => ends(network),
        Did::Path(call) => [call.path.as_str(), &call.second].join(" ").trim_end().to_owned(),
        Did::Call(call) => call.text.clone(),
    }
}

fn ends(network: &Network) -> String {
    let end = |end: Option<haechi_core::event::Endpoint>| {
        end.map(|end| std::net::SocketAddr::new(end.ip, end.port).to_string()).unwrap_or_default()
    };
    if !network.path.is_empty() {
        return network.path.clone();
    }
    format!("{} -> {}", end(network.local), end(network.remote))
}

#[cfg(test)]
mod tests {
    use haechi_core::Lang;
    use haechi_core::event::{Event, Exec, Process};

    use super::*;

    #[test]
    fn lines_cannot_forge_others_and_say_what_came_of_it() {
        let container = AlertContainer { name: "web\u{1b}[2J".into(), ..AlertContainer::default() };
        let exec = Exec {
            path: "/bin/sh".into(),
            args: vec!["sh".into(), "a\nb".into()],
            ..Exec::default()
        };
        let process = Process { name: "sh".into(), pid: 7, ..Process::default() };
        let event = Event {
            at: 1,
            cgroup: 1,
            process,
            call: "execve".into(),
            result: -13,
            action: Did::Exec(Box::new(exec)),
        };
        let line = super::event(&EventLine::new(jiff::Timestamp::UNIX_EPOCH, container, event));
        assert_eq!(
            line,
            "exec     execve          web\\u{1b}[2J  sh[7]  /bin/sh: sh a\\u{a}b  = -13"
        );
    }

    #[test]
    fn every_outcome_has_words_in_both_languages() {
        let all = [
            Withheld::Protected,
            Withheld::Budget,
            Withheld::Repeated,
            Withheld::Gone,
            Withheld::HostNetwork,
        ];
        let mut outcomes: Vec<Outcome> = all.map(Outcome::Withheld).to_vec();
        outcomes.extend([Outcome::Begun, Outcome::Done, Outcome::DryRun, Outcome::Ended]);
        outcomes.push(Outcome::Failed("there is no engine to ask".into()));
        for one in outcomes {
            let [en, ko] = [Lang::En, Lang::Ko].map(|lang| outcome(&one, &Setting::plain(lang)));
            assert!(!en.contains("outcome-") && !en.contains("withheld-"), "{en}");
            assert!(en != ko && !ko.contains("there is"), "{en}: {ko}");
        }
    }
}
