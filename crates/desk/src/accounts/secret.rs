//! Secrets: made by the kernel, kept as SHA-256, compared in constant time.

use haechi_store::Hashed;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What each API token begins with, so that one that was published is recognised.
pub const TOKEN: &str = "haechi_";
/// Hexadecimal digits of a secret.
const DIGITS: usize = 64;
/// What the token against forged requests is made with.
const CSRF: &[u8] = b"haechi csrf v1\0";

/// Bytes that nobody can guess.
///
/// # Errors
/// The kernel has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// A secret of 32 bytes as text.
///
/// # Errors
/// As [`random`].
pub fn new() -> std::io::Result<String> {
    Ok(hex(&random::<32>()?))
}

/// The hash under which a secret is kept; nothing if it cannot be one of ours.
pub fn hashed(secret: &str) -> Option<Hashed> {
    let digits = secret.strip_prefix(TOKEN).unwrap_or(secret);
    let fits =
        digits.len() == DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| Sha256::digest(secret.as_bytes()).into())
}

/// The token against forged requests that belongs to a session: whoever has the session's secret can make it, and from it
/// nobody learns the secret.
pub fn csrf(session: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(CSRF);
    hash.update(session.as_bytes());
    hex(&hash.finalize())
}

/// Whether two texts are the same; takes as long wherever they differ.
pub fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
