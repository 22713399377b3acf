//! A period, as an auditor reads it: what is on record of it, as it was decided then.
//!
//! Days are of UTC, as in every verification. An exception that was taken back since is in it if it counted.

use haechi_protocol::{
    ActionRow, ExceptionLine, ItemRow, LIMIT_MAX, PeriodReport, Picture, Refusal, Report,
    TrendPoint, Watched,
};
use haechi_store::{ActionFilter, VerificationRow, WatchedIn};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::accounts::Caller;
use crate::checklist::{Deciding, benchmark, item_rows, today};
use crate::overview::{RISKS, areas, empty, line, movement, ranked, score};
use crate::{Desk, containers, exceptions, unavailable};

/// Days of the longest period: a leap year.
const DAYS_MAX: i64 = 366;

/// Answers [`Report`].
pub(crate) async fn report(
    desk: &Desk,
    _caller: &Caller,
    question: &Report,
) -> Result<PeriodReport, Refusal> {
    let benchmark = benchmark(desk, &question.benchmark)?;
    let (from, end) = period(question.from, question.to)?;
    let stored = desk.setup.store.exceptions_in(from, end).await.map_err(unavailable)?;
    let mut view = desk.setup.store.view().await.map_err(unavailable)?;
    let newest = view.newest(&benchmark.id).await.map_err(unavailable)?;
    let (mut days, mut last, mut before, mut taken) = (Vec::new(), None, None, 0);
    if let Some(VerificationRow { host, .. }) = &newest {
        let id = &benchmark.id;
        days = view.each_day(host, id, from, end).await.map_err(unavailable)?;
        taken = view.taken_in(host, id, from, end).await.map_err(unavailable)?;
        // What was verified before it says nothing of the period.
        last = days.last().cloned();
        before = view.last_before(host, id, from).await.map_err(unavailable)?;
    }
    let alerts = view.alerts_by_rule(from, end).await.map_err(unavailable)?;
    let watched = watched(view.watched_in(from, end).await.map_err(unavailable)?);
    let deciding = match &last {
        Some(last) => Deciding {
            tallies: view.tallies(last.id).await.map_err(unavailable)?,
            states: view.items(last.id).await.map_err(unavailable)?,
        },
        None => Deciding::default(),
    };
    drop(view); // its connection is needed by the questions below
    let before = before.or_else(|| days.first().cloned());
    let mut picture = match last {
        Some(last) => picture(desk, &last, before.as_ref(), &deciding, &days).await?,
        None => empty(),
    };
    picture.ranked = ranked(desk, &picture).await?;
    if picture.ranked {
        picture.risks = containers::top_risks(desk, RISKS).await?;
    }
    let items: Vec<ItemRow> = item_rows(&desk.setup.content, benchmark, &deciding)
        .into_iter()
        .map(|(_, row)| row)
        .collect();
    let (actions, more_actions) = actions(desk, from, end).await?;
    let (first, today) = (question.from, today());
    let stored = stored.into_iter().map(|kept| exceptions::kept(kept, today));
    let of_policy = exceptions::of_policy(desk).into_iter();
    let exceptions: Vec<ExceptionLine> = stored
        .chain(of_policy.map(|exception| exceptions::line(exception, today)))
        .filter(|line| line.exception.expires >= first)
        .collect();
    let verifications = days.iter().map(line).collect();
    Ok(PeriodReport {
        picture,
        taken,
        verifications,
        items,
        exceptions,
        actions,
        more_actions,
        alerts,
        watched,
    })
}

fn watched(found: WatchedIn) -> Watched {
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    Watched {
        containers: number(found.containers),
        seconds: number(found.nanoseconds) / 1_000_000_000,
        lost: number(found.lost),
        activity_missed: found.activity_missed,
    }
}

/// The moments from which on and before which a period is.
fn period(from: Date, to: Date) -> Result<(Timestamp, Timestamp), Refusal> {
    if to > today() {
        return Err(Refusal::invalid("to", "in-the-future"));
    }
    if from > to {
        return Err(Refusal::invalid("from", "after-the-end"));
    }
    if from.checked_add(DAYS_MAX.days()).is_ok_and(|most| most <= to) {
        return Err(Refusal::invalid("from", "more-than-a-year"));
    }
    let moment = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let end = to.tomorrow().and_then(moment).unwrap_or(Timestamp::MAX);
    Ok((moment(from).unwrap_or(Timestamp::MIN), end))
}

/// The posture at the end of a period.
async fn picture(
    desk: &Desk,
    last: &VerificationRow,
    before: Option<&VerificationRow>,
    deciding: &Deciding,
    days: &[VerificationRow],
) -> Result<Picture, Refusal> {
    let kept = desk.setup.store.verification(last.id).await.map_err(unavailable)?;
    let score = score(&deciding.tallies);
    let movement = match before.filter(|before| before.id != last.id) {
        Some(before) => movement(desk, before, &score).await?,
        None => None,
    };
    let point = |row: &VerificationRow| TrendPoint {
        verification: row.id.0,
        taken_at: row.taken_at.clone(),
        score: row.score,
        complete: row.complete,
    };
    Ok(Picture {
        verification: Some(line(last)),
        host: kept.host,
        areas: areas(&deciding.tallies, &score),
        score,
        movement,
        trend: days.iter().map(point).collect(),
        ..empty()
    })
}

/// What was done about alerts in a period, and whether there is more.
async fn actions(
    desk: &Desk,
    from: Timestamp,
    end: Timestamp,
) -> Result<(Vec<ActionRow>, bool), Refusal> {
    let filter = ActionFilter {
        since: Some(from),
        until: Some(end),
        limit: LIMIT_MAX + 1,
        ..ActionFilter::default()
    };
    let mut found = desk.setup.store.actions(&filter).await.map_err(unavailable)?;
    let most = LIMIT_MAX as usize;
    let more = found.len() > most;
    found.truncate(most);
    let row =
        |(number, action): (haechi_store::ActionId, _)| ActionRow { number: number.0, action };
    Ok((found.into_iter().map(row).collect(), more))
}
