//! From headers to packages and the files that they own, with limits over a whole database.

use haechi_core::inventory::{Package, PackageKind, SourcePackage};

use super::header::{Header, Tag};
use crate::packages::files::text::{PATH_MAX, hex, note, owned_path, shown, text};
use crate::reader::{Digest, Found, Owned, OwnedFile, Unread};

/// Most packages: a distribution has some 60 000, an installation some thousand.
const PACKAGES_MAX: usize = 200_000;

/// Largest header: that of the largest package with 100 000 files has 30 MB.
pub(super) const HEADER_SIZE_MAX: usize = 64 << 20;

/// Memory for all files: folders are written once for many files, so a hostile header could grow.
const FILES_MEMORY_MAX: usize = 256 << 20;

/// Longest name, version or licence.
const TEXT_MAX: usize = 4096;

/// Bits of [`Tag::FileFlags`] (`rpmfiles.h`): configuration, and files that rpm does not install.
const CONFIG: u32 = 1;
const GHOST: u32 = 64;

/// Bit of [`Tag::FileVerifyFlags`]: the content is to be compared.
const VERIFY_DIGEST: u32 = 1;

/// Values of [`Tag::FileStates`]: there as packaged, and left out on purpose (documentation, other languages).
const STATE_NORMAL: u8 = 0;
const STATE_NOT_INSTALLED: u8 = 2;

/// Takes one header after the other.
pub(super) struct Records<'a> {
    path: &'a str,
    found: &'a mut Found,
    /// How many bytes all headers together may still have: the size of the database at first. A hostile one lets
    /// many records point at the same pages.
    bytes_left: usize,
    memory_left: usize,
    seen: usize,
}

impl<'a> Records<'a> {
    /// For a database at this path of this size in bytes.
    pub(super) fn new(path: &'a str, size: usize, found: &'a mut Found) -> Self {
        Self { path, found, bytes_left: size, memory_left: FILES_MEMORY_MAX, seen: 0 }
    }

    /// A part of the database that cannot be read.
    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        note(self.found, text);
    }

    /// Whether a record of this size is taken, and counts it.
    ///
    /// # Errors
    /// There are too many, or together they are larger than the database.
    pub(super) fn admit(&mut self, size: usize) -> Result<bool, Unread> {
        self.seen += 1;
        if self.seen > PACKAGES_MAX {
            return Err(Unread(format!("more than {PACKAGES_MAX} records")));
        }
        if size > HEADER_SIZE_MAX {
            self.note(|| format!("a header has {size} bytes"));
            return Ok(false);
        }
        match self.bytes_left.checked_sub(size) {
            Some(left) => self.bytes_left = left,
            None => return Err(Unread("its records overlap".into())),
        }
        Ok(true)
    }

    /// A header that was [`Records::admit`]ted. `place` names it in notes.
    pub(super) fn take(&mut self, blob: &[u8], place: impl Fn() -> String) {
        let header = match Header::parse(blob) {
            Ok(header) => header,
            Err(why) => return self.note(|| format!("{}: {why}", place())),
        };
        let field = |tag| header.string(tag).filter(|raw| !raw.is_empty() && raw.len() <= TEXT_MAX);
        let fields = (field(Tag::Name), field(Tag::Version), field(Tag::Release));
        let (Some(name), Some(version), Some(release)) = fields else {
            return self.note(|| {
                let name = text(field(Tag::Name).unwrap_or_default());
                format!("{}: {} has no name, version or release", place(), shown(&name))
            });
        };
        if name == b"gpg-pubkey" {
            return;
        }
        let optional = |tag| text(field(tag).unwrap_or_default());
        let epoch = header.int(Tag::Epoch).unwrap_or_default();
        let version = with_epoch(epoch, &format!("{}-{}", text(version), text(release)));
        let mut package = Package::new(PackageKind::Rpm, text(name), version, self.path);
        package.arch = optional(Tag::Arch);
        package.vendor = optional(Tag::Vendor);
        package.module = stated(&optional(Tag::ModularityLabel)).to_owned();
        package.source = source(&optional(Tag::SourceRpm), epoch);
        let license = optional(Tag::License);
        package.licenses = Some(license).filter(|text| !text.is_empty()).into_iter().collect();
        let files = self.files(&header, &package.name);
        if !files.is_empty() {
            self.found.owned.push(Owned { package: package.name.clone(), files });
        }
        self.found.packages.push(package);
    }

    fn files(&mut self, header: &Header<'_>, package: &str) -> Vec<OwnedFile> {
        let folders: Vec<&[u8]> = header.strings(Tag::DirNames).collect();
        let indexes = header.ints(Tag::DirIndexes);
        let modern = header.strings(Tag::BaseNames).zip(indexes).map(|(name, index)| {
            let index = usize::try_from(u32::from_be_bytes(*index)).ok()?;
            let folder = folders.get(index)?;
            // Bounded before it is copied: the same long folder may serve millions of names.
            (folder.len() + name.len() <= PATH_MAX).then(|| [folder, name].concat())
        });
        let old = header.strings(Tag::OldFileNames);
        let old = old.map(|name| (name.len() <= PATH_MAX).then(|| name.to_vec()));
        let details = Details::of(header);
        let mut digests = header.strings(Tag::FileDigests);
        let mut files = Vec::new();
        let mut broken = 0_usize;
        for (index, path) in modern.chain(old).enumerate() {
            let digest = digests.next().unwrap_or_default();
            let Some(path) = path else {
                broken += 1;
                continue;
            };
            let Some(file) = details.file(index, &path, digest) else { continue };
            let cost = file.path.len() + size_of::<OwnedFile>();
            let Some(left) = self.memory_left.checked_sub(cost) else {
                self.note(|| format!("{}: too many files; the rest is left out", shown(package)));
                break;
            };
            self.memory_left = left;
            files.push(file);
        }
        if broken > 0 {
            self.note(|| format!("{}: {broken} files without a usable path", shown(package)));
        }
        files
    }
}

/// What a header says about its files beside their paths.
struct Details<'a> {
    algorithm: u32,
    flags: &'a [[u8; 4]],
    verify: &'a [[u8; 4]],
    states: &'a [u8],
}

impl<'a> Details<'a> {
    fn of(header: &Header<'a>) -> Self {
        Self {
            algorithm: header.int(Tag::FileDigestAlgo).unwrap_or_default(),
            flags: header.ints(Tag::FileFlags),
            verify: header.ints(Tag::FileVerifyFlags),
            states: header.chars(Tag::FileStates),
        }
    }

    /// Nothing if the file was left out on purpose, or is the root.
    fn file(&self, index: usize, path: &[u8], digest: &[u8]) -> Option<OwnedFile> {
        let state = self.states.get(index).copied().unwrap_or(STATE_NORMAL);
        if state == STATE_NOT_INSTALLED {
            return None;
        }
        let flags = at(self.flags, index).unwrap_or_default();
        let verify = at(self.verify, index).unwrap_or(VERIFY_DIGEST);
        // A file in another state was replaced by another package's, which has its own checksum.
        let compared = state == STATE_NORMAL && flags & GHOST == 0 && verify & VERIFY_DIGEST != 0;
        Some(OwnedFile {
            path: owned_path(path)?,
            digest: if compared { self.digest(digest) } else { None },
            config: flags & (CONFIG | GHOST) != 0,
        })
    }

    /// The algorithms are those of OpenPGP (RFC 4880 section 9.4). Folders and links have no checksum.
    fn digest(&self, raw: &[u8]) -> Option<Digest> {
        if raw.is_empty() {
            return None;
        }
        let digest = match self.algorithm {
            0 | 1 => hex(raw).map(Digest::Md5),
            2 => hex(raw).map(Digest::Sha1),
            8 => hex(raw).map(Digest::Sha256),
            _ => None,
        };
        Some(digest.unwrap_or(Digest::Other))
    }
}

fn at(values: &[[u8; 4]], index: usize) -> Option<u32> {
    values.get(index).copied().map(u32::from_be_bytes)
}

/// Tools write `(none)` for what is not there.
pub(super) fn stated(value: &str) -> &str {
    if value == "(none)" { "" } else { value }
}

/// `[epoch:]version-release`; an epoch of 0 is the same as none in every comparison.
pub(super) fn with_epoch(epoch: u32, version: &str) -> String {
    if epoch == 0 { version.to_owned() } else { format!("{epoch}:{version}") }
}

/// From `name-version-release.src.rpm`. That has no epoch: packages built from one source have its epoch unless their
/// author says otherwise, so the package's own is taken.
pub(super) fn source(file: &str, epoch: u32) -> Option<SourcePackage> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let version = with_epoch(epoch, &format!("{version}-{release}"));
    (!name.is_empty()).then(|| SourcePackage { name: name.to_owned(), version })
}
