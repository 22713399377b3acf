//! The conversation between the web server, which has no rights, and the desk, which has them.
//!
//! Types and frames only. Every question is one row of the table in [`questions`]: its way in HTTP, the role it needs,
//! what it is given and what it gives. The API, its OpenAPI document, the pages and the tests are made from that table.
//! Who may ask is decided at the desk, from the secret that comes with each question; nothing here trusts the web server.

mod answers;
pub mod frame;
mod people;
mod period;
mod profiles;
mod questions;
mod refusal;
mod role;
mod route;
mod search;

pub use answers::*;
pub use people::*;
pub use period::*;
pub use profiles::*;
pub use questions::*;
pub use refusal::{Field, Refusal};
pub use role::{Role, Scope};
pub use route::{Method, Question, Route};
pub use search::*;

use serde::{Deserialize, Serialize};

/// What proves who asks.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// Nothing: only a login can be asked.
    #[default]
    None,
    /// The secret of a session (a cookie), and with a change the token that the session's pages carry.
    Session {
        /// The secret.
        secret: String,
        /// The token against forged requests; empty if none was sent.
        csrf: String,
    },
    /// The secret of an API token.
    Token(String),
}

impl std::fmt::Debug for Credential {
    /// Names the kind; a secret is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Session { .. } => "Session(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

/// A question as it crosses the socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// Number that the answer carries as well; the web server's to choose.
    pub id: u64,
    /// Who asks.
    pub credential: Credential,
    /// From which address, as the web server saw it; empty if unknown. Recorded, and counted against floods.
    pub address: String,
    /// The question.
    pub ask: Ask,
}

/// An answer as it crosses the socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answered {
    /// The question's number.
    pub id: u64,
    /// The answer, or why there is none.
    pub answer: Result<serde_json::Value, Refusal>,
}
