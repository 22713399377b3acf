//! The audit log's chain: each record carries a hash over itself and the record before, and at intervals the newest hash
//! is signed. So a record that was changed, removed, put elsewhere or added is found by anybody who has the public key,
//! without this machine.
//!
//! What it does not do: keep anything, or know who asked. Somebody who has the private key and can write the log can
//! write another one; against that, the newest checkpoint is to be kept elsewhere (see [`Checkpoint`]).

mod check;
mod key;
mod swap;

pub use check::{Fault, Verdict, Wrong, check};
pub use key::{NotAKey, public_of, public_text, secret_of, secret_text};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Records from one checkpoint to the next at most: a longer stretch means that checkpoints were removed.
pub const EVERY: u64 = 100;

/// Actor, action and outcome of the record with which a log says that what stands before it may have been cut: the newest
/// checkpoint outside of it was gone, or did not fit.
pub const BROKEN: (&str, &str, &str) = ("haechi", "AuditLog", "broken");

/// What a hash is over begins with this, so that no other use of the hash can be taken for a record.
const RECORD: &[u8] = b"haechi audit record v1\0";
/// The same for what is signed.
const CHECKPOINT: &[u8] = b"haechi audit checkpoint v1\0";

/// Something that somebody did, or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number: the first is 1, and each is one more than that of the record before.
    pub number: u64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who: an account, `token NAME of ACCOUNT`, or `haechi` itself.
    pub actor: String,
    /// From which address; empty if from none.
    pub address: String,
    /// What: the name of a question to the desk, or of something that Haechi does by itself.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What came of it: `done`, or why not.
    pub outcome: String,
    /// More, as JSON; secrets are never in it.
    pub detail: String,
}

/// SHA-256 of a record and of the hash before it; 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Before the first record.
    pub const NONE: Self = Self([0; 32]);
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let mut hash = Self::NONE;
        if text.len() != 64 || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(NotAHash);
        }
        for (place, pair) in hash.0.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAHash)?;
            *place = u8::from_str_radix(pair, 16).map_err(|_| NotAHash)?;
        }
        Ok(hash)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits")]
pub struct NotAHash;

impl Record {
    /// Its hash, after the one of the record before it.
    pub fn hash(&self, before: Hash) -> Hash {
        let mut hash = Sha256::new();
        hash.update(RECORD);
        hash.update(before.0);
        hash.update(self.number.to_le_bytes());
        hash.update(self.at.as_nanosecond().to_le_bytes());
        let texts =
            [&self.actor, &self.address, &self.action, &self.subject, &self.outcome, &self.detail];
        for text in texts {
            // With its length, so that letters cannot wander from one text to the next.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        Hash(hash.finalize().into())
    }
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The record.
    #[serde(flatten)]
    pub record: Record,
    /// Its hash.
    pub hash: Hash,
}

/// The newest hash at a time, signed. Kept elsewhere (a syslog, a mail, a printed page) it proves that all up to it was
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Number of the record.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was signed.
    pub at: Timestamp,
    /// Ed25519 (RFC 8032), in base64.
    pub signature: String,
}

impl Checkpoint {
    /// Signs the hash of a record.
    pub fn sign(number: u64, hash: Hash, at: Timestamp, key: &SigningKey) -> Self {
        let signature = key.sign(&signed(number, hash, at));
        Self { number, hash, at, signature: BASE64.encode(signature.to_bytes()) }
    }

    /// Whether the owner of this key signed it.
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let signature = BASE64
            .decode(&self.signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| {
            key.verify_strict(&signed(self.number, self.hash, self.at), &signature).is_ok()
        })
    }
}

fn signed(number: u64, hash: Hash, at: Timestamp) -> Vec<u8> {
    let mut bytes = CHECKPOINT.to_vec();
    bytes.extend(number.to_le_bytes());
    bytes.extend(hash.0);
    bytes.extend(at.as_nanosecond().to_le_bytes());
    bytes
}
