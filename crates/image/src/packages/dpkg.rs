//! dpkg (Debian, Ubuntu, distroless): installed packages, their files and the files' checksums.
//!
//! Formats: deb-control(5), dpkg(1), `dpkg-query --show`. A package counts as installed when its files are there, also if
//! it was only unpacked. It does not read licences (they are in `usr/share/doc/*/copyright`, as prose).

mod control;
mod lists;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use haechi_core::inventory::{Package, PackageKind, SourcePackage};

use super::files::text::{hex, note, owned_path, shown, text};
use crate::reader::{Digest, Found, Meta, Owned, OwnedFile, Reader, Unread};
use control::{Stanza, stanzas};

/// A status file of 5000 packages has 10 MB.
const STATUS_SIZE_MAX: u64 = 64 << 20;

/// The list of the largest package (linux headers, texlive) has 5 MB.
const LIST_SIZE_MAX: u64 = 64 << 20;

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader { name: "dpkg status", size_max: u64::MAX, wants: is_elsewhere, read: leave },
    Reader { name: "dpkg status", size_max: STATUS_SIZE_MAX, wants: is_status, read: read_status },
    Reader {
        name: "dpkg file list",
        size_max: LIST_SIZE_MAX,
        wants: lists::is_list,
        read: lists::read_list,
    },
    Reader {
        name: "dpkg checksums",
        size_max: LIST_SIZE_MAX,
        wants: lists::is_md5sums,
        read: lists::read_md5sums,
    },
    Reader {
        name: "dpkg diversions",
        size_max: LIST_SIZE_MAX,
        wants: lists::is_diversions,
        read: lists::read_diversions,
    },
];

/// The database, distroless images' one file for each package, and opkg's, which has the same form.
fn is_status(meta: &Meta<'_>, _head: &[u8]) -> bool {
    match meta.path {
        "var/lib/dpkg/status" | "usr/lib/opkg/status" | "var/lib/opkg/status" => true,
        path => path
            .strip_prefix("var/lib/dpkg/status.d/")
            .is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums")),
    }
}

/// A database that is not where dpkg has it: moved away (`dpkg --admindir`), or of a system inside this one.
fn is_elsewhere(meta: &Meta<'_>, head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let field = head.get(..8).is_some_and(|field| field.eq_ignore_ascii_case(b"Package:"));
    let stanza = || memchr::memmem::find(head, b"\nStatus: ").is_some();
    field && meta.name() == "status" && !is_status(meta, head) && stanza()
}

/// Whose packages these are is not known, so they are neither counted nor passed over.
fn leave(_: &Meta<'_>, _: &[u8], _: &mut Found) -> Result<(), Unread> {
    Err(Unread("a package database outside of its place is not read".to_owned()))
}

fn read_status(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    // dpkg keeps the last stanza of a name and architecture (lib/dpkg/parse.c): the earlier ones are gone for it too.
    let mut last: HashMap<(String, String), usize> = HashMap::new();
    let mut read: Vec<Option<Installed>> = Vec::new();
    for stanza in stanzas(content) {
        if let Some(line) = stanza.broken {
            note(found, || format!("line {line} is no field"));
        }
        let name = stanza.get("Package").unwrap_or_default();
        let presence = Presence::of(stanza.get("Status"));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            if presence != Presence::Absent {
                let line = stanza.line;
                note(found, || format!("the stanza at line {line} has no package name"));
            }
            continue;
        }
        let key = (name.to_owned(), stanza.get("Architecture").unwrap_or_default().to_owned());
        let installed = match presence {
            Presence::Absent => None,
            _ => installed(&stanza, name, meta.path, found),
        };
        if presence == Presence::Unknown {
            note(found, || format!("{}: unknown status; taken as installed", shown(name)));
        }
        if let Some(index) = last.insert(key, read.len())
            && let Some(earlier) = read.get_mut(index)
        {
            *earlier = None;
        }
        read.push(installed);
    }
    for Installed { package, conffiles } in read.into_iter().flatten() {
        if !conffiles.is_empty() {
            found.owned.push(Owned { package: package.name.clone(), files: conffiles });
        }
        found.packages.push(package);
    }
    Ok(())
}

struct Installed {
    package: Package,
    conffiles: Vec<OwnedFile>,
}

fn installed(stanza: &Stanza<'_>, name: &str, path: &str, found: &mut Found) -> Option<Installed> {
    let version = stanza.get("Version").unwrap_or_default();
    if version.is_empty() || version.contains(char::is_whitespace) {
        note(found, || format!("{}: no version", shown(name)));
        return None;
    }
    let mut package = Package::new(PackageKind::Deb, name, version, path);
    package.arch = stanza.get("Architecture").unwrap_or_default().to_owned();
    package.vendor = stanza.get("Maintainer").unwrap_or_default().to_owned();
    package.source = Some(source(stanza.get("Source").unwrap_or_default(), name, version));
    Some(Installed { package, conffiles: conffiles(stanza.raw("Conffiles").unwrap_or_default()) })
}

/// `Source: name` or `Source: name (version)`; without, it has the package's name and version (deb-control(5)).
fn source(field: &str, name: &str, version: &str) -> SourcePackage {
    let (source, stated) = match field.split_once('(') {
        Some((source, rest)) => (source.trim(), rest.trim().trim_end_matches(')').trim()),
        None => (field.trim(), ""),
    };
    SourcePackage {
        name: if source.is_empty() { name } else { source }.to_owned(),
        version: if stated.is_empty() { without_rebuild(version) } else { stated }.to_owned(),
    }
}

/// The version without the number of Debian's binary-only rebuilds: `1.2-3+b1` was built from `1.2-3`.
fn without_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((base, number))
            if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            base
        }
        _ => version,
    }
}

/// Whether a package's files are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Present,
    Absent,
    /// The status is none that dpkg knows.
    Unknown,
}

impl Presence {
    /// `Status: want flag status` (dpkg(1)). Distroless images have no such field, and whoever removes it from the
    /// database must not hide a package: without it the package counts.
    fn of(status: Option<&str>) -> Self {
        let Some(status) = status else { return Self::Present };
        match status.split_whitespace().next_back().unwrap_or_default() {
            word if ["not-installed", "config-files"]
                .iter()
                .any(|s| word.eq_ignore_ascii_case(s)) =>
            {
                Self::Absent
            }
            word if PRESENT.iter().any(|s| word.eq_ignore_ascii_case(s)) => Self::Present,
            _ => Self::Unknown,
        }
    }
}

/// The states in which at least some of the files are there.
const PRESENT: [&str; 6] = [
    "installed",
    "unpacked",
    "half-configured",
    "half-installed",
    "triggers-awaited",
    "triggers-pending",
];

/// ` /etc/file md5 [obsolete|remove-on-upgrade]`, one a line; instead of the checksum `newconffile` if the file was not
/// yet installed. The path itself may contain spaces.
fn conffiles(field: &[u8]) -> Vec<OwnedFile> {
    let mut files = Vec::new();
    for line in field.split(|&byte| byte == b'\n') {
        let mut rest = line.trim_ascii();
        let mut digest = None;
        while let Some(space) = rest.iter().rposition(|&byte| byte == b' ') {
            let (before, word) = rest.split_at(space);
            let word = word.trim_ascii();
            digest = hex(word).map(Digest::Md5);
            let is_mark = matches!(word, b"obsolete" | b"remove-on-upgrade" | b"newconffile");
            if digest.is_none() && !is_mark {
                break;
            }
            rest = before.trim_ascii_end();
            if digest.is_some() || word == b"newconffile" {
                break;
            }
        }
        if let Some(path) = owned_path(rest) {
            files.push(OwnedFile { path, digest, config: true });
        }
    }
    files
}

/// The last part of a path without its extension: `libc6:amd64` of `var/lib/dpkg/info/libc6:amd64.list`.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// An owned file whose content is not to be compared, or with a checksum.
fn owned(raw: &[u8], digest: Option<Digest>) -> Option<OwnedFile> {
    owned_path(raw).map(|path| OwnedFile { path, digest, config: false })
}

/// A field's bytes as text, complete.
fn as_text(raw: &[u8]) -> String {
    text(raw.trim_ascii())
}
