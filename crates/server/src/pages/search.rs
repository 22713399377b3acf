//! One field that finds items, images, containers, alerts and vulnerabilities by their names.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use haechi_protocol::{FoundRow, Search};

use super::encoded;
use super::shell::{Asked, Shell};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "search.html")]
pub(super) struct SearchPage {
    pub(super) p: Shell,
    pub(super) text: String,
    pub(super) rows: Vec<FoundRow>,
    /// Whether there was enough to look for.
    pub(super) asked: bool,
}

pub(super) async fn search(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Response {
    let text = given.get("text").to_owned();
    let path = format!("/search?text={}", encoded(&text));
    let p = match Shell::enter(&desk, &visitor, "search", &path, &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    let asked = text.chars().count() >= 2;
    let rows = if asked {
        match desk.ask(&visitor, Search { text: text.clone() }).await {
            Ok(found) => found.rows,
            Err(refusal) => return p.refuse(&refusal),
        }
    } else {
        Vec::new()
    };
    let page = SearchPage { p, text, rows, asked };
    page.p.answer(&page)
}
