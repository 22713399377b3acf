//! Time in which at least one container was watched: stretches put together, in milliseconds.

use haechi_core::profile::Run;
use jiff::Timestamp;

/// A stretch that touches no other.
struct Stretch {
    since: i64,
    until: i64,
    /// How much was watched before it.
    before: i64,
}

/// All of them, the earliest first.
pub(super) struct Watched(Vec<Stretch>);

impl Watched {
    pub(super) fn of<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Self {
        let mut stretches: Vec<(i64, i64)> = runs
            .into_iter()
            .map(|run| (run.since.as_millisecond(), run.until.as_millisecond()))
            .filter(|(since, until)| since < until)
            .collect();
        stretches.sort_unstable();
        let mut apart: Vec<Stretch> = Vec::new();
        for (since, until) in stretches {
            match apart.last_mut() {
                Some(last) if since <= last.until => last.until = until.max(last.until),
                last => {
                    let before = last.map_or(0, |last| last.before + last.until - last.since);
                    apart.push(Stretch { since, until, before });
                }
            }
        }
        Self(apart)
    }

    pub(super) fn total(&self) -> i64 {
        self.0.last().map_or(0, |last| last.before + last.until - last.since)
    }

    /// How much of it was before a moment.
    pub(super) fn until(&self, moment: Timestamp) -> i64 {
        let moment = moment.as_millisecond();
        let begun = self.0.partition_point(|stretch| stretch.since < moment);
        let last = begun.checked_sub(1).and_then(|at| self.0.get(at));
        last.map_or(0, |last| last.before + moment.min(last.until) - last.since)
    }

    /// How much of it was after a moment; all of it if there is none.
    pub(super) fn since(&self, moment: Option<Timestamp>) -> i64 {
        self.total() - moment.map_or(0, |moment| self.until(moment))
    }
}

/// How long a run was.
pub(super) fn length(run: &Run) -> i64 {
    (run.until.as_millisecond() - run.since.as_millisecond()).max(0)
}
