//! Why a question has no answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of a question that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// Its name, as in the API.
    pub name: String,
    /// What is wrong with it: a key of `texts/web.yaml`.
    pub problem: String,
}

/// Why a question has no answer: a closed list, each with its status in HTTP (RFC 9110).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum Refusal {
    /// Nobody is logged in, or the session or token is not valid any more.
    #[error("nobody is logged in")]
    Unauthenticated,
    /// The name or the password is wrong; which, is not said.
    #[error("name or password is wrong")]
    WrongPassword,
    /// The account's role, the token's scope, or a missing token against forged requests does not allow it.
    #[error("not allowed")]
    Forbidden,
    /// A part of the question is wrong.
    #[error("{} is wrong", field.name)]
    Invalid {
        /// Which.
        field: Field,
    },
    /// There is no such thing.
    #[error("there is no such thing")]
    Missing,
    /// It is there already, or being done.
    #[error("it is there already")]
    Conflict,
    /// Too often.
    #[error("too often; again in {retry_s} s")]
    TooMany {
        /// Seconds until it may be tried again.
        retry_s: u64,
    },
    /// It cannot be done now: the store, the engine or the desk does not answer. What happened is in the log of the desk.
    #[error("it cannot be done now")]
    Unavailable,
}

impl Refusal {
    /// A part that is wrong.
    pub fn invalid(name: &str, problem: &str) -> Self {
        Self::Invalid { field: Field { name: name.to_owned(), problem: problem.to_owned() } }
    }

    /// Status in HTTP.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Unauthenticated | Self::WrongPassword => 401,
            Self::Forbidden => 403,
            Self::Invalid { .. } => 422,
            Self::Missing => 404,
            Self::Conflict => 409,
            Self::TooMany { .. } => 429,
            Self::Unavailable => 503,
        }
    }

    /// The word that names it, as in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::WrongPassword => "wrong-password",
            Self::Forbidden => "forbidden",
            Self::Invalid { .. } => "invalid",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::TooMany { .. } => "too-many",
            Self::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_that_of_json() {
        for refusal in [
            Refusal::Unauthenticated,
            Refusal::WrongPassword,
            Refusal::Forbidden,
            Refusal::invalid("a", "b"),
            Refusal::Missing,
            Refusal::Conflict,
            Refusal::TooMany { retry_s: 1 },
            Refusal::Unavailable,
        ] {
            assert_eq!(serde_json::to_value(&refusal).unwrap()["error"], refusal.word());
        }
    }
}
