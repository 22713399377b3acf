//! Warnings that whoever asks can cause as often as they like: told now and then, with how many there were.
//!
//! What is told is the last of them; nothing else is kept.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one kind is told.
const EACH: Duration = Duration::from_secs(60);

/// One kind of warning.
pub(crate) struct Quiet(Mutex<(Option<Instant>, u64)>);

impl Quiet {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Warns, unless that was done a short while ago.
    pub(crate) fn warn(&self, what: impl Display) {
        match self.due(Instant::now()) {
            Some(0) => tracing::warn!("{what}"),
            Some(more) => tracing::warn!("{what} (and {more} more since it was told last)"),
            None => {}
        }
    }

    /// How many were not told since the last one that was; `None` if this one is not told either.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, more) = &mut *state;
        if told.is_some_and(|at| now.saturating_duration_since(at) < EACH) {
            *more += 1;
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute_and_none_is_forgotten() {
        let (quiet, begin) = (Quiet::new(), Instant::now());
        assert_eq!(quiet.due(begin), Some(0));
        for _ in 0..1000 {
            assert_eq!(quiet.due(begin + EACH / 2), None);
        }
        assert_eq!(quiet.due(begin + EACH), Some(1000));
        assert_eq!(quiet.due(begin + EACH * 2), Some(0));
    }
}
