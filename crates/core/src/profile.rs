//! A profile: what containers of one image with one command were seen to do, and how well they were watched.
//!
//! Types only, sorted and serialisable. A profile says what was seen; that something is not in it means nothing unless
//! [`Run`] tells that nothing could be missed. Whether a profile is settled, and what follows from it, is decided elsewhere.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema of a profile as JSON.
pub const PROFILE_SCHEMA: &str = "haechi/profile/v1";

/// What a container runs: profiles of the same are one.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Id of the image: `sha256:` and 64 hexadecimal digits. Empty if the engine did not tell.
    pub image: String,
    /// Entry point and arguments that the container was made with.
    pub command: Vec<String>,
}

/// What was seen of one workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`PROFILE_SCHEMA`].
    pub schema: String,
    /// What ran.
    pub workload: Workload,
    /// The image as it was named when it ran last: a reference, or empty.
    pub image_name: String,
    /// Stretches of time in which it was watched, the oldest first.
    pub runs: Vec<Run>,
    /// What it used, by kind, value and where it lay.
    pub entries: Vec<Entry>,
    /// Until when what was seen was taken for what the workload does; none until it was settled.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub baseline_at: Option<Timestamp>,
    /// The first such moment, if somebody learned on purpose what came later.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ruled_at: Option<Timestamp>,
    /// The build before this one, if that was settled when this one was seen first.
    #[serde(default)]
    pub predecessor: Option<Predecessor>,
    /// What that one was known to do and no build changes by itself: it counts as known, seen of this one or not.
    #[serde(default)]
    pub carried: Vec<Entry>,
    /// Full ids of those of its containers that `haechi profile try` made: what they did is what the workload does, but they are
    /// nobody's containers, and had fewer rights. Never in a file: their runs are left out there.
    #[serde(skip)]
    pub trials: BTreeSet<String>,
}

/// The build of a workload before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predecessor {
    /// Id of its image.
    pub image: String,
    /// Its image as it was named.
    pub image_name: String,
    /// What tells that it is the same workload.
    pub by: Kinship,
}

/// What tells that two images are builds of one workload. Whoever may name images and containers can make it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kinship {
    /// The same reference of the image, with the same command.
    Reference,
    /// The same name of a container, with the same command.
    Container,
    /// The same reference and the same name of a container, with another command.
    Both,
}

impl Profile {
    /// What the workload is taken to do: all of it, or what was seen until the baseline; and what was taken over.
    pub fn known(&self) -> impl Iterator<Item = &Entry> {
        self.learned().chain(&self.carried)
    }

    /// Its stretches of time, without those of containers that only tried it out.
    pub fn own_runs(&self) -> impl Iterator<Item = &Run> + Clone {
        self.runs.iter().filter(|run| !self.trials.contains(&run.container))
    }

    /// What was seen of it, or of it until the baseline.
    pub fn learned(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !self.is_later(entry))
    }

    /// What was seen after the baseline.
    pub fn later(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.is_later(entry))
    }

    fn is_later(&self, entry: &Entry) -> bool {
        self.baseline_at.is_some_and(|baseline| entry.first_at > baseline)
    }
}

/// A stretch of time in which one container was watched without a break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Full id of the container.
    pub container: String,
    /// Its name; empty if unknown.
    pub name: String,
    /// Since when it was watched.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Until when it is certain.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// Parts of a container's life that were seen.
    pub phases: BTreeSet<Phase>,
    /// Parts of a profile that may lack something, and why.
    pub gaps: BTreeSet<Gap>,
    /// The most processes and threads at once; 0 if unknown.
    pub tasks_max: u64,
    /// The most memory at once, in bytes; 0 if unknown.
    pub memory_max: u64,
}

/// A part of a container's life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// From its first moment.
    Start,
    /// After its start.
    Run,
    /// A command of its health check.
    HealthCheck,
    /// A command that was run in it through the engine.
    Exec,
    /// It ended while it was watched.
    Stop,
}

/// Why something may be missing in a stretch of time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// The container ran before it was watched: its start was not seen.
    Start,
    /// This kernel does not tell which capabilities are used.
    Capabilities,
    /// This kernel does not tell which system calls are made.
    Calls,
    /// This kernel does not tell which files are used.
    Files,
    /// There was no room for something that was used; it will be told when it is used again.
    Lost,
    /// The container used more different things than are remembered of one.
    Full,
    /// io_uring was used: what is done through it passes no system call.
    IoUring,
    /// A process left the control group of the container: what it did since is not known.
    Left,
}

/// What kind of thing was used.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A system call, by its name; of the 32-bit entry with `compat:` before it.
    Call,
    /// A system call that was refused: as denied or as not there, and never once let through.
    RefusedCall,
    /// A value that a system call was given, as `socket 2`.
    Argument,
    /// A capability, by its name without `CAP_`.
    Capability,
    /// A capability that was asked for and not held.
    RefusedCapability,
    /// A program that was executed, by its path.
    Executed,
    /// A file that was mapped as code, by its path.
    Mapped,
    /// A file that was opened for reading, by its path.
    Read,
    /// A file that was opened for writing, made, renamed or removed, by its path.
    Written,
    /// Whom a connection was made to, or datagrams sent: `tcp 10.0.0.1:443`, `unix /run/x.sock`.
    Peer,
    /// Where connections or datagrams are taken: `tcp 80`.
    Listening,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Executed,
        Self::Mapped,
        Self::Read,
        Self::Written,
        Self::Listening,
        Self::Peer,
        Self::Capability,
        Self::RefusedCapability,
        Self::Call,
        Self::RefusedCall,
        Self::Argument,
    ];

    /// Its name in data.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::RefusedCall => "refused-call",
            Self::Argument => "argument",
            Self::Capability => "capability",
            Self::RefusedCapability => "refused-capability",
            Self::Executed => "executed",
            Self::Mapped => "mapped",
            Self::Read => "read",
            Self::Written => "written",
            Self::Peer => "peer",
            Self::Listening => "listening",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that was used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What kind of thing.
    pub kind: Kind,
    /// Which one.
    pub value: String,
    /// When it was seen first.
    #[schemars(with = "String")]
    pub first_at: Timestamp,
    /// Full id of the container that it was seen in first.
    pub container: String,
    /// Where a file lay: `image`, `changed`, `mounted`, `memory`, `replaced` (not of the image, and in the place of another that
    /// was not either), or empty if that is not known or means nothing.
    pub origin: String,
    /// Path of the program that used it first; empty if unknown.
    pub program: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kinds_are_those_of_the_data() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("x"), None);
    }
}
