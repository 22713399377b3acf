//! Profiles made by hand, for tests.

use haechi_core::profile::{Entry, Kind, PROFILE_SCHEMA, Phase, Profile, Run, Workload};
use jiff::Timestamp;

/// So many seconds after the beginning.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A run with a whole start, without gaps.
pub(crate) fn run(container: &str, since: i64, until: i64) -> Run {
    Run {
        container: container.into(),
        name: container.into(),
        since: at(since),
        until: at(until),
        phases: [Phase::Start, Phase::Run].into(),
        gaps: [].into(),
        tasks_max: 5,
        memory_max: 20 << 20,
    }
}

/// Something that was used.
pub(crate) fn entry(kind: Kind, value: &str, second: i64) -> Entry {
    Entry {
        kind,
        value: value.into(),
        first_at: at(second),
        container: "a".into(),
        origin: String::new(),
        program: "/bin/a".into(),
    }
}

/// A settled profile with these entries.
pub(crate) fn profile(entries: &[(Kind, &str)]) -> Profile {
    Profile {
        schema: PROFILE_SCHEMA.into(),
        workload: Workload { image: format!("sha256:{:064}", 1), command: vec!["a".into()] },
        image_name: "example/a:1".into(),
        runs: vec![run("a", 0, 1_000_000)],
        entries: entries.iter().map(|(kind, value)| entry(*kind, value, 0)).collect(),
        ..Profile::default()
    }
}
