//! How long profiles of hundreds of images take to be kept and read: `cargo run -p haechi-store --example profile_sizes`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it measures, and stops at once if that fails"
)]

use std::time::Instant;

use haechi_core::profile::{Entry, Kind, Run, Workload};
use haechi_store::{Learned, ProfileId, Store};
use jiff::Timestamp;

const PROFILES: i64 = 300;
const ENTRIES: i64 = 2000;

fn learned(number: i64, entries: std::ops::Range<i64>) -> Learned {
    let at = Timestamp::UNIX_EPOCH;
    let entry = |value| Entry {
        kind: Kind::Read,
        value: format!("/usr/lib/some/longer/path/of/a/file/{value}"),
        first_at: at,
        container: format!("{number:064}"),
        origin: "image".into(),
        program: "/usr/bin/program".into(),
    };
    Learned {
        workload: Workload { image: format!("sha256:{number:064}"), command: vec!["run".into()] },
        image_name: format!("example/{number}:1"),
        run: Run {
            container: format!("{number:064}"),
            name: format!("name-{number}"),
            since: at,
            until: at,
            phases: [].into(),
            gaps: [].into(),
            tasks_max: 1,
            memory_max: 1,
        },
        entries: entries.map(entry).collect(),
    }
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let said = |what: &str, since: Instant| println!("{what}: {} ms", since.elapsed().as_millis());
    let begin = Instant::now();
    for number in 0..PROFILES {
        store.learn(&[learned(number, 0..ENTRIES)]).await.unwrap();
    }
    said("300 profiles of 2,000 entries kept", begin);
    let begin = Instant::now();
    let all: Vec<Learned> =
        (0..PROFILES).map(|number| learned(number, ENTRIES..ENTRIES + 1)).collect();
    store.learn(&all).await.unwrap();
    said("one more entry of each", begin);
    let begin = Instant::now();
    let all: Vec<Learned> = (0..PROFILES).map(|number| learned(number, 0..0)).collect();
    store.learn(&all).await.unwrap();
    said("nothing new of each", begin);
    let begin = Instant::now();
    store.workloads().await.unwrap();
    said("heads of all", begin);
    let begin = Instant::now();
    store.profile(ProfileId(1)).await.unwrap();
    said("one profile", begin);
    let begin = Instant::now();
    for number in 1..=PROFILES {
        store.profile(ProfileId(number)).await.unwrap();
    }
    said("all profiles, as `haechi profile list` does", begin);
}
