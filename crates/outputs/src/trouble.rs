//! What is said of a way out that does not work: once, then how often it was tried, then that it works again.
//!
//! Pure: the time is given to it, and who says it is the caller's affair.

use std::time::{Duration, Instant};

/// How often it is said that it still does not work.
const AGAIN: Duration = Duration::from_secs(60);

/// Tries of one way out.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Messages in a row that have to be taken before it works: a datagram that nobody took is told with the next one.
    enough: u32,
    taken: u32,
    failed: u64,
    said: Option<Instant>,
}

impl Trouble {
    /// None yet; it is over when so many messages in a row were taken.
    pub(crate) const fn new(enough: u32) -> Self {
        Self { enough, taken: 0, failed: 0, said: None }
    }

    /// A try failed. How many did since it began, if that is to be said now; 1 is the first.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.taken = 0;
        self.failed += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < AGAIN) {
            return None;
        }
        self.said = Some(now);
        Some(self.failed)
    }

    /// A message was taken. How many tries failed before, if it works again by this.
    pub(crate) fn worked(&mut self) -> Option<u64> {
        self.said?;
        self.taken += 1;
        if self.taken < self.enough {
            return None;
        }
        let failed = self.failed;
        *self = Self::new(self.enough);
        Some(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_then_counted_then_said_that_it_is_over() {
        let begin = Instant::now();
        let mut trouble = Trouble::new(1);
        assert_eq!(trouble.worked(), None);
        assert_eq!(trouble.failed(begin), Some(1));
        for tries in 1..100 {
            assert_eq!(trouble.failed(begin + Duration::from_millis(500 * tries)), None);
        }
        assert_eq!(trouble.failed(begin + AGAIN), Some(101));
        assert_eq!(trouble.worked(), Some(101));
        assert_eq!(trouble.worked(), None);
        assert_eq!(trouble.failed(begin + AGAIN), Some(1), "a new one");
    }

    #[test]
    fn a_datagram_that_goes_out_proves_nothing_until_the_next_one() {
        let now = Instant::now();
        let mut trouble = Trouble::new(2);
        assert_eq!(trouble.failed(now), Some(1));
        // Each second one is told as refused.
        for _ in 0..10 {
            assert_eq!(trouble.worked(), None);
            assert_eq!(trouble.failed(now), None);
        }
        assert_eq!((trouble.worked(), trouble.worked()), (None, Some(11)));
    }
}
