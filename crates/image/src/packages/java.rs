//! Java archives: jars, wars, ears, plugins, and archives inside them.
//!
//! Reads an archive as Java does, by its central directory: every `pom.properties` (a shaded jar has several), the
//! `pom.xml` where that is missing, the manifest and the archive's own name ([`identity`] has the rules). Inner
//! archives are read to a depth, named `outer.jar!/inner.jar`. It does not read class files, with one exception: the
//! class behind Log4Shell without Log4j's metadata is named as unread. Shaded code without metadata is not seen
//! otherwise.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};

use haechi_core::inventory::{Package, PackageKind};
use zip::ZipArchive;

use crate::reader::{Found, Meta, Reader, Unread};

mod identity;
mod pom;

use identity::{Artifact, Parts};

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader { name: "Java archive", size_max: ARCHIVE_MAX, wants, read },
    Reader {
        name: "pom.properties",
        size_max: PROPERTIES_MAX,
        wants: |meta, _| meta.name() == "pom.properties" && meta.path.contains("META-INF/maven/"),
        read: read_properties,
    },
];

/// The largest archive, outer or inner: the largest applications have 300 MiB.
const ARCHIVE_MAX: u64 = 512 << 20;
/// Everything that is decompressed for one file of the image.
const TOTAL_MAX: u64 = 1 << 30;
/// An archive inside an archive is compressed already: more than this to one is a bomb …
const RATIO_MAX: u64 = 200;
/// … unless it is this small.
const RATIO_FROM: u64 = 16 << 20;
/// Archives in archives: an ear with a war with a jar with a jar is four.
const DEPTH_MAX: usize = 8;
/// Entries of one archive: an application with everything shaded has 100 000.
const ENTRIES_MAX: usize = 200_000;
/// Headers that the bytes of one archive may hold, those of stored inner archives included. It bounds memory before
/// the archive is opened.
const HEADERS_MAX: usize = 1_000_000;
/// Archives below one file: the largest distributions of application servers have a few thousand.
const ARCHIVES_MAX: usize = 20_000;
/// A manifest: its main section is at the start; signed archives add one section for each entry.
const MANIFEST_MAX: u64 = 1 << 20;
/// Four lines.
const PROPERTIES_MAX: u64 = 64 << 10;
/// The largest known have 300 KiB.
const POM_MAX: u64 = 4 << 20;
/// Projects that one archive may state.
const POMS_MAX: usize = 5_000;

/// File names that Java servers load.
const EXTENSIONS: [&str; 13] =
    ["jar", "war", "ear", "par", "sar", "jpi", "hpi", "aar", "kar", "nar", "lpkg", "har", "rar"];
/// In whatever package it was put: a relocated copy is as dangerous. Agents rename `.class`.
const JNDI_LOOKUP: &str = "log4j/core/lookup/JndiLookup.";

fn is_archive(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn wants(meta: &Meta<'_>, head: &[u8]) -> bool {
    let zip = head.starts_with(b"PK\x03\x04");
    if !is_archive(meta.name()) {
        // An archive under another name: Java's tools put this directory first.
        return zip && head.get(30..).is_some_and(|name| name.starts_with(b"META-INF/"));
    }
    // `.rar` and `.har` have other meanings; a jar may begin with a shell script.
    zip || (meta.name().to_ascii_lowercase().ends_with("ar")
        && !is_ambiguous(meta.name())
        && meta.size > 0)
        || head.starts_with(b"#!")
}

fn is_ambiguous(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".rar", ".har", ".par", ".sar", ".nar", ".kar"].iter().any(|end| name.ends_with(end))
}

fn read(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let mut walk = Walk { found, left: TOTAL_MAX, archives: 0 };
    walk.archive(content, meta.path, 0).map_err(Unread)
}

fn read_properties(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let artifact = pom::properties(&String::from_utf8_lossy(content))
        .ok_or_else(|| Unread("it names no artifact and version".to_owned()))?;
    found.packages.push(package(&artifact, meta.path));
    Ok(())
}

fn package(artifact: &Artifact, path: &str) -> Package {
    Package::new(PackageKind::Maven, artifact.full_name(), &artifact.version, path)
}

/// One file of the image, with all archives inside.
struct Walk<'a> {
    found: &'a mut Found,
    /// Bytes that may still be decompressed.
    left: u64,
    archives: usize,
}

/// What an entry of an archive is to us.
enum Entry {
    Manifest,
    Properties,
    Pom,
    Archive,
}

impl Walk<'_> {
    /// Reads one archive; what is wrong with it as a whole is the error, what is wrong inside goes to `unread`.
    fn archive(&mut self, content: &[u8], path: &str, depth: usize) -> Result<(), String> {
        self.archives += 1;
        if self.archives > ARCHIVES_MAX {
            return Err(format!("more than {ARCHIVES_MAX} archives inside"));
        }
        if memchr::memmem::find_iter(content, b"PK\x01\x02").nth(HEADERS_MAX).is_some() {
            return Err(format!("more than {HEADERS_MAX} headers"));
        }
        let mut zip = ZipArchive::new(Cursor::new(content)).map_err(|error| error.to_string())?;
        if zip.len() > ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
        if zip.has_duplicate_names() {
            // Java and this reader may choose different ones.
            self.note(path, "entries with the same name");
        }
        let names: Vec<String> =
            zip.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let mut parts = Parts::new(path);
        let mut lookup = false;
        let mut poms: Vec<(usize, &str)> = Vec::new();
        let mut inner: Vec<(usize, &str)> = Vec::new();
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        for (index, name) in names.iter().enumerate() {
            lookup |= name.contains(JNDI_LOOKUP);
            parts.has_classes |= name.ends_with(".class");
            match kind(name) {
                Some(Entry::Manifest) => {
                    if let Some((text, _)) = self.entry(&mut zip, index, MANIFEST_MAX, path, name) {
                        parts.manifest = identity::main_section(&String::from_utf8_lossy(&text));
                    }
                }
                Some(Entry::Properties) if parts.poms.len() < POMS_MAX => {
                    let text = self.entry(&mut zip, index, PROPERTIES_MAX, path, name);
                    let Some((text, whole)) = text else { continue };
                    match pom::properties(&String::from_utf8_lossy(&text)) {
                        Some(artifact) if whole => {
                            folders.extend(name.rsplit_once('/').map(|(folder, _)| folder));
                            parts.poms.push(artifact);
                        }
                        _ => self.note(path, &format!("{name}: no artifact and version")),
                    }
                }
                Some(Entry::Pom) if poms.len() < POMS_MAX => poms.push((index, name)),
                Some(Entry::Archive) => inner.push((index, name)),
                Some(_) => self.note(path, &format!("{name}: more than {POMS_MAX} projects")),
                None => {}
            }
        }
        for (index, name) in poms {
            if name.rsplit_once('/').is_some_and(|(folder, _)| folders.contains(folder)) {
                continue;
            }
            if let Some((text, _)) = self.entry(&mut zip, index, POM_MAX, path, name) {
                match pom::project(&String::from_utf8_lossy(&text)) {
                    Some(artifact) => parts.poms.push(artifact),
                    None => parts.unclear_pom = true,
                }
            }
        }
        parts.has_archives = !inner.is_empty();
        self.identify(&parts, path, lookup);
        for (index, name) in inner {
            self.inner(&mut zip, index, path, name, depth);
        }
        Ok(())
    }

    fn identify(&mut self, parts: &Parts<'_>, path: &str, lookup: bool) {
        let (artifacts, note) = parts.identify();
        if let Some(note) = note {
            self.note(path, &note);
        }
        if lookup && !artifacts.iter().any(|artifact| artifact.name == "log4j-core") {
            self.note(path, "classes of log4j-core (JndiLookup) of unknown version");
        }
        self.found.packages.extend(artifacts.iter().map(|artifact| package(artifact, path)));
    }

    fn inner(
        &mut self,
        zip: &mut ZipArchive<Cursor<&[u8]>>,
        index: usize,
        path: &str,
        name: &str,
        depth: usize,
    ) {
        let place = format!("{path}!/{name}");
        if depth + 1 >= DEPTH_MAX {
            return self.note(&place, &format!("more than {DEPTH_MAX} archives deep"));
        }
        match self.entry(zip, index, ARCHIVE_MAX, path, name) {
            Some((bytes, true)) => {
                if let Err(why) = self.archive(&bytes, &place, depth + 1) {
                    self.note(&place, &why);
                }
            }
            Some((_, false)) => self.note(&place, "too large when decompressed"),
            None => {}
        }
    }

    /// The first bytes of an entry, up to a limit, and whether that is all of it.
    fn entry(
        &mut self,
        zip: &mut ZipArchive<Cursor<&[u8]>>,
        index: usize,
        limit: u64,
        path: &str,
        name: &str,
    ) -> Option<(Vec<u8>, bool)> {
        let result = zip.by_index(index).map_err(|error| error.to_string()).and_then(|file| {
            let honest = file.compressed_size().saturating_mul(RATIO_MAX).max(RATIO_FROM);
            let limit = limit.min(self.left).min(honest);
            let mut bytes = Vec::new();
            file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.left = self.left.saturating_sub(size);
            Ok((bytes, size <= limit))
        });
        match result {
            Ok(read) => Some(read),
            Err(why) => {
                self.note(&format!("{path}!/{name}"), &why);
                None
            }
        }
    }

    fn note(&mut self, place: &str, why: &str) {
        // One archive cannot fill the report; the first notes already make the image doubtful.
        if self.found.unread.len() < 1000 {
            self.found.unread.push(format!("{place}: {why}"));
        }
    }
}

fn kind(name: &str) -> Option<Entry> {
    if name.eq_ignore_ascii_case("META-INF/MANIFEST.MF") {
        Some(Entry::Manifest)
    } else if name.contains("META-INF/maven/") && name.ends_with("/pom.properties") {
        Some(Entry::Properties)
    } else if name.contains("META-INF/maven/") && name.ends_with("/pom.xml") {
        Some(Entry::Pom)
    } else {
        is_archive(name).then_some(Entry::Archive)
    }
}

#[cfg(test)]
mod tests;
