//! Opens a database and matches packages, and prints how long both took: `assess FOLDER PACKAGES.json ROUNDS`.
//!
//! `PACKAGES.json` is a list of packages as in a scan; the distribution is Debian 12. For `cargo xtask bench`, and for
//! whoever looks for the time that matching takes.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use haechi_core::inventory::{Distro, Package, Scan};
use haechi_vulns::db::{Database, Freshness};
use haechi_vulns::matching::{self, Options};
use jiff::Timestamp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, packages, rounds] = words.as_slice() else {
        return Err("usage: assess FOLDER PACKAGES.json ROUNDS".into());
    };
    let packages: Vec<Package> = serde_json::from_slice(&std::fs::read(packages)?)?;
    let distro = Distro { id: "debian".into(), version: "12".into(), ..Distro::default() };
    let scan = Scan { distro: Some(distro), packages, ..Scan::default() };
    let now = Timestamp::now();
    let mut out = std::io::stdout().lock();
    for _ in 0..rounds.parse::<u32>()? {
        let begin = Instant::now();
        // Opened anew each time: a scan does so, and nothing is in memory yet.
        let database = Database::open(Path::new(folder), Freshness { now, age_days_max: 36_500 })?;
        let database = database.ok_or("no database")?;
        let opened = begin.elapsed();
        let assessment = matching::assess(&scan, &database, &Options::default(), now)?;
        let matched = begin.elapsed().saturating_sub(opened);
        let line = serde_json::json!({
            "open_ms": opened.as_secs_f64() * 1e3,
            "match_ms": matched.as_secs_f64() * 1e3,
            "packages": scan.packages.len(),
            "vulnerabilities": assessment.vulnerabilities.len(),
            "undecided": assessment.undecided.len(),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
