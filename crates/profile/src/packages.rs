//! Which packages of an image run: from files that were used to the packages that own them.
//!
//! Promises that no package is called "present only" while a file of it was seen in use, or while something could have been
//! missed, or while it is not known which files it has, or while code ran that may be a copy of it. Reading a file counts as loading it: code that is read by an
//! interpreter is data to the kernel.

use std::collections::{BTreeMap, HashMap, HashSet};

use haechi_core::inventory::{Package, PackageKind};
use haechi_core::profile::{Entry, Kind};
pub use haechi_core::report::profiles::PackageState as State;
use haechi_core::report::profiles::{PackageCounts, PackageStates};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{blind, news};

/// A package, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageUse {
    /// Kind of the package.
    pub kind: PackageKind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL; empty if it has none.
    pub purl: String,
    /// The layer that brought it.
    pub layer: Option<u32>,
    /// What was seen.
    pub state: State,
    /// A file of it that was used; empty if none was.
    pub file: String,
    /// Path of the program that used it; empty if unknown.
    pub by: String,
    /// When that file was seen in use first; absent if none was.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub first_at: Option<Timestamp>,
}

/// The packages of an image by what was seen of them, in the order of the inventory. `is_settled` says whether programs and
/// files are known well enough for "present only".
pub fn of<'p>(
    packages: impl IntoIterator<Item = &'p Package>,
    entries: &[Entry],
    is_settled: bool,
) -> Vec<PackageUse> {
    let used = Used::of(entries);
    let packages: Vec<&Package> = packages.into_iter().collect();
    // Of what ran and did not come with the image nobody knows what it is.
    let is_settled = is_settled && !entries.iter().any(blind::is_foreign);
    let unowned = used.unowned(&packages);
    packages
        .into_iter()
        .map(|package| {
            let found = used.of_package(package);
            let state = match &found {
                Some((State::Executed, _)) => State::Executed,
                Some(_) => State::Loaded,
                None if is_settled
                    && knows_files(package)
                    && !package.declared_only
                    && !unowned.may_be_of(package) =>
                {
                    State::Present
                }
                None => State::Unknown,
            };
            let entry = found.map(|(_, entry)| entry);
            PackageUse {
                kind: package.kind,
                name: package.name.clone(),
                version: package.version.clone(),
                purl: package.purl.clone(),
                layer: package.layer,
                state,
                file: entry.map(|entry| entry.value.clone()).unwrap_or_default(),
                by: entry.map(|entry| entry.program.clone()).unwrap_or_default(),
                first_at: entry.map(|entry| entry.first_at),
            }
        })
        .collect()
}

/// What was seen of packages by name and version: of several of the same, none looks better than it is.
pub fn states(uses: &[PackageUse]) -> PackageStates {
    let mut states = PackageStates::new();
    for one in uses {
        let known = states.entry(format!("{} {}", one.name, one.version)).or_insert(one.state);
        *known = known.or(one.state);
    }
    states
}

/// How many packages there are of each state.
pub fn counts(uses: &[PackageUse]) -> PackageCounts {
    let mut counts: PackageCounts = State::ALL.map(|state| (state, 0)).into();
    for one in uses {
        *counts.entry(one.state).or_default() += 1;
    }
    counts
}

/// Whether it is known which files a package has: from a list, or because it is where it was found.
fn knows_files(package: &Package) -> bool {
    !package.files.is_empty()
        || match package.kind {
            PackageKind::Golang | PackageKind::Cargo | PackageKind::Generic => {
                !package.path.is_empty()
            }
            PackageKind::Maven => {
                let path = package.path.to_lowercase();
                [".jar", ".war", ".ear"].iter().any(|end| path.contains(end))
            }
            PackageKind::Npm | PackageKind::Gem => !folders(package).is_empty(),
            // Of the others a list says it, or nothing does: a module may be called something else than its package.
            _ => false,
        }
}

/// Files that were used, by their path as [`merged`] has it.
struct Used<'a> {
    by_path: HashMap<String, (State, &'a Entry)>,
    /// In order, for folders.
    sorted: BTreeMap<String, (State, &'a Entry)>,
    /// What a program was started by: the kernel maps it, and no call tells.
    started: Option<&'a Entry>,
}

impl<'a> Used<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let mut by_path: HashMap<String, (State, &Entry)> = HashMap::new();
        let mut started = None;
        for entry in entries {
            let state = match entry.kind {
                Kind::Executed => State::Executed,
                Kind::Mapped | Kind::Read => State::Loaded,
                _ => continue,
            };
            // The first is as good as any, and one of the image better than what somebody put there.
            if state == State::Executed && started.is_none_or(blind::is_foreign) {
                started = Some(entry);
            }
            let path = merged(&entry.value).to_owned();
            let source = source_of(&path);
            for path in std::iter::once(path).chain(source) {
                let known = by_path.entry(path).or_insert((state, entry));
                // The order of states is that of how much they say.
                if state < known.0 {
                    *known = (state, entry);
                }
            }
        }
        let sorted = by_path.iter().map(|(path, used)| (path.clone(), *used)).collect();
        Self { by_path, sorted, started }
    }

    /// Code that ran and that no package has where it lay.
    fn unowned(&self, packages: &[&Package]) -> Unowned {
        let mut paths: HashSet<&str> = HashSet::new();
        let mut all: Vec<String> = Vec::new();
        for package in packages {
            paths.extend(package.files.iter().map(|file| merged(file)));
            paths.insert(merged(package.path.split("!/").next().unwrap_or_default()));
            all.extend(folders(package).iter().map(|folder| format!("{}/", merged(folder))));
        }
        let mut unowned = Unowned::default();
        for (path, (_, entry)) in &self.by_path {
            let is_owned =
                paths.contains(path.as_str()) || all.iter().any(|folder| path.starts_with(folder));
            match entry.kind {
                _ if is_owned => {}
                Kind::Read if news::is_code(path) => drop(unowned.modules.insert(path.clone())),
                Kind::Read => {}
                _ => drop(unowned.programs.insert(name_of(path).to_owned())),
            }
        }
        for path in &unowned.modules {
            unowned.ends.insert(end_of(path, 1).to_owned());
            unowned.ends.insert(end_of(path, 2).to_owned());
        }
        unowned
    }

    /// The file of a package whose use says most.
    fn of_package(&self, package: &Package) -> Option<(State, &'a Entry)> {
        let mut best: Option<(State, &Entry)> = None;
        let mut take = |found: Option<(State, &'a Entry)>| {
            if let Some(found) = found
                && best.is_none_or(|best| found.0 < best.0)
            {
                best = Some(found);
            }
        };
        for file in &package.files {
            take(self.by_path.get(merged(file)).copied());
            if is_loader(file) {
                take(self.started.map(|entry| (State::Loaded, entry)));
            }
        }
        if !package.kind.is_distribution() {
            // A program or an archive is its package; of others it is the file that describes them.
            let own = package.path.split("!/").next().unwrap_or_default();
            take(self.by_path.get(merged(own)).copied());
            for folder in folders(package) {
                take(self.in_folder(&folder, package.kind));
            }
        }
        best
    }

    fn in_folder(&self, folder: &str, kind: PackageKind) -> Option<(State, &'a Entry)> {
        let begins = format!("{}/", merged(folder).trim_end_matches('/'));
        let inside =
            self.sorted.range(begins.clone()..).take_while(|(path, _)| path.starts_with(&begins));
        inside
            // A package inside has files of its own.
            .filter(|(path, _)| {
                let rest = path.get(begins.len()..).unwrap_or_default();
                kind != PackageKind::Npm || !rest.contains("node_modules/")
            })
            .map(|(_, used)| *used)
            .min_by_key(|(state, _)| *state)
    }
}

/// Folders below which interpreters look for modules by name.
const MODULES: [&str; 5] = ["site-packages", "dist-packages", "python3", "node_modules", "gems"];

/// Code that ran and that no package has where it lay: it may be that of a package which somebody moved, copied, diverted, put
/// below another root, or mounted elsewhere.
#[derive(Debug, Default)]
struct Unowned {
    /// Names of programs and libraries.
    programs: HashSet<String>,
    /// Paths of what interpreters read.
    modules: HashSet<String>,
    /// The last name of those, and the last two.
    ends: HashSet<String>,
}

impl Unowned {
    fn may_be_of(&self, package: &Package) -> bool {
        // Many modules have the same name, but not in folders of the same name.
        let is_module = |file: &str| {
            let folder = file.rsplit('/').nth(1).unwrap_or_default();
            self.ends.contains(end_of(file, 2))
                || MODULES.contains(&folder) && self.ends.contains(end_of(file, 1))
        };
        let is_file = |file: &String| self.programs.contains(name_of(file)) || is_module(file);
        let is_in = |folder: &String| {
            let inside = format!("/{}/", end_of(folder, 2));
            self.modules.iter().any(|path| format!("/{path}").contains(&inside))
        };
        package.files.iter().any(is_file) || folders(package).iter().any(is_in)
    }
}

/// The last names of a path.
fn end_of(path: &str, names: usize) -> &str {
    let slash = path.rmatch_indices('/').nth(names - 1);
    slash.map_or(path, |(at, _)| path.get(at + 1..).unwrap_or(path))
}

/// The name of a file, without what dpkg-divert(1) adds to it.
fn name_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".distrib").unwrap_or(name)
}

/// Folders that are a package's own, where its list of files is not kept.
fn folders(package: &Package) -> Vec<String> {
    let path = package.path.split("!/").next().unwrap_or_default();
    let parent = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    match package.kind {
        // node_modules/NAME/package.json
        PackageKind::Npm if path.ends_with("/package.json") => parent(path).into_iter().collect(),
        // specifications/NAME-VERSION.gemspec describes gems/NAME-VERSION/.
        PackageKind::Gem => {
            let Some((before, file)) = path.rsplit_once("/specifications/") else {
                return Vec::new();
            };
            let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".gemspec");
            vec![format!("{before}/gems/{name}")]
        }
        // Without a list of files: the folder of the package's name beside its description.
        PackageKind::Pypi if package.files.is_empty() => {
            let beside = parent(path).and_then(|info| parent(&info));
            let module = package.name.replace('-', "_");
            beside.map(|folder| format!("{folder}/{module}")).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The source of a compiled Python module: `a/__pycache__/b.cpython-311.pyc` is `a/b.py`.
fn source_of(path: &str) -> Option<String> {
    let (folder, file) = path.rsplit_once("/__pycache__/")?;
    let module = file.strip_suffix(".pyc")?.split('.').next()?;
    Some(format!("{folder}/{module}.py"))
}

/// Whether a file is what the kernel starts programs with (ld.so(8)).
pub fn is_loader(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "ld.so" || name.starts_with("ld-") && name.contains(".so") || name.starts_with("ld.so.")
}

/// A path without its first `/`, and without `usr/` where distributions have merged the folders below it with those of
/// the root: package databases still name either.
pub fn merged(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    match path.strip_prefix("usr/") {
        Some(rest)
            if ["bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/"]
                .iter()
                .any(|folder| rest.starts_with(folder)) =>
        {
            rest
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, value: &str) -> Entry {
        Entry {
            kind,
            value: value.into(),
            first_at: Timestamp::UNIX_EPOCH,
            container: "c".into(),
            origin: "image".into(),
            program: "/usr/bin/python3.11".into(),
        }
    }

    fn package(kind: &str, name: &str, path: &str, files: &[&str]) -> Package {
        let json = serde_json::json!({
            "kind": kind, "name": name, "version": "1", "purl": "", "path": path, "files": files,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_was_used_is_never_called_present_only() {
        let packages = [
            package("deb", "coreutils", "var/lib/dpkg/status", &["bin/ls", "bin/cat"]),
            package(
                "deb",
                "libssl3",
                "var/lib/dpkg/status",
                &["usr/lib/x86_64-linux-gnu/libssl.so.3"],
            ),
            package("deb", "perl", "var/lib/dpkg/status", &["usr/bin/perl"]),
            package("deb", "unlisted", "var/lib/dpkg/status", &[]),
            package("apk", "musl", "lib/apk/db/installed", &["lib/ld-musl-x86_64.so.1"]),
            package("pypi", "flask", "srv/flask-1.dist-info/METADATA", &["srv/flask/app.py"]),
            package("pypi", "jinja2", "srv/jinja2-1.dist-info/METADATA", &["srv/jinja2/a.py"]),
            package("npm", "outer", "app/node_modules/outer/package.json", &[]),
            package("npm", "inner", "app/node_modules/outer/node_modules/inner/package.json", &[]),
            package("gem", "rack", "var/gems/specifications/rack-1.gemspec", &[]),
            package("maven", "g:a", "app/a.jar!/BOOT-INF/lib/b.jar", &[]),
            package("golang", "stdlib", "usr/local/bin/tool", &[]),
            // Its module is called yaml, and no list says so.
            package("pypi", "pyyaml", "srv/pyyaml-6.egg-info/PKG-INFO", &[]),
            package("composer", "lib/c", "srv/vendor/composer/installed.json", &[]),
        ];
        let entries = [
            entry(Kind::Executed, "/usr/bin/ls"),
            entry(Kind::Mapped, "/lib/x86_64-linux-gnu/libssl.so.3"),
            entry(Kind::Read, "/srv/flask/__pycache__/app.cpython-311.pyc"),
            entry(Kind::Read, "/app/node_modules/outer/node_modules/inner/index.js"),
            entry(Kind::Read, "/var/gems/gems/rack-1/lib/rack.rb"),
            entry(Kind::Read, "/app/a.jar"),
            entry(Kind::Executed, "/usr/local/bin/tool"),
            entry(Kind::Written, "/usr/bin/perl"),
        ];
        let states = |is_settled| {
            let found = of(&packages, &entries, is_settled);
            found.into_iter().map(|one| (one.name, one.state)).collect::<Vec<_>>()
        };
        let expected = [
            ("coreutils", State::Executed),
            ("libssl3", State::Loaded),
            ("perl", State::Present),
            ("unlisted", State::Unknown),
            ("musl", State::Loaded),
            ("flask", State::Loaded),
            ("jinja2", State::Present),
            ("outer", State::Present),
            ("inner", State::Loaded),
            ("rack", State::Loaded),
            ("g:a", State::Loaded),
            ("stdlib", State::Executed),
            ("pyyaml", State::Unknown),
            ("lib/c", State::Unknown),
        ];
        assert_eq!(states(true), expected.map(|(name, state)| (name.to_owned(), state)));
        // Not long enough: nothing is present only.
        assert!(states(false).iter().all(|(_, state)| *state != State::Present));
        let before: Vec<_> = expected.iter().filter(|(_, s)| *s <= State::Loaded).collect();
        assert_eq!(states(false).iter().filter(|(_, s)| *s <= State::Loaded).count(), before.len());
    }

    #[test]
    fn what_ran_and_may_be_a_copy_of_a_package_takes_the_claim_back() {
        let packages = [
            package("deb", "perl", "status", &["usr/bin/perl"]),
            package("deb", "node", "status", &["usr/bin/node"]),
            package("golang", "stdlib", "usr/local/bin/tool", &[]),
        ];
        let states = |path: &str, origin: &str| {
            let entries = [Entry { origin: origin.into(), ..entry(Kind::Executed, path) }];
            let found = of(&packages, &entries, true);
            found.into_iter().map(|one| one.state).collect::<Vec<_>>()
        };
        use State::{Executed, Present, Unknown};
        // Below another root, or diverted; a name that none has; not of the image.
        assert_eq!(states("/jail/usr/bin/perl", "image"), [Unknown, Present, Present]);
        assert_eq!(states("/usr/bin/perl.distrib", "image"), [Unknown, Present, Present]);
        assert_eq!(states("/opt/app", "image"), [Present; 3]);
        assert_eq!(states("/usr/local/bin/tool", "image"), [Present, Present, Executed]);
        for origin in ["changed", "mounted", "memory", "replaced"] {
            assert_eq!(states("/opt/app", origin), [Unknown; 3], "{origin}");
            assert_eq!(states("/usr/bin/perl", origin), [Executed, Unknown, Unknown], "{origin}");
        }
    }

    #[test]
    fn modules_that_were_read_elsewhere_may_be_those_of_a_package() {
        let site = "usr/local/lib/python3.11/dist-packages";
        let packages = [
            package("pypi", "foo", "m", &[&format!("{site}/foo/__init__.py")]),
            package("pypi", "bar", "m", &[&format!("{site}/bar/__init__.py")]),
            package("pypi", "six", "m", &[&format!("{site}/six.py")]),
            package("npm", "left", "usr/lib/node_modules/left/package.json", &[]),
        ];
        let states = |path: &str| {
            let entries = [entry(Kind::Read, path)];
            of(&packages, &entries, true).into_iter().map(|one| one.state).collect::<Vec<_>>()
        };
        use State::{Present, Unknown};
        // What a container mounts itself lies elsewhere, in whole or in part.
        let found = states("/m/lib/python3.11/dist-packages/foo/__init__.py");
        assert_eq!(found, [Unknown, Present, Present, Present]);
        let found = states("/m/foo/__pycache__/__init__.cpython-311.pyc");
        assert_eq!(found, [Unknown, Present, Present, Present]);
        assert_eq!(states("/m/six.py"), [Present, Present, Unknown, Present]);
        assert_eq!(states("/m/node_modules/left/a.js"), [Present, Present, Present, Unknown]);
        // The workload's own code.
        assert_eq!(states("/srv/app/__init__.py"), [Present; 4]);
        assert_eq!(states("/srv/left.js"), [Present; 4]);
    }

    #[test]
    fn a_name_that_two_packages_have_is_that_of_the_one_that_runs() {
        let packages = [
            package("npm", "a", "x/node_modules/a/package.json", &[]),
            package("npm", "a", "y/node_modules/a/package.json", &[]),
        ];
        let entries = [entry(Kind::Read, "/y/node_modules/a/index.js")];
        let found = of(&packages, &entries, true);
        assert_eq!(
            found.iter().map(|one| one.state).collect::<Vec<_>>(),
            [State::Present, State::Loaded]
        );
        assert_eq!(states(&found), [("a 1".to_owned(), State::Loaded)].into());
        assert_eq!(counts(&found)[&State::Present], 1);
    }

    #[test]
    fn merged_folders_are_the_same_folders() {
        assert_eq!(merged("/usr/lib/x.so"), merged("lib/x.so"));
        assert_ne!(merged("/usr/share/x"), merged("share/x"));
    }
}
