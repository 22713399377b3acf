//! Where a package's advisories are kept: the OSV ecosystem names and the order of versions, from the kind of the
//! package and the distribution (<https://ossf.github.io/osv-schema/#defined-ecosystems>).
//!
//! Nothing is guessed: `ID_LIKE` plays no part, because a derivative rebuilds packages under its own versions. A
//! distribution that is not in this list is [`Home::Unknown`], and so is a release that has no feed name.

use haechi_core::inventory::{Distro, Package, PackageKind};

use crate::version::Scheme;

/// Under which name distributions file their advisories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The source package's (Debian, Ubuntu, Alpine).
    Source,
    /// The binary package's (Red Hat, AlmaLinux; languages have only this).
    Binary,
    /// Either: feeds of these distributions use both.
    Both,
}

/// Where the advisories of a package are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Ecosystem names, the first that speaks about a vulnerability wins.
    pub ecosystems: Vec<String>,
    /// More ecosystems of equal weight: all that begin with the first text and are accepted by the rule.
    pub family: Option<Family>,
    /// The order of versions.
    pub scheme: Scheme,
    /// Under which name.
    pub names: Names,
    /// Who speaks: `debian`, `redhat`; empty for languages.
    pub vendor: &'static str,
}

/// A family of ecosystems that differ in a suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Family {
    /// `Red Hat:enterprise_linux:9`, alone or followed by `:` or `.` (`…:9::baseos`, `…:10.1`). Extended-support streams
    /// (`rhel_eus` …) have versions of their own and are left out.
    RedHat(String),
    /// `SUSE:Linux Enterprise … 15 SP5`, Server and the modules, also `-LTSS`.
    Suse(String),
}

impl Family {
    /// What to ask the database for.
    pub fn prefix(&self) -> &str {
        match self {
            Self::RedHat(prefix) => prefix,
            Self::Suse(_) => "SUSE:Linux Enterprise ",
        }
    }

    /// Whether an ecosystem belongs to it.
    pub fn has(&self, ecosystem: &str) -> bool {
        match self {
            Self::RedHat(prefix) => ecosystem
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.'])),
            Self::Suse(release) => {
                let named = ecosystem.strip_prefix(self.prefix()).unwrap_or_default();
                let named = named.strip_suffix("-LTSS").unwrap_or(named);
                (named.starts_with("Server") || named.starts_with("Module"))
                    && named.strip_suffix(release.as_str()).is_some_and(|rest| rest.ends_with(' '))
            }
        }
    }

    /// Its name for messages.
    pub fn name(&self) -> String {
        match self {
            Self::RedHat(prefix) => prefix.clone(),
            Self::Suse(release) => format!("SUSE:Linux Enterprise Server {release}"),
        }
    }
}

/// Whether it is known where a package's advisories are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// There.
    Known(Place),
    /// Programs without a package: NVD's products.
    Products,
    /// It is not, and why.
    Unknown(String),
}

/// Where a package's advisories are.
pub fn home(package: &Package, distro: Option<&Distro>) -> Home {
    let language = |ecosystem: &str, scheme| {
        Home::Known(Place {
            ecosystems: vec![ecosystem.to_owned()],
            family: None,
            scheme,
            names: Names::Binary,
            vendor: "",
        })
    };
    match package.kind {
        PackageKind::Pypi => language("PyPI", Scheme::Pep440),
        PackageKind::Npm => language("npm", Scheme::Semver),
        PackageKind::Golang => language("Go", Scheme::Semver),
        PackageKind::Cargo => language("crates.io", Scheme::Semver),
        PackageKind::Maven => language("Maven", Scheme::Maven),
        PackageKind::Gem => language("RubyGems", Scheme::Gem),
        PackageKind::Composer => language("Packagist", Scheme::Composer),
        PackageKind::Nuget => language("NuGet", Scheme::Nuget),
        PackageKind::Generic => Home::Products,
        PackageKind::Deb | PackageKind::Apk | PackageKind::Rpm => distribution(package, distro),
    }
}

fn distribution(package: &Package, distro: Option<&Distro>) -> Home {
    let Some(distro) = distro else {
        return Home::Unknown("the image does not say which distribution it is".to_owned());
    };
    let found = match package.kind {
        PackageKind::Deb => deb(distro, &package.version),
        PackageKind::Apk => apk(distro),
        _ => rpm(distro),
    };
    found.map_or_else(
        || {
            Home::Unknown(format!(
                "no feed is known for {} packages of distribution `{}` `{}`",
                package.kind.name(),
                distro.id,
                distro.version
            ))
        },
        Home::Known,
    )
}

fn place(ecosystems: Vec<String>, scheme: Scheme, names: Names, vendor: &'static str) -> Place {
    Place { ecosystems, family: None, scheme, names, vendor }
}

/// Codenames of Debian's releases, for images of testing, whose `os-release` has no number.
const DEBIAN: [(&str, &str); 9] = [
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
    ("sid", "unstable"), // as the feed of the tracker names it; OSV has no such release
];

fn deb(distro: &Distro, version: &str) -> Option<Place> {
    match distro.id.as_str() {
        "debian" => {
            let stated = [distro.version.as_str(), distro.codename.as_str()];
            let release = match major(&distro.version) {
                Some(number) => number,
                // `trixie/sid` is what testing and unstable both call themselves: the newer release is meant.
                None => stated.iter().flat_map(|text| text.split('/')).find_map(|text| {
                    DEBIAN.iter().find(|(name, _)| *name == text).map(|(_, number)| *number)
                })?,
            };
            Some(place(vec![format!("Debian:{release}")], Scheme::Deb, Names::Source, "debian"))
        }
        "ubuntu" => {
            let release = dotted(&distro.version, 2)?;
            let (year, month) = release.split_once('.')?;
            let lts = month == "04" && year.parse::<u16>().is_ok_and(|year| year % 2 == 0);
            let mut plain = vec![format!("Ubuntu:{release}")];
            let mut pro = Vec::new();
            if lts {
                plain.insert(0, format!("Ubuntu:{release}:LTS"));
                // Flaws that only Ubuntu Pro mends are in the Pro feed alone: without it they would pass unseen.
                pro.push(format!("Ubuntu:Pro:{release}:LTS"));
            }
            let esm = version.contains("esm");
            let ecosystems =
                if esm { pro.into_iter().chain(plain).collect() } else { [plain, pro].concat() };
            Some(place(ecosystems, Scheme::Deb, Names::Source, "ubuntu"))
        }
        "echo" => Some(place(vec!["Echo".to_owned()], Scheme::Deb, Names::Source, "echo")),
        _ => None,
    }
}

fn apk(distro: &Distro) -> Option<Place> {
    let rolling =
        |name: &str, vendor| Some(place(vec![name.to_owned()], Scheme::Apk, Names::Both, vendor));
    match distro.id.as_str() {
        // Edge calls itself `3.21_alpha20240807`, or by name.
        "alpine" if distro.version.contains('_') || distro.version == "edge" => {
            Some(place(vec!["Alpine:edge".to_owned()], Scheme::Apk, Names::Source, "alpine"))
        }
        "alpine" => {
            let release = dotted(&distro.version, 2)?;
            Some(place(vec![format!("Alpine:v{release}")], Scheme::Apk, Names::Source, "alpine"))
        }
        "wolfi" => rolling("Wolfi", "wolfi"),
        "chainguard" => Some(place(
            vec!["Chainguard".to_owned(), "Wolfi".to_owned()],
            Scheme::Apk,
            Names::Both,
            "chainguard",
        )),
        "minimos" => rolling("MinimOS", "minimos"),
        "alpaquita" | "bellsoft-hardened-containers" => {
            let base =
                if distro.id == "alpaquita" { "Alpaquita" } else { "BellSoft Hardened Containers" };
            let release = major(&distro.version).unwrap_or("stream");
            Some(place(vec![format!("{base}:{release}")], Scheme::Apk, Names::Both, "bellsoft"))
        }
        _ => None,
    }
}

fn rpm(distro: &Distro) -> Option<Place> {
    let number = major(&distro.version);
    let one =
        |ecosystem: String, names, vendor| Some(place(vec![ecosystem], Scheme::Rpm, names, vendor));
    let family = |family: Family, names, vendor| {
        Some(Place { family: Some(family), ..place(Vec::new(), Scheme::Rpm, names, vendor) })
    };
    match distro.id.as_str() {
        "rhel" => {
            let prefix = format!("Red Hat:enterprise_linux:{}", number?);
            family(Family::RedHat(prefix), Names::Binary, "redhat")
        }
        // CentOS Linux rebuilt RHEL's own versions; Stream runs ahead of them and has no feed.
        "centos" if !distro.name.contains("Stream") && matches!(number, Some("6" | "7" | "8")) => {
            let prefix = format!("Red Hat:enterprise_linux:{}", number?);
            family(Family::RedHat(prefix), Names::Binary, "redhat")
        }
        "almalinux" => one(format!("AlmaLinux:{}", number?), Names::Binary, "almalinux"),
        "rocky" => one(format!("Rocky Linux:{}", number?), Names::Both, "rocky"),
        "ol" => one(format!("Oracle Linux:{}", number?), Names::Binary, "oracle"),
        "fedora" => one(format!("Fedora:{}", number?), Names::Both, "fedora"),
        "amzn" => one(format!("Amazon Linux:{}", number?), Names::Both, "amazon"),
        "azurelinux" | "mariner" => {
            let number = number?;
            let ecosystems =
                vec![format!("Azure Linux:{number}"), format!("Azure Linux:{number}.0")];
            Some(place(ecosystems, Scheme::Rpm, Names::Both, "microsoft"))
        }
        "photon" => {
            one(format!("Photon OS:{}", dotted(&distro.version, 2)?), Names::Both, "photon")
        }
        "opensuse-leap" => {
            one(format!("openSUSE:Leap {}", dotted(&distro.version, 2)?), Names::Both, "suse")
        }
        "opensuse-tumbleweed" => one("openSUSE:Tumbleweed".to_owned(), Names::Both, "suse"),
        "sles" | "sled" | "sles_sap" => {
            let release = match distro.version.split_once('.') {
                Some((release, pack)) if release.parse::<u8>().is_ok_and(|r| r < 16) => {
                    format!("{release} SP{pack}")
                }
                _ => distro.version.clone(),
            };
            family(Family::Suse(release), Names::Both, "suse")
        }
        "openEuler" => {
            // The service pack is only in the full name: `openEuler 24.03 (LTS-SP1)`.
            let release = dotted(&distro.version, 2)?;
            let pack = distro.name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
            let ecosystem = match pack {
                Some((pack, _)) => format!("openEuler:{release}-{}", pack.trim().replace(' ', "-")),
                None => format!("openEuler:{release}"),
            };
            one(ecosystem, Names::Both, "openeuler")
        }
        "mageia" => one(format!("Mageia:{}", number?), Names::Both, "mageia"),
        _ => None,
    }
}

/// The number before the first dot.
fn major(version: &str) -> Option<&str> {
    let number = version.split('.').next()?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// The first `parts` numbers, with the dots between them.
fn dotted(version: &str, parts: usize) -> Option<String> {
    let numbers: Vec<&str> = version.split('.').take(parts).collect();
    let all = numbers.len() == parts
        && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    all.then(|| numbers.join("."))
}

#[cfg(test)]
mod tests;
