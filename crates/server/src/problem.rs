//! What a request that is not answered gets: a problem in JSON (RFC 9457) whose `error` is a word that stays the same.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use haechi_protocol::{Field, Refusal};
use schemars::JsonSchema;
use serde::Serialize;

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: `error` tells the kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the status means.
    title: &'static str,
    /// Status in HTTP.
    status: u16,
    /// The kind, as a word for programs.
    error: &'static str,
    /// The same as a sentence for people.
    detail: String,
    /// The part that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Box<Field>>,
    /// Seconds until it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_s: Option<u64>,
}

impl Problem {
    /// A problem that HTTP has, before there is a question.
    pub fn of_http(status: StatusCode, error: &'static str, detail: &str) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            error,
            detail: detail.to_owned(),
            field: None,
            retry_s: None,
        }
    }

    /// There is no such way.
    pub fn not_found() -> Self {
        Self::of_http(StatusCode::NOT_FOUND, "missing", "there is no such thing")
    }

    /// Not with this method.
    pub fn wrong_method() -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::of_http(status, "method-not-allowed", "not with this method; see Allow")
    }

    /// The server has enough to do.
    pub fn busy() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { retry_s: Some(1), ..Self::of_http(status, "busy", "too many requests at a time") }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut problem = Self::of_http(status, refusal.word(), &refusal.to_string());
        match refusal {
            Refusal::Invalid { field } => problem.field = Some(Box::new(field)),
            Refusal::TooMany { retry_s } => problem.retry_s = Some(retry_s),
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Texts and numbers only: there is always JSON for them.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"haechi\""));
        }
        if let Some(seconds) = self.retry_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
