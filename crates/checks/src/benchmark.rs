//! A benchmark: a published list of items, each mapped to checks.
//!
//! A new edition is a new file in `benchmarks/` and no new code.

use haechi_core::Text;
use serde::Deserialize;

/// A published list of items.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// Its id, as `cis-docker-1.13.0`.
    pub id: String,
    /// Its title as published.
    pub title: String,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// A section of a benchmark.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its number.
    pub id: String,
    /// Its title.
    pub title: Text,
    /// Its items, in order.
    pub items: Vec<BenchmarkItem>,
}

/// One item of a benchmark.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkItem {
    /// Its number, as `5.4`.
    pub id: String,
    /// Its title.
    pub title: Text,
    /// The checks that decide it.
    pub checks: Vec<String>,
}

impl Benchmark {
    /// All items with their sections, in order.
    pub fn items(&self) -> impl Iterator<Item = (&Section, &BenchmarkItem)> {
        self.sections
            .iter()
            .flat_map(|section| section.items.iter().map(move |item| (section, item)))
    }
}
