//! Python: PEP 440, with its normalisations; older versions that PEP 440 does not read are before all others, in the
//! order that setuptools and `packaging` before 22 had for them (`LegacyVersion`).

use std::cmp::Ordering;

use super::scan;

/// A version by PEP 440. Numbers are kept as digits.
struct Version<'a> {
    epoch: &'a str,
    release: &'a str,
    /// 0 `a`, 1 `b`, 2 `rc`, with number.
    pre: Option<(u8, &'a str)>,
    post: Option<&'a str>,
    dev: Option<&'a str>,
    local: Option<&'a str>,
}

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(x), Some(y)) => x.cmp(&y),
        (None, None) => legacy(a).cmp(&legacy(b)),
        (x, y) => x.is_some().cmp(&y.is_some()),
    }
}

/// Whether PEP 440 reads it.
pub(super) fn is_valid(s: &str) -> bool {
    parse(s).is_some()
}

impl Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        scan::numbers(self.epoch, other.epoch)
            .then_with(|| super::semantic::dotted(self.release, other.release))
            .then_with(|| {
                let (a, b) = (self.pre_key(), other.pre_key());
                a.0.cmp(&b.0).then_with(|| scan::numbers(a.1, b.1))
            })
            .then_with(|| optional(self.post, other.post))
            // Without `.dev` is after every `.dev`.
            .then_with(|| match (self.dev, other.dev) {
                (Some(x), Some(y)) => scan::numbers(x, y),
                (x, y) => y.is_some().cmp(&x.is_some()),
            })
            .then_with(|| match (self.local, other.local) {
                (Some(x), Some(y)) => locals(x, y),
                (x, y) => x.is_some().cmp(&y.is_some()),
            })
    }

    /// `1.0.dev1` is before `1.0a1`, and everything without pre-release is after those with.
    fn pre_key(&self) -> (u8, &str) {
        match self.pre {
            Some((kind, number)) => (kind + 1, number),
            None if self.post.is_none() && self.dev.is_some() => (0, ""),
            None => (9, ""),
        }
    }
}

/// Absent is before every number.
fn optional(a: Option<&str>, b: Option<&str>) -> Ordering {
    match (a, b) {
        (Some(x), Some(y)) => scan::numbers(x, y),
        (x, y) => x.is_some().cmp(&y.is_some()),
    }
}

/// Local versions: words before numbers, the shorter one first.
fn locals(a: &str, b: &str) -> Ordering {
    let separator = |c| matches!(c, '.' | '-' | '_');
    let (mut a, mut b) = (a.split(separator), b.split(separator));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (scan::is_number(x), scan::is_number(y)) {
                (true, true) => scan::numbers(x, y),
                (false, false) => scan::ignoring_case(x, y),
                (x, y) => x.cmp(&y),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// PEP 440, appendix B: the permissive form.
fn parse(s: &str) -> Option<Version<'_>> {
    let s = s.strip_prefix(['v', 'V']).unwrap_or(s);
    let (epoch, s) = match s.split_once('!') {
        Some((epoch, rest)) if scan::is_number(epoch) => (epoch, rest),
        Some(_) => return None,
        None => ("0", s),
    };
    let (release, mut rest) = release(s)?;
    let pre = segment(rest, &PRE);
    if let Some((_, _, after)) = pre {
        rest = after;
    }
    let mut post = None;
    if let Some((_, number, after)) = segment(rest, &POST) {
        (post, rest) = (Some(number), after);
    } else if let Some(after) = rest.strip_prefix('-') {
        // The implicit form `1.0-1`.
        if let (number, after) = scan::digits(after)
            && !number.is_empty()
        {
            (post, rest) = (Some(number), after);
        }
    }
    let mut dev = None;
    if let Some((_, number, after)) = segment(rest, &[("dev", 0)]) {
        (dev, rest) = (Some(number), after);
    }
    let local = match rest.strip_prefix('+') {
        Some(local) => {
            let pieces = local.split(['.', '-', '_']);
            let valid = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric());
            if !pieces.into_iter().all(valid) {
                return None;
            }
            Some(local)
        }
        None if rest.is_empty() => None,
        None => return None,
    };
    Some(Version { epoch, release, pre: pre.map(|(kind, n, _)| (kind, n)), post, dev, local })
}

const PRE: [(&str, u8); 8] = [
    ("alpha", 0),
    ("a", 0),
    ("beta", 1),
    ("b", 1),
    ("preview", 2),
    ("pre", 2),
    ("rc", 2),
    ("c", 2),
];
const POST: [(&str, u8); 3] = [("post", 0), ("rev", 0), ("r", 0)];

/// The numbers in front, without a dot that belongs to what follows.
fn release(s: &str) -> Option<(&str, &str)> {
    let (taken, _) = scan::take(s, |b| b.is_ascii_digit() || b == b'.');
    let taken = taken.strip_suffix('.').unwrap_or(taken);
    let (release, rest) = s.split_at_checked(taken.len())?;
    release.split('.').all(scan::is_number).then_some((release, rest))
}

/// `[-_.]word[-_.][number]`: kind, number (empty is 0) and the rest.
fn segment<'a>(s: &'a str, words: &[(&str, u8)]) -> Option<(u8, &'a str, &'a str)> {
    let s = s.strip_prefix(['-', '_', '.']).unwrap_or(s);
    let (kind, rest) =
        words.iter().find_map(|&(word, kind)| Some((kind, scan::strip_word(s, word)?)))?;
    let (number, after) = scan::digits(rest.strip_prefix(['-', '_', '.']).unwrap_or(rest));
    // A separator without number belongs to what follows.
    if number.is_empty() { Some((kind, "", rest)) } else { Some((kind, number, after)) }
}

/// The key of setuptools for a version that PEP 440 does not read.
fn legacy(s: &str) -> Vec<String> {
    let lower = s.to_lowercase();
    let mut key: Vec<String> = Vec::new();
    let mut rest = lower.as_str();
    while let Some(first) = rest.chars().next() {
        let (number, after) = scan::digits(rest);
        if !number.is_empty() {
            key.push(format!("{number:0>8}"));
            rest = after;
            continue;
        }
        let (word, after) = match first {
            '-' => rest.split_at_checked(1).unwrap_or((rest, "")),
            _ => {
                let end = rest.find(|c: char| c == '-' || c == '.' || c.is_ascii_digit());
                rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""))
            }
        };
        if word.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or_default();
            continue;
        }
        rest = after;
        let word = match word {
            "pre" | "preview" | "rc" => "*c".to_owned(),
            "dev" => "*@".to_owned(),
            "-" => "*final-".to_owned(),
            word => format!("*{word}"),
        };
        push(&mut key, word);
    }
    push(&mut key, "*final".to_owned());
    key
}

/// Adds a word; zeros before it do not count, nor do hyphens before a pre-release.
fn push(key: &mut Vec<String>, word: String) {
    if word.as_str() < "*final" {
        while key.last().is_some_and(|last| last == "*final-") {
            key.pop();
        }
    }
    while key.last().is_some_and(|last| last == "00000000") {
        key.pop();
    }
    key.push(word);
}
