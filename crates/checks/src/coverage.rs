//! Which items of a benchmark older tools decide, as published, beside what Haechi decides.
//!
//! Data from `benchmarks/coverage.yaml`; nothing is measured here.

use haechi_core::{Cause, Text};
use serde::Deserialize;

use crate::{BenchmarkItem, Content};

/// Which items of a benchmark older tools decide.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The benchmark that it is about.
    pub benchmark: String,
    /// Where the figures come from.
    pub source: Text,
    /// The tools.
    pub tools: Vec<Tool>,
}

/// An older tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The items that it decides.
    pub items: Vec<String>,
}

/// How Haechi decides an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decides {
    /// From evidence that it collects today.
    Now,
    /// Its check is written, and part of its evidence needs a room that does not exist yet.
    Needs(Cause),
}

impl Content {
    /// How Haechi decides an item: by evidence that is there, unless one of its checks needs another room.
    pub fn decides(&self, item: &BenchmarkItem) -> Decides {
        let needs = item
            .checks
            .iter()
            .filter_map(|id| self.checks().find(|check| check.id == *id))
            // Images are taken apart and the database exists; what they could not tell is said for each subject.
            .find_map(|check| check.needs.filter(|needs| *needs == Cause::NeedsMonitor));
        needs.map_or(Decides::Now, Decides::Needs)
    }
}
