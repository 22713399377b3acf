//! Keeps, beside a verification, what the dashboard shows of containers and images and what is at risk.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use haechi_core::facts::Container;
use haechi_core::profile::{Entry, Kind};
use haechi_core::verdict::ImageReport;
use haechi_core::{Policy, Report, Snapshot};
use haechi_examine::risk::{self, Known, Seen};
use haechi_facts::live::files_in_use;
use haechi_facts::root::Root;
use haechi_profile::blind;
use haechi_profile::coverage::{Coverage, Rule};
use haechi_store::{Store, StoreError, VerificationId};

use crate::setting::Setting;

/// For how long it is looked at what containers use. Of the rest it is not known, and said so.
const LOOKING_MAX: Duration = Duration::from_secs(60);

/// What was verified: facts, what was decided from them, and what images hold.
pub struct Verified<'a> {
    pub snapshot: &'a Snapshot,
    /// By one benchmark or several; what is kept is found by the first.
    pub reports: Vec<&'a Report>,
    /// Images that were read now.
    pub images: &'a [ImageReport],
    pub policy: &'a Policy,
}

/// Keeps what there is, unless containers or images could not be listed: then what was kept before stays.
pub async fn keep(
    verified: &Verified<'_>,
    id: VerificationId,
    store: &Store,
    setting: &Setting,
) -> Result<(), StoreError> {
    let Some(first) = verified.reports.first() else { return Ok(()) };
    let read: BTreeSet<&str> =
        verified.images.iter().map(|report| report.scan.subject.id.as_str()).collect();
    let mut earlier = Vec::new();
    for image in verified.snapshot.images.iter().flatten() {
        let id = image.id.as_deref().unwrap_or_default();
        if !read.contains(id) {
            earlier.extend(store.image_report(&first.host.name, id).await?);
        }
    }
    let seen = seen(verified, store, setting).await?;
    let inventory = risk::inventory(&Known {
        snapshot: verified.snapshot,
        reports: &verified.reports,
        policy: verified.policy,
        images: verified.images,
        earlier: &earlier,
        seen: &seen,
    });
    match inventory {
        Some(inventory) => store.keep_inventory(id, &inventory, verified.images).await,
        None => Ok(()),
    }
}

/// What containers were seen to use, by id: the files that their processes use now, and their profiles.
async fn seen(
    verified: &Verified<'_>,
    store: &Store,
    setting: &Setting,
) -> Result<HashMap<String, Seen>, StoreError> {
    let (snapshot, hours) = (verified.snapshot, verified.policy.monitor.observed_hours_min);
    let quiet_min = u64::try_from(hours).unwrap_or_default().saturating_mul(3600);
    let mut seen: HashMap<String, Seen> = files(snapshot, setting)
        .await
        .into_iter()
        .map(|(id, files)| {
            let entries = files.into_iter().map(|file| in_use(&id, file)).collect();
            (id, Seen { entries, is_settled: false })
        })
        .collect();
    let containers: HashMap<&str, &Container> = snapshot
        .containers
        .iter()
        .flatten()
        .filter_map(|container| Some((container.id.as_deref()?, container)))
        .collect();
    for (number, head) in store.workloads().await? {
        let ids: BTreeSet<&str> = head.runs.iter().map(|run| run.container.as_str()).collect();
        let here: Vec<&Container> =
            ids.into_iter().filter_map(|id| containers.get(id).copied()).collect();
        if here.is_empty() {
            continue;
        }
        let profile = store.profile(number).await?;
        let has_health_check = here.iter().any(|container| checks_health(container));
        let coverage = Coverage::of(&profile, &Rule { quiet_min, has_health_check });
        let running = here.iter().filter_map(|container| container.id.clone()).collect();
        let is_settled = blind::open(&profile, &coverage, Some(&running)).is_empty();
        let is_file =
            |entry: &&Entry| matches!(entry.kind, Kind::Executed | Kind::Mapped | Kind::Read);
        for container in here {
            let known = seen.entry(container.id.clone().unwrap_or_default()).or_default();
            known.is_settled = is_settled;
            known.entries.extend(profile.entries.iter().filter(is_file).cloned());
        }
    }
    Ok(seen)
}

/// Whether a container has a health check, as far as it is known.
fn checks_health(container: &Container) -> bool {
    container.config.as_ref().and_then(|config| config.healthcheck) == Some(true)
}

/// Files that a process uses at this moment.
fn in_use(container: &str, file: String) -> Entry {
    Entry {
        kind: Kind::Read,
        value: file,
        first_at: jiff::Timestamp::UNIX_EPOCH,
        container: container.to_owned(),
        origin: String::new(),
        program: String::new(),
    }
}

/// Files that processes of running containers use, by the container's id.
async fn files(snapshot: &Snapshot, setting: &Setting) -> HashMap<String, BTreeSet<String>> {
    // Processes of another machine have nothing to do with those of this one.
    if snapshot.engine.local != Some(true) {
        return HashMap::new();
    }
    let containers: Vec<(String, Vec<i64>)> = snapshot
        .containers
        .iter()
        .flatten()
        .filter_map(|container| {
            let processes = container.processes.as_ref().filter(|all| !all.is_empty())?;
            Some((container.id.clone()?, processes.iter().filter_map(|one| one.pid).collect()))
        })
        .collect();
    let root = Root::new(&setting.root).with_real_proc();
    let looked = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let in_time = containers.into_iter().take_while(|_| began.elapsed() < LOOKING_MAX);
        let files = |(id, pids): (String, Vec<i64>)| {
            let files = files_in_use(&root, &id, pids);
            (id, files)
        };
        in_time.map(files).collect()
    });
    looked.await.unwrap_or_default()
}
