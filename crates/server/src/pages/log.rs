//! Who did what: through the engine, by Haechi, and, for auditors, with Haechi.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use haechi_protocol::{
    ActionRow, ActivityRow, AuditRow, LIMIT, List, ListActions, ListActivity, ListAudit,
};

use super::shell::{Asked, Given, Shell};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "activity.html")]
pub(super) struct ActivityPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) engine: Option<List<ActivityRow>>,
    pub(super) own: Option<List<ActionRow>>,
}

#[derive(Template)]
#[template(path = "audit.html")]
pub(super) struct AuditPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) it: List<AuditRow>,
}

pub(super) async fn activity(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/activity{}", given.query("", "of", given.get("of")));
    let p = Shell::enter(&desk, &visitor, "activity", &path, &given).await?;
    let (container, before) = (given.some("container"), given.read("before"));
    let answer = if given.get("of") == "haechi" {
        let question =
            ListActions { container, response: given.pick("action"), before, limit: LIMIT };
        desk.ask(&visitor, question).await.map(|own| (None, Some(own)))
    } else {
        let question =
            ListActivity { container, action: given.some("action"), before, limit: LIMIT };
        desk.ask(&visitor, question).await.map(|engine| (Some(engine), None))
    };
    let (engine, own) = answer.map_err(|refusal| p.refuse(&refusal))?;
    let page = ActivityPage { p, given, engine, own };
    Ok(page.p.answer(&page))
}

pub(super) async fn audit(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/audit{}", given.query("", "actor", given.get("actor")));
    let p = Shell::enter(&desk, &visitor, "audit", &path, &given).await?;
    let question =
        ListAudit { actor: given.some("actor"), before: given.read("before"), limit: LIMIT };
    let it = desk.ask(&visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    let page = AuditPage { p, given, it };
    Ok(page.p.answer(&page))
}
