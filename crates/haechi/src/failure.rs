//! Common mistakes, in words that say how to mend them, in both languages (`texts/cli.yaml`).

use std::path::Path;

use crate::setting::Setting;

/// A mistake that Haechi has words for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    /// A file that decides what passes can be changed by others.
    #[error("{0}")]
    Untrusted(String),
    /// The policy is not valid; the places.
    #[error("{0}")]
    PolicyInvalid(String),
    /// Content is not valid; the places.
    #[error("{0}")]
    ContentInvalid(String),
    /// A snapshot is not usable.
    #[error("{path}: {why}")]
    SnapshotInvalid { path: String, why: String },
    /// There is no such benchmark.
    #[error("{id}")]
    UnknownBenchmark { id: String, known: String },
    /// There is no such check.
    #[error("{0}")]
    UnknownCheck(String),
    /// A file name does not tell a format.
    #[error("{0}")]
    UnknownFormat(String),
    /// A file is there already.
    #[error("{0}")]
    Exists(String),
    /// Examples of checks did not come out.
    #[error("{0}")]
    ExamplesFailed(String),
    /// An account or token is not as it has to be; the key of the words, and what it is about.
    #[error("{name}: {key}")]
    Refused { key: &'static str, name: String },
    /// Something that has its words already.
    #[error("{0}")]
    Said(String),
    /// The store said no.
    #[error("{0}")]
    Store(String),
    /// Only root can do it.
    #[error("needs root")]
    NeedsRoot,
    /// Another monitor of this machine responds already; its process.
    #[error("{0}")]
    MonitorResponds(String),
    /// Another dashboard keeps its data in this folder already.
    #[error("{0}")]
    Serves(String),
    /// The engine has no such image.
    #[error("{0}")]
    NoSuchImage(String),
    /// The engine has no such container.
    #[error("{0}")]
    NoSuchContainer(String),
    /// A file name does not tell a format in which an image is reported.
    #[error("{0}")]
    UnknownImageFormat(String),
    /// A file is no archive of images.
    #[error("{0}")]
    NoArchive(String),
    /// The site's malware rules cannot be used.
    #[error("{0}")]
    BadRules(String),
    /// An option that picks one of several images, where there is only one.
    #[error("{0}")]
    Pointless(&'static str),
}

/// Keys of the words, for the test that proves that there are some.
#[cfg(test)]
pub const KEYS: &[&str] = &[
    "file-not-found",
    "file-permission",
    "file-other",
    "policy-invalid",
    "content-invalid",
    "snapshot-invalid",
    "unknown-benchmark",
    "unknown-check",
    "unknown-format",
    "file-exists",
    "examples-failed",
    "store-failed",
    "file-untrusted",
    "no-such-image",
    "no-such-container",
    "unknown-image-format",
    "no-archive",
    "bad-rules",
    "pointless-option",
    "account-none",
    "account-conflict",
    "account-name",
    "account-not-done",
    "token-none",
    "token-name",
    "token-days",
    "token-many",
];

impl Failure {
    /// A failure of reading or writing `path`.
    pub fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), error }
    }

    /// The mistake in the user's language.
    pub fn in_words(&self, setting: &Setting) -> String {
        match self {
            Self::File { path, error } => {
                let key = match error.kind() {
                    std::io::ErrorKind::NotFound => "file-not-found",
                    std::io::ErrorKind::PermissionDenied => "file-permission",
                    _ => "file-other",
                };
                setting.text(key, &[("path", path), ("error", &error.to_string())])
            }
            Self::PolicyInvalid(places) => setting.text("policy-invalid", &[("places", places)]),
            Self::ContentInvalid(places) => setting.text("content-invalid", &[("places", places)]),
            Self::SnapshotInvalid { path, why } => {
                setting.text("snapshot-invalid", &[("path", path), ("why", why)])
            }
            Self::UnknownBenchmark { id, known } => {
                setting.text("unknown-benchmark", &[("id", id), ("known", known)])
            }
            Self::UnknownCheck(id) => setting.text("unknown-check", &[("id", id)]),
            Self::UnknownFormat(path) => setting.text("unknown-format", &[("path", path)]),
            Self::Exists(path) => setting.text("file-exists", &[("path", path)]),
            Self::ExamplesFailed(lines) => setting.text("examples-failed", &[("lines", lines)]),
            Self::Untrusted(path) => setting.text("file-untrusted", &[("path", path)]),
            Self::NoSuchImage(name) => setting.text("no-such-image", &[("name", name)]),
            Self::NoSuchContainer(name) => setting.text("no-such-container", &[("name", name)]),
            Self::UnknownImageFormat(path) => {
                setting.text("unknown-image-format", &[("path", path)])
            }
            Self::NoArchive(path) => setting.text("no-archive", &[("path", path)]),
            Self::BadRules(why) => setting.text("bad-rules", &[("why", why)]),
            Self::Pointless(option) => {
                let variable = format!("HAECHI_{}", option.to_uppercase());
                setting.text("pointless-option", &[("option", option), ("variable", &variable)])
            }
            Self::Refused { key, name } => setting.text(key, &[("name", name)]),
            Self::Said(words) => words.clone(),
            Self::Store(why) => setting.text("store-failed", &[("why", why)]),
            Self::Serves(path) => setting.text("serve-held", &[("path", path)]),
            Self::NeedsRoot => setting.text("monitor-needs-root", &[]),
            Self::MonitorResponds(pid) => setting.text("monitor-responds", &[("pid", pid)]),
        }
    }
}
