//! Lock files of Cargo, Bundler, Composer, Gradle and sbt.

use serde_json::Value as Json;
use toml::Value;

use super::python::toml;
use super::{Lock, text};
use crate::packages::node::json_members;
use crate::packages::php::composer_package;
use crate::reader::Unread;

/// `Cargo.lock`. A package without source is part of the project itself.
pub(super) fn cargo(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = toml(content)?;
    let list = root.get("package").and_then(Value::as_array);
    for entry in list.into_iter().flatten() {
        let string = |member: &str| entry.get(member).and_then(Value::as_str).unwrap_or_default();
        if entry.get("source").is_some() {
            lock.add(string("name"), string("version"));
        }
    }
    Ok(())
}

/// `Gemfile.lock`: sections, in them `specs:` with gems indented by four spaces: `name (1.0-x86_64-linux)`.
pub(super) fn gemfile(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let text = text(content);
    let (mut section, mut any) = (String::new(), false);
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            // Also conflict markers and anything else without indentation.
            line.clone_into(&mut section);
            any |= matches!(line, "GEM" | "GIT" | "PATH" | "PLUGIN SOURCE" | "DEPENDENCIES");
            continue;
        }
        // PATH is a folder of the project.
        if !matches!(section.as_str(), "GEM" | "GIT" | "PLUGIN SOURCE") {
            continue;
        }
        let Some(spec) = line.strip_prefix("    ").filter(|spec| !spec.starts_with(' ')) else {
            continue;
        };
        match spec.strip_suffix(')').and_then(|spec| spec.split_once(" (")) {
            // A version has no dash; after it comes the platform.
            Some((name, version)) => lock.add(name, version.split('-').next().unwrap_or_default()),
            None => lock.tell(&format!("`{spec}` has no version")),
        }
    }
    if any { Ok(()) } else { Err(Unread("it has no section that is known".to_owned())) }
}

/// `composer.lock`: `packages`, and `packages-dev`, which is left out.
pub(super) fn composer(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json_members(content, &["packages"])?;
    let list = root.get("packages").and_then(Json::as_array);
    for entry in list.ok_or_else(|| Unread("it has no list of packages".to_owned()))? {
        match composer_package(entry, "") {
            Some(package) => lock.add(&package.name, &package.version),
            None => lock.tell("a package lacks name or version"),
        }
    }
    Ok(())
}

/// `gradle.lockfile`: `group:artifact:version=configurations`
/// (<https://docs.gradle.org/current/userguide/dependency_locking.html>).
pub(super) fn gradle(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    for line in text(content).lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("empty=") {
            continue;
        }
        let (module, configurations) = line.split_once('=').unwrap_or((line, ""));
        if !configurations.is_empty()
            && configurations.split(',').all(|name| name.trim().starts_with("test"))
        {
            continue;
        }
        match module.rsplit_once(':') {
            Some((name, version)) if name.contains(':') => lock.add(name, version),
            _ => lock.tell(&format!("`{line}` is not group:artifact:version")),
        }
    }
    Ok(())
}

/// `build.sbt.lock` of the plugin sbt-dependency-lock: `dependencies` with `org`, `name` and `version`
/// (<https://stringbean.github.io/sbt-dependency-lock/file-formats/index.html>).
pub(super) fn sbt(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json_members(content, &["dependencies"])?;
    let list = root.get("dependencies").and_then(Json::as_array);
    for entry in list.ok_or_else(|| Unread("it has no list of dependencies".to_owned()))? {
        let text = |member: &str| entry.get(member).and_then(Json::as_str).unwrap_or_default();
        let mut uses =
            entry.get("configurations").and_then(Json::as_array).into_iter().flatten().peekable();
        if uses.peek().is_some() && uses.all(|name| name == "test") {
            continue;
        }
        match (text("org"), text("name")) {
            ("", _) | (_, "") => lock.tell("a dependency lacks organisation or name"),
            (org, name) => lock.add(&format!("{org}:{name}"), text("version")),
        }
    }
    Ok(())
}
