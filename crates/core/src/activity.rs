//! What was done through the engine, and for how long containers were watched.
//!
//! Types only. Activity comes from the engine's event stream and from inspecting exec calls; the engine does not say
//! who asked.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema of an activity as JSON.
pub const ACTIVITY_SCHEMA: &str = "haechi/activity/v1";

/// Something that was done through the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// When, by the engine's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What kind of thing: `container`, `image`, `network`, `volume`, `daemon` …
    pub kind: String,
    /// What was done: `create`, `start`, `exec_create`, `exec_start`, `kill`, `die`, `pull`, `mount` …
    pub action: String,
    /// Id of the thing: full id of the container, reference or id of the image.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image that a container was created from.
    pub image: String,
    /// More that the engine says, as `key=value`, sorted, secrets redacted: signal, exit code, driver …
    pub details: Vec<String>,
    /// The exec call, of `exec_create` and `exec_start`.
    pub exec: Option<ExecCall>,
}

/// A command that was run in a container through the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecCall {
    /// Id that the engine gave it.
    pub id: String,
    /// Command line, secrets redacted.
    pub command: String,
    /// `--user`; empty means the container's own.
    pub user: String,
    /// `--privileged`; absent if the engine did not tell in time.
    pub privileged: Option<bool>,
    /// Id of the process on the host; 0 if unknown.
    pub pid: u32,
}

/// A stretch of time in which a container was watched without a break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Full id of the container.
    pub container: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether that is since its start.
    pub from_start: bool,
    /// Until when it is certain.
    pub until: Timestamp,
    /// Kernel events that were lost, and alerts that could not be kept.
    pub lost: u64,
    /// Whether activity of the engine may have been missed.
    pub activity_missed: bool,
}
