//! Benchmarks and their items as they were decided last.
//!
//! What the site accepts by now shows as accepted at once ([`Shown`]); nothing else is decided here.

mod items;
mod judge;
mod rows;
mod shown;

use std::cmp::Reverse;

use haechi_checks::Benchmark;
use haechi_core::SubjectKind;
use haechi_protocol::{
    BenchmarkLine, FindingRow, ItemPage, Items, List, ListBenchmarks, ListItems, PastStatus,
    Refusal, ShowItem,
};

use crate::accounts::Caller;
use crate::{Desk, unavailable};

pub(crate) use items::{Deciding, item_rows};
pub(crate) use judge::{Judge, today};
pub(crate) use shown::Shown;

/// Past decisions of an item that its page shows.
const HISTORY: u32 = 30;
/// Characters of a text that is looked for.
const TEXT_MAX: usize = 200;

/// The benchmark of this id.
pub(crate) fn benchmark<'a>(desk: &'a Desk, id: &str) -> Result<&'a Benchmark, Refusal> {
    desk.setup.content.benchmark(id).ok_or(Refusal::Missing)
}

/// Answers [`ListBenchmarks`]: those that are verified, in their order, then others that were.
pub(crate) async fn benchmarks(
    desk: &Desk,
    _caller: &Caller,
    _question: &ListBenchmarks,
) -> Result<List<BenchmarkLine>, Refusal> {
    let place = |id: &str| desk.setup.benchmarks.iter().position(|one| one == id);
    let mut view = desk.setup.store.view().await.map_err(unavailable)?;
    let mut found = Vec::new();
    for benchmark in desk.setup.content.benchmarks() {
        let place = place(&benchmark.id);
        if place.is_some() || view.newest(&benchmark.id).await.map_err(unavailable)?.is_some() {
            found.push((place.unwrap_or(usize::MAX), benchmark));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    let line = |benchmark: &Benchmark| BenchmarkLine {
        id: benchmark.id.clone(),
        title: benchmark.title.clone(),
        items: benchmark.items().map(|_| 1).sum(),
    };
    let rows: Vec<_> = found.into_iter().map(|(_, benchmark)| line(benchmark)).collect();
    let total = u64::try_from(rows.len()).ok();
    Ok(List { rows, next: None, total })
}

/// Answers [`ListItems`].
pub(crate) async fn items(
    desk: &Desk,
    _caller: &Caller,
    question: &ListItems,
) -> Result<Items, Refusal> {
    let benchmark = benchmark(desk, &question.benchmark)?;
    let text = question.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.chars().count() > TEXT_MAX) {
        return Err(Refusal::invalid("text", "too-long"));
    }
    let mut shown = Shown::open(desk, &benchmark.id).await?;
    let (deciding, about) = match &mut shown {
        Some(shown) => (shown.deciding().await?, shown.checks_about(text).await?),
        None => (Deciding::default(), None),
    };
    let rows = item_rows(&desk.setup.content, benchmark, &deciding);
    let mut counts = haechi_core::report::Counts::default();
    for (_, row) in &rows {
        counts.add(row.status);
    }
    let fits = |(item, row): &(&haechi_checks::BenchmarkItem, haechi_protocol::ItemRow)| {
        question.area.is_none_or(|area| row.areas.contains(&area))
            && question.status.is_none_or(|status| row.status == status)
            && question.severity.is_none_or(|least| row.severity >= least)
            && text.is_none_or(|text| {
                items::says(row, text)
                    || about
                        .as_ref()
                        .is_some_and(|about| item.checks.iter().any(|check| about.contains(check)))
            })
    };
    let rows = rows.into_iter().filter(fits).map(|(_, row)| row).collect();
    Ok(Items { verification: shown.map(|shown| shown.line()), counts, rows })
}

/// Answers [`ShowItem`].
pub(crate) async fn item(
    desk: &Desk,
    _caller: &Caller,
    question: &ShowItem,
) -> Result<ItemPage, Refusal> {
    let benchmark = benchmark(desk, &question.benchmark)?;
    let is_asked = |id: &str| id == question.item;
    let (_, asked) =
        benchmark.items().find(|(_, item)| is_asked(&item.id)).ok_or(Refusal::Missing)?;
    let mut shown = Shown::open(desk, &benchmark.id).await?;
    let deciding = match &mut shown {
        Some(shown) => shown.deciding().await?,
        None => Deciding::default(),
    };
    let rows = item_rows(&desk.setup.content, benchmark, &deciding);
    let item = rows.into_iter().map(|(_, row)| row).find(|row| is_asked(&row.id));
    let item = item.ok_or(Refusal::Missing)?;
    let (findings, next, history) = match &mut shown {
        Some(shown) => {
            let (findings, next) = shown.page(benchmark, &asked.checks, question).await?;
            (findings, next, shown.history(&asked.id, HISTORY).await?)
        }
        None => Default::default(),
    };
    let history = history
        .into_iter()
        .map(|(id, taken_at, status)| PastStatus { verification: id.0, taken_at, status })
        .collect();
    Ok(ItemPage { item, findings, next, history })
}

/// Findings about a subject, worst first: of each check once, whichever of the verified benchmarks asks for it.
pub(crate) async fn of_subject(
    desk: &Desk,
    kind: SubjectKind,
    id: &str,
) -> Result<Vec<FindingRow>, Refusal> {
    let judge = Judge::new(desk).await?;
    let mut view = desk.setup.store.view().await.map_err(unavailable)?;
    let mut found: Vec<FindingRow> = Vec::new();
    for benchmark in &desk.setup.benchmarks {
        let Some(benchmark) = desk.setup.content.benchmark(benchmark) else { continue };
        let Some(newest) = view.newest(&benchmark.id).await.map_err(unavailable)? else {
            continue;
        };
        let tallies = view.tallies(newest.id).await.map_err(unavailable)?;
        let present = view.findings_of_subject(newest.id, kind, id).await.map_err(unavailable)?;
        for one in present {
            if !found.iter().any(|row| row.finding.check == one.kept.check) {
                let accepted = judge.accepted(&one.kept.check, &rows::subject(&one.kept));
                found.push(rows::row(&desk.setup.content, benchmark, &tallies, one, accepted));
            }
        }
    }
    found.sort_by(|a, b| {
        let key = |row: &FindingRow| (Reverse(row.finding.status), Reverse(row.finding.severity));
        key(a).cmp(&key(b)).then_with(|| a.finding.check.cmp(&b.finding.check))
    });
    Ok(found)
}

#[cfg(test)]
mod tests;
