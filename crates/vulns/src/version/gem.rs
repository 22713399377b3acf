//! RubyGems (Gem::Version): numbers and words, `-` means `.pre.`, words are before numbers, and trailing zeros of the
//! numbers and of the pre-release do not count.

use std::cmp::Ordering;

use super::scan;

/// The segments, without zeros that do not count.
pub(super) struct Version<'a>(Vec<&'a str>);

/// Refuses what RubyGems calls malformed.
pub(super) fn parse(s: &str) -> Option<Version<'_>> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
    let (release, _) = s.split_once('-').unwrap_or((s, ""));
    if !s.starts_with(|c: char| c.is_ascii_digit())
        || !s.bytes().all(valid)
        || s.split('.').any(str::is_empty)
        || release.is_empty()
        || s.ends_with('-')
    {
        return None;
    }
    let mut segments = Vec::with_capacity(8);
    let mut words = false;
    for (index, piece) in s.split('-').enumerate() {
        if index > 0 {
            word(&mut segments, &mut words, "pre");
        }
        let mut rest = piece;
        while !rest.is_empty() {
            rest = rest.trim_start_matches('.');
            let (number, after) = scan::digits(rest);
            if number.is_empty() {
                let (letters, after) = scan::letters(rest);
                if !letters.is_empty() {
                    word(&mut segments, &mut words, letters);
                }
                rest = after;
            } else {
                segments.push(number);
                rest = after;
            }
        }
    }
    trim(&mut segments);
    Some(Version(segments))
}

/// Adds a word; the first one ends the release, whose trailing zeros do not count.
fn word<'a>(segments: &mut Vec<&'a str>, words: &mut bool, word: &'a str) {
    if !*words {
        trim(segments);
        *words = true;
    }
    segments.push(word);
}

fn trim(segments: &mut Vec<&str>) {
    while segments.last().is_some_and(|s| scan::is_zero(s)) {
        segments.pop();
    }
}

/// Segment by segment; absent ones are 0.
pub(super) fn compare(a: &Version<'_>, b: &Version<'_>) -> Ordering {
    let (mut a, mut b) = (a.0.iter(), b.0.iter());
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            return Ordering::Equal;
        }
        let (x, y) = (x.copied().unwrap_or("0"), y.copied().unwrap_or("0"));
        let order = match (scan::is_number(x), scan::is_number(y)) {
            (true, true) => scan::numbers(x, y),
            (false, false) => x.cmp(y),
            (x, y) => x.cmp(&y),
        };
        if order.is_ne() {
            return order;
        }
    }
}
