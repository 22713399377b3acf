//! A rule that runs.

use haechi_core::alert::Priority;

use crate::evaluate::Node;
use crate::output::Output;

/// A rule that runs.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it finds and why that matters.
    pub description: String,
    /// How urgent that is.
    pub priority: Priority,
    /// Its tags.
    pub tags: Vec<String>,
    /// What an alert says.
    pub output: Output,
    /// The condition as it is written, with what was appended to it.
    pub condition: String,
    pub(crate) node: Node,
}

impl Rule {
    /// Ids of the checks that this rule is evidence for: what its tags `check:ID` name.
    pub fn checks(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter_map(|tag| tag.strip_prefix("check:"))
    }
}
