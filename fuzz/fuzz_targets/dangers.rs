//! The secret detectors and the malware rules. The first byte picks. No hit may show the secret that was planted.
#![no_main]

use std::collections::BTreeSet;

use haechi_fuzz::choice;
use haechi_image::dangers::malware::{self, Rules};
use haechi_image::dangers::secrets::{self, Detectors, Hit};
use haechi_image::reader::Meta;
use libfuzzer_sys::fuzz_target;

/// Base32 (RFC 4648).
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const PATHS: [&str; 12] = [
    "app/.env",
    "root/.aws/credentials",
    "root/.ssh/id_rsa",
    "root/.docker/config.json",
    "root/.netrc",
    "root/.npmrc",
    "app/config.yaml",
    "app/settings.py",
    "app/README.md",
    "usr/lib/node_modules/a/test/key.pem",
    "home/u/.git-credentials",
    "app/main.bin",
];

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    let detectors = Detectors::embedded().expect("a test rules that out");
    match first % 20 {
        at @ 0..12 => {
            let path = PATHS[at];
            let _ = secrets::is_candidate(path, content.get(..4096).unwrap_or(content));
            let hits = detectors.scan(path, content);
            assert_eq!(detectors.scan(path, content), hits);
            let lines = content.split(|&b| b == b'\n').count();
            sane(&hits, lines);
        }
        12..14 => {
            let text = String::from_utf8_lossy(content);
            let (name, value) = text.split_once('=').unwrap_or(("", &text));
            let hits = detectors.scan_value(name, value);
            assert_eq!(detectors.scan_value(name, value), hits);
            sane(&hits, 0);
        }
        14..17 => planted(detectors, content),
        17 => alone(detectors, content),
        _ => {
            let rules = Rules::embedded().expect("a test rules that out");
            let size = content.len() as u64;
            let meta = Meta { path: "usr/bin/a", mode: 0o755, size, ..Meta::default() };
            let _ = malware::wants(&meta, content.get(..4096).unwrap_or(content));
            let packed = content.starts_with(b"PK") || content.starts_with(b"\x1f\x8b");
            assert!(rules.scan(content).is_ok() || packed, "too slow or failed");
        }
    }
});

fn sane(hits: &[Hit], lines: usize) {
    for hit in hits {
        assert!(hit.line as usize <= lines, "{hit:?} of {lines}");
        assert!(hit.preview.chars().count() <= 40, "{hit:?}");
        assert!(!hit.preview.chars().any(char::is_control), "{hit:?}");
    }
}

/// Plants a secret between hostile bytes.
fn planted(detectors: &Detectors, content: &[u8]) {
    let Some((seed, rest)) = content.split_at_checked(17) else { return };
    let body: String =
        seed[1..].iter().map(|&b| char::from(LETTERS[usize::from(b) % 32])).collect();
    let secret = match seed[0] % 4 {
        0 => format!("AKIA{body}"),
        1 => format!("ghp_{body}{body}abcd"),
        2 => format!("sk_live_{body}x9"),
        _ => format!("Qx7-{body}"),
    };
    let (before, after) = rest.split_at(rest.len() / 2);
    let text = [before, secret.as_bytes(), after].concat();
    let secret_part = &body[4..12];
    // Bytes around it that repeat it are no secret of their own.
    if text.windows(8).filter(|w| *w == secret_part.as_bytes()).count() > 2 {
        return;
    }
    for hit in detectors.scan("app/.env", &text) {
        assert!(!hit.preview.contains(secret_part), "{hit:?} shows {secret}");
    }
}

/// A key on a line of its own is found whatever text is around it.
fn alone(detectors: &Detectors, content: &[u8]) {
    let Some((seed, rest)) = content.split_at_checked(16) else { return };
    let body: String = seed.iter().map(|&b| char::from(LETTERS[usize::from(b) % 32])).collect();
    let distinct: BTreeSet<u8> = body.bytes().collect();
    // Few letters, or words, look like a placeholder; bytes of no text like UTF-16.
    let words = ["XXXX", concat!("TO", "DO"), "EXAMPLE", "DUMMY", "ABCD", "234"];
    let is_text = rest.iter().all(|&b| (9..0x7f).contains(&b));
    if distinct.len() < 12 || words.iter().any(|word| body.contains(word)) || !is_text {
        return;
    }
    let (before, after) = rest.split_at(rest.len() / 2);
    let text = [before, b"\nAKIA", body.as_bytes(), b"\n", after].concat();
    let line = before.iter().filter(|&&b| b == b'\n').count() + 2;
    let hits = detectors.scan("app/a.txt", &text);
    let many = hits.iter().filter(|hit| hit.detector == "aws-access-key").count() >= 100;
    assert!(
        many || hits.iter().any(|hit| hit.line as usize == line),
        "AKIA{body} is not found: {hits:?}"
    );
}
