//! Profiles, on the real kernel and the real engine: what is learned, what is told as new, what follows from it, and what is
//! enforced. One program, as most of its time is waiting: its tests run side by side, each with a monitor of its own. Needs
//! root, the engine, debootstrap, and a kernel that takes BPF programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

mod behaviour;
mod commands;
mod drift;
mod enforce;
mod hard;
mod least;
mod news;
mod recall;
mod services;
mod tryout;
mod vex;

use std::fs;
use std::path::Path;

use haechi_tests::{Haechi, Monitor, until_or};
use serde_json::Value;

/// Settled as soon as everything else is so.
const POLICY: &str = "[monitor]\nobserved_hours_min = 0\n";

/// `haechi profile …`
fn profile(data: &Path, words: &[&str]) -> Haechi {
    Haechi::new(&[&["profile"], words].concat()).data(data).policy(POLICY)
}

/// What it says, as data.
fn json(data: &Path, words: &[&str]) -> Value {
    profile(data, &[words, &["--format", "json"]].concat()).run().must_end_with(0).json()
}

/// A monitor that makes profiles, with no rule in force.
fn without_rules(data: &Path) -> Monitor {
    let words =
        ["monitor", "--profile", "--rules", "none.yaml", "--only-rules", "--format", "json"];
    let haechi = Haechi::new(&words).data(data).policy(POLICY);
    fs::write(haechi.dir().join("none.yaml"), "[]\n").unwrap();
    Monitor::begin(haechi)
}

/// The workload that a container is of, as `profile list` has it.
fn workload_of(data: &Path, container: &str) -> Option<Value> {
    let is_of =
        |row: &&Value| row["containers"].as_array().unwrap().iter().any(|one| one == container);
    json(data, &["list"]).as_array().unwrap().iter().find(is_of).cloned()
}

/// Waits until the workload of a container is settled and has its baseline.
fn until_settled(data: &Path, container: &str) {
    let is = || workload_of(data, container).is_some_and(|row| row["news"].is_u64());
    let why = || {
        let shown = json(data, &["show", container]);
        format!("{} {}", shown["coverage"], shown["entries"])
    };
    until_or(&format!("{container} is settled"), is, why);
}

/// The workload of an image, as `profile list` has it.
fn workload_with(data: &Path, image: &str) -> Option<Value> {
    json(data, &["list"]).as_array().unwrap().iter().find(|row| row["image"] == image).cloned()
}
