//! Packages of Node.js that are installed: every `package.json` with name and version below `node_modules` or one of
//! Debian's library folders, wherever it lies (nested, bundled with npm, pnpm's store), and the packages in Yarn's
//! Plug'n'Play cache (`.yarn/cache/*.zip`).
//!
//! An application's own `package.json` is no package. A `package.json` deeper inside a package that lacks name or
//! version or is private only describes a folder (`{"type": "module"}`) and is passed over. Code that a bundler put into one file
//! leaves no trace that could be read.

use std::fmt;
use std::io::{Cursor, Read};

use haechi_core::inventory::{Package, PackageKind};
use memchr::memmem;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::reader::{Found, Meta, Reader, Unread};

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader {
        name: "package.json",
        // The largest on the npm registry are below 1 MiB.
        size_max: 16 << 20,
        wants: |meta, _| meta.name() == "package.json" && is_library(meta.path),
        read: read_package_json,
    },
    Reader {
        name: "Yarn cache archive",
        // The largest packages (compilers, browsers) have some 100 MiB.
        size_max: 256 << 20,
        wants: |meta, head| {
            meta.name().ends_with(".zip")
                && meta.path.contains(".yarn/cache/")
                && head.starts_with(b"PK")
        },
        read: read_yarn_cache,
    },
];

/// Folders besides `node_modules` where Node.js of a distribution looks for packages.
const LIBRARIES: [&str; 3] = ["usr/share/nodejs/", "usr/lib/nodejs/", "usr/share/node_modules/"];
/// Entries of one archive in Yarn's cache; the largest packages have some 50 000 files.
const ENTRIES_MAX: usize = 200_000;
/// Bytes of all `package.json` of one archive together.
const ARCHIVE_BYTES_MAX: u64 = 64 << 20;

/// JSON as JavaScript reads it: a byte order mark and bytes that are no UTF-8 are no error, and of two members with
/// one name the last counts. Nesting is limited (128) by the parser.
///
/// # Errors
/// It is no JSON.
pub(super) fn json(content: &[u8]) -> Result<Value, Unread> {
    serde_json::from_str(without_mark(&String::from_utf8_lossy(content))).map_err(no_json)
}

/// Like [`json`], but only these members of the outermost object; the others are not kept.
///
/// # Errors
/// It is no JSON, or no object.
pub(super) fn json_members(content: &[u8], wanted: &[&str]) -> Result<Map<String, Value>, Unread> {
    let text = String::from_utf8_lossy(content);
    let mut parser = serde_json::Deserializer::from_str(without_mark(&text));
    let members = Members(wanted).deserialize(&mut parser).map_err(no_json)?;
    parser.end().map_err(no_json)?;
    Ok(members)
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn no_json(error: serde_json::Error) -> Unread {
    Unread(format!("no JSON: {error}"))
}

/// Keeps the wanted members of an object.
struct Members<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                members.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}

fn is_library(path: &str) -> bool {
    path.split('/').any(|part| part == "node_modules")
        || LIBRARIES.iter().any(|folder| path.starts_with(folder))
}

/// Whether this is where Node.js looks for the package's own file: `node_modules/name` or `node_modules/@scope/name`.
fn is_package_root(path: &str) -> bool {
    let folder = path.strip_suffix("/package.json").unwrap_or(path);
    let mut parts = folder.rsplit('/').skip(1);
    let parent = match parts.next() {
        Some(scope) if scope.starts_with('@') => parts.next(),
        other => other,
    };
    matches!(parent, Some("node_modules" | "nodejs"))
}

/// Whether it lies in a folder of tests: packages ship broken files there on purpose.
fn is_test(path: &str) -> bool {
    let inside = path.rsplit_once("node_modules/").map_or(path, |(_, inside)| inside);
    // The package's own folder may be called `test`.
    inside
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "test" | "tests" | "__tests__" | "fixtures" | "testdata"))
}

fn read_package_json(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let root = is_package_root(meta.path);
    let members =
        json_members(content, &["name", "version", "license", "licenses", "author", "private"]);
    let members = match members {
        Err(_) if !root && is_test(meta.path) => return Ok(()),
        other => other?,
    };
    let text = |member: &str| {
        members.get(member).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    };
    // npm refuses to publish it, so that it is no copy of a package but a folder of this one.
    let private = members.get("private").and_then(Value::as_bool) == Some(true);
    if private && !root {
        return Ok(());
    }
    match (text("name"), text("version")) {
        (Some(name), Some(version)) => {
            let mut package = Package::new(PackageKind::Npm, name, version, meta.path);
            package.licenses = licenses(&members);
            package.vendor = person(members.get("author"));
            found.packages.push(package);
            Ok(())
        }
        (None, None) => Ok(()),
        _ if !root => Ok(()),
        (Some(name), None) => Err(Unread(format!("{name} states no version"))),
        (None, Some(version)) => Err(Unread(format!("version {version} states no name"))),
    }
}

fn licenses(members: &Map<String, Value>) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(old) => old.get("type").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    match members.get("license").or_else(|| members.get("licenses")) {
        Some(Value::Array(list)) => list.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn person(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(person)) => {
            person.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

/// Opens a zip archive after counting the marks that its entries begin with: the list of entries is read at once, and
/// takes some hundred bytes for each.
///
/// # Errors
/// It is no zip archive, or has too many entries.
pub(super) fn open_zip(content: &[u8]) -> Result<zip::ZipArchive<Cursor<&[u8]>>, Unread> {
    let marks = memmem::find_iter(content, b"PK\x01\x02");
    if marks.take(ENTRIES_MAX + 1).count() > ENTRIES_MAX {
        return Err(Unread(format!("more than {ENTRIES_MAX} entries")));
    }
    zip::ZipArchive::new(Cursor::new(content)).map_err(|error| Unread(error.to_string()))
}

fn read_yarn_cache(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let mut archive = open_zip(content)?;
    let mut left = ARCHIVE_BYTES_MAX;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| Unread(error.to_string()))?;
        let name = entry.name().map_err(|error| Unread(error.to_string()))?;
        if !(name.ends_with("/package.json") && is_package_root(&name) && is_library(&name)) {
            continue;
        }
        let path = format!("{}!/{name}", meta.path);
        let mut bytes = Vec::new();
        if let Err(error) = entry.take(left.saturating_add(1)).read_to_end(&mut bytes) {
            found.unread.push(format!("{path}: {error}"));
            continue;
        }
        left = match left.checked_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX)) {
            Some(left) => left,
            None => return Err(Unread(format!("more than {ARCHIVE_BYTES_MAX} bytes of metadata"))),
        };
        let inner = Meta { path: &path, ..meta.clone() };
        if let Err(error) = read_package_json(&inner, &bytes, found) {
            found.unread.push(format!("{path}: {error}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
