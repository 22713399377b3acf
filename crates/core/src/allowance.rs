//! What containers of a workload may start and write, when that is enforced. A value only: made from a profile elsewhere,
//! and held against files elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Origin;

/// What is done about what a profile does not have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is told what would be refused.
    DryRun,
    /// It is refused.
    Deny,
}

impl Mode {
    /// Its name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Deny => "deny",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::DryRun, Self::Deny].into_iter().find(|mode| mode.name() == name)
    }
}

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Programs by their path, and where the file may lie. [`Origin::Unknown`] is a script, of which nobody recorded that: its
    /// path may lead over links, and it may lie where it lies when this comes into force, but in the container's own layer only
    /// if [`Origin::Changed`] is there as well.
    pub programs: BTreeMap<String, BTreeSet<Origin>>,
    /// Folders with everything below that may be written, and single files; `None` if anything may be. Paths may lead over
    /// links.
    pub writable: Option<Writable>,
}

/// Where may be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writable {
    /// Folders, with everything below.
    pub folders: BTreeSet<String>,
    /// Files that lie directly in the root.
    pub files: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_called_as_in_the_data() {
        for mode in [Mode::DryRun, Mode::Deny] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
            assert_eq!(Mode::named(mode.name()), Some(mode));
        }
        assert_eq!(Mode::named("off"), None);
    }
}
