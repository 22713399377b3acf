//! Small tools for reading versions byte by byte. Nothing here allocates.

use std::cmp::Ordering;

/// Orders two runs of ASCII digits as numbers of any length. An empty run is 0.
pub(super) fn numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether a run of digits is 0 (or empty).
pub(super) fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|b| b == b'0')
}

/// Whether it is a run of ASCII digits, and not empty.
pub(super) fn is_number(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())
}

/// Splits after the longest prefix of ASCII bytes that `keep` accepts.
pub(super) fn take(s: &str, keep: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = s.bytes().position(|b| !(b.is_ascii() && keep(b))).unwrap_or(s.len());
    s.split_at_checked(end).unwrap_or((s, ""))
}

/// Splits after the leading digits.
pub(super) fn digits(s: &str) -> (&str, &str) {
    take(s, |b| b.is_ascii_digit())
}

/// Splits after the leading ASCII letters.
pub(super) fn letters(s: &str) -> (&str, &str) {
    take(s, |b| b.is_ascii_alphabetic())
}

/// Orders ASCII text without regard to case.
pub(super) fn ignoring_case(a: &str, b: &str) -> Ordering {
    a.bytes().map(|b| b.to_ascii_lowercase()).cmp(b.bytes().map(|b| b.to_ascii_lowercase()))
}

/// Takes a word away from the front, without regard to case.
pub(super) fn strip_word<'a>(s: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = s.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}
