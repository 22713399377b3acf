//! What the site accepted: why, by whom, until when.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Response;
use haechi_protocol::{ExceptionLine, ListExceptions, Withdraw};

use super::shell::{Asked, Given, Shell, back, signed};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "exceptions.html")]
pub(super) struct ExceptionsPage {
    pub(super) p: Shell,
    pub(super) rows: Vec<ExceptionLine>,
}

pub(super) async fn list(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    let p = Shell::enter(&desk, &visitor, "exceptions", "/exceptions", &given).await?;
    let list = desk.ask(&visitor, ListExceptions::default()).await;
    let rows = list.map_err(|refusal| p.refuse(&refusal))?.rows;
    let page = ExceptionsPage { p, rows };
    Ok(page.p.answer(&page))
}

pub(super) async fn withdraw(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let number = given.read("number").unwrap_or(-1);
    back(&given, "withdraw", desk.ask(&visitor, Withdraw { number }).await)
}
