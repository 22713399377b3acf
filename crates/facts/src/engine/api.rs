//! The edge to the engine: all questions that Haechi asks, and what may go wrong.
//!
//! [`Call`] is the complete list; every one only reads. [`Api`] answers them, over HTTP
//! ([`super::http::HttpApi`]) or from recorded answers in tests. An answer is plain JSON, read field by field
//! ([`super::json`]) and not into a generated model: there one value that the model does not know, such as a
//! new mount type or a runtime of Podman's, would lose the whole container.

use std::fmt;

use futures_util::future::BoxFuture;
use haechi_core::finding::Cause;
use serde_json::Value;

use crate::gaps::Observed;

/// A question to the engine. Each is a GET that changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call<'a> {
    /// Versions of the engine and its parts.
    Version,
    /// What the engine says of itself.
    Info,
    /// All containers, running or not.
    Containers,
    /// One container.
    Container(&'a str),
    /// What a container changed in its file system.
    Changes(&'a str),
    /// A command that was run in a container.
    Exec(&'a str),
    /// All images with a name, and untagged ones that no other image is built on.
    Images,
    /// One image.
    Image(&'a str),
    /// The steps that an image was built with.
    ImageHistory(&'a str),
    /// All networks.
    Networks,
    /// One network, with the containers in it.
    Network(&'a str),
    /// All volumes.
    Volumes,
    /// The swarm; managers only.
    Swarm,
    /// The swarm's nodes; managers only.
    Nodes,
    /// The swarm's services; managers only.
    Services,
    /// The swarm's secrets, without content; managers only.
    Secrets,
    /// The swarm's configs, with content; managers only.
    Configs,
    /// The swarm's unlock key; managers only.
    UnlockKey,
}

impl Call<'_> {
    /// Path and query of the request.
    pub fn path(&self) -> String {
        match self {
            Self::Version => "/version".into(),
            Self::Info => "/info".into(),
            Self::Containers => "/containers/json?all=1".into(),
            Self::Container(id) => format!("/containers/{}/json", encode(id)),
            Self::Changes(id) => format!("/containers/{}/changes", encode(id)),
            Self::Exec(id) => format!("/exec/{}/json", encode(id)),
            Self::Images => "/images/json".into(),
            Self::Image(id) => format!("/images/{}/json", encode(id)),
            Self::ImageHistory(id) => format!("/images/{}/history", encode(id)),
            Self::Networks => "/networks".into(),
            Self::Network(id) => format!("/networks/{}", encode(id)),
            Self::Volumes => "/volumes".into(),
            Self::Swarm => "/swarm".into(),
            Self::Nodes => "/nodes".into(),
            Self::Services => "/services".into(),
            Self::Secrets => "/secrets".into(),
            Self::Configs => "/configs".into(),
            Self::UnlockKey => "/swarm/unlockkey".into(),
        }
    }
}

/// Percent-encodes an id for a path segment: ids come from the engine's own answers, but are not trusted.
pub fn encode(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Answers questions about the engine.
pub trait Api: Send + Sync {
    /// Asks once, and waits no longer than the time limit.
    fn ask<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Value, ApiError>>;
}

/// Why the engine did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// There is no engine at the address, or the way to it is broken.
    Unreachable(String),
    /// This user may not ask.
    Permission(String),
    /// No complete answer within the time limit.
    TimedOut(String),
    /// The engine answered with an error.
    Status(u16, String),
    /// The answer is not JSON, or is too large.
    Malformed(String),
}

impl ApiError {
    /// Whether the thing that was asked for does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(404, _))
    }

    /// Whether no question at all can be answered.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Permission(_) | Self::TimedOut(_))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text)
            | Self::Permission(text)
            | Self::TimedOut(text)
            | Self::Malformed(text) => f.write_str(text),
            Self::Status(code, text) => write!(f, "the engine answered {code}: {text}"),
        }
    }
}

impl std::error::Error for ApiError {}

impl Observed for ApiError {
    fn gap_cause(&self) -> Cause {
        match self {
            Self::Unreachable(_) => Cause::Unreachable,
            // An authorization plugin answers 403, a proxy 401.
            Self::Permission(_) | Self::Status(401 | 403, _) => Cause::Permission,
            Self::TimedOut(_) => Cause::TimedOut,
            Self::Status(..) | Self::Malformed(_) => Cause::Missing,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Recorded answers by path; a path without one is answered 404.
    #[derive(Default)]
    pub(in crate::engine) struct Recorded(
        pub(in crate::engine) HashMap<String, Result<Value, ApiError>>,
    );

    impl Recorded {
        pub(in crate::engine) fn with(mut self, path: &str, answer: Value) -> Self {
            self.0.insert(path.into(), Ok(answer));
            self
        }

        pub(in crate::engine) fn failing(mut self, path: &str, error: ApiError) -> Self {
            self.0.insert(path.into(), Err(error));
            self
        }
    }

    impl Api for Recorded {
        fn ask<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Value, ApiError>> {
            let missing = || Err(ApiError::Status(404, "no such thing".into()));
            let answer = self.0.get(&call.path()).cloned().unwrap_or_else(missing);
            Box::pin(std::future::ready(answer))
        }
    }

    #[test]
    fn ids_cannot_change_the_path() {
        assert_eq!(
            Call::Container("../../x?y#\n").path(),
            "/containers/..%2F..%2Fx%3Fy%23%0A/json"
        );
        assert_eq!(Call::Image("sha256:0a").path(), "/images/sha256:0a/json");
    }
}
