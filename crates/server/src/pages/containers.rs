//! Containers: those at most risk first; one container as it is now; and what a person does to it, asked twice.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use haechi_protocol::{
    Act, ContainerPage, ContainerRow, Deed, LIMIT, List, ListContainers, Refusal, Resources,
    ShowContainer,
};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::encoded;
use super::shell::{Asked, Given, Refused, Shell, back, signed};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "containers.html")]
pub(super) struct ContainersPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) it: List<ContainerRow>,
}

impl ContainersPage {
    /// Alerts of the last day; a thousand stands for that many or more.
    pub(super) fn alerts(&self, row: &ContainerRow) -> String {
        let n = self.p.t.number(row.alerts);
        if row.alerts >= 1000 { format!("{n}+") } else { n }
    }
}

#[derive(Template)]
#[template(path = "container.html")]
pub(super) struct ContainerTemplate {
    pub(super) p: Shell,
    pub(super) it: ContainerPage,
}

/// What is used of something: its name, the amount, the limit, and the share of it in percent.
type Meter = (&'static str, String, String, Option<f64>);

impl ContainerTemplate {
    /// What can be done to it as it is now.
    pub(super) fn deeds(&self) -> &'static [&'static str] {
        match self.it.container.state.as_str() {
            "running" => &["pause", "stop"],
            "paused" => &["resume", "stop"],
            _ => &[],
        }
    }

    /// Findings that need nothing to be done.
    pub(super) fn quiet(&self) -> usize {
        self.it.findings.iter().filter(|row| !row.finding.is_open()).count()
    }

    /// What it uses.
    #[expect(clippy::cast_precision_loss, reason = "shares are rounded to a percent")]
    pub(super) fn meters(&self, r: &Resources) -> Vec<Meter> {
        let t = &self.p.t;
        let share = |value: f64, max: Option<f64>| {
            max.filter(|max| *max > 0.0).map(|max| (value / max * 100.0).clamp(0.0, 100.0))
        };
        let mut meters: Vec<Meter> = Vec::new();
        if let Some(cpu) = r.cpu {
            let max = r.cpu_max.map_or_else(String::new, |max| format!("{max:.2}"));
            meters.push(("cpu", format!("{cpu:.2}"), max, share(cpu, r.cpu_max)));
        }
        if let Some(memory) = r.memory {
            let max = r.memory_max.map_or_else(String::new, |max| t.bytes(max));
            let part = share(memory as f64, r.memory_max.map(|max| max as f64));
            meters.push(("memory", t.bytes(memory), max, part));
        }
        if let Some(pids) = r.pids {
            let max = r.pids_max.map_or_else(String::new, |max| t.number(max));
            let part = share(pids as f64, r.pids_max.map(|max| max as f64));
            meters.push(("pids", t.number(pids), max, part));
        }
        meters
    }
}

#[derive(Template)]
#[template(path = "sure.html")]
pub(super) struct SurePage {
    pub(super) p: Shell,
    pub(super) it: ContainerRow,
    pub(super) deed: &'static str,
}

pub(super) async fn list(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Response {
    let path = format!("/containers{}", given.query("", "text", given.get("text")));
    let p = match Shell::enter(&desk, &visitor, "containers", &path, &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    let running = match given.get("running") {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    let (text, after) = (given.some("text"), given.some("after"));
    match desk.ask(&visitor, ListContainers { running, text, after, limit: LIMIT }).await {
        Ok(it) => {
            let page = ContainersPage { p, given, it };
            page.p.answer(&page)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}

pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(given): Asked,
) -> Response {
    let path = format!("/containers/{}", encoded(&id));
    let p = match Shell::enter(&desk, &visitor, "containers", &path, &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    match desk.ask(&visitor, ShowContainer { id }).await {
        Ok(it) => {
            let page = ContainerTemplate { p: p.titled(&it.container.name), it };
            page.p.answer(&page)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}

pub(super) async fn sure(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path((id, deed)): Path<(String, String)>,
) -> Response {
    sure_page(&desk, &visitor, id, &deed, None).await
}

async fn sure_page(
    desk: &Desk,
    visitor: &Visitor,
    id: String,
    deed: &str,
    refused: Option<Refused>,
) -> Response {
    let path = format!("/containers/{}", encoded(&id));
    let p = match Shell::enter(desk, visitor, "containers", &path, &Given::default()).await {
        Ok(p) => p.with(refused),
        Err(other) => return other,
    };
    let Some(deed) = ["pause", "resume", "stop"].into_iter().find(|name| *name == deed) else {
        return p.refuse(&Refusal::Missing);
    };
    if !p.operator() {
        return p.refuse(&Refusal::Forbidden);
    }
    match desk.ask(visitor, ShowContainer { id }).await {
        Ok(page) => {
            let it = page.container;
            let title = p.t.x(&format!("sure.{deed}"), &it.name);
            let page = SurePage { p: p.titled(&title), it, deed };
            page.p.answer(&page)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}

pub(super) async fn act(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let (id, deed) = (given.get("id").to_owned(), given.get("deed").to_owned());
    let what = Deed::deserialize(StrDeserializer::<Error>::new(&deed));
    let answer = match what {
        Ok(what) => {
            let reason = given.get("reason").to_owned();
            desk.ask(&visitor, Act { id: id.clone(), what, reason }).await
        }
        Err(_) => Err(Refusal::Missing),
    };
    match answer {
        Err(refusal) if refusal != Refusal::Unauthenticated => {
            let refused = Refused { form: "act", refusal, given };
            sure_page(&desk, &visitor, id, &deed, Some(refused)).await
        }
        answer => back(&given, &deed, answer),
    }
}
