//! What was done about an alert, and what was seen before it was done.
//!
//! Types only: who decides is `haechi-monitor`, who keeps them is `haechi-store`. Times that matter to a reader are
//! moments; how fast something was is in microseconds since the event.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::AlertContainer;

/// Schema of an action as JSON.
pub const ACTION_SCHEMA: &str = "haechi/action/v1";

/// How an alert is answered.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Tell it, and nothing else.
    #[default]
    Alert,
    /// Refuse to run the program before it starts; what the kernel cannot refuse is killed.
    Deny,
    /// End the process.
    Kill,
    /// Freeze the container; the engine shows it as paused.
    Pause,
    /// Cut the container's network.
    Isolate,
    /// Stop the container.
    Stop,
}

impl Response {
    /// All, the mildest first.
    pub const ALL: [Self; 6] =
        [Self::Alert, Self::Deny, Self::Kill, Self::Pause, Self::Isolate, Self::Stop];

    /// The name as in the policy and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Deny => "deny",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Isolate => "isolate",
            Self::Stop => "stop",
        }
    }
}

/// What came of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was begun; after a kill of the monitor this is what is left.
    Begun,
    /// It took effect.
    Done,
    /// It would have been done: a dry run.
    DryRun,
    /// It was not done: the container is protected, or too much was done already.
    Withheld(Withheld),
    /// It was tried and failed, for this reason.
    Failed(String),
    /// It was taken back: the container runs again, the network is back.
    Ended,
}

impl Outcome {
    /// The name as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::DryRun => "dry_run",
            Self::Withheld(_) => "withheld",
            Self::Failed(_) => "failed",
            Self::Ended => "ended",
        }
    }
}

/// Why a response was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The policy protects the container, or it is Haechi's own.
    Protected,
    /// As many actions as the policy allows were done already.
    Budget,
    /// The same was done to this container a moment ago.
    Repeated,
    /// The container, or the process, is gone.
    Gone,
    /// Its network is the host's own.
    HostNetwork,
}

/// A response to an alert, or one that was withheld.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// [`ACTION_SCHEMA`].
    pub schema: String,
    /// When it was decided.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What was to be done.
    pub response: Response,
    /// To which container.
    pub container: AlertContainer,
    /// To which process (id on the host); 0 if to the whole container.
    pub pid: u32,
    /// The rule that it answers.
    pub rule: String,
    /// The alert's text.
    pub cause: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How fast it was.
    pub speed: Speed,
    /// When it is taken back by itself.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// What was seen before it was done.
    pub evidence: Option<Evidence>,
}

/// Microseconds since the event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Speed {
    /// Until the monitor had the event.
    pub seen_us: Option<u64>,
    /// Until the process, the container or the network stood still.
    pub stopped_us: Option<u64>,
    /// Until the engine shows it.
    pub shown_us: Option<u64>,
    /// Whether the kernel stopped the program before its first instruction.
    pub before_first_instruction: bool,
}

/// A container as it was when it was stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Its processes.
    pub processes: Vec<EvidenceProcess>,
    /// Files of its own layer that were added or changed, newest first.
    pub files: Vec<EvidenceFile>,
    /// What could not be kept, and why.
    pub gaps: Vec<String>,
}

/// A process as evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceProcess {
    /// Id on the host.
    pub pid: u32,
    /// Id of its parent on the host.
    pub parent: u32,
    /// User.
    pub uid: u32,
    /// Program's file.
    pub program: String,
    /// SHA-256 of the program's file; empty if it could not be read.
    pub sha256: String,
    /// Command line, secrets redacted.
    pub command: String,
    /// Open files and sockets: `number → target`.
    pub files: Vec<String>,
    /// Mapped files.
    pub maps: Vec<String>,
}

/// A changed file as evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceFile {
    /// Path in the container.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Mode.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// SHA-256; empty if it was not read.
    pub sha256: String,
    /// Whether it was deleted in the container.
    pub deleted: bool,
}
