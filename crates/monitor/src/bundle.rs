//! Names of containers that no Docker Engine knows, from what their runtimes leave on disk: containerd's and CRI-O's
//! bundles (OCI runtime specification, `config.json`), and Podman's list of containers.
//!
//! Reads files below one root and asks nobody. What these files say is the runtime's word; annotations that an image or
//! a user may set are only used for names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::container::Container;

/// A larger file is none of these: a bundle is about 20 kB, a list of 10,000 containers 5 MB.
const SIZE_MAX: u64 = 64 << 20;
/// Where containerd keeps bundles, by namespace; and CRI-O and Podman theirs, by container.
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";
const STORAGE: [&str; 2] =
    ["var/lib/containers/storage/overlay-containers", "run/containers/storage/overlay-containers"];

/// What annotations are called, the first that is there counts.
const NAMES: [&str; 3] =
    ["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"];
const IMAGES: [&str; 3] =
    ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image"];
const PODS: [(&str, &str); 2] = [
    ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
    ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
];

/// A container in Podman's list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    metadata: String,
}

/// What is on disk about the container with this id.
pub fn find(root: &Path, id: &str) -> Option<Container> {
    let bundle = bundles(root, id).into_iter().find_map(|path| read::<Value>(&path));
    let listed = STORAGE.iter().find_map(|at| {
        let all: Vec<Listed> = read(&root.join(at).join("containers.json"))?;
        all.into_iter().find(|one| one.id == id)
    });
    if bundle.is_none() && listed.is_none() {
        return None;
    }
    let mut container = bundle.as_ref().map(of_bundle).unwrap_or_default();
    container.id = id.to_owned();
    if let Some(listed) = listed {
        let metadata: Value = serde_json::from_str(&listed.metadata).unwrap_or_default();
        let word = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(name) = listed.names.into_iter().next() {
            container.name = name;
        }
        word("image-name").clone_into(&mut container.image);
        word("image-id").clone_into(&mut container.image_id);
    }
    if container.name.is_empty() {
        // A name all the same, so that nobody waits for one: what every tool shows.
        id.get(..12)?.clone_into(&mut container.name);
    }
    Some(container)
}

fn bundles(root: &Path, id: &str) -> Vec<PathBuf> {
    let spaces = fs::read_dir(root.join(CONTAINERD)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = spaces.map(|space| space.path().join(id)).collect();
    paths.extend(STORAGE.iter().map(|at| root.join(at).join(id).join("userdata")));
    paths.into_iter().map(|path| path.join("config.json")).collect()
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(SIZE_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn of_bundle(bundle: &Value) -> Container {
    let annotations: BTreeMap<String, String> = bundle
        .get("annotations")
        .and_then(|all| BTreeMap::deserialize(all).ok())
        .unwrap_or_default();
    let first = |names: &[&str]| {
        names.iter().find_map(|name| annotations.get(*name)).cloned().unwrap_or_default()
    };
    let list = |path: &str| bundle.pointer(path).and_then(Value::as_array);
    let capabilities = list("/process/capabilities/effective").into_iter().flatten();
    // What `--privileged` means, in the words of the specification: nothing is masked, and everything is allowed.
    let unmasked = list("/linux/maskedPaths").is_none_or(Vec::is_empty);
    let privileged =
        unmasked && capabilities.filter_map(Value::as_str).any(|c| c == "CAP_SYS_ADMIN");
    let namespaces = list("/linux/namespaces").into_iter().flatten();
    let own_network =
        namespaces.filter_map(|space| space.get("type")?.as_str()).any(|kind| kind == "network");
    let mount = |mount: &Value| {
        let word = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
        let options = mount.get("options").and_then(Value::as_array);
        let read_only = options.into_iter().flatten().any(|option| option == "ro");
        let mode = if read_only { "ro" } else { "rw" };
        format!("{}:{}:{mode}", word("source"), word("destination"))
    };
    let is_bind = |mount: &&Value| mount.get("type").and_then(Value::as_str) == Some("bind");
    let mounts = list("/mounts").into_iter().flatten().filter(is_bind).map(mount).collect();
    let merged = bundle.pointer("/root/path").and_then(Value::as_str).unwrap_or_default();
    let mut labels = annotations.clone();
    for (annotation, label) in PODS {
        if let Some(value) = annotations.get(annotation) {
            labels.insert(label.to_owned(), value.clone());
        }
    }
    Container {
        name: first(&NAMES),
        image: first(&IMAGES),
        labels,
        privileged,
        mounts,
        host_network: !own_network,
        merged: if merged.starts_with('/') { merged.to_owned() } else { String::new() },
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, value: &Value) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }

    #[test]
    fn a_pod_of_containerd() {
        let root = tempfile::tempdir().unwrap();
        let id = "ab".repeat(32);
        let bundle = serde_json::json!({
            "annotations": {
                "io.kubernetes.cri.container-name": "app",
                "io.kubernetes.cri.image-name": "registry.site/app:1",
                "io.kubernetes.cri.sandbox-name": "web-0",
                "io.kubernetes.cri.sandbox-namespace": "shop",
            },
            "root": {"path": "rootfs"},
            "process": {"capabilities": {"effective": ["CAP_SYS_ADMIN"]}},
            "linux": {"namespaces": [{"type": "network"}], "maskedPaths": []},
            "mounts": [{"type": "bind", "source": "/etc", "destination": "/host", "options": ["rbind", "ro"]},
                       {"type": "proc", "source": "proc", "destination": "/proc"}],
        });
        put(root.path(), &format!("{CONTAINERD}/k8s.io/{id}/config.json"), &bundle);
        let found = find(root.path(), &id).unwrap();
        assert_eq!((found.name.as_str(), found.image.as_str()), ("app", "registry.site/app:1"));
        assert_eq!(found.pod(), Some(("shop", "web-0")));
        assert_eq!(found.mounts, ["/etc:/host:ro"]);
        assert!(found.privileged && !found.host_network && found.merged.is_empty());
    }

    #[test]
    fn a_container_of_podman() {
        let root = tempfile::tempdir().unwrap();
        let id = "cd".repeat(32);
        let list = serde_json::json!([{
            "id": id, "names": ["web"],
            "metadata": r#"{"image-name": "localhost/web:1", "image-id": "123"}"#,
        }]);
        put(root.path(), &format!("{}/containers.json", STORAGE[0]), &list);
        let found = find(root.path(), &id).unwrap();
        assert_eq!((found.name.as_str(), found.image.as_str()), ("web", "localhost/web:1"));
        assert_eq!(find(root.path(), &"ef".repeat(32)), None);
    }

    #[test]
    fn what_is_broken_names_nothing() {
        let root = tempfile::tempdir().unwrap();
        let id = "ab".repeat(32);
        for text in ["", "[", "[1]", "{\"annotations\": 7}"] {
            let path = root.path().join(STORAGE[0]).join(&id).join("userdata/config.json");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            if let Some(found) = find(root.path(), &id) {
                assert_eq!(found.name, id[..12]);
            }
        }
    }
}
