//! Which profile is meant, and what its container is given today.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use haechi_core::facts::Snapshot;
use haechi_core::profile::Profile;
use haechi_core::text::visible;
use haechi_profile::coverage::Rule;
use haechi_profile::texts;
use haechi_profile::today::Today;
use haechi_store::ProfileId;

use super::{note, store_failure};
use crate::commands::{collect, verify};
use crate::failure::Failure;
use crate::setting::Setting;

/// The engine is asked so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The least of an id that is taken for one.
const ID_MIN: usize = 4;

/// The profile that is meant, whole.
pub(super) async fn stored(
    target: &str,
    setting: &Setting,
) -> anyhow::Result<(ProfileId, Profile)> {
    let store = crate::commands::store(setting).await?;
    let all = store.workloads().await.map_err(store_failure)?;
    let found = matching(target, &all);
    match found.as_slice() {
        [] => {
            let said = texts::say(setting.lang, "no-profile", &[("name", target)]);
            Err(Failure::Said(said).into())
        }
        [id] => Ok((*id, store.profile(*id).await.map_err(store_failure)?)),
        several => {
            let mut lines = vec![texts::say(setting.lang, "ambiguous", &[("name", target)])];
            let named = all.iter().filter(|(id, _)| several.contains(id));
            lines.extend(named.map(|(id, profile)| {
                let names: Vec<String> = container_names(profile).into_iter().collect();
                let command = profile.workload.command.join(" ");
                let (names, image) = (names.join(" "), &profile.image_name);
                visible(&format!("  {}  {names}  {image}  {command}", id.0)).into_owned()
            }));
            Err(Failure::Said(lines.join("\n")).into())
        }
    }
}

/// Profiles that a name can mean: of a container or an image; of a number only if it is neither, or
/// written as `#7`.
fn matching(target: &str, all: &[(ProfileId, Profile)]) -> Vec<ProfileId> {
    let numbered = |number: &str| -> Vec<ProfileId> {
        all.iter().map(|(id, _)| *id).filter(|id| id.0.to_string() == number).collect()
    };
    if let Some(number) = target.strip_prefix('#') {
        return numbered(number);
    }
    let is_id = |id: &str| {
        let digest = id.strip_prefix("sha256:").unwrap_or(id);
        let target = target.strip_prefix("sha256:").unwrap_or(target);
        target.len() >= ID_MIN && digest.starts_with(target)
    };
    let is_meant = |profile: &Profile| {
        let image = profile.image_name.as_str();
        profile.runs.iter().any(|run| run.name == target || is_id(&run.container))
            || !image.is_empty()
                && (image == target || image.strip_suffix(":latest") == Some(target))
            || is_id(&profile.workload.image)
    };
    let found: Vec<ProfileId> = all
        .iter()
        .filter(|(_, profile)| !target.is_empty() && is_meant(profile))
        .map(|(id, _)| *id)
        .collect();
    if !found.is_empty() {
        return found;
    }
    numbered(target)
}

/// Names of its containers.
pub(super) fn container_names(profile: &Profile) -> BTreeSet<String> {
    let names = profile.own_runs().filter(|run| !run.name.is_empty());
    names.map(|run| run.name.clone()).collect()
}

/// A name for what follows from a profile: of its container that there is, else of the one watched last, else of its image.
pub(super) fn container_name(profile: &Profile, today: &Today) -> String {
    let own: Vec<_> = profile.own_runs().map(|run| run.name.as_str()).collect();
    let last = own.into_iter().rev();
    let image = profile.image_name.rsplit('/').next().unwrap_or_default();
    let image = image.split([':', '@']).next().unwrap_or_default();
    std::iter::once(today.name.as_str())
        .chain(last)
        .chain([image])
        .find(|name| !name.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// What is asked for of a profile.
pub(super) fn rule(today: &Today, setting: &Setting) -> anyhow::Result<Rule> {
    let hours = setting.policy()?.policy.monitor.observed_hours_min;
    let hours = u64::try_from(hours).unwrap_or_default();
    Ok(Rule { quiet_min: hours.saturating_mul(3600), has_health_check: today.has_health_check })
}

/// What there is: as a file has it, else now. Nothing is known without an engine.
pub(super) async fn snapshot(file: Option<&Path>, setting: &Setting) -> anyhow::Result<Snapshot> {
    match file {
        Some(file) => verify::read(file),
        None => engine(setting).await,
    }
}

/// What its container is given.
pub(super) fn today(profile: &Profile, snapshot: &Snapshot, setting: &Setting) -> Today {
    let found = given(profile, snapshot);
    if found.is_none() {
        note(setting, "today-unknown", &[]);
    }
    found.unwrap_or_default()
}

/// What the newest of its containers that there are is given.
pub(in crate::commands) fn given(profile: &Profile, snapshot: &Snapshot) -> Option<Today> {
    let mut runs: Vec<_> = profile.own_runs().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.until));
    let found = runs.into_iter().find_map(|run| {
        let mut containers = snapshot.containers.iter().flatten();
        containers.find(|container| container.id.as_ref() == Some(&run.container))
    });
    found.map(Today::of)
}

/// What the engine of this host has.
pub(in crate::commands) async fn engine(setting: &Setting) -> anyhow::Result<Snapshot> {
    let store = Err(anyhow::anyhow!("not asked"));
    Ok(collect::facts(setting, &setting.policy()?, PATIENCE, &store).await)
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::{Run, Workload};
    use jiff::Timestamp;

    use super::*;

    fn profile(image: &str, name: &str, container: &str, image_name: &str) -> Profile {
        let run = Run {
            container: container.into(),
            name: name.into(),
            since: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH,
            phases: [].into(),
            gaps: [].into(),
            tasks_max: 0,
            memory_max: 0,
        };
        Profile {
            workload: Workload { image: image.into(), command: Vec::new() },
            image_name: image_name.into(),
            runs: vec![run],
            ..Profile::default()
        }
    }

    #[test]
    fn a_name_means_containers_and_images_and_only_then_numbers() {
        let all = [
            (ProfileId(1), profile("sha256:aaaa1111", "web", "c0ffee01", "nginx:latest")),
            (ProfileId(2), profile("sha256:bbbb2222", "1", "c0ffee02", "example/db:2")),
            (ProfileId(3), profile("", "web", "d00d0003", "")),
        ];
        for (target, expected) in [
            ("web", vec![1, 3]),
            ("nginx", vec![1]),
            ("nginx:latest", vec![1]),
            ("example/db:2", vec![2]),
            ("db", vec![]),
            ("c0ff", vec![1, 2]),
            ("c0ffee01", vec![1]),
            ("c0", vec![]),
            ("sha256:bbbb", vec![2]),
            ("bbbb2222", vec![2]),
            ("1", vec![2]),
            ("3", vec![3]),
            ("#1", vec![1]),
            ("#web", vec![]),
            ("", vec![]),
        ] {
            let found: Vec<i64> = matching(target, &all).iter().map(|id| id.0).collect();
            assert_eq!(found, expected, "{target}");
        }
        let db = &all[1].1;
        assert_eq!(container_name(db, &Today::default()), "1");
        // One that only tried it out is not whose options these are, however lately it ran.
        let mut tried = db.clone();
        tried.runs.push(Run {
            container: "t".into(),
            name: "1-try-haechi".into(),
            ..db.runs[0].clone()
        });
        assert_eq!(container_name(&tried, &Today::default()), "1-try-haechi");
        tried.trials.insert("t".into());
        assert_eq!(container_name(&tried, &Today::default()), "1");
        assert_eq!(container_names(&tried), ["1".to_owned()].into());
        let nameless = profile("", "", "x", "example/db:2");
        assert_eq!(container_name(&nameless, &Today::default()), "db");
    }
}
