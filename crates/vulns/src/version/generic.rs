//! Numbers and words as they come, for programs without an ecosystem (NVD's ranges).
//!
//! Every character but letters and digits separates. At the same place: `alpha`, `beta`, `pre`, `rc`, `dev` and the like
//! < the end < any other word (`1.0.2` < `1.0.2a` as for OpenSSL, `6.6` < `6.6p1`) < a number. Zeros before a
//! word or the end do not count (`1.0` = `1`). Words have no case.

use std::cmp::Ordering;

use super::scan;

/// Declared in the order in which they compare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Before(u8),
    End,
    Word(&'a str),
    Number(&'a str),
}

impl Token<'_> {
    fn rank(self) -> u8 {
        match self {
            Self::Before(_) => 0,
            Self::End => 1,
            Self::Word(_) => 2,
            Self::Number(_) => 3,
        }
    }
}

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (clean(a), clean(b));
    loop {
        let (x, a_rest) = next(a);
        let (y, b_rest) = next(b);
        let order = match (x, y) {
            (Token::End, Token::End) => return Ordering::Equal,
            (Token::Number(m), Token::Number(n)) => scan::numbers(m, n),
            (Token::Word(m), Token::Word(n)) => scan::ignoring_case(m, n),
            (Token::Before(m), Token::Before(n)) => m.cmp(&n),
            _ => x.rank().cmp(&y.rank()),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

/// Without a leading `v`.
fn clean(s: &str) -> &str {
    match s.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => s,
    }
}

fn next(s: &str) -> (Token<'_>, &str) {
    let separator = |c: char| !c.is_ascii_alphanumeric();
    let mut s = s.trim_start_matches(separator);
    // Zeros before a word or the end do not count.
    let after = s.trim_start_matches(|c| c == '0' || separator(c));
    if !after.starts_with(|c: char| c.is_ascii_digit()) {
        s = after;
    }
    match scan::digits(s) {
        ("", _) => match scan::letters(s) {
            ("", _) => (Token::End, ""),
            (word, rest) => (before(word).map_or(Token::Word(word), Token::Before), rest),
        },
        (number, rest) => (Token::Number(number), rest),
    }
}

fn before(word: &str) -> Option<u8> {
    const WORDS: [(&str, u8); 9] = [
        ("dev", 0),
        ("snapshot", 0),
        ("alpha", 1),
        ("beta", 2),
        ("pre", 3),
        ("preview", 3),
        ("milestone", 3),
        ("rc", 4),
        ("cr", 4),
    ];
    WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|&(_, rank)| rank)
}
