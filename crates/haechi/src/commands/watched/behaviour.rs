//! What the monitor learned of containers, as facts of them and of their images.
//!
//! A container has what is known of its workload if it was watched itself. What cannot be read is told to the caller or is a
//! gap: it must not look as if nothing had been learned.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use haechi_core::facts::{Container, Gap, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use haechi_core::inventory::Package;
use haechi_core::policy::Loaded;
use haechi_core::profile::{Entry, Kind, Profile};
use haechi_core::verdict::ImageReport;
use haechi_examine::behaviour::{self as examined, Watched};
use haechi_facts::behaviour::{self, is_settled, lines};
use haechi_facts::watched::Life;
use haechi_profile::coverage::{Coverage, Part, Rule};
use haechi_store::{Store, StoreError};
use jiff::Timestamp;

/// Completes containers with what is known of their workloads; `hours` is the least that must have been quiet.
pub(super) async fn fill(
    containers: &mut [Container],
    store: &Store,
    hours: i64,
) -> Result<(), StoreError> {
    // Of several workloads that a container was seen with, the last is its own.
    let mut last: HashMap<String, Timestamp> = HashMap::new();
    for (number, head) in store.workloads().await? {
        let until = last_runs(&head);
        let is_own = |container: &Container| {
            let (id, until) = until.get_key_value(container.id.as_deref()?)?;
            last.get(*id).is_none_or(|known| known < until).then_some((*id, *until))
        };
        let own: HashMap<&str, Timestamp> = containers.iter().filter_map(is_own).collect();
        if own.is_empty() {
            continue;
        }
        let profile = store.profile(number).await?;
        let coverage = Coverage::of(&profile, &rule(containers, &profile, hours));
        let is_one = |container: &&mut Container| {
            container.id.as_deref().is_some_and(|id| own.contains_key(id))
        };
        containers
            .iter_mut()
            .filter(is_one)
            .for_each(|container| behaviour::fill(container, &profile, &coverage));
        last.extend(own.into_iter().map(|(id, until)| (id.to_owned(), until)));
    }
    Ok(())
}

/// Completes the images of a snapshot with what was seen of their packages; `reports` are those about images that were read
/// now, of others nothing is known.
pub async fn packages(
    snapshot: &mut Snapshot,
    reports: &[ImageReport],
    store: &anyhow::Result<Store>,
    policy: &Loaded,
) {
    let Ok(store) = store else { return };
    let hours = policy.policy.monitor.observed_hours_min.clamp(0, 1_000_000);
    if let Err(why) = from_store(snapshot, reports, store, hours).await {
        snapshot.gaps.push(Gap {
            kind: SubjectKind::Image,
            id: String::new(),
            fact: "behaviour".to_owned(),
            cause: Cause::Missing,
            detail: why.to_string(),
        });
    }
    snapshot.gaps.sort();
}

async fn from_store(
    snapshot: &mut Snapshot,
    reports: &[ImageReport],
    store: &Store,
    hours: i64,
) -> Result<(), StoreError> {
    let Some(containers) = &snapshot.containers else { return Ok(()) };
    let read: HashMap<&str, &[Package]> = reports
        .iter()
        .map(|report| (report.scan.subject.id.as_str(), report.scan.packages.as_slice()))
        .collect();
    let mut of_image: HashMap<String, Vec<Watched>> = HashMap::new();
    for (number, head) in store.workloads().await? {
        if !read.contains_key(head.workload.image.as_str()) {
            continue;
        }
        let profile = store.profile(number).await?;
        let coverage = Coverage::of(&profile, &rule(containers, &profile, hours));
        let until = last_runs(&profile);
        let is_here = |container: &&Container| {
            container.id.as_deref().is_some_and(|id| until.contains_key(id))
        };
        let watched = Watched {
            known: files(profile.known()),
            later: files(profile.later()),
            containers: containers.iter().filter(is_here).count(),
            is_settled: [Part::Programs, Part::Files]
                .into_iter()
                .all(|part| is_settled(part, &profile, &coverage)),
            lines: [Part::Programs, Part::Files]
                .into_iter()
                .flat_map(|part| lines(part, &profile, &coverage))
                .collect(),
        };
        of_image.entry(profile.workload.image.clone()).or_default().push(watched);
    }
    // One that was never started needs nothing.
    let ran = |container: &&Container| Life::of(container) != Life::None;
    let mut number: BTreeMap<String, usize> = BTreeMap::new();
    for id in containers.iter().filter(ran).filter_map(|container| container.image_id.clone()) {
        *number.entry(id).or_default() += 1;
    }
    let mut gaps = Vec::new();
    for image in snapshot.images.iter_mut().flatten() {
        let Some(id) = image.id.clone() else { continue };
        if let (Some(packages), Some(watched)) = (read.get(id.as_str()), of_image.get(&id)) {
            let containers = number.get(&id).copied().unwrap_or_default();
            gaps.extend(examined::fill(image, packages, watched, containers));
        }
    }
    snapshot.gaps.extend(gaps);
    Ok(())
}

/// Until when each container of a workload was watched last.
fn last_runs(profile: &Profile) -> HashMap<&str, Timestamp> {
    let mut last: HashMap<&str, Timestamp> = HashMap::new();
    for run in &profile.runs {
        let until = last.entry(&run.container).or_insert(run.until);
        *until = run.until.max(*until);
    }
    last
}

/// What is asked for of a profile: the health check, if a container of it that is there has one.
fn rule(containers: &[Container], profile: &Profile, hours: i64) -> Rule {
    let ids: BTreeSet<&str> = profile.runs.iter().map(|run| run.container.as_str()).collect();
    let has_health_check = containers.iter().any(|container| {
        let is_here = container.id.as_deref().is_some_and(|id| ids.contains(id));
        is_here && container.config.as_ref().and_then(|config| config.healthcheck) == Some(true)
    });
    let quiet_min = u64::try_from(hours).unwrap_or_default().saturating_mul(3600);
    Rule { quiet_min, has_health_check }
}

fn files<'e>(entries: impl Iterator<Item = &'e Entry>) -> Vec<Entry> {
    let is_file = |entry: &&Entry| matches!(entry.kind, Kind::Executed | Kind::Mapped | Kind::Read);
    entries.filter(is_file).cloned().collect()
}
