//! What is on record of a container: it stays when the container is gone, so that no link to one leads nowhere.
//!
//! That it is gone is said only if the engine says so and nothing of it runs.

use haechi_core::risk::ContainerKept;
use haechi_protocol::{ActionRow, AlertRow, ContainerRow, FindingRow, Refusal};
use haechi_store::{ActionFilter, ActivityFilter, AlertFilter};

use super::newcomers::{Inspected, nameless};
use super::row;
use crate::{Desk, unavailable};

/// Alerts and actions of a container that its page shows.
const NEWEST: u32 = 20;

/// What was told about a container, and done to it.
pub(super) struct Record {
    pub(super) alerts: Vec<AlertRow>,
    pub(super) actions: Vec<ActionRow>,
    /// Name and image, as they were told last.
    called: Option<(String, String)>,
}

/// Reads what is on record of a container.
pub(super) async fn record(desk: &Desk, id: &str) -> Result<Record, Refusal> {
    let (store, container) = (&desk.setup.store, Some(id.to_owned()));
    let filter =
        AlertFilter { container: container.clone(), limit: NEWEST, ..AlertFilter::default() };
    let alerts = store.alerts(&filter).await.map_err(unavailable)?;
    let filter =
        ActionFilter { container: container.clone(), limit: NEWEST, ..ActionFilter::default() };
    let actions = store.actions(&filter).await.map_err(unavailable)?;
    let filter = ActivityFilter { container, limit: 1, ..ActivityFilter::default() };
    let activity = store.activity(&filter).await.map_err(unavailable)?;
    let told = alerts.iter().map(|(_, alert)| &alert.container);
    let told = told.chain(actions.iter().map(|(_, action)| &action.container));
    let told = told.map(|told| (&told.name, &told.image));
    let told = told.chain(activity.iter().map(|(_, activity)| (&activity.name, &activity.image)));
    let called = told.map(|(name, image)| (name.clone(), image.clone())).next();
    Ok(Record {
        called,
        alerts: alerts.into_iter().map(|(id, alert)| AlertRow { number: id.0, alert }).collect(),
        actions: actions
            .into_iter()
            .map(|(id, action)| ActionRow { number: id.0, action })
            .collect(),
    })
}

/// A container from what the last verification kept of it, what there is now, and what is on record.
///
/// # Errors
/// None of them knows it.
pub(super) fn joined(
    id: &str,
    kept: Option<ContainerKept>,
    there: Inspected,
    record: &Record,
    findings: &[FindingRow],
) -> Result<ContainerRow, Refusal> {
    if let Some(kept) = kept {
        let container = row(kept);
        return Ok(match there {
            Inspected::Is(now) => ContainerRow { state: now.state, ..container },
            Inspected::Gone => ContainerRow { state: "gone".to_owned(), ..container },
            Inspected::Runs | Inspected::Unknown => container,
        });
    }
    let state = match there {
        Inspected::Is(now) => return Ok(*now),
        Inspected::Runs => "running",
        Inspected::Gone => "gone",
        Inspected::Unknown => "unknown",
    };
    let of_findings = || Some((findings.first()?.finding.subject.name.clone(), String::new()));
    let called = record.called.clone().or_else(of_findings);
    if called.is_none() && state != "running" {
        return Err(Refusal::Missing);
    }
    let mut container = ContainerRow { state: state.to_owned(), ..nameless(id) };
    if let Some((name, image)) = called {
        container.image = image;
        if !name.is_empty() {
            container.name = name;
        }
    }
    for finding in findings.iter().map(|row| &row.finding) {
        container.counts.add(finding.status);
        if finding.status == haechi_core::Status::Fail {
            *container.failing.entry(finding.severity).or_default() += 1;
        }
    }
    Ok(container)
}
