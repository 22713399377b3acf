//! The report as one page: self-contained, readable offline and without JavaScript.
//!
//! The template escapes everything, and the page's own content security policy allows nothing but
//! its one style and one script, by their hashes: no request, no inline handler, no foreign script,
//! even if a name got through. What is shown where is decided in `html/view.rs`; the template only writes
//! it.

mod view;

use std::io::Write;
use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haechi_core::text::visible;
use haechi_core::{Area, Lang, Report, Severity, Status};
use sha2::{Digest, Sha256};

use crate::RenderError;
use crate::image::view::ImageView;
use crate::labels::{Labels, key};
use crate::profiles::ProfileView;
use view::{AreaView, CauseView, GapView, MovementView, Prose, SectionView, TodoView, View};

/// The one style of all pages.
pub(crate) const CSS: &str = concat!(
    include_str!("../templates/tokens.css"),
    include_str!("../templates/report.css"),
    include_str!("../templates/image.css"),
    include_str!("../templates/profiles.css")
);
const JS: &str =
    concat!(include_str!("../templates/common.js"), include_str!("../templates/report.js"));

static POLICY: LazyLock<String> = LazyLock::new(|| policy(JS));

/// The content security policy of a page with our style and this script.
pub(crate) fn policy(js: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        hash(CSS),
        hash(js)
    )
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    t: Labels,
    lang: Lang,
    csp: &'static str,
    css: &'static str,
    js: &'static str,
    title: String,
    host: String,
    facts: Vec<(&'static str, String)>,
    benchmark: String,
    taken_at: &'a str,
    score: String,
    percent: f64,
    verdict: String,
    movement: Option<MovementView>,
    areas: Vec<AreaView>,
    todo: Vec<TodoView>,
    rest: Vec<TodoView>,
    images: Vec<ImageView>,
    profiles: Vec<ProfileView>,
    profile_none: Prose,
    sections: Vec<SectionView>,
    causes: Vec<CauseView>,
    unverified: u64,
    gaps: Vec<GapView>,
    defaults: Vec<String>,
    version: String,
}

/// Writes the report as one HTML page.
///
/// # Errors
/// The writer refused.
pub fn write(report: &Report<String>, lang: Lang, out: &mut dyn Write) -> Result<(), RenderError> {
    let labels = Labels::new(lang);
    let view = View { report, labels };
    let (todo, rest) = view.todo();
    let host = visible(&report.host.name).into_owned();
    let page = Page {
        t: labels,
        lang,
        csp: &POLICY,
        css: CSS,
        js: JS,
        title: labels.with(key::PAGE_TITLE, &[("host", &host)]),
        host,
        facts: view.facts(),
        benchmark: visible(&report.benchmark_title).into_owned(),
        taken_at: &report.taken_at,
        score: labels.score(report.score.total),
        percent: report.score.total.unwrap_or(0.0),
        verdict: view.verdict(),
        movement: view.movement(),
        areas: view.areas(),
        todo,
        rest,
        images: images(report, &labels),
        profiles: report.profiles.iter().map(|line| ProfileView::of(line, &labels)).collect(),
        profile_none: view::prose(labels.get(key::PROFILE_NONE)),
        sections: view.sections(),
        causes: view.causes(),
        unverified: report.summary.findings.unverified,
        gaps: view.gaps(),
        defaults: report.policy_defaults.iter().map(|key| visible(key).into_owned()).collect(),
        version: visible(&report.haechi_version).into_owned(),
    };
    page.render_into(&mut Utf8Writer { out })?;
    Ok(writeln!(out)?)
}

fn images(report: &Report<String>, labels: &Labels) -> Vec<ImageView> {
    let images = report.images.iter().enumerate();
    images.map(|(n, line)| ImageView::of(n + 1, line, labels)).collect()
}

/// Lets a template write its pieces straight to a byte writer.
pub(crate) struct Utf8Writer<'a> {
    pub(crate) out: &'a mut dyn Write,
}

impl std::fmt::Write for Utf8Writer<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.out.write_all(text.as_bytes()).map_err(|_| std::fmt::Error)
    }
}
