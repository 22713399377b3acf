//! What the monitor learned of a container's workload, as facts: what it used, how well that is known, what was never used.
//!
//! "Never" counts only in a part that is settled (docs/profile.md), and each part says how long it was watched and what may
//! be missing. What came after the baseline is not what the workload does: who gets in then can make nothing look needed.
//! Pure: the profile comes from the caller. Nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::facts::{Behaviour, Container, ContainerMount, MountUse};
use haechi_core::profile::{Entry, Kind, Profile};
use haechi_core::text::visible;
use haechi_profile::coverage::{Coverage, Part, Unsettled};
use haechi_profile::fragment;
use haechi_profile::least::Least;
use haechi_profile::texts;
use haechi_profile::today::Today;

/// Files of one mount that are named.
const FILES_SHOWN: usize = 3;
/// Bytes of a name that are kept.
const TEXT_MAX: usize = 256;
/// Names of one list that are kept.
const LIST_MAX: usize = 200;
/// Of a part in which a new build is known by the one before it.
const TAKEN_OVER: &str = "what the build before was known to do counts as known";
/// File systems of the kernel: what is read of them is not told.
const UNTOLD: [&str; 2] = ["/proc", "/sys"];

/// Completes a container with what its workload was seen to do; `coverage` is that of the profile.
pub fn fill(container: &mut Container, profile: &Profile, coverage: &Coverage) {
    let today = Today::of(container);
    let least = Least::of(profile, coverage, &today);
    let is_settled = |part: &Part| is_settled(*part, profile, coverage);
    let mut settled: Vec<String> =
        Part::ALL.iter().filter(|part| is_settled(part)).map(|part| part.name().into()).collect();
    settled.sort();
    let rights = capabilities(profile, &today);
    let (listening, new_listening) = listening(profile);
    let writable = least.writable.as_ref();
    let blocked = writable.into_iter().flat_map(|writable| &writable.blocked);
    container.behaviour = Some(Behaviour {
        known: Some(known(profile, coverage)),
        watched: Some(hours(coverage.watched)),
        capabilities: Some(rights.used),
        unused_capabilities: rights.unused,
        new_capabilities: rights.new,
        listening: Some(listening),
        new_listening: Some(new_listening),
        mounts: container.mounts.as_ref().map(|mounts| {
            let whole = [Part::Files, Part::Programs, Part::Network];
            let is_known = whole.iter().all(is_settled);
            mounts_of(mounts, profile, is_known)
        }),
        tmpfs: writable.map(|_| limited(least.tmpfs().iter().map(fragment::mount))),
        kept_folders: writable.map(|_| {
            let kept = least.tmpfs().iter().filter(|tmpfs| tmpfs.may_be_kept);
            limited(kept.map(|tmpfs| tmpfs.path.clone()))
        }),
        root_obstacles: writable.map(|_| limited(blocked.map(|one| one.say(Lang::En)))),
        calls_used: Some(count(least.calls.seen.len())),
        calls_allowed: Some(today.calls().map_or(-1, count)),
        calls_needed: Some(count(least.calls.allowed.len())),
        settled: Some(settled),
    });
}

/// Whether a part is known well enough for "never". Once a workload was settled, a phase that comes later and is not seen in
/// whole takes nothing back: else whoever is in a container could end it in a storm of events, and nothing would be known.
pub fn is_settled(part: Part, profile: &Profile, coverage: &Coverage) -> bool {
    open(part, profile, coverage).next().is_none()
}

/// Why a part is not settled.
fn open<'c>(
    part: Part,
    profile: &Profile,
    coverage: &'c Coverage,
) -> impl Iterator<Item = &'c Unsettled> {
    let was_settled = profile.baseline_at.is_some();
    let counts = move |why: &&Unsettled| !was_settled || !matches!(why, Unsettled::Phase { .. });
    coverage.parts.get(&part).into_iter().flat_map(|part| &part.unsettled).filter(counts)
}

/// How well each part is known, in lines.
fn known(profile: &Profile, coverage: &Coverage) -> BTreeMap<String, Vec<String>> {
    let part = |part: &Part| (part.name().to_owned(), lines(*part, profile, coverage));
    Part::ALL.iter().map(part).collect()
}

/// How long and how well parts were watched, in lines that `texts/seen.yaml` says in Korean.
pub fn lines(part: Part, profile: &Profile, coverage: &Coverage) -> Vec<String> {
    let why: Vec<String> = open(part, profile, coverage).map(|why| why.say(Lang::En)).collect();
    let state = if why.is_empty() { "settled" } else { "not known yet" };
    let until = profile.runs.iter().map(|run| run.until).max();
    let until = until.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    let hidden = coverage.gaps.iter().filter(|(gap, _)| part.is_hidden_by(**gap));
    let gaps: Vec<String> = hidden
        .map(|(gap, seconds)| {
            let gap = texts::say(Lang::En, &format!("gap-{}", texts::key(gap)), &[]);
            format!("{gap} ({})", hours(*seconds))
        })
        .collect();
    let gaps = if gaps.is_empty() { "none".to_owned() } else { gaps.join(", ") };
    let name = texts::say(Lang::En, &format!("part-{}", part.name()), &[]);
    let first = format!(
        "profile, {name}: {state}; watched for {}, containers: {}, until {until}; gaps: {gaps}",
        hours(coverage.watched),
        coverage.containers,
    );
    let taken_over = profile.predecessor.is_some() && part.outlives_builds();
    let taken_over = taken_over.then(|| TAKEN_OVER.to_owned());
    std::iter::once(first).chain(taken_over).chain(why).collect()
}

/// So many seconds, always in the same two units: sentences with them are recognised by their shape.
fn hours(seconds: u64) -> String {
    format!("{} h {} min", seconds / 3600, seconds / 60 % 60)
}

/// Capabilities by what was seen of them.
struct Rights {
    used: Vec<String>,
    unused: Option<Vec<String>>,
    new: Option<Vec<String>>,
}

/// Whoever asked for one and did not hold it would have used it: it is not unused in a container that holds it.
fn capabilities(profile: &Profile, today: &Today) -> Rights {
    let names = |entries: Vec<&Entry>, kinds: &[Kind]| -> BTreeSet<String> {
        let found = entries.into_iter().filter(|entry| kinds.contains(&entry.kind));
        found.map(|entry| text(&entry.value)).collect()
    };
    let asked = [Kind::Capability, Kind::RefusedCapability];
    let known = names(profile.known().collect(), &asked);
    let later = names(profile.later().collect(), &asked);
    let held = today.capabilities.as_ref();
    let of = |is: &dyn Fn(&String) -> bool| {
        held.map(|held| held.iter().filter(|name| is(name)).cloned().collect::<Vec<_>>())
    };
    Rights {
        used: limited(names(profile.known().collect(), &[Kind::Capability]).into_iter()),
        unused: of(&|name| !known.contains(name) && !later.contains(name)),
        new: of(&|name| !known.contains(name) && later.contains(name)),
    }
}

/// Ports that were listened on as the engine writes them, before and only after the baseline.
fn listening(profile: &Profile) -> (Vec<String>, Vec<String>) {
    fn ports<'e>(entries: impl Iterator<Item = &'e Entry>) -> BTreeSet<(u16, &'e str)> {
        let found = entries.filter(|entry| entry.kind == Kind::Listening);
        found
            .filter_map(|entry| {
                let (protocol, port) = entry.value.split_once(' ')?;
                let port = port.parse().ok()?;
                ["tcp", "udp"].contains(&protocol).then_some((port, protocol))
            })
            .collect()
    }
    let (known, later) = (ports(profile.known()), ports(profile.later()));
    let said = |(port, protocol): &(u16, &str)| format!("{port}/{protocol}");
    (limited(known.iter().map(said)), limited(later.difference(&known).map(said)))
}

/// What was used of each mount that shows a path of the host, whenever that was.
fn mounts_of(mounts: &[ContainerMount], profile: &Profile, is_known: bool) -> Vec<MountUse> {
    let destination = |mount: &ContainerMount| mount.destination.clone().unwrap_or_default();
    let all: Vec<String> = mounts.iter().map(destination).collect();
    // A file belongs to the innermost mount.
    let mount_of = |path: &str| {
        let within = all.iter().enumerate().filter(|(_, top)| below(path, top));
        within.max_by_key(|(_, top)| top.len()).map(|(number, _)| number)
    };
    let mut read: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    let mut written: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    // The path of a socket is as the program gave it: it may be relative, or lead through a link.
    let mut has_lost_socket = false;
    for entry in &profile.entries {
        let (kinds, path) = match entry.kind {
            Kind::Executed | Kind::Mapped | Kind::Read => (&mut read, entry.value.as_str()),
            Kind::Written => (&mut written, entry.value.as_str()),
            Kind::Peer => match entry.value.strip_prefix("unix ") {
                Some(path) if !path.starts_with('@') && !path.is_empty() => (&mut read, path),
                _ => continue,
            },
            _ => continue,
        };
        match mount_of(path) {
            Some(number) => drop(kinds.entry(number).or_default().insert(path)),
            None => has_lost_socket |= entry.kind == Kind::Peer,
        }
    }
    let is_used = |number: &usize| read.contains_key(number) || written.contains_key(number);
    let is_told = |mount: &ContainerMount| {
        let shows = |top: &&str| host_paths(mount).any(|path| below(path, top) || below(top, path));
        !UNTOLD.iter().any(shows)
    };
    // A file that is seen through two mounts is told by the one through which it was used first.
    let is_shared = |number: usize, mount: &ContainerMount| {
        mounts.iter().enumerate().any(|(other, one)| {
            let overlaps =
                |path: &str| host_paths(one).any(|other| below(path, other) || below(other, path));
            other != number && is_used(&other) && host_paths(mount).any(overlaps)
        })
    };
    let of = |(number, mount): (usize, &ContainerMount)| {
        host_paths(mount).next()?;
        let number_of = |kinds: &BTreeMap<usize, BTreeSet<&str>>| {
            count(kinds.get(&number).map_or(0, BTreeSet::len))
        };
        let used = if is_used(&number) {
            "yes"
        } else if is_known && !has_lost_socket && is_told(mount) && !is_shared(number, mount) {
            "no"
        } else {
            "unknown"
        };
        let files = [&written, &read].into_iter().filter_map(|kinds| kinds.get(&number));
        let files = files.flatten().take(FILES_SHOWN).map(|path| text(path));
        Some(MountUse {
            destination: Some(destination(mount)),
            used: Some(used.to_owned()),
            read: Some(number_of(&read)),
            written: Some(number_of(&written)),
            files: Some(files.collect()),
        })
    };
    mounts.iter().enumerate().filter_map(of).collect()
}

fn host_paths(mount: &ContainerMount) -> impl Iterator<Item = &str> {
    mount.host_paths.iter().flatten().map(String::as_str)
}

/// Whether a path is a folder or lies in it.
fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A name from a container, safe to show and not too long.
fn text(name: &str) -> String {
    let mut text = visible(name).into_owned();
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
    }
    text
}

fn limited(items: impl Iterator<Item = String>) -> Vec<String> {
    items.take(LIST_MAX).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
