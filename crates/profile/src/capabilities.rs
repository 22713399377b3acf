//! Capabilities that were used, against those that are held.

use std::collections::BTreeSet;

use haechi_core::capability::NAMES;
use haechi_core::profile::{Gap, Kind, Profile};
use serde::Serialize;

/// What was used of what is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Used. `None`: it is not known, because the kernel told it in no stretch of time.
    pub used: Option<BTreeSet<String>>,
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
    let used = is_known.then(|| of(Kind::Capability));
    let needless = match (&used, held) {
        (Some(used), Some(held)) => held.difference(used).cloned().collect(),
        _ => BTreeSet::new(),
    };
    Capabilities { used, refused: of(Kind::RefusedCapability), held: held.cloned(), needless }
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
}
