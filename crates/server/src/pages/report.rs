//! The report of a period: chosen by a form, then a document that the browser prints to PDF.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use haechi_core::{Severity, Status};
use haechi_protocol::{BenchmarkLine, ListBenchmarks, PeriodReport, Refusal, Report, TrendPoint};
use jiff::Timestamp;
use jiff::civil::Date;

use super::chart::Course;
use super::overview::unranked;
use super::shell::{Asked, Refused, Shell};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "choose.html")]
pub(super) struct ChoosePage {
    pub(super) p: Shell,
    pub(super) benchmarks: Vec<BenchmarkLine>,
    /// The period that is offered: the last thirty days.
    pub(super) days: (Date, Date),
}

#[derive(Template)]
#[template(path = "report_period.html")]
pub(super) struct ReportPage {
    pub(super) p: Shell,
    pub(super) it: PeriodReport,
    pub(super) benchmark: String,
    pub(super) days: (Date, Date),
    pub(super) course: Course,
    /// When this document was made.
    pub(super) now: Timestamp,
}

impl ReportPage {
    /// Items by status.
    pub(super) fn by_status(&self) -> [(Status, usize); 5] {
        let count = |status| self.it.items.iter().filter(|row| row.status == status).count();
        Status::WORST_FIRST.map(|status| (status, count(status)))
    }

    /// Why it does not say what is at risk.
    pub(super) fn unranked(&self) -> Option<&'static str> {
        match unranked(&self.it.picture) {
            Some("no-verification") => Some("report.nothing"),
            Some("risks.unranked") => Some("report.unranked"),
            other => other,
        }
    }

    /// How many verifications there were, and on how many days.
    pub(super) fn taken(&self) -> String {
        let (t, days) = (&self.p.t, self.it.verifications.len());
        t.xy("report.verified", t.n("report.times", self.it.taken), t.n("report.days", days))
    }

    /// For how long containers were watched.
    pub(super) fn watched(&self) -> String {
        let (t, watched) = (&self.p.t, &self.it.watched);
        if watched.containers == 0 {
            return t.get("report.unwatched").to_owned();
        }
        let minutes = watched.seconds / 60;
        let days = self.days.0.until(self.days.1).map_or(0, |span| span.get_days()) + 1;
        let values = [
            ("containers", t.number(watched.containers)),
            ("hours", t.number(minutes / 60)),
            ("minutes", t.number(minutes % 60)),
            ("days", t.number(u64::try_from(days).unwrap_or_default())),
        ];
        t.fill("report.watched", &values.each_ref().map(|(key, value)| (*key, value.as_str())))
    }
}

pub(super) async fn report(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Response {
    let path = format!("/report{}", given.query("", "to", given.get("to")));
    let p = match Shell::enter(&desk, &visitor, "report", &path, &given).await {
        Ok(p) => p,
        Err(other) => return other,
    };
    if !p.auditor() {
        return p.refuse(&Refusal::Forbidden);
    }
    let benchmarks = match desk.ask(&visitor, ListBenchmarks::default()).await {
        Ok(list) => list.rows,
        Err(refusal) => return p.refuse(&refusal),
    };
    let now = Timestamp::now();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let start = today.checked_sub(jiff::Span::new().days(30)).unwrap_or(today);
    let choose = |p: Shell, benchmarks| {
        let page = ChoosePage { p, benchmarks, days: (start, today) };
        page.p.answer(&page)
    };
    if given.get("from").is_empty() && given.get("to").is_empty() {
        return choose(p, benchmarks);
    }
    let answer = match (given.read::<Date>("from"), given.read::<Date>("to")) {
        (Some(from), Some(to)) => {
            let benchmark = given.get("benchmark").to_owned();
            let question = Report { benchmark, from, to };
            desk.ask(&visitor, question).await.map(|it| (it, (from, to)))
        }
        _ => Err(Refusal::invalid("from", "days")),
    };
    match answer {
        Ok((it, days)) => {
            let title = benchmarks.iter().find(|line| line.id == given.get("benchmark"));
            let benchmark = title.map_or(given.get("benchmark"), |line| &line.title).to_owned();
            let page = ReportPage { p, course: course(&it), it, benchmark, days, now };
            page.p.answer(&page)
        }
        Err(refusal @ (Refusal::Invalid { .. } | Refusal::Missing)) => {
            choose(p.with(Some(Refused { form: "report", refusal, given })), benchmarks)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}

/// The course of the score in the period.
pub(super) fn course(it: &PeriodReport) -> Course {
    let points = it.verifications.iter().map(|line| TrendPoint {
        verification: line.number,
        taken_at: line.taken_at.clone(),
        score: line.score,
        complete: line.complete,
    });
    Course::of(&points.collect::<Vec<_>>())
}
