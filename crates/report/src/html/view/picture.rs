//! The first screen: who was verified, the three areas, the score and what moved it.

use std::collections::HashMap;

use haechi_core::report::{Counts, most_at_risk};
use haechi_core::{Area, Severity, Status};

use super::{TodoView, View, shown};
use crate::group::by_check;
use crate::labels::{key, points};
use crate::table::policy_name;

/// Checks that moved the score, as many as the first screen has room for.
const MOVED_MAX: usize = 4;
/// Names of subjects in a panel.
const WORST_NAMES_MAX: usize = 3;

/// An area's panel.
pub(crate) struct AreaView {
    pub(crate) area: Area,
    pub(crate) score: String,
    /// Whether it is the one most at risk.
    pub(crate) at_risk: bool,
    pub(crate) parts: Vec<PartView>,
    pub(crate) severities: Vec<(Severity, u64)>,
    pub(crate) failing: u64,
    pub(crate) worst: Option<TodoView>,
}

/// A status' part of an area's bar; place and width of 100.
pub(crate) struct PartView {
    pub(crate) status: Status,
    pub(crate) count: u64,
    pub(crate) at: f64,
    pub(crate) wide: f64,
}

/// How the score moved.
pub(crate) struct MovementView {
    /// `up`, `down` or `same`.
    pub(crate) direction: &'static str,
    pub(crate) points: String,
    pub(crate) since: String,
    pub(crate) moved: Vec<MovedView>,
    /// How many more checks moved it, in words.
    pub(crate) more: Option<String>,
}

/// One check that moved the score.
pub(crate) struct MovedView {
    pub(crate) direction: &'static str,
    pub(crate) points: String,
    pub(crate) title: String,
    pub(crate) change: String,
}

impl View<'_> {
    /// What was verified, as labels and values.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let (report, t) = (self.report, &self.labels);
        let host = &report.host;
        let engine = match host.engine.as_str() {
            "" => t.get(key::NO_ENGINE).to_owned(),
            engine => shown(engine),
        };
        let mut facts = vec![
            (key::FACT_OS, shown(&host.os)),
            (key::FACT_KERNEL, shown(&host.kernel)),
            (key::FACT_ENGINE, engine),
        ];
        if host.containers >= 0 {
            let (all, running) = (host.containers.to_string(), host.running.to_string());
            let words = if host.running >= 0 { key::COUNT_RUNNING } else { key::COUNT };
            facts
                .push((key::FACT_CONTAINERS, t.with(words, &[("n", &all), ("running", &running)])));
        }
        if host.images >= 0 {
            facts.push((key::FACT_IMAGES, t.with(key::COUNT, &[("n", &host.images.to_string())])));
        }
        facts.push((key::FACT_POLICY, policy_name(report, t)));
        facts.retain(|(_, value)| !value.is_empty());
        facts.into_iter().map(|(label, value)| (t.get(label), value)).collect()
    }

    /// The picture in one or two sentences.
    pub(crate) fn verdict(&self) -> String {
        let t = &self.labels;
        let findings = self.report.summary.findings;
        let critical = self.report.summary.failing.get(&Severity::Critical).copied().unwrap_or(0);
        let numbers = [findings.fail, findings.unverified, critical].map(|n| n.to_string());
        let [failing, unverified, critical] = &numbers;
        let values = [
            ("failing", failing.as_str()),
            ("unverified", unverified.as_str()),
            ("critical", critical.as_str()),
        ];
        let verdict = match (findings.fail, findings.unverified) {
            (0, 0) if findings.excepted > 0 => return t.get(key::VERDICT_ACCEPTED).to_owned(),
            (0, 0) if findings.pass == 0 => return t.get(key::VERDICT_NOTHING).to_owned(),
            (0, 0) => return t.get(key::VERDICT_CLEAN).to_owned(),
            (0, _) => t.with(key::VERDICT_OPEN, &values),
            (_, 0) => t.with(key::VERDICT_FAILING, &values),
            (_, _) => t.with(key::VERDICT_BOTH, &values),
        };
        match self.most_at_risk() {
            Some(area) => {
                format!("{verdict} {}", t.with(key::VERDICT_AREA, &[("area", t.area(area))]))
            }
            None => verdict,
        }
    }

    /// The area that is marked.
    fn most_at_risk(&self) -> Option<Area> {
        let (summary, score) = (&self.report.summary, &self.report.score);
        most_at_risk(
            summary
                .failing_by_area
                .iter()
                .map(|(area, failing)| (*area, failing, score.areas.get(area).copied().flatten())),
        )
    }

    /// The three panels.
    pub(crate) fn areas(&self) -> Vec<AreaView> {
        let at_risk = self.most_at_risk();
        let failing = by_check(self.report, |f| f.status == Status::Fail);
        let areas = Area::ALL.iter().map(|area| {
            let summary = &self.report.summary;
            let counts = summary.areas.get(area).copied().unwrap_or_default();
            let by_severity = summary.failing_by_area.get(area);
            let count = |s: Severity| by_severity.and_then(|b| b.get(&s)).copied().unwrap_or(0);
            let score = self.report.score.areas.get(area).copied().flatten();
            AreaView {
                area: *area,
                score: self.labels.score(score),
                at_risk: at_risk == Some(*area),
                parts: parts(&counts),
                severities: Severity::WORST_FIRST.map(|s| (s, count(s))).to_vec(),
                failing: counts.fail,
                worst: failing
                    .iter()
                    .find(|g| g.area == *area)
                    .map(|g| self.todo_of(g, WORST_NAMES_MAX)),
            }
        });
        areas.collect()
    }

    /// How the score moved since the last verification.
    pub(crate) fn movement(&self) -> Option<MovementView> {
        let movement = self.report.movement.as_ref()?;
        let change = match (movement.before, self.report.score.total) {
            (Some(before), Some(now)) => now - before,
            _ => 0.0,
        };
        let pair = |pair: Option<(u64, u64)>| {
            pair.map_or_else(|| "–".to_owned(), |(passing, all)| format!("{passing}/{all}"))
        };
        let groups = by_check(self.report, |_| true);
        let titles: HashMap<_, _> = groups.iter().map(|g| (g.check, shown(&g.title))).collect();
        let moved = movement.moved.iter().take(MOVED_MAX).map(|moved| MovedView {
            direction: direction(moved.points),
            points: points(moved.points),
            title: titles.get(moved.check.as_str()).cloned().unwrap_or_else(|| shown(&moved.check)),
            change: format!("{} → {}", pair(moved.before), pair(moved.after)),
        });
        Some(MovementView {
            direction: direction(change),
            points: points(change),
            since: self.labels.with(key::SINCE, &[("time", &self.labels.time(&movement.since))]),
            moved: moved.collect(),
            more: self.labels.more(movement.moved.len().saturating_sub(MOVED_MAX)),
        })
    }
}

fn direction(points: f64) -> &'static str {
    if points >= 0.05 {
        "up"
    } else if points <= -0.05 {
        "down"
    } else {
        "same"
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of findings are far below 2^52")]
fn parts(counts: &Counts) -> Vec<PartView> {
    let all = counts.total().max(1) as f64;
    let mut at = 0.0;
    let parts = Status::WORST_FIRST.map(|status| {
        let count = counts.of(status);
        let wide = 100.0 * count as f64 / all;
        let part = PartView { status, count, at, wide };
        at += wide;
        part
    });
    parts.into()
}
