//! What the monitor kept of the containers of a snapshot, as facts of them.
//!
//! What cannot be read is a gap: it must not look like silence.

use std::collections::HashMap;

use haechi_core::activity::{Activity, Watch};
use haechi_core::facts::{Container, Gap, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use haechi_core::policy::Loaded;
use haechi_facts::watched::{Life, Record, fill};
use haechi_store::{ActivityFilter, Store, StoreError};
use jiff::{SignedDuration, Timestamp};

use crate::setting::Setting;

mod behaviour;

pub use behaviour::packages;

/// Rules of one container that are told: those that are evidence come first, and there are not so many of them.
const RULES_MAX: u32 = 200;
/// Rows of activity that are read at once, and of one container in all: a call every second for half a day.
const PAGE: u32 = 10_000;
const ACTIVITY_MAX: usize = 100_000;

/// Completes the containers of a snapshot with what is on record of them.
pub async fn complete(
    snapshot: &mut Snapshot,
    store: &Store,
    policy: &Loaded,
    setting: &Setting,
    now: Timestamp,
) {
    snapshot.monitor.checks = Some(super::rules::checks_of_host(setting));
    let Some(containers) = &mut snapshot.containers else { return };
    // Far beyond any life of a container, and no overflow.
    let hours = policy.policy.monitor.observed_hours_min.clamp(0, 1_000_000);
    match from_store(containers, store, SignedDuration::from_hours(hours), now).await {
        Ok(gaps) => snapshot.gaps.extend(gaps),
        Err(why) => snapshot.gaps.extend(unread(&why.to_string())),
    }
    if let Err(why) = behaviour::fill(containers, store, hours).await {
        snapshot.gaps.push(gap("behaviour", "", &why.to_string()));
    }
    snapshot.gaps.sort();
}

/// The gaps of a record that cannot be read.
fn unread(why: &str) -> [Gap; 2] {
    ["alerts", "execs"].map(|fact| gap(fact, "", why))
}

fn gap(fact: &str, id: &str, why: &str) -> Gap {
    Gap {
        kind: SubjectKind::Container,
        id: id.to_owned(),
        fact: fact.to_owned(),
        cause: Cause::Missing,
        detail: why.to_owned(),
    }
}

async fn from_store(
    containers: &mut [Container],
    store: &Store,
    observed_min: SignedDuration,
    now: Timestamp,
) -> Result<Vec<Gap>, StoreError> {
    let ids: Vec<String> = containers.iter().filter_map(|container| container.id.clone()).collect();
    let mut watches: HashMap<String, Vec<Watch>> = HashMap::new();
    for watch in store.watches(&ids).await? {
        watches.entry(watch.container.clone()).or_default().push(watch);
    }
    let mut gaps = Vec::new();
    for container in containers {
        let Some(id) = container.id.clone() else { continue };
        let mut earlier = watches.remove(&id).unwrap_or_default();
        let mut record = Record { watch: earlier.pop(), earlier, ..Record::default() };
        let life = Life::of(container);
        if let (Life::Since(started, _), Some(alerts_since)) = (life, life.alerts_since(container))
        {
            (record.activity, record.more_activity) = execs(store, &id, started).await?;
            let alerts = store.newest_alerts(&id, alerts_since, RULES_MAX).await?;
            record.alerts = alerts.into_iter().map(|one| (one.count, one.newest)).collect();
        }
        gaps.extend(fill(container, &record, now, observed_min));
        if u32::try_from(record.alerts.len()).is_ok_and(|rules| rules >= RULES_MAX) {
            let detail = format!("alerts of more than {RULES_MAX} rules: not all were read");
            gaps.push(gap("alerts", &id, &detail));
        }
    }
    Ok(gaps)
}

/// The exec calls of a container since a moment, and whether there are more.
async fn execs(
    store: &Store,
    id: &str,
    since: Timestamp,
) -> Result<(Vec<Activity>, bool), StoreError> {
    let mut filter = ActivityFilter {
        since: Some(since),
        container: Some(id.to_owned()),
        limit: PAGE,
        ..ActivityFilter::default()
    };
    let mut all = Vec::new();
    let mut read = 0;
    loop {
        let page = store.activity(&filter).await?;
        read += page.len();
        let last = page.last().map(|(id, _)| *id);
        let full = u32::try_from(page.len()) == Ok(PAGE);
        all.extend(page.into_iter().map(|(_, one)| one).filter(|one| one.exec.is_some()));
        match last {
            Some(last) if full && read < ACTIVITY_MAX => filter.before_id = Some(last),
            _ => return Ok((all, full)),
        }
    }
}
