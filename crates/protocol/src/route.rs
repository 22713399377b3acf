//! How a question comes in by HTTP: the row of the table that it is.

use schemars::Schema;
use schemars::generate::SchemaGenerator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Ask, Refusal, Role};

/// Method in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Changes nothing; the question is in path and query.
    Get,
    /// Makes something; the question is in path and body.
    Post,
    /// Replaces something; the question is in path and body.
    Put,
    /// Takes something away; the question is in the path.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it changes something: a session then needs its token against forged requests, an API token the scope to
    /// write, and it is recorded.
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Name of the question: `operationId` in OpenAPI, `action` in the audit log.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Method.
    pub method: Method,
    /// Path, with parts of the question as `{name}`.
    pub path: &'static str,
    /// The least role that may ask; `None` needs no login.
    pub role: Option<Role>,
    /// Schema of the question.
    pub question: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the answer.
    pub answer: fn(&mut SchemaGenerator) -> Schema,
    /// Reads the question from JSON; what is wrong is said with the name of its part.
    pub read: fn(Value) -> Result<Ask, Refusal>,
}

impl Route {
    /// Names of the parts of the question that are in the path.
    pub fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// A question with the type of its answer.
pub trait Question: Serialize + DeserializeOwned + Into<Ask> {
    /// What it is answered with.
    type Answer: Serialize + DeserializeOwned;
}

/// Reads a question. Problems: `missing`, `unknown`, `wrong`.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // The path ends before a part that is not there, or that should not be: serde names it in its message.
        let named = message.split('`').nth(1).unwrap_or_default();
        let named: String = named.chars().take(64).collect();
        match message.split(' ').next() {
            Some("missing") => Refusal::invalid(&named, "missing"),
            Some("unknown") if message.starts_with("unknown field") => {
                Refusal::invalid(&named, "unknown")
            }
            _ if path == "." => Refusal::invalid("body", "wrong"),
            _ => Refusal::invalid(&path, "wrong"),
        }
    })
}
