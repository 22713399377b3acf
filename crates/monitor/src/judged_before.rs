//! Remembers what no rule had anything to say about: a process that opens the same file a thousand times is judged once.
//!
//! Only opening files is remembered, only if nothing was said about it, and only until anything changes that a rule
//! could ask for: a program starts or ends, a container gets its name, rules or what is known of a program change. Where
//! a rule asks for time or for a running number nothing is remembered.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use haechi_core::event::{Action, Event};
use haechi_rules::Rules;

use crate::fields::{FIELDS, Id};

/// Events that are remembered: what a few busy processes do in turn.
const PLACES: usize = 4096;

/// What was judged and brought nothing.
#[derive(Debug)]
pub struct JudgedBefore {
    hasher: RandomState,
    places: Box<[u64]>,
    /// Grows with every change.
    epoch: u64,
    usable: bool,
}

impl JudgedBefore {
    /// Nothing yet.
    pub fn new(rules: &Rules) -> Self {
        let usable = !rules.fields().iter().any(|field| {
            let id = FIELDS.get(usize::from(field.id)).map(|line| line.id);
            matches!(
                id,
                Some(
                    Id::EvtTime
                        | Id::EvtNumber
                        | Id::ProcDuration
                        | Id::ProcParentDuration
                        | Id::ContainerDuration
                )
            )
        });
        let places = vec![0; PLACES].into_boxed_slice();
        Self { hasher: RandomState::default(), places, epoch: 0, usable }
    }

    /// Something changed.
    pub fn change(&mut self) {
        self.epoch += 1;
    }

    /// The mark of an event, if it is of the kind that is remembered. Whoever does things cannot choose it: the hash has
    /// a random beginning.
    pub fn mark(&self, event: &Event) -> Option<u64> {
        let Action::Open(open) = &event.action else { return None };
        let whole = (self.epoch, event.cgroup, &event.process, &event.call, event.result, open);
        self.usable.then(|| self.hasher.hash_one(whole).max(1))
    }

    /// Whether an event with this mark brought nothing.
    pub fn is_known(&self, mark: u64) -> bool {
        self.place(mark).and_then(|at| self.places.get(at)) == Some(&mark)
    }

    /// An event with this mark brought nothing.
    pub fn remember(&mut self, mark: u64) {
        if let Some(place) = self.place(mark).and_then(|at| self.places.get_mut(at)) {
            *place = mark;
        }
    }

    fn place(&self, mark: u64) -> Option<usize> {
        usize::try_from(mark % PLACES as u64).ok()
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::event::{Open, Process};

    use super::*;
    use crate::fields::Fields;

    fn event(path: &str, euid: u32) -> Event {
        let open = Open { path: path.into(), write: true, ..Open::default() };
        let process = Process { pid: 7, euid, ..Process::default() };
        let action = Action::Open(open);
        Event { at: 1, cgroup: 2, process, call: "openat".into(), result: 3, action }
    }

    #[test]
    fn only_the_same_is_known_and_only_until_something_changes() {
        let mut before = JudgedBefore::new(&Rules::load(&[crate::RULES], &Fields).rules);
        let mark = before.mark(&event("/tmp/a", 0)).unwrap();
        assert!(!before.is_known(mark));
        before.remember(mark);
        let mut later = event("/tmp/a", 0);
        later.at = 9;
        assert!(before.is_known(before.mark(&later).unwrap()));
        for other in [event("/tmp/b", 0), event("/tmp/a", 1)] {
            assert!(!before.is_known(before.mark(&other).unwrap()));
        }
        before.change();
        assert!(!before.is_known(before.mark(&later).unwrap()));
    }

    #[test]
    fn a_rule_that_asks_for_time_is_asked_each_time() {
        let rule = "- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  condition: evt.type = openat and proc.duration < 5\n";
        let rules = Rules::load(&[("r", rule)], &Fields).rules;
        assert_eq!(rules.running().len(), 1);
        assert_eq!(JudgedBefore::new(&rules).mark(&event("/tmp/a", 0)), None);
    }
}
