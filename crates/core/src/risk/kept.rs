//! What is kept of a verification beside its findings: containers, images, flaws and risks, for the pages that show them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Exposure, Flaw, RiskLine, Usage};
use crate::finding::Severity;
use crate::report::Counts;
use crate::report::images::ImageLine;
use crate::verdict::Safety;

/// Everything of one host and one benchmark.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Containers, running or not.
    pub containers: Vec<ContainerKept>,
    /// Images.
    pub images: Vec<ImageKept>,
    /// What is at risk, the highest rank first.
    pub risks: Vec<RiskKept>,
}

/// A container as it was seen by the last verification.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerKept {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The reference that it was created from.
    pub image: String,
    /// Id of its image.
    pub image_id: String,
    /// What is thought of its image; absent if that was not scanned.
    pub safety: Option<Safety>,
    /// As the engine says: `running`, `paused`, `exited` …; empty if it did not say.
    pub state: String,
    /// Its rank: that of the worst thing in it.
    pub rank: f64,
    /// Findings by status.
    pub counts: Counts,
    /// Failing findings by severity.
    pub failing: BTreeMap<Severity, u64>,
    /// What its rank is made of.
    pub exposure: Exposure,
    /// Vulnerable packages whose code was seen to be used in it, as `NAME VERSION`.
    pub used: BTreeSet<String>,
    /// Vulnerable packages of which nothing was ever used in it, though it was watched well enough.
    #[serde(default)]
    pub idle: BTreeSet<String>,
    /// What it is given, to be compared with what it uses.
    #[serde(default)]
    pub given: Given,
}

/// What a container is given; `None` is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Capabilities that it holds, without `CAP_`.
    pub capabilities: Option<BTreeSet<String>>,
    /// Its seccomp profile: `default`, `unconfined`, `custom` or `off`.
    pub seccomp: Option<String>,
    /// Whether its root file system is read-only.
    pub read_only: Option<bool>,
    /// Whether programs can gain no rights.
    pub no_new_privileges: Option<bool>,
    /// Its limit of processes; 0 is none.
    pub pids: Option<u64>,
    /// Its limit of memory in bytes; 0 is none.
    pub memory: Option<u64>,
    /// Where something is mounted in it.
    pub mounts: Vec<String>,
    /// Whether it has a health check.
    pub has_health_check: bool,
}

impl ContainerKept {
    /// How a vulnerable package is used in it, by `NAME VERSION`.
    pub fn usage(&self, place: &str) -> Usage {
        match (self.used.contains(place), self.idle.contains(place)) {
            (true, _) => Usage::Used,
            (false, true) => Usage::Idle,
            (false, false) => Usage::Unknown,
        }
    }
}

/// An image as it was seen by the last verification.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageKept {
    /// In short.
    pub line: ImageLine,
    /// Its rank: that of the worst thing in it, in the container where that is worst.
    pub rank: f64,
    /// Whether a reference of it carries the mark.
    pub marked: bool,
    /// Vulnerable packages whose code was seen to be used in any container, as `NAME VERSION`.
    pub used: BTreeSet<String>,
}

/// A vulnerability in a package of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlawKept {
    /// Its id.
    pub id: String,
    /// Package.
    pub package: String,
    /// Installed version.
    pub installed: String,
    /// The version that fixes it; empty if there is none.
    pub fixed: String,
    /// The command that gets there; empty if there is none.
    pub command: String,
    /// What its rank needs.
    pub flaw: Flaw,
    /// What to mend first in this image, wherever it runs (`docs/images.md`).
    pub rank: f64,
}

impl FlawKept {
    /// The package as [`ContainerKept::used`] names it.
    pub fn place(&self) -> String {
        format!("{} {}", self.package, self.installed)
    }
}

/// Something that is at risk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskKept {
    /// As it is shown.
    pub line: RiskLine,
    /// The check that fails; empty for a vulnerability.
    pub check: String,
    /// How many subjects it is about.
    pub subjects: u64,
}
