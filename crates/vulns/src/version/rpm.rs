//! RPM: `[epoch:]version[-release]`, each part by rpmvercmp. An absent epoch is 0, an absent release is before every
//! release. Only a number before the first colon is an epoch. Every text has an order, as for rpm itself.

use std::cmp::Ordering;

use super::scan;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a_version, a_release) = parts(a);
    let (b_epoch, b_version, b_release) = parts(b);
    scan::numbers(a_epoch, b_epoch).then_with(|| segments(a_version, b_version)).then_with(
        || match (a_release, b_release) {
            (Some(x), Some(y)) => segments(x, y),
            (x, y) => x.is_some().cmp(&y.is_some()),
        },
    )
}

fn parts(s: &str) -> (&str, &str, Option<&str>) {
    let (epoch, rest) = match s.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
        _ => ("0", s),
    };
    match rest.rsplit_once('-') {
        Some((version, release)) => (epoch, version, Some(release)),
        None => (epoch, rest, None),
    }
}

/// A segment of a version, in rpm's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Tilde,
    End,
    Caret,
    Word(&'a str),
    Number(&'a str),
}

fn segments(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (x, a_rest) = next(a);
        let (y, b_rest) = next(b);
        let order = match (x, y) {
            (Segment::Number(m), Segment::Number(n)) => scan::numbers(m, n),
            _ => x.cmp(&y),
        };
        if order.is_ne() || x == Segment::End {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

/// The first segment and what follows. All other characters only separate.
fn next(s: &str) -> (Segment<'_>, &str) {
    let s = s.trim_start_matches(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '~' | '^')));
    if let Some(rest) = s.strip_prefix('~') {
        return (Segment::Tilde, rest);
    }
    if let Some(rest) = s.strip_prefix('^') {
        return (Segment::Caret, rest);
    }
    match scan::digits(s) {
        ("", _) => match scan::letters(s) {
            ("", _) => (Segment::End, ""),
            (word, rest) => (Segment::Word(word), rest),
        },
        (number, rest) => (Segment::Number(number), rest),
    }
}
