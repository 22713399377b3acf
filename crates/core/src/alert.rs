//! What a rule said about something that a container did.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// Schema of an alert as JSON.
pub const ALERT_SCHEMA: &str = "haechi/alert/v1";

/// How urgent a rule is: Falco's eight priorities, the worst first
/// (<https://falco.org/docs/concepts/rules/basic-elements/>).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The system is unusable.
    Emergency,
    /// Something has to be done at once.
    Alert,
    /// Critical.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal, but worth knowing.
    Notice,
    /// For information.
    Informational,
    /// For finding faults.
    Debug,
}

impl Priority {
    /// All, the worst first.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Informational,
        Self::Debug,
    ];

    /// The name as in rules and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Informational => "informational",
            Self::Debug => "debug",
        }
    }
}

impl FromStr for Priority {
    type Err = String;

    /// Reads a priority in any case; `info` is short for `informational`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("info") {
            return Ok(Self::Informational);
        }
        let found = Self::ALL.into_iter().find(|one| text.eq_ignore_ascii_case(one.name()));
        found.ok_or_else(|| format!("{text:?} is no priority"))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A container, as an alert names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertContainer {
    /// Full id.
    pub id: String,
    /// Name; empty if the engine had not told it yet.
    pub name: String,
    /// The reference that it was created from.
    pub image: String,
    /// Kubernetes namespace; empty if there is none.
    pub namespace: String,
    /// Kubernetes pod; empty if there is none.
    pub pod: String,
}

/// An ancestor of the process, the parent first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ancestor {
    /// Id on the host.
    pub pid: u32,
    /// Name as the kernel keeps it.
    pub name: String,
    /// The program's file.
    pub path: String,
    /// Name and arguments as one line.
    pub command: String,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// [`ALERT_SCHEMA`].
    pub schema: String,
    /// When it happened.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Name of the rule.
    pub rule: String,
    /// How urgent it is.
    pub priority: Priority,
    /// The rule's output, filled in.
    pub text: String,
    /// Tags of the rule.
    pub tags: Vec<String>,
    /// Checks that it is evidence for.
    pub checks: Vec<String>,
    /// In which container.
    pub container: AlertContainer,
    /// The program of the process that did it.
    pub program: String,
    /// Its command line.
    pub command: String,
    /// Its ancestors, the parent first.
    pub ancestors: Vec<Ancestor>,
    /// What it did.
    pub event: Event,
}

impl Alert {
    /// Rule and text as one line: outputs often begin with what the rule is called, and nobody reads that twice.
    pub fn headline(&self) -> String {
        headline(&self.rule, &self.text)
    }
}

/// A rule and what it said, as one line: see [`Alert::headline`].
pub fn headline(rule: &str, text: &str) -> String {
    match text.get(..rule.len()) {
        Some(start) if start.eq_ignore_ascii_case(rule) => text.to_owned(),
        _ => format!("{rule}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_named_once() {
        assert_eq!(
            headline("Reverse shell", "Reverse shell (command=bash)"),
            "Reverse shell (command=bash)"
        );
        assert_eq!(headline("Reverse shell", "reverse Shell"), "reverse Shell");
        assert_eq!(headline("Tunnel", "Port (command=ssh)"), "Tunnel: Port (command=ssh)");
        assert_eq!(headline("긴 이름", "é"), "긴 이름: é");
        assert_eq!(headline("Tunnel", "Tunnelé"), "Tunnelé");
    }
}
