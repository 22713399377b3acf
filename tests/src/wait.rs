//! Waiting for what has to happen: as long as a slow machine needs, and not for ever.
//!
//! No test says how fast something is: that is what `cargo xtask bench` is for.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// What has not happened by then never happens. Nothing is judged by it that goes on, however slowly.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked at.
const STEP: Duration = Duration::from_millis(20);

/// Waits until something is so; fails if it never is.
pub fn until(what: &str, is: impl FnMut() -> bool) {
    until_or(what, is, String::new);
}

/// The same; a failure says what is known of why.
pub fn until_or(what: &str, mut is: impl FnMut() -> bool, why: impl Fn() -> String) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "never: {what} {}", why());
        sleep(STEP);
    }
}
