//! Profiles: what containers were seen to do, how well each is known, what is new, and files that follow from it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use haechi_core::report::profiles::{PackageState, ProfileLine};
use haechi_protocol::{
    FileKind, LIMIT, List, ListProfiles, MadeFile, MakeFile, PackageRow, ProfilePage, Refusal,
    Role, ShowProfile,
};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::chart::Learned;
use super::shell::{Asked, Given, Shell, show as shown};
use super::words::Words;
use crate::desk::Desk;
use crate::visitor::Visitor;

/// Packages, and values of a kind, that a page shows.
const PACKAGES: usize = 300;
const VALUES: usize = 60;

#[derive(Template)]
#[template(path = "profiles.html")]
pub(super) struct ProfilesPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) it: List<ProfileLine>,
}

#[derive(Template)]
#[template(path = "profile.html")]
pub(super) struct ProfileTemplate {
    pub(super) p: Shell,
    pub(super) it: ProfilePage,
    pub(super) curve: Learned,
}

#[derive(Template)]
#[template(path = "unmade.html")]
struct Unmade {
    p: Shell,
    it: MadeFile,
    number: i64,
}

impl ProfileTemplate {
    /// Packages that are shown, and how many more there are.
    pub(super) fn packages(&self) -> (&[PackageRow], u64) {
        let all = self.it.packages.as_slice();
        let more = all.len().saturating_sub(PACKAGES) as u64 + self.it.packages_more;
        (all.get(..PACKAGES).unwrap_or(all), more)
    }

    /// What has this many values more than are shown.
    pub(super) fn more(&self, count: &u64, shown: &[String]) -> u64 {
        count.saturating_sub(shown.len().min(VALUES) as u64)
    }

    /// The first values of a kind.
    pub(super) fn values<'a>(&self, all: &'a [String]) -> &'a [String] {
        all.get(..VALUES).unwrap_or(all)
    }

    /// Parts of the bar of packages: state, place and width of 100.
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    pub(super) fn bar(&self) -> Vec<(PackageState, f64, f64)> {
        let counts = self.it.profile.packages.iter().flatten();
        let all = counts.map(|(_, count)| count).sum::<u64>().max(1) as f64;
        let mut at = 0.0;
        let part = |state| {
            let wide = self.it.profile.packages_of(state) as f64 * 100.0 / all;
            let part = (state, at, wide);
            at += wide;
            part
        };
        PackageState::ALL.map(part).into()
    }

    /// Capabilities that are held and never were used; none if it is not known what is used.
    pub(super) fn unused(&self) -> Vec<&String> {
        let line = &self.it.profile;
        match (&line.capabilities_used, &line.capabilities_today) {
            (Some(used), Some(held)) => held.difference(used).collect(),
            _ => Vec::new(),
        }
    }
}

impl Words {
    /// How a workload is called: by its containers, else its image, else its number.
    pub(super) fn workload(&self, line: &ProfileLine) -> String {
        match line.containers.as_slice() {
            [] if line.image.is_empty() => format!("#{}", line.number),
            [] => self.name(&line.image).into_owned(),
            [one] => self.name(one).into_owned(),
            [one, rest @ ..] => {
                format!("{} {}", self.name(one), self.n("more", rest.len()))
            }
        }
    }

    /// What the drawing of a curve shows, in words.
    pub(super) fn learned(&self, line: &ProfileLine) -> String {
        if line.entries == 0 {
            return self.get("profile.curve.none").to_owned();
        }
        let values = [
            // As the drawing counts it: of files that are only read or written, folders.
            ("n", self.number(line.curve.last().map_or(0, |point| point.total))),
            ("watched", self.lasting(&line.watched)),
            ("learned", self.lasting(&line.learned_in)),
        ];
        self.fill(
            "profile.curve.says",
            &values.each_ref().map(|(name, value)| (*name, value.as_str())),
        )
    }

    /// System calls used, needed and allowed, in words.
    pub(super) fn calls(&self, line: &ProfileLine) -> String {
        let values = [
            ("used", self.number(line.calls_used)),
            ("needed", self.number(line.calls_needed)),
            ("today", self.known(line.calls_today)),
        ];
        self.fill(
            "profile.calls.of",
            &values.each_ref().map(|(name, value)| (*name, value.as_str())),
        )
    }

    /// Capabilities used and held, in words.
    pub(super) fn capabilities(&self, line: &ProfileLine) -> String {
        let count = |names: &Option<std::collections::BTreeSet<String>>| {
            self.known(names.as_ref().map(|names| names.len() as u64))
        };
        let (used, today) = (count(&line.capabilities_used), count(&line.capabilities_today));
        self.fill("profile.capabilities.of", &[("used", &used), ("today", &today)])
    }

    fn known(&self, number: Option<u64>) -> String {
        number.map_or_else(|| self.get("profile.unknown").to_owned(), |number| self.number(number))
    }
}

pub(super) async fn list(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = "/profiles";
    let p = Shell::enter(&desk, &visitor, "profiles", path, &given).await?;
    let question = ListProfiles { after: given.some("after"), limit: LIMIT };
    let it = desk.ask(&visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    let page = ProfilesPage { p, given, it };
    Ok(page.p.answer(&page))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(number): Path<String>,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/profiles/{}", super::encoded(&number));
    let p = Shell::enter(&desk, &visitor, "profiles", &path, &given).await?;
    let number = number.parse().map_err(|_| p.refuse(&Refusal::Missing))?;
    let it = desk.ask(&visitor, ShowProfile { number }).await;
    let it = it.map_err(|refusal| p.refuse(&refusal))?;
    let title = p.t.workload(&it.profile);
    let curve = Learned::of(&it.profile);
    let page = ProfileTemplate { p: p.titled(&title), it, curve };
    Ok(page.p.answer(&page))
}

pub(super) async fn file(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path((number, kind)): Path<(String, String)>,
) -> Result<Response, Response> {
    let path = format!("/profiles/{}", super::encoded(&number));
    let p = Shell::enter(&desk, &visitor, "profiles", &path, &Given::default()).await?;
    if !p.operator() {
        return Err(p.needs(Role::Operator));
    }
    let missing = || p.refuse(&Refusal::Missing);
    let number: i64 = number.parse().map_err(|_| missing())?;
    let kind =
        FileKind::deserialize(StrDeserializer::<Error>::new(&kind)).map_err(|_| missing())?;
    let it = desk.ask(&visitor, MakeFile { number, kind }).await;
    let mut it = it.map_err(|refusal| p.refuse(&refusal))?;
    let Some(content) = it.content.take() else {
        let title = p.t.get("make.refused").to_owned();
        let page = Unmade { p: p.titled(&title), it, number };
        return Ok((StatusCode::CONFLICT, shown(&page)).into_response());
    };
    // The name is the desk's; what a header cannot carry is left out of it.
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || ".-_".contains(*letter);
    let name: String = it.name.chars().filter(plain).take(100).collect();
    let media =
        if name.ends_with(".json") { "application/json" } else { "text/plain; charset=utf-8" };
    let headers = [
        (CONTENT_TYPE, media.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, content).into_response())
}
