//! Lock files of npm, Yarn (1 and later), pnpm and Bun.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Lock, name_and_version, text};
use crate::packages::node::{json, json_members};
use crate::reader::Unread;

/// `package-lock.json`, versions 1 to 3 (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>).
pub(super) fn package_lock(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json_members(content, &["packages", "dependencies", "lockfileVersion"])?;
    let object = |member: &str| root.get(member).and_then(Value::as_object);
    match (object("packages"), object("dependencies")) {
        (Some(packages), _) => from_packages(packages, lock),
        (None, Some(dependencies)) => from_dependencies(dependencies, lock),
        (None, None) if root.contains_key("lockfileVersion") => {}
        (None, None) => return Err(Unread("it has neither packages nor dependencies".to_owned())),
    }
    Ok(())
}

fn is_true(entry: &Value, member: &str) -> bool {
    entry.get(member).and_then(Value::as_bool).unwrap_or_default()
}

fn from_packages(packages: &Map<String, Value>, lock: &mut Lock) {
    for (folder, entry) in packages {
        // What is not below node_modules is the project itself or a workspace of it.
        let Some((_, name)) = format!("/{folder}")
            .rsplit_once("/node_modules/")
            .map(|(before, name)| (before.len(), name.to_owned()))
        else {
            continue;
        };
        if is_true(entry, "dev") || is_true(entry, "link") {
            continue;
        }
        // Stated only if it is not that of the folder (an alias).
        let name = entry.get("name").and_then(Value::as_str).unwrap_or(&name);
        lock.add(name, entry.get("version").and_then(Value::as_str).unwrap_or_default());
    }
}

/// The form of version 1: dependencies inside dependencies. A list of what is left to do instead of recursion.
fn from_dependencies(dependencies: &Map<String, Value>, lock: &mut Lock) {
    let mut left = vec![dependencies];
    while let Some(dependencies) = left.pop() {
        for (name, entry) in dependencies {
            if let Some(inner) = entry.get("dependencies").and_then(Value::as_object) {
                left.push(inner);
            }
            if is_true(entry, "dev") {
                continue;
            }
            let version = entry.get("version").and_then(Value::as_str).unwrap_or_default();
            match version.strip_prefix("npm:").and_then(name_and_version) {
                Some((real, version)) => lock.add(real, version),
                None => lock.add(name, version),
            }
        }
    }
}

/// `yarn.lock`: the format of Yarn 1 and the YAML of later ones differ little enough to be read line by line: an
/// entry begins without indentation, its fields are indented by two spaces.
pub(super) fn yarn(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let text = text(content);
    let mut entry = YarnEntry::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            std::mem::take(&mut entry).finish(lock);
            match line.strip_suffix(':') {
                Some(patterns) => patterns.clone_into(&mut entry.patterns),
                None => return Err(Unread(format!("line {}: no entry", number + 1))),
            }
        } else if let Some(field) = line.strip_prefix("  ") {
            let value = |name: &str| {
                // Yarn 1 may put the name of a field in quotes.
                let rest = field.strip_prefix('"').unwrap_or(field).strip_prefix(name)?;
                let rest = rest.strip_prefix('"').unwrap_or(rest);
                rest.strip_prefix([' ', ':']).map(|value| unquoted(value.trim()).to_owned())
            };
            if let Some(version) = value("version") {
                entry.version = version;
            } else if let Some(resolution) = value("resolution") {
                entry.resolution = resolution;
            }
        }
    }
    entry.finish(lock);
    Ok(())
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

/// One entry of `yarn.lock`.
#[derive(Default)]
struct YarnEntry {
    patterns: String,
    version: String,
    resolution: String,
}

impl YarnEntry {
    fn finish(self, lock: &mut Lock) {
        if self.patterns.is_empty() || self.patterns == "__metadata" {
            return;
        }
        let first = self.patterns.split(", ").next().unwrap_or_default();
        let spec = if self.resolution.is_empty() { unquoted(first) } else { &self.resolution };
        // Without a range, any version was asked for.
        let (name, range) = name_and_version(spec).unwrap_or((spec, ""));
        if ["workspace:", "link:", "portal:"].iter().any(|local| range.starts_with(local)) {
            return;
        }
        // `alias@npm:real@^1` in Yarn 1; later ones give the real name as resolution.
        let real = range.strip_prefix("npm:").and_then(name_and_version).map(|(real, _)| real);
        lock.add(real.unwrap_or(name), &self.version);
    }
}

/// `pnpm-lock.yaml`, versions 5 to 9 (<https://github.com/pnpm/spec/tree/master/lockfile>).
pub(super) fn pnpm(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    use serde_norway::{Deserializer, Value};
    let text = text(content);
    for document in Deserializer::from_str(&text) {
        let root = Value::deserialize(document).map_err(|error| Unread(error.to_string()))?;
        let version = match root.get("lockfileVersion") {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let version = version.ok_or_else(|| Unread("it has no lockfileVersion".to_owned()))?;
        let packages = root.get("packages").and_then(Value::as_mapping);
        for (key, entry) in packages.into_iter().flatten() {
            if entry.get("dev").and_then(Value::as_bool) == Some(true) {
                continue;
            }
            let key = key.as_str().unwrap_or_default();
            let stated = |member: &str| entry.get(member).and_then(Value::as_str);
            let parts = if version < 6.0 { slashed(key) } else { with_at(key) };
            let name = stated("name").or(parts.map(|(name, _)| name));
            let version = stated("version").or(parts.map(|(_, version)| version));
            match (name, version) {
                (Some(name), Some(version)) => lock.add(name, version),
                _ => lock.tell(&format!("`{key}` names no package with version")),
            }
        }
    }
    Ok(())
}

/// Keys before version 6: `/name/1.0.0_peer@2.0.0`.
fn slashed(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/')?;
    let mut slashes = key.match_indices('/').map(|(at, _)| at);
    let end = if key.starts_with('@') { slashes.nth(1)? } else { slashes.next()? };
    let version = key.get(end + 1..)?.split('_').next()?;
    Some((key.get(..end)?, version))
}

/// Keys since version 6: `name@1.0.0(peer@2.0.0)`, with `/` before it in version 6.
fn with_at(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/').unwrap_or(key);
    name_and_version(key.split('(').next()?)
}

/// `bun.lock`: JSON with comments and trailing commas (<https://bun.com/docs/pm/lockfile>).
pub(super) fn bun(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json(plain_json(content).as_slice())?;
    let Some(packages) = root.get("packages") else {
        return if root.get("lockfileVersion").is_some() {
            Ok(())
        } else {
            Err(Unread("it has no lockfileVersion".to_owned()))
        };
    };
    let packages =
        packages.as_object().ok_or_else(|| Unread("packages is no object".to_owned()))?;
    for (key, entry) in packages {
        let spec = entry.get(0).and_then(Value::as_str).unwrap_or_default();
        match name_and_version(spec) {
            Some((_, version))
                if ["workspace:", "link:", "root:"].iter().any(|own| version.starts_with(own)) => {}
            Some((name, version)) => lock.add(name, version),
            None => lock.tell(&format!("`{key}` is not name@version")),
        }
    }
    Ok(())
}

/// JSON without comments and trailing commas. Positions stay the same, so that messages name the right place.
fn plain_json(content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    let mut bytes = out.iter_mut().peekable();
    // A comma that is a trailing one if a bracket follows.
    let mut comma: Option<&mut u8> = None;
    while let Some(byte) = bytes.next() {
        match *byte {
            b'"' => {
                comma = None;
                while let Some(inner) = bytes.next() {
                    match *inner {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'/' if bytes.peek().is_some_and(|next| **next == b'/') => {
                *byte = b' ';
                for inner in bytes.by_ref().take_while(|inner| **inner != b'\n') {
                    *inner = b' ';
                }
            }
            b'/' if bytes.peek().is_some_and(|next| **next == b'*') => {
                *byte = b' ';
                let mut before = b' ';
                // The star that opens it does not close it.
                bytes.next().into_iter().for_each(|star| *star = b' ');
                for inner in bytes.by_ref() {
                    let this = std::mem::replace(inner, b' ');
                    if before == b'*' && this == b'/' {
                        break;
                    }
                    before = this;
                }
            }
            b',' => comma = Some(byte),
            b']' | b'}' => {
                if let Some(comma) = comma.take() {
                    *comma = b' ';
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => comma = None,
        }
    }
    out
}
