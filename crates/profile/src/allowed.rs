//! What a workload may start and write, if nothing else is allowed than what it was seen to do until the baseline.
//!
//! A program in memory has no path that could be compared: it is never allowed, and is named. What the kernel's own file systems
//! and devices are written is not limited.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::allowance::{Allowance, Writable};
use haechi_core::event::Origin;
use haechi_core::profile::{Kind, Profile};

/// Bytes of a path that the kernel's side compares.
const PATH_MAX: usize = 239;

/// What is allowed, and what of the profile cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// What is allowed.
    pub allowance: Allowance,
    /// Programs that it was seen to start and that are refused all the same: in memory, or with too long a path.
    pub left_out: BTreeSet<String>,
}

impl Allowed {
    /// Of a profile; with the places that may be written, or without a limit to them.
    #[must_use]
    pub fn of(profile: &Profile, with_files: bool) -> Self {
        let mut left_out = BTreeSet::new();
        let mut programs: BTreeMap<String, BTreeSet<Origin>> = BTreeMap::new();
        for entry in profile.known().filter(|entry| entry.kind == Kind::Executed) {
            let path = entry.value.as_str();
            let origin = match origin(&entry.origin) {
                // It ran before it was watched: it is no script, and only the image's own is let through.
                Origin::Unknown if entry.program.is_empty() => Origin::Image,
                origin => origin,
            };
            if origin == Origin::Memory || !path.starts_with('/') || path.len() > PATH_MAX {
                left_out.insert(path.to_owned());
            } else {
                programs.entry(path.to_owned()).or_default().insert(origin);
            }
        }
        let written = || profile.known().filter(|entry| entry.kind == Kind::Written);
        // A script that the workload writes itself.
        for entry in written() {
            if let Some(origins) = programs.get_mut(&entry.value)
                && origins.contains(&Origin::Unknown)
            {
                origins.insert(Origin::Changed);
            }
        }
        let writable = with_files.then(|| {
            let mut writable = Writable::default();
            for entry in written().filter(|entry| entry.value.starts_with('/')) {
                match entry.value.rsplit_once('/') {
                    Some(("", name)) if !name.is_empty() => {
                        writable.files.insert(entry.value.clone())
                    }
                    Some((folder, _)) if !folder.is_empty() => {
                        writable.folders.insert(folder.to_owned())
                    }
                    _ => continue,
                };
            }
            writable
        });
        Self { allowance: Allowance { programs, writable }, left_out }
    }

    /// Whether a program is allowed where it lay, as in a profile. Of scripts only that much is known, that they are.
    #[must_use]
    pub fn has_program(&self, path: &str, lay: &str) -> bool {
        let lay = origin(lay);
        self.allowance.programs.get(path).is_some_and(|origins| {
            origins.contains(&lay) || lay != Origin::Changed && origins.contains(&Origin::Unknown)
        })
    }

    /// Whether a file may be written.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        let Some(writable) = &self.allowance.writable else { return true };
        let mut above = path;
        while let Some((folder, _)) = above.rsplit_once('/') {
            if writable.folders.contains(folder) {
                return true;
            }
            above = folder;
        }
        writable.files.contains(path)
    }
}

fn origin(name: &str) -> Origin {
    match name {
        "image" => Origin::Image,
        "changed" => Origin::Changed,
        "mounted" => Origin::Mounted,
        "memory" => Origin::Memory,
        _ => Origin::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::Entry;

    use super::*;
    use crate::testing::{at, entry, profile};

    #[test]
    fn only_what_was_known_at_the_baseline_is_allowed_and_where_it_lay() {
        let of = |kind, value: &str, second, origin: &str| Entry {
            origin: origin.into(),
            ..entry(kind, value, second)
        };
        let mut profile = profile(&[]);
        profile.baseline_at = Some(at(10));
        profile.entries = vec![
            of(Kind::Executed, "/bin/a", 1, "image"),
            of(Kind::Executed, "/bin/a", 11, "changed"),
            of(Kind::Executed, "/bin/new", 11, "image"),
            of(Kind::Executed, "/run.sh", 1, ""),
            of(Kind::Executed, "/tmp/made.sh", 1, ""),
            of(Kind::Executed, "memfd:x", 1, "memory"),
            of(Kind::Executed, &format!("/{}", "x".repeat(PATH_MAX)), 1, "image"),
            of(Kind::Mapped, "/lib/l.so", 1, "image"),
            of(Kind::Written, "/tmp/made.sh", 1, "changed"),
            of(Kind::Written, "/.pid", 1, "changed"),
            of(Kind::Written, "/etc/x", 11, "changed"),
        ];
        let allowed = Allowed::of(&profile, true);
        for (path, lay, is_allowed) in [
            ("/bin/a", "image", true),
            ("/bin/a", "changed", false),
            ("/run.sh", "image", true),
            ("/run.sh", "changed", false),
            ("/tmp/made.sh", "changed", true),
            ("/bin/new", "image", false),
        ] {
            assert_eq!(allowed.has_program(path, lay), is_allowed, "{path} {lay}");
        }
        for (path, is_allowed) in [
            ("/tmp/a/b", true),
            ("/tmpx", false),
            ("/.pid", true),
            ("/.pid/x", false),
            ("/", false),
        ] {
            assert_eq!(allowed.has_file(path), is_allowed, "{path}");
        }
        let Allowed { allowance, left_out } = allowed;
        let programs: Vec<_> = allowance
            .programs
            .iter()
            .map(|(path, origins)| (path.as_str(), origins.iter().copied().collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            programs,
            [
                ("/bin/a", vec![Origin::Image]),
                ("/run.sh", vec![Origin::Unknown]),
                ("/tmp/made.sh", vec![Origin::Unknown, Origin::Changed]),
            ]
        );
        assert_eq!(left_out.len(), 2);
        let writable = allowance.writable.unwrap();
        assert_eq!(writable.folders, ["/tmp".to_owned()].into());
        assert_eq!(writable.files, ["/.pid".to_owned()].into());
        assert_eq!(Allowed::of(&profile, false).allowance.writable, None);
    }
}
