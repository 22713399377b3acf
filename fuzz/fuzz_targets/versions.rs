//! Orders of versions, CVSS vectors and VEX documents. The first byte picks. Orders must be orders: reflexive,
//! antisymmetric, transitive, and of two versions each is readable or not by itself.
#![no_main]

use std::cmp::Ordering;

use haechi_fuzz::choice;
use haechi_vulns::version::{self, Scheme};
use haechi_vulns::{cvss, vex};
use libfuzzer_sys::fuzz_target;

const SCHEMES: [Scheme; 10] = [
    Scheme::Deb,
    Scheme::Apk,
    Scheme::Rpm,
    Scheme::Semver,
    Scheme::Pep440,
    Scheme::Maven,
    Scheme::Gem,
    Scheme::Composer,
    Scheme::Nuget,
    Scheme::Generic,
];

/// What versions are made of; a byte each, so that mutation recombines whole words.
const WORDS: [&str; 64] = [
    "0",
    "1",
    "2",
    "9",
    "10",
    "00",
    "01",
    "99999999999999999999",
    "20240101",
    ".",
    "-",
    "_",
    "+",
    "~",
    "^",
    ":",
    "!",
    "/",
    "=",
    "#",
    "v",
    "V",
    "a",
    "b",
    "c",
    "z",
    "A",
    "rc",
    "RC",
    "alpha",
    "beta",
    "pre",
    "p",
    "post",
    "dev",
    "cr",
    "m",
    "snapshot",
    "SNAPSHOT",
    "ga",
    "final",
    "release",
    "sp",
    "x",
    "r",
    "-r",
    "_p",
    "_rc",
    "_git",
    "_cvs",
    "patch",
    "pl",
    "stable",
    "nightly",
    "incompatible",
    "go",
    "el9",
    "deb12u",
    "ubuntu",
    "e",
    "é",
    "١",
    "0.0",
    "-0",
];

fn words(data: &[u8]) -> String {
    data.iter().map(|&b| WORDS[usize::from(b) % WORDS.len()]).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    match first % 24 {
        number @ 0..20 => {
            let mut parts = content.splitn(3, |&b| b == b'\n');
            let mut part = || {
                let bytes = parts.next().unwrap_or_default();
                if number < 10 { words(bytes) } else { String::from_utf8_lossy(bytes).into_owned() }
            };
            order(SCHEMES[number % 10], [part(), part(), part()]);
        }
        20 | 21 => {
            let text = String::from_utf8_lossy(content);
            if let Ok(scored) = cvss::score(&text) {
                assert!((0.0..=10.0).contains(&scored.score), "{scored:?}");
                let tenths = scored.score * 10.0;
                assert!((tenths - tenths.round()).abs() < 1e-6, "{scored:?}");
            }
        }
        _ => {
            if let Ok(statements) = vex::read(content) {
                assert_eq!(vex::read(content), Ok(statements.clone()));
                assert!(serde_json::from_slice::<serde_json::Value>(content).is_ok());
                for name in statements.iter().flat_map(|s| &s.products).flat_map(|p| &p.names) {
                    if let Some(purl) = vex::Purl::parse(name) {
                        let _ = purl.matches(&purl);
                    }
                }
            }
        }
    }
});

fn order(scheme: Scheme, [a, b, c]: [String; 3]) {
    let compare = |x: &str, y: &str| version::compare(scheme, x, y);
    for one in [&a, &b, &c] {
        match compare(one, one) {
            Ok(order) => assert_eq!(order, Ordering::Equal, "{scheme:?} {one}"),
            Err(error) => {
                assert!(!version::conforms(scheme, one), "{scheme:?} {one}");
                assert!(error.version.len() <= version::LONGEST);
            }
        }
    }
    let readable = |x: &str| compare(x, x).is_ok();
    assert_eq!(compare(&a, &b).is_ok(), readable(&a) && readable(&b), "{scheme:?} {a} {b}");
    let (Ok(ab), Ok(ba)) = (compare(&a, &b), compare(&b, &a)) else { return };
    assert_eq!(ab, ba.reverse(), "{scheme:?} {a} {b}");
    // PHP itself does not order `#` consistently.
    if scheme == Scheme::Composer && [&a, &b, &c].iter().any(|v| v.contains('#')) {
        return;
    }
    let (Ok(bc), Ok(ac)) = (compare(&b, &c), compare(&a, &c)) else { return };
    let expected = match (ab, bc) {
        (x, Ordering::Equal) => Some(x),
        (Ordering::Equal, x) => Some(x),
        (x, y) if x == y => Some(x),
        _ => None,
    };
    assert!(
        expected.is_none_or(|e| e == ac),
        "{scheme:?} `{a}` {ab:?} `{b}` {bc:?} `{c}` but {ac:?}"
    );
}
