//! Which items of a benchmark older tools decide, as published, beside what Haechi decides.
//!
//! Data from `benchmarks/coverage.yaml`; nothing is measured here.

use haechi_core::Text;
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

impl Content {
    /// Whether Haechi decides an item: it has checks, and all of them are there. What a room could not tell (no image
    /// opened, no monitor running) is said for each subject.
    pub fn decides(&self, item: &BenchmarkItem) -> bool {
        let known = |id: &String| self.checks().any(|check| check.id == *id);
        !item.checks.is_empty() && item.checks.iter().all(known)
    }
}
