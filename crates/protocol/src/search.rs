//! What a search finds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Best first.
    pub rows: Vec<FoundRow>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundRow {
    /// `item`, `image`, `container`, `alert`, `vulnerability`.
    pub kind: String,
    /// What it is called.
    pub title: String,
    /// More about it.
    pub detail: String,
    /// A path of the dashboard.
    pub link: String,
}
