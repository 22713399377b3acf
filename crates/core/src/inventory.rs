//! What an image (or a root file system) holds, read without running it: a [`Scan`].
//!
//! Filled by `haechi-image`, matched by `haechi-vulns`, judged by [`crate::verdict`], shown by reports. It promises
//! that whatever kept the scan from being whole is among its [`Problem`]s: an empty list of packages without a
//! problem means that there are none. No secret that was found is in here, only where it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Severity;

/// The version of the JSON inventory that this Haechi writes.
pub const INVENTORY_SCHEMA: &str = "haechi/inventory/v1";

/// The kind of a package: the type of its purl (<https://github.com/package-url/purl-spec>).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// Debian and Ubuntu: dpkg.
    Deb,
    /// Alpine, Wolfi, Chainguard: apk.
    Apk,
    /// Red Hat, SUSE, Amazon, Azure, Photon …: rpm.
    Rpm,
    /// Python.
    Pypi,
    /// Node.js.
    Npm,
    /// Go modules.
    Golang,
    /// Rust crates.
    Cargo,
    /// Java.
    Maven,
    /// Ruby.
    Gem,
    /// PHP.
    Composer,
    /// .NET.
    Nuget,
    /// A program that no package owns, known from its own bytes.
    Generic,
}

impl PackageKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Deb,
        Self::Apk,
        Self::Rpm,
        Self::Pypi,
        Self::Npm,
        Self::Golang,
        Self::Cargo,
        Self::Maven,
        Self::Gem,
        Self::Composer,
        Self::Nuget,
        Self::Generic,
    ];

    /// The purl type, which is also the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Golang => "golang",
            Self::Cargo => "cargo",
            Self::Maven => "maven",
            Self::Gem => "gem",
            Self::Composer => "composer",
            Self::Nuget => "nuget",
            Self::Generic => "generic",
        }
    }

    /// Whether a distribution's package manager installs it.
    pub fn is_distribution(self) -> bool {
        matches!(self, Self::Deb | Self::Apk | Self::Rpm)
    }
}

/// The source package that a binary package was built from; advisories of distributions name it.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct SourcePackage {
    /// Name.
    pub name: String,
    /// Version, complete with epoch and release, in the order of its ecosystem.
    pub version: String,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Kind.
    pub kind: PackageKind,
    /// Name as its ecosystem writes it: `openssl`, `@scope/name`, `group:artifact`, `vendor/name`, `github.com/a/b`.
    pub name: String,
    /// Version as its ecosystem writes it, complete: `1:2.36-9+deb12u4`, `4.17.1`, `v1.2.3` for Go.
    pub version: String,
    /// Architecture; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// The source package; absent outside distributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Package URL; empty until the whole image is known, because it names the distribution.
    #[serde(default)]
    pub purl: String,
    /// Where it is recorded: the database or the package's own file; `a.jar!/b.jar` inside archives.
    pub path: String,
    /// The layer that brought this version, counted from 0 at the base; absent if there are no layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// Licences, as it states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Vendor or maintainer, as it states it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// The module of an rpm package (`nodejs:18:…`); empty for others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// Whether it is only asked for (a lock file), not seen to be installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared_only: bool,
    /// CPE 2.3 names for feeds that know it by those; only for [`PackageKind::Generic`] and SBOMs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpes: Vec<String>,
    /// Paths of the files that it owns, without leading `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl Package {
    /// A package with what every one has.
    pub fn new(
        kind: PackageKind,
        name: impl Into<String>,
        version: impl Into<String>,
        path: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            arch: String::new(),
            source: None,
            purl: String::new(),
            path: path.into(),
            layer: None,
            licenses: Vec::new(),
            vendor: String::new(),
            module: String::new(),
            declared_only: false,
            cpes: Vec::new(),
            files: Vec::new(),
        }
    }
}

/// The distribution, as `os-release` states it (<https://www.freedesktop.org/software/systemd/man/os-release.html>).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distro {
    /// `ID`: `debian`, `alpine`, `rhel` …
    pub id: String,
    /// `VERSION_ID`: `12`, `3.20.3`, `9.4`; for Debian's testing and unstable, which have none, the codename.
    pub version: String,
    /// `VERSION_CODENAME`: `bookworm`; empty if not stated.
    #[serde(default)]
    pub codename: String,
    /// `PRETTY_NAME` or `NAME`.
    #[serde(default)]
    pub name: String,
    /// `ID_LIKE`.
    #[serde(default)]
    pub like: Vec<String>,
}

/// What was taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanSubject {
    /// `image`, `container` (an image and what a container changed) or `rootfs`.
    pub kind: String,
    /// As the user named it.
    pub reference: String,
    /// Id of the image: digest of its configuration; empty for others.
    pub id: String,
    /// Digest of its manifest, as registries name it; empty if there is none.
    pub digest: String,
    /// References that it has.
    pub tags: Vec<String>,
    /// When it was made (RFC 3339); empty if it does not say.
    pub created_at: String,
    /// Architecture, with variant.
    pub architecture: String,
    /// Operating system: `linux`.
    pub os: String,
    /// `User` of its configuration; empty means root.
    pub user: String,
    /// The user id that `user` has inside; absent if it cannot be told.
    pub uid: Option<i64>,
    /// Bytes of all layers, uncompressed.
    pub size: u64,
}

/// One layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanLayer {
    /// Digest of its uncompressed bytes (`diff_id`).
    pub digest: String,
    /// The build step that made it, secrets redacted; empty if unknown.
    pub created_by: String,
    /// Bytes, uncompressed.
    pub size: u64,
    /// Entries in its archive.
    pub entries: u64,
}

/// A file whose permissions are a danger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DangerousFile {
    /// Path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Layer.
    pub layer: Option<u32>,
    /// The package that owns it; empty if none does.
    pub package: String,
}

/// How a packaged file differs from its package's record.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Its content is another.
    Changed,
    /// It is gone. Images are slimmed that way on purpose, so by itself it is no danger.
    Missing,
}

/// A packaged file that is not as its package left it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlteredFile {
    /// Path.
    pub path: String,
    /// The package that owns it.
    pub package: String,
    /// How it differs.
    pub change: Change,
    /// The layer that did it.
    pub layer: Option<u32>,
}

/// A secret that lies in the image. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Which detector saw it: `private-key`, `aws-access-key` …
    pub detector: String,
    /// Where: a path, or `history step 3`, `environment NAME`, `label NAME`.
    pub place: String,
    /// Line, counted from 1; 0 if there are none.
    pub line: u32,
    /// Layer; absent for configuration.
    pub layer: Option<u32>,
    /// Whether a later layer deletes the file: whoever has the image still has it.
    pub deleted: bool,
    /// A few harmless characters around it, the secret itself replaced.
    pub preview: String,
    /// How bad it is.
    pub severity: Severity,
}

/// A file that a malware rule matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MalwareHit {
    /// Name of the YARA rule.
    pub rule: String,
    /// What it finds, from its metadata; may be empty.
    pub description: String,
    /// Path.
    pub path: String,
    /// Layer.
    pub layer: Option<u32>,
    /// Whether a later layer deletes the file.
    pub deleted: bool,
    /// How bad it is.
    pub severity: Severity,
}

/// A setting of a package manager that skips verification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeakSource {
    /// File, or `history step N`.
    pub path: String,
    /// Line, counted from 1; 0 if there are none.
    pub line: u32,
    /// The setting as written, secrets redacted.
    pub setting: String,
    /// Layer.
    pub layer: Option<u32>,
}

/// What a problem makes doubtful.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Which packages there are.
    Packages,
    /// Which files there are, with which permissions and content.
    Files,
    /// Which secrets there are.
    Secrets,
    /// Which malware there is.
    Malware,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Packages, Self::Files, Self::Secrets, Self::Malware];
}

/// Why something of an image could not be read: a closed list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// It ends in the middle.
    Truncated,
    /// It breaks the rules of its format.
    Corrupt,
    /// Its bytes do not have the digest that names them.
    DigestMismatch,
    /// It is larger, deeper or longer than any honest one: a bomb.
    Limit,
    /// Its name leads out of the image; it was ignored.
    Escape,
    /// A format that Haechi does not read (foreign layer, encrypted layer …).
    Unsupported,
    /// A part that the manifest names is not there.
    Absent,
    /// Reading it took too long.
    TimedOut,
    /// The reader ended unexpectedly.
    Crashed,
    /// The distribution is unknown, so its packages cannot be matched.
    UnknownDistro,
}

/// Something that kept the scan from being whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Kind.
    pub kind: ProblemKind,
    /// Where: a path in the image, a layer's digest, a part of the archive.
    pub place: String,
    /// Layer; absent if it is about the image as a whole.
    #[serde(default)]
    pub layer: Option<u32>,
    /// What happened, in words.
    pub detail: String,
    /// What it makes doubtful; empty for a remark that changes no verdict.
    #[serde(default)]
    pub affects: Vec<Part>,
}

/// One image taken apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// Format and version: [`INVENTORY_SCHEMA`].
    pub schema: String,
    /// What was taken apart.
    pub subject: ScanSubject,
    /// The distribution; absent if the image says none.
    pub distro: Option<Distro>,
    /// Layers, base first.
    pub layers: Vec<ScanLayer>,
    /// Packages, sorted.
    pub packages: Vec<Package>,
    /// Files with a setuid or setgid bit, sorted.
    pub setid_files: Vec<DangerousFile>,
    /// Files and directories that anyone may write (directories only without the sticky bit), sorted.
    pub world_writable: Vec<DangerousFile>,
    /// Packaged files that are not as their package left them, sorted.
    pub altered_files: Vec<AlteredFile>,
    /// Secrets, sorted.
    pub secrets: Vec<Secret>,
    /// Malware, sorted.
    pub malware: Vec<MalwareHit>,
    /// Settings that skip the verification of packages, sorted.
    pub weak_sources: Vec<WeakSource>,
    /// What kept the scan from being whole, sorted.
    pub problems: Vec<Problem>,
}

impl Scan {
    /// Whether nothing makes this part of the scan doubtful.
    pub fn is_whole(&self, part: Part) -> bool {
        !self.problems.iter().any(|problem| problem.affects.contains(&part))
    }
}
