//! Tells that programs were let through, or refused, because nobody could look at them in time.
//!
//! Promises one alert a minute for each container, with how many there were since the last one. It decides nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action as Did, Call, Event, Process};
use haechi_sensor::Unlooked;
use jiff::Timestamp;

use crate::Clock;

/// Name under which it is told.
const RULE: &str = "Programs that could not be looked at in time";
/// How often.
const TELL: Duration = Duration::from_secs(60);

/// What is to be told of one container.
struct One {
    id: String,
    name: String,
    unlooked: Unlooked,
    told: Option<Instant>,
}

/// See above.
#[derive(Default)]
pub(super) struct Late(BTreeMap<u64, One>);

impl Late {
    /// More of a control group, with the id and name of its container.
    pub fn add(&mut self, cgroup: u64, id: String, name: String, unlooked: Unlooked) {
        let none = Unlooked::default();
        let one = self.0.entry(cgroup).or_insert(One { id, name, unlooked: none, told: None });
        one.unlooked.let_through += unlooked.let_through;
        one.unlooked.refused += unlooked.refused;
    }

    /// What it is time to tell.
    pub fn due(&mut self, now: Instant, at: Timestamp, clock: Clock) -> Vec<Alert> {
        let is_due = |one: &One| one.told.is_none_or(|told| now.duration_since(told) >= TELL);
        // Of those that are quiet nothing has to be remembered.
        self.0.retain(|_, one| one.unlooked != Unlooked::default() || !is_due(one));
        let due = self.0.iter_mut().filter(|(_, one)| is_due(one));
        let since_start = at.duration_since(clock.started).as_nanos();
        let at_ns = u64::try_from(since_start).unwrap_or_default();
        let tell = |(cgroup, one): (&u64, &mut One)| {
            one.told = Some(now);
            let unlooked = std::mem::take(&mut one.unlooked);
            alert(*cgroup, one, unlooked, at, at_ns)
        };
        due.map(tell).collect()
    }
}

fn alert(cgroup: u64, one: &One, unlooked: Unlooked, at: Timestamp, at_ns: u64) -> Alert {
    let Unlooked { let_through, refused } = unlooked;
    let done = [(let_through, "let through"), (refused, "refused")];
    let done: Vec<String> = done
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, done)| format!("{count} programs were {done} without a look"))
        .collect();
    let name = haechi_core::text::visible(&one.name);
    let text = format!("{}: it took too long (container={name})", done.join(", "));
    Alert {
        schema: ALERT_SCHEMA.into(),
        at,
        rule: RULE.into(),
        priority: if let_through > 0 { Priority::Error } else { Priority::Warning },
        text,
        tags: vec!["deny".into(), "late".into()],
        checks: Vec::new(),
        container: AlertContainer {
            id: one.id.clone(),
            name: one.name.clone(),
            ..AlertContainer::default()
        },
        program: String::new(),
        command: String::new(),
        ancestors: Vec::new(),
        // Which programs they were is not known: nobody looked.
        event: Event {
            at: at_ns,
            cgroup,
            process: Process::default(),
            call: String::new(),
            result: 0,
            action: Did::Call(Call::default()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_minute_for_each_container_with_all_of_them() {
        let mut late = Late::default();
        let begin = Instant::now();
        let clock = Clock { started: Timestamp::UNIX_EPOCH };
        let some = |let_through, refused| Unlooked { let_through, refused };
        let due = |late: &mut Late, second| {
            let now = begin + Duration::from_secs(second);
            let alerts = late.due(now, Timestamp::UNIX_EPOCH, clock);
            alerts.into_iter().map(|one| (one.text, one.priority)).collect::<Vec<_>>()
        };
        late.add(7, "a".into(), "web".into(), some(100, 0));
        late.add(7, "a".into(), "web".into(), some(61, 0));
        late.add(8, "b".into(), "db".into(), some(0, 2));
        let text = |what: &str| format!("{what}: it took too long (container=");
        let web = text("161 programs were let through without a look") + "web)";
        let db = text("2 programs were refused without a look") + "db)";
        assert_eq!(due(&mut late, 0), [(web, Priority::Error), (db, Priority::Warning)]);
        late.add(7, "a".into(), "web".into(), some(1, 0));
        assert!(due(&mut late, 5).is_empty());
        late.add(7, "a".into(), "web".into(), some(2, 1));
        let both =
            "3 programs were let through without a look, 1 programs were refused without a look";
        assert_eq!(due(&mut late, 60), [(text(both) + "web)", Priority::Error)]);
        assert!(due(&mut late, 200).is_empty() && late.0.is_empty());
    }
}
