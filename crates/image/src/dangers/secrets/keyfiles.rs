//! Private keys in binary files: DER, PKCS #12, Java key stores, KeePass.
//!
//! Known by structure, not by name. It reads only as deep as it takes to tell that a private key is inside: a
//! store of certificates is none.

use haechi_core::finding::Severity;

use super::Hit;

/// Entries of a Java key store that are looked at: `cacerts` has about 150.
const ENTRIES_MAX: u32 = 10_000;

/// Looks at the whole of a file; a window from its middle is none of these.
pub(super) fn scan(path: &str, content: &[u8]) -> Vec<Hit> {
    let hit = |detector: &str, severity| Hit {
        detector: detector.into(),
        line: 0,
        preview: "…".into(),
        severity,
    };
    let found = match content {
        [0xfe, 0xed, 0xfe, 0xed, rest @ ..] | [0xce, 0xce, 0xce, 0xce, rest @ ..] => {
            java_store_has_key(rest).then(|| hit("java-keystore", Severity::Medium))
        }
        [0x03, 0xd9, 0xa2, 0x9a, ..] => Some(hit("password-database", Severity::Medium)),
        [0x30, rest @ ..] => der(path, rest).map(|(name, severity)| hit(name, severity)),
        _ => None,
    };
    found.into_iter().collect()
}

/// Reads the length of a DER element (X.690, 8.1.3): its length and what follows. Up to four bytes.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Some((count, rest));
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    if count > 4 {
        return None;
    }
    let length = digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
    Some((length, rest))
}

fn der(path: &str, after_tag: &[u8]) -> Option<(&'static str, Severity)> {
    /// PKCS #12 bags 1.2.840.113549.1.12.10.1.1 (key) and .2 (encrypted key), RFC 7292.
    const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
    let (size, body) = length(after_tag)?;
    match body {
        // PKCS #12: version 3, then a sequence that names pkcs7-data.
        [2, 1, 3, 0x30, ..] => {
            let has_key = memchr::memmem::find_iter(body, BAG)
                .any(|at| matches!(body.get(at + BAG.len()), Some(1 | 2)));
            let name = path.rsplit('/').next().unwrap_or_default();
            let all_hidden = !has_key && (name.ends_with(".p12") || name.ends_with(".pfx"));
            (has_key || all_hidden).then_some(("pkcs12", Severity::Medium))
        }
        _ if body.len() != size => None,
        // PKCS #1 (version 0, a long modulus), PKCS #8 (version 0 or 1, an algorithm with an OID), SEC 1.
        [2, 1, 0, 2, 0x81 | 0x82, ..] => Some(("private-key-der", Severity::High)),
        [2, 1, 0 | 1, 0x30, _, 6, ..] => Some(("private-key-der", Severity::High)),
        [2, 1, 1, 4, 0x20 | 0x30 | 0x42, ..] => Some(("private-key-der", Severity::High)),
        _ => None,
    }
}

/// Whether a Java key store (after its magic) has an entry with a private or secret key.
fn java_store_has_key(bytes: &[u8]) -> bool {
    fn number(bytes: &mut &[u8]) -> Option<u32> {
        let (number, rest) = bytes.split_first_chunk::<4>()?;
        *bytes = rest;
        Some(u32::from_be_bytes(*number))
    }
    fn skip(bytes: &mut &[u8], count: usize) -> Option<()> {
        *bytes = bytes.get(count..)?;
        Some(())
    }
    fn skip_text(bytes: &mut &[u8]) -> Option<()> {
        let (size, rest) = bytes.split_first_chunk::<2>()?;
        *bytes = rest;
        skip(bytes, usize::from(u16::from_be_bytes(*size)))
    }
    let mut rest = bytes;
    let mut read = || -> Option<bool> {
        number(&mut rest)?;
        let count = number(&mut rest)?;
        for _ in 0..count.min(ENTRIES_MAX) {
            // Tag 1 is a private key, 2 a certificate, 3 a secret key.
            if number(&mut rest)? != 2 {
                return Some(true);
            }
            skip_text(&mut rest)?;
            skip(&mut rest, 8)?;
            skip_text(&mut rest)?;
            let size = number(&mut rest)?;
            skip(&mut rest, usize::try_from(size).ok()?)?;
        }
        Some(false)
    };
    // A store that ends early is taken for one with a key: nothing says that it has none.
    read().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, content: &[u8]) -> Vec<String> {
        scan(path, content).into_iter().map(|hit| hit.detector).collect()
    }

    /// A DER sequence around `body` with a length of two bytes.
    fn sequence(body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], size.as_slice(), body].concat()
    }

    #[test]
    fn private_keys_in_der() {
        let rest = [7; 300].as_slice();
        for start in [
            [2, 1, 0, 2, 0x82].as_slice(),
            &[2, 1, 0, 0x30, 13, 6],
            &[2, 1, 1, 0x30, 13, 6],
            &[2, 1, 1, 4, 0x20],
        ] {
            let key = sequence(&[start, rest].concat());
            assert_eq!(names("a", &key), ["private-key-der"], "{start:?}");
            // Not if it is cut off or something follows.
            assert!(names("a", &key[..key.len() - 1]).is_empty());
            assert!(names("a", &[key.as_slice(), &[0]].concat()).is_empty());
        }
        // A certificate begins with a sequence.
        assert!(names("a", &sequence(&[&[0x30, 0x82], rest].concat())).is_empty());
        for broken in [[0x30].as_slice(), &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 1], &[]] {
            assert!(names("a", broken).is_empty());
        }
    }

    #[test]
    fn pkcs12_with_a_key() {
        let bag = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
        let store = |kind: &[u8]| {
            sequence(&[&[2, 1, 3, 0x30, 0x10], bag.as_slice(), kind, &[0; 40]].concat())
        };
        assert_eq!(names("a", &store(&[2])), ["pkcs12"]);
        // Certificates only (bag 3); but as a .p12 nothing says what is in it.
        assert!(names("a", &store(&[3])).is_empty());
        assert_eq!(names("b/a.p12", &store(&[3])), ["pkcs12"]);
    }

    fn java(tags: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
        bytes.extend(u32::try_from(tags.len()).unwrap().to_be_bytes());
        for tag in tags {
            bytes.extend(tag.to_be_bytes());
            // Alias, date, kind, and a body of four bytes.
            bytes.extend(b"\0\x01a\0\0\0\0\0\0\0\0\0\x05X.509\0\0\0\x04body");
        }
        bytes
    }

    #[test]
    fn java_key_stores() {
        assert!(names("cacerts", &java(&[2, 2, 2])).is_empty());
        assert_eq!(names("a.jks", &java(&[2, 1])), ["java-keystore"]);
        assert_eq!(names("a.jks", &java(&[2, 3])), ["java-keystore"]);
        let whole = java(&[2, 2]);
        assert_eq!(names("a.jks", &whole[..whole.len() - 3]), ["java-keystore"]);
    }

    #[test]
    fn password_databases() {
        assert_eq!(names("a", b"\x03\xd9\xa2\x9a\x67\xfb"), ["password-database"]);
        assert!(names("a", b"\x03\xd9\xa2").is_empty());
    }
}
