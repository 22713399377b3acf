//! Scans of images that a test made.

use std::fs;
use std::path::Path;

use haechi_core::inventory::{Problem, ProblemKind, Scan};
use haechi_core::verdict::ImageReport;

use crate::program::{Done, Haechi};

/// A scan, and how the program ended.
#[derive(Debug)]
pub struct Scanned {
    /// How it ended.
    pub done: Done,
    /// What it found.
    pub report: ImageReport,
}

impl Scanned {
    /// From the end of a scan with `--format json`.
    pub fn of(done: Done) -> Self {
        let report = serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("no report of an image ({error}): {done:?}"));
        Self { done, report }
    }
}

/// `haechi image scan WORDS` with this data folder (one of its own if none is given).
pub fn scan(words: &[&str], data: Option<&Path>) -> Scanned {
    let mut all = vec!["image", "scan", "--format", "json"];
    all.extend(words);
    let mut haechi = Haechi::new(&all);
    if let Some(data) = data {
        haechi = haechi.data(data);
    }
    Scanned::of(haechi.run())
}

/// Scans an archive.
pub fn scan_bytes(archive: &[u8]) -> Scanned {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    fs::write(&path, archive).unwrap();
    scan(&["--archive", path.to_str().unwrap()], None)
}

/// `kind name version layer` of every package, sorted.
pub fn inventory(scan: &Scan) -> Vec<String> {
    let mut out: Vec<String> = scan
        .packages
        .iter()
        .map(|p| {
            let layer = p.layer.map_or("-".into(), |layer| layer.to_string());
            format!("{} {} {} {layer}", p.kind.name(), p.name, p.version)
        })
        .collect();
    out.sort();
    out
}

/// The first problem of this kind.
pub fn problem(scan: &Scan, kind: ProblemKind) -> &Problem {
    let found = scan.problems.iter().find(|problem| problem.kind == kind);
    found.unwrap_or_else(|| panic!("no problem {kind:?} among {:?}", scan.problems))
}
