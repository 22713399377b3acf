//! The pages: readable without JavaScript, made of what the desk answers, in English and Korean.
//!
//! A page asks the desk and shows the answer; a form asks for a change and leads back with what came of it. What a role
//! may not do is not offered, and the desk decides anyway. Nothing is kept between two requests but the visitor's own
//! cookies.

mod account;
mod assets;
mod chart;
mod checklist;
mod containers;
pub mod escape;
mod events;
mod exceptions;
mod images;
mod log;
mod overview;
mod profiles;
mod report;
mod search;
mod settings;
mod shell;
#[cfg(test)]
mod tests;
mod ui;
mod words;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::desk::Desk;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// The pages, their forms and their files.
pub fn router() -> Router<Desk> {
    let pages = Router::new()
        .route("/login", get(account::login))
        .route("/password", get(account::password))
        .route("/", get(overview::overview))
        .route("/checklist", get(checklist::list))
        .route("/checklist/{benchmark}/{item}", get(checklist::item))
        .route("/exceptions", get(exceptions::list))
        .route("/images", get(images::list))
        .route("/images/{id}", get(images::show))
        .route("/containers", get(containers::list))
        .route("/containers/{id}", get(containers::show))
        .route("/containers/{id}/{deed}", get(containers::sure))
        .route("/profiles", get(profiles::list))
        .route("/profiles/{number}", get(profiles::show))
        .route("/profiles/{number}/files/{kind}", get(profiles::file))
        .route("/events", get(events::list))
        .route("/events/{number}", get(events::show))
        .route("/activity", get(log::activity))
        .route("/audit", get(log::audit))
        .route("/search", get(search::search))
        .route("/settings", get(settings::settings))
        .route("/report", get(report::report))
        .route("/assets/{name}", get(assets::serve));
    let forms = Router::new()
        .route("/login", post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/password", post(account::change_password))
        .route("/look", post(account::look))
        .route("/verify", post(overview::verify))
        .route("/accept", post(checklist::accept))
        .route("/withdraw", post(exceptions::withdraw))
        .route("/scan", post(images::scan))
        .route("/act", post(containers::act))
        .route("/update", post(settings::update))
        .route("/account-add", post(settings::add_account))
        .route("/account-change", post(settings::change_account))
        .route("/account-remove", post(settings::remove_account))
        .route("/token-add", post(settings::add_token))
        .route("/token-remove", post(settings::remove_token));
    pages.nest("/do", forms)
}

/// What is told about a path that nothing is at: a page to whoever reads pages, else a problem. Paths of the API never
/// come here.
pub(crate) async fn missing(visitor: Visitor, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let ranges = accepts.flat_map(|accept| accept.split(','));
    let mut kinds = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    match kinds.any(|kind| kind.eq_ignore_ascii_case("text/html")) {
        true => shell::missing(&visitor),
        false => Problem::not_found().into_response(),
    }
}

/// A path of this dashboard: anything else that came as one is the first page.
pub(crate) fn local(path: &str) -> &str {
    let own = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n', '\t', '\0'])
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if own { path } else { "/" }
}

/// A value as a part of a path or a query (RFC 3986: all but the unreserved letters is encoded).
pub(crate) fn encoded(value: &str) -> String {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(value, &KEPT).to_string()
}
