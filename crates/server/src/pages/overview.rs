//! The first page: which area is at risk, why, what changed, and what to do first.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Response;
use haechi_core::alert::Priority;
use haechi_core::report::most_at_risk;
use haechi_core::score::{Moved, Movement};
use haechi_core::{Area, Severity};
use haechi_protocol::{AlertGroup, MOVED, Overview, Picture, Verify};

use super::chart::Course;
use super::shell::{Asked, Given, Shell, back, signed};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct OverviewPage {
    pub(super) p: Shell,
    pub(super) it: Picture,
    pub(super) course: Course,
    /// The area that is marked.
    pub(super) at_risk: Option<Area>,
}

/// Why an empty list of risks does not mean that nothing is at risk, or a full one is of an earlier verification; a key of
/// the texts.
pub(super) fn unranked(it: &Picture) -> Option<&'static str> {
    let Some(shown) = &it.verification else { return Some("no-verification") };
    let fails = it.areas.iter().any(|area| area.counts.fail > 0);
    match (it.ranked, it.risks.is_empty()) {
        (false, _) => Some("risks.unranked"),
        (true, true) if fails || !shown.complete => Some("risks.open"),
        (true, _) => None,
    }
}

impl OverviewPage {
    /// Why what is at risk is not told, or not told whole.
    pub(super) fn unranked(&self) -> Option<&'static str> {
        unranked(&self.it)
    }

    /// The whole in a sentence.
    pub(super) fn verdict(&self) -> String {
        let t = &self.p.t;
        let Some(counts) = self.it.verification.as_ref().map(|line| &line.counts) else {
            return t.get("no-verification").to_owned();
        };
        let critical: u64 =
            self.it.areas.iter().filter_map(|area| area.failing.get(&Severity::Critical)).sum();
        let key = match (counts.fail, counts.unverified, counts.pass, counts.excepted) {
            (1.., 1.., ..) => "verdict.both",
            (1.., 0, ..) => "verdict.failing",
            (0, 1.., ..) => "verdict.open",
            (0, 0, 0, 0) => "verdict.nothing",
            (0, 0, _, 1..) => "verdict.accepted",
            (0, 0, _, 0) => "verdict.clean",
        };
        let n = |n: u64| t.number(n);
        t.fill(
            key,
            &[
                ("failing", &n(counts.fail)),
                ("critical", &n(critical)),
                ("unverified", &n(counts.unverified)),
            ],
        )
    }

    /// What moved the score so that it shows, as far as there is room; how many more did, and how many did not show.
    pub(super) fn moved(&self) -> (&[Moved], usize, usize) {
        let (shown, little) = self.it.movement.as_ref().map(Movement::shown).unwrap_or_default();
        let (first, more) = shown.split_at(shown.len().min(MOVED));
        (first, more.len(), little.len())
    }

    /// How many equal alerts there are, as a factor.
    pub(super) fn times(&self, group: &AlertGroup) -> String {
        let more = if group.more { "+" } else { "" };
        format!("×{}{more}", self.p.t.number(group.count))
    }

    /// The title of a check that moved the score; its id if that is not known.
    pub(super) fn title_of<'a>(&'a self, check: &'a str) -> &'a str {
        self.it.titles.get(check).map_or(check, |title| title.get(self.p.t.lang))
    }

    /// How a check changed: `12 of 40 → 30 of 40`.
    pub(super) fn change_of(&self, moved: &Moved) -> String {
        let t = &self.p.t;
        let share = |pair: Option<(u64, u64)>| match pair {
            Some((passing, counted)) => t.xy("pass-of", t.number(passing), t.number(counted)),
            None => t.get("status.not-applicable").to_owned(),
        };
        format!("{} → {}", share(moved.before), share(moved.after))
    }

    /// Alerts of the last day: the urgent, the warnings, and all others.
    pub(super) fn alerts(&self) -> [(&'static str, u64); 3] {
        let sum = |fits: fn(&Priority) -> bool| {
            self.it.alerts.iter().filter(|(priority, _)| fits(priority)).map(|(_, n)| n).sum()
        };
        [
            ("urgent", sum(|p| *p <= Priority::Error)),
            ("warning", sum(|p| *p == Priority::Warning)),
            ("other", sum(|p| *p > Priority::Warning)),
        ]
    }
}

pub(super) async fn overview(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Response {
    let p = match Shell::enter(&desk, &visitor, "overview", "/", &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    match desk.ask(&visitor, Overview { benchmark: given.some("benchmark") }).await {
        Ok(it) => {
            let areas = it.areas.iter().map(|line| (line.area, &line.failing, line.score));
            let at_risk = most_at_risk(areas);
            let page = OverviewPage { p, course: Course::of(&it.trend), it, at_risk };
            page.p.answer(&page)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}

pub(super) async fn verify(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let answer = desk.ask(&visitor, Verify::default()).await;
    back(&given, "verify", answer)
}
