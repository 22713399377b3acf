//! The first page: areas, score and trend, what moved it, what is most at risk.
//!
//! Before the first verification everything is empty: nothing is counted, no area has a score.

use std::collections::BTreeMap;

use haechi_core::report::Counts;
use haechi_core::score::{Movement, Score, Share, weight};
use haechi_core::{Area, Text};
use haechi_protocol::{
    AreaLine, LIMIT_MAX, List, ListVerifications, MOVED, Overview, Picture, Refusal, TrendPoint,
    VerificationLine,
};
use haechi_store::{StoreError, Tally, VerificationId, VerificationRow};

use crate::accounts::Caller;
use crate::checklist::{Shown, benchmark};
use crate::{Desk, alerts, containers, jobs, unavailable};

/// Verifications whose scores make the trend.
const TREND: u32 = 30;
/// What is most at risk, so many of it.
pub(crate) const RISKS: u32 = 10;

/// A verification in short.
pub(crate) fn line(row: &VerificationRow) -> VerificationLine {
    VerificationLine {
        number: row.id.0,
        taken_at: row.taken_at.clone(),
        host: row.host.clone(),
        benchmark: row.benchmark.clone(),
        score: row.score,
        counts: row.counts,
        complete: row.complete,
    }
}

/// The score of findings that were added up by check.
pub(crate) fn score(tallies: &BTreeMap<String, Tally>) -> Score {
    let share = |tally: &Tally| {
        let counts = tally.counts;
        let counted = counts.pass + counts.fail + counts.unverified;
        let (area, weight) = (tally.area, weight(tally.severity));
        (counted > 0).then_some(Share { area, weight, passing: counts.pass, counted })
    };
    let checks = tallies.iter().filter_map(|(check, tally)| Some((check.clone(), share(tally)?)));
    Score::of_shares(checks.collect())
}

/// The areas in short.
pub(crate) fn areas(tallies: &BTreeMap<String, Tally>, score: &Score) -> Vec<AreaLine> {
    let line = |area: Area| {
        let (mut counts, mut failing) = (Counts::default(), BTreeMap::new());
        for tally in tallies.values().filter(|tally| tally.area == area) {
            counts += tally.counts;
            if tally.counts.fail > 0 {
                *failing.entry(tally.severity).or_default() += tally.counts.fail;
            }
        }
        AreaLine { area, score: score.areas.get(&area).copied().flatten(), counts, failing }
    };
    Area::ALL.into_iter().map(line).collect()
}

/// What moved the score since another verification; `None` if that was forgotten meanwhile.
pub(crate) async fn movement(
    desk: &Desk,
    before: &VerificationRow,
    now: &Score,
) -> Result<Option<Movement>, Refusal> {
    match desk.setup.store.score(before.id).await {
        Ok(score) => Ok(Some(now.movement(&before.taken_at, &score))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Answers [`Overview`].
pub(crate) async fn overview(
    desk: &Desk,
    _caller: &Caller,
    question: &Overview,
) -> Result<Picture, Refusal> {
    let id = question.benchmark.as_ref().or(desk.setup.benchmarks.first());
    let benchmark = benchmark(desk, id.ok_or(Refusal::Missing)?)?;
    let mut picture = match Shown::open(desk, &benchmark.id).await? {
        Some(shown) => of(desk, shown).await?,
        None => empty(),
    };
    picture.alerts = alerts::last_day(desk).await?;
    picture.newest = alerts::urgent(desk).await?;
    picture.monitor = alerts::monitor(desk).await?;
    picture.jobs = jobs::running(desk).await?;
    picture.risks = containers::top_risks(desk, RISKS).await?;
    picture.ranked = ranked(desk, &picture).await?;
    Ok(picture)
}

/// Whether what is at risk was ranked by the verification that is shown: ranks are kept of one only, and of none if
/// containers or images could not be listed. Several benchmarks are verified at the same moment, and ranked once.
pub(crate) async fn ranked(desk: &Desk, picture: &Picture) -> Result<bool, Refusal> {
    let inventory = containers::inventory(desk).await?;
    Ok(inventory.zip(picture.verification.as_ref()).is_some_and(|(inventory, shown)| {
        (inventory.host, inventory.taken_at) == (shown.host.clone(), shown.taken_at.clone())
    }))
}

/// The picture while nothing was verified.
pub(crate) fn empty() -> Picture {
    let score = Score::default();
    Picture {
        verification: None,
        host: Default::default(),
        movement: None,
        titles: BTreeMap::new(),
        areas: areas(&BTreeMap::new(), &score),
        score,
        trend: Vec::new(),
        risks: Vec::new(),
        ranked: false,
        alerts: BTreeMap::new(),
        newest: Vec::new(),
        monitor: Default::default(),
        jobs: Vec::new(),
    }
}

async fn of(desk: &Desk, mut shown: Shown<'_>) -> Result<Picture, Refusal> {
    let (row, line) = (shown.verification().clone(), shown.line());
    let score = score(shown.tallies());
    let areas = areas(shown.tallies(), &score);
    let scores = shown.view().scores(&row.host, &row.benchmark, TREND).await;
    let trend =
        scores.map_err(unavailable)?.into_iter().rev().map(|(id, taken_at, score, complete)| {
            TrendPoint { verification: id.0, taken_at, score, complete }
        });
    let trend = trend.collect();
    drop(shown); // its connection is needed by the questions below
    let store = &desk.setup.store;
    let before =
        store.latest(&row.host, &row.benchmark, Some(row.id)).await.map_err(unavailable)?;
    let movement = match &before {
        Some(before) => movement(desk, before, &score).await?,
        None => None,
    };
    let titles = movement.as_ref().map(|movement| titles(desk, movement)).unwrap_or_default();
    let host = store.verification(row.id).await.map_err(unavailable)?.host;
    let verification = Some(line);
    Ok(Picture { verification, host, score, movement, titles, areas, trend, ..empty() })
}

/// The titles of the checks that show among those that moved the score.
fn titles(desk: &Desk, movement: &Movement) -> BTreeMap<String, Text> {
    let checks = movement.shown().0.iter().take(MOVED).map(|moved| &moved.check);
    let title = |id: &String| Some((id.clone(), desk.setup.content.check(id)?.title.clone()));
    checks.filter_map(title).collect()
}

/// Answers [`ListVerifications`].
pub(crate) async fn verifications(
    desk: &Desk,
    _caller: &Caller,
    question: &ListVerifications,
) -> Result<List<VerificationLine>, Refusal> {
    if let Some(id) = &question.benchmark {
        benchmark(desk, id)?;
    }
    let limit = question.limit.clamp(1, LIMIT_MAX);
    let before = question.before.map(VerificationId);
    let mut view = desk.setup.store.view().await.map_err(unavailable)?;
    let found = view.verifications(question.benchmark.as_deref(), before, limit).await;
    let rows = found.map_err(unavailable)?.iter().map(line).collect();
    Ok(alerts::page(rows, limit, |row: &VerificationLine| row.number))
}

#[cfg(test)]
mod tests;
