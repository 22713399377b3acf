//! The whole collector over recorded answers.

use super::*;
use std::time::Duration;

pub(super) fn options() -> Options {
    Options {
        root: "/".into(),
        endpoint: None,
        timeout: Duration::from_secs(5),
        now: "2026-01-31T00:00:00Z".parse().unwrap(),
        backups: Vec::new(),
        unlock_key_salt: [7; 32],
    }
}
