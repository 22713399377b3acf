//! Debian: `[epoch:]upstream[-revision]` (deb-version(7)). An absent epoch or revision is 0.

use std::cmp::Ordering;

use super::scan;

/// A version in its three parts.
pub(super) struct Version<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

/// Refuses what dpkg refuses: an epoch that is no number, an empty upstream version or revision.
pub(super) fn parse(s: &str) -> Option<Version<'_>> {
    let (epoch, rest) = s.split_once(':').unwrap_or(("0", s));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let known = |b: u8| b.is_ascii_alphanumeric() || b".+-~:_".contains(&b);
    (scan::is_number(epoch)
        && !upstream.is_empty()
        && !revision.is_empty()
        && rest.bytes().all(known))
    .then_some(Version { epoch, upstream, revision })
}

impl Version<'_> {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        scan::numbers(self.epoch, other.epoch)
            .then_with(|| part(self.upstream, other.upstream))
            .then_with(|| part(self.revision, other.revision))
    }
}

/// By turns a run without digits, then a number.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (x, a_rest) = scan::take(a, |b| !b.is_ascii_digit());
        let (y, b_rest) = scan::take(b, |b| !b.is_ascii_digit());
        let (m, a_rest) = scan::digits(a_rest);
        let (n, b_rest) = scan::digits(b_rest);
        let order = words(x, y).then_with(|| scan::numbers(m, n));
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}

/// `~` is before the end, letters are before everything else.
fn words(a: &str, b: &str) -> Ordering {
    let weight = |b: u8| match b {
        b'~' => -1,
        b if b.is_ascii_alphabetic() => i32::from(b),
        b => i32::from(b) + 256,
    };
    // The end weighs 0: put behind both, it makes the shorter one compare rightly.
    a.bytes().map(weight).chain([0]).cmp(b.bytes().map(weight).chain([0]))
}
