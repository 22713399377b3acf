//! `pom.xml`: direct dependencies whose version is written in the same file, also as a property or in
//! `dependencyManagement`. What a parent or an imported file decides is told as unread. Scope `test` is left out.

use std::collections::HashMap;

use super::Lock;
use super::xml::{Step, walk};
use crate::reader::Unread;

/// How often properties are replaced by their values, which may name properties again.
const ROUNDS: usize = 8;
/// Bytes of a value after that; group, artifact and version are far shorter.
const VALUE_MAX: usize = 1000;

/// Fields of one dependency.
#[derive(Debug, Default)]
struct Dependency {
    group: String,
    artifact: String,
    version: String,
    scope: String,
}

/// Reads `pom.xml` (<https://maven.apache.org/pom.html>).
pub(super) fn pom(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let mut properties: HashMap<String, String> = HashMap::new();
    let mut direct: Vec<Dependency> = Vec::new();
    let mut managed: Vec<Dependency> = Vec::new();
    let mut current = Dependency::default();
    let mut is_project = false;
    let result = walk(content, |path, step| {
        let mut names = [""; 7];
        for (slot, name) in names.iter_mut().zip(path) {
            *slot = name;
        }
        is_project |= names.starts_with(&["project"]);
        // The path below `project`, or below one of its profiles.
        let inner = match path.len() {
            0..=7 => names.get(1..path.len()).unwrap_or_default(),
            _ => return,
        };
        let inner = match inner {
            ["profiles", "profile", rest @ ..] => rest,
            all => all,
        };
        match (inner, step) {
            (["properties", name], Step::Text(text)) => {
                properties.insert((*name).to_owned(), text.to_owned());
            }
            (["groupId" | "version" | "artifactId"], Step::Text(text)) => {
                let name = inner.first().copied().unwrap_or_default();
                properties.insert(format!("project.{name}"), text.to_owned());
            }
            (["parent", name @ ("groupId" | "version")], Step::Text(text)) => {
                properties.insert(format!("project.parent.{name}"), text.to_owned());
                // Inherited unless the project has its own.
                properties.entry(format!("project.{name}")).or_insert_with(|| text.to_owned());
            }
            (
                ["dependencies", "dependency"]
                | ["dependencyManagement", "dependencies", "dependency"],
                Step::Start(_),
            ) => current = Dependency::default(),
            (["dependencies", "dependency"], Step::End) => {
                direct.push(std::mem::take(&mut current))
            }
            (["dependencyManagement", "dependencies", "dependency"], Step::End) => {
                managed.push(std::mem::take(&mut current));
            }
            (
                ["dependencies", "dependency", field]
                | ["dependencyManagement", "dependencies", "dependency", field],
                Step::Text(text),
            ) => match *field {
                "groupId" => text.clone_into(&mut current.group),
                "artifactId" => text.clone_into(&mut current.artifact),
                "version" => text.clone_into(&mut current.version),
                "scope" => text.clone_into(&mut current.scope),
                _ => {}
            },
            _ => {}
        }
    });
    if !is_project {
        return result.and(Err(Unread("it has no <project>".to_owned())));
    }
    let name = |dependency: &Dependency| {
        let group = value(&dependency.group, &properties);
        format!("{group}:{}", value(&dependency.artifact, &properties))
    };
    let versions: HashMap<String, &Dependency> =
        managed.iter().map(|dependency| (name(dependency), dependency)).collect();
    for dependency in &direct {
        let name = name(dependency);
        let rule = versions.get(&name);
        let or_managed = |own: &str, of: fn(&Dependency) -> &String| match rule {
            Some(rule) if own.is_empty() => value(of(rule), &properties),
            _ => value(own, &properties),
        };
        if or_managed(&dependency.scope, |rule| &rule.scope) == "test" {
            continue;
        }
        let version = or_managed(&dependency.version, |rule| &rule.version);
        let exact = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let version = exact.unwrap_or(&version);
        if version.is_empty() || version.contains(['$', ',', '[', '(']) || name.contains('$') {
            lock.tell(&format!("the version of {name} is not decided here: `{version}`"));
        } else {
            lock.add(&name, version);
        }
    }
    result
}

/// A value with `${property}` replaced, as far as it is known.
fn value(text: &str, properties: &HashMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        let mut out = String::new();
        let mut rest = text.as_str();
        let mut changed = false;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            out.push_str(before);
            let known = properties.get(name).or_else(|| {
                let short = name.strip_prefix("pom.").unwrap_or(name);
                properties.get(&format!("project.{short}"))
            });
            match known {
                // Checked before it is copied: many could refer to one long value.
                Some(value) if out.len().saturating_add(value.len()) > VALUE_MAX => return text,
                Some(value) => {
                    out.push_str(value);
                    changed = true;
                }
                None => {
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = after;
        }
        out.push_str(rest);
        if !changed {
            return out;
        }
        text = out;
    }
    text
}
