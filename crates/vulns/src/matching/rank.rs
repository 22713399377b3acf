//! What to mend first: a number from 0 to 100.
//!
//! Without known exploitation it is the sum of three parts, at most 60:
//!
//! - how bad: critical 40, high 30, medium 20, unknown 15 (not known is not harmless), low 10, negligible 0;
//! - how likely: 12 × √EPSS (the root, because most scores are far below 0.1 and differ there);
//! - how easy: 8 if a fixed version exists.
//!
//! What is known to be exploited comes first, whatever its rating: 60 + ⅔ of that sum. The result has one decimal. It
//! never falls when one of the four gets worse and the others stay.

use haechi_core::vulnerability::{Epss, FixState, Rating};

/// The rank.
pub fn rank(rating: Rating, exploited: bool, epss: Option<Epss>, state: FixState) -> f64 {
    let severity = match rating {
        Rating::Critical => 40.0,
        Rating::High => 30.0,
        Rating::Medium => 20.0,
        Rating::Unknown => 15.0,
        Rating::Low => 10.0,
        Rating::Negligible => 0.0,
    };
    let likely = epss
        .filter(|epss| !epss.score.is_nan())
        .map_or(0.0, |epss| epss.score.clamp(0.0, 1.0).sqrt() * 12.0);
    let easy = if state == FixState::Fixed { 8.0 } else { 0.0 };
    let sum = severity + likely + easy;
    let rank = if exploited { 60.0 + sum * 2.0 / 3.0 } else { sum };
    (rank * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ratings in the order of the formula.
    const ORDER: [Rating; 6] = [
        Rating::Negligible,
        Rating::Low,
        Rating::Unknown,
        Rating::Medium,
        Rating::High,
        Rating::Critical,
    ];

    fn epss(score: f64) -> Option<Epss> {
        Some(Epss { score, percentile: 0.5 })
    }

    #[test]
    fn exploited_comes_first_and_the_ends_are_0_and_100() {
        assert_eq!(rank(Rating::Critical, true, epss(1.0), FixState::Fixed), 100.0);
        assert_eq!(rank(Rating::Negligible, false, None, FixState::Affected), 0.0);
        assert!(
            rank(Rating::Low, true, None, FixState::WillNotFix)
                > rank(Rating::Critical, false, epss(0.99), FixState::Fixed)
        );
        assert_eq!(rank(Rating::High, false, epss(f64::NAN), FixState::Affected), 30.0);
    }

    proptest! {
        #[test]
        fn never_falls_when_something_gets_worse(
            severity in 0..5_usize, likely in 0.0..1.0_f64, more in 0.0..1.0_f64, kev: bool, fixed: bool,
        ) {
            let state = if fixed { FixState::Fixed } else { FixState::Affected };
            let here = rank(ORDER[severity], kev, epss(likely), state);
            prop_assert!((0.0..=100.0).contains(&here));
            prop_assert!(rank(ORDER[severity + 1], kev, epss(likely), state) >= here);
            prop_assert!(rank(ORDER[severity], true, epss(likely), state) >= here);
            prop_assert!(rank(ORDER[severity], kev, epss(likely.max(more)), state) >= here);
            prop_assert!(rank(ORDER[severity], kev, epss(likely), FixState::Fixed) >= here);
        }
    }
}
