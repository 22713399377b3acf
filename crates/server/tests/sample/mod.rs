//! A desk that answers with made-up matter: a busy host, one where nothing was done yet, or one whose names all try to
//! break out of the page. For tests and for `examples/sample.rs`.

#![allow(dead_code, reason = "tests and example use a part each")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a sample may stop at once")]

#[path = "../../../report/tests/common/mod.rs"]
mod common;
mod live;
mod profiles;
mod settings;

use std::sync::{Arc, LazyLock};

use haechi_core::report::images::ImageLine;
use haechi_core::report::{Report, distinct};
use haechi_core::score::{Moved, Movement};
use haechi_core::verdict::ImageReport;
use haechi_core::{Finding, Severity, Status, SubjectKind};
use haechi_protocol::*;
use haechi_server::desk::Desk;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

/// What the answers are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// A busy host.
    Busy,
    /// Nothing was verified, scanned, watched or done yet.
    Empty,
    /// Every name is hostile, and four thousand letters long.
    Hostile,
}

/// The busy host's verification.
pub static REPORT: LazyLock<Report> = LazyLock::new(|| common::large(40));
/// Its images.
pub static IMAGES: LazyLock<Vec<ImageReport>> = LazyLock::new(|| {
    use common::images::{bad, clean, large, unmatched};
    vec![bad(), large("registry.example/shop/web:2.4", 600), unmatched(), clean()]
});

/// Markup, control characters, a direction override, Korean, a blank letter, a heap of marks, Hebrew, and no end.
pub fn hostile() -> String {
    let heap = "\u{300}".repeat(30);
    let end = "가나다라마바사아".repeat(500);
    format!("<img src=x onerror=alert(1)>\"'&\u{202e}\u{7}\n해치\u{3164}e{heap}עברית{end}")
}

/// A desk of this mood that takes everybody for somebody of this role.
pub fn desk(mood: Mood, role: Role) -> Desk {
    Desk::new(move |asked| {
        let answer = answer(mood, role, &asked.ask);
        Box::pin(async move { answer })
    })
}

/// A desk that refuses everything.
pub fn refusing(refusal: Refusal) -> Desk {
    let refusal = Arc::new(refusal);
    Desk::new(move |_| {
        let refusal = Arc::clone(&refusal);
        Box::pin(async move { Err((*refusal).clone()) })
    })
}

/// So many hours ago.
pub fn ago(hours: i64) -> Timestamp {
    // Fixed, so that two pages show the same.
    let now: Timestamp = "2026-06-17T08:30:00Z".parse().unwrap();
    now - Span::new().hours(hours)
}

fn answer(mood: Mood, role: Role, ask: &Ask) -> Result<Value, Refusal> {
    if !role_fits(role, ask) {
        return Err(Refusal::Forbidden);
    }
    let sample = Sample { mood };
    let value = match ask {
        Ask::Login(login) if login.password == "wrong" => return Err(Refusal::WrongPassword),
        Ask::Login(_) => json!(LoggedIn { secret: "sample".into(), me: sample.me(role) }),
        Ask::Who(_) => json!(sample.me(role)),
        Ask::Overview(_) => json!(sample.picture()),
        Ask::ListBenchmarks(_) => json!(sample.benchmarks()),
        Ask::ListItems(question) => json!(sample.items(question)),
        Ask::ShowItem(question) => json!(sample.item(question).ok_or(Refusal::Missing)?),
        Ask::ListExceptions(_) => json!(sample.exceptions()),
        Ask::Accept(accept) if accept.reason.trim().is_empty() => {
            return Err(Refusal::invalid("reason", "empty"));
        }
        Ask::ListImages(_) => json!(sample.images()),
        Ask::ShowImage(question) => json!(sample.image(&question.id).ok_or(Refusal::Missing)?),
        Ask::ListContainers(_) => json!(sample.containers()),
        Ask::ShowContainer(question) if question.id.ends_with("dead") => json!(sample.gone()),
        Ask::ShowContainer(_) => json!(sample.container()),
        Ask::Act(act) if act.reason.trim().is_empty() => {
            return Err(Refusal::invalid("reason", "empty"));
        }
        Ask::ListProfiles(_) => json!(sample.profiles()),
        Ask::ShowProfile(_) => json!(sample.profile()),
        Ask::MakeFile(question) => json!(sample.made(question)),
        Ask::ListAlerts(_) => json!(sample.alerts(30)),
        Ask::ShowAlert(question) => json!(sample.alert_page(question.number)),
        Ask::ListActions(_) => json!(sample.actions()),
        Ask::ListActivity(_) => json!(sample.activity()),
        Ask::Search(_) => json!(sample.found()),
        Ask::ShowDatabase(_) => json!(sample.database()),
        Ask::ListAudit(_) => json!(sample.audit()),
        Ask::Report(_) => json!(sample.period()),
        Ask::ListAccounts(_) => json!(sample.accounts()),
        Ask::AddAccount(_) => {
            let account = sample.accounts().rows.swap_remove(0);
            json!(NewAccount { account, password: "amber-tile-river-92".into() })
        }
        Ask::ListTokens(_) => json!(sample.tokens()),
        Ask::AddToken(_) => {
            json!(NewToken { token: sample.token(), secret: "haechi_0123456789abcdef".into() })
        }
        Ask::ShowSettings(_) => json!(sample.settings()),
        Ask::Verify(_) | Ask::ScanImage(_) | Ask::UpdateDatabase(_) => json!(sample.job()),
        _ => json!(Done {}),
    };
    Ok(value)
}

fn role_fits(role: Role, ask: &Ask) -> bool {
    ask.route().role.is_none_or(|needed| role >= needed)
}

/// Answers of one mood.
pub struct Sample {
    mood: Mood,
}

impl Sample {
    /// A name, or a hostile one.
    fn name(&self, name: &str) -> String {
        if self.mood == Mood::Hostile { hostile() } else { name.to_owned() }
    }

    fn empty(&self) -> bool {
        self.mood == Mood::Empty
    }

    /// Some rows; none where there is nothing.
    fn list<T>(&self, rows: Vec<T>) -> List<T> {
        let next = Some("next-place".to_owned()).filter(|_| rows.len() > 3);
        if self.empty() {
            List { rows: Vec::new(), next: None, total: Some(0) }
        } else {
            List { rows, next, total: None }
        }
    }

    /// Rows of an earlier verification at the hostile desk.
    fn ranked<T>(&self, rows: Vec<T>) -> Ranked<T> {
        let stale = self.mood == Mood::Hostile;
        let List { rows, next, .. } = self.list(rows);
        Ranked { rows, next, total: None, stale }
    }

    fn me(&self, role: Role) -> Me {
        Me {
            name: self.name("yuna"),
            role,
            csrf: "token-against-forgery".into(),
            must_change_password: false,
            expires: ago(-8),
        }
    }

    fn line(&self, number: i64) -> VerificationLine {
        VerificationLine {
            number,
            taken_at: ago((40 - number) * 24).to_string(),
            host: self.name("build-07"),
            benchmark: REPORT.benchmark.clone(),
            score: REPORT.score.total.map(|score| score - (40 - number) as f64 / 3.0),
            counts: REPORT.summary.findings,
            complete: number % 2 == 1,
        }
    }

    fn picture(&self) -> Picture {
        let report = &*REPORT;
        let busy = !self.empty();
        let areas = report.summary.areas.iter().map(|(area, counts)| AreaLine {
            area: *area,
            score: report.score.areas[area],
            counts: *counts,
            failing: report.summary.failing_by_area[area].clone(),
        });
        let checks: Vec<_> = report.score.checks.keys().take(5).cloned().collect();
        let titled = distinct(&report.items).filter(|f| checks.contains(&f.check));
        let mut host = report.host.clone();
        host.name = self.name("build-07");
        Picture {
            verification: busy.then(|| self.line(40)),
            host,
            score: if busy { report.score.clone() } else { haechi_core::score::Score::default() },
            titles: titled.map(|f| (f.check.clone(), f.title.clone())).collect(),
            movement: busy.then(|| Movement {
                since: ago(24).to_string(),
                before: report.score.total.map(|score| score - 2.4),
                moved: (checks.iter().zip([4.1, -1.7, 0.8, -0.3, 0.0]))
                    .map(|(check, points)| Moved {
                        check: check.clone(),
                        points,
                        before: Some((12, 40)),
                        after: (points != 0.0).then_some((31, 40)),
                    })
                    .collect(),
            }),
            areas: if busy { areas.collect() } else { Vec::new() },
            trend: (11..=40)
                .filter(|_| busy)
                .map(|number| TrendPoint {
                    verification: number,
                    taken_at: ago((40 - number) * 24).to_string(),
                    score: self.line(number).score.map(|s| s + (number as f64 * 1.7).sin() * 2.5),
                    complete: self.line(number).complete,
                })
                .collect(),
            risks: self.risks(),
            ranked: busy,
            alerts: self.alert_counts(),
            newest: self.urgent(),
            monitor: self.monitor(),
            jobs: if busy { vec![self.job()] } else { Vec::new() },
        }
    }

    fn benchmarks(&self) -> List<BenchmarkLine> {
        let (id, title) = (REPORT.benchmark.clone(), REPORT.benchmark_title.clone());
        let items = REPORT.items.len() as u64;
        let cis = BenchmarkLine {
            id: "cis-docker-1.7".into(),
            title: "CIS Docker 1.7".into(),
            items: 117,
        };
        List { rows: vec![BenchmarkLine { id, title, items }, cis], next: None, total: Some(2) }
    }

    fn row(&self, place: usize) -> ItemRow {
        let item = &REPORT.items[place];
        let mut counts = haechi_core::report::Counts::default();
        item.findings.iter().for_each(|f| counts.add(f.status));
        let mut areas: Vec<_> = item.findings.iter().map(|f| f.area).collect();
        areas.dedup();
        ItemRow {
            id: item.id.clone(),
            title: item.title.clone(),
            section: item.section.clone(),
            status: item.status,
            severity: item.findings.iter().map(|f| f.severity).max().unwrap_or(Severity::Low),
            areas,
            counts,
            since: (item.status == Status::Fail).then(|| ago(24 * 19)),
        }
    }

    fn items(&self, question: &ListItems) -> Items {
        let all = (0..REPORT.items.len()).map(|place| self.row(place));
        let fits = |row: &ItemRow| {
            question.status.is_none_or(|status| row.status == status)
                && question.severity.is_none_or(|severity| row.severity >= severity)
                && question.area.is_none_or(|area| row.areas.contains(&area))
        };
        Items {
            verification: (!self.empty()).then(|| self.line(40)),
            counts: REPORT.summary.items,
            rows: if self.empty() { Vec::new() } else { all.filter(fits).collect() },
        }
    }

    fn finding(&self, finding: &Finding) -> FindingRow {
        let mut finding = finding.clone();
        if self.mood == Mood::Hostile {
            finding.subject.name = hostile();
            finding.check = hostile();
            finding.fix = Some(hostile());
            for evidence in &mut finding.evidence {
                evidence.seen = hostile();
                evidence.source = hostile();
            }
        }
        let since = finding.is_open().then(|| ago(24 * 19));
        let items = REPORT
            .items
            .iter()
            .filter(|item| item.findings.iter().any(|f| f.check == finding.check));
        let items = items.map(|item| item.id.clone()).collect();
        FindingRow { finding, benchmark: REPORT.benchmark.clone(), items, since }
    }

    fn item(&self, question: &ShowItem) -> Option<ItemPage> {
        let place = REPORT.items.iter().position(|item| item.id == question.item)?;
        let wanted = |f: &&Finding| question.status.is_none_or(|status| f.status == status);
        let mut found: Vec<_> = REPORT.items[place].findings.iter().filter(wanted).collect();
        found.sort_by_key(|f| std::cmp::Reverse(f.status));
        let next = (found.len() > 50).then(|| "50".into());
        let past = |number: i64| PastStatus {
            verification: number,
            taken_at: self.line(number).taken_at,
            status: if number > 20 { REPORT.items[place].status } else { Status::Pass },
        };
        Some(ItemPage {
            item: self.row(place),
            findings: found.into_iter().take(50).map(|f| self.finding(f)).collect(),
            next,
            history: (10..=40).rev().map(past).collect(),
        })
    }

    fn image_row(&self, place: usize) -> ImageRow {
        let mut image = ImageLine::of_report(&IMAGES[place]);
        if self.mood == Mood::Hostile {
            image.name = hostile();
            image.containers = vec![hostile(); 3];
        }
        image.id = format!("sha256:{:064x}", place + 0xabc0_ffee);
        ImageRow { image, rank: [93.4, 71.0, 12.6, 0.0][place], marked: place == 0 }
    }

    fn images(&self) -> Ranked<ImageRow> {
        let mut rows: Vec<_> = (0..IMAGES.len()).map(|place| self.image_row(place)).collect();
        let mut unscanned = self.image_row(3);
        unscanned.image.safety = None;
        unscanned.image.ratings = None;
        unscanned.image.name = self.name("internal/tool:latest");
        rows.push(unscanned.clone());
        // One without a reference is named by its id.
        unscanned.image.id = format!("sha256:{}", "5eed".repeat(16));
        unscanned.image.name = unscanned.image.id.clone();
        rows.push(unscanned);
        self.ranked(rows)
    }

    fn image(&self, id: &str) -> Option<ImagePage> {
        let place = (0..IMAGES.len()).find(|place| self.image_row(*place).image.id == id)?;
        let mut image = self.image_row(place);
        let findings = distinct(&REPORT.items).filter(|f| f.subject.kind == SubjectKind::Image);
        let report = if self.empty() {
            image.image = ImageLine { id: id.into(), name: "x".into(), ..image.image };
            image.image.safety = None;
            image.image.ratings = None;
            None
        } else {
            Some(serde_json::to_value(&IMAGES[place]).unwrap())
        };
        Some(ImagePage {
            image,
            report,
            findings: findings.take(2).map(|f| self.finding(f)).collect(),
            containers: if self.empty() { Vec::new() } else { self.containers().rows },
            used: IMAGES[place]
                .assessment
                .vulnerabilities
                .iter()
                .take(1)
                .map(|flaw| format!("{} {}", flaw.name, flaw.installed))
                .collect(),
            seen: IMAGES[place].seen.clone(),
            profiles: self.links(),
        })
    }
}
