//! What containers that share a network namespace (`--network container:db`, pods) have in common.
//!
//! The engine names networks only for the container that owns the namespace, and a published port may belong
//! to one container while another one listens. Both are told to all of them.

use std::collections::HashMap;

use haechi_core::facts::{Attachment, Container, Listener};
use haechi_core::finding::{Cause, SubjectKind};

use super::Scene;

/// Longest chain of `container:…` that is followed: the engine itself makes no loops.
const CHAIN_MAX: usize = 16;

/// Tells every container the networks and the listeners of those in its network namespace.
pub(super) fn link(scene: Scene<'_>, containers: &mut [Container]) {
    let owners = owners(containers);
    let found: Vec<_> = (0..containers.len())
        .map(|index| (networks(containers, &owners, index), listeners(containers, &owners, index)))
        .collect();
    for (container, (networks, listeners)) in containers.iter_mut().zip(found) {
        let id = container.id.clone().unwrap_or_default();
        let gap = |fact: &str, detail: String| {
            scene.gaps.record_for(SubjectKind::Container, &id, fact, Cause::Missing, detail);
        };
        match networks {
            Ok(Some(networks)) => container.networks = Some(networks),
            Ok(None) => {}
            Err(detail) => {
                container.networks = None;
                gap("networks", detail);
            }
        }
        match listeners {
            Ok(listeners) => container.joined_listeners = Some(listeners),
            Err(detail) => gap("joined_listeners", detail),
        }
    }
}

/// For each container, which one owns its network namespace.
fn owners(containers: &[Container]) -> Vec<Result<usize, String>> {
    let mut names = HashMap::new();
    for (index, container) in containers.iter().enumerate() {
        for name in [&container.name, &container.id].into_iter().flatten() {
            names.entry(name.as_str()).or_insert(index);
        }
    }
    let by_prefix = |id: &str| {
        let is = |c: &Container| c.id.as_deref().is_some_and(|full| full.starts_with(id));
        containers.iter().position(|c| id.len() >= 12 && is(c))
    };
    let owner = |index: usize| {
        let mut current = index;
        for _ in 0..CHAIN_MAX {
            let mode = containers.get(current).and_then(mode);
            let mode = mode.ok_or("whose network it shares is not known")?;
            let Some(other) = mode.strip_prefix("container:") else { return Ok(current) };
            let next = names.get(other).copied().or_else(|| by_prefix(other));
            current = next
                .ok_or_else(|| format!("it shares the network of `{other}`, which is not there"))?;
        }
        Err("the chain of containers whose network it shares does not end".to_owned())
    };
    (0..containers.len()).map(owner).collect()
}

fn mode(container: &Container) -> Option<&str> {
    container.host_config.as_ref()?.network_mode.as_deref()
}

/// The networks of the container whose namespace this one joins; `None` if it joins none.
fn networks(
    containers: &[Container],
    owners: &[Result<usize, String>],
    index: usize,
) -> Result<Option<Vec<Attachment>>, String> {
    let joins = containers.get(index).and_then(mode).is_some_and(|m| m.starts_with("container:"));
    if !joins {
        return Ok(None);
    }
    let unknown = || "the networks of the container that it joins are not known".to_owned();
    let owner = owners.get(index).cloned().ok_or_else(unknown)??;
    let owner = containers.get(owner).ok_or_else(unknown)?;
    let mut networks = owner.networks.clone().ok_or_else(unknown)?;
    // Before its first start the engine may not name the default bridge yet.
    if networks.is_empty() && matches!(mode(owner), Some("default" | "bridge")) {
        networks.push(Attachment { name: Some("bridge".into()), network_id: Some(String::new()) });
    }
    Ok(Some(networks))
}

/// The listeners of the others in the same namespace. The host's is nobody's pod.
fn listeners(
    containers: &[Container],
    owners: &[Result<usize, String>],
    index: usize,
) -> Result<Vec<Listener>, String> {
    let unknown = || "whose network it shares is not known".to_owned();
    let own = owners.get(index).cloned().ok_or_else(unknown)??;
    let mut listeners = Vec::new();
    if containers.get(own).and_then(mode) == Some("host") {
        return Ok(listeners);
    }
    for (other, (container, owner)) in containers.iter().zip(owners).enumerate() {
        if other == index || owner.as_ref().is_ok_and(|owner| *owner != own) {
            continue;
        }
        // One that stands alone cannot be told from one that joins: its configuration is not known.
        let found = owner.as_ref().ok().and(container.listeners.as_ref());
        let gone = mode(container).is_some() && owner.is_err();
        match found {
            Some(found) => listeners.extend(found.iter().cloned()),
            None if gone => {}
            None => return Err("the listeners of a container on its network are not known".into()),
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use haechi_core::facts::HostConfig;

    fn container(name: &str, network_mode: &str, network: &str, port: i64) -> Container {
        let listener = Listener { port: Some(port), ..Listener::default() };
        let attachment = Attachment { name: Some(network.into()), network_id: None };
        Container {
            id: Some(format!("{name}{}", "0".repeat(64 - name.len()))),
            name: Some(name.into()),
            host_config: Some(HostConfig {
                network_mode: Some(network_mode.into()),
                ..HostConfig::default()
            }),
            networks: Some(if network.is_empty() { Vec::new() } else { vec![attachment] }),
            listeners: Some(vec![listener]),
            ..Container::default()
        }
    }

    fn ports(containers: &[Container], index: usize) -> Result<Vec<i64>, String> {
        let found = listeners(containers, &owners(containers), index)?;
        Ok(found.iter().filter_map(|listener| listener.port).collect())
    }

    fn names(containers: &[Container], index: usize) -> Result<Option<Vec<String>>, String> {
        let found = networks(containers, &owners(containers), index)?;
        Ok(found.map(|all| all.into_iter().filter_map(|network| network.name).collect()))
    }

    #[test]
    fn those_that_join_a_network_have_its_networks_and_its_listeners() {
        let all = [
            container("infra", "bridge", "bridge", 1),
            container("app", "container:infra", "", 2),
            container("side", "container:app", "", 3),
            container("alone", "net", "net", 4),
            container("lost", "container:gone", "", 5),
            container("new", "default", "", 6),
            container("late", "container:new", "", 7),
        ];
        assert_eq!(ports(&all, 0), Ok(vec![2, 3]));
        assert_eq!(ports(&all, 2), Ok(vec![1, 2]));
        assert_eq!(ports(&all, 3), Ok(Vec::new()));
        assert!(ports(&all, 4).is_err());
        let bridge = || Ok(Some(vec!["bridge".to_owned()]));
        assert_eq!(names(&all, 0), Ok(None));
        assert_eq!(names(&all, 2), bridge());
        assert!(names(&all, 4).is_err());
        assert_eq!(names(&all, 6), bridge());
    }

    #[test]
    fn what_was_not_inspected_may_be_anywhere() {
        let all = [container("a", "net", "net", 1), Container::default()];
        assert!(ports(&all, 0).is_err());
        assert!(ports(&all, 1).is_err());
    }
}
