//! Every detector finds its own examples, and no output holds a secret of one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::detector::Example;
use super::*;

/// Made-up characters, always the same: the files of detectors hold no text that looks like a secret.
fn noise(seed: &mut u64, alphabet: &[u8], count: usize) -> String {
    let mut next = || {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 40).unwrap() % alphabet.len()
    };
    (0..count).map(|_| char::from(*alphabet.get(next()).unwrap())).collect()
}

/// Puts made-up characters in the place of `<kind:n>`; what is no known kind stays.
fn expand(text: &str) -> String {
    const ALL: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let known = regex::Regex::new(r"<([a-z0-9]*)(?::([0-9]+))?>").unwrap();
    let mut seed = 7;
    let filled = known.replace_all(text, |found: &regex::Captures<'_>| {
        let count = found.get(2).map_or(0, |n| n.as_str().parse::<usize>().unwrap());
        let alphabet: &[u8] = match found.get(1).map_or("", |kind| kind.as_str()) {
            "" => return String::new(),
            "alnum" | "base64" => ALL,
            "alpha" => ALL.get(10..).unwrap(),
            "lower" => b"abcdefghijklmnopqrstuvwxyz0123456789",
            "upper" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "base32" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "bech" => b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
            "hex" => b"0123456789abcdef",
            "digits" => b"0123456789",
            "crc62" => {
                let payload = noise(&mut seed, ALL, 30);
                return format!("{payload}{}", checks::crc62_of(payload.as_bytes()));
            }
            "uuid" => {
                let mut part = |n| noise(&mut seed, b"0123456789abcdef", n);
                return [part(8), part(4), part(4), part(4), part(12)].join("-");
            }
            "basic" => return STANDARD.encode(format!("me:{}", noise(&mut seed, ALL, 12))),
            "key" => return STANDARD.encode(noise(&mut seed, ALL, count)),
            "der" => return STANDARD.encode(format!("0{}", noise(&mut seed, ALL, count))),
            "b64key" => {
                let body = noise(&mut seed, ALL, 60);
                return STANDARD.encode(format!("-----BEGIN KEY-----\n{body}"));
            }
            "wrapped" => {
                let body = STANDARD.encode(format!("0{}", noise(&mut seed, ALL, 120)));
                let mark = ["-----BEGIN PRIV", "ATE KEY-----"].concat();
                return STANDARD.encode(format!("{mark}\n{body}\n-----END"));
            }
            "jwt" => {
                let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
                let body = URL_SAFE_NO_PAD.encode(r#"{"sub":"me","iat":1700000000}"#);
                return format!("{header}.{body}.{}", noise(&mut seed, ALL, 43));
            }
            _ => return found.get(0).unwrap().as_str().to_owned(),
        };
        noise(&mut seed, alphabet, count)
    });
    filled.into_owned()
}

fn parts(example: &Example) -> (String, String) {
    match example {
        Example::Text(text) => ("srv/app/.env".into(), expand(text)),
        Example::File { path, text } => (path.clone(), expand(text)),
    }
}

#[test]
fn every_detector_finds_its_examples_and_nothing_shows_a_secret() {
    let detectors = Detectors::new().unwrap();
    assert!(detectors.list.len() >= 60);
    let mut wrong = Vec::new();
    for detector in &detectors.list {
        let id = &detector.source.id;
        assert!(!detector.source.matches.is_empty() && !detector.source.misses.is_empty(), "{id}");
        for example in &detector.source.matches {
            let (path, text) = parts(example);
            let hits = detectors.scan(&path, text.as_bytes());
            if !hits.iter().any(|hit| hit.detector == *id) {
                wrong.push(format!("{id} does not find its example: {hits:?}"));
            }
            // In the data of a program as well, unless the name alone tells.
            for before in 0..9 {
                let program = format!("{}\n{text}\n\0", "\0".repeat(64 + before));
                let hits = detectors.scan(&path, program.as_bytes());
                if !detector.source.generic && !hits.iter().any(|hit| hit.detector == *id) {
                    wrong.push(format!("{id} does not find its example in a program"));
                }
            }
            let found = detectors.find(&path, text.as_bytes(), false, true);
            for one in &found {
                let secret = text.get(one.secret.clone()).unwrap();
                // The prefix of the kind may be shown; of the rest, eight characters are too many.
                let words = one.detector.source.keywords.iter();
                let kind = words.filter(|word| secret.starts_with(word.as_str())).map(String::len);
                let hidden: Vec<char> = secret.chars().skip(kind.max().unwrap_or(0)).collect();
                for part in hidden.windows(8) {
                    let part: String = part.iter().collect();
                    assert!(!hits.iter().any(|hit| hit.preview.contains(&part)), "{id} {hits:?}");
                }
            }
            assert!(hits.iter().all(|hit| hit.preview.chars().count() <= preview::PREVIEW_MAX));
        }
        for example in &detector.source.misses {
            let (path, text) = parts(example);
            let hits = detectors.scan(&path, text.as_bytes());
            if hits.iter().any(|hit| hit.detector == *id) {
                wrong.push(format!("{id} finds what is none: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checksum_is_the_one_that_github_documents() {
    assert_eq!(checks::crc62_of(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), "0mLq17");
}

#[test]
fn variables_are_judged_by_name() {
    let detectors = Detectors::new().unwrap();
    let is_found = |name: &str, value: &str| !detectors.scan_value(name, value).is_empty();
    assert!(is_found("DB_PASSWORD", "hunter2"));
    assert!(is_found("history step 3", &expand("RUN curl -u me:<alnum:12> https://a.site")));
    for (name, value) in [
        ("DB_PASSWORD_FILE", "/run/secrets/x"),
        ("DB_PASSWORD", "${PASSWORD}"),
        ("DB_PASSWORD", ""),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
        ("PATH", "/usr/bin:/bin"),
    ] {
        assert!(!is_found(name, value), "{name}");
    }
}

#[test]
fn lines_and_windows() {
    let detectors = Detectors::new().unwrap();
    let text = expand("a\nb\nSG.<alnum:22>.<alnum:43>\n");
    let lines: Vec<u32> =
        detectors.scan("a.txt", text.as_bytes()).iter().map(|hit| hit.line).collect();
    assert_eq!(lines, [3]);
    assert!(detectors.list.iter().all(|one| BEFORE + one.source.reach < WINDOW_OVERLAP));
}

#[test]
fn a_value_is_never_shown() {
    let detectors = Detectors::new().unwrap();
    for (name, value) in [
        ("DB_PASSWORD", "hunter2"),
        ("DATABASE_URL", "postgres://app:Zx81kQ0plm@db/app"),
        ("", "RUN docker login -u me -p Zx81kQ0plm r.site"),
        ("history step 1", "RUN export API_TOKEN=Zx81kQ0plmW3"),
    ] {
        let hits = detectors.scan_value(name, value);
        assert!(!hits.is_empty(), "{name} {value}");
        for hit in hits {
            assert_eq!(hit.line, 0);
            assert!(!hit.preview.contains("hunter") && !hit.preview.contains("Zx81"), "{hit:?}");
        }
    }
}

#[test]
fn words_within_a_secret_do_not_excuse_it() {
    for real in ["Wq7example!kZ30pRt", "xXxxdk39FqW0zr", "r8Kq-dummy-Zp04vLwY"] {
        assert!(!checks::is_placeholder(real.as_bytes()), "{real}");
    }
    for none in [
        "changeme",
        "changeme123",
        "example-password",
        "your_secret_key_1",
        "${X}",
        "xxxxxxxx",
        "<key>",
    ] {
        assert!(checks::is_placeholder(none.as_bytes()), "{none}");
    }
    let url = "amqp://app:Zx81kQ0plm@mq.example.com";
    assert_eq!(Detectors::new().unwrap().scan("srv/.env", url.as_bytes()).len(), 1);
}

fn wide(text: &str, mark: bool, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    mark.into_iter().chain(text.encode_utf16()).flat_map(order).collect()
}

#[test]
fn passwords_in_utf_16() {
    let detectors = Detectors::new().unwrap();
    let text = "DB_PASSWORD=Zx81kQ0plmW3\r\nNAME=app\r\n";
    for content in [
        wide(text, true, u16::to_le_bytes),
        wide(text, true, u16::to_be_bytes),
        wide(text, false, u16::to_le_bytes),
        wide(text, false, u16::to_be_bytes),
        [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
    ] {
        let hits = detectors.scan("srv/app.ini", &content);
        assert_eq!(hits.len(), 1, "{hits:?}");
        assert_eq!(hits[0].line, 1);
    }
}

#[test]
fn a_secret_across_windows_is_in_one_of_them() {
    let detectors = Detectors::new().unwrap();
    let key = expand("-----BEGIN PRIV<>ATE KEY-----\n<der:9000>\n-----END PRIV<>ATE KEY-----\n");
    let step = WINDOW_OVERLAP * 2;
    for before in [step - 5, step - key.len() / 2, step + 40 - key.len()] {
        let text = format!("{}\n{key}{}", "a b\n".repeat(before / 4), "c d\n".repeat(step / 4));
        let mut found = Vec::new();
        let mut from = 0;
        while from < text.len() {
            let to = (from + step).min(text.len());
            found.extend(detectors.scan("srv/a.txt", &text.as_bytes()[from..to]));
            from += step - WINDOW_OVERLAP;
        }
        assert!(found.iter().any(|hit| hit.detector == "private-key"), "{before}");
    }
}

#[test]
fn a_key_in_a_program_is_minor() {
    let detectors = Detectors::new().unwrap();
    let key = expand("-----BEGIN PRIV<>ATE KEY-----\n<der:120>\n-----END PRIV<>ATE KEY-----\n");
    let program = format!("\x7fELF\0{key}\0");
    let severity = |path: &str, content: &str| detectors.scan(path, content.as_bytes())[0].severity;
    assert_eq!(severity("usr/lib/a.so", &program), Severity::Low);
    assert_eq!(severity("srv/key.pem", &key), Severity::High);
    assert_eq!(severity("usr/share/doc/a/key.pem", &key), Severity::Low);
}

#[test]
fn packed_files_are_looked_into() {
    use std::io::{Cursor, Write as _};
    let detectors = Detectors::new().unwrap();
    let text = b"DB_PASSWORD=Zx81kQ0plmW3\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text).unwrap();
    let gzip = gzip.finish().unwrap();
    let hits = detectors.scan("srv/app.env.gz", &gzip);
    assert_eq!(hits.len(), 1);
    assert!(hits[0].preview.contains("app.env:"), "{hits:?}");
    // A broken end does not hide what came before it.
    let cut = &gzip[..gzip.len() - 6];
    assert_eq!(detectors.scan("srv/app.env.gz", cut).len(), 1);

    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("BOOT-INF/classes/application.properties", options).unwrap();
    zip.write_all(text).unwrap();
    zip.start_file("A.class", options).unwrap();
    zip.write_all(text).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let hits = detectors.scan("srv/app.jar", &zip);
    assert_eq!(hits.len(), 1);
    assert!(
        hits[0].preview.contains("properties:") && !hits[0].preview.contains("Zx81"),
        "{hits:?}"
    );

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&b"a".repeat(24 << 20)).unwrap();
    let members = packed::members("a.gz", &bomb.finish().unwrap()).unwrap();
    assert!(members[0].content.len() < 4 << 20);
}
