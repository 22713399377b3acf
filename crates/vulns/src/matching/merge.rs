//! One flaw out of many records: records that name the same vulnerability are put together, and it is decided whose
//! word counts.
//!
//! Records belong together when they share an id or alias. An advisory that sums up several vulnerabilities (DSA, RHSA,
//! USN) counts for each CVE that it covers; it joins no two of them. If it covers none, it stands for itself.
//!
//! For a distribution's package the first of these that speaks decides: the distribution's own feed; a record about
//! the very vulnerability, in the order of the ecosystems; an advisory that covers it. Elsewhere all count alike, and
//! one that says affected is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::range::Verdict;
use crate::advisory::Record;

/// A record with its verdict for one package.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The record.
    pub record: Rc<Record>,
    /// What it says.
    pub verdict: Verdict,
    /// Place of its ecosystem in the package's order.
    pub place: usize,
}

/// All that is said about one vulnerability in one package.
#[derive(Debug, Clone)]
pub struct Flaw {
    /// Its names.
    pub names: BTreeSet<String>,
    /// The records whose word counts, best first; then others that say affected too.
    pub records: Vec<Rc<Record>>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Merged {
    /// Flaws that the package has.
    pub flaws: Vec<Flaw>,
    /// Vulnerabilities that could not be decided: best name and why.
    pub unreadable: Vec<(String, String)>,
}

/// The CVE that a name is or contains: `CVE-2021-3782` of `UBUNTU-CVE-2021-3782`.
pub fn cve_in(name: &str) -> Option<&str> {
    let start = name.find("CVE-")?;
    if start > 0 && !name.get(..start)?.ends_with(['-', ':']) {
        return None;
    }
    let cve = name.get(start..)?;
    let (year, number) = cve.strip_prefix("CVE-")?.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (year.len() == 4 && digits(year) && digits(number)).then_some(cve)
}

/// The best-known of several names: the least CVE, then GHSA, then the rest in order.
pub fn best_name(names: &BTreeSet<String>) -> String {
    let key = |name: &&String| match name.as_str() {
        name if name.starts_with("CVE-") => 0,
        // A malicious package is no flaw in a good one; its own id says so.
        name if name.starts_with("MAL-") => 1,
        name if name.starts_with("GHSA-") => 2,
        _ => 3,
    };
    names.iter().min_by_key(key).cloned().unwrap_or_default()
}

/// What a record is about: one vulnerability by these names, or several CVEs.
enum About {
    One(Vec<String>),
    Each(Vec<String>),
}

fn about(record: &Record) -> About {
    let own: Vec<String> = std::iter::once(&record.id)
        .chain(&record.aliases)
        .flat_map(|name| [Some(name.as_str()), cve_in(name)])
        .flatten()
        .map(str::to_owned)
        .collect();
    if cve_in(&record.id).is_some() {
        return About::One(own);
    }
    let covered: BTreeSet<&str> =
        record.covers.iter().chain(&record.aliases).filter_map(|name| cve_in(name)).collect();
    if record.covers.is_empty() && covered.len() < 2 || covered.is_empty() {
        let covers = record.covers.iter().cloned();
        return About::One(if record.covers.len() == 1 {
            own.into_iter().chain(covers).collect()
        } else {
            own
        });
    }
    About::Each(covered.into_iter().map(str::to_owned).collect())
}

/// Groups while they are built.
#[derive(Default)]
struct Groups {
    /// Name to group; a group that was joined to another points on.
    of: BTreeMap<String, usize>,
    parent: Vec<usize>,
}

impl Groups {
    fn root(&self, mut group: usize) -> usize {
        while let Some(&next) = self.parent.get(group)
            && next != group
        {
            group = next;
        }
        group
    }

    /// The group that has any of these names; joins all that do.
    fn join(&mut self, names: Vec<String>) -> usize {
        // The oldest becomes the root, so chains stay short and end.
        let found: BTreeSet<usize> =
            names.iter().filter_map(|name| self.of.get(name)).map(|&g| self.root(g)).collect();
        let group = found.first().copied().unwrap_or_else(|| {
            self.parent.push(self.parent.len());
            self.parent.len() - 1
        });
        for other in found {
            if let Some(parent) = self.parent.get_mut(other) {
                *parent = group;
            }
        }
        for name in names {
            self.of.insert(name, group);
        }
        group
    }
}

/// Puts the records of one package together.
pub fn merge(judged: &[Judged], distribution: bool) -> Merged {
    let mut groups = Groups::default();
    // (group, tier, index into judged); a lower tier speaks first.
    let mut entries: Vec<(usize, usize, usize)> = Vec::new();
    let mut summaries: Vec<(usize, Vec<String>)> = Vec::new();
    for (index, entry) in judged.iter().enumerate() {
        match about(&entry.record) {
            About::One(names) => {
                let own_feed = !entry.record.feed.starts_with("osv/");
                let tier = match (distribution, own_feed) {
                    (false, _) | (true, true) => 0,
                    (true, false) => 1 + entry.place,
                };
                entries.push((groups.join(names), tier, index));
            }
            About::Each(names) => summaries.push((index, names)),
        }
    }
    for (index, names) in summaries {
        for name in names {
            let place = judged.get(index).map_or(0, |entry| entry.place);
            // Above every place that an ecosystem can have.
            let tier = if distribution { usize::MAX / 2 + place } else { 0 };
            entries.push((groups.join(vec![name]), tier, index));
        }
    }
    for entry in &mut entries {
        entry.0 = groups.root(entry.0);
    }
    entries.sort_unstable();

    let mut names: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (name, &group) in &groups.of {
        names.entry(groups.root(group)).or_default().insert(name.clone());
    }
    let mut merged = Merged::default();
    for group in entries.chunk_by(|a, b| a.0 == b.0) {
        let Some(names) = group.first().and_then(|entry| names.remove(&entry.0)) else { continue };
        match decide(group, judged) {
            Verdict::Affected => {
                let affected = group.iter().filter_map(|&(_, _, index)| judged.get(index));
                let records = affected
                    .filter(|entry| entry.verdict == Verdict::Affected)
                    .map(|entry| Rc::clone(&entry.record))
                    .collect();
                merged.flaws.push(Flaw { names, records });
            }
            Verdict::Unreadable(why) => merged.unreadable.push((best_name(&names), why)),
            Verdict::NotAffected => {}
        }
    }
    merged
}

/// Whose word counts. `group` is sorted by tier.
fn decide(group: &[(usize, usize, usize)], judged: &[Judged]) -> Verdict {
    let mut unreadable = None;
    for tier in group.chunk_by(|a, b| a.1 == b.1) {
        let mut spoke = false;
        let mut unread_here = false;
        for entry in tier.iter().filter_map(|&(_, _, index)| judged.get(index)) {
            match &entry.verdict {
                Verdict::Affected => return Verdict::Affected,
                Verdict::NotAffected => spoke = true,
                Verdict::Unreadable(why) => {
                    unread_here = true;
                    unreadable.get_or_insert_with(|| format!("{}: {why}", entry.record.id));
                }
            }
        }
        // What could not be read leaves the question to the next tier, but only `affected` can end it there.
        if spoke && !unread_here && unreadable.is_none() {
            return Verdict::NotAffected;
        }
    }
    unreadable.map_or(Verdict::NotAffected, Verdict::Unreadable)
}

#[cfg(test)]
mod tests;
