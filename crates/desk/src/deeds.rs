//! What people do to containers: pause, resume, stop, through the engine.
//!
//! Whether somebody may was decided before; the policy's list of protected containers is for Haechi's own responses and
//! binds nobody here.

use std::time::Duration;

use haechi_facts::engine::api::ApiError;
use haechi_facts::engine::http::{HttpApi, Method};
use haechi_facts::root::Root;
use haechi_protocol::{Act, Deed, Done, Refusal};

use crate::accounts::Caller;
use crate::{Desk, unavailable};

/// How long the engine has: it waits for a container that it stops.
const ENGINE: Duration = Duration::from_secs(30);
/// Characters of a reason.
const REASON_MAX: usize = 1000;
/// Digits of a container's id.
const ID: usize = 64;

/// Answers [`Act`].
pub(crate) async fn act(desk: &Desk, _caller: &Caller, question: &Act) -> Result<Done, Refusal> {
    if question.reason.trim().is_empty() {
        return Err(Refusal::invalid("reason", "empty"));
    }
    if question.reason.chars().count() > REASON_MAX {
        return Err(Refusal::invalid("reason", "too-long"));
    }
    let hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if question.id.len() != ID || !question.id.bytes().all(hex) {
        return Err(Refusal::Missing);
    }
    let verb = match question.what {
        Deed::Pause => "pause",
        Deed::Resume => "unpause",
        Deed::Stop => "stop?t=10",
    };
    let engine = engine(desk)?;
    let path = format!("/containers/{}/{verb}", question.id);
    match engine.act(Method::POST, &path).await {
        // 304: it is stopped already.
        Ok(()) | Err(ApiError::Status(304, _)) => Ok(Done {}),
        Err(error) if error.is_not_found() => Err(Refusal::Missing),
        // The engine says "paused already" with 409, and some of its releases with 500.
        Err(ApiError::Status(409 | 500, _)) => Err(Refusal::Conflict),
        Err(error) => Err(unavailable(error)),
    }
}

/// A connection to the engine.
pub(crate) fn engine(desk: &Desk) -> Result<HttpApi, Refusal> {
    let root = Root::new(&desk.setup.root);
    HttpApi::connect(desk.setup.endpoint.as_deref(), &root, ENGINE).map_err(unavailable)
}
