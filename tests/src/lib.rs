//! What the black-box tests share: the built program, the lab, and engines that misbehave.
//!
//! Nothing here uses Haechi's own code but the types of its report. A test that lacks root, Docker or the lab
//! fails and says how to get them; none is skipped.

mod browser;
mod client;
mod corpus;
mod daemon;
mod dashboard;
mod debian;
mod engine;
mod feeds;
mod image;
mod lab;
mod layer;
mod layers;
mod monitor;
mod program;
mod proxy;
mod scan;
mod server;
mod snapshot;
mod wait;
pub mod workloads;

pub use browser::Browser;
pub use client::Client;
pub use corpus::{Base, Behaviour, corpus, corpus_image};
pub use daemon::Daemon;
pub use dashboard::{Dashboard, PASSWORD};
pub use debian::{debian, debian_package, fetched, tool};
pub use engine::{Gone, SOCKET, docker};
pub use feeds::{Feeds, day, now};
pub use image::{Compression, Image, as_tar, digest, write_below};
pub use lab::{Expectation, Lab, lab};
pub use layer::{Layer, Pad};
pub use monitor::Monitor;
pub use program::{Done, Haechi, Running, binary, children, repository, target};
pub use proxy::{Answer, Proxy, id_in};
pub use scan::{Scanned, inventory, problem, scan, scan_bytes};
pub use server::{Reply, Server};
pub use snapshot::{Snapshot, container_named, verify_text};
pub use wait::{PATIENCE, until, until_or};

use haechi_core::{Finding, Report, Status};

/// The findings of a check, for all its subjects.
pub fn findings<'r>(report: &'r Report<String>, check: &str) -> Vec<&'r Finding<String>> {
    let mut seen = std::collections::HashSet::new();
    let all = report.items.iter().flat_map(|item| &item.findings);
    all.filter(|finding| finding.check == check && seen.insert(finding.key())).collect()
}

/// The finding of a check for the subject of this name.
pub fn finding<'r>(report: &'r Report<String>, check: &str, name: &str) -> &'r Finding<String> {
    let all = findings(report, check);
    all.iter().find(|finding| finding.subject.name == name).copied().unwrap_or_else(|| {
        let names: Vec<&str> = all.iter().map(|f| f.subject.name.as_str()).collect();
        panic!("{check} has no finding about {name:?}; it has {names:?}")
    })
}

/// The status of the only finding of a check.
pub fn only<'r>(report: &'r Report<String>, check: &str) -> &'r Finding<String> {
    match findings(report, check).as_slice() {
        [one] => one,
        more => panic!("{check}: {} findings, not one", more.len()),
    }
}

/// What was seen, for messages.
pub fn seen(finding: &Finding<String>) -> String {
    let lines: Vec<&str> = finding.evidence.iter().map(|e| e.seen.as_str()).collect();
    format!(
        "{} of {}: {} ({})",
        finding.check,
        finding.subject.name,
        finding.status,
        lines.join("; ")
    )
}

/// Demands a status.
pub fn expect(finding: &Finding<String>, status: Status) {
    assert_eq!(finding.status, status, "{}", seen(finding));
}
