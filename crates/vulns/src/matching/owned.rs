//! Packages of a language that a distribution's package brought (`python3-requests` and its `dist-info`).
//!
//! The distribution mends them without changing the upstream version, so upstream's ranges are wrong for them and its
//! own advisories decide. That holds only for packages that the distribution built: a package of somebody else's
//! repository (known by its maintainer or vendor) has no such advisories, and its content is judged by upstream's.

use std::collections::{HashMap, HashSet};

use haechi_core::inventory::{Distro, Package, PackageKind, Scan};

/// For each path of a language package: the index of the distribution package that owns the file. What was altered
/// since is not what the distribution built.
pub fn owners(scan: &Scan) -> HashMap<&str, usize> {
    let packages = &scan.packages;
    let altered: HashSet<&str> =
        scan.altered_files.iter().map(|file| file.path.trim_start_matches('/')).collect();
    let mut wanted: HashMap<&str, Option<usize>> = packages
        .iter()
        .filter(|package| !package.kind.is_distribution())
        .map(|package| (file_of(package), None))
        .filter(|(path, _)| !altered.contains(path))
        .collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    for (index, package) in packages.iter().enumerate() {
        if !package.kind.is_distribution() {
            continue;
        }
        for file in &package.files {
            if let Some(owner) = wanted.get_mut(file.as_str()) {
                owner.get_or_insert(index);
            }
        }
    }
    wanted.into_iter().filter_map(|(path, owner)| Some((path, owner?))).collect()
}

/// The file on disk that a package is recorded in: the outer archive of `a.jar!/b.jar`.
pub fn file_of(package: &Package) -> &str {
    let path = package.path.split_once("!/").map_or(package.path.as_str(), |(outer, _)| outer);
    path.strip_prefix('/').unwrap_or(path)
}

/// Whether the distribution itself built the package, as far as its maintainer tells. If it states none, it did.
pub fn is_distributions_own(package: &Package, distro: Option<&Distro>) -> bool {
    // Anybody may be the maintainer of an aport; repositories of others are rare there.
    if package.vendor.is_empty() || package.kind == PackageKind::Apk {
        return true;
    }
    let vendor = package.vendor.to_lowercase();
    let id = distro.map_or("", |distro| distro.id.as_str());
    let marks: &[&str] = match id {
        "debian" => &["debian.org"],
        "ubuntu" => &["ubuntu.com", "debian.org", "canonical.com"],
        "rhel" => &["red hat"],
        "centos" => &["centos", "red hat"],
        "almalinux" => &["almalinux"],
        "rocky" => &["rocky"],
        "ol" => &["oracle"],
        "fedora" => &["fedora"],
        "amzn" => &["amazon"],
        "azurelinux" | "mariner" => &["microsoft"],
        "photon" => &["vmware", "broadcom"],
        "opensuse-leap" | "opensuse-tumbleweed" | "sles" | "sled" | "sles_sap" => {
            &["suse", "opensuse"]
        }
        _ => &[],
    };
    marks.is_empty() || marks.iter().any(|mark| vendor.contains(mark))
}
