//! Containers: those at most risk first; one container as it is now; and what a person does to it, asked twice.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use haechi_protocol::{
    Act, ContainerPage, ContainerRow, Deed, LIMIT, ListContainers, Ranked, Refusal, Resources,
    Role, ShowContainer,
};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::encoded;
use super::shell::{Asked, Given, Refused, Shell, back, signed};
use crate::desk::Desk;
use crate::visitor::Visitor;

/// The state of a container of which only the record is left.
const GONE: &str = "gone";

#[derive(Template)]
#[template(path = "containers.html")]
pub(super) struct ContainersPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) it: Ranked<ContainerRow>,
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

    /// What has to be said about it first: how far what is shown can be trusted.
    pub(super) fn note(&self) -> Option<&'static str> {
        let c = &self.it.container;
        match c.state.as_str() {
            GONE => Some("container.gone"),
            _ if c.verified => None,
            "unknown" => Some("container.perhaps-gone"),
            _ => Some("container.unverified"),
        }
    }

    /// Whether it can have processes and connections.
    pub(super) fn is_there(&self) -> bool {
        self.it.container.state != GONE
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
) -> Result<Response, Response> {
    let path = format!("/containers{}", given.query("", "text", given.get("text")));
    let p = Shell::enter(&desk, &visitor, "containers", &path, &given).await?;
    let question = ListContainers {
        running: match given.get("running") {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        text: given.some("text"),
        after: given.some("after"),
        limit: LIMIT,
    };
    let it = desk.ask(&visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    let page = ContainersPage { p, given, it };
    Ok(page.p.answer(&page))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/containers/{}", encoded(&id));
    let p = Shell::enter(&desk, &visitor, "containers", &path, &given).await?;
    let question = ShowContainer { id };
    let it = desk.ask(&visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    let page = ContainerTemplate { p: p.titled(&it.container.name), it };
    Ok(page.p.answer(&page))
}

pub(super) async fn sure(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path((id, deed)): Path<(String, String)>,
) -> Result<Response, Response> {
    sure_page(&desk, &visitor, id, &deed, None).await
}

async fn sure_page(
    desk: &Desk,
    visitor: &Visitor,
    id: String,
    deed: &str,
    refused: Option<Refused>,
) -> Result<Response, Response> {
    let path = format!("/containers/{}", encoded(&id));
    let p = Shell::enter(desk, visitor, "containers", &path, &Given::default()).await?;
    let p = p.with(refused);
    let deed = ["pause", "resume", "stop"].into_iter().find(|name| *name == deed);
    let deed = deed.ok_or_else(|| p.refuse(&Refusal::Missing))?;
    if !p.operator() {
        return Err(p.needs(Role::Operator));
    }
    let page = desk.ask(visitor, ShowContainer { id }).await;
    let it = page.map_err(|refusal| p.refuse(&refusal))?.container;
    if it.state == GONE {
        return Err(p.refuse(&Refusal::Missing));
    }
    let title = p.t.x(&format!("sure.{deed}"), &it.name);
    let page = SurePage { p: p.titled(&title), it, deed };
    Ok(page.p.answer(&page))
}

pub(super) async fn act(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Result<Response, Response> {
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
        answer => Ok(back(&given, &deed, answer)),
    }
}
