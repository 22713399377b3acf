//! PHP's `version_compare`, after what Composer takes away: a `v` in front and build metadata.
//!
//! `dev` < `alpha`, `a` < `beta`, `b` < `RC` < the end < a number < `pl`, `p`; other words are before all of them.
//! PHP's `#` equals any number and the end, so versions with it are ordered only pair by pair.

use std::cmp::Ordering;

use super::scan;

/// Where the end and numbers are among the words.
const END: i8 = 4;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (clean(a), clean(b));
    loop {
        let (x, a_rest) = next(a);
        let (y, b_rest) = next(b);
        let order = match (kind(x), kind(y)) {
            (Kind::Number, Kind::Number) => scan::numbers(x, y),
            (Kind::End, Kind::End) => return Ordering::Equal,
            (Kind::End, Kind::Number) => Ordering::Less,
            (Kind::Number, Kind::End) => Ordering::Greater,
            (x, y) => x.rank().cmp(&y.rank()),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

fn clean(s: &str) -> &str {
    let s = s.split_once('+').map_or(s, |(version, _build)| version);
    match s.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => s,
    }
}

/// The next run of digits or of other characters. All but letters, digits and `#` only separates.
fn next(s: &str) -> (&str, &str) {
    let separator = |c: char| !c.is_ascii_alphanumeric() && c != '#';
    let s = s.trim_start_matches(separator);
    match scan::digits(s) {
        ("", _) => {
            let end = s.find(|c: char| c.is_ascii_digit() || separator(c));
            s.split_at_checked(end.unwrap_or(s.len())).unwrap_or((s, ""))
        }
        number => number,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    End,
    Number,
    Word(i8),
}

impl Kind {
    fn rank(self) -> i8 {
        match self {
            Self::Word(rank) => rank,
            Self::End | Self::Number => END,
        }
    }
}

/// PHP finds a known word by its beginning.
fn kind(s: &str) -> Kind {
    const WORDS: [(&str, i8); 10] = [
        ("dev", 0),
        ("alpha", 1),
        ("a", 1),
        ("beta", 2),
        ("b", 2),
        ("RC", 3),
        ("rc", 3),
        ("#", END),
        ("pl", 5),
        ("p", 5),
    ];
    if s.is_empty() {
        Kind::End
    } else if scan::is_number(s) {
        Kind::Number
    } else {
        let known = WORDS.iter().find(|(word, _)| s.starts_with(word));
        Kind::Word(known.map_or(-1, |&(_, rank)| rank))
    }
}
