//! Checksums of files, only of those kinds that a package database of the image may name.
//!
//! Which kinds those are shows early in a layer: `etc/apt` comes before `usr`. Until it shows, all are computed.

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::reader::Digest;

/// Checksums of one file; absent ones were not computed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// MD5: dpkg, old rpm.
    pub md5: Option<[u8; 16]>,
    /// SHA-1: apk.
    pub sha1: Option<[u8; 20]>,
    /// SHA-256: rpm, Python.
    pub sha256: Option<[u8; 32]>,
}

impl Sums {
    /// Whether the file has this digest; `None` if that kind was not computed.
    pub fn matches(&self, digest: &Digest) -> Option<bool> {
        match digest {
            Digest::Md5(sum) => self.md5.map(|mine| mine == *sum),
            Digest::Sha1(sum) => self.sha1.map(|mine| mine == *sum),
            Digest::Sha256(sum) => self.sha256.map(|mine| mine == *sum),
            Digest::Other => None,
        }
    }
}

/// Which kinds are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    md5: bool,
    sha1: bool,
    sha256: bool,
    settled: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { md5: true, sha1: true, sha256: true, settled: false }
    }
}

impl Plan {
    /// Learns from a path which package manager the image has.
    pub fn learn(&mut self, path: &str) {
        let (md5, sha1, sha256) = match path {
            "etc/apt" | "etc/dpkg" | "etc/debian_version" | "var/lib/dpkg" => (true, false, false),
            "etc/apk" | "lib/apk" | "usr/lib/apk" => (false, true, true),
            "etc/rpm"
            | "etc/dnf"
            | "etc/yum"
            | "etc/yum.repos.d"
            | "etc/zypp"
            | "var/lib/rpm"
            | "usr/lib/sysimage/rpm" => (true, false, true),
            _ => return,
        };
        if self.settled {
            // Two package managers in one image: whatever either needs.
            self.md5 |= md5;
            self.sha1 |= sha1;
            self.sha256 |= sha256;
        } else {
            *self = Self { md5, sha1, sha256, settled: true };
        }
    }

    /// Begins a file.
    pub fn begin(&self, path: &str) -> Hasher {
        // Python's RECORD files name SHA-256 sums of what lies beside them.
        let python = path.contains("/site-packages/") || path.contains("/dist-packages/");
        Hasher {
            md5: self.md5.then(Md5::new),
            sha1: self.sha1.then(Sha1::new),
            sha256: (self.sha256 || python).then(Sha256::new),
        }
    }
}

/// Checksums being computed.
pub struct Hasher {
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
}

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// The sums.
    pub fn finish(self) -> Sums {
        Sums {
            md5: self.md5.map(|h| h.finalize().into()),
            sha1: self.sha1.map(|h| h.finalize().into()),
            sha256: self.sha256.map(|h| h.finalize().into()),
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(plan: Plan, path: &str) -> Sums {
        let mut hasher = plan.begin(path);
        hasher.update(b"a");
        hasher.update(b"bc");
        hasher.finish()
    }

    #[test]
    fn known_sums() {
        let sums = of(Plan::default(), "x");
        assert_eq!(sums.md5.map(|s| hex(&s)).as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(
            sums.sha1.map(|s| hex(&s)).as_deref(),
            Some("a9993e364706816aba3e25717850c26c9cd0d89d")
        );
        assert!(sums.sha256.is_some_and(|s| hex(&s).starts_with("ba7816bf8f01cfea")));
    }

    #[test]
    fn only_what_a_package_manager_names() {
        let mut plan = Plan::default();
        plan.learn("etc/apt");
        let sums = of(plan, "usr/bin/ls");
        assert!(sums.md5.is_some() && sums.sha1.is_none() && sums.sha256.is_none());
        assert!(of(plan, "usr/lib/python3/dist-packages/a.py").sha256.is_some());
        plan.learn("lib/apk");
        assert!(of(plan, "x").sha1.is_some());
        assert_eq!(sums.matches(&Digest::Sha1([0; 20])), None);
        assert_eq!(sums.matches(&Digest::Md5([0; 16])), Some(false));
    }
}
