//! Lock files: packages that a project asks for in an exact version, whether or not they are installed. Each is
//! marked `declared_only`. Readers of this file are used only when lock files are wanted.
//!
//! Dependencies that a lock file itself marks as needed for development only (npm `dev`, `packages-dev`, `develop`,
//! a group called dev or test, scope `test`) are left out; formats that do not mark them (Yarn, Bun, pnpm 9, uv)
//! are read whole. Parts of the project itself (workspaces, local folders) are no packages. A requirement without an
//! exact version is not reported, save where the format promises one: then it is told as unread.

use std::collections::BTreeSet;

use haechi_core::inventory::{Package, PackageKind};

use crate::reader::{Found, Meta, Reader, Unread};

mod dotnet;
mod go;
mod java;
mod node;
mod plain;
mod python;
pub(super) mod xml;

/// Largest lock file. Those of the largest monorepos have about 10 MiB; a parsed tree takes up to 16 times as much.
const SIZE_MAX: u64 = 16 << 20;
/// Parts of one file that are told one by one; of the others only their number.
const UNREAD_MAX: usize = 20;

/// Bytes of a name or version. Addresses of repositories stand there too; without a limit one that others refer to
/// could be copied without end.
const VALUE_MAX: usize = 4096;
/// Characters of a message.
const MESSAGE_MAX: usize = 200;

/// A lock file reader: file name, kind of package, how it is read.
macro_rules! lock_file {
    ($name:literal, $kind:ident, $wants:expr, $read:path) => {
        Reader {
            name: $name,
            size_max: SIZE_MAX,
            wants: $wants,
            read: |meta, content, found| locked(PackageKind::$kind, $read, meta, content, found),
        }
    };
    ($name:literal, $kind:ident, $read:path) => {
        lock_file!($name, $kind, |meta, _| meta.name() == $name, $read)
    };
}

/// Readers of this file.
pub const READERS: &[Reader] = &[
    lock_file!("package-lock.json", Npm, node::package_lock),
    lock_file!("npm-shrinkwrap.json", Npm, node::package_lock),
    lock_file!("yarn.lock", Npm, node::yarn),
    lock_file!("pnpm-lock.yaml", Npm, node::pnpm),
    lock_file!("bun.lock", Npm, node::bun),
    lock_file!("requirements.txt", Pypi, |meta, _| is_requirements(meta), python::requirements),
    lock_file!("poetry.lock", Pypi, python::poetry),
    lock_file!("pdm.lock", Pypi, python::poetry),
    lock_file!("uv.lock", Pypi, python::uv),
    lock_file!("pylock.toml", Pypi, |meta, _| is_pylock(meta), python::pylock),
    lock_file!("Pipfile.lock", Pypi, python::pipfile),
    lock_file!("go.mod", Golang, go::go_mod),
    lock_file!("Cargo.lock", Cargo, plain::cargo),
    lock_file!(
        "Gemfile.lock",
        Gem,
        |meta, _| matches!(meta.name(), "Gemfile.lock" | "gems.locked"),
        plain::gemfile
    ),
    lock_file!("composer.lock", Composer, plain::composer),
    lock_file!("packages.lock.json", Nuget, dotnet::packages_lock),
    lock_file!("packages.config", Nuget, dotnet::packages_config),
    lock_file!("project.assets.json", Nuget, dotnet::project_assets),
    lock_file!(
        "Directory.Packages.props",
        Nuget,
        |meta, _| ends_with(meta.name(), "packages.props"),
        dotnet::packages_props
    ),
    lock_file!(
        "gradle.lockfile",
        Maven,
        |meta, _| matches!(meta.name(), "gradle.lockfile" | "buildscript-gradle.lockfile"),
        plain::gradle
    ),
    lock_file!("sbt lock file", Maven, |meta, _| ends_with(meta.name(), ".sbt.lock"), plain::sbt),
    lock_file!("pom.xml", Maven, java::pom),
    Reader { name: "lock file", size_max: u64::MAX, wants: is_unsupported, read: unsupported },
];

/// Lock files of ecosystems that Haechi does not match: Conan, CocoaPods, Mix, Pub, Swift, Stack, Cabal, renv, Conda.
fn is_unsupported(meta: &Meta<'_>, _head: &[u8]) -> bool {
    matches!(
        meta.name(),
        "conan.lock"
            | "Podfile.lock"
            | "mix.lock"
            | "pubspec.lock"
            | "Package.resolved"
            | "stack.yaml.lock"
            | "cabal.project.freeze"
            | "renv.lock"
            | "conda-lock.yml"
    )
}

/// Says that it is not read, so that its silence is not taken for safety.
fn unsupported(_: &Meta<'_>, _: &[u8], _: &mut Found) -> Result<(), Unread> {
    Err(Unread("packages of this ecosystem are not matched".to_owned()))
}

fn ends_with(name: &str, end: &str) -> bool {
    name.to_ascii_lowercase().ends_with(end)
}

/// `requirements.txt`, and `requirements-prod.txt` but not those for development.
fn is_requirements(meta: &Meta<'_>) -> bool {
    let name = meta.name();
    let middle = name.strip_prefix("requirements").and_then(|rest| rest.strip_suffix(".txt"));
    middle.is_some_and(|middle| match middle.strip_prefix(['-', '_', '.']) {
        Some(group) => !is_development(group),
        None => middle.is_empty(),
    })
}

/// `pylock.toml` and `pylock.<name>.toml` (PEP 751).
fn is_pylock(meta: &Meta<'_>) -> bool {
    meta.name().starts_with("pylock.") && meta.name().ends_with(".toml")
}

/// Whether a group of dependencies is by its name for development only.
fn is_development(group: &str) -> bool {
    let names = ["dev", "develop", "development", "test", "tests", "testing", "docs", "lint"];
    names.contains(&group)
}

/// What a lock file says.
#[derive(Debug, Default)]
struct Lock {
    /// Names and versions.
    packages: BTreeSet<(String, String)>,
    /// Parts that could not be read.
    unread: Vec<String>,
    /// How many more there are.
    more: usize,
}

impl Lock {
    /// A package; without a name or version it is told as unread.
    fn add(&mut self, name: &str, version: &str) {
        let (name, version) = (name.trim(), version.trim());
        if name.is_empty() || version.is_empty() {
            self.tell(&format!("an entry lacks name or version: `{name}` `{version}`"));
        } else if name.len() > VALUE_MAX || version.len() > VALUE_MAX {
            self.tell(&format!("a name or version is longer than {VALUE_MAX} bytes"));
        } else {
            self.packages.insert((name.to_owned(), version.to_owned()));
        }
    }

    /// A part that could not be read.
    fn tell(&mut self, message: &str) {
        if self.unread.len() < UNREAD_MAX {
            self.unread.push(message.chars().take(MESSAGE_MAX).collect());
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// Reads a lock file and keeps what was good even if it ends badly.
fn locked(
    kind: PackageKind,
    read: fn(&[u8], &mut Lock) -> Result<(), Unread>,
    meta: &Meta<'_>,
    content: &[u8],
    found: &mut Found,
) -> Result<(), Unread> {
    let mut lock = Lock::default();
    let result = read(content, &mut lock);
    found.packages.extend(lock.packages.into_iter().map(|(name, version)| {
        let mut package = Package::new(kind, name, version, meta.path);
        package.declared_only = true;
        package
    }));
    found.unread.extend(lock.unread);
    if lock.more > 0 {
        found.unread.push(format!("and {} more", lock.more));
    }
    result
}

/// The text of a file in UTF-8, or in UTF-16 with a byte order mark as Windows writes it. Other bytes are replaced.
fn text(content: &[u8]) -> String {
    let wide = |from: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let (pairs, _) = bytes.as_chunks::<2>();
        String::from_utf16_lossy(&pairs.iter().map(|pair| from(*pair)).collect::<Vec<u16>>())
    };
    match content {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(content).into_owned(),
    }
}

/// `name@version`, where a name may begin with `@`.
fn name_and_version(spec: &str) -> Option<(&str, &str)> {
    let at = spec.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
    Some((spec.get(..at)?, spec.get(at + 1..)?))
}

#[cfg(test)]
mod tests;
