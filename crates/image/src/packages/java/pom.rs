//! What a Maven project says about itself: `pom.properties` and `pom.xml`.
//!
//! Parents and repositories are not looked up: a version that is only there is not found.

use std::collections::BTreeMap;

use quick_xml::events::Event;

use super::identity::Artifact;

/// Elements in elements; a project needs four.
const DEPTH_MAX: usize = 64;
/// A name or version.
const TEXT_MAX: usize = 512;
/// `${a}` that stands for `${b}` …
const SUBSTITUTIONS_MAX: usize = 8;

/// Group, artifact and version from `pom.properties`.
pub(super) fn properties(text: &str) -> Option<Artifact> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(['=', ':'])?;
            (name.trim() == key).then(|| value.trim()).filter(|value| is_plain(value))
        })
    };
    Some(Artifact {
        group: value("groupId").map(str::to_owned),
        name: value("artifactId")?.to_owned(),
        version: value("version")?.to_owned(),
    })
}

/// Group, artifact and version from `pom.xml`, with what it inherits from the parent that it names and with its own
/// properties put in.
pub(super) fn project(xml: &str) -> Option<Artifact> {
    let values = values(xml);
    let get = |places: [&str; 2]| {
        let value = places.iter().find_map(|place| values.get(*place))?;
        resolved(value, &values)
    };
    Some(Artifact {
        group: get(["groupId", "parent/groupId"]),
        name: get(["artifactId", ""])?,
        version: get(["version", "parent/version"])?,
    })
}

/// Text by the path below `project`; of what is there twice, the first. A broken end keeps what came before.
fn values(xml: &str) -> BTreeMap<String, String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut stack: Vec<String> = Vec::new();
    let mut values = BTreeMap::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if stack.len() >= DEPTH_MAX {
                    return values;
                }
                stack.push(start.local_name().as_ref().to_owned());
            }
            Ok(Event::End(_)) => {
                stack.pop();
            }
            Ok(Event::Text(text)) => {
                let Some((root, path)) = stack.split_first() else { continue };
                let wanted = match path {
                    [name] => matches!(name.as_str(), "groupId" | "artifactId" | "version"),
                    [parent, _] => matches!(parent.as_str(), "parent" | "properties"),
                    _ => false,
                };
                let text = text.xml10_content();
                let text = text.trim();
                if root == "project" && wanted && !text.is_empty() && text.len() <= TEXT_MAX {
                    values.entry(path.join("/")).or_insert_with(|| text.to_owned());
                }
            }
            Ok(Event::Eof) | Err(_) => return values,
            Ok(_) => {}
        }
    }
}

/// With every `${name}` replaced; nothing if one is unknown.
fn resolved(value: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let mut text = value.to_owned();
    for _ in 0..SUBSTITUTIONS_MAX {
        let Some((before, rest)) = text.split_once("${") else {
            return Some(text).filter(|text| is_plain(text));
        };
        let (name, after) = rest.split_once('}')?;
        let own = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
        let value = match own {
            Some("parent.version") => values.get("parent/version"),
            Some("parent.groupId") => values.get("parent/groupId"),
            Some(own) => values.get(own).or_else(|| values.get(&format!("parent/{own}"))),
            None => values.get(&format!("properties/{name}")),
        }?;
        text = format!("{before}{value}{after}");
        if text.len() > TEXT_MAX {
            return None;
        }
    }
    None
}

fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= TEXT_MAX
        && !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !value.contains("${")
}
