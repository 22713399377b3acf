//! Lock files of NuGet, and the lists of versions that MSBuild projects share.

use std::collections::HashMap;

use serde_json::Value;

use super::Lock;
use super::xml::{Step, walk};
use crate::packages::node::json_members;
use crate::reader::Unread;

/// `packages.lock.json`: for each target framework its packages.
pub(super) fn packages_lock(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json_members(content, &["dependencies"])?;
    let targets = root.get("dependencies").and_then(Value::as_object);
    let targets = targets.ok_or_else(|| Unread("it has no dependencies".to_owned()))?;
    for (name, entry) in targets.values().filter_map(Value::as_object).flatten() {
        let string = |member: &str| entry.get(member).and_then(Value::as_str).unwrap_or_default();
        if !string("type").eq_ignore_ascii_case("project") {
            lock.add(name, string("resolved"));
        }
    }
    Ok(())
}

/// `project.assets.json`, which a restore leaves in `obj`.
pub(super) fn project_assets(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json_members(content, &["libraries"])?;
    let libraries = root.get("libraries").and_then(Value::as_object);
    for (library, entry) in libraries.ok_or_else(|| Unread("it has no libraries".to_owned()))? {
        if entry.get("type").and_then(Value::as_str) == Some("package") {
            let (name, version) = library.split_once('/').unwrap_or((library, ""));
            lock.add(name, version);
        }
    }
    Ok(())
}

/// Bytes of a property that is a version; many could refer to one long value.
const PROPERTY_MAX: usize = 200;

fn attribute<'a>(attributes: &'a [(String, String)], wanted: &str) -> &'a str {
    let found = attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map_or("", |(_, value)| value.as_str())
}

/// `packages.config`: `<package id="…" version="…"/>`.
pub(super) fn packages_config(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    walk(content, |path, step| {
        let ([_, element], Step::Start(attributes)) = (path, step) else { return };
        if element == "package"
            && !attribute(attributes, "developmentDependency").eq_ignore_ascii_case("true")
        {
            lock.add(attribute(attributes, "id"), attribute(attributes, "version"));
        }
    })
}

/// `Directory.Packages.props`: `<PackageVersion Include="…" Version="…"/>`, with properties of the same file.
pub(super) fn packages_props(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let mut properties: HashMap<String, String> = HashMap::new();
    let mut stated: Vec<(String, String)> = Vec::new();
    let result = walk(content, |path, step| match (path, step) {
        ([_, group, property], Step::Text(text))
            if group == "PropertyGroup" && text.len() <= PROPERTY_MAX =>
        {
            properties.insert(property.to_lowercase(), text.to_owned());
        }
        ([_, _, item], Step::Start(attributes)) if is_item(item) => {
            let include = attribute(attributes, "Include");
            let name = if include.is_empty() { attribute(attributes, "Update") } else { include };
            stated.push((name.to_owned(), attribute(attributes, "Version").to_owned()));
        }
        ([_, _, item, field], Step::Text(text)) if is_item(item) && field == "Version" => {
            if let Some((_, version)) = stated.last_mut() {
                text.clone_into(version);
            }
        }
        _ => {}
    });
    for (name, version) in stated {
        let property = version.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
        let version = match property {
            Some(property) => properties.get(&property.to_lowercase()).cloned().unwrap_or(version),
            None => version,
        };
        let exact = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let version = exact.unwrap_or(&version);
        if version.contains(['$', '*', ',', '[', '(']) {
            lock.tell(&format!("{name} has no exact version: `{version}`"));
        } else {
            lock.add(&name, version);
        }
    }
    result
}

fn is_item(element: &str) -> bool {
    matches!(element, "PackageVersion" | "PackageReference" | "GlobalPackageReference")
}
