//! One image as one page: self-contained, readable offline and without JavaScript, under the same rules as the report's
//! page: everything is escaped, and only its own style and script are allowed, by their hashes.

use std::io::Write;
use std::sync::LazyLock;

use askama::Template;
use haechi_core::Lang;
use haechi_core::report::fixes;
use haechi_core::report::images::ImageLine;
use haechi_core::text::visible;
use haechi_core::verdict::{ImageReport, Safety};
use haechi_core::vulnerability::Rating;

use super::danger::{Row, dangers};
use super::table::{by_detail, facts, fixes_about, is_doubtful, none_found, source_line};
use super::view::{FixView, FlawView, LayerView, layers};
use crate::RenderError;
use crate::html::{CSS, Utf8Writer, policy};
use crate::labels::{Labels, key};

const JS: &str =
    concat!(include_str!("../../templates/common.js"), include_str!("../../templates/image.js"));
static POLICY: LazyLock<String> = LazyLock::new(|| policy(JS));

/// What the page lists; a browser still scrolls through it. The JSON report has everything.
const FLAWS_MAX: usize = 5000;
const FIXES_MAX: usize = 200;
const REASONS_MAX: usize = 8;
const ROWS_MAX: usize = 1000;
const NAMES_MAX: usize = 40;
/// Dangers of one kind that are shown without being asked for.
const OPEN_MAX: usize = 12;

#[derive(Template)]
#[template(path = "image.html")]
struct Page<'a> {
    t: Labels,
    lang: Lang,
    csp: &'static str,
    css: &'static str,
    js: &'static str,
    title: String,
    name: String,
    safety: Option<Safety>,
    means: &'static str,
    reasons: Vec<String>,
    reasons_more: Option<String>,
    known: bool,
    ratings: Vec<(Rating, u64)>,
    exploited: u64,
    facts: Vec<(&'static str, String)>,
    problems: Vec<Row>,
    fixes: Vec<FixView>,
    fixes_more: Option<String>,
    fixes_about: String,
    flaws: Vec<FlawView>,
    flaws_count: usize,
    flaws_more: Option<String>,
    none_found: &'static str,
    layers: Vec<LayerView>,
    layers_more: Option<String>,
    dangers: Vec<DangerView>,
    sources: Vec<(String, bool)>,
    version: String,
    taken_at: &'a str,
}

/// Dangers of one kind.
struct DangerView {
    title: &'static str,
    open: bool,
    rows: Vec<Row>,
    more: Option<String>,
}

pub(super) fn write(
    report: &ImageReport,
    lang: Lang,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    let t = Labels::new(lang);
    let line = ImageLine::of_report(report);
    let all: Vec<_> = report.assessment.vulnerabilities.iter().map(Into::into).collect();
    let fixes = fixes::fixes(&all);
    let verdict = &report.verdict;
    let (reasons, reasons_more) = t.reasons(verdict, REASONS_MAX);
    let more = |n: u64| t.more(usize::try_from(n).unwrap_or(usize::MAX));
    let name = visible(&report.scan.subject.reference).into_owned();
    let ratings = line.ratings.clone().unwrap_or_default();
    let page = Page {
        t,
        lang,
        csp: &POLICY,
        css: CSS,
        js: JS,
        title: t.with(key::IMAGE_TITLE, &[("name", &name)]),
        name,
        safety: Some(verdict.safety),
        means: t.safety_means(verdict.safety),
        reasons,
        reasons_more: more(reasons_more),
        known: line.ratings.is_some(),
        ratings: Rating::WORST_FIRST.map(|r| (r, ratings.get(&r).copied().unwrap_or(0))).to_vec(),
        exploited: line.exploited,
        facts: facts(report, &line, &t),
        problems: problems(report, &t),
        fixes: fixes.iter().take(FIXES_MAX).map(|fix| FixView::of(fix, &t)).collect(),
        fixes_more: t.more(fixes.len().saturating_sub(FIXES_MAX)),
        fixes_about: fixes_about(&line, fixes.len(), &t),
        flaws: report
            .assessment
            .vulnerabilities
            .iter()
            .take(FLAWS_MAX)
            .map(|f| FlawView::of(f, report.seen_of(f), &t))
            .collect(),
        flaws_count: all.len(),
        flaws_more: t.more(all.len().saturating_sub(FLAWS_MAX)),
        none_found: t.get(none_found(report)),
        layers: layers(&line, &t),
        layers_more: more(line.layers_more),
        dangers: views(report, &t),
        sources: report
            .assessment
            .sources
            .iter()
            .map(|source| (source_line(source, &report.taken_at, &t), is_doubtful(source)))
            .collect(),
        version: visible(&report.haechi_version).into_owned(),
        taken_at: &report.taken_at,
    };
    page.render_into(&mut Utf8Writer { out })?;
    Ok(writeln!(out)?)
}

fn problems(report: &ImageReport, t: &Labels) -> Vec<Row> {
    let problems = report.scan.problems.iter().take(ROWS_MAX).map(|problem| {
        let parts = [
            Some(t.problem(problem.kind).to_owned()),
            t.layer(problem.layer),
            t.affects(&problem.affects),
        ];
        Row {
            what: visible(&problem.detail).into_owned(),
            place: visible(&problem.place).into_owned(),
            note: parts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        }
    });
    problems.collect()
}

/// Dangers, then what could not be decided, then what does not count.
fn views(report: &ImageReport, t: &Labels) -> Vec<DangerView> {
    let view = |title: &'static str, mut rows: Vec<Row>| {
        let more = t.more(rows.len().saturating_sub(ROWS_MAX));
        rows.truncate(ROWS_MAX);
        DangerView { title, open: rows.len() <= OPEN_MAX, rows, more }
    };
    let shown = |text: &str| visible(text).into_owned();
    let undecided = by_detail(&report.assessment.undecided);
    let undecided = undecided.into_iter().flat_map(|(cause, detail, names)| {
        let all = names.len().to_string();
        let names: Vec<_> = names.iter().map(|name| shown(name)).collect();
        // Many names with one cause are one row.
        names
            .chunks(NAMES_MAX)
            .map(|names| names.join(", "))
            .enumerate()
            .map(move |(n, names)| Row {
                what: if n == 0 { all.clone() } else { String::new() },
                place: names,
                note: if n == 0 {
                    format!("{} · {}", t.cause(cause), visible(detail))
                } else {
                    String::new()
                },
            })
            .collect::<Vec<_>>()
    });
    let suppressed = report.assessment.suppressed.iter().map(|(flaw, why)| Row {
        what: format!("{} {}", visible(&flaw.name), visible(&flaw.installed)),
        place: shown(&flaw.id),
        note: format!("{} ({}): {}", visible(&why.status), visible(&why.by), visible(&why.reason)),
    });
    let mut views: Vec<_> = dangers(&report.scan, t)
        .into_iter()
        .map(|danger| view(danger.title, danger.rows))
        .collect();
    views.push(view(t.get(key::UNDECIDED), undecided.collect()));
    views.push(view(t.get(key::SUPPRESSED), suppressed.collect()));
    views.retain(|view| !view.rows.is_empty());
    views
}
