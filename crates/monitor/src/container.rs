//! Which container an event belongs to. The kernel tells the id, the engine the rest, and that may come later.

use std::collections::BTreeMap;

use foldhash::HashMap;
use haechi_facts::redact;

/// Containers that are remembered after their end, for events that are still on their way.
const ENDED_MAX: usize = 4096;

/// What is known about a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Full id, as in the name of its control group.
    pub id: String,
    /// Name without the leading slash; empty until the engine told.
    pub name: String,
    /// The reference that it was created from, as typed.
    pub image: String,
    /// Id of the image.
    pub image_id: String,
    /// Entry point and arguments that it was made with, secrets redacted.
    pub command: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Mounts, as `source:destination:mode`.
    pub mounts: Vec<String>,
    /// When it was started, in nanoseconds since the machine started; 0 if unknown.
    pub started: u64,
    /// Path of its control group below the root of the hierarchy.
    pub path: String,
    /// Whether it has the host's network.
    pub host_network: bool,
    /// Folder on the host where its file system is mounted; empty if the engine does not say.
    pub merged: String,
    /// Whether it has a health check.
    pub has_health_check: bool,
}

impl Container {
    /// From what the engine answers to `GET /containers/ID/json`; absent fields stay empty.
    pub fn from_inspect(told: &serde_json::Value) -> Self {
        let text = |path: &str| {
            told.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let labels = told.pointer("/Config/Labels").and_then(serde_json::Value::as_object);
        let labels = labels.into_iter().flatten();
        let labels =
            labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.into())));
        let mounts = told.pointer("/Mounts").and_then(serde_json::Value::as_array);
        let mount = |mount: &serde_json::Value| {
            let word = |key: &str| mount.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
            let write = mount.get("RW").and_then(serde_json::Value::as_bool) != Some(false);
            let mode = if write { "rw" } else { "ro" };
            format!("{}:{}:{mode}", word("Source"), word("Destination"))
        };
        Self {
            id: text("/Id"),
            name: text("/Name").trim_start_matches('/').to_owned(),
            image: text("/Config/Image"),
            image_id: text("/Image"),
            command: command(told),
            labels: labels.collect(),
            privileged: told.pointer("/HostConfig/Privileged").and_then(serde_json::Value::as_bool)
                == Some(true),
            mounts: mounts.into_iter().flatten().map(mount).collect(),
            started: 0,
            path: String::new(),
            merged: text("/GraphDriver/Data/MergedDir"),
            host_network: text("/HostConfig/NetworkMode") == "host",
            has_health_check: has_health_check(told),
        }
    }

    /// The first twelve characters of the id, as the engine's lists show them.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// The image's repository, without tag and digest.
    pub fn repository(&self) -> &str {
        let name = self.image.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            // A port belongs to a registry and has a path after it.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }

    /// The image's tag; empty if it has none.
    pub fn tag(&self) -> &str {
        let name = self.image.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((_, tag)) if !tag.contains('/') => tag,
            _ => "",
        }
    }

    /// Namespace and name of the Kubernetes pod that it belongs to.
    pub fn pod(&self) -> Option<(&str, &str)> {
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        Some((label("io.kubernetes.pod.namespace")?, label("io.kubernetes.pod.name")?))
    }
}

/// Whether the engine runs a command now and then to see how it is; `NONE` takes that of the image away.
fn has_health_check(told: &serde_json::Value) -> bool {
    let test = told.pointer("/Config/Healthcheck/Test").and_then(serde_json::Value::as_array);
    let first = test.and_then(|words| words.first()).and_then(serde_json::Value::as_str);
    first.is_some_and(|first| first != "NONE")
}

/// `Path` and `Args` of an inspected container: what it was made to run, secrets redacted.
fn command(told: &serde_json::Value) -> Vec<String> {
    let arguments = told.pointer("/Args").and_then(serde_json::Value::as_array);
    let all = told.pointer("/Path").into_iter().chain(arguments.into_iter().flatten());
    let words: Vec<String> = all.filter_map(|word| word.as_str().map(str::to_owned)).collect();
    redact::arguments(&words)
}

/// All containers, by control group.
#[derive(Debug, Default)]
pub struct Containers {
    by_cgroup: HashMap<u64, Container>,
    /// Control groups that are gone, oldest first.
    ended: std::collections::VecDeque<u64>,
}

impl Containers {
    /// A container's control group was made, or was there at the start.
    pub fn begin(&mut self, cgroup: u64, id: &str, path: &str, at: u64) {
        let container = self.by_cgroup.entry(cgroup).or_default();
        if container.id != id {
            *container = Container {
                id: id.to_owned(),
                path: path.to_owned(),
                started: at,
                ..Container::default()
            };
        }
    }

    /// A group that was made inside a container is that container, whatever it is called.
    pub fn inside(&mut self, cgroup: u64, outer: u64) {
        let known = self.by_cgroup.get(&outer).cloned().unwrap_or_default();
        self.by_cgroup.insert(cgroup, known);
    }

    /// Its control group is gone.
    pub fn end(&mut self, cgroup: u64) {
        self.ended.push_back(cgroup);
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.by_cgroup.remove(&oldest);
        }
    }

    /// What the engine says about the container with this id.
    pub fn learn(&mut self, told: &Container) {
        for known in self.by_cgroup.values_mut().filter(|known| known.id == told.id) {
            let (started, path) = (known.started, std::mem::take(&mut known.path));
            *known = Container { started, path, ..told.clone() };
        }
    }

    /// The container of a control group.
    pub fn get(&self, cgroup: u64) -> Option<&Container> {
        self.by_cgroup.get(&cgroup)
    }

    /// Ids of containers about which the engine has not told yet.
    pub fn unnamed(&self) -> Vec<String> {
        let unnamed = self.by_cgroup.values().filter(|container| container.name.is_empty());
        unnamed.map(|container| container.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (image, repository, tag) in [
            ("nginx", "nginx", ""),
            ("nginx:1.27", "nginx", "1.27"),
            ("registry.site:5000/team/app", "registry.site:5000/team/app", ""),
            ("registry.site:5000/team/app:2@sha256:ab", "registry.site:5000/team/app", "2"),
        ] {
            let container = Container { image: image.into(), ..Container::default() };
            assert_eq!((container.repository(), container.tag()), (repository, tag), "{image}");
        }
    }

    #[test]
    fn what_the_engine_answers() {
        let told = serde_json::json!({
            "Id": "abc", "Name": "/web", "Image": "sha256:1",
            "Config": {"Image": "nginx:1", "Labels": {"a": "b"}},
            "HostConfig": {"Privileged": true},
            "Mounts": [{"Source": "/srv", "Destination": "/data", "RW": false}],
        });
        let container = Container::from_inspect(&told);
        assert_eq!((container.name.as_str(), container.privileged), ("web", true));
        assert_eq!(container.mounts, ["/srv:/data:ro"]);
        assert_eq!(Container::from_inspect(&serde_json::json!([])), Container::default());
    }

    #[test]
    fn what_the_engine_tells_later_is_kept_with_the_start() {
        let mut containers = Containers::default();
        containers.begin(7, "abc", "/docker/abc", 5);
        assert_eq!(containers.unnamed(), ["abc"]);
        containers.learn(&Container {
            id: "abc".into(),
            name: "web".into(),
            ..Container::default()
        });
        assert_eq!(containers.get(7).map(|c| (c.name.as_str(), c.started)), Some(("web", 5)));
        assert!(containers.unnamed().is_empty());
        containers.inside(8, 7);
        containers.learn(&Container {
            id: "abc".into(),
            name: "later".into(),
            ..Container::default()
        });
        assert_eq!(containers.get(8).map(|c| c.name.as_str()), Some("later"));
        containers.end(7);
        assert!(containers.get(7).is_some(), "events may still be on their way");
    }
}
