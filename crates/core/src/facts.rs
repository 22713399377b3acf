//! What was observed: all facts of one moment, as a [`Snapshot`].
//!
//! Rules that every fact keeps:
//! - A field that is absent was **not observed**, and the snapshot's [`Gap`]s say why. A field that is
//!   present was observed, also when its value is "none": an unset memory limit is `0`, an unset user
//!   is `""`, never an absent field. So a check that touches an unknown fact cannot pass.
//! - Numbers are `i64` (the expression language's integer), sizes are bytes, times are RFC 3339 UTC text,
//!   modes are the permission bits as a number (`0o644` is 420).
//! - No secret: environment values, command-line arguments and labels go through the redactor first.
//! - Unknown fields are refused: a snapshot says exactly what this version understands.
//!
//! Collectors (`haechi-facts`) fill these types, checks read them by these very names. Nothing judges here.

mod behaviour;
mod container;
mod engine;
mod host;
mod objects;

pub use behaviour::*;
pub use container::*;
pub use engine::*;
pub use host::*;
pub use objects::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Cause, SubjectKind};

/// Declares fact types: every field optional (absent = not observed), documented, and refused if unknown.
macro_rules! facts {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,)*
        }
    )*};
}
use facts;

/// The version of the snapshot format that this Haechi writes and reads.
pub const SNAPSHOT_SCHEMA: &str = "haechi/snapshot/v1";

/// A larger snapshot is refused: 10,000 containers with all their processes are about 200 MB.
pub const SNAPSHOT_SIZE_MAX: u64 = 512 << 20;

/// Why a snapshot is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON, cut off, or not the facts that this version knows.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by a newer Haechi, or not a snapshot at all.
    #[error("its format is `{found}`, this Haechi reads `{SNAPSHOT_SCHEMA}`")]
    Schema {
        /// The format that it says.
        found: String,
    },
    /// The time at which it was taken cannot be read.
    #[error("`taken_at` is no time: {0}")]
    Time(jiff::Error),
}

/// A fact that could not be observed, or not completely, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The kind of thing that the fact is about.
    pub kind: SubjectKind,
    /// Its id; empty where there is only one (host, engine, swarm) or where the whole list is missing.
    #[serde(default)]
    pub id: String,
    /// The field, as a dotted path below the subject (`audit.loaded`); empty means all of it.
    #[serde(default)]
    pub fact: String,
    /// Why.
    pub cause: Cause,
    /// What exactly happened, and how to mend it.
    pub detail: String,
}

/// Everything that was observed at one moment on one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Format and version: [`SNAPSHOT_SCHEMA`].
    pub schema: String,
    /// The Haechi that collected it.
    pub haechi_version: String,
    /// When collecting began (RFC 3339, UTC).
    pub taken_at: String,
    /// How long collecting took, in milliseconds.
    pub took_ms: i64,
    /// The machine.
    #[serde(default)]
    pub host: Host,
    /// The engine.
    #[serde(default)]
    pub engine: Engine,
    /// Files and directories that the engine relies on, existing or not.
    #[serde(default)]
    pub files: Option<Vec<File>>,
    /// Containers, running or not, sorted by name.
    #[serde(default)]
    pub containers: Option<Vec<Container>>,
    /// Images, sorted by reference.
    #[serde(default)]
    pub images: Option<Vec<Image>>,
    /// Networks, sorted by name.
    #[serde(default)]
    pub networks: Option<Vec<Network>>,
    /// Volumes, sorted by name.
    #[serde(default)]
    pub volumes: Option<Vec<Volume>>,
    /// The swarm as this engine sees it.
    #[serde(default)]
    pub swarm: Swarm,
    /// Swarm services, sorted by name; empty on an engine that is no manager.
    #[serde(default)]
    pub services: Option<Vec<Service>>,
    /// What Haechi remembers of earlier verifications of this host.
    #[serde(default)]
    pub history: History,
    /// What the monitor's rules can be evidence for.
    #[serde(default)]
    pub monitor: Monitor,
    /// What could not be observed.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

impl Snapshot {
    /// Reads a snapshot. Its format is checked before anything else is believed.
    ///
    /// # Errors
    /// It is not complete JSON, of another format, or has fields that this version does not know; the error
    /// names line and column.
    pub fn parse(json: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Format {
            schema: String,
        }
        let format: Format = serde_json::from_slice(json)?;
        if format.schema != SNAPSHOT_SCHEMA {
            return Err(SnapshotError::Schema { found: format.schema.chars().take(80).collect() });
        }
        let snapshot: Self = serde_json::from_slice(json)?;
        snapshot.taken_at.parse::<jiff::Timestamp>().map_err(SnapshotError::Time)?;
        Ok(snapshot)
    }
}

facts! {
    /// What Haechi remembers of earlier verifications of this host.
    pub struct History {
        /// How many complete verifications are on record.
        pub verifications: i64,
        /// When the last complete one was made (RFC 3339); empty if never.
        pub last_complete_at: String,
        /// Days since then; -1 if never.
        pub last_complete_age_days: i64,
        /// Checks that the last one could not verify.
        pub last_unverified: i64,
    }

    /// The monitor's rules, as far as they concern checks.
    pub struct Monitor {
        /// Ids of the checks that rules of this host name, sorted: none of them passes for a container of which events were lost.
        pub checks: Vec<String>,
    }
}
