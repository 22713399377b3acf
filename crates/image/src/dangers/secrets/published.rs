//! Keys and passwords that everyone knows: self-test keys of libraries and examples of standards.
//!
//! They are known by digest only (`detectors/published.yaml`), so that the list itself holds no key. What is here is
//! never reported, wherever it stands. It does not know keys that are merely weak or common.

use std::collections::BTreeSet;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::detector::BadDetectors;

/// The list: its name and content.
pub(super) const FILE: (&str, &str) =
    ("published.yaml", include_str!("../../../detectors/published.yaml"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Where the keys come from; for whoever reads the list.
    #[serde(rename = "source")]
    _source: String,
    /// SHA-256 of the letters, digits, `+` and `/` of each key, in hexadecimal.
    sha256: Vec<String>,
}

/// Digests of what is no secret.
pub(super) struct Published(BTreeSet<String>);

impl Published {
    /// Reads the embedded list.
    ///
    /// # Errors
    /// It is broken. A test rules that out.
    pub fn load() -> Result<Self, BadDetectors> {
        let (file, yaml) = FILE;
        let entries: Vec<Entry> =
            serde_norway::from_str(yaml).map_err(|error| BadDetectors::Syntax { file, error })?;
        Ok(Self(entries.into_iter().flat_map(|entry| entry.sha256).collect()))
    }

    /// Whether the secret (without the lines around a key) is on the list.
    pub fn knows(&self, secret: &[u8]) -> bool {
        self.0.contains(&digest(secret))
    }
}

fn digest(secret: &[u8]) -> String {
    let body: Vec<u8> = String::from_utf8_lossy(secret)
        .replace("\\r", "")
        .replace("\\n", "")
        .bytes()
        .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        .collect();
    Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_in_any_wrapping() {
        let list = Published(BTreeSet::from([digest(b"AbCd")]));
        assert!(list.knows(b"\nAb\nCd==\n"));
        assert!(list.knows(b"\\nAb\\nCd=="));
        assert!(!list.knows(b"AbCe"));
    }

    #[test]
    fn the_list_is_whole() {
        let list = Published::load().unwrap().0;
        assert!(list.len() >= 10);
        assert!(
            list.iter().all(|one| one.len() == 64 && one.bytes().all(|b| b.is_ascii_hexdigit()))
        );
    }
}
