//! Volumes, and bind mounts that hold data as a volume does.
//!
//! A local volume can bind any path of the host, which makes it a bind mount by another name:
//! [`Volumes::bound`] tells. The content of a volume is never looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use haechi_core::facts::{Container, Volume};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::Scene;
use super::json::text_at;
use crate::root::Root;

/// Directories of the system: a bind mount of something in them holds no data of its own.
const SYSTEM: [&str; 12] = [
    "/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/boot", "/run",
    "/var/run",
];

/// The engine's list of volumes.
pub(super) struct Volumes {
    items: Vec<Value>,
    /// By name: the path of the host that it binds, or `None`.
    bound: HashMap<String, Option<String>>,
}

/// Reads the engine's list; `None` if there is none, which has left its gap.
pub(super) fn read(scene: Scene<'_>, list: Result<Value, super::ApiError>) -> Option<Volumes> {
    let items = super::items(scene.gaps, SubjectKind::Volume, list, "Volumes")?;
    let entry = |item: &Value| (text_at(item, "Name").to_owned(), bound_path(item));
    let bound = items.iter().map(entry).collect();
    Some(Volumes { items, bound })
}

impl Volumes {
    /// The path of the host that a volume binds, as it is written there.
    pub(super) fn bound(&self, name: &str) -> Option<&str> {
        self.bound.get(name)?.as_deref()
    }

    /// Whether the engine lists a volume of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.bound.contains_key(name)
    }
}

/// The path of the host that a local volume shows: the `device` of a bind, a disk's device file, or the
/// lowest layer of an overlay. Network file systems have none.
fn bound_path(volume: &Value) -> Option<String> {
    if text_at(volume, "Driver") != "local" {
        return None;
    }
    let options = volume.get("Options")?;
    let device = text_at(options, "device");
    let lower = text_at(options, "o")
        .split(',')
        .find_map(|option| option.trim().strip_prefix("lowerdir="))
        .and_then(|layers| layers.split(':').next());
    let kind = text_at(options, "type");
    let network = ["nfs", "cifs", "smb"].iter().any(|name| kind.starts_with(name));
    [Some(device), lower]
        .into_iter()
        .flatten()
        .find(|path| {
            path.starts_with('/') && !(network || path.starts_with("//") && kind != "none")
        })
        .map(str::to_owned)
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
    let bound_path = match volumes.bound(name) {
        None => Some(String::new()),
        Some(path) if local => match super::mounts::resolve(scene.root, path) {
            Ok(path) => Some(path),
            Err((cause, detail)) => {
                gap("bound_path", cause, detail);
                None
            }
        },
        // On another machine nothing resolves its links.
        Some(path) => Some(path.to_owned()),
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn local_volumes_that_show_a_path_of_the_host_are_told() {
        let bound = |options: Value| bound_path(&json!({"Driver": "local", "Options": options}));
        assert_eq!(
            bound(json!({"type": "none", "o": "bind", "device": "/etc"})).as_deref(),
            Some("/etc")
        );
        assert_eq!(
            bound(json!({"type": "none", "o": "rbind", "device": "//etc"})).as_deref(),
            Some("//etc")
        );
        assert_eq!(
            bound(json!({"type": "ext4", "device": "/dev/sda1"})).as_deref(),
            Some("/dev/sda1")
        );
        let overlay = json!({"type": "overlay", "device": "overlay", "o": "lowerdir=/etc:/x,ro"});
        assert_eq!(bound(overlay).as_deref(), Some("/etc"));
        assert_eq!(bound(json!({"type": "nfs", "o": "addr=h", "device": ":/x"})), None);
        assert_eq!(bound(json!({"type": "nfs4", "device": "/x"})), None);
        assert_eq!(bound(json!({"type": "cifs", "device": "//h/x"})), None);
        assert_eq!(bound(json!({"type": "tmpfs", "device": "tmpfs"})), None);
        assert_eq!(bound(Value::Null), None);
        assert_eq!(bound_path(&json!({"Driver": "other", "Options": {"device": "/etc"}})), None);
    }
}
