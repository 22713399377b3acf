//! What is decided about alerts.

use haechi_core::alert::{ALERT_SCHEMA, AlertContainer, Priority};
use haechi_core::event::{Action as Did, Event, Process};
use haechi_core::policy::ResponsePolicy;

use super::*;
use crate::fields::Fields;

fn policy(rule: &str, response: Response) -> MonitorPolicy {
    let line = ResponsePolicy {
        rule: rule.into(),
        tag: None,
        priority: None,
        container: "*".into(),
        response,
    };
    MonitorPolicy { responses: vec![line], ..MonitorPolicy::default() }
}

fn alert(rule: &str, container: &str) -> Alert {
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: jiff::Timestamp::UNIX_EPOCH,
        rule: rule.into(),
        priority: Priority::Critical,
        text: "text".into(),
        tags: vec!["t".into()],
        checks: Vec::new(),
        container: AlertContainer {
            id: format!("id-{container}"),
            name: container.into(),
            ..AlertContainer::default()
        },
        program: String::new(),
        command: String::new(),
        ancestors: Vec::new(),
        event: Event {
            at: 1,
            cgroup: 7,
            process: Process { pid: 42, ..Process::default() },
            call: "execve".into(),
            result: 0,
            action: Did::Exit(0),
        },
    }
}

fn outcome(responder: &mut Responder, alert: &Alert, now: Instant) -> Option<Outcome> {
    responder.decide(alert, now).map(|action| action.outcome)
}

#[test]
fn nothing_is_done_unless_it_is_asked_for() {
    let now = Instant::now();
    let mut off = Responder::new(policy("*", Response::Pause), false, None);
    assert_eq!(off.decide(&alert("r", "web"), now), None);
    let mut other = Responder::new(policy("other*", Response::Pause), true, None);
    assert_eq!(other.decide(&alert("r", "web"), now), None);
    let rules = Rules::load(&[crate::RULES], &Fields).rules;
    assert!(off.held_names(&rules).is_empty());
}

#[test]
fn what_is_protected_is_never_touched() {
    let now = Instant::now();
    let protected = MonitorPolicy { protected: vec!["db-*".into()], ..policy("*", Response::Stop) };
    let mut responder = Responder::new(protected, true, Some("id-own".into()));
    for (container, expected) in [
        ("db-1", Outcome::Withheld(Withheld::Protected)),
        ("own", Outcome::Withheld(Withheld::Protected)),
        ("", Outcome::Withheld(Withheld::Protected)),
        ("web", Outcome::Begun),
    ] {
        let got = outcome(&mut responder, &alert("r", container), now);
        assert_eq!(got, Some(expected), "{container}");
    }
}

#[test]
fn the_budget_is_kept_and_comes_back() {
    let begin = Instant::now();
    let small = MonitorPolicy { actions_max: 2, actions_minutes: 1, ..policy("*", Response::Kill) };
    let mut responder = Responder::new(small, true, None);
    let mut next = |after: u64| {
        outcome(&mut responder, &alert("r", "web"), begin + Duration::from_secs(after))
    };
    assert_eq!(next(0), Some(Outcome::Begun));
    assert_eq!(next(30), Some(Outcome::Begun));
    assert_eq!(next(31), Some(Outcome::Withheld(Withheld::Budget)));
    assert_eq!(next(60), Some(Outcome::Begun));
    assert_eq!(next(61), Some(Outcome::Withheld(Withheld::Budget)));
}

#[test]
fn one_attack_is_answered_once_and_a_new_one_again() {
    let now = Instant::now();
    let mut responder = Responder::new(policy("*", Response::Pause), true, None);
    let repeated = Some(Outcome::Withheld(Withheld::Repeated));
    assert_eq!(outcome(&mut responder, &alert("r", "web"), now), Some(Outcome::Begun));
    responder.took_effect("id-web", Response::Pause, 5);
    assert_eq!(outcome(&mut responder, &alert("s", "web"), now), repeated);
    assert_eq!(outcome(&mut responder, &alert("s", "app"), now), Some(Outcome::Begun));
    // Somebody let it run again.
    let mut later = alert("s", "web");
    later.event.at = 6;
    assert_eq!(outcome(&mut responder, &later, now), Some(Outcome::Begun));
    responder.use_policy(policy("*", Response::Isolate));
    responder.took_effect("id-web", Response::Isolate, 5);
    assert_eq!(outcome(&mut responder, &later, now), repeated);
    responder.over("id-web");
    assert_eq!(outcome(&mut responder, &later, now), Some(Outcome::Begun));
    responder.use_policy(MonitorPolicy { dry_run: true, ..policy("*", Response::Pause) });
    assert_eq!(outcome(&mut responder, &alert("r", "new"), now), Some(Outcome::DryRun));
}

#[test]
fn the_first_line_that_fits_counts_and_a_pause_may_end_by_itself() {
    let mut both = policy("S*", Response::Alert);
    both.responses.extend(policy("*", Response::Pause).responses);
    both.resume_minutes = 5;
    let mut responder = Responder::new(both, true, None);
    assert_eq!(responder.decide(&alert("SSH", "web"), Instant::now()), None);
    let action = responder.decide(&alert("other", "web"), Instant::now()).unwrap();
    assert!(action.until.is_some_and(|until| until > jiff::Timestamp::now()));
    assert_eq!((action.pid, action.cause.as_str()), (0, "text"));
}

#[test]
fn what_can_be_told_by_its_name_is_held_in_the_kernel() {
    let rules = Rules::load(&[crate::RULES], &Fields).rules;
    let held =
        |rule: &str| Responder::new(policy(rule, Response::Pause), true, None).held_names(&rules);
    let ssh = held("SSH server started in a container");
    assert!(ssh.contains("sshd") && ssh.contains("dropbear"), "{ssh:?}");
    assert!(held("Package manager run in a container").contains("apt-get"));
    // Reading a file is no start of a program.
    assert!(held("Server listens on the SSH port in a container").is_empty());
    let mut dry = policy("*", Response::Pause);
    dry.dry_run = true;
    assert!(Responder::new(dry, true, None).held_names(&rules).is_empty());
}
