//! Which packages of an image its containers were seen to use, as facts for checks.
//!
//! A package is called unused only if every container of the image that there is was watched, and every workload that has one
//! is settled in programs and files. What was used only after a profile was settled does not count as needed: whoever got in
//! could have done it. Pure: profiles come from the caller.

use haechi_core::facts::{Gap, Image, ImageBehaviour, PackageSeen};
use haechi_core::finding::{Cause, SubjectKind};
use haechi_core::inventory::Package;
use haechi_core::profile::Entry;
use haechi_core::text::visible;
use haechi_profile::packages::{self, PackageUse, State};

/// Packages of one image that become facts; the largest images have some thousands.
const PACKAGES_MAX: usize = 5000;
/// Bytes of a name that are kept.
const TEXT_MAX: usize = 256;

/// What was seen of one workload of an image.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Files that were used until it was settled.
    pub known: Vec<Entry>,
    /// Files that were used since.
    pub later: Vec<Entry>,
    /// Containers of it that are there.
    pub containers: usize,
    /// Whether programs and files are settled.
    pub is_settled: bool,
    /// How well they are known, in lines.
    pub lines: Vec<String>,
}

/// Completes an image with what was seen of its packages in all of its workloads; `containers` is how many containers of it
/// there are. Gives why not all of it is there.
pub fn fill(
    image: &mut Image,
    inventory: &[Package],
    watched: &[Watched],
    containers: usize,
) -> Option<Gap> {
    if watched.is_empty() {
        return None;
    }
    let is_here = |one: &&Watched| one.containers > 0;
    let unwatched = containers.saturating_sub(watched.iter().map(|one| one.containers).sum());
    let is_settled = unwatched == 0
        && watched.iter().filter(is_here).all(|one| one.is_settled)
        && watched.iter().any(|one| one.is_settled);
    let known: Vec<Entry> = watched.iter().flat_map(|one| one.known.iter().cloned()).collect();
    let all: Vec<Entry> =
        known.iter().chain(watched.iter().flat_map(|one| &one.later)).cloned().collect();
    let installed = || inventory.iter().filter(|package| !package.declared_only);
    let before = packages::of(installed(), &known, is_settled);
    let after = packages::of(installed(), &all, is_settled);
    let mut seen: Vec<PackageSeen> =
        before.iter().zip(&after).map(|(before, after)| package(before, after)).collect();
    seen.sort_by(|a, b| (&a.kind, &a.name, &a.version).cmp(&(&b.kind, &b.name, &b.version)));
    let more = seen.len().saturating_sub(PACKAGES_MAX);
    seen.truncate(PACKAGES_MAX);
    let state = if is_settled { "settled" } else { "not known yet" };
    let number = watched.len();
    let mut lines = vec![format!("profiles, packages: {state}; {number} workloads of the image")];
    if unwatched > 0 {
        lines.push(format!("{unwatched} of its containers were never watched"));
    }
    let gone = watched.iter().filter(|one| one.containers == 0 && !one.is_settled).count();
    if gone > 0 {
        lines.push(format!(
            "{gone} workloads whose containers are gone were not watched well enough"
        ));
    }
    for line in watched.iter().flat_map(|one| &one.lines) {
        if !lines.contains(line) {
            lines.push(line.clone());
        }
    }
    image.behaviour = Some(ImageBehaviour {
        settled: Some(is_settled),
        known: Some(lines),
        packages: Some(seen),
    });
    (more > 0).then(|| Gap {
        kind: SubjectKind::Image,
        id: image.id.clone().unwrap_or_default(),
        fact: "behaviour.packages".to_owned(),
        cause: Cause::Missing,
        detail: format!("{more} packages more than the {PACKAGES_MAX} that are kept"),
    })
}

/// `before` is what was seen until the baselines, `after` what was seen at all.
fn package(before: &PackageUse, after: &PackageUse) -> PackageSeen {
    let is_used = |one: &PackageUse| matches!(one.state, State::Executed | State::Loaded);
    let state = before.state.name();
    PackageSeen {
        kind: serde_json::to_value(before.kind)
            .ok()
            .and_then(|kind| kind.as_str().map(str::to_owned)),
        name: Some(text(&before.name)),
        version: Some(text(&before.version)),
        state: Some(state.to_owned()),
        new: Some(!is_used(before) && is_used(after)),
        file: Some(text(&after.file)),
        layer: Some(before.layer.map_or(-1, i64::from)),
    }
}

/// A name from an image, safe to show and not too long.
fn text(name: &str) -> String {
    let mut text = visible(name).into_owned();
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::Kind;
    use jiff::Timestamp;

    use super::*;

    fn used(path: &str) -> Entry {
        Entry {
            kind: Kind::Executed,
            value: path.into(),
            first_at: Timestamp::UNIX_EPOCH,
            container: "c".into(),
            origin: "image".into(),
            program: String::new(),
        }
    }

    fn packages() -> Vec<Package> {
        [("gcc", "usr/bin/gcc"), ("app", "usr/bin/app"), ("vim", "usr/bin/vim")]
            .map(|(name, file)| {
                let json = serde_json::json!({
                    "kind": "deb", "name": name, "version": "1", "purl": "",
                    "path": "var/lib/dpkg/status", "files": [file], "layer": 1,
                });
                serde_json::from_value(json).unwrap()
            })
            .into()
    }

    fn workload(known: &[&str], containers: usize, is_settled: bool) -> Watched {
        let known = known.iter().map(|path| used(path)).collect();
        Watched { known, containers, is_settled, ..Watched::default() }
    }

    fn states(watched: &[Watched], containers: usize) -> Vec<(String, String, bool)> {
        let mut image = Image::default();
        assert_eq!(fill(&mut image, &packages(), watched, containers), None);
        let seen = image.behaviour.unwrap().packages.unwrap();
        seen.into_iter().map(|p| (p.name.unwrap(), p.state.unwrap(), p.new.unwrap())).collect()
    }

    fn state_of_gcc(watched: &[Watched], containers: usize) -> String {
        let all = states(watched, containers);
        all.into_iter().find(|(name, ..)| name == "gcc").unwrap().1
    }

    #[test]
    fn a_package_is_unused_only_if_every_container_was_watched_well_enough() {
        let app = || workload(&["/usr/bin/app"], 1, true);
        let state = |name: &str, state: &str| (name.to_owned(), state.to_owned(), false);
        assert_eq!(
            states(&[app()], 1),
            [state("app", "executed"), state("gcc", "present"), state("vim", "present")]
        );
        // Another workload of the image uses it.
        assert_eq!(state_of_gcc(&[app(), workload(&["/usr/bin/gcc"], 1, true)], 2), "executed");
        // Another is not settled; one container was never watched; nobody is settled at all.
        assert_eq!(state_of_gcc(&[app(), workload(&[], 1, false)], 2), "unknown");
        assert_eq!(state_of_gcc(&[app()], 2), "unknown");
        assert_eq!(state_of_gcc(&[workload(&[], 0, false)], 0), "unknown");
        // One that ran once and is gone takes nothing away; what it used counts.
        assert_eq!(state_of_gcc(&[app(), workload(&[], 0, false)], 1), "present");
        assert_eq!(state_of_gcc(&[app(), workload(&["/usr/bin/gcc"], 0, false)], 1), "executed");
        let mut image = Image::default();
        assert_eq!((fill(&mut image, &packages(), &[], 1), image.behaviour), (None, None));
    }

    #[test]
    fn what_was_used_only_since_it_was_settled_is_not_needed() {
        let mut app = workload(&["/usr/bin/app"], 1, true);
        app.later.push(used("/usr/bin/gcc"));
        let gcc = states(&[app], 1).into_iter().find(|(name, ..)| name == "gcc");
        assert_eq!(gcc, Some(("gcc".into(), "present".into(), true)));
    }
}
