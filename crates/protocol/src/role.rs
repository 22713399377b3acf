//! Who may do what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an account may do; each role may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees findings, images, containers and alerts.
    Viewer,
    /// Sees who did what, too, and makes reports.
    Auditor,
    /// Verifies, scans, accepts findings, pauses, resumes and stops containers.
    Operator,
    /// Keeps accounts, tokens and settings.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Auditor, Self::Operator, Self::Admin];

    /// The name as in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| format!("{text:?} is no role"))
    }
}

/// What an API token may be used for, within the role of whoever made it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Questions that change nothing.
    Read,
    /// Questions that change something, too.
    Write,
}
