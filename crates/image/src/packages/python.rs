//! Packages of Python that are installed: `*.dist-info` and `*.egg-info` folders, `*.egg-info` files of distutils,
//! eggs (folders and archives), the copies that pip carries inside (`_vendor/vendor.txt`), and from `RECORD` which
//! files belong to them.
//!
//! Formats: <https://packaging.python.org/en/latest/specifications/>. Wheels that only lie there to be installed and
//! Conda's own list (`conda-meta`, whose Python packages have a `dist-info` too) are not read.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haechi_core::inventory::{Package, PackageKind};

use super::node::open_zip;
use crate::reader::{Digest, Found, Meta, Owned, OwnedFile, Reader, Unread};

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader {
        name: "Python metadata",
        // A header with the project's whole readme; the largest have some 500 KiB.
        size_max: 16 << 20,
        wants: |meta, _| is_metadata(meta.path),
        read: read_metadata,
    },
    Reader {
        name: "Python egg",
        // Eggs are old and small; the largest with compiled code have some 50 MiB.
        size_max: 256 << 20,
        wants: |meta, head| has_suffix(meta.name(), ".egg") && head.starts_with(b"PK"),
        read: read_egg,
    },
    Reader {
        name: "Python RECORD",
        // About 120 bytes for each file; the largest packages have some 20 000.
        size_max: 32 << 20,
        wants: |meta, _| meta.name() == "RECORD" && has_suffix(parent(meta.path), ".dist-info"),
        read: read_record,
    },
    Reader {
        name: "vendor.txt",
        // Some dozen lines.
        size_max: 1 << 20,
        wants: |meta, _| meta.path.ends_with("_vendor/vendor.txt"),
        read: read_vendored,
    },
];

/// Bytes of an egg's `PKG-INFO`.
const PKG_INFO_MAX: u64 = 16 << 20;
/// Bytes of all paths of one `RECORD`, which are longer than what is written there: the folder comes before each.
const PATHS_MAX: usize = 128 << 20;
/// A licence's name; some put the whole text there.
const LICENSE_MAX: usize = 200;

/// The folder that a path lies in.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Python compares these endings without case.
fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len()
        .checked_sub(suffix.len())
        .and_then(|start| name.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn is_metadata(path: &str) -> bool {
    let folder = parent(path);
    match path.rsplit('/').next() {
        Some("METADATA") => has_suffix(folder, ".dist-info"),
        Some("PKG-INFO") => {
            has_suffix(folder, ".egg-info")
                || has_suffix(folder, ".dist-info")
                || folder.rsplit('/').next() == Some("EGG-INFO")
        }
        Some(name) => has_suffix(name, ".egg-info"),
        None => false,
    }
}

/// Header fields in the form of e-mail (RFC 822), up to the first empty line, continued lines joined.
fn headers(text: &str) -> Vec<(&str, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim(), value.trim().to_owned()));
        }
    }
    fields
}

fn package(content: &[u8], path: &str) -> Result<Package, Unread> {
    let text = String::from_utf8_lossy(content);
    let fields = headers(&text);
    let all = |wanted: &'static str| {
        fields
            .iter()
            .filter(move |(name, value)| {
                name.eq_ignore_ascii_case(wanted) && !value.is_empty() && value != "UNKNOWN"
            })
            .map(|(_, value)| value.as_str())
    };
    let name = all("Name").next().ok_or_else(|| Unread("it states no Name".to_owned()))?;
    let version = all("Version").next().ok_or_else(|| Unread("it states no Version".to_owned()))?;
    let mut package = Package::new(PackageKind::Pypi, name, version, path);
    let stated = all("License-Expression").chain(all("License")).next();
    let short = stated.filter(|text| text.len() <= LICENSE_MAX && !text.contains('\n'));
    package.licenses = match short {
        Some(license) => vec![license.to_owned()],
        None => all("Classifier")
            .filter_map(|line| line.strip_prefix("License :: "))
            .map(|line| line.rsplit(" :: ").next().unwrap_or(line).to_owned())
            .collect(),
    };
    let makers = ["Author", "Author-email", "Maintainer", "Maintainer-email"];
    package.vendor =
        makers.into_iter().find_map(|field| all(field).next()).unwrap_or_default().to_owned();
    Ok(package)
}

fn read_metadata(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    found.packages.push(package(content, meta.path)?);
    Ok(())
}

fn read_egg(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let unread = |error: zip::result::ZipError| Unread(error.to_string());
    let mut archive = open_zip(content)?;
    let entry = archive.by_name("EGG-INFO/PKG-INFO").map_err(unread)?;
    let mut bytes = Vec::new();
    entry
        .take(PKG_INFO_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| Unread(format!("EGG-INFO/PKG-INFO: {error}")))?;
    let path = format!("{}!/EGG-INFO/PKG-INFO", meta.path);
    found.packages.push(package(&bytes, &path)?);
    Ok(())
}

/// `RECORD`: a CSV table of path, digest and size
/// (<https://packaging.python.org/en/latest/specifications/recording-installed-packages/>).
fn read_record(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let folder = parent(meta.path);
    let base = parent(folder);
    let file_name = folder.rsplit('/').next().unwrap_or_default();
    let stem = file_name.get(..file_name.len().saturating_sub(".dist-info".len()));
    let stem = stem.unwrap_or(file_name);
    let package = stem.rsplit_once('-').map_or(stem, |(name, _)| name).to_owned();
    let mut table =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
    let mut files = Vec::new();
    let mut left = PATHS_MAX;
    let mut row = csv::ByteRecord::new();
    let ended = loop {
        match table.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(Unread(error.to_string())),
        }
        let path = String::from_utf8_lossy(row.get(0).unwrap_or_default());
        if let Some(path) = resolve(base, &path) {
            left = match left.checked_sub(path.len() + size_of::<OwnedFile>()) {
                Some(left) => left,
                None => break Err(Unread(format!("its paths take more than {PATHS_MAX} bytes"))),
            };
            let digest = digest(row.get(1).unwrap_or_default());
            files.push(OwnedFile { path, digest, config: false });
        }
    };
    found.owned.push(Owned { package, files });
    ended
}

/// A path of `RECORD`, which is relative to the folder that the package is installed in; absent if it leads out of
/// the image.
fn resolve(base: &str, path: &str) -> Option<String> {
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// `sha256=` and the digest in base64 for URLs without padding.
fn digest(field: &[u8]) -> Option<Digest> {
    let (algorithm, encoded) = std::str::from_utf8(field).ok()?.trim().split_once('=')?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).unwrap_or_default();
    let known = match algorithm {
        "sha256" => bytes.try_into().ok().map(Digest::Sha256),
        "sha1" => bytes.try_into().ok().map(Digest::Sha1),
        "md5" => bytes.try_into().ok().map(Digest::Md5),
        _ => None,
    };
    Some(known.unwrap_or(Digest::Other))
}

/// The list of the packages that pip (and what copies it) carries inside: `name==version`, one a line.
fn read_vendored(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    for line in String::from_utf8_lossy(content).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((name, version)) = line.split_once("==") else { continue };
        let name = name.split('[').next().unwrap_or_default().trim();
        let version = version.split([' ', ';', '\t']).next().unwrap_or_default();
        if !name.is_empty() && !version.is_empty() {
            found.packages.push(Package::new(PackageKind::Pypi, name, version, meta.path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
