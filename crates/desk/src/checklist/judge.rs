//! Whether the site accepts a failure today: by its policy, or by what people accepted.
//!
//! The verdict is that of the function that verifications use, given the exceptions that could fit. Only those are
//! looked at: there may be thousands, and as many failures.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Subject;
use haechi_core::finding::Accepted;
use haechi_core::policy::{Exception, accepted, beginning};
use haechi_protocol::Refusal;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::exceptions::of_policy;
use crate::{Desk, unavailable};

/// The present day, as verifications count days.
pub(crate) fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Says what the site accepts today.
pub(crate) struct Judge {
    today: Date,
    by_check: BTreeMap<String, OfCheck>,
}

/// The exceptions of a check, each with its place in the order in which they count.
#[derive(Default)]
struct OfCheck {
    /// By what the names begin with that they are about.
    by_beginning: BTreeMap<String, Vec<(usize, Exception)>>,
    /// Lengths of these beginnings in bytes.
    lengths: BTreeSet<usize>,
}

impl Judge {
    /// From the policy and the store.
    pub(crate) async fn new(desk: &Desk) -> Result<Self, Refusal> {
        let stored = desk.setup.store.exceptions().await.map_err(unavailable)?;
        let stored = stored.into_iter().map(|(_, exception)| exception);
        Ok(Self::of(today(), of_policy(desk).into_iter().chain(stored)))
    }

    fn of(today: Date, exceptions: impl Iterator<Item = Exception>) -> Self {
        let mut by_check: BTreeMap<String, OfCheck> = BTreeMap::new();
        let in_force = exceptions.filter(|exception| today <= exception.expires);
        for (place, exception) in in_force.enumerate() {
            let of_check = by_check.entry(exception.check.clone()).or_default();
            let begins = beginning(&exception.subject).to_owned();
            of_check.lengths.insert(begins.len());
            of_check.by_beginning.entry(begins).or_default().push((place, exception));
        }
        Self { today, by_check }
    }

    /// The exception that accepts a failure.
    pub(crate) fn accepted(&self, check: &str, subject: &Subject) -> Option<Accepted> {
        let of_check = self.by_check.get(check)?;
        let beginnings = of_check.lengths.iter().map_while(|length| {
            (*length <= subject.name.len()).then(|| subject.name.get(..*length))
        });
        let mut could: Vec<&(usize, Exception)> = beginnings
            .flatten()
            .filter_map(|begins| of_check.by_beginning.get(begins))
            .flatten()
            .collect();
        could.sort_by_key(|(place, _)| *place);
        accepted(could.into_iter().map(|(_, exception)| exception), check, subject, self.today)
    }

    /// What names begin with that the exceptions of a check are about; none begins with another.
    pub(crate) fn beginnings(&self, check: &str) -> Vec<&str> {
        let all = self.by_check.get(check).into_iter().flat_map(|one| one.by_beginning.keys());
        let mut found: Vec<&str> = all.map(String::as_str).collect();
        // In their order, a beginning of another one stands before it.
        found.dedup_by(|later, earlier| later.starts_with(*earlier));
        found
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::SubjectKind;
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn the_verdict_is_that_of_the_policy() {
        let today = today();
        let exception = |n: usize, check: &str, subject: &str, days: i64| Exception {
            check: check.into(),
            kind: (n % 4 == 3).then_some(SubjectKind::Image),
            subject: subject.into(),
            reason: n.to_string(),
            owner: "me".into(),
            expires: today.saturating_add(days.days()),
        };
        let patterns =
            ["웹-?", "web", "web-*", "*", "w?b*1", "웹", "", "web-1", "we", "?eb-2", "*-2"];
        let mut all = Vec::new();
        for check in ["a", "b"] {
            for (n, pattern) in patterns.iter().enumerate().skip(usize::from(check == "b") * 4) {
                all.push(exception(n, check, pattern, i64::try_from(n % 3).unwrap_or(0) - 1));
            }
        }
        let judge = Judge::of(today, all.iter().cloned());
        let names =
            ["", "web", "web-1", "web-2", "웹-1", "웹-12", "웹", "wab-11", "w", "\u{c6}eb-2"];
        let mut excepted = 0;
        for (check, name) in
            ["a", "b", "c"].iter().flat_map(|check| names.map(|name| (check, name)))
        {
            for kind in [SubjectKind::Image, SubjectKind::Container] {
                let subject = Subject { kind, name: name.into(), id: String::new() };
                let verdict = judge.accepted(check, &subject);
                assert_eq!(
                    verdict,
                    accepted(&all, check, &subject, today),
                    "{check} {name} {kind}"
                );
                let read = judge.beginnings(check);
                assert!(verdict.is_none() || read.iter().any(|begins| name.starts_with(begins)));
                excepted += usize::from(verdict.is_some());
            }
        }
        assert!(excepted > 10, "{excepted}");
    }
}
