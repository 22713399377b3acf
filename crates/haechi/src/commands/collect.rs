//! `haechi collect`: facts only.

use std::time::Duration;

use haechi_core::facts::Gap;
use haechi_core::facts::Snapshot;
use haechi_core::finding::{Cause, SubjectKind};
use haechi_core::policy::Loaded;
use haechi_core::verdict::ImageReport;
use haechi_store::Store;
use jiff::Timestamp;

use crate::args::{Collect, ImageReading};
use crate::setting::Setting;
use crate::{exit, output};

pub async fn run(args: &Collect, setting: &Setting) -> anyhow::Result<u8> {
    let policy = setting.policy()?;
    let store = super::store(setting).await;
    let mut snapshot = facts(setting, &policy, Duration::from_secs(args.timeout), &store).await;
    if !args.no_images {
        let read = images(&mut snapshot, &policy, &args.reading, args.offline, setting).await;
        super::watched::packages(&mut snapshot, &read, &store, &policy).await;
    }
    match &args.output {
        None => output::stdout(|out| {
            serde_json::to_writer(&mut *out, &snapshot)?;
            Ok(writeln!(out)?)
        })?,
        Some(path) => {
            output::file(path, |out| Ok(serde_json::to_writer(out, &snapshot)?))?;
            setting.note("snapshot-written", &[("path", &path.display().to_string())]);
        }
    }
    Ok(match engine_failure(&snapshot) {
        Some(gap) => {
            setting.note("no-engine", &[("why", &gap.detail)]);
            exit::COULD_NOT_VERIFY
        }
        None => exit::CLEAN,
    })
}

/// Takes images and the host's packages apart, and gives the reports about the images. Whatever goes wrong leaves facts
/// absent, and so unverified.
pub async fn images(
    snapshot: &mut Snapshot,
    policy: &Loaded,
    reading: &ImageReading,
    offline: bool,
    setting: &Setting,
) -> Vec<ImageReport> {
    super::images::examine(snapshot, policy, reading, offline, setting).await.unwrap_or_else(
        |error| {
            setting.note("images-not-examined", &[("why", &format!("{error:#}"))]);
            Vec::new()
        },
    )
}

/// Collects the facts of this host and completes them with what the store remembers.
pub async fn facts(
    setting: &Setting,
    policy: &Loaded,
    timeout: Duration,
    store: &anyhow::Result<Store>,
) -> Snapshot {
    let now = Timestamp::now();
    let salt = match store {
        Ok(store) => store.salt().await.unwrap_or_default(),
        // Without a store the hash is compared with nothing.
        Err(_) => [0; 32],
    };
    let options = haechi_facts::Options {
        root: setting.root.clone(),
        endpoint: setting.host.clone(),
        timeout,
        now,
        backups: policy.policy.backups.clone(),
        unlock_key_salt: salt,
    };
    let mut snapshot = haechi_facts::collect(&options).await;
    if let Ok(store) = store {
        super::watched::complete(&mut snapshot, store, policy, setting, now).await;
    }
    if let Err(why) = remember(&mut snapshot, store, now).await {
        let gap = |kind, fact: &str| Gap {
            kind,
            id: String::new(),
            fact: fact.into(),
            cause: Cause::Missing,
            detail: format!("{why:#}"),
        };
        snapshot.gaps.push(gap(SubjectKind::Swarm, "unlock_key_seen_days"));
        snapshot.gaps.push(gap(SubjectKind::Swarm, "unlock_key_rotation_seen"));
        snapshot.gaps.sort();
    }
    snapshot
}

/// Completes a snapshot with what the store remembers of this host.
async fn remember(
    snapshot: &mut Snapshot,
    store: &anyhow::Result<Store>,
    now: Timestamp,
) -> Result<(), String> {
    let store = store.as_ref().map_err(ToString::to_string)?;
    let host = host_name(snapshot);
    snapshot.history = store.history_facts(&host, now).await.map_err(|e| e.to_string())?;
    let swarm = &mut snapshot.swarm;
    if let (Some(id), Some(hash)) = (&swarm.id, &swarm.unlock_key_hash)
        && !hash.is_empty()
    {
        let (days, rotated) =
            store.observe_unlock_key(&host, id, hash, now).await.map_err(|e| e.to_string())?;
        swarm.unlock_key_seen_days = Some(days);
        swarm.unlock_key_rotation_seen = Some(rotated);
    }
    Ok(())
}

/// The name under which a host is on record: as in its reports.
pub fn host_name(snapshot: &Snapshot) -> String {
    let names = [&snapshot.host.hostname, &snapshot.engine.name];
    names.into_iter().flatten().find(|name| !name.is_empty()).cloned().unwrap_or_default()
}

/// Why the engine could not be asked at all, if it could not.
pub fn engine_failure(snapshot: &Snapshot) -> Option<&Gap> {
    if snapshot.containers.is_some() {
        return None;
    }
    snapshot.gaps.iter().find(|gap| gap.kind == SubjectKind::Engine && gap.fact.is_empty())
}
