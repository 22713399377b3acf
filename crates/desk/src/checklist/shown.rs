//! The newest verification of a benchmark as pages show it: what the site accepts by now shows as accepted, what it
//! accepts no longer shows as failing. Whether it does is decided by the function that verifications use.
//!
//! What is on record is not changed. Only findings are looked at that an exception could be about.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use haechi_checks::Benchmark;
use haechi_core::Status;
use haechi_core::report::Counts;
use haechi_protocol::{FindingRow, LIMIT_MAX, Refusal, ShowItem, VerificationLine};
use haechi_store::{Present, Tally, VerificationId, VerificationRow, View};

use super::items::{Deciding, by_severity};
use super::judge::Judge;
use super::rows;
use crate::overview::{line, score};
use crate::{Desk, unavailable};

/// Bytes of a page of findings: what containers say can be long, and an answer must not be too long to be sent.
const PAGE_BYTES: usize = 4 << 20;

/// A place among the findings of a check: the name of the subject, and the finding's number.
type Place = (String, i64);

/// The newest verification of a benchmark.
pub(crate) struct Shown<'a> {
    desk: &'a Desk,
    judge: Judge,
    view: View<'a>,
    verification: VerificationRow,
    /// Findings by check as they show.
    tallies: BTreeMap<String, Tally>,
    /// Findings that show otherwise than they were decided: by check and by how they were decided.
    moved: BTreeMap<(String, Status), BTreeSet<Place>>,
}

/// Findings of one check that show alike and were decided alike.
struct Group<'c> {
    shown: Status,
    check: &'c String,
    decided: Status,
}

impl<'a> Shown<'a> {
    /// The newest verification of a benchmark; `None` if there is none yet.
    pub(crate) async fn open(desk: &'a Desk, benchmark: &str) -> Result<Option<Self>, Refusal> {
        let judge = Judge::new(desk).await?;
        let mut view = desk.setup.store.view().await.map_err(unavailable)?;
        let Some(verification) = view.newest(benchmark).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let tallies = view.tallies(verification.id).await.map_err(unavailable)?;
        let moved = BTreeMap::new();
        let mut shown = Self { desk, judge, view, verification, tallies, moved };
        shown.judge_again().await?;
        Ok(Some(shown))
    }

    async fn judge_again(&mut self) -> Result<(), Refusal> {
        let id = self.verification.id;
        for (check, tally) in &mut self.tallies {
            let mut look = Vec::new();
            if tally.counts.fail > 0 {
                let beginnings = self.judge.beginnings(check);
                look.extend(beginnings.into_iter().map(|begins| (Status::Fail, begins)));
            }
            if tally.counts.excepted > 0 {
                look.push((Status::Excepted, ""));
            }
            for (decided, begins) in look {
                let found = self.view.decided(id, check, decided, begins).await;
                for one in found.map_err(unavailable)? {
                    let accepted = self.judge.accepted(check, &one.subject).is_some();
                    if rows::status(decided, accepted) != decided {
                        let moved = self.moved.entry((check.clone(), decided)).or_default();
                        moved.insert((one.subject.name, one.n));
                    }
                }
            }
            let moved = |decided| {
                let moved = self.moved.get(&(check.clone(), decided)).map_or(0, BTreeSet::len);
                u64::try_from(moved).unwrap_or_default()
            };
            let (accepted, refused) = (moved(Status::Fail), moved(Status::Excepted));
            let counts = &mut tally.counts;
            counts.fail = counts.fail.saturating_sub(accepted) + refused;
            counts.excepted = counts.excepted.saturating_sub(refused) + accepted;
        }
        Ok(())
    }

    /// The verification.
    pub(crate) fn verification(&self) -> &VerificationRow {
        &self.verification
    }

    /// The verification in short, as it shows.
    pub(crate) fn line(&self) -> VerificationLine {
        let mut counts = Counts::default();
        for tally in self.tallies.values() {
            counts += tally.counts;
        }
        VerificationLine { counts, score: score(&self.tallies).total, ..line(&self.verification) }
    }

    /// Findings by check as they show.
    pub(crate) fn tallies(&self) -> &BTreeMap<String, Tally> {
        &self.tallies
    }

    /// The store at the same moment.
    pub(crate) fn view(&mut self) -> &mut View<'a> {
        &mut self.view
    }

    /// What decides the items.
    pub(crate) async fn deciding(&mut self) -> Result<Deciding, Refusal> {
        let states = self.view.items(self.verification.id).await.map_err(unavailable)?;
        Ok(Deciding { tallies: self.tallies.clone(), states })
    }

    /// Checks with findings about subjects whose names have a text in them.
    pub(crate) async fn checks_about(
        &mut self,
        text: Option<&str>,
    ) -> Result<Option<BTreeSet<String>>, Refusal> {
        let Some(text) = text else { return Ok(None) };
        self.view.checks_about(self.verification.id, text).await.map(Some).map_err(unavailable)
    }

    /// How an item was decided in the last verifications.
    pub(crate) async fn history(
        &mut self,
        item: &str,
        limit: u32,
    ) -> Result<Vec<(VerificationId, String, Status)>, Refusal> {
        let VerificationRow { host, benchmark, .. } = &self.verification;
        self.view.item_history(host, benchmark, item, limit).await.map_err(unavailable)
    }

    /// A page of the findings of some checks, worst first, and what the next one is asked for with.
    pub(crate) async fn page(
        &mut self,
        benchmark: &Benchmark,
        checks: &[String],
        question: &ShowItem,
    ) -> Result<(Vec<FindingRow>, Option<String>), Refusal> {
        let limit = question.limit.clamp(1, LIMIT_MAX) as usize;
        let wanted = |status: &Status| question.status.is_none_or(|only| only == *status);
        let checks: Vec<&String> = by_severity(checks, &self.tallies);
        let mut groups: Vec<Group<'_>> = Vec::new();
        for shown in Status::WORST_FIRST.into_iter().filter(wanted) {
            for check in &checks {
                let other = match shown {
                    Status::Fail => Some(Status::Excepted),
                    Status::Excepted => Some(Status::Fail),
                    _ => None,
                };
                let ways = std::iter::once(shown).chain(other);
                groups.extend(ways.map(|decided| Group { shown, check, decided }));
            }
        }
        let mut from = None;
        if let Some(cursor) = &question.after {
            let (after, place) = self.after(cursor).await?;
            let at = groups.iter().position(|group| {
                (group.shown, group.check.as_str(), group.decided)
                    == (after.0, after.1.as_str(), after.2)
            });
            groups.drain(..at.ok_or_else(not_a_cursor)?);
            from = Some(place);
        }
        let (mut page, mut weight) = (Vec::new(), 0);
        for group in groups {
            let found = self.group(&group, from.take(), limit + 1 - page.len()).await?;
            for present in found {
                let next = present.n;
                let accepted = self.judge.accepted(group.check, &rows::subject(&present.kept));
                let row = rows::row(
                    &self.desk.setup.content,
                    benchmark,
                    &self.tallies,
                    present,
                    accepted,
                );
                weight += rows::weight(&row);
                page.push((next, row));
                if page.len() > limit || (page.len() > 1 && weight > PAGE_BYTES) {
                    page.pop();
                    let last = page.last().map(|(n, _)| format!("{}-{n}", self.verification.id));
                    return Ok((page.into_iter().map(|(_, row)| row).collect(), last));
                }
            }
        }
        Ok((page.into_iter().map(|(_, row)| row).collect(), None))
    }

    /// Findings of a group after a place, at most `limit`.
    async fn group(
        &mut self,
        group: &Group<'_>,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Present>, Refusal> {
        let id = self.verification.id;
        let key = (group.check.clone(), group.decided);
        let none = BTreeSet::new();
        let moved = self.moved.get(&key).unwrap_or(&none);
        if group.shown != group.decided {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let numbers: Vec<i64> =
                moved.range((from, Bound::Unbounded)).take(limit).map(|(_, n)| *n).collect();
            return self.view.findings_at(id, &numbers).await.map_err(unavailable);
        }
        let (mut found, mut after) = (Vec::new(), after);
        // Those that moved are stepped over: many at once, if there are any.
        let least = if moved.is_empty() { 1 } else { LIMIT_MAX };
        let most = u32::try_from(limit).unwrap_or(LIMIT_MAX).max(least);
        while found.len() < limit {
            let from = after.as_ref().map(|(name, n)| (name.as_str(), *n));
            let more =
                self.view.findings_of_check(id, group.check, group.decided, from, most).await;
            let more = more.map_err(unavailable)?;
            let Some(last) = more.last() else { break };
            after = Some((last.kept.name.clone(), last.n));
            found.extend(
                more.into_iter().filter(|one| !moved.contains(&(one.kept.name.clone(), one.n))),
            );
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The place that a cursor tells: `VERIFICATION-FINDING`. It may be of an earlier verification.
    async fn after(&mut self, cursor: &str) -> Result<((Status, String, Status), Place), Refusal> {
        let (id, n) = cursor.split_once('-').ok_or_else(not_a_cursor)?;
        let (Ok(id), Ok(n)) = (id.parse().map(VerificationId), n.parse()) else {
            return Err(not_a_cursor());
        };
        let place = self.view.place(id, n).await.map_err(unavailable)?;
        let (check, decided, subject) = place.ok_or_else(not_a_cursor)?;
        let accepted = self.judge.accepted(&check, &subject).is_some();
        // Numbers of another verification mean nothing here: what comes after the name does.
        let n = if id == self.verification.id { n } else { i64::MAX };
        Ok(((rows::status(decided, accepted), check, decided), (subject.name, n)))
    }
}

fn not_a_cursor() -> Refusal {
    Refusal::invalid("after", "not-a-cursor")
}
