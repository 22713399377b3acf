//! What one layer holds: a [`LayerScan`], complete without any other layer, so that it is kept by its digest.

use haechi_core::finding::Severity;
use haechi_core::inventory::Problem;
use serde::{Deserialize, Serialize};

use crate::hash::Sums;
use crate::reader::Found;

/// How much of an image is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// Packages and what tells whose a file is: what an SBOM needs. Neither secrets nor malware nor altered files.
    Packages,
    /// All that a verdict needs.
    #[default]
    Everything,
}

/// One layer, read once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerScan {
    /// How much of it was looked at.
    pub depth: Depth,
    /// `sha256:…` of the uncompressed archive (`diff_id`); empty for a folder.
    pub diff_id: String,
    /// `sha256:…` of the bytes as they came, compressed or not; empty for a folder.
    pub blob: String,
    /// Bytes, uncompressed.
    pub size: u64,
    /// Entries in the archive.
    pub entries: u64,
    /// Its entries, in the order of the archive; the last of the same path counts.
    pub nodes: Vec<Node>,
    /// Paths that it deletes from lower layers.
    pub whiteouts: Vec<String>,
    /// Folders whose lower content it hides.
    pub opaque: Vec<String>,
    /// Files with capabilities of their own (`security.capability`, capabilities(7)): as good as setuid.
    #[serde(default)]
    pub capable: Vec<String>,
    /// What readers found, by path.
    pub found: Vec<(String, Found)>,
    /// Secrets, by path.
    pub secrets: Vec<(String, SecretHit)>,
    /// Malware, by path.
    pub malware: Vec<(String, RuleHit)>,
    /// What could not be read; the layer's number is filled in when layers are merged.
    pub problems: Vec<Problem>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Path in its one form.
    pub path: String,
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Its checksums; absent if its content was not read to the end.
        sums: Option<Box<Sums>>,
    },
    /// Another name of the file at this path.
    Hardlink(String),
    /// A symbolic link, target as written.
    Symlink(String),
    /// A folder.
    Directory,
    /// A device, pipe or socket.
    Special,
}

/// A secret in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHit {
    /// Detector.
    pub detector: String,
    /// Line, from 1; 0 if there are none.
    pub line: u32,
    /// What is around it.
    pub preview: String,
    /// How bad it is.
    pub severity: Severity,
}

/// A malware rule that matches a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// Rule.
    pub rule: String,
    /// What it finds.
    pub description: String,
    /// How bad it is.
    pub severity: Severity,
}
