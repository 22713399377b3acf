//! What all workloads of one image were seen to use, together: what can be said of the image, and not only of one of its
//! containers.
//!
//! Promises that a package is called "present only" for an image only if every workload of it that is known here is settled in
//! programs and files, every container of it that runs was watched, and nothing hides what they use now ([`crate::blind`]). It does not know what another host does with the image.

use std::collections::BTreeSet;

use haechi_core::Lang;
use haechi_core::Snapshot;
use haechi_core::facts::Container;
use haechi_core::inventory::Package;
use haechi_core::profile::{Entry, Kind, Profile};
use haechi_core::text::Text;

use crate::blind;
use crate::coverage::{Coverage, Part};
use crate::packages::{self, PackageUse};
use crate::texts;

/// Parts that have to be settled to say that something does not run.
pub const PARTS: [Part; 2] = [Part::Programs, Part::Files];

/// What all workloads of an image were seen to use.
#[derive(Debug, Clone, Default)]
pub struct ImageUse {
    /// Programs that were executed, files that were mapped or read.
    pub entries: Vec<Entry>,
    /// Why nothing can be called unused; empty if it can.
    pub open: BTreeSet<Text>,
}

impl ImageUse {
    /// Brings workloads of one image together. `running` are the ids of its containers that run; `None`: they are not known.
    pub fn of<'p>(
        workloads: impl IntoIterator<Item = (&'p Profile, &'p Coverage)>,
        running: Option<&BTreeSet<String>>,
    ) -> Self {
        let mut all = Self::default();
        let mut watched = BTreeSet::new();
        for (profile, coverage) in workloads {
            all.entries.extend(profile.entries.iter().filter(|entry| is_file(entry)).cloned());
            let label = blind::label(profile);
            let of_it = |why: Text| {
                let say = |lang| {
                    let values = [("names", label.as_str()), ("why", why.get(lang))];
                    texts::say(lang, "why-of-workload", &values)
                };
                Text::new(&say(Lang::En), &say(Lang::Ko))
            };
            let open = blind::open(profile, coverage, running).into_iter();
            match label.is_empty() {
                true => all.open.extend(open),
                false => all.open.extend(open.map(of_it)),
            }
            watched.extend(profile.runs.iter().map(|run| run.container.as_str()));
        }
        match running {
            None => {
                all.open.insert(texts::both("why-containers-unknown", &[]));
            }
            Some(running) => {
                let other = running.iter().find(|id| !watched.contains(id.as_str()));
                all.open.extend(other.map(|id| {
                    let short = id.get(..12).unwrap_or(id);
                    texts::both("why-container-not-watched", &[("id", short)])
                }));
            }
        }
        if watched.is_empty() {
            all.open.insert(texts::both("why-not-watched", &[]));
        }
        all
    }

    /// The packages of the image by what was seen of them. `is_whole`: whether the image was read to its end.
    pub fn packages<'p>(
        &self,
        packages: impl IntoIterator<Item = &'p Package>,
        is_whole: bool,
    ) -> Vec<PackageUse> {
        packages::of(packages, &self.entries, is_whole && self.open.is_empty())
    }
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Executed | Kind::Mapped | Kind::Read)
}

/// Ids of the containers of an image that run, or may; `None` if containers could not be listed.
pub fn running(snapshot: &Snapshot, image: &str) -> Option<BTreeSet<String>> {
    let is_of_it = |container: &&Container| container.image_id.as_deref() == Some(image);
    let ended = |container: &Container| {
        let status = container.state.as_ref().and_then(|state| state.status.as_deref());
        matches!(status, Some("created" | "exited" | "dead" | "removing"))
    };
    let all = snapshot.containers.as_ref()?.iter().filter(is_of_it);
    Some(all.filter(|one| !ended(one)).filter_map(|one| one.id.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Rule;
    use crate::packages::State;
    use crate::testing::profile;

    fn states(profiles: &[Profile], running: Option<&[&str]>, is_whole: bool) -> Vec<State> {
        let rule = Rule { quiet_min: 3600, has_health_check: false };
        let covered: Vec<_> = profiles.iter().map(|one| Coverage::of(one, &rule)).collect();
        let running = running.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let all = ImageUse::of(profiles.iter().zip(&covered), running.as_ref());
        let package = |name: &str| -> Package {
            let json = serde_json::json!({
                "kind": "deb", "name": name, "version": "1", "purl": "", "path": "status",
                "files": [format!("usr/bin/{name}")],
            });
            serde_json::from_value(json).unwrap()
        };
        let packages = ["a", "b", "c"].map(package);
        all.packages(&packages, is_whole).into_iter().map(|one| one.state).collect()
    }

    #[test]
    fn nothing_of_an_image_is_unused_unless_all_of_its_workloads_say_so() {
        use State::{Executed, Present, Unknown};
        let [mut one, other] =
            ["/usr/bin/a", "/usr/bin/b"].map(|path| profile(&[(Kind::Executed, path)]));
        let both = [one.clone(), other.clone()];
        assert_eq!(states(&both, Some(&["a"]), true), [Executed, Executed, Present]);
        assert_eq!(states(&both[..1], Some(&["a"]), true), [Executed, Present, Present]);
        // Another container runs, or may run; or the image was not read to its end.
        assert_eq!(states(&both, Some(&["a", "z"]), true), [Executed, Executed, Unknown]);
        assert_eq!(states(&both, None, true), [Executed, Executed, Unknown]);
        assert_eq!(states(&both, Some(&["a"]), false), [Executed, Executed, Unknown]);
        // One of them was not watched well enough.
        one.runs[0].gaps.insert(haechi_core::profile::Gap::Lost);
        assert_eq!(states(&[one, other], Some(&["a"]), true), [Executed, Executed, Unknown]);
        assert_eq!(states(&[], Some(&[]), true), [Unknown; 3]);
    }

    #[test]
    fn a_container_that_may_run_counts_as_running() {
        let container = |id: &str, image: &str, status: Option<&str>| -> Container {
            let state = status.map(|status| serde_json::json!({"status": status}));
            serde_json::from_value(serde_json::json!({"id": id, "image_id": image, "state": state}))
                .unwrap()
        };
        let containers = vec![
            container("1", "i", Some("running")),
            container("2", "i", Some("exited")),
            container("3", "i", None),
            container("4", "x", Some("running")),
        ];
        let snapshot = Snapshot { containers: Some(containers), ..Snapshot::default() };
        let found = running(&snapshot, "i").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(running(&Snapshot::default(), "i"), None);
    }
}
