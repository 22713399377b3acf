//! Takes secrets out of an alert before anybody sees it: arguments of programs are where people put passwords.

use haechi_core::alert::Alert;
use haechi_core::event::Action;
use haechi_facts::redact;

/// Hides the secrets that are recognised in what an alert says and shows.
pub fn redacted(mut alert: Alert) -> Alert {
    let args = match &mut alert.event.action {
        Action::Exec(exec) => {
            exec.args = redact::arguments(&exec.args);
            exec.args.get(1..).unwrap_or_default().join(" ")
        }
        _ => line(&alert.command),
    };
    let raw = alert.command.clone();
    let name = raw.split(' ').next().unwrap_or_default();
    let command = match &alert.event.action {
        Action::Exec(_) if !args.is_empty() => format!("{name} {args}"),
        Action::Exec(_) => name.to_owned(),
        _ => args,
    };
    if !raw.is_empty() {
        alert.text = alert.text.replace(&raw, &command);
    }
    alert.command = command;
    for ancestor in &mut alert.ancestors {
        let hidden = line(&ancestor.command);
        if !ancestor.command.is_empty() {
            alert.text = alert.text.replace(&ancestor.command, &hidden);
        }
        ancestor.command = hidden;
    }
    alert.text = redact::text(&alert.text);
    alert
}

fn line(command: &str) -> String {
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    redact::arguments(&words).join(" ")
}

#[cfg(test)]
mod tests {
    use haechi_core::alert::{AlertContainer, Ancestor, Priority};
    use haechi_core::event::{Event, Exec, Process};

    use super::*;

    #[test]
    fn passwords_are_nowhere_in_an_alert() {
        let secret = "hunter2secret";
        let args: Vec<String> =
            ["mysql", "--password", secret, "db"].iter().map(|word| (*word).to_owned()).collect();
        let command = args.join(" ");
        let parent = format!("sh -c mysql --password {secret} db");
        let exec = Exec { args, ..Exec::default() };
        let alert = Alert {
            schema: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            rule: "r".into(),
            priority: Priority::Error,
            text: format!("run (command={command} parent={parent})"),
            tags: Vec::new(),
            checks: Vec::new(),
            container: AlertContainer::default(),
            program: "/usr/bin/mysql".into(),
            command,
            ancestors: vec![Ancestor { command: parent, ..Ancestor::default() }],
            event: Event {
                at: 0,
                cgroup: 0,
                process: Process::default(),
                call: "execve".into(),
                result: 0,
                action: Action::Exec(Box::new(exec)),
            },
        };
        let shown = redacted(alert);
        let all = serde_json::to_string(&shown).unwrap();
        assert!(!all.contains(secret), "{all}");
        assert!(shown.command.starts_with("mysql --password ") && shown.command.ends_with(" db"));
        assert!(shown.text.starts_with("run (command=mysql "), "{}", shown.text);
    }
}
