//! Capabilities that were used, against those that are held.
//!
//! Promises that nobody gets one that it does not hold today because another container of the workload used it. What is held
//! today is not always known: what then goes beyond what Docker gives is named.

use std::collections::BTreeSet;

use haechi_core::capability::{DEFAULT, NAMES};
use haechi_core::profile::{Gap, Kind, Profile};
use serde::Serialize;

/// What was used of what is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Used, of what is held today. `None`: it is not known, because the kernel told it in no stretch of time.
    pub used: Option<BTreeSet<String>>,
    /// Used by other containers of the workload, and not held today.
    pub withheld: BTreeSet<String>,
    /// Used, and not of those that Docker gives to all, while it is not known what is held today.
    pub beyond: BTreeSet<String>,
    /// Asked for and not held.
    pub refused: BTreeSet<String>,
    /// Held today. `None`: it is not known.
    pub held: Option<BTreeSet<String>>,
    /// Held and never used.
    pub needless: BTreeSet<String>,
}

/// Compares what a profile says with what is held. Names that no kernel has are left out.
pub fn compare(profile: &Profile, held: Option<&BTreeSet<String>>) -> Capabilities {
    let of = |kind: Kind| -> BTreeSet<String> {
        let entries = profile.known().filter(|entry| entry.kind == kind);
        entries
            .map(|entry| &entry.value)
            .filter(|name| NAMES.contains(&name.as_str()))
            .cloned()
            .collect()
    };
    let is_known = profile.runs.iter().any(|run| !run.gaps.contains(&Gap::Capabilities));
    let seen = is_known.then(|| of(Kind::Capability));
    let may_have = |name: &&String| match held {
        Some(held) => held.contains(*name),
        None => DEFAULT.contains(&name.as_str()),
    };
    let more = seen.iter().flatten().filter(|name| !may_have(name)).cloned().collect();
    let (used, withheld, beyond) = match held {
        Some(held) => (seen.map(|seen| &seen & held), more, BTreeSet::new()),
        None => (seen, BTreeSet::new(), more),
    };
    let needless = match (&used, held) {
        (Some(used), Some(held)) => held.difference(used).cloned().collect(),
        _ => BTreeSet::new(),
    };
    let refused = of(Kind::RefusedCapability);
    Capabilities { used, withheld, beyond, refused, held: held.cloned(), needless }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_held_and_not_used_is_needless() {
        let mut known = profile(&[
            (Kind::Capability, "CHOWN"),
            (Kind::Capability, "ALL --privileged"),
            (Kind::RefusedCapability, "SYS_ADMIN"),
        ]);
        let held = names(&["CHOWN", "NET_RAW"]);
        let found = compare(&known, Some(&held));
        assert_eq!(found.used, Some(names(&["CHOWN"])));
        assert_eq!((found.needless, found.refused), (names(&["NET_RAW"]), names(&["SYS_ADMIN"])));
        assert_eq!(compare(&known, None).needless, names(&[]));
        known.runs[0].gaps.insert(Gap::Capabilities);
        assert_eq!(compare(&known, Some(&held)).used, None, "not known is not: none");
        assert!(compare(&known, Some(&held)).needless.is_empty());
    }

    #[test]
    fn what_another_container_used_is_not_given_to_this_one() {
        let known = profile(&[(Kind::Capability, "CHOWN"), (Kind::Capability, "SYS_ADMIN")]);
        let found = compare(&known, Some(&names(&["CHOWN", "NET_RAW"])));
        assert_eq!((found.used, found.withheld), (Some(names(&["CHOWN"])), names(&["SYS_ADMIN"])));
        assert!(found.beyond.is_empty());
        let found = compare(&known, None);
        assert_eq!(found.used, Some(names(&["CHOWN", "SYS_ADMIN"])));
        assert_eq!((found.withheld, found.beyond), (names(&[]), names(&["SYS_ADMIN"])));
    }
}
