//! The checklist: items of a benchmark with filters, one item with its evidence, and the form to accept a finding.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use haechi_core::text::visible;
use haechi_core::{Area, Finding, Severity, Status, SubjectKind};
use haechi_protocol::{
    Accept, BenchmarkLine, ItemPage, ItemRow, Items, LIMIT, ListBenchmarks, ListItems, Refusal,
    ShowItem,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::encoded;
use super::shell::{Asked, Given, Refused, Shell, back, signed};
use super::ui::is_good;
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "checklist.html")]
pub(super) struct ChecklistPage {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) benchmark: String,
    pub(super) benchmarks: Vec<BenchmarkLine>,
    pub(super) it: Items,
}

impl ChecklistPage {
    /// Items by section, in the benchmark's order.
    pub(super) fn sections(&self) -> impl Iterator<Item = &[ItemRow]> {
        self.it.rows.chunk_by(|a, b| a.section == b.section)
    }

    /// Since which day an item is not as it should be.
    pub(super) fn since(&self, row: &ItemRow) -> String {
        row.since.map_or_else(String::new, |at| day(at).to_string())
    }

    pub(super) fn filtered(&self) -> bool {
        ["area", "status", "severity", "text"].iter().any(|name| !self.given.get(name).is_empty())
    }
}

#[derive(Template)]
#[template(path = "item.html")]
pub(super) struct ItemTemplate {
    pub(super) p: Shell,
    pub(super) given: Given,
    pub(super) benchmark: String,
    pub(super) it: ItemPage,
    /// The status that was asked for.
    pub(super) only: Option<Status>,
    /// The last day that is offered first, and the last that may be.
    pub(super) days: (Date, Date),
}

impl ItemTemplate {
    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.it.findings.iter().map(|row| &row.finding)
    }

    /// Since when it is not as it should be, in words; empty if it is.
    pub(super) fn since_words(&self) -> String {
        self.it.item.since.map_or_else(String::new, |at| self.p.t.x("open-since", day(at)))
    }

    /// How it was decided before: each stretch of one status with its end and length, the newest first.
    pub(super) fn runs(&self) -> Vec<(&Status, &str, usize)> {
        let runs = self.it.history.chunk_by(|a, b| a.status == b.status);
        runs.filter_map(|run| Some((&run.last()?.status, &*run.last()?.taken_at, run.len())))
            .collect()
    }

    /// Where to read more about what a finding is about.
    pub(super) fn subject_link(&self, finding: &Finding) -> Option<String> {
        let folder = match finding.subject.kind {
            SubjectKind::Container => "containers",
            SubjectKind::Image => "images",
            _ => return None,
        };
        let id = Some(&finding.subject.id).filter(|id| !id.is_empty())?;
        Some(format!("/{folder}/{}", encoded(id)))
    }

    /// What to do, each once, for what fails.
    pub(super) fn remedies(&self) -> Vec<(String, Vec<String>)> {
        let mut out: Vec<(String, Vec<String>)> = Vec::new();
        for finding in self.findings().filter(|f| f.is_open()) {
            let text = finding.remediation.get(self.p.t.lang);
            let fixes = match out.iter_mut().find(|(known, _)| known == text) {
                Some((_, fixes)) => fixes,
                None => {
                    out.push((text.to_owned(), Vec::new()));
                    let Some((_, fixes)) = out.last_mut() else { continue };
                    fixes
                }
            };
            if let Some(fix) = finding.fix.as_ref().filter(|fix| !fixes.contains(fix)) {
                fixes.push(fix.clone());
            }
        }
        out
    }

    /// How many findings there are of those that were asked for: without a status, those that are not as they should be.
    pub(super) fn asked_for(&self) -> u64 {
        let counts = &self.it.item.counts;
        let wanted = |status: &Status| self.only.map_or(!is_good(*status), |only| only == *status);
        Status::WORST_FIRST.into_iter().filter(wanted).map(|status| counts.of(status)).sum()
    }

    /// Findings that are not listed because nothing has to be done, by status.
    pub(super) fn left_out(&self) -> Vec<(Status, u64)> {
        let counted = |status: Status| (status, self.it.item.counts.of(status));
        let good = Status::WORST_FIRST.into_iter().filter(|status| is_good(*status));
        let is_left_out = |(_, count): &(Status, u64)| self.only.is_none() && *count > 0;
        good.map(counted).filter(is_left_out).collect()
    }

    /// Whether a line for each finding is enough.
    pub(super) fn compact(&self) -> bool {
        self.only.is_some_and(is_good)
    }

    /// Failing findings: those that can be accepted.
    pub(super) fn failing(&self) -> impl Iterator<Item = &Finding> {
        self.findings().filter(|finding| finding.status == Status::Fail)
    }

    /// Whether there is something to accept here.
    pub(super) fn acceptable(&self) -> bool {
        self.p.operator() && (self.failing().next().is_some() || self.p.problem("accept").is_some())
    }

    /// Checks that fail here.
    pub(super) fn checks(&self) -> Vec<&str> {
        let mut checks: Vec<_> = self.failing().map(|finding| finding.check.as_str()).collect();
        checks.sort_unstable();
        checks.dedup();
        checks
    }

    /// A finding's subject as the form offers it: a letter that a field cannot hold, or that would stand for several, is
    /// any one letter.
    pub(super) fn pattern(&self, finding: &Finding) -> String {
        let hidden = |c: char| visible(c.encode_utf8(&mut [0; 4])).len() != c.len_utf8();
        finding.subject.name.chars().map(|c| if c == '*' || hidden(c) { '?' } else { c }).collect()
    }

    /// The failing finding beside which "accept" was chosen.
    pub(super) fn chosen(&self) -> Option<&Finding> {
        let (check, of) = (self.given.get("check"), self.given.get("of"));
        self.failing().find(|finding| finding.check == check && named(finding) == of)
    }

    /// What a field of the form begins with: what was sent and refused, else what belongs to the finding that was
    /// chosen, else nothing.
    pub(super) fn begins(&self, field: &str) -> String {
        let chosen = self.chosen().map(|finding| match field {
            "check" => finding.check.clone(),
            "kind" => finding.subject.kind.name().to_owned(),
            _ => self.pattern(finding),
        });
        self.p.value("accept", field, &chosen.unwrap_or_default()).to_owned()
    }

    /// This page with a finding chosen.
    pub(super) fn choice(&self, finding: &Finding) -> String {
        let query = self.given.query("of", "check", &finding.check);
        format!("{query}&of={}#accept", encoded(named(finding)))
    }
}

/// How a link names the subject of a finding.
fn named(finding: &Finding) -> &str {
    let subject = &finding.subject;
    if subject.id.is_empty() { subject.name.trim() } else { subject.id.trim() }
}

pub(super) async fn list(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    let path = format!("/checklist{}", given.query("", "text", given.get("text")));
    let p = Shell::enter(&desk, &visitor, "checklist", &path, &given).await?;
    let benchmarks = desk.ask(&visitor, ListBenchmarks::default()).await;
    let benchmarks = benchmarks.map_err(|refusal| p.refuse(&refusal))?.rows;
    let first = || benchmarks.first().map(|line| line.id.clone());
    let benchmark = given.some("benchmark").or_else(first);
    let benchmark = benchmark.ok_or_else(|| p.refuse(&Refusal::Missing))?;
    let question = ListItems {
        benchmark: benchmark.clone(),
        area: given.pick("area"),
        status: given.pick("status"),
        severity: given.pick("severity"),
        text: given.some("text"),
    };
    let it = desk.ask(&visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    let page = ChecklistPage { p, given, benchmark, benchmarks, it };
    Ok(page.p.answer(&page))
}

pub(super) async fn item(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path((benchmark, item)): Path<(String, String)>,
    Query(given): Asked,
) -> Result<Response, Response> {
    item_page(&desk, &visitor, (benchmark, item), &given, None).await
}

async fn item_page(
    desk: &Desk,
    visitor: &Visitor,
    (benchmark, item): (String, String),
    given: &Given,
    refused: Option<Refused>,
) -> Result<Response, Response> {
    let path = format!("/checklist/{}/{}", encoded(&benchmark), encoded(&item));
    let p = Shell::enter(desk, visitor, "checklist", &path, given).await?.with(refused);
    let only: Option<Status> = given.pick("status");
    let question = ShowItem {
        benchmark: benchmark.clone(),
        item,
        status: only,
        after: given.some("after"),
        limit: LIMIT,
    };
    let mut it = desk.ask(visitor, question).await.map_err(|refusal| p.refuse(&refusal))?;
    if only.is_none() {
        leave_out_good(&mut it);
    }
    let title = format!("{} {}", it.item.id, it.item.title.get(p.t.lang));
    let (p, given) = (p.titled(&title), given.clone());
    let page = ItemTemplate { p, given, benchmark, it, only, days: expiry() };
    Ok(page.p.answer(&page))
}

/// Leaves out what is as it should be. It comes last, so there is nothing else on the pages after it.
fn leave_out_good(it: &mut ItemPage) {
    let all = it.findings.len();
    it.findings.retain(|row| !is_good(row.finding.status));
    if it.findings.len() < all {
        it.next = None;
    }
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Ninety days from now, and a year.
pub(super) fn expiry() -> (Date, Date) {
    let today = day(Timestamp::now());
    let after = |days| today.checked_add(jiff::Span::new().days(days)).unwrap_or(today);
    (after(90), after(365))
}

pub(super) async fn accept(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Result<Response, Response> {
    let visitor = signed(visitor, &given);
    let answer = match given.read("expires") {
        Some(expires) => {
            let question = Accept {
                check: given.get("check").to_owned(),
                kind: given.pick("kind"),
                subject: given.get("subject").to_owned(),
                reason: given.get("reason").to_owned(),
                expires,
            };
            desk.ask(&visitor, question).await
        }
        None => Err(Refusal::invalid("expires", "day")),
    };
    match answer {
        Err(refusal) if refusal != Refusal::Unauthenticated => {
            let place = (given.get("benchmark").to_owned(), given.get("item").to_owned());
            let refused = Refused { form: "accept", refusal, given };
            item_page(&desk, &visitor, place, &Given::default(), Some(refused)).await
        }
        answer => Ok(back(&given, "accept", answer)),
    }
}
