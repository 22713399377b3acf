//! What one container may start and write, with every path as its own file system has it. Compares; refuses nothing by
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::allowance::{Allowance, Mode};
use haechi_core::event::Origin;

use super::place::Place;

/// Why something is refused, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// Its name is among those that no container may start.
    Name,
    /// The program's path is not allowed.
    NotAllowed,
    /// The path is, but not what lies there now.
    Replaced,
    /// It was written where that is not allowed.
    Written,
}

/// See above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allow {
    pub(crate) mode: Mode,
    /// Where the file of each program may lie.
    pub(crate) programs: BTreeMap<String, BTreeSet<Origin>>,
    /// What the kernel itself opens to start these programs, by program.
    pub(crate) loaders: BTreeMap<String, String>,
    /// Folders, with a stroke at the end, and files; `None` if anything may be written.
    pub(crate) writable: Option<BTreeSet<String>>,
}

impl Allow {
    /// What is allowed, in one file system; without one, paths are taken as they are.
    pub(crate) fn of(allowance: &Allowance, mode: Mode, place: Option<&Place>) -> Self {
        let real = |path: &str| place.and_then(|place| place.real(path));
        let mut programs: BTreeMap<String, BTreeSet<Origin>> = BTreeMap::new();
        for (path, origins) in &allowance.programs {
            let (mut origins, mut path) = (origins.clone(), path.clone());
            if origins.remove(&Origin::Unknown) {
                // A script: nobody recorded where it lay.
                let found = real(&path);
                match (&found, place) {
                    (Some(found), Some(place)) if place.origin(found) == Origin::Image => {
                        origins.insert(Origin::Image);
                    }
                    _ => origins.extend([Origin::Mounted, Origin::Unknown]),
                }
                path = found.unwrap_or(path);
            }
            programs.entry(path).or_default().extend(origins);
        }
        let loaders = place.map(|place| {
            let loader = |program: &String| Some((program.clone(), place.loader(program)?));
            programs.keys().filter_map(loader).collect()
        });
        let writable = allowance.writable.as_ref().map(|writable| {
            // Over which links it was written is not recorded: both are the same place.
            let folders = writable.folders.iter();
            let folders = folders.flat_map(|folder| [real(folder), Some(folder.clone())]);
            let folders =
                folders.flatten().map(|folder| format!("{}/", folder.trim_end_matches('/')));
            folders.filter(|folder| folder != "/").chain(writable.files.iter().cloned()).collect()
        });
        Self { mode, programs, loaders: loaders.unwrap_or_default(), writable }
    }

    /// Whether this is a loader of some program.
    pub(crate) fn is_loader(&self, path: &str) -> bool {
        self.loaders.values().any(|loader| loader == path)
    }

    /// Whether programs may come from elsewhere than the container's own file system.
    pub(crate) fn starts_mounted(&self) -> bool {
        self.programs.values().any(|origins| origins.contains(&Origin::Mounted))
    }

    /// Why a program at this path is not allowed; `None` if it is. Where its file lies is asked only if the path is.
    pub(crate) fn refuses(&self, path: &str, origin: impl FnOnce() -> Origin) -> Option<Because> {
        match self.programs.get(path) {
            None => Some(Because::NotAllowed),
            Some(origins) if origins.contains(&origin()) => None,
            Some(_) => Some(Because::Replaced),
        }
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::allowance::Writable;

    use super::*;

    #[test]
    fn a_path_is_allowed_only_with_what_lay_there() {
        let allowance = Allowance {
            programs: [
                ("/bin/a".to_owned(), [Origin::Image].into()),
                ("/b.sh".to_owned(), [Origin::Unknown].into()),
            ]
            .into(),
            writable: Some(Writable {
                folders: ["/tmp".to_owned(), "/".to_owned()].into(),
                files: ["/.pid".to_owned()].into(),
            }),
        };
        let allow = Allow::of(&allowance, Mode::Deny, None);
        assert_eq!(allow.refuses("/bin/a", || Origin::Image), None);
        assert_eq!(allow.refuses("/bin/a", || Origin::Changed), Some(Because::Replaced));
        assert_eq!(allow.refuses("/bin/a", || Origin::Mounted), Some(Because::Replaced));
        assert_eq!(allow.refuses("/bin/ab", || Origin::Image), Some(Because::NotAllowed));
        assert_eq!(allow.refuses("/b.sh", || Origin::Mounted), None);
        assert_eq!(allow.refuses("/b.sh", || Origin::Changed), Some(Because::Replaced));
        let writable: Vec<_> = allow.writable.unwrap().into_iter().collect();
        assert_eq!(writable, ["/.pid", "/tmp/"], "the root itself allows nothing");
    }
}
