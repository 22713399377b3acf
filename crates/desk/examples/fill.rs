//! Fills a data directory with what a host of any size leaves: `fill SNAPSHOT DIR CONTAINERS ALERTS`.
//!
//! The containers and images of a snapshot are repeated, each with a name and id of its own, verified three times, and
//! kept; then alerts about them. For measurements of the dashboard, where a real host of that size is not at hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tool for developers stops at once when something is not as expected"
)]

use std::collections::HashMap;

use haechi_checks::Content;
use haechi_core::Snapshot;
use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action, Event, Process};
use haechi_core::policy::Loaded;
use haechi_examine::risk::{self, Known};
use haechi_store::Store;
use jiff::{SignedDuration, Timestamp};

/// Alerts that are kept in one transaction.
const AT_ONCE: usize = 5_000;
/// Verifications, so that there is a history.
const VERIFICATIONS: usize = 3;
/// Rules that alerts are of, as many as a site has.
const RULES: usize = 80;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [snapshot, dir, containers, alerts] = words.as_slice() else {
        panic!("fill SNAPSHOT DIR CONTAINERS ALERTS")
    };
    let bytes = std::fs::read(snapshot).expect("a snapshot (haechi collect)");
    let mut snapshot = Snapshot::parse(&bytes).expect("a snapshot");
    grow(&mut snapshot, containers.parse().expect("a number"));
    let store = Store::open(dir.as_ref()).await.expect("a data directory");
    let content = Content::with_site(&[], &[]).expect("our own content");
    let policy = Loaded::defaults();
    for place in 0..VERIFICATIONS {
        let before = VERIFICATIONS - place;
        snapshot.taken_at = ago(60 * u32::try_from(before).unwrap()).to_string();
        for id in ["cis-docker-1.13.0", "haechi-runtime"] {
            let benchmark = content.benchmark(id).expect("a benchmark of ours");
            let report = haechi_checks::verify(&content, benchmark, &snapshot, &policy).unwrap();
            let number = store.record(&report, true).await.unwrap();
            let known = Known {
                snapshot: &snapshot,
                reports: &[&report],
                policy: &policy.policy,
                images: &[],
                earlier: &[],
                seen: &HashMap::new(),
            };
            let inventory = risk::inventory(&known).expect("containers and images");
            store.keep_inventory(number, &inventory, &[]).await.unwrap();
        }
    }
    let names: Vec<AlertContainer> = snapshot
        .containers
        .iter()
        .flatten()
        .map(|one| AlertContainer {
            id: one.id.clone().unwrap_or_default(),
            name: one.name.clone().unwrap_or_default(),
            image: "app:1".into(),
            ..AlertContainer::default()
        })
        .collect();
    let alerts: usize = alerts.parse().expect("a number");
    for first in (0..alerts).step_by(AT_ONCE) {
        let some: Vec<Alert> = (first..alerts.min(first + AT_ONCE))
            .map(|place| alert(place, alerts, &names))
            .collect();
        store.add_alerts(&some).await.unwrap();
    }
    store.close().await;
}

/// Repeats containers and images until there are so many containers.
fn grow(snapshot: &mut Snapshot, containers: usize) {
    let seed = snapshot.containers.clone().unwrap_or_default();
    assert!(!seed.is_empty(), "the snapshot has no container");
    let each = |place: usize| {
        let mut one = seed[place % seed.len()].clone();
        let round = place / seed.len();
        one.id = Some(format!("{place:064x}"));
        one.name = Some(format!("{}-{round}", one.name.unwrap_or_default()));
        one
    };
    snapshot.containers = Some((0..containers).map(each).collect());
    let seed = snapshot.images.clone().unwrap_or_default();
    let each = |place: usize| {
        let mut one = seed[place % seed.len()].clone();
        if place >= seed.len() {
            one.id = Some(format!("sha256:{place:064x}"));
            one.tags = Some(vec![format!("registry.example/app-{place}:1")]);
        }
        one
    };
    if !seed.is_empty() {
        snapshot.images = Some((0..seed.len().max(containers / 5)).map(each).collect());
    }
}

fn ago(minutes: u32) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes.into())
}

/// Alerts of the last thirty days, some of them of the last.
fn alert(place: usize, all: usize, names: &[AlertContainer]) -> Alert {
    let minutes = (all - place) * (30 * 24 * 60) / all;
    let at = ago(u32::try_from(minutes).unwrap());
    Alert {
        schema: ALERT_SCHEMA.into(),
        at,
        rule: format!("Rule number {}", place % RULES),
        priority: Priority::ALL[2 + place % 5],
        text: format!("A shell was started in a container, the {place}th time (user=root)"),
        tags: vec!["container".into(), "shell".into()],
        checks: vec![],
        container: names[place.wrapping_mul(7919) % names.len()].clone(),
        program: "/bin/sh".into(),
        command: "sh -c 'while true; do sleep 1; done'".into(),
        ancestors: vec![],
        event: Event {
            at: place as u64,
            cgroup: 1,
            process: Process { pid: 4321, tid: 4321, ..Process::default() },
            call: "procexit".into(),
            result: 0,
            action: Action::Exit(0),
        },
    }
}
