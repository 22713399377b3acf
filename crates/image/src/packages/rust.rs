//! Rust programs: the list of crates that `cargo auditable` puts into a binary.
//!
//! Reads the section `.dep-v0` (JSON, compressed with zlib; <https://github.com/rust-secure-code/cargo-auditable>):
//! crates that are part of the program and come from crates.io. Without that section, the crates whose source paths
//! are in the program's panic messages are listed: a part of them only, for a crate that cannot panic leaves no
//! trace. Called by [`super::programs`], which opens each binary once.

use std::collections::BTreeSet;
use std::io::Read as _;

use haechi_core::inventory::{Package, PackageKind};
use object::{Object as _, ObjectSection as _};
use serde::Deserialize;

use crate::reader::{Found, Meta, Reader};

/// Readers of this file: none of its own, see [`super::programs::READERS`].
pub const READERS: &[Reader] = &[];

/// The list, decompressed: cargo-auditable's own limit.
const LIST_MAX: u64 = 8 << 20;
/// Crates taken from paths: the largest programs have a thousand.
const CRATES_MAX: usize = 10_000;
/// Bytes of a crate's name and version: crates.io allows 64 for a name.
const DIRECTORY_MAX: usize = 192;

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    root: bool,
}

/// Adds the crates of a binary.
pub(super) fn read(
    meta: &Meta<'_>,
    file: Option<&object::File<'_>>,
    content: &[u8],
    found: &mut Found,
) {
    let section = file.and_then(|file| file.section_by_name(".dep-v0"));
    if let Some(section) = section {
        let result = section.data().map_err(|error| error.to_string()).and_then(list);
        match result {
            Ok(list) => {
                found.packages.extend(list.packages.into_iter().filter_map(|it| {
                    // A build dependency runs on the machine that builds. The program's own crate has the source
                    // `local`, but an advisory may be about the program.
                    let shipped = it.kind != "build" && (it.source == "crates.io" || it.root);
                    shipped
                        .then(|| Package::new(PackageKind::Cargo, it.name, it.version, meta.path))
                }));
                return;
            }
            Err(why) => {
                found.unread.push(format!("{}: list of crates (.dep-v0): {why}", meta.path));
            }
        }
    }
    for (name, version) in traces(content) {
        found.packages.push(Package::new(PackageKind::Cargo, name, version, meta.path));
    }
}

fn list(compressed: &[u8]) -> Result<List, String> {
    let mut json = Vec::new();
    flate2::read::ZlibDecoder::new(compressed)
        .take(LIST_MAX + 1)
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    if u64::try_from(json.len()).unwrap_or(u64::MAX) > LIST_MAX {
        return Err(format!("more than {LIST_MAX} bytes"));
    }
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

/// Names and versions in paths such as `…/registry/src/REGISTRY-6f17d22bba15001f/serde-1.0.188/src/…`.
fn traces(content: &[u8]) -> BTreeSet<(String, String)> {
    let mut crates = BTreeSet::new();
    for at in memchr::memmem::find_iter(content, b"/registry/src/") {
        let rest = content.get(at + b"/registry/src/".len()..).unwrap_or_default();
        let rest = rest.get(..DIRECTORY_MAX * 2).unwrap_or(rest);
        let mut parts = rest.split(|&byte| byte == b'/');
        let (Some(registry), Some(directory), Some(_)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // Other registries have crates of the same names; that of crates.io is called by its index, old ones by GitHub.
        let registry = registry.strip_prefix(b"index.").unwrap_or(registry);
        if !registry.starts_with(b"crates.io-") && !registry.starts_with(b"github.com-") {
            continue;
        }
        crates.extend(std::str::from_utf8(directory).ok().and_then(name_and_version));
        if crates.len() >= CRATES_MAX {
            break;
        }
    }
    crates
}

/// `name-1.2.3-rc.1+x` taken apart at the first `-` that three numbers follow.
fn name_and_version(directory: &str) -> Option<(String, String)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    if directory.len() > DIRECTORY_MAX || !directory.chars().all(plain) {
        return None;
    }
    directory.match_indices('-').find_map(|(at, _)| {
        let (name, version) = (directory.get(..at)?, directory.get(at + 1..)?);
        let core = version.split(['-', '+']).next()?;
        let numbers = core.split('.').filter(|part| part.parse::<u64>().is_ok()).count();
        (numbers == 3 && core.split('.').count() == 3 && !name.is_empty())
            .then(|| (name.to_owned(), version.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    /// A 64-bit ELF with the section `.dep-v0`.
    fn elf(data: &[u8]) -> Vec<u8> {
        let names = b"\0.dep-v0\0.shstrtab\0";
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(16, 0);
        out.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        let table = 64 + data.len() + names.len();
        for word in [0_u64, 0, table as u64] {
            out.extend(word.to_le_bytes());
        }
        out.extend([0, 0, 0, 0, 64, 0, 56, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
        out.extend(data);
        out.extend(names);
        let mut section = |name: u32, kind: u32, offset: usize, size: usize| {
            out.extend(name.to_le_bytes());
            out.extend(kind.to_le_bytes());
            for word in [0, 0, offset as u64, size as u64, 0, 1, 0] {
                out.extend(word.to_le_bytes());
            }
        };
        section(0, 0, 0, 0);
        section(1, 1, 64, data.len());
        section(9, 3, 64 + data.len(), names.len());
        out
    }

    fn read_all(content: &[u8]) -> Found {
        let mut found = Found::default();
        let meta = Meta { path: "app", ..Meta::default() };
        let file = object::File::parse(content).ok();
        read(&meta, file.as_ref(), content, &mut found);
        found
    }

    fn names(found: &Found) -> Vec<String> {
        found.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
    }

    #[test]
    fn only_what_is_shipped_and_comes_from_the_registry() {
        let list = br#"{"packages": [
            {"name": "app", "version": "0.1.0", "source": "local", "root": true, "dependencies": [1]},
            {"name": "a", "version": "1.0.0", "source": "crates.io"},
            {"name": "b", "version": "1.0.0", "source": "crates.io", "kind": "build"},
            {"name": "c", "version": "1.0.0", "source": "git", "kind": "runtime"},
            {"name": "d", "version": "1.0.0", "source": "crates.io", "kind": "runtime"}]}"#;
        let found = read_all(&elf(&zlib(list)));
        assert_eq!(names(&found), ["app 0.1.0", "a 1.0.0", "d 1.0.0"]);
        assert!(found.unread.is_empty());
    }

    #[test]
    fn a_broken_or_endless_list_is_named() {
        let bomb = zlib(&vec![b' '; 9 << 20]);
        for (data, why) in [(bomb, "more than"), (b"x".to_vec(), ""), (zlib(b"{}"), "packages")] {
            let found = read_all(&elf(&data));
            assert_eq!(found.unread.len(), 1);
            assert!(found.unread[0].contains(why), "{}", found.unread[0]);
        }
    }

    #[test]
    fn crates_leave_traces_in_paths() {
        let text = "\0/home/u/.cargo/registry/src/REGISTRY-6f17d22bba15001f/foo-bar2-1.2.3-rc.1/src/lib.rs\
            /x/registry/src/github.com-1ecc6299db9ec823/baz-0.1.0/src/a.rs\
            /x/registry/src/my.registry-1ecc6299db9ec823/own-0.1.0/src/a.rs\
            /x/registry/src/REGISTRY-6f17d22bba15001f/no-version/src/a.rs\
            /x/registry/src/REGISTRY-6f17d22bba15001f/cut-1.0.0"
            .replace("REGISTRY", concat!("index", ".crates.io"));
        assert_eq!(names(&read_all(text.as_bytes())), ["baz 0.1.0", "foo-bar2 1.2.3-rc.1"]);
    }
}
