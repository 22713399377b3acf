//! Keys of the audit log as text: one line each, whose beginning says which of the two it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{SigningKey, VerifyingKey};

const SECRET: &str = "haechi-audit-secret-key:";
const PUBLIC: &str = "haechi-audit-public-key:";

/// Something that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: a line `{0}` with 32 bytes in base64 is expected")]
pub struct NotAKey(&'static str);

/// The key that signs, as the text of its file.
pub fn secret_text(key: &SigningKey) -> String {
    format!("{SECRET}{}\n", BASE64.encode(key.as_bytes()))
}

/// The key that verifies, as the text of its file.
pub fn public_text(key: &VerifyingKey) -> String {
    format!("{PUBLIC}{}\n", BASE64.encode(key.as_bytes()))
}

/// Reads the key that signs.
///
/// # Errors
/// It is none.
pub fn secret_of(text: &str) -> Result<SigningKey, NotAKey> {
    Ok(SigningKey::from_bytes(&bytes(text, SECRET)?))
}

/// Reads the key that verifies.
///
/// # Errors
/// It is none.
pub fn public_of(text: &str) -> Result<VerifyingKey, NotAKey> {
    VerifyingKey::from_bytes(&bytes(text, PUBLIC)?).map_err(|_| NotAKey(PUBLIC))
}

fn bytes(text: &str, kind: &'static str) -> Result<[u8; 32], NotAKey> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(kind));
    let bytes = line.and_then(|line| BASE64.decode(line.trim()).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(NotAKey(kind))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written_and_not_mixed_up() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (secret, public) = (secret_text(&key), public_text(&key.verifying_key()));
        assert_eq!(secret_of(&secret).unwrap(), key);
        assert_eq!(public_of(&public).unwrap(), key.verifying_key());
        assert!(secret_of(&public).is_err() && public_of(&secret).is_err());
        assert!(public_of("").is_err() && public_of("haechi-audit-public-key:AAAA").is_err());
    }
}
