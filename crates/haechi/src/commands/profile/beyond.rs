//! What was used beyond what the least privilege allows.

use std::collections::BTreeSet;

use haechi_core::Lang;
use haechi_core::profile::{Entry, Kind, Profile};
use haechi_core::text::visible;
use haechi_profile::calls::COMPAT;
use haechi_profile::texts;
use haechi_profile::writable;

use super::Known;

/// A call that is never allowed, for its flags cannot be looked at: programs go without it.
const SPARED: &str = "clone3";

/// Whether a container is one of those that are asked about.
pub(super) type IsMeant<'a> = &'a dyn Fn(&str) -> bool;

/// What was used beyond.
pub(super) struct Beyond<'p> {
    /// System calls and capabilities.
    entries: Vec<&'p Entry>,
    /// Folders that were written and would not be writable.
    folders: Vec<String>,
    /// Most processes and most memory, and what would be allowed.
    pids: Option<(u64, u64)>,
    memory: Option<(u64, u64)>,
}

impl<'p> Beyond<'p> {
    /// Compares a profile as it is now with what would be allowed; of these containers only, if some are named.
    pub fn of(known: &Known, now: &'p Profile, only: Option<IsMeant<'_>>) -> Self {
        let least = &known.least;
        let is_meant = |id: &str| only.is_none_or(|is_meant| is_meant(id));
        let is_beyond = |entry: &&Entry| match entry.kind {
            Kind::Call if entry.value == SPARED => false,
            Kind::Call if entry.value.starts_with(COMPAT) => !least.calls.has_compat,
            Kind::Call => !least.calls.allowed.contains(&entry.value),
            Kind::Capability => {
                least.capabilities.used.as_ref().is_some_and(|used| !used.contains(&entry.value))
            }
            _ => false,
        };
        let entries = now.entries.iter().filter(|entry| is_meant(&entry.container));
        let runs = || now.runs.iter().filter(|run| is_meant(&run.container));
        let more = |most: Option<u64>, limit: Option<u64>| {
            most.zip(limit).filter(|(most, limit)| most > limit)
        };
        Self {
            entries: entries.filter(is_beyond).collect(),
            folders: if least.is_read_only() { folders(known, now, &is_meant) } else { Vec::new() },
            pids: more(runs().map(|run| run.tasks_max).max(), least.pids),
            memory: more(runs().map(|run| run.memory_max).max(), least.memory),
        }
    }

    /// In lines; none if there is nothing.
    pub fn lines(&self, lang: Lang) -> Vec<String> {
        let mut lines: Vec<String> = self.entries.iter().map(|entry| line(entry, lang)).collect();
        lines.extend(
            self.folders.iter().map(|path| texts::say(lang, "beyond-folder", &[("path", path)])),
        );
        for (key, pair, show) in [
            ("beyond-pids", self.pids, (|number| number.to_string()) as fn(u64) -> String),
            ("beyond-memory", self.memory, texts::bytes),
        ] {
            if let Some((most, limit)) = pair {
                let values = [("most", &*show(most)), ("limit", &*show(limit))];
                lines.push(texts::say(lang, key, &values));
            }
        }
        lines
    }
}

/// An entry as a line.
pub(super) fn line(entry: &Entry, lang: Lang) -> String {
    let kind = texts::say(lang, &format!("kind-{}", entry.kind.name()), &[]);
    visible(format!("  {kind}: {}  {}", entry.value, entry.program).trim_end()).into_owned()
}

/// Folders that were written by these and would not be writable.
fn folders(known: &Known, now: &Profile, is_meant: &dyn Fn(&str) -> bool) -> Vec<String> {
    // What was used by whomever says what lies in the image; only what these wrote is asked for.
    let mut theirs = now.clone();
    theirs.baseline_at = None;
    theirs.entries.retain(|entry| entry.kind != Kind::Written || is_meant(&entry.container));
    let found = writable::find(&theirs, &known.today.mounts);
    let is_in = |path: &str| {
        known.least.tmpfs().iter().any(|tmpfs| {
            path.strip_prefix(&tmpfs.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let mut folders = BTreeSet::new();
    for tmpfs in found.tmpfs.into_iter().filter(|tmpfs| !is_in(&tmpfs.path)) {
        folders.insert(tmpfs.path);
    }
    for blocked in found.blocked {
        let path = match blocked {
            writable::Blocked::Hides { path, .. } | writable::Blocked::Made { path } => path,
            writable::Blocked::Root { file } | writable::Blocked::Name { file } => file,
        };
        if !is_in(&path) {
            folders.insert(path);
        }
    }
    folders.into_iter().collect()
}
