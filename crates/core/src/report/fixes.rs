//! Vulnerabilities by what removes them: one upgrade, how many of which rating.
//!
//! Two vulnerabilities share an upgrade if the same command brings both fixes, or if their fixes are releases of one
//! branch written as plain numbers (`4.17.12`, `4.17.21`): then the later has the earlier. Versions are compared no further, so
//! that no upgrade promises more than it holds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::images::{FlawLine, Ratings};
use crate::vulnerability::Rating;

/// Ids that one fix lists.
pub const IDS_MAX: usize = 12;
/// Versions that one fix lists.
const VERSIONS_MAX: usize = 3;

/// One upgrade, and what it removes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixLine {
    /// Package.
    pub package: String,
    /// The version that is installed.
    pub installed: String,
    /// The version that is needed; several where one upgrade to the newest brings them all; at most three.
    pub fixed: Vec<String>,
    /// The command that gets there; empty if there is none.
    pub command: String,
    /// The layer that brought the package; absent if unknown.
    pub layer: Option<u32>,
    /// Vulnerabilities that it removes, by rating.
    pub removes: Ratings,
    /// Those of them that are known to be exploited.
    pub exploited: u64,
    /// Their ids, most urgent first; at most [`IDS_MAX`].
    pub ids: Vec<String>,
    /// Ids left out.
    pub ids_more: u64,
}

impl FixLine {
    /// How many vulnerabilities it removes.
    pub fn total(&self) -> u64 {
        self.removes.values().sum()
    }

    fn weight(&self) -> (u64, [u64; 6]) {
        let count = |rating| self.removes.get(&rating).copied().unwrap_or(0);
        (self.exploited, Rating::WORST_FIRST.map(count))
    }
}

/// What vulnerabilities have in common that one upgrade removes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Way<'a> {
    /// A command that names no version.
    Command(&'a str),
    /// A branch of releases: all of a version but its last number.
    Branch(&'a str),
    /// This very version.
    Version(&'a str),
}

/// Vulnerabilities that one upgrade removes, with their places.
type Members<'a> = Vec<(usize, &'a FlawLine)>;

/// The upgrades that remove these vulnerabilities, those first that remove most: the exploited, then by rating.
pub fn fixes(flaws: &[FlawLine]) -> Vec<FixLine> {
    grouped(flaws).into_iter().map(|(fix, _)| fix).collect()
}

/// The same, each with the places of the vulnerabilities that it removes.
pub fn grouped(flaws: &[FlawLine]) -> Vec<(FixLine, Vec<usize>)> {
    let mut groups: BTreeMap<(&str, &str, Way<'_>), Members<'_>> = BTreeMap::new();
    for (place, flaw) in flaws.iter().enumerate().filter(|(_, flaw)| !flaw.fixed.is_empty()) {
        let way = match release(&flaw.fixed) {
            _ if !flaw.command.is_empty() && !flaw.command.contains(&flaw.fixed) => {
                Way::Command(&flaw.command)
            }
            Some((branch, _)) => Way::Branch(branch),
            None => Way::Version(&flaw.fixed),
        };
        groups.entry((&flaw.package, &flaw.installed, way)).or_default().push((place, flaw));
    }
    let mut fixes: Vec<(FixLine, Vec<usize>)> = groups
        .into_iter()
        .filter_map(|((package, installed, way), group)| {
            let (_, last) = match way {
                Way::Branch(_) => group.iter().max_by_key(|(_, flaw)| release(&flaw.fixed))?,
                _ => group.first()?,
            };
            let places = group.iter().map(|(place, _)| *place).collect();
            let mut fix = FixLine {
                package: package.to_owned(),
                installed: installed.to_owned(),
                command: last.command.clone(),
                layer: last.layer,
                ..FixLine::default()
            };
            if matches!(way, Way::Branch(_)) {
                fix.fixed.push(last.fixed.clone());
            }
            for (_, flaw) in group {
                *fix.removes.entry(flaw.rating).or_default() += 1;
                fix.exploited += u64::from(flaw.exploited);
                if !matches!(way, Way::Branch(_))
                    && fix.fixed.len() < VERSIONS_MAX
                    && !fix.fixed.contains(&flaw.fixed)
                {
                    fix.fixed.push(flaw.fixed.clone());
                }
                if fix.ids.len() >= IDS_MAX {
                    fix.ids_more += 1;
                } else {
                    fix.ids.push(flaw.id.clone());
                }
            }
            Some((fix, places))
        })
        .collect();
    fixes.sort_by_cached_key(|(fix, _)| std::cmp::Reverse(fix.weight()));
    fixes
}

/// A version of plain numbers as its branch and its last number.
fn release(version: &str) -> Option<(&str, u64)> {
    let (branch, last) = version.rsplit_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let branch_ok = branch.strip_prefix('v').unwrap_or(branch).split('.').all(digits);
    (branch_ok && digits(last)).then(|| last.parse().ok().map(|last| (branch, last)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(id: &str, package: &str, fixed: &str, command: &str, rating: Rating) -> FlawLine {
        let (id, package, fixed, command) =
            (id.into(), package.into(), fixed.into(), command.into());
        FlawLine {
            id,
            package,
            installed: "1".into(),
            fixed,
            command,
            rating,
            ..FlawLine::default()
        }
    }

    #[test]
    fn one_command_and_one_branch_are_one_fix() {
        let fixes = fixes(&[
            flaw("A", "openssl", "3.0.11-1", "apt-get install openssl", Rating::High),
            flaw("B", "openssl", "3.0.15-1", "apt-get install openssl", Rating::Low),
            flaw("C", "lodash", "4.17.5", "npm install lodash@4.17.5", Rating::Critical),
            flaw("D", "lodash", "4.17.21", "npm install lodash@4.17.21", Rating::High),
            flaw("E", "lodash", "5.0.1", "npm install lodash@5.0.1", Rating::High),
            flaw("F", "odd", "1.0-beta", "", Rating::Low),
            flaw("G", "odd", "1.0-rc", "", Rating::Low),
            flaw("H", "odd", "", "", Rating::Critical),
        ]);
        let seen: Vec<_> =
            fixes.iter().map(|f| (f.package.as_str(), f.fixed.join(" "), f.total())).collect();
        assert_eq!(
            seen,
            [
                ("lodash", "4.17.21".to_owned(), 2),
                ("openssl", "3.0.11-1 3.0.15-1".to_owned(), 2),
                ("lodash", "5.0.1".to_owned(), 1),
                ("odd", "1.0-beta".to_owned(), 1),
                ("odd", "1.0-rc".to_owned(), 1),
            ]
        );
        assert_eq!(fixes.first().map(|f| f.command.as_str()), Some("npm install lodash@4.17.21"));
    }
}
