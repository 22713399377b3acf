//! Whether a version is affected by a record, by the algorithm of the OSV schema
//! (<https://ossf.github.io/osv-schema/#evaluation>), and the least version that is not.
//!
//! A version that the ecosystem's rules do not read is never taken as unaffected: it gives [`Verdict::Unreadable`],
//! unless another range of the same record says affected.

use std::cmp::Ordering;

use crate::advisory::{Event, Range, Record, Statement};
use crate::version::{Scheme, Unreadable, compare, conforms};

/// What one record says about one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Affected.
    Affected,
    /// Not affected.
    NotAffected,
    /// It cannot be told, and why.
    Unreadable(String),
}

/// Decides one record for one installed version.
pub fn judge(record: &Record, scheme: Scheme, version: &str) -> Verdict {
    if record.withdrawn || record.statement == Statement::NotAffected {
        return Verdict::NotAffected;
    }
    if record.ranges.is_empty() && record.versions.is_empty() {
        return match record.statement {
            Statement::Affected(_) => Verdict::Affected,
            _ => Verdict::Unreadable("it names no version".to_owned()),
        };
    }
    if record.versions.iter().any(|affected| affected == version) {
        return Verdict::Affected;
    }
    let mut unreadable = None;
    for range in &record.ranges {
        match in_range(range, scheme, version) {
            Ok(true) => return Verdict::Affected,
            Ok(false) => {}
            Err(error) => unreadable = Some(error),
        }
    }
    // Without ranges the list alone decides, and another spelling of a listed version (`1.0` and `1.0.0`) counts.
    if record.ranges.is_empty() {
        for affected in &record.versions {
            match compare(scheme, version, affected) {
                Ok(Ordering::Equal) => return Verdict::Affected,
                Ok(_) => {}
                // A listed version that cannot be read is not the installed one; an installed one may be any.
                Err(error) if error.version == version => unreadable = Some(error),
                Err(_) => {}
            }
        }
    }
    // The order also has a place for what it does not understand (Python's versions from before PEP 440 are before all
    // others); that is no reason to call such a version unaffected.
    if unreadable.is_none() && !conforms(scheme, version) {
        unreadable = Some(Unreadable { scheme, version: version.to_owned() });
    }
    unreadable.map_or(Verdict::NotAffected, |error| Verdict::Unreadable(error.to_string()))
}

/// The rules for one range: NuGet's own order knows more than SemVer (four numbers), else a SEMVER range is in SemVer.
fn scheme_of(range: &Range, scheme: Scheme) -> Scheme {
    if range.semver && scheme != Scheme::Nuget { Scheme::Semver } else { scheme }
}

/// Orders two versions of a range; `0` is before every version.
fn order(scheme: Scheme, a: &str, b: &str) -> Result<Ordering, Unreadable> {
    match (a == "0", b == "0") {
        (true, true) => Ok(Ordering::Equal),
        (true, false) => Ok(Ordering::Less),
        (false, true) => Ok(Ordering::Greater),
        (false, false) => compare(scheme, a, b),
    }
}

/// Whether a version is in a range.
///
/// The schema sorts the events and lets each that is reached switch the state. So the greatest event that is reached
/// decides alone; of two at one version, the later in the feed, but `last_affected` ends after it.
fn in_range(range: &Range, scheme: Scheme, version: &str) -> Result<bool, Unreadable> {
    let scheme = scheme_of(range, scheme);
    let mut limits = 0_u32;
    let mut below_limit = false;
    let mut introduced = false;
    let mut last: Option<(&str, bool, bool)> = None;
    for event in &range.events {
        let (at, switches_on, ends_after) = match event {
            Event::Introduced(at) => {
                introduced = true;
                (at.as_str(), true, false)
            }
            Event::Fixed(at) => (at.as_str(), false, false),
            Event::LastAffected(at) => (at.as_str(), false, true),
            Event::Limit(at) => {
                limits = limits.saturating_add(1);
                below_limit |= at == "*" || compare(scheme, version, at)? == Ordering::Less;
                continue;
            }
        };
        // Also what is not reached must be readable: it could have been.
        let reached = match order(scheme, at, version)? {
            Ordering::Less => true,
            Ordering::Equal => !ends_after,
            Ordering::Greater => false,
        };
        if !reached {
            continue;
        }
        let newer = match last {
            None => true,
            Some((best, _, best_ends_after)) => match order(scheme, at, best)? {
                Ordering::Less => false,
                Ordering::Equal => ends_after || !best_ends_after,
                Ordering::Greater => true,
            },
        };
        if newer {
            last = Some((at, switches_on, ends_after));
        }
    }
    // The schema demands an `introduced`; a range without one is taken to begin at 0, never to be empty.
    let affected = last.map_or(!introduced && !range.events.is_empty(), |(_, on, _)| on);
    Ok(affected && (limits == 0 || below_limit))
}

/// The least version above `version` that some record calls fixed and no record calls affected. If there is none
/// because the records contradict each other, the least that some record calls fixed.
pub fn fix(records: &[&Record], scheme: Scheme, version: &str) -> Option<String> {
    // An honest range has a handful of fixes; more would make the search below slow.
    const CANDIDATES_MAX: usize = 64;
    let mut candidates: Vec<&str> = Vec::new();
    for record in records {
        for range in &record.ranges {
            // Only ranges that hold the installed version say how to leave it.
            if !matches!(in_range(range, scheme, version), Ok(true)) {
                continue;
            }
            let scheme = scheme_of(range, scheme);
            let least = range
                .events
                .iter()
                .filter_map(|event| match event {
                    Event::Fixed(at) => Some(at.as_str()),
                    _ => None,
                })
                .filter(|at| matches!(order(scheme, at, version), Ok(Ordering::Greater)))
                .reduce(|a, b| if order(scheme, b, a) == Ok(Ordering::Less) { b } else { a });
            if let Some(least) = least
                && !candidates.contains(&least)
                && candidates.len() < CANDIDATES_MAX
            {
                candidates.push(least);
            }
        }
    }
    candidates.sort_by(|a, b| order(scheme, a, b).unwrap_or_else(|_| a.cmp(b)));
    let clean = candidates.iter().find(|candidate| {
        records.iter().all(|record| judge(record, scheme, candidate) != Verdict::Affected)
    });
    clean.or(candidates.first()).map(|found| (*found).to_owned())
}

#[cfg(test)]
mod tests;
