//! Networks: driver, reach, and what protects the traffic.
//!
//! Each is inspected for its options and, through the containers' own answers, for who is in it.

use haechi_core::facts::{Network, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::json::{Absent, Reader, text_at};
use super::{Call, Scene};

/// An item of the engine's list, and its inspect.
pub(super) type Answer = (Value, Result<Value, super::ApiError>);

/// Lists and inspects the networks.
pub(super) async fn ask(
    scene: Scene<'_>,
    list: Result<Value, super::ApiError>,
) -> Option<Vec<Answer>> {
    let list = super::items(scene.gaps, SubjectKind::Network, list, "")?;
    let ids: Vec<String> = list.iter().map(|item| text_at(item, "Id").to_owned()).collect();
    let answers = super::ask_each(scene.api, &ids, Call::Network).await;
    Some(list.into_iter().zip(answers).collect())
}

/// Makes facts of the answers, sorted by name.
pub(super) fn build(scene: Scene<'_>, answers: &[Answer]) -> Vec<Network> {
    let mut networks: Vec<Network> = answers
        .iter()
        .filter_map(|(item, answer)| match answer {
            Ok(inspect) => Some(network(scene, inspect, true)),
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                use crate::gaps::Observed;
                let id = text_at(item, "Id");
                let detail = error.to_string();
                let cause = error.gap_cause();
                scene.gaps.record_for(SubjectKind::Network, id, "containers", cause, detail);
                // The list says everything but who is in it.
                Some(network(scene, item, false))
            }
        })
        .collect();
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    networks
}

fn network(scene: Scene<'_>, value: &Value, inspected: bool) -> Network {
    let id = text_at(value, "Id");
    let reader = Reader::new(value, scene.gaps, SubjectKind::Network, id);
    let name = reader.text("Name", "name", Absent::Unknown);
    let driver = reader.text("Driver", "driver", Absent::Unknown);
    let options = match reader.at("Options") {
        None => Some(Value::Null),
        Some(options) if options.is_object() => Some(options.clone()),
        Some(_) => {
            for fact in ["default_bridge", "icc", "encrypted"] {
                reader.gap(fact, Cause::Missing, "the network's options are malformed");
            }
            None
        }
    };
    let option = |name: &str| {
        // The names have dots, so they are no paths.
        options.as_ref().map(|options| options.get(name).and_then(Value::as_str).map(str::to_owned))
    };
    let default_bridge = option("com.docker.network.bridge.default_bridge").map(|value| {
        value.as_deref() == Some("true")
            || (name.as_deref() == Some("bridge") && driver.as_deref() == Some("bridge"))
    });
    // Attached containers that only the network knows of, such as those of a swarm's other nodes.
    let attached = value.get("Containers").and_then(Value::as_object).map(|containers| {
        let mut names: Vec<String> = containers
            .values()
            .map(|container| text_at(container, "Name").to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        names.sort();
        names
    });
    Network {
        id: Some(id.to_owned()),
        scope: reader.text("Scope", "scope", Absent::Unknown),
        default_bridge,
        icc: option("com.docker.network.bridge.enable_icc")
            .map(|value| !value.is_some_and(|value| is_no(&value))),
        encrypted: option("encrypted").map(|value| value.is_some_and(|value| !is_no(&value))),
        internal: reader.bool("Internal", "internal", Absent::Unknown),
        containers: if inspected { Some(attached.unwrap_or_default()) } else { None },
        name,
        driver,
    }
}

/// Whether a driver takes an option's text as no, as Go's `ParseBool` does.
fn is_no(text: &str) -> bool {
    matches!(text, "0" | "f" | "F" | "false" | "False" | "FALSE")
}

/// Adds the containers that say themselves that they are attached: an engine lists only running ones.
pub(super) fn link(snapshot: &mut Snapshot) {
    let (Some(networks), Some(containers)) = (&mut snapshot.networks, &snapshot.containers) else {
        return;
    };
    for network in networks {
        let Some(names) = &mut network.containers else { continue };
        for container in containers {
            let attached = container.networks.iter().flatten().any(|attachment| {
                let known = attachment.network_id.as_ref().filter(|id| !id.is_empty());
                match known {
                    Some(id) => Some(id) == network.id.as_ref(),
                    None => attachment.name == network.name,
                }
            });
            if let Some(name) = container.name.as_ref().filter(|_| attached)
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaps::Gaps;
    use serde_json::json;

    #[test]
    fn options_of_networks_are_read_as_the_drivers_do() {
        let gaps = Gaps::default();
        let api = crate::engine::api::tests::Recorded::default();
        let options = crate::engine::tests::options();
        let root = crate::root::Root::new(std::path::Path::new("/"));
        let scene = Scene { api: &api, options: &options, root: &root, gaps: &gaps };
        let read = |driver: &str, options: Value| {
            let value = json!({"Id": "n", "Name": "x", "Driver": driver, "Scope": "local",
                "Internal": false, "Options": options});
            network(scene, &value, true)
        };
        let icc = |value: &str| {
            read("bridge", json!({"com.docker.network.bridge.enable_icc": value})).icc
        };
        assert_eq!(icc("false"), Some(false));
        assert_eq!(icc("0"), Some(false));
        assert_eq!(icc("true"), Some(true));
        assert_eq!(read("bridge", Value::Null).icc, Some(true));
        assert_eq!(read("overlay", json!({"encrypted": ""})).encrypted, Some(true));
        assert_eq!(read("overlay", json!({"encrypted": "false"})).encrypted, Some(false));
        assert_eq!(read("overlay", json!({})).encrypted, Some(false));
        assert_eq!(read("overlay", json!([])).encrypted, None);
    }
}
