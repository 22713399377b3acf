//! A rule that runs, and how urgent what it finds is.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::evaluate::Node;
use crate::output::Output;

/// How urgent an alert of a rule is; the first is the most urgent.
///
/// Source: <https://falco.org/docs/concepts/rules/basic-elements/>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The system cannot be used.
    Emergency,
    /// To be dealt with at once.
    Alert,
    /// Critical.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal, but of interest.
    Notice,
    /// For information.
    Informational,
    /// For debugging.
    Debug,
}

impl Priority {
    const ALL: [(Self, &str); 8] = [
        (Self::Emergency, "emergency"),
        (Self::Alert, "alert"),
        (Self::Critical, "critical"),
        (Self::Error, "error"),
        (Self::Warning, "warning"),
        (Self::Notice, "notice"),
        (Self::Informational, "informational"),
        (Self::Debug, "debug"),
    ];
}

impl FromStr for Priority {
    type Err = String;

    /// Reads a priority in any case; `info` is short for `informational`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("info") {
            return Ok(Self::Informational);
        }
        let found = Self::ALL.iter().find(|(_, name)| text.eq_ignore_ascii_case(name));
        found.map(|(priority, _)| *priority).ok_or_else(|| format!("{text:?} is no priority"))
    }
}

impl Display for Priority {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(priority, _)| priority == self);
        f.write_str(found.map_or("", |(_, name)| name))
    }
}

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
