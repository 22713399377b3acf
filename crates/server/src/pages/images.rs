//! Images: the most dangerous first; one image with what removes its flaws, its layers, packages and secrets.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use haechi_core::inventory::Package;
use haechi_core::report::images::LayerLine;
use haechi_core::report::profiles::PackageState;
use haechi_core::verdict::{ImageReport, Reason};
use haechi_core::vulnerability::{FixState, Vulnerability};
use haechi_protocol::{ImagePage, ImageRow, LIMIT, ListImages, Ranked, ScanImage, ShowImage};

use super::encoded;
use super::shell::{Asked, Given, Shell, back, signed};
use crate::desk::Desk;
use crate::visitor::Visitor;

/// Rows of a table on the page of one image; the whole is in the report that can be downloaded.
const ROWS_MAX: usize = 300;

#[derive(Template)]
#[template(path = "images.html")]
pub(super) struct ImagesPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) it: Ranked<ImageRow>,
}

#[derive(Template)]
#[template(path = "image.html")]
pub(super) struct ImageTemplate {
    pub(super) p: Shell,
    pub(super) it: ImagePage,
    pub(super) report: Option<ImageReport>,
    /// Words that vulnerabilities and packages have to contain.
    pub(super) text: String,
}

impl ImageTemplate {
    /// Vulnerabilities that fit, and how many there are beyond those that are shown.
    pub(super) fn flaws(&self) -> (Vec<&Vulnerability>, usize) {
        let all = self.report.iter().flat_map(|report| &report.assessment.vulnerabilities);
        cut(all.filter(|flaw| self.fits(&[&flaw.id, &flaw.name, &flaw.title])))
    }

    /// Packages that fit, and how many more there are.
    pub(super) fn packages(&self) -> (Vec<&Package>, usize) {
        let all = self.report.iter().flat_map(|report| &report.scan.packages);
        cut(all.filter(|package| self.fits(&[&package.name, &package.version])))
    }

    /// Whether the code of the package that has it was seen to be used.
    pub(super) fn used(&self, flaw: &Vulnerability) -> bool {
        self.it.used.contains(&format!("{} {}", flaw.name, flaw.installed))
    }

    /// What was seen of that package in all containers of the image; absent if none of them was watched.
    pub(super) fn seen(&self, flaw: &Vulnerability) -> Option<PackageState> {
        let place = format!("{} {}", flaw.name, flaw.installed);
        let known = || self.it.seen.get(&place).copied().unwrap_or(PackageState::Unknown);
        (!self.it.seen.is_empty()).then(known)
    }

    fn fits(&self, values: &[&str]) -> bool {
        let text = self.text.to_lowercase();
        text.is_empty() || values.iter().any(|value| value.to_lowercase().contains(&text))
    }

    /// Reasons for the verdict in words, and how many more there are.
    pub(super) fn reasons(&self) -> (Vec<String>, u64) {
        let Some(report) = &self.report else { return (Vec::new(), 0) };
        let t = &self.p.t;
        let shown = report.verdict.reasons.iter().take(8).map(|reason| match reason {
            Reason::Vulnerability { id, package, fixed } if fixed.is_empty() => {
                t.xy("why.vulnerability.unfixed", id, package)
            }
            Reason::Vulnerability { id, package, .. } => t.xy("why.vulnerability", id, package),
            Reason::Exploited { id, package } => t.xy("why.exploited", id, package),
            Reason::Malware { rule, path } => t.xy("why.malware", path, rule),
            Reason::Secret { detector, place } => t.xy("why.secret", place, detector),
            Reason::Unread { place, detail } => t.xy("why.unread", place, detail),
            Reason::Undecided { package, detail } => t.xy("why.undecided", package, detail),
        });
        let shown: Vec<_> = shown.collect();
        let left = report.verdict.reasons.len().saturating_sub(shown.len()) as u64;
        (shown, left + report.verdict.more)
    }

    /// The name of what is known about a fix.
    pub(super) fn state(&self, state: &FixState) -> String {
        let name = match state {
            FixState::Fixed => "fixed",
            FixState::Affected => "affected",
            FixState::Deferred => "deferred",
            FixState::WillNotFix => "will-not-fix",
            FixState::EndOfLife => "end-of-life",
            FixState::UnderInvestigation => "under-investigation",
        };
        self.p.t.of("fix", name)
    }

    /// The largest number of vulnerabilities that one layer brought.
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    pub(super) fn share(&self, layer: &LayerLine) -> f64 {
        let of = |layer: &LayerLine| layer.ratings.values().sum::<u64>();
        let most = self.it.image.image.layers.iter().map(of).max().unwrap_or(0).max(1);
        of(layer) as f64 * 100.0 / most as f64
    }
}

fn cut<'a, T>(rows: impl Iterator<Item = &'a T>) -> (Vec<&'a T>, usize) {
    let mut rows: Vec<_> = rows.collect();
    let more = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    (rows, more)
}

pub(super) async fn list(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/images{}", given.query("", "text", given.get("text")));
    let p = Shell::enter(&desk, &visitor, "images", &path, &given).await?;
    let question = ListImages {
        safety: given.pick("safety"),
        text: given.some("text"),
        after: given.some("after"),
        limit: LIMIT,
    };
    let it = desk.ask(&visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    let page = ImagesPage { p, given, it };
    Ok(page.p.answer(&page))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/images/{}", encoded(&id));
    let p = Shell::enter(&desk, &visitor, "images", &path, &given).await?;
    let shown = desk.ask(&visitor, ShowImage { id }).await;
    let mut it = shown.map_err(|refusal| p.refuse(&refusal))?;
    let report = it.report.take().and_then(|value| serde_json::from_value(value).ok());
    let t = p.t;
    let p = p.titled(&t.name(&it.image.image.name));
    let page = ImageTemplate { p, it, report, text: given.get("text").to_owned() };
    Ok(page.p.answer(&page))
}

pub(super) async fn scan(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let answer = desk.ask(&visitor, ScanImage { id: given.get("id").to_owned() }).await;
    back(&given, "scan", answer)
}
