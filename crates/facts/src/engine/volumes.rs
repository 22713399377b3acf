//! Volumes, and bind mounts that hold data as a volume does.
//!
//! A local volume can bind any path of the host, which makes it a bind mount by another name:
//! [`Volumes::bound`] tells. The content of a volume is never looked at.

mod bound;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use haechi_core::facts::{Container, Volume};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::Scene;
use super::json::text_at;
use crate::root::Root;
pub(super) use bound::{Bound, pseudo};

/// Directories of the system: a bind mount of something in them holds no data of its own.
const SYSTEM: [&str; 12] = [
    "/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/boot", "/run",
    "/var/run",
];

/// The engine's list of volumes.
pub(super) struct Volumes {
    items: Vec<Value>,
    /// By name: what it shows of the host, or `None`.
    bound: HashMap<String, Option<Bound>>,
}

/// Reads the engine's list; `None` if there is none, which has left its gap.
pub(super) fn read(scene: Scene<'_>, list: Result<Value, super::ApiError>) -> Option<Volumes> {
    let items = super::items(scene.gaps, SubjectKind::Volume, list, "Volumes")?;
    let entry = |item: &Value| (text_at(item, "Name").to_owned(), bound::read(item));
    let bound = items.iter().map(entry).collect();
    Some(Volumes { items, bound })
}

impl Volumes {
    /// What a volume shows of the host, as it is written there.
    pub(super) fn bound(&self, name: &str) -> Option<&Bound> {
        self.bound.get(name)?.as_ref()
    }

    /// Whether the engine lists a volume of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.bound.contains_key(name)
    }
}

/// Makes facts of the volumes, sorted by name, and adds bind mounts that hold data.
pub(super) fn build(
    volumes: Option<Volumes>,
    scene: Scene<'_>,
    containers: Option<&[Container]>,
    local: bool,
) -> Option<Vec<Volume>> {
    let volumes = volumes?;
    let users = users(containers);
    let mut list: Vec<Volume> = volumes
        .items
        .iter()
        .map(|item| volume(scene, &volumes, item, users.as_ref(), local))
        .collect();
    list.extend(bind_mounts(scene.root, containers.unwrap_or_default()));
    list.sort_by(|a, b| (&a.name, a.bind_mount).cmp(&(&b.name, b.bind_mount)));
    Some(list)
}

/// Names of containers by volume; `None` if not all mounts are known.
fn users(containers: Option<&[Container]>) -> Option<BTreeMap<&str, BTreeSet<String>>> {
    let mut users: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for container in containers? {
        for mount in container.mounts.as_deref()? {
            let (Some(volume), Some(name)) = (mount.name.as_deref(), &container.name) else {
                return None;
            };
            if !volume.is_empty() {
                users.entry(volume).or_default().insert(name.clone());
            }
        }
    }
    Some(users)
}

fn volume(
    scene: Scene<'_>,
    volumes: &Volumes,
    item: &Value,
    users: Option<&BTreeMap<&str, BTreeSet<String>>>,
    local: bool,
) -> Volume {
    let name = text_at(item, "Name");
    let gap = |fact: &str, cause, detail: String| {
        scene.gaps.record_for(SubjectKind::Volume, name, fact, cause, detail);
    };
    let used_by = users.map(|users| {
        users.get(name).map(|names| names.iter().cloned().collect()).unwrap_or_default()
    });
    if used_by.is_none() {
        gap("used_by", Cause::Missing, "the mounts of a container are not known".into());
    }
    let bound_path = match volumes.bound(name).map(Bound::first) {
        None => Ok(String::new()),
        Some(None) => Err((Cause::Missing, "its driver options are not understood".into())),
        // Only a container's mount is followed from the directory that the daemon runs in.
        Some(Some(path)) if !path.starts_with('/') => {
            Err((Cause::Missing, format!("{path:?} is relative to the daemon's directory")))
        }
        Some(Some(path)) if local => super::mounts::resolve(scene.root, path),
        // On another machine nothing resolves its links.
        Some(Some(path)) => Ok(path.to_owned()),
    };
    let bound_path = bound_path.map_err(|(cause, detail)| gap("bound_path", cause, detail)).ok();
    let generated = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let labelled =
        item.get("Labels").is_some_and(|l| l.get("com.docker.volume.anonymous").is_some());
    Volume {
        name: Some(name.to_owned()),
        driver: Some(text_at(item, "Driver").to_owned()),
        mountpoint: Some(text_at(item, "Mountpoint").to_owned()),
        anonymous: Some(generated || labelled),
        bound_path,
        used_by,
        bind_mount: Some(false),
    }
}

/// One entry for each path of the host that containers write to, system directories left out.
fn bind_mounts(root: &Root, containers: &[Container]) -> Vec<Volume> {
    let mut users: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for container in containers {
        for mount in container.mounts.iter().flatten() {
            let bind = mount.kind.as_deref() == Some("bind");
            let Some(path) = mount.host_path.as_deref().filter(|_| bind) else { continue };
            let system = path == "/" || SYSTEM.iter().any(|dir| Path::new(path).starts_with(dir));
            let socket = || root.metadata(path).is_ok_and(|meta| meta.kind == "socket");
            if mount.writable != Some(false) && !system && !socket() {
                let name = container.name.clone().unwrap_or_default();
                users.entry(path).or_default().insert(name);
            }
        }
    }
    let volume = |(path, names): (&str, BTreeSet<String>)| Volume {
        name: Some(path.to_owned()),
        driver: Some(String::new()),
        mountpoint: Some(path.to_owned()),
        anonymous: Some(false),
        bound_path: Some(path.to_owned()),
        used_by: Some(names.into_iter().collect()),
        bind_mount: Some(true),
    };
    users.into_iter().map(volume).collect()
}
