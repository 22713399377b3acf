//! Layers become an image: what is still there in the end, which layer brought it, and what it means.
//!
//! Pure: reads nothing but the [`LayerScan`]s and the configuration. Secrets and malware of files that a later layer
//! deletes stay in the result, marked as deleted: whoever has the image has them.

use std::collections::{BTreeMap, HashMap, HashSet};

use haechi_core::inventory::{
    AlteredFile, DangerousFile, Distro, INVENTORY_SCHEMA, MalwareHit, Package, PackageKind, Part,
    Problem, ProblemKind, Scan, ScanLayer, ScanSubject, Secret, WeakSource,
};

use crate::config::Config;
use crate::dangers::secrets::{self, Detectors};
use crate::layer::{Depth, LayerScan, Node};
use crate::packages::files;
use crate::reader::Found;
use crate::tree::{LeafKind, Tree};
use crate::{integrity, purl};

/// Where package databases are when nobody hides them. If a link leads from here to a file that no reader took for a
/// database, packages are in doubt.
const DATABASES: [&str; 11] = [
    "var/lib/dpkg/status",
    "lib/apk/db/installed",
    "usr/lib/apk/db/installed",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages.db",
    "usr/lib/sysimage/rpm/Packages",
    "usr/share/rpm/rpmdb.sqlite",
    "usr/share/rpm/Packages",
];
/// Most characters of a build step that are kept.
const STEP_MAX: usize = 300;

/// Puts layers together. `subject` has what is known about the image besides its configuration.
pub fn merge(layers: &[LayerScan], config: Option<&Config>, subject: ScanSubject) -> Scan {
    let mut tree = Tree::default();
    let mut problems: Vec<Problem> = Vec::new();
    for (number, layer) in (0..).zip(layers) {
        for path in tree.put(number, layer) {
            problems.push(Problem {
                kind: ProblemKind::Absent,
                place: path.to_owned(),
                layer: Some(number),
                detail: "a hard link to a file that is nowhere".into(),
                affects: vec![Part::Files],
            });
        }
        problems
            .extend(layer.problems.iter().map(|p| Problem { layer: Some(number), ..p.clone() }));
    }
    let shown = Shown { tree: &tree, layers };
    let distro = distro(&shown);
    let mut packages = packages(&shown);
    let files = integrity::check(&shown, &mut packages);
    drop_owned_programs(&mut packages, &files.altered);
    problems.extend(hidden_databases(&shown));
    problems.extend(unknown_distro(distro.as_ref(), &packages));
    problems.extend(no_database(distro.as_ref(), &packages));
    problems.extend(nothing_known(&tree, &packages));
    leave_to_distribution(&mut problems, &packages, &files.altered);
    for package in &mut packages {
        package.purl = purl::of(package, distro.as_ref());
    }
    packages.sort();
    packages.dedup();
    let owner: HashMap<&str, &str> = packages
        .iter()
        .filter(|p| p.kind.is_distribution())
        .flat_map(|p| p.files.iter().map(|f| (f.as_str(), p.name.as_str())))
        .collect();
    let (setid_files, world_writable) = dangerous(&shown, &owner);
    if layers.iter().all(|layer| layer.depth == Depth::Everything) {
        problems.extend(files.unknown);
    } else {
        problems.push(only_packages());
    }
    let (mut secrets, mut malware) = (Vec::new(), Vec::new());
    for (number, layer) in (0..).zip(layers) {
        secrets.extend(layer.secrets.iter().map(|(path, hit)| Secret {
            detector: hit.detector.clone(),
            place: path.clone(),
            line: hit.line,
            layer: Some(number),
            deleted: !tree.shows(path, number),
            preview: hit.preview.clone(),
            severity: hit.severity,
        }));
        malware.extend(layer.malware.iter().map(|(path, hit)| MalwareHit {
            rule: hit.rule.clone(),
            description: hit.description.clone(),
            path: path.clone(),
            layer: Some(number),
            deleted: !tree.shows(path, number),
            severity: hit.severity,
        }));
    }
    let mut weak_sources: Vec<WeakSource> = shown
        .found()
        .flat_map(|(_, layer, found)| {
            found.weak_sources.iter().map(move |w| WeakSource { layer: Some(layer), ..w.clone() })
        })
        .collect();
    let mut subject = subject;
    if let Some(config) = config {
        configured(config, &mut subject, &mut secrets, &mut weak_sources);
        subject.uid = uid(&config.user, &shown);
    }
    subject.size = layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size));
    let steps = config.map(Config::steps).unwrap_or_default();
    let mut scan = Scan {
        schema: INVENTORY_SCHEMA.into(),
        subject,
        distro,
        layers: layers
            .iter()
            .enumerate()
            .map(|(number, layer)| ScanLayer {
                digest: layer.diff_id.clone(),
                created_by: steps.get(number).map(|step| redacted(step)).unwrap_or_default(),
                size: layer.size,
                entries: layer.entries,
            })
            .collect(),
        packages,
        setid_files,
        world_writable,
        altered_files: files.altered,
        secrets,
        malware,
        weak_sources,
        problems,
    };
    sort(&mut scan);
    scan
}

fn sort(scan: &mut Scan) {
    scan.setid_files.sort();
    scan.world_writable.sort();
    scan.altered_files.sort();
    scan.secrets.sort();
    scan.secrets.dedup();
    scan.malware.sort();
    scan.malware.dedup();
    scan.weak_sources.sort();
    scan.weak_sources.dedup();
    scan.problems.sort();
    scan.problems.dedup();
}

/// Layers with the tree that they make.
pub struct Shown<'a> {
    /// The tree.
    pub tree: &'a Tree<'a>,
    /// The layers.
    pub layers: &'a [LayerScan],
}

impl<'a> Shown<'a> {
    /// What readers found in files that are there in the end: path, layer, find.
    pub fn found(&self) -> impl Iterator<Item = (&'a str, u32, &'a Found)> {
        let tree = self.tree;
        (0..).zip(self.layers).flat_map(move |(number, layer)| {
            layer
                .found
                .iter()
                .filter(move |(path, _)| tree.shows(path, number))
                .map(move |(path, found)| (path.as_str(), number, found))
        })
    }

    /// What every layer has, with its number: also what later ones hide.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, &'a Node)> {
        (0..)
            .zip(self.layers)
            .flat_map(|(number, layer)| layer.nodes.iter().map(move |node| (number, node)))
    }

    /// What readers found in one file, links followed.
    fn at(&self, path: &str) -> Option<&'a Found> {
        let path = self.tree.resolve(path)?;
        self.found().find(|(found, _, _)| *found == path).map(|(_, _, found)| found)
    }
}

/// The distribution: of all files that name one, the one that comes first by precedence.
fn distro(shown: &Shown<'_>) -> Option<Distro> {
    let mut best: Option<(u8, &Distro)> = None;
    for (path, _, found) in shown.found() {
        if let (Some(distro), Some(order)) = (&found.distro, files::precedence(path))
            && best.is_none_or(|(least, _)| order < least)
        {
            best = Some((order, distro));
        }
    }
    best.map(|(_, distro)| distro.clone())
}

/// Packages of all files that are there in the end, each with the layer that brought this version.
fn packages(shown: &Shown<'_>) -> Vec<Package> {
    // A database is rewritten as a whole in each layer that installs something, so a package came with the first of
    // the unbroken row of databases that list it.
    type Key<'a> = (PackageKind, &'a str, &'a str, &'a str);
    let mut since: HashMap<&str, HashMap<Key<'_>, u32>> = HashMap::new();
    for (number, layer) in (0..).zip(shown.layers) {
        for (path, found) in &layer.found {
            if found.packages.is_empty() {
                continue;
            }
            let before = since.remove(path.as_str()).unwrap_or_default();
            let now = found.packages.iter().map(|p| {
                let key: Key<'_> = (p.kind, &p.name, &p.version, &p.arch);
                (key, before.get(&key).copied().unwrap_or(number))
            });
            since.insert(path, now.collect());
        }
    }
    let mut packages = Vec::new();
    for (path, number, found) in shown.found() {
        let since = since.get(path);
        for package in &found.packages {
            let key: Key<'_> = (package.kind, &package.name, &package.version, &package.arch);
            let layer = since.and_then(|s| s.get(&key)).copied().unwrap_or(number);
            packages.push(Package { layer: Some(layer), ..package.clone() });
        }
    }
    packages
}

/// A program that a distribution package owns is that package, not another one, unless something else was put there.
fn drop_owned_programs(packages: &mut Vec<Package>, altered: &[AlteredFile]) {
    let owned: HashSet<String> =
        as_left(packages, altered).into_iter().map(str::to_owned).collect();
    packages.retain(|p| p.kind != PackageKind::Generic || !owned.contains(&p.path));
}

fn hidden_databases(shown: &Shown<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Where `/etc/os-release` leads is what programs believe; another file may be what was read.
    if let Some(real) = shown.tree.resolve("etc/os-release")
        && files::precedence(&real).is_none()
    {
        problems.push(Problem {
            kind: ProblemKind::UnknownDistro,
            place: "etc/os-release".into(),
            layer: shown.tree.get(&real).map(|leaf| leaf.layer),
            detail: format!("a link leads it to {real}, which was not read"),
            affects: vec![Part::Packages],
        });
    }
    for database in DATABASES {
        let Some(real) = shown.tree.resolve(database) else { continue };
        let leaf = shown.tree.get(&real);
        if !leaf.is_some_and(|leaf| matches!(leaf.kind, LeafKind::File(_))) {
            continue;
        }
        // A database without packages is read all the same; what matters is that its own name was a reader's.
        if real != database && !DATABASES.contains(&real.as_str()) {
            problems.push(Problem {
                kind: ProblemKind::Unsupported,
                place: database.into(),
                layer: leaf.map(|leaf| leaf.layer),
                detail: format!("a link leads the package database to {real}, which was not read"),
                affects: vec![Part::Packages],
            });
        }
    }
    problems
}

fn unknown_distro(distro: Option<&Distro>, packages: &[Package]) -> Option<Problem> {
    if distro.is_some() || !packages.iter().any(|p| p.kind.is_distribution()) {
        return None;
    }
    Some(Problem {
        kind: ProblemKind::UnknownDistro,
        place: "etc/os-release".into(),
        layer: None,
        detail: "there are packages of a distribution, but nothing names it".into(),
        affects: vec![],
    })
}

/// A distribution without any package of it: its database was removed, or is one that nobody here reads.
fn no_database(distro: Option<&Distro>, packages: &[Package]) -> Option<Problem> {
    let distro = distro?;
    if packages.iter().any(|p| p.kind.is_distribution()) {
        return None;
    }
    Some(Problem {
        kind: ProblemKind::Absent,
        place: "package database".into(),
        layer: None,
        detail: format!("the image says that it is {}, but lists none of its packages", distro.id),
        affects: vec![Part::Packages],
    })
}

/// Programs, and not one package: nothing says what they are made of, so nothing can be said of their flaws.
fn nothing_known(tree: &Tree<'_>, packages: &[Package]) -> Option<Problem> {
    if !packages.is_empty() {
        return None;
    }
    let (path, leaf) = tree
        .iter()
        .find(|(_, leaf)| matches!(leaf.kind, LeafKind::File(_)) && leaf.mode & 0o111 != 0)?;
    Some(Problem {
        kind: ProblemKind::Absent,
        place: path.to_owned(),
        layer: Some(leaf.layer),
        detail: "there are programs, and nothing in the image says what they are made of".into(),
        affects: vec![Part::Packages],
    })
}

/// Whoever judges an inventory must not take it for a scan that found nothing.
fn only_packages() -> Problem {
    Problem {
        kind: ProblemKind::Unsupported,
        place: "image".into(),
        layer: None,
        detail: "only packages were looked for".into(),
        affects: vec![Part::Files, Part::Secrets, Part::Malware],
    }
}

/// Files of the distribution's packages that are as those left them.
fn as_left<'a>(packages: &'a [Package], altered: &[AlteredFile]) -> HashSet<&'a str> {
    let changed: HashSet<&str> = altered.iter().map(|f| f.path.trim_start_matches('/')).collect();
    packages
        .iter()
        .filter(|p| p.kind.is_distribution())
        .flat_map(|p| p.files.iter().map(String::as_str))
        .filter(|path| !changed.contains(path))
        .collect()
}

/// A program or archive that says nothing of what it is made of is no gap if a distribution's package owns it and it
/// is as that left it: the distribution's data speak for it.
fn leave_to_distribution(
    problems: &mut Vec<Problem>,
    packages: &[Package],
    altered: &[AlteredFile],
) {
    let owned = as_left(packages, altered);
    problems.retain(|problem| {
        let about_content =
            problem.kind == ProblemKind::Corrupt && problem.affects == [Part::Packages];
        !(about_content && owned.contains(problem.place.as_str()))
    });
}

fn dangerous(
    shown: &Shown<'_>,
    owner: &HashMap<&str, &str>,
) -> (Vec<DangerousFile>, Vec<DangerousFile>) {
    let (mut setid, mut writable) = (Vec::new(), Vec::new());
    // A capability gives a file some of root's rights, whoever runs it, as setuid gives all.
    let capable: HashSet<(&str, u32)> = (0..)
        .zip(shown.layers)
        .flat_map(|(number, layer)| layer.capable.iter().map(move |path| (path.as_str(), number)))
        .collect();
    for (path, leaf) in shown.tree.iter() {
        let folder = leaf.kind == LeafKind::Directory;
        let file = matches!(leaf.kind, LeafKind::File(_));
        let is_setid = file && (leaf.mode & 0o6000 != 0 || capable.contains(&(path, leaf.layer)));
        // Anyone may write into a folder like /tmp; the sticky bit keeps them from each other's files.
        let is_writable = leaf.mode & 0o002 != 0 && (file || folder && leaf.mode & 0o1000 == 0);
        if !is_setid && !is_writable {
            continue;
        }
        let dangerous = DangerousFile {
            path: format!("/{path}"),
            mode: leaf.mode,
            uid: leaf.uid,
            gid: leaf.gid,
            layer: Some(leaf.layer),
            package: owner.get(path).copied().unwrap_or_default().to_owned(),
        };
        if is_setid {
            setid.push(dangerous.clone());
        }
        if is_writable {
            writable.push(dangerous);
        }
    }
    (setid, writable)
}

/// What the configuration tells: who, when, and secrets in environment, labels and history.
fn configured(
    config: &Config,
    subject: &mut ScanSubject,
    secrets: &mut Vec<Secret>,
    weak: &mut Vec<WeakSource>,
) {
    subject.created_at.clone_from(&config.created);
    subject.architecture.clone_from(&config.architecture);
    subject.os.clone_from(&config.os);
    subject.user.clone_from(&config.user);
    let mut look = |place: String, name: &str, value: &str| {
        for hit in hits(name, value) {
            secrets.push(Secret {
                detector: hit.detector,
                place: place.clone(),
                line: 0,
                layer: None,
                deleted: false,
                preview: hit.preview,
                severity: hit.severity,
            });
        }
    };
    for (name, value) in &config.env {
        look(format!("environment {name}"), name, value);
    }
    for (name, value) in &config.labels {
        look(format!("label {name}"), name, value);
    }
    for (number, (step, _)) in (1..).zip(&config.history) {
        look(format!("history step {number}"), "", step);
        for setting in files::weak_in_command(step) {
            weak.push(WeakSource {
                path: format!("history step {number}"),
                line: 0,
                setting,
                layer: None,
            });
        }
    }
}

/// Secrets in a value. The detectors are embedded and their loading is tested; without them a worker does not start.
fn hits(name: &str, value: &str) -> Vec<secrets::Hit> {
    Detectors::embedded().map(|detectors| detectors.scan_value(name, value)).unwrap_or_default()
}

/// A build step as it may be shown: secrets replaced, and not too long.
fn redacted(step: &str) -> String {
    let mut shown: String = step.chars().take(STEP_MAX).collect();
    if shown.len() < step.len() {
        shown.push('…');
    }
    if hits("", step).is_empty() {
        shown
    } else {
        let word = step.split_whitespace().next().unwrap_or_default();
        format!("{} … (not shown: it holds a secret)", word.chars().take(20).collect::<String>())
    }
}

/// The user id of `User`: a number, or a name that the image's accounts know.
fn uid(user: &str, shown: &Shown<'_>) -> Option<i64> {
    let name = user.split(':').next().unwrap_or_default();
    if name.is_empty() {
        return Some(0);
    }
    // A number counts as one even if an account has it for a name, unless the account is there (as runc does it).
    let accounts: BTreeMap<&str, i64> = shown
        .at("etc/passwd")
        .map(|found| found.accounts.iter().map(|(n, id)| (n.as_str(), *id)).collect())
        .unwrap_or_default();
    accounts.get(name).copied().or_else(|| name.parse().ok())
}
