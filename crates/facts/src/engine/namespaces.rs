//! Which namespaces of the host a container shares in the end.
//!
//! The configuration names another container (`--network container:db`), and that one may be on the host's
//! network: such chains are followed. For a container that runs here the kernel has the last word. Whether
//! sharing is wrong is not decided here.

use std::collections::HashMap;
use std::fs;

use haechi_core::facts::{Container, HostConfig};
use haechi_core::finding::{Cause, SubjectKind};

use super::Scene;

/// Longest chain of `container:…` that is followed: the engine itself makes no loops.
const CHAIN_MAX: usize = 16;

/// A namespace: its name in facts, its file below /proc/PID/ns, and the option that sets it.
type Kind = (&'static str, &'static str, fn(&HostConfig) -> Option<&String>);

const KINDS: [Kind; 4] = [
    ("ipc", "ipc", |config| config.ipc_mode.as_ref()),
    ("network", "net", |config| config.network_mode.as_ref()),
    ("pid", "pid", |config| config.pid_mode.as_ref()),
    ("uts", "uts", |config| config.uts_mode.as_ref()),
];

/// Tells every container which namespaces of the host it shares.
pub(super) fn link(scene: Scene<'_>, local: bool, containers: &mut [Container]) {
    let shared: Vec<Result<Vec<String>, String>> = {
        let names = names(containers);
        containers
            .iter()
            .map(|container| shared(scene, local, containers, &names, container))
            .collect()
    };
    for (container, shared) in containers.iter_mut().zip(shared) {
        match shared {
            Ok(shared) => container.host_namespaces = Some(shared),
            Err(detail) => {
                let id = container.id.clone().unwrap_or_default();
                let (kind, fact) = (SubjectKind::Container, "host_namespaces");
                scene.gaps.record_for(kind, &id, fact, Cause::Missing, detail);
            }
        }
    }
}

fn shared(
    scene: Scene<'_>,
    local: bool,
    containers: &[Container],
    names: &HashMap<&str, usize>,
    container: &Container,
) -> Result<Vec<String>, String> {
    let mut shared = Vec::new();
    for (name, file, mode) in KINDS {
        if configured(containers, names, container, mode)
            .map_err(|why| format!("whose {name} namespace it shares is not known: {why}"))?
            || (local && same_as_host(scene, container, file))
        {
            shared.push(name.to_owned());
        }
    }
    Ok(shared)
}

/// Whether the configuration leads to the host.
fn configured(
    containers: &[Container],
    names: &HashMap<&str, usize>,
    container: &Container,
    mode: fn(&HostConfig) -> Option<&String>,
) -> Result<bool, String> {
    let mut current = container;
    for _ in 0..CHAIN_MAX {
        let mode = current.host_config.as_ref().and_then(mode).ok_or("it was not inspected")?;
        let Some(other) = mode.strip_prefix("container:") else {
            return Ok(mode == "host");
        };
        let found = names.get(other).copied().or_else(|| by_prefix(containers, other));
        current = found
            .and_then(|index| containers.get(index))
            .ok_or_else(|| format!("there is no container `{other}`"))?;
    }
    Err("the chain of containers does not end".into())
}

fn names(containers: &[Container]) -> HashMap<&str, usize> {
    let mut names = HashMap::new();
    for (index, container) in containers.iter().enumerate() {
        for name in [&container.name, &container.id].into_iter().flatten() {
            names.entry(name.as_str()).or_insert(index);
        }
    }
    names
}

fn by_prefix(containers: &[Container], id: &str) -> Option<usize> {
    if id.len() < 12 {
        return None;
    }
    containers.iter().position(|c| c.id.as_deref().is_some_and(|full| full.starts_with(id)))
}

/// Whether the kernel says that a running container is in the namespace of process 1.
fn same_as_host(scene: Scene<'_>, container: &Container, file: &str) -> bool {
    let state = container.state.as_ref();
    let pid = state.filter(|state| state.running == Some(true)).and_then(|state| state.pid);
    let Some(pid) = pid.filter(|pid| *pid > 0) else { return false };
    let link = |pid: i64| fs::read_link(scene.root.proc(&format!("{pid}/ns/{file}"))).ok();
    // Unreadable says nothing; the configuration alone decides then.
    link(pid).is_some_and(|own| link(1).is_some_and(|host| own == host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, network_mode: &str) -> Container {
        Container {
            id: Some(format!("{name}{}", "0".repeat(64 - name.len()))),
            name: Some(name.into()),
            host_config: Some(HostConfig {
                network_mode: Some(network_mode.into()),
                ..HostConfig::default()
            }),
            ..Container::default()
        }
    }

    fn network(containers: &[Container], index: usize) -> Result<bool, String> {
        configured(containers, &names(containers), &containers[index], |c| c.network_mode.as_ref())
    }

    #[test]
    fn chains_of_containers_are_followed_to_the_host() {
        let all = [
            container("a", "container:b"),
            container("b", &format!("container:c{}", "0".repeat(63))),
            container("c", "host"),
            container("d", "container:e"),
            container("e", "bridge"),
            container("f", "container:gone"),
            container("g", "container:g"),
        ];
        assert_eq!(network(&all, 0), Ok(true));
        assert_eq!(network(&all, 1), Ok(true));
        assert_eq!(network(&all, 3), Ok(false));
        assert!(network(&all, 5).is_err());
        assert!(network(&all, 6).is_err());
    }
}
