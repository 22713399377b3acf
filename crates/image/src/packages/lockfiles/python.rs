//! Lock files of Python: requirements of pip, Poetry, PDM, uv, PEP 751 and Pipenv.

use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Lock, is_development, text};
use crate::packages::node::json_members;
use crate::reader::Unread;

/// `requirements.txt`: lines with an exact version, `name==1.0`
/// (<https://pip.pypa.io/en/stable/reference/requirements-file-format/>). Others have none and are passed over.
pub(super) fn requirements(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let mut whole = String::new();
    for line in text(content).lines() {
        if let Some(begin) = line.strip_suffix('\\') {
            whole.push_str(begin);
            continue;
        }
        whole.push_str(line);
        if let Some((name, version)) = pinned(&whole) {
            lock.add(name, version);
        }
        whole.clear();
    }
    if let Some((name, version)) = pinned(&whole) {
        lock.add(name, version);
    }
    Ok(())
}

/// `name[extra] == 1.0 ; marker --hash=… # comment`.
fn pinned(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, rest) = line.split_once("==")?;
    let name = name.trim_end().trim_end_matches('(');
    let name = name.split('[').next()?.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_name) {
        return None;
    }
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let version = rest.split(|c: char| c.is_whitespace() || ";,)#".contains(c)).next()?;
    let known = version.starts_with(|c: char| c.is_ascii_alphanumeric());
    let known = known && !version.contains(['*', '$', '{']);
    known.then_some((name, version))
}

/// Reads a TOML file.
pub(super) fn toml(content: &[u8]) -> Result<Table, Unread> {
    // The error shows the lines around the place; the first line says what and where.
    text(content).parse::<Table>().map_err(|error| {
        let message = error.to_string();
        let place = message.lines().next().unwrap_or_default();
        Unread(format!("{place}: {}", error.message()))
    })
}

fn packages<'a>(root: &'a Table, member: &str) -> Result<&'a [Value], Unread> {
    match root.get(member) {
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(Unread(format!("{member} is no list"))),
        None => Ok(&[]),
    }
}

fn string<'a>(entry: &'a Value, member: &str) -> &'a str {
    entry.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// `poetry.lock` and `pdm.lock`: the same list of packages, with groups.
pub(super) fn poetry(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = toml(content)?;
    for entry in packages(&root, "package")? {
        let groups = entry.get("groups").and_then(Value::as_array);
        let development = string(entry, "category") == "dev"
            || groups.is_some_and(|groups| {
                let mut names = groups.iter().map(|group| group.as_str().unwrap_or_default());
                !groups.is_empty() && names.all(is_development)
            });
        let folder =
            entry.get("source").is_some_and(|source| string(source, "type") == "directory");
        if !development && !folder {
            lock.add(string(entry, "name"), string(entry, "version"));
        }
    }
    Ok(())
}

/// `uv.lock` (<https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile>).
pub(super) fn uv(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = toml(content)?;
    for entry in packages(&root, "package")? {
        let own = entry.get("source").is_some_and(|source| {
            ["virtual", "editable", "directory"].iter().any(|kind| source.get(kind).is_some())
        });
        if !own {
            lock.add(string(entry, "name"), string(entry, "version"));
        }
    }
    Ok(())
}

/// `pylock.toml` (PEP 751). A package from a repository or archive may state no version.
pub(super) fn pylock(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = toml(content)?;
    for entry in packages(&root, "packages")? {
        if entry.get("directory").is_none() {
            lock.add(string(entry, "name"), string(entry, "version"));
        }
    }
    Ok(())
}

/// `Pipfile.lock`: `default` and `develop` with `{"name": {"version": "==1.0"}}`.
pub(super) fn pipfile(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let root = json_members(content, &["default", "_meta"])?;
    let Some(packages) = root.get("default").and_then(Json::as_object) else {
        return if root.contains_key("_meta") {
            Ok(())
        } else {
            Err(Unread("it has no packages".to_owned()))
        };
    };
    for (name, entry) in packages {
        let version = entry.get("version").and_then(Json::as_str).unwrap_or_default();
        lock.add(name, version.trim_start_matches('='));
    }
    Ok(())
}
