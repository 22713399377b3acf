//! The desk's clock for sessions: it never goes back, whatever happens to the machine's.
//!
//! It is the machine's clock, or what has passed since it was read last if that is later. Set forward by mistake it stays
//! there until Haechi is started again: sessions then end too early, never too late.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A clock.
pub struct Clock {
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    passed: Box<dyn Fn() -> Duration + Send + Sync>,
    newest: Mutex<(Timestamp, Duration)>,
}

impl Clock {
    /// The machine's.
    pub fn of_system() -> Self {
        let begin = Instant::now();
        Self::new(Timestamp::now, move || begin.elapsed())
    }

    /// One that reads the time of day and what has passed since some moment.
    pub fn new(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        passed: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let newest = Mutex::new((wall(), passed()));
        Self { wall: Box::new(wall), passed: Box::new(passed), newest }
    }

    /// Now; never earlier than before.
    pub fn now(&self) -> Timestamp {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.passed();
        let since = SignedDuration::try_from(passed.saturating_sub(newest.1)).unwrap_or_default();
        let at_least = newest.0.saturating_add(since).unwrap_or(newest.0);
        *newest = (at_least.max((self.wall)()), passed);
        newest.0
    }

    /// The time of day, as people read it. It may go back.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// What has passed since some moment: for waits.
    pub fn passed(&self) -> Duration {
        (self.passed)()
    }
}
