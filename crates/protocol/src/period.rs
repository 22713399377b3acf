//! What an auditor is answered about a period.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::{ActionRow, ExceptionLine, ItemRow, Picture, VerificationLine};

/// A period, as an auditor reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodReport {
    /// Posture at its end.
    pub picture: Picture,
    /// How many verifications were in it.
    #[serde(default)]
    pub taken: u64,
    /// The last one of each day (UTC) in it, the oldest first.
    pub verifications: Vec<VerificationLine>,
    /// Items as they were decided at its end.
    pub items: Vec<ItemRow>,
    /// Exceptions that counted in it.
    pub exceptions: Vec<ExceptionLine>,
    /// What was done about alerts in it, the newest first.
    pub actions: Vec<ActionRow>,
    /// Whether more was done than is listed.
    pub more_actions: bool,
    /// Alerts in it by rule.
    pub alerts: BTreeMap<String, u64>,
    /// For how long containers were watched in it: without that, no alert means nothing.
    #[serde(default)]
    pub watched: Watched,
}

/// For how long containers were watched in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Watched {
    /// How many containers were; 0 if none was.
    pub containers: u64,
    /// Seconds in which at least one was.
    pub seconds: u64,
    /// Events that were lost, and alerts that are not on record, while these were watched.
    pub lost: u64,
    /// Whether activity of the engine was missed.
    pub activity_missed: bool,
}
