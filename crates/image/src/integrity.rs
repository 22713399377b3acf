//! Packaged files against their packages' records: who owns what, and what was altered since.
//!
//! A file whose package gives no checksum is neither altered nor whole: it is left out. One whose checksum was not
//! computed is a problem of the image.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use haechi_core::inventory::{
    AlteredFile, Change, Package, PackageKind, Part, Problem, ProblemKind,
};

use crate::layer::NodeKind;
use crate::merge::Shown;
use crate::reader::{Digest, Found, OwnedFile};
use crate::tree::LeafKind;

/// Documentation that slim images leave out; nobody misses it.
const LEFT_OUT: [&str; 7] = [
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/licenses/",
    "usr/share/linda/",
];

/// What came out.
#[derive(Debug, Default)]
pub struct Integrity {
    /// Files that are not as their package left them.
    pub altered: Vec<AlteredFile>,
    /// That there are files which could not be compared, although their packages have checksums for them.
    pub unknown: Option<Problem>,
}

/// Gives each package its files, and compares them.
pub fn check(shown: &Shown<'_>, packages: &mut [Package]) -> Integrity {
    let diverted: HashMap<&str, &str> = shown
        .found()
        .flat_map(|(_, _, found)| found.diversions.iter().map(|(a, b)| (a.as_str(), b.as_str())))
        .collect();
    // A package of dpkg has its files in several places: `.list`, `.md5sums`, and conffiles in `status`.
    let mut owned: BTreeMap<(PackageKind, String), BTreeMap<&str, &OwnedFile>> = BTreeMap::new();
    for (path, _, found) in shown.found() {
        let kind = kind_of(path, found);
        for package in &found.owned {
            let files = owned.entry((kind, agreed(kind, &package.package))).or_default();
            for file in &package.files {
                let known = files.entry(&file.path).or_insert(file);
                // What is said to be configuration stays so; a digest is better than none.
                if !known.config && (file.config || known.digest.is_none()) {
                    *known = file;
                }
            }
        }
    }
    let mut out = Integrity::default();
    let mut seen = BTreeSet::new();
    let mut links: Vec<(usize, String)> = Vec::new();
    let mut unknown: Option<(String, u32, usize)> = None;
    for (number, package) in packages.iter_mut().enumerate() {
        let Some(files) = owned.get(&(package.kind, agreed(package.kind, &package.name))) else {
            continue;
        };
        for file in files.values() {
            let path = diverted.get(file.path.as_str()).copied().unwrap_or(&file.path);
            // The file itself is not followed: what a link leads to is another package's.
            let real = shown.tree.resolve_parent(path);
            let leaf = real.as_deref().and_then(|real| shown.tree.get(real));
            let Some((real, leaf)) = real.as_deref().zip(leaf) else {
                let left_out = LEFT_OUT.iter().any(|folder| path.starts_with(folder));
                if file.digest.is_some()
                    && !file.config
                    && !left_out
                    && seen.insert(path.to_owned())
                {
                    out.altered.push(altered(path, package, Change::Missing, None));
                }
                continue;
            };
            if let LeafKind::Symlink(_) = leaf.kind {
                links.extend(shown.tree.resolve(real).map(|target| (number, target)));
            }
            let LeafKind::File(sums) = leaf.kind else {
                // A checksum of a file, and no file there any more. Those of apk may be of a link itself.
                let was_file = file.digest.is_some() && !file.config;
                let is_new = was_file && package.kind == PackageKind::Deb && path == file.path;
                if is_new && seen.insert(real.to_owned()) {
                    out.altered.push(altered(real, package, Change::Changed, Some(leaf.layer)));
                }
                continue;
            };
            package.files.push(real.to_owned());
            let matches =
                sums.zip(file.digest.as_ref()).and_then(|(sums, digest)| sums.matches(digest));
            if matches == Some(false) && !file.config && seen.insert(real.to_owned()) {
                out.altered.push(altered(real, package, Change::Changed, Some(leaf.layer)));
            }
            let comparable = file.digest.as_ref().is_some_and(|digest| *digest != Digest::Other);
            if matches.is_none() && comparable && !file.config {
                unknown.get_or_insert_with(|| (real.to_owned(), leaf.layer, 0)).2 += 1;
            }
        }
    }
    link(shown, packages, links);
    for package in packages {
        package.files.sort();
        package.files.dedup();
    }
    out.unknown = unknown.map(|(place, layer, count)| Problem {
        kind: ProblemKind::Unsupported,
        place,
        layer: Some(layer),
        detail: format!(
            "{count} files, this one first, could not be compared with their packages' checksums"
        ),
        affects: vec![Part::Files],
    });
    out
}

/// A file of another package to which a package's link leads is a file of both, and so are all names of one file: whichever
/// is used, both are. `links` are the packages' own, by their place; what no package owns becomes nobody's by a link.
fn link(shown: &Shown<'_>, packages: &mut [Package], links: Vec<(usize, String)>) {
    let mut owners: HashMap<(PackageKind, String), Vec<usize>> = HashMap::new();
    for (number, package) in packages.iter().enumerate() {
        for file in &package.files {
            owners.entry((package.kind, file.clone())).or_default().push(number);
        }
    }
    for (number, target) in links {
        let Some(package) = packages.get_mut(number) else { continue };
        if owners.contains_key(&(package.kind, target.clone())) {
            package.files.push(target);
        }
    }
    let kinds: BTreeSet<PackageKind> = owners.keys().map(|(kind, _)| *kind).collect();
    for (layer, node) in shown.nodes() {
        let NodeKind::Hardlink(target) = &node.kind else { continue };
        if !shown.tree.shows(&node.path, layer) {
            continue;
        }
        for (one, other) in [(target, &node.path), (&node.path, target)] {
            for kind in &kinds {
                for number in owners.get(&(*kind, one.clone())).into_iter().flatten() {
                    if let Some(package) = packages.get_mut(*number) {
                        package.files.push(other.clone());
                    }
                }
            }
        }
    }
}

fn altered(path: &str, package: &Package, change: Change, layer: Option<u32>) -> AlteredFile {
    AlteredFile { path: format!("/{path}"), package: package.name.clone(), change, layer }
}

/// Whose record this is: that of the packages beside it, or else told by the path.
fn kind_of(path: &str, found: &Found) -> PackageKind {
    match found.packages.first() {
        Some(package) => package.kind,
        None if path.contains("/dpkg/") || path.contains("/opkg/") => PackageKind::Deb,
        None => PackageKind::Pypi,
    }
}

/// A name as records of its kind agree on it: dpkg adds the architecture, Python writes names in several ways.
fn agreed(kind: PackageKind, name: &str) -> String {
    match kind {
        PackageKind::Deb => name.split(':').next().unwrap_or_default().to_owned(),
        PackageKind::Pypi => name.to_lowercase().replace(['_', '.'], "-"),
        _ => name.to_owned(),
    }
}
