//! The secret detectors and the malware rules. The first byte picks. No hit may show the secret that was planted.
#![no_main]

use haechi_fuzz::choice;
use haechi_image::dangers::malware::{self, Rules};
use haechi_image::dangers::secrets::{self, Detectors, Hit};
use libfuzzer_sys::fuzz_target;

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
        14..18 => planted(detectors, content),
        _ => {
            let rules = Rules::embedded().expect("a test rules that out");
            let _ = malware::is_candidate("usr/bin/a", 0o755, content.get(..4096).unwrap_or(content));
            assert!(rules.scan(content).is_ok(), "too slow or failed");
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
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let Some((seed, rest)) = content.split_at_checked(17) else { return };
    let body: String = seed[1..].iter().map(|&b| char::from(LETTERS[usize::from(b) % 32])).collect();
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
