//! What rules said, or would have said, that is on no record: its container proves nothing by silence.
//!
//! Counted by whoever could not pass it on, for each container, until it is written down with how long that was watched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts of what is on no record.
#[derive(Debug, Default)]
pub struct Unkept {
    alerts: Mutex<HashMap<String, u64>>,
    activity: AtomicBool,
}

impl Unkept {
    /// One more alert of a container (its full id), or a program of it that nobody could look at.
    pub fn add(&self, container: &str) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        match alerts.get_mut(container) {
            Some(count) => *count += 1,
            None if container.is_empty() => {}
            None => drop(alerts.insert(container.to_owned(), 1)),
        }
    }

    /// How many there were of a container since this was asked last.
    pub fn take(&self, container: &str) -> u64 {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.remove(container).unwrap_or_default()
    }

    /// Something that was done through the engine is not on record.
    pub fn miss_activity(&self) {
        self.activity.store(true, Ordering::Relaxed);
    }

    /// Whether that happened.
    pub fn missed_activity(&self) -> bool {
        self.activity.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_container_has_its_own_count_and_it_is_taken_once() {
        let unkept = Unkept::default();
        for id in ["a", "b", "a", ""] {
            unkept.add(id);
        }
        assert_eq!((unkept.take("a"), unkept.take("a"), unkept.take("b")), (2, 0, 1));
        assert!(unkept.alerts.lock().unwrap().is_empty());
        assert!(!unkept.missed_activity());
        unkept.miss_activity();
        assert!(unkept.missed_activity());
    }
}
