//! Semantic versions (semver.org 2.0), read as leniently as npm's loose mode, Go and NuGet do together.
//!
//! `v`, `=` and Go's `go` before, fewer or more than three numbers, leading zeros, and a pre-release without hyphen
//! (`1.2.3beta`, `go1.21rc2`) are read. Build metadata does not count.

use std::cmp::Ordering;

use super::scan;

/// The numbers (with their dots), and the pre-release; empty if it is a release.
pub(super) struct Version<'a> {
    numbers: &'a str,
    pre: &'a str,
    /// Whether the pre-release is of Go's own kind (`rc2`), which is `rc.2` in advisories.
    go: bool,
}

pub(super) fn parse(s: &str) -> Option<Version<'_>> {
    let s = s.trim_start_matches('=');
    let (s, go) = match s.strip_prefix("go") {
        Some(rest) => (rest, true),
        None => (s.strip_prefix(['v', 'V']).unwrap_or(s), false),
    };
    let s = s.split_once('+').map_or(s, |(version, _build)| version);
    let (numbers, rest) = scan::take(s, |b| b.is_ascii_digit() || b == b'.');
    if !numbers.split('.').all(scan::is_number) {
        return None;
    }
    let pre = match rest.strip_prefix('-') {
        Some("") => return None,
        Some(pre) => pre,
        None if rest.starts_with(|c: char| c.is_ascii_alphabetic()) || rest.is_empty() => rest,
        None => return None,
    };
    pre.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_~".contains(&b)).then_some(Version {
        numbers,
        pre,
        go,
    })
}

/// Orders as semver.org does.
pub(super) fn compare(a: &Version<'_>, b: &Version<'_>) -> Ordering {
    order(a, b, str::cmp)
}

/// Orders as NuGet does.
pub(super) fn compare_ignoring_case(a: &Version<'_>, b: &Version<'_>) -> Ordering {
    order(a, b, scan::ignoring_case)
}

fn order(a: &Version<'_>, b: &Version<'_>, words: fn(&str, &str) -> Ordering) -> Ordering {
    dotted(a.numbers, b.numbers).then_with(|| match (a.pre, b.pre) {
        ("", "") => Ordering::Equal,
        ("", _) => Ordering::Greater,
        (_, "") => Ordering::Less,
        _ => pre(a, b, words),
    })
}

/// Numbers with dots; absent ones are 0.
pub(super) fn dotted(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = (a.next(), b.next());
        let order = scan::numbers(x.unwrap_or_default(), y.unwrap_or_default());
        if order.is_ne() || (x.is_none() && y.is_none()) {
            return order;
        }
    }
}

/// Numbers before words, the shorter one first.
fn pre(a: &Version<'_>, b: &Version<'_>, words: fn(&str, &str) -> Ordering) -> Ordering {
    let (mut a, mut b) = (identifiers(a), identifiers(b));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (scan::is_number(x), scan::is_number(y)) {
                (true, true) => scan::numbers(x, y),
                (false, false) => words(x, y),
                (x, y) => y.cmp(&x),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn identifiers<'a>(version: &Version<'a>) -> impl Iterator<Item = &'a str> {
    let (word, rest) = if version.go { scan::letters(version.pre) } else { ("", version.pre) };
    let rest = if word.is_empty() { rest } else { rest.strip_prefix('.').unwrap_or(rest) };
    let word = (!word.is_empty()).then_some(word);
    let rest = (!rest.is_empty()).then(|| rest.split('.')).into_iter().flatten();
    word.into_iter().chain(rest)
}
