//! Alerts: the newest first, live; one alert with its event and what was done about it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use haechi_core::alert::Priority;
use haechi_core::event::Action as Done;
use haechi_protocol::{
    ActionRow, AlertPage, AlertRow, LIMIT, List, ListActions, ListAlerts, Refusal, ShowAlert,
};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::shell::{Asked, Given, Shell};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "events.html")]
pub(super) struct EventsPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) it: List<AlertRow>,
    pub(super) actions: Vec<ActionRow>,
}

#[derive(Template)]
#[template(path = "event.html")]
pub(super) struct EventPage {
    pub(super) p: Shell,
    pub(super) it: AlertPage,
}

impl EventPage {
    /// What the process did, as lines of a name and a value.
    pub(super) fn facts(&self) -> Vec<(String, String)> {
        let t = &self.p.t;
        let alert = &self.it.row.alert;
        let (event, process) = (&alert.event, &alert.event.process);
        let mut facts = vec![
            ("program", alert.program.clone()),
            ("command", alert.command.clone()),
            ("process", format!("{} ({})", process.pid, process.name)),
            ("user", process.uid.to_string()),
            ("call", format!("{} = {}", event.call, event.result)),
        ];
        match &event.action {
            Done::Exec(exec) => {
                facts.push(("file", exec.path.clone()));
                facts.push(("folder", exec.cwd.clone()));
                facts.push(("origin", t.of("origin", format!("{:?}", exec.origin).to_lowercase())));
            }
            Done::Open(open) => facts.push(("file", open.path.clone())),
            Done::Network(network) => {
                let end = |end: &Option<haechi_core::event::Endpoint>| {
                    end.as_ref().map(|end| std::net::SocketAddr::new(end.ip, end.port).to_string())
                };
                facts.extend(end(&network.local).map(|end| ("local", end)));
                facts.extend(end(&network.remote).map(|end| ("remote", end)));
                facts.push(("file", network.path.clone()));
            }
            Done::Path(call) => {
                facts.push(("file", call.path.clone()));
                facts.push(("second", call.second.clone()));
            }
            Done::Call(call) => facts.push(("text", call.text.clone())),
            Done::Exit(_) => {}
        }
        facts.retain(|(_, value)| !value.is_empty());
        facts.into_iter().map(|(name, value)| (t.of("event", name), value)).collect()
    }
}

/// A moment as a form gives it: `2026-05-01T09:12`, in UTC as the pages show it without a script.
fn moment(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

pub(super) async fn list(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Response {
    let path = format!("/events{}", given.query("", "rule", given.get("rule")));
    let p = match Shell::enter(&desk, &visitor, "events", &path, &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    let question = ListAlerts {
        container: given.some("container"),
        rule: given.some("rule"),
        priority: given.pick("priority"),
        since: moment(given.get("since")),
        until: moment(given.get("until")),
        before: given.read("before"),
        limit: LIMIT,
    };
    let newest = ListActions { container: given.some("container"), limit: 8, ..Default::default() };
    match (desk.ask(&visitor, question).await, desk.ask(&visitor, newest).await) {
        (Ok(it), Ok(actions)) => {
            let page = EventsPage { p, given, it, actions: actions.rows };
            page.p.answer(&page)
        }
        (Err(refusal), _) | (_, Err(refusal)) => p.refuse(&refusal),
    }
}

pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(number): Path<String>,
    Query(given): Asked,
) -> Response {
    let path = format!("/events/{}", super::encoded(&number));
    let p = match Shell::enter(&desk, &visitor, "events", &path, &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    let Ok(number) = number.parse() else { return p.refuse(&Refusal::Missing) };
    match desk.ask(&visitor, ShowAlert { number }).await {
        Ok(it) => {
            let page = EventPage { p: p.titled(&it.row.alert.rule), it };
            page.p.answer(&page)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}
