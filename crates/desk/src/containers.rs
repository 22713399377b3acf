//! Containers as the last verification saw them, and as they are now.
//!
//! Ranks and findings are those of the last verification; processes, connections and what is used are of the moment of
//! asking. A container that the verification did not see is shown as that, before all others; of one that is gone, what is
//! still on record.

mod gone;
mod newcomers;
mod now;
mod risks;

use std::collections::BTreeSet;

use haechi_core::SubjectKind;
use haechi_core::risk::{ContainerKept, RiskKept};
use haechi_protocol::{
    ContainerPage, ContainerRow, LIMIT_MAX, ListContainers, Ranked, Refusal, RiskLine,
    ShowContainer,
};
use haechi_store::{ContainerFilter, InventoryRow, Place};
use jiff::{SignedDuration, Timestamp};

use crate::accounts::Caller;
use crate::{Desk, checklist, images, profiles, unavailable};

pub(crate) use newcomers::is_container_id;

/// Characters of a text that is looked for.
pub(crate) const TEXT_MAX: usize = 200;
/// Containers of one image that are looked at: the most that the store gives at once.
const ALL_OF_IMAGE: u32 = 10_000;
/// Alerts that are counted.
const COUNTED: u32 = 1000;

/// What was kept of the last verification; `None` before the first.
pub(crate) async fn inventory(desk: &Desk) -> Result<Option<InventoryRow>, Refusal> {
    // Kept with the first one (`haechi work verify`), for all that were verified with it.
    let Some(benchmark) = desk.setup.benchmarks.first() else { return Ok(None) };
    desk.setup.store.inventory(None, benchmark).await.map_err(unavailable)
}

/// What is most at risk, the highest rank first.
pub(crate) async fn top_risks(desk: &Desk, most: u32) -> Result<Vec<RiskLine>, Refusal> {
    let Some(inventory) = inventory(desk).await? else { return Ok(Vec::new()) };
    let risks = desk.setup.store.risks(inventory.id, most).await.map_err(unavailable)?;
    let mut lines = Vec::new();
    for RiskKept { mut line, check, .. } in risks {
        if !check.is_empty() {
            let since = desk.setup.store.fails_since(inventory.verification, &check).await;
            line.since = since.map_err(unavailable)?;
        }
        lines.push(line);
    }
    Ok(lines)
}

/// A text that is looked for; none if it is blank.
pub(crate) fn text(asked: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(text) = asked.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > TEXT_MAX {
        return Err(Refusal::invalid("text", "too-long"));
    }
    Ok(Some(text.to_owned()))
}

/// Where a page begins.
pub(crate) fn after(asked: Option<&str>) -> Result<Option<Place>, Refusal> {
    let place =
        asked.map(|after| after.parse().map_err(|_| Refusal::invalid("after", "not-a-cursor")));
    place.transpose()
}

/// What the next page is asked with, if this one is full.
pub(crate) fn next<T>(rows: &[T], limit: u32, place: impl Fn(&T) -> (f64, &str)) -> Option<String> {
    let full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
    rows.last().filter(|_| full).map(|row| {
        let (rank, id) = place(row);
        Place { rank, id: id.to_owned() }.to_string()
    })
}

/// Whether the newest verification listed what this inventory has: one that could not leaves that of an earlier one, which
/// says nothing about now.
pub(crate) async fn is_fresh(
    desk: &Desk,
    inventory: Option<&InventoryRow>,
) -> Result<bool, Refusal> {
    let Some(inventory) = inventory else { return Ok(true) };
    let benchmark = desk.setup.benchmarks.first().ok_or(Refusal::Missing)?;
    let latest = desk.setup.store.latest(&inventory.host, benchmark, None).await;
    let latest = latest.map_err(unavailable)?;
    Ok(latest.is_none_or(|latest| latest.id == inventory.verification))
}

/// Answers [`ListContainers`].
pub(crate) async fn list(
    desk: &Desk,
    _caller: &Caller,
    question: &ListContainers,
) -> Result<Ranked<ContainerRow>, Refusal> {
    let limit = question.limit.clamp(1, LIMIT_MAX);
    let text = text(question.text.as_deref())?;
    let filter = ContainerFilter {
        running: question.running,
        text: text.clone(),
        image_id: None,
        after: after(question.after.as_deref())?,
        limit,
    };
    let inventory = inventory(desk).await?;
    let kept = match &inventory {
        Some(inventory) => {
            desk.setup.store.kept_containers(inventory.id, &filter).await.map_err(unavailable)?
        }
        None => Vec::new(),
    };
    let next = next(&kept, limit, |row| (row.rank, &row.id));
    let mut rows = Vec::new();
    if filter.after.is_none() && question.running != Some(false) {
        rows = newcomers::list(desk, inventory.as_ref(), text.as_deref()).await?;
    }
    let new = rows.len() as u64;
    rows.extend(kept.into_iter().map(row));
    count_alerts(desk, &mut rows).await?;
    let stale = !is_fresh(desk, inventory.as_ref()).await?;
    if stale {
        rows.iter_mut().for_each(|row| row.verified = false);
    }
    let everything = question.running.is_none() && filter.text.is_none();
    let total = match (&inventory, &filter.after, &next) {
        (Some(all), None, _) if everything => u64::try_from(all.containers).ok().map(|n| n + new),
        (Some(_), None, None) => Some(rows.len() as u64),
        // Without an inventory nobody knows.
        _ => None,
    };
    Ok(Ranked { rows, next, total, stale })
}

/// Answers [`ShowContainer`].
pub(crate) async fn show(
    desk: &Desk,
    _caller: &Caller,
    question: &ShowContainer,
) -> Result<ContainerPage, Refusal> {
    let store = &desk.setup.store;
    let id = question.id.as_str();
    if !is_container_id(id) {
        return Err(Refusal::Missing);
    }
    // Looking at it takes a while: the rest is asked meanwhile.
    let (now, there) = (now::look(desk, id), newcomers::one(desk, id));
    let asked = async {
        let inventory = inventory(desk).await?;
        let kept = match &inventory {
            Some(inventory) => store.kept_container(inventory.id, id).await.map_err(unavailable)?,
            None => None,
        };
        let findings = checklist::of_subject(desk, SubjectKind::Container, id).await?;
        let (risks, image) = match (&kept, &inventory) {
            (Some(kept), Some(inventory)) => {
                let flaws = store.flaws_of(&inventory.host, &kept.image_id);
                let flaws = flaws.await.map_err(unavailable)?;
                let image = images::of(desk, inventory, &kept.image_id).await?;
                (risks::of(kept, &findings, &flaws), image)
            }
            _ => (Vec::new(), None),
        };
        let record = gone::record(desk, id).await?;
        let fresh = is_fresh(desk, inventory.as_ref()).await?;
        Ok((kept, findings, risks, image, record, fresh))
    };
    let (now, there, asked) = tokio::join!(now, there, asked);
    let (kept, findings, risks, image, record, fresh) = asked?;
    let mut container = gone::joined(id, kept, there?, &record, &findings)?;
    container.verified &= fresh;
    let mut rows = vec![container];
    count_alerts(desk, &mut rows).await?;
    Ok(ContainerPage {
        container: rows.pop().ok_or(Refusal::Missing)?,
        risks,
        findings,
        processes: now.processes,
        connections: now.connections,
        resources: now.resources,
        unseen: now.unseen,
        image,
        alerts: record.alerts,
        actions: record.actions,
        profiles: profiles::of_container(desk, id).await?,
    })
}

/// Ids of the containers of an image that run, or may: those of the last verification, of which these are the first, and those
/// that came since.
pub(crate) async fn running(
    desk: &Desk,
    inventory: &InventoryRow,
    image: &str,
    first: &[ContainerRow],
) -> Result<BTreeSet<String>, Refusal> {
    let mut all: Vec<ContainerRow> = first.to_vec();
    if all.len() >= images::CONTAINERS as usize {
        let limit = ALL_OF_IMAGE;
        let filter =
            ContainerFilter { image_id: Some(image.to_owned()), limit, ..Default::default() };
        let kept = desk.setup.store.kept_containers(inventory.id, &filter).await;
        all = kept.map_err(unavailable)?.into_iter().map(row).collect();
    }
    let new = newcomers::list(desk, Some(inventory), None).await?;
    all.extend(new.into_iter().filter(|row| row.image_id == image));
    let ended = ["created", "exited", "dead", "removing"];
    all.retain(|row| !ended.contains(&row.state.as_str()));
    Ok(all.into_iter().map(|row| row.id).collect())
}

/// The same, if nobody has the first of them yet.
pub(crate) async fn running_of(
    desk: &Desk,
    inventory: &InventoryRow,
    image: &str,
) -> Result<BTreeSet<String>, Refusal> {
    let (image_id, limit) = (Some(image.to_owned()), images::CONTAINERS);
    let filter = ContainerFilter { image_id, limit, ..ContainerFilter::default() };
    let first = desk.setup.store.kept_containers(inventory.id, &filter).await;
    let first: Vec<_> = first.map_err(unavailable)?.into_iter().map(row).collect();
    running(desk, inventory, image, &first).await
}

/// A container as a list shows it; its alerts are counted later.
pub(crate) fn row(kept: ContainerKept) -> ContainerRow {
    ContainerRow {
        id: kept.id,
        name: kept.name,
        image: kept.image,
        image_id: kept.image_id,
        safety: kept.safety,
        state: kept.state,
        verified: true,
        rank: kept.rank,
        counts: kept.counts,
        failing: kept.failing,
        alerts: 0,
    }
}

/// Counts the alerts of the last day.
pub(crate) async fn count_alerts(desk: &Desk, rows: &mut [ContainerRow]) -> Result<(), Refusal> {
    let since = Timestamp::now().checked_sub(SignedDuration::from_hours(24));
    let since = since.unwrap_or(Timestamp::MIN);
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let counts = desk.setup.store.count_alerts(&ids, since, COUNTED).await.map_err(unavailable)?;
    for row in rows {
        row.alerts = counts.get(&row.id).copied().unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
