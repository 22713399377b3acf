//! Containers as the last verification saw them, and as they are now.
//!
//! Ranks and findings are those of the last verification; processes, connections and what is used are of the moment of
//! asking. A container that the verification did not see is shown as that, before all others.

mod newcomers;
mod now;
mod risks;

use haechi_core::SubjectKind;
use haechi_core::risk::{ContainerKept, RiskKept};
use haechi_protocol::{
    ActionRow, AlertRow, ContainerPage, ContainerRow, LIMIT_MAX, List, ListContainers, Refusal,
    RiskLine, ShowContainer,
};
use haechi_store::{ActionFilter, AlertFilter, ContainerFilter, InventoryRow, Place};
use jiff::{SignedDuration, Timestamp};

use crate::accounts::Caller;
use crate::{Desk, checklist, images, unavailable};

pub(crate) use newcomers::is_container_id;

/// Characters of a text that is looked for.
pub(crate) const TEXT_MAX: usize = 200;
/// Alerts and actions of a container that its page shows.
const NEWEST: u32 = 20;
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

/// Whether the newest verification saw these containers: one that could list none leaves those of an earlier one, which
/// say nothing about now.
async fn is_fresh(desk: &Desk, inventory: Option<&InventoryRow>) -> Result<bool, Refusal> {
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
) -> Result<List<ContainerRow>, Refusal> {
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
    if !is_fresh(desk, inventory.as_ref()).await? {
        rows.iter_mut().for_each(|row| row.verified = false);
    }
    let everything = question.running.is_none() && filter.text.is_none() && filter.after.is_none();
    let total = inventory.filter(|_| everything).and_then(|one| u64::try_from(one.containers).ok());
    let total = total.map(|total| total + new);
    Ok(List { rows, next, total })
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
    let inventory = inventory(desk).await?;
    let kept = match &inventory {
        Some(inventory) => store.kept_container(inventory.id, id).await.map_err(unavailable)?,
        None => None,
    };
    // Looking at it takes a while: the rest is asked meanwhile.
    let now = now::look(desk, id);
    let asked = async {
        let (container, risks, findings, image) = match (kept, &inventory) {
            (Some(kept), Some(inventory)) => {
                let findings = checklist::of_subject(desk, SubjectKind::Container, id).await?;
                let flaws = store.flaws_of(&inventory.host, &kept.image_id);
                let flaws = flaws.await.map_err(unavailable)?;
                let risks = risks::of(&kept, &findings, &flaws);
                let image = images::of(desk, inventory, &kept.image_id).await?;
                (row(kept), risks, findings, image)
            }
            // It may have gone by now, and may have been before the last verification: its alerts are there all the same.
            _ => match newcomers::one(desk, id).await? {
                Some(row) => (row, Vec::new(), Vec::new(), None),
                None => return Err(Refusal::Missing),
            },
        };
        Ok((container, risks, findings, image))
    };
    let (now, asked) = tokio::join!(now, asked);
    let (container, risks, findings, image) = asked?;
    let filter =
        AlertFilter { container: Some(id.to_owned()), limit: NEWEST, ..AlertFilter::default() };
    let alerts = store.alerts(&filter).await.map_err(unavailable)?;
    let filter =
        ActionFilter { container: Some(id.to_owned()), limit: NEWEST, ..ActionFilter::default() };
    let actions = store.actions(&filter).await.map_err(unavailable)?;
    let mut rows = vec![container];
    count_alerts(desk, &mut rows).await?;
    let mut container = rows.pop().ok_or(Refusal::Missing)?;
    container.verified &= is_fresh(desk, inventory.as_ref()).await?;
    Ok(ContainerPage {
        container,
        risks,
        findings,
        processes: now.processes,
        connections: now.connections,
        resources: now.resources,
        unseen: now.unseen,
        image,
        alerts: alerts.into_iter().map(|(id, alert)| AlertRow { number: id.0, alert }).collect(),
        actions: actions
            .into_iter()
            .map(|(id, action)| ActionRow { number: id.0, action })
            .collect(),
    })
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
