//! What must be true of a text before it counts as a secret: a closed list, named in the detectors.
//!
//! A check answers with [`Outcome`]. It never sees more than the detector's window, and costs no more than a few
//! passes over the secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Longest text that is decoded: keys are the longest secrets.
const DECODED_MAX: usize = 16 << 10;

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It is none.
    No,
    /// It has the form, but something speaks against its use: encrypted, wrong checksum.
    Weak,
    /// It is one.
    Yes,
}

impl From<bool> for Outcome {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// A check by the name that detectors use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// Shannon entropy of its bytes is at least this, in bits for each byte.
    Entropy(f64),
    /// It has at least one letter and one digit.
    Mixed,
    /// The last six characters are the CRC-32 of the thirty before them, in base 62 (GitHub, npm):
    /// <https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>
    Crc62,
    /// Three parts of a JSON Web Token (RFC 7519) whose header is an object with `alg`.
    Jwt,
    /// Base64 (either alphabet) of exactly so many bytes.
    Base64(usize),
    /// Base64 of text that begins so.
    Decodes(String),
    /// Base64 of `user:password`, neither part empty.
    Basic,
    /// One of these texts is in the window, in any case of letters.
    Near(Vec<String>),
    /// A private key in text form; weak if it is encrypted.
    PrivateKey,
    /// Base64 of the text form of a private key, as Kubernetes and variables hold it.
    WrappedKey,
    /// A password as a person writes it into a file: no path, no name, no code.
    Password,
}

impl Check {
    /// Whether it holds for `secret`, found in `window`.
    pub fn decide(&self, secret: &[u8], window: &[u8]) -> Outcome {
        match self {
            Self::Entropy(least) => (entropy(secret) >= *least).into(),
            Self::Mixed => (secret.iter().any(u8::is_ascii_digit)
                && secret.iter().any(u8::is_ascii_alphabetic))
            .into(),
            Self::Crc62 => crc62(secret),
            Self::Jwt => jwt(secret),
            Self::Base64(size) => decode(secret).is_some_and(|bytes| bytes.len() == *size).into(),
            Self::Decodes(start) => {
                decode(secret).is_some_and(|bytes| bytes.starts_with(start.as_bytes())).into()
            }
            Self::Basic => is_basic(secret).into(),
            Self::Near(words) => words.iter().any(|word| contains(window, word.as_bytes())).into(),
            Self::PrivateKey => private_key(secret, window),
            Self::WrappedKey => wrapped_key(secret),
            Self::Password => is_password(secret).into(),
        }
    }
}

/// Whether the text stands for a secret and is none: `changeme`, `${VAR}`, `<your-key>`, `xxxxxxxx`.
pub(super) fn is_placeholder(secret: &[u8]) -> bool {
    // Texts that people write where a secret belongs. Long enough to be no accident in a random token.
    const WORDS: [&str; 30] = [
        "changeme",
        "change_me",
        "change-me",
        "changeit",
        "change_this",
        "change-this",
        "example",
        "placeholder",
        "your_",
        "your-",
        "yourpass",
        "yourkey",
        "yoursecret",
        "yourtoken",
        "redacted",
        "dummy",
        "insert_",
        "replace_",
        "replace-",
        "replaceme",
        "todo",
        "xxxx",
        "****",
        "....",
        "1234567890abcdef",
        "abcdef0123456789",
        "abcdefghijkl",
        "0123456789abcdef",
        "notreal",
        "not-a-real",
    ];
    // Words that stand beside them.
    const FILLERS: [&str; 12] = [
        "password", "passwd", "secret", "token", "access", "private", "api", "key", "here", "test",
        "my", "this",
    ];
    const STARTS: [&str; 7] =
        ["your_", "your-", "your", "insert_", "replace_", "replace-", "change"];
    let Ok(text) = std::str::from_utf8(secret) else { return false };
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let Some(first) = lower.bytes().next() else { return true };
    let last = lower.bytes().next_back().unwrap_or(first);
    if lower.bytes().all(|b| b == first)
        || matches!((first, last), (b'<', b'>') | (b'[', b']') | (b'{', b'}') | (b'%', b'%'))
        || ["${", "$(", "{{", "<%", "%("].iter().any(|sign| lower.contains(sign))
    {
        return true;
    }
    // Amazon's documentation marks its keys so.
    if text.ends_with("EXAMPLE") || text.ends_with("EXAMPLEKEY") {
        return true;
    }
    // Long base64 holds any four letters by chance; there only long words count.
    let counts = |word: &str| lower.len() <= 64 || word.len() > 8;
    let words = || WORDS.iter().filter(|word| counts(word) && lower.contains(**word));
    if words().next().is_none() {
        return false;
    }
    if STARTS.iter().any(|start| lower.starts_with(start)) {
        return true;
    }
    // A word within a real secret excuses nothing: it must be most of it.
    let mut rest = lower.clone();
    for word in words().chain(&FILLERS) {
        rest = rest.replace(word, "");
    }
    let mut left: Vec<u8> = rest.into_bytes();
    left.sort_unstable();
    left.dedup();
    left.len() < LEFT_MAX
}

/// Different characters beside placeholder words that make a secret.
const LEFT_MAX: usize = 8;

/// Bits of information for each byte, from how often each byte occurs (Shannon).
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = BTreeMap::<u8, u32>::new();
    for byte in bytes.iter().take(DECODED_MAX) {
        *counts.entry(*byte).or_default() += 1;
    }
    let total: f64 = counts.values().map(|count| f64::from(*count)).sum();
    counts.values().map(|count| f64::from(*count) / total).map(|share| -share * share.log2()).sum()
}

/// The CRC-32 of `payload` as GitHub and npm write it: six digits of base 62.
pub(super) fn crc62_of(payload: &[u8]) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = flate2::Crc::new();
    crc.update(payload);
    let mut rest = usize::try_from(crc.sum()).unwrap_or_default();
    let mut digits = [0_u8; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get(rest % 62).copied().unwrap_or_default();
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

fn crc62(secret: &[u8]) -> Outcome {
    let Some((before, checksum)) = secret.split_last_chunk::<6>() else { return Outcome::No };
    let Some((_, payload)) = before.split_last_chunk::<30>() else { return Outcome::No };
    // A wrong checksum is a made-up token, or a form that is newer than this code.
    if crc62_of(payload).as_bytes() == checksum { Outcome::Yes } else { Outcome::Weak }
}

/// Decodes either alphabet of base64, with or without padding.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.get(..text.len().min(DECODED_MAX))?;
    let end = text.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    let bare = text.get(..end)?;
    STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()
}

fn jwt(secret: &[u8]) -> Outcome {
    /// Claims that tell who and how long (RFC 7519, section 4.1), and what access tokens have beside them.
    const CLAIMS: [&str; 9] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "user_id"];
    let mut parts = secret.split(|b| *b == b'.');
    let object = |part: Option<&[u8]>| {
        let value: serde_json::Value = serde_json::from_slice(&decode(part?)?).ok()?;
        value.as_object().cloned()
    };
    let header = object(parts.next());
    let signed = header.is_some_and(|header| {
        header.get("alg").is_some_and(|alg| alg.as_str().is_some_and(|alg| alg != "none"))
    });
    let Some(body) = object(parts.next()) else { return Outcome::No };
    if !signed || parts.next().is_none_or(|signature| signature.len() < 20) {
        return Outcome::No;
    }
    // The subject of the example that every introduction shows.
    if body.get("sub").and_then(|sub| sub.as_str()) == Some("1234567890") {
        return Outcome::No;
    }
    if CLAIMS.iter().any(|claim| body.contains_key(*claim)) { Outcome::Yes } else { Outcome::Weak }
}

fn wrapped_key(secret: &[u8]) -> Outcome {
    const WORDS: &[u8] = b"PRIVATE KEY";
    let text: Vec<u8> = String::from_utf8_lossy(secret)
        .replace("\\n", "")
        .bytes()
        .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        .collect();
    // Whole groups of four, so that what is cut off does not make it undecodable.
    let whole = (text.len() - text.len() % 4).min(DECODED_MAX);
    let Some(key) = text.get(..whole).and_then(decode) else { return Outcome::No };
    let Some(at) = memchr::memmem::find(&key, WORDS) else { return Outcome::No };
    let body = key.get(at + WORDS.len()..).unwrap_or_default();
    let body = body.iter().position(|b| *b == b'\n').and_then(|at| body.get(at..));
    let body = body.unwrap_or_default();
    let end = memchr::memmem::find(body, b"-----").unwrap_or(body.len());
    private_key(body.get(..end).unwrap_or_default(), &key)
}

fn is_basic(secret: &[u8]) -> bool {
    let Some(decoded) = decode(secret) else { return false };
    let Ok(text) = std::str::from_utf8(&decoded) else { return false };
    let Some((user, password)) = text.split_once(':') else { return false };
    !user.is_empty()
        && !password.is_empty()
        && !text.chars().any(char::is_control)
        && !is_placeholder(password.as_bytes())
}

fn contains(window: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && window.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

fn private_key(secret: &[u8], window: &[u8]) -> Outcome {
    // Header lines (RFC 1421) end at the first empty line; the body has no colon.
    let text = String::from_utf8_lossy(secret).replace("\\r", "").replace("\\n", "\n");
    let encrypted_header = text.contains("ENCRYPTED") || text.contains("Encryption: aes");
    let body: String = text
        .lines()
        .filter(|line| !line.contains(':'))
        .flat_map(str::chars)
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))
        .collect();
    // Whole groups of four, so that what is cut off does not make it undecodable.
    let whole = body.len() - body.len() % 4;
    let Some(bytes) = body.get(..whole).and_then(|body| decode(body.as_bytes())) else {
        return Outcome::No;
    };
    if entropy(body.as_bytes()) < 3.5 {
        return Outcome::No;
    }
    if let Some(rest) = bytes.strip_prefix(b"openssh-key-v1\0") {
        return if rest.starts_with(b"\0\0\0\x04none") { Outcome::Yes } else { Outcome::Weak };
    }
    let pgp = contains(window, b"PGP PRIVATE");
    match bytes.first() {
        // An encrypted body of the traditional form is no longer ASN.1.
        Some(_) if encrypted_header => Outcome::Weak,
        Some(0x30) if contains(window, b"BEGIN ENCRYPTED") => Outcome::Weak,
        Some(0x30) => Outcome::Yes,
        // OpenPGP packets have the highest bit set (RFC 9580, section 4.2); whether a password protects
        // the key stands deeper in it.
        Some(tag) if pgp && tag & 0x80 != 0 => Outcome::Yes,
        _ => Outcome::No,
    }
}

fn is_password(secret: &[u8]) -> bool {
    const WORDS: [&str; 36] = [
        "true",
        "false",
        "null",
        "none",
        "nil",
        "yes",
        "no",
        "on",
        "off",
        "undefined",
        "password",
        "passwd",
        "secret",
        "token",
        "string",
        "default",
        "required",
        "optional",
        "enabled",
        "disabled",
        "prompt",
        "ask",
        "file",
        "env",
        "environment",
        "key",
        "value",
        "random",
        "auto",
        "empty",
        "test",
        "user",
        "username",
        "str",
        "bytes",
        "files",
    ];
    let Ok(text) = std::str::from_utf8(secret) else { return false };
    let lower = text.to_ascii_lowercase();
    let names_file = lower.starts_with(['/', '~', '.', '$', '@', '%', '&', '*', '-', '!'])
        || lower.contains("://")
        || lower.contains("/run/secrets");
    // `self.password`, `os.environ["X"]`, `get_password()`, `user->secret` are code.
    let code = lower.contains(['(', ')', '[', ']', '{', '}', ';', '<', '>', '\\', ' '])
        || lower.contains("->")
        || lower.contains("::");
    let dotted = lower.contains('.')
        && lower.split('.').all(|part| {
            part.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    !names_file && !code && !dotted && lower.len() >= 3 && !WORDS.contains(&lower.as_str())
}
