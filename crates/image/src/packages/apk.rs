//! apk (Alpine, Wolfi, Chainguard): installed packages, their files and the files' checksums.
//!
//! Format: the v2 database, `lib/apk/db/installed`; apk 3 writes the same under `usr/lib`
//! (<https://wiki.alpinelinux.org/wiki/Apk_spec>). A checksum of a symbolic link is that of its target's name.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use haechi_core::inventory::{Package, PackageKind, SourcePackage};

use super::files::text::{hex, note, owned_path, shown, text};
use crate::reader::{Digest, Found, Meta, Owned, OwnedFile, Reader, Unread};

/// The database of 1000 packages with all their files has some 10 MB.
const SIZE_MAX: u64 = 128 << 20;

/// Memory for all files: a folder is written once for all its files, so a hostile database could grow.
const FILES_MEMORY_MAX: usize = 256 << 20;

/// Longest value of a field that is taken.
const VALUE_MAX: usize = 4096;

/// Readers of this file.
pub const READERS: &[Reader] =
    &[Reader { name: "apk database", size_max: SIZE_MAX, wants: is_installed, read }];

fn is_installed(meta: &Meta<'_>, _head: &[u8]) -> bool {
    matches!(meta.path, "lib/apk/db/installed" | "usr/lib/apk/db/installed")
}

fn read(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let mut stanza = Stanza::default();
    let mut paths_left = FILES_MEMORY_MAX;
    for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            std::mem::take(&mut stanza).finish(meta.path, found);
            continue;
        }
        if stanza.line == 0 {
            stanza.line = index + 1;
        }
        match line {
            [letter, b':', value @ ..] => stanza.field(*letter, value, &mut paths_left)?,
            _ => note(found, || format!("line {} is no field", index + 1)),
        }
    }
    stanza.finish(meta.path, found);
    Ok(())
}

/// One package while its lines are read.
#[derive(Default)]
struct Stanza {
    /// Its first line, counted from 1.
    line: usize,
    name: String,
    version: String,
    arch: String,
    license: String,
    origin: String,
    maintainer: String,
    folder: Vec<u8>,
    files: Vec<OwnedFile>,
}

impl Stanza {
    /// # Errors
    /// The files need too much memory.
    fn field(&mut self, letter: u8, value: &[u8], paths_left: &mut usize) -> Result<(), Unread> {
        let string = || text(value.get(..VALUE_MAX).unwrap_or(value).trim_ascii());
        match letter {
            b'P' => self.name = string(),
            b'V' => self.version = string(),
            b'A' => self.arch = string(),
            b'L' => self.license = string(),
            b'o' => self.origin = string(),
            b'm' => self.maintainer = string(),
            b'F' => self.folder = value.to_vec(),
            b'R' => {
                let path = owned_path(&[&self.folder, &b"/"[..], value].concat());
                let Some(path) = path else { return Ok(()) };
                *paths_left = paths_left
                    .checked_sub(path.len() + size_of::<OwnedFile>())
                    .ok_or_else(|| Unread("its files need more than 256 MiB".into()))?;
                // apk keeps a changed file below /etc when it upgrades (its default protected path).
                let config = path.starts_with("etc/");
                self.files.push(OwnedFile { path, digest: None, config });
            }
            b'Z' => {
                if let Some(file) = self.files.last_mut() {
                    file.digest = Some(digest(value));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, path: &str, found: &mut Found) {
        if self.line == 0 {
            return;
        }
        if self.name.is_empty() || self.version.is_empty() {
            let what = if self.name.is_empty() { "name" } else { "version" };
            let (line, name) = (self.line, &self.name);
            note(found, || format!("the package {} at line {line} has no {what}", shown(name)));
            return;
        }
        let mut package = Package::new(PackageKind::Apk, self.name, self.version, path);
        let origin = if self.origin.is_empty() { package.name.clone() } else { self.origin };
        // Subpackages are always built together with their origin, in one version.
        package.source = Some(SourcePackage { name: origin, version: package.version.clone() });
        package.arch = self.arch;
        package.vendor = self.maintainer;
        package.licenses = Some(self.license).filter(|text| !text.is_empty()).into_iter().collect();
        if !self.files.is_empty() {
            found.owned.push(Owned { package: package.name.clone(), files: self.files });
        }
        found.packages.push(package);
    }
}

/// `Q1` and base64 of SHA-1, `Q2` and base64 of SHA-256, or hexadecimal MD5 (apk before 2.0).
fn digest(value: &[u8]) -> Digest {
    let decoded = |raw: &[u8]| BASE64_STANDARD.decode(raw).unwrap_or_default();
    let digest = match value {
        [b'Q', b'1', raw @ ..] => decoded(raw).try_into().ok().map(Digest::Sha1),
        [b'Q', b'2', raw @ ..] => decoded(raw).try_into().ok().map(Digest::Sha256),
        raw => hex(raw).map(Digest::Md5),
    };
    digest.unwrap_or(Digest::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(content: &str) -> Found {
        let meta = Meta { path: "lib/apk/db/installed", ..Meta::default() };
        let mut found = Found::default();
        assert!(is_installed(&meta, b""));
        if let Err(Unread(why)) = read(&meta, content.as_bytes(), &mut found) {
            found.unread.push(why);
        }
        found
    }

    #[test]
    fn a_package_with_its_files() {
        let found = read_all(
            "C:Q1x=\nP:libssl3\nV:3.1.4-r5\nA:x86_64\nL:Apache-2.0\no:openssl\nm:A <a@b.example>\n\
             F:etc/ssl\nM:0:0:755\nR:openssl.cnf\na:0:0:644\nZ:Q1AAECAwQFBgcICQoLDA0ODxAREhM=\n\
             F:lib\nR:libssl.so.3\nR:other\nZ:Q1bad\nF:\nR:top\n\nP:musl\nV:1.2-r1\n",
        );
        let package = found.packages.first().unwrap();
        assert_eq!(
            (&*package.name, &*package.version, &*package.arch),
            ("libssl3", "3.1.4-r5", "x86_64")
        );
        assert_eq!(package.licenses, ["Apache-2.0"]);
        let source = package.source.clone().unwrap();
        assert_eq!((&*source.name, &*source.version), ("openssl", "3.1.4-r5"));
        let files = &found.owned.first().unwrap().files;
        let sha1 = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let expected = [
            ("etc/ssl/openssl.cnf", Some(Digest::Sha1(sha1)), true),
            ("lib/libssl.so.3", None, false),
            ("lib/other", Some(Digest::Other), false),
            ("top", None, false),
        ];
        let seen = files.iter().map(|f| (f.path.as_str(), f.digest.clone(), f.config));
        assert!(seen.eq(expected));
        assert_eq!(found.packages.last().unwrap().source.clone().unwrap().name, "musl");
        assert!(found.unread.is_empty());
    }

    #[test]
    fn what_is_broken_is_named() {
        let found = read_all("P:a\n\nV:1\n\njunk\nP:b\nV:2\n");
        assert_eq!(found.packages.len(), 1);
        assert_eq!(found.unread.len(), 3, "{:?}", found.unread);
    }

    #[test]
    fn long_folders_do_not_fill_memory() {
        let content = format!("P:a\nV:1\nF:{}\n{}", "d".repeat(4000), "R:f\n".repeat(100_000));
        let found = read_all(&content);
        assert_eq!(found.unread.len(), 1);
    }
}
