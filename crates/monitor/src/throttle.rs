//! Keeps one rule that matches all the time in one container from drowning all other alerts.

use std::time::{Duration, Instant};

use foldhash::HashMap;

/// So many alerts of one rule in one container pass …
const PASS: u32 = 100;
/// … within this time.
const WITHIN: Duration = Duration::from_secs(10);
/// Pairs of rule and container that are remembered.
const KNOWN_MAX: usize = 10_000;

/// Counts alerts.
#[derive(Debug, Default)]
pub struct Throttle {
    counted: HashMap<(String, String), (Instant, u32)>,
}

impl Throttle {
    /// Whether one more alert of this rule in this container is told.
    pub fn passes(&mut self, rule: &str, container: &str, now: Instant) -> bool {
        if self.counted.len() >= KNOWN_MAX {
            self.counted.retain(|_, (since, _)| now.duration_since(*since) < WITHIN);
        }
        let key = (rule.to_owned(), container.to_owned());
        let (since, count) = self.counted.entry(key).or_insert((now, 0));
        if now.duration_since(*since) >= WITHIN {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count == PASS + 1 {
            tracing::warn!(
                "more than {PASS} alerts of `{rule}` within {} s in container {container}: the rest is only counted",
                WITHIN.as_secs()
            );
        }
        *count <= PASS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_of_one_kind_do_not_pass_and_others_do() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let passed = (0..1000).filter(|_| throttle.passes("r", "a", now)).count();
        assert_eq!(passed, PASS as usize);
        assert!(throttle.passes("r", "b", now) && throttle.passes("s", "a", now));
        assert!(throttle.passes("r", "a", now + WITHIN));
    }
}
