//! Which folders must stay writable if the root file system is read-only.
//!
//! Promises that no folder is named whose files of the image are used: a tmpfs over it would hide them.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::profile::{Kind, Profile};
use haechi_core::text::visible;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::texts;

/// Folders that are writable in every container, or that are none on a disk.
const OWN: [&str; 3] = ["/proc", "/dev", "/sys"];
/// So many folders beside each other are taken as the one above them.
const BESIDE: usize = 3;
/// Folders directly below the root that are there to be written.
const SCRATCH: [&str; 2] = ["/tmp", "/run"];
/// What people keep: what is written there is often meant to outlive the container.
const KEPT: [&str; 8] = ["/var/lib", "/var/log", "/srv", "/home", "/root", "/data", "/opt", "/app"];
/// Caches beside the files that they are of; whoever cannot write them goes without. (Python)
const SPARED: &str = "/__pycache__";

/// A folder in memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Tmpfs {
    /// Where.
    pub path: String,
    /// Whether programs that are written there are executed.
    pub executes: bool,
    /// Whether that looks like data that is meant to be kept.
    pub may_be_kept: bool,
}

/// Why a folder that is written cannot be one in memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Blocked {
    /// Files of the image lie there that are used: they would be hidden.
    Hides {
        /// The folder.
        path: String,
        /// One of the files.
        file: String,
    },
    /// It is the root itself.
    Root {
        /// A file that is written there.
        file: String,
    },
    /// It is made while the container runs, and nothing that is there by then makes it.
    Made {
        /// The folder.
        path: String,
    },
    /// Its name cannot be given to an engine.
    Name {
        /// The file.
        file: String,
    },
}

impl Blocked {
    /// The reason as a sentence.
    pub fn say(&self, lang: Lang) -> String {
        match self {
            Self::Hides { path, file } => {
                texts::say(lang, "remark-hides", &[("path", path), ("file", file)])
            }
            Self::Root { file } => texts::say(lang, "remark-root", &[("file", file)]),
            Self::Made { path } => texts::say(lang, "remark-made", &[("path", path)]),
            Self::Name { file } => texts::say(lang, "remark-name", &[("file", file)]),
        }
    }
}

/// What is written outside of mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Writable {
    /// Folders that can be in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Whether caches that can be gone without are not in it.
    pub spares_caches: bool,
    /// What stands against a read-only root.
    pub blocked: BTreeSet<Blocked>,
}

/// What a container has to write, if these are its mounts.
pub fn find(profile: &Profile, mounts: &[String]) -> Writable {
    let mut found = Writable::default();
    let (mut folders, mut made) = (BTreeSet::new(), Vec::new());
    let is_elsewhere = |path: &str| {
        OWN.iter().copied().chain(mounts.iter().map(String::as_str)).any(|top| is_below(path, top))
    };
    let of = |kinds: &'static [Kind]| profile.known().filter(|e| kinds.contains(&e.kind));
    let written: BTreeSet<&str> = of(&[Kind::Written]).map(|entry| entry.value.as_str()).collect();
    let first_below = |folder: &str, files: &BTreeSet<&str>| -> Option<String> {
        let begin = format!("{folder}/");
        let file = files.range(begin.as_str()..).next().filter(|file| file.starts_with(&begin));
        file.map(|file| (*file).to_owned())
    };
    // What is not known to have been written is of the image.
    let image: BTreeSet<&str> = of(&[Kind::Executed, Kind::Mapped, Kind::Read, Kind::Written])
        .filter(|entry| match entry.kind {
            Kind::Written => entry.origin == "image",
            _ => ["image", ""].contains(&entry.origin.as_str()),
        })
        .map(|entry| entry.value.as_str())
        .collect();
    for entry in of(&[Kind::Written]) {
        let path = entry.value.as_str();
        let is_away = ["mounted", "memory"].contains(&entry.origin.as_str()) || is_elsewhere(path);
        if is_away {
            continue;
        }
        let is_cache = |path: &str| path.ends_with(SPARED) && entry.origin != "image";
        if path.rsplit_once('/').is_some_and(|(folder, _)| is_cache(folder)) || is_cache(path) {
            found.spares_caches = true;
            continue;
        }
        if first_below(path, &written).is_some() {
            // A folder that was made for what lies in it. The next may have another name, so the one above is writable if that
            // can be; else it is there all the same when what lies in it is a mount.
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            let can_be = SCRATCH.contains(&above) || above.matches('/').count() >= 2;
            if can_be && is_plain(above) && first_below(above, &image).is_none() {
                folders.insert(above.to_owned());
            } else if entry.origin != "image" {
                made.push(path);
            }
            continue;
        }
        match path.rsplit_once('/') {
            Some(("", _)) => found.blocked.insert(Blocked::Root { file: path.to_owned() }),
            Some((folder, _)) if is_plain(folder) => folders.insert(folder.to_owned()),
            _ => found.blocked.insert(Blocked::Name { file: path.to_owned() }),
        };
    }
    let hidden = |folder: &str| first_below(folder, &image);
    let code: BTreeSet<&str> =
        of(&[Kind::Executed, Kind::Mapped]).map(|entry| entry.value.as_str()).collect();
    for path in grouped(folders, |folder| hidden(folder).is_none()) {
        match hidden(&path) {
            Some(file) => {
                found.blocked.insert(Blocked::Hides { path, file });
            }
            None => found.tmpfs.push(Tmpfs {
                executes: first_below(&path, &code).is_some(),
                may_be_kept: KEPT.iter().any(|top| is_below(&path, top)),
                path,
            }),
        }
    }
    // What leads to a mount of the engine is there before the container starts; what leads to one of its own is not.
    let tops: BTreeSet<&str> = mounts.iter().map(|top| top.trim_end_matches('/')).collect();
    let there: BTreeSet<&str> =
        found.tmpfs.iter().map(|tmpfs| tmpfs.path.as_str()).chain(tops).collect();
    let is_there = |path: &&str| {
        first_below(path, &there).is_some() || ancestors(path).any(|above| there.contains(above))
    };
    made.retain(|path| !is_there(path));
    found.blocked.extend(made.into_iter().map(|path| Blocked::Made { path: path.to_owned() }));
    found
}

/// A path, and the folders that it lies in.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
}

/// Without folders that lie in others, and with the one above where many lie beside each other: from the deepest up, so that
/// it does not matter what they are called. What is written may be made by an attacker, so each path is looked at once.
fn grouped(folders: BTreeSet<String>, can_be: impl Fn(&str) -> bool) -> Vec<String> {
    let outer = outermost(folders);
    let depth = |path: &str| path.matches('/').count();
    // By depth: how many lie in it, and whether one of them does directly.
    let mut levels: BTreeMap<usize, BTreeMap<String, (usize, bool)>> = BTreeMap::new();
    for folder in &outer {
        levels.entry(depth(folder)).or_default().insert(folder.clone(), (0, false));
    }
    let mut taken: BTreeSet<String> = outer.into_iter().collect();
    while let Some((level, paths)) = levels.pop_last() {
        for (path, (count, is_direct)) in paths {
            // `/var` and its like are never taken as a whole.
            if count >= BESIDE && is_direct && level >= 2 && can_be(&path) {
                taken.insert(path.clone());
            }
            let is_taken = taken.contains(&path);
            if let Some((above, _)) = path.rsplit_once('/')
                && level > 1
            {
                let above = levels.entry(level - 1).or_default().entry(above.to_owned());
                let (inside, direct) = above.or_default();
                *inside += if is_taken { 1 } else { count };
                *direct |= is_taken;
            }
        }
    }
    outermost(taken)
}

/// Without folders that lie in others.
fn outermost(folders: BTreeSet<String>) -> Vec<String> {
    // Sorted by their parts, a folder comes directly before what lies in it.
    let mut sorted: Vec<String> = folders.into_iter().collect();
    sorted.sort_by(|one, other| one.split('/').cmp(other.split('/')));
    let mut outer: Vec<String> = Vec::new();
    for folder in sorted {
        if !outer.last().is_some_and(|last| is_below(&folder, last)) {
            outer.push(folder);
        }
    }
    outer
}

/// Whether a path is a folder or lies in it.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether engines take it as a path: it is absolute, goes straight down, and has no character that ends it.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains([',', ':', '\\', '$'])
        && path.split('/').skip(1).all(|part| !["", ".", ".."].contains(&part))
        && visible(path) == path
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::Entry;

    use super::*;
    use crate::testing::{entry, profile};

    fn of(entries: &[(Kind, &str, &str)], mounts: &[&str]) -> Writable {
        let mut profile = profile(&[]);
        profile.entries = entries
            .iter()
            .map(|(kind, path, origin)| Entry { origin: (*origin).into(), ..entry(*kind, path, 0) })
            .collect();
        let mounts: Vec<String> = mounts.iter().map(|path| (*path).to_owned()).collect();
        find(&profile, &mounts)
    }

    fn written(paths: &[&'static str]) -> Vec<(Kind, &'static str, &'static str)> {
        paths.iter().map(|path| (Kind::Written, *path, "changed")).collect()
    }

    fn paths(found: &Writable) -> Vec<&str> {
        found.tmpfs.iter().map(|tmpfs| tmpfs.path.as_str()).collect()
    }

    #[test]
    fn folders_are_the_outermost_that_are_written() {
        let found = of(
            &written(&[
                "/run/nginx.pid",
                "/var/cache/nginx/a/1",
                "/var/cache/nginx/b/1",
                "/var/cache/nginx/c/1",
                "/tmp/x/y/z",
                "/tmp/x",
                "/proc/self/oom_score_adj",
                "/dev/null",
                "/sys/x",
                "/data/db/1",
                "/processes/1",
                "/run-2/x",
            ]),
            &["/data"],
        );
        assert_eq!(paths(&found), ["/processes", "/run", "/run-2", "/tmp", "/var/cache/nginx"]);
        assert!(found.blocked.is_empty(), "{found:?}");
        // Two beside each other stay two, and nothing is ever taken as large as /var.
        let found =
            of(&written(&["/var/a/1", "/var/b/1", "/var/c/1", "/srv/x/a/1", "/srv/x/b/1"]), &[]);
        assert_eq!(paths(&found), ["/srv/x/a", "/srv/x/b", "/var/a", "/var/b", "/var/c"]);
        assert!(found.tmpfs[0].may_be_kept && !found.tmpfs[2].may_be_kept);
        assert_eq!(paths(&of(&[(Kind::Written, "/x/y", "mounted")], &[])), [""; 0]);
    }

    #[test]
    fn folders_are_taken_as_one_from_the_deepest_up_however_many_there_are() {
        let deep = ["/v/p/a/1/f", "/v/p/a/2/f", "/v/p/a/3/f", "/v/p/0/f"];
        assert_eq!(paths(&of(&written(&deep), &[])), ["/v/p/0", "/v/p/a"]);
        let mixed = ["/w/a/x/1/f", "/w/a/y/2/f", "/w/a/z/f"];
        assert_eq!(paths(&of(&written(&mixed), &[])), ["/w/a"]);
        // Whoever owns the inside of a container can write as many as the profile keeps.
        let many: Vec<String> =
            (0..40_000).map(|n| format!("/w/a{}/x{}/f", n / 4, n % 4)).collect();
        let mut profile = profile(&[]);
        profile.entries = many
            .iter()
            .map(|path| Entry { origin: "changed".into(), ..entry(Kind::Written, path, 0) })
            .collect();
        assert_eq!(find(&profile, &[]).tmpfs.len(), 10_000);
    }

    #[test]
    fn nothing_hides_what_the_image_brought() {
        let read = (Kind::Read, "/etc/app/conf", "image");
        let found = of(&[(Kind::Written, "/etc/app/state", "changed"), read], &[]);
        assert_eq!(paths(&found), [""; 0]);
        let blocked = Blocked::Hides { path: "/etc/app".into(), file: "/etc/app/conf".into() };
        assert_eq!(found.blocked, [blocked].into());
        // Nor is a folder taken as a whole if that would.
        let mut entries = written(&["/etc/app/a/1", "/etc/app/b/1", "/etc/app/c/1"]);
        entries.push(read);
        assert_eq!(paths(&of(&entries, &[])), ["/etc/app/a", "/etc/app/b", "/etc/app/c"]);
        // What was written there first may be read and executed there.
        let found = of(
            &[(Kind::Written, "/tmp/run", "changed"), (Kind::Executed, "/tmp/run", "changed")],
            &[],
        );
        assert!(found.tmpfs[0].executes && found.blocked.is_empty());
        // A file of the image that is written is one of the image.
        assert!(!of(&[(Kind::Written, "/etc/passwd", "image")], &[]).blocked.is_empty());
    }

    #[test]
    fn folders_that_are_made_may_have_another_name_next_time() {
        let made = written(&[
            "/tmp/a1",
            "/tmp/a1/x",
            "/var/lib/app",
            "/var/lib/app/db",
            "/var",
            "/var/lib",
            "/opt/b",
            "/opt/b/x",
        ]);
        assert_eq!(paths(&of(&made, &[])), ["/opt/b", "/tmp", "/var/lib"]);
        // Not if that would hide something.
        let mut made = written(&["/usr/share/a", "/usr/share/a/x"]);
        made.push((Kind::Read, "/usr/share/b", "image"));
        assert_eq!(paths(&of(&made, &[])), ["/usr/share/a"]);
    }

    #[test]
    fn a_folder_that_is_made_for_a_mount_of_its_own_stands_against_a_read_only_root() {
        let mut made = written(&["/cg", "/cg/u"]);
        made.push((Kind::Written, "/cg/u/cgroup.procs", "mounted"));
        let found = of(&made, &[]);
        let blocked = ["/cg", "/cg/u"].map(|path| Blocked::Made { path: path.into() });
        assert_eq!((found.blocked, found.tmpfs), (blocked.into(), vec![]));
        // A mount of the engine is there before, with all that leads to it.
        assert_eq!(of(&made, &["/cg/u"]).blocked, BTreeSet::new());
        assert_eq!(of(&made, &["/cg"]).blocked, BTreeSet::new());
    }

    #[test]
    fn caches_of_python_are_gone_without() {
        let read = (Kind::Read, "/usr/lib/python3/os.py", "image");
        let mut entries = written(&[
            "/usr/lib/python3/__pycache__",
            "/usr/lib/python3/__pycache__/os.pyc",
            "/x/__pycache__",
        ]);
        entries.push(read);
        let found = of(&entries, &[]);
        assert!(found.tmpfs.is_empty() && found.blocked.is_empty() && found.spares_caches);
    }

    #[test]
    fn odd_names_are_refused_and_not_given_on() {
        for odd in [
            "/a\nb/x",
            "/a,exec/x",
            "/a:b/x",
            "/../x/y",
            "/a/./b",
            "x/y",
            "",
            "/a\u{202e}/x",
            "/$HOME/x",
        ] {
            let found = of(&[(Kind::Written, odd, "")], &[]);
            assert!(found.tmpfs.is_empty() && found.blocked.len() == 1, "{odd:?}: {found:?}");
        }
        let root = of(&written(&["/file"]), &[]);
        assert_eq!(root.blocked, [Blocked::Root { file: "/file".into() }].into());
    }
}
