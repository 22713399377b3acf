//! Workloads that were watched, in short: how well each is known, and what of what it may do it does.
//!
//! Types only; what is in them was decided elsewhere. What is not known is absent, and never zero.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Text;

/// What was seen of a package of an image. In the order of how much it says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PackageState {
    /// A program or script of it was executed.
    Executed,
    /// A file of it was mapped as code or read.
    Loaded,
    /// Nothing of it was used, though everything that is used was seen for long enough.
    Present,
    /// Nothing of it was seen in use, which means nothing: it was not watched well enough, or its files are not known.
    Unknown,
}

impl PackageState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Executed, Self::Loaded, Self::Present, Self::Unknown];

    /// The name used in JSON and in keys of texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Loaded => "loaded",
            Self::Present => "present",
            Self::Unknown => "unknown",
        }
    }

    /// Of two packages that are told by the same name: whichever makes it safer to believe.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Present, Self::Unknown) | (Self::Unknown, Self::Present) => Self::Unknown,
            (one, other) => one.min(other),
        }
    }
}

/// What was seen of packages, by `NAME VERSION`.
pub type PackageStates = BTreeMap<String, PackageState>;

/// How many packages there are of each state; one that none has is absent.
pub type PackageCounts = BTreeMap<PackageState, u64>;

/// A workload that was watched: an image with a command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileLine {
    /// Its number on this host; 0 if it is not kept here.
    pub number: i64,
    /// Names of the containers that were watched, sorted.
    pub containers: Vec<String>,
    /// The image as it was named last; may be empty.
    pub image: String,
    /// Id of the image; empty if unknown.
    pub image_id: String,
    /// Entry point and arguments.
    pub command: Vec<String>,
    /// Whether it is known well enough for what follows from it.
    pub settled: bool,
    /// Why it is not.
    pub open: Vec<OpenLine>,
    /// Since when it was watched.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// Until when.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// Seconds in which it was watched.
    pub watched: u64,
    /// Seconds of watching until something new was seen last.
    pub learned_in: u64,
    /// Seconds of watching since.
    pub quiet: u64,
    /// Parts of its life that were seen: `start`, `run`, `health-check`, `exec`, `stop`.
    pub phases: Vec<String>,
    /// Things that it is known to do.
    pub entries: u64,
    /// Hours of watching in which something new was seen, in their order.
    pub curve: Vec<CurvePoint>,
    /// Packages of its image by what was seen of them; absent if the image was not taken apart.
    pub packages: Option<PackageCounts>,
    /// System calls that it made.
    pub calls_used: u64,
    /// System calls that have to be allowed: those, and what no container does without.
    pub calls_needed: u64,
    /// System calls that its container may make today; absent if that is not known.
    pub calls_today: Option<u64>,
    /// Capabilities that it used, without `CAP_`; absent if no kernel told.
    pub capabilities_used: Option<BTreeSet<String>>,
    /// Capabilities that its container holds today; absent if that is not known.
    pub capabilities_today: Option<BTreeSet<String>>,
    /// How many things are new since it was settled; absent if it never was while it was watched.
    pub news: Option<u64>,
}

/// Why parts of a profile are not known well enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenLine {
    /// Which: `calls`, `capabilities`, `programs`, `files`, `network`.
    pub parts: Vec<String>,
    /// Why, as a sentence.
    pub why: Text,
}

/// An hour of watching in which something new was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Which, from 0.
    pub hour: u64,
    /// How many new things.
    pub new: u64,
    /// How many were known at its end.
    pub total: u64,
}

impl ProfileLine {
    /// Columns of a drawing of its curve over the whole time that was watched: new things in each, and known ones at its end.
    /// At most `most` columns; one for each hour if there are fewer.
    pub fn columns(&self, most: u64) -> Vec<CurvePoint> {
        let hours = self.watched.div_ceil(3600).max(1);
        let columns = hours.min(most.max(1));
        let mut new: BTreeMap<u64, u64> = BTreeMap::new();
        for point in &self.curve {
            let column = point.hour.min(hours - 1).saturating_mul(columns) / hours;
            *new.entry(column).or_default() += point.new;
        }
        let mut total = 0;
        let column = |hour| {
            let new = new.get(&hour).copied().unwrap_or_default();
            total += new;
            CurvePoint { hour, new, total }
        };
        (0..columns).map(column).collect()
    }

    /// How many packages are of a state.
    pub fn packages_of(&self, state: PackageState) -> u64 {
        self.packages.as_ref().and_then(|counts| counts.get(&state)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_packages_of_one_name_nothing_looks_better_than_it_is() {
        use PackageState::{Executed, Loaded, Present, Unknown};
        for (one, other, both) in [
            (Present, Unknown, Unknown),
            (Present, Loaded, Loaded),
            (Unknown, Executed, Executed),
            (Loaded, Executed, Executed),
            (Present, Present, Present),
        ] {
            assert_eq!((one.or(other), other.or(one)), (both, both));
        }
        for state in PackageState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }

    #[test]
    fn no_column_is_lost_and_the_last_one_knows_all() {
        let points = [(0, 40), (5, 2), (999, 1)];
        let curve = points.map(|(hour, new)| CurvePoint { hour, new, total: 0 }).to_vec();
        let line = ProfileLine { watched: 1000 * 3600, curve, ..ProfileLine::default() };
        let columns = line.columns(48);
        assert_eq!((columns.len(), columns.last().unwrap().total), (48, 43));
        assert_eq!((columns[0].new, columns[47].new), (42, 1));
        assert_eq!(ProfileLine::default().columns(48).len(), 1);
    }
}
