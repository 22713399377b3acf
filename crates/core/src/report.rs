//! A verification's result: every item of a benchmark with its findings, the summary and the score.
//!
//! A [`Report`] is complete and sorted; renderers only print it.

pub mod fixes;
pub mod images;
pub mod profiles;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Gap;
use crate::finding::{Area, Finding, Severity, Status};
use crate::report::images::ImageLine;
use crate::report::profiles::ProfileLine;
use crate::score::{Movement, Score};
use crate::text::{Lang, Text};

/// The version of the JSON report that this Haechi writes.
pub const REPORT_SCHEMA: &str = "haechi/report/v1";

/// One verification of one host against one benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report<T = Text> {
    /// Format and version: [`REPORT_SCHEMA`].
    pub schema: String,
    /// The Haechi that decided it.
    pub haechi_version: String,
    /// Id of the benchmark.
    pub benchmark: String,
    /// Title of the benchmark.
    pub benchmark_title: String,
    /// What was verified.
    pub host: HostLine,
    /// When the facts were taken (RFC 3339, UTC).
    pub taken_at: String,
    /// How long collecting took, in milliseconds.
    pub collect_ms: i64,
    /// How long evaluating took, in milliseconds.
    pub evaluate_ms: i64,
    /// The policy that was used: a path, or `defaults`.
    pub policy: String,
    /// Policy keys left at Haechi's default on which at least one finding depends.
    pub policy_defaults: Vec<String>,
    /// Counts.
    pub summary: Summary,
    /// Posture score.
    pub score: Score,
    /// What moved the score since the last verification of this host; absent if there is none.
    pub movement: Option<Movement>,
    /// What could not be observed.
    pub gaps: Vec<Gap>,
    /// Images, worst first; empty if they were not scanned.
    #[serde(default)]
    pub images: Vec<ImageLine>,
    /// Workloads that were watched; empty if none was, or if that was not looked up.
    #[serde(default)]
    pub profiles: Vec<ProfileLine>,
    /// Every item of the benchmark, in its order.
    pub items: Vec<Item<T>>,
}

/// The host and engine that a report is about, on one line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostLine {
    /// Host name (the engine's, if it is on another host).
    pub name: String,
    /// Distribution.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Engine and version; empty if there was none.
    pub engine: String,
    /// Number of containers; -1 if unknown.
    pub containers: i64,
    /// Number of running containers; -1 if unknown.
    pub running: i64,
    /// Number of images; -1 if unknown.
    pub images: i64,
}

/// One item of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item<T = Text> {
    /// Id in the benchmark, as `5.4`.
    pub id: String,
    /// Title.
    pub title: T,
    /// Title of the section it belongs to.
    pub section: T,
    /// The worst status of its findings.
    pub status: Status,
    /// Its findings, sorted by status (worst first), check and subject; never empty.
    pub findings: Vec<Finding<T>>,
}

/// Counts of findings and items. A finding that several items share is counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Items by status.
    pub items: Counts,
    /// Findings by status.
    pub findings: Counts,
    /// Findings by area and status.
    pub areas: BTreeMap<Area, Counts>,
    /// Failing findings by severity.
    pub failing: BTreeMap<Severity, u64>,
    /// Failing findings by area and severity.
    pub failing_by_area: BTreeMap<Area, BTreeMap<Severity, u64>>,
}

/// How many of each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Passed.
    pub pass: u64,
    /// Failed.
    pub fail: u64,
    /// Failed and accepted by the site.
    pub excepted: u64,
    /// Could not be verified.
    pub unverified: u64,
    /// Nothing to verify.
    pub not_applicable: u64,
}

impl Counts {
    /// Counts one more of `status`.
    pub fn add(&mut self, status: Status) {
        match status {
            Status::Pass => self.pass += 1,
            Status::Fail => self.fail += 1,
            Status::Excepted => self.excepted += 1,
            Status::Unverified => self.unverified += 1,
            Status::NotApplicable => self.not_applicable += 1,
        }
    }

    /// The count of one status.
    pub fn of(&self, status: Status) -> u64 {
        match status {
            Status::Pass => self.pass,
            Status::Fail => self.fail,
            Status::Excepted => self.excepted,
            Status::Unverified => self.unverified,
            Status::NotApplicable => self.not_applicable,
        }
    }

    /// The worst status of which there is one.
    pub fn worst(&self) -> Option<Status> {
        Status::WORST_FIRST.into_iter().find(|status| self.of(*status) > 0)
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.pass + self.fail + self.excepted + self.unverified + self.not_applicable
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.excepted += other.excepted;
        self.unverified += other.unverified;
        self.not_applicable += other.not_applicable;
    }
}

impl Summary {
    /// Counts the items and, each once, their findings.
    pub fn of<T>(items: &[Item<T>]) -> Self {
        let mut summary = Self::default();
        for area in Area::ALL {
            summary.areas.insert(area, Counts::default());
            summary.failing_by_area.insert(area, BTreeMap::new());
        }
        for item in items {
            summary.items.add(item.status);
        }
        for finding in distinct(items) {
            summary.findings.add(finding.status);
            summary.areas.entry(finding.area).or_default().add(finding.status);
            if finding.status == Status::Fail {
                *summary.failing.entry(finding.severity).or_default() += 1;
                let by_severity = summary.failing_by_area.entry(finding.area).or_default();
                *by_severity.entry(finding.severity).or_default() += 1;
            }
        }
        summary
    }
}

/// The area most at risk: the one with most failing findings of the worst severity, then of the next one and so on; of
/// areas that are alike in that, the one with the lowest score. Given is each area with its failing findings and its
/// score. `None` if nothing fails, or if two are alike in all.
pub fn most_at_risk<'a>(
    areas: impl IntoIterator<Item = (Area, &'a BTreeMap<Severity, u64>, Option<f64>)>,
) -> Option<Area> {
    let counted = areas.into_iter().map(|(area, failing, score)| {
        let counts = Severity::WORST_FIRST.map(|one| failing.get(&one).copied().unwrap_or(0));
        (counts, score.unwrap_or(100.0), area)
    });
    let mut failing: Vec<_> =
        counted.filter(|(counts, ..)| counts.iter().any(|n| *n > 0)).collect();
    failing.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.total_cmp(&b.1)));
    match failing.as_slice() {
        [first, second, ..] if (first.0, first.1) == (second.0, second.1) => None,
        [(.., area), ..] => Some(*area),
        [] => None,
    }
}

/// The findings of all items, each once (a check can serve several items), in the order of the items.
pub fn distinct<T>(items: &[Item<T>]) -> impl Iterator<Item = &Finding<T>> {
    let mut seen = std::collections::HashSet::new();
    items.iter().flat_map(|item| &item.findings).filter(move |finding| seen.insert(finding.key()))
}

impl<T> Item<T> {
    /// An item whose status is the worst of its findings, with the findings sorted.
    ///
    /// An item without findings is `unverified`: nothing was decided. Benchmarks are checked when they are
    /// loaded, so that this does not happen.
    pub fn new(id: String, title: T, section: T, mut findings: Vec<Finding<T>>) -> Self {
        findings.sort_by(|a, b| {
            b.status
                .cmp(&a.status)
                .then(b.severity.cmp(&a.severity))
                .then_with(|| a.check.cmp(&b.check))
                .then_with(|| a.subject.cmp(&b.subject))
        });
        let status = findings.first().map_or(Status::Unverified, |worst| worst.status);
        Self { id, title, section, status, findings }
    }
}

impl Report<Text> {
    /// The report in one language.
    pub fn in_lang(&self, lang: Lang) -> Report<String> {
        Report {
            schema: self.schema.clone(),
            haechi_version: self.haechi_version.clone(),
            benchmark: self.benchmark.clone(),
            benchmark_title: self.benchmark_title.clone(),
            host: self.host.clone(),
            taken_at: self.taken_at.clone(),
            collect_ms: self.collect_ms,
            evaluate_ms: self.evaluate_ms,
            policy: self.policy.clone(),
            policy_defaults: self.policy_defaults.clone(),
            summary: self.summary.clone(),
            score: self.score.clone(),
            movement: self.movement.clone(),
            gaps: self.gaps.clone(),
            images: self.images.clone(),
            profiles: self.profiles.clone(),
            items: self
                .items
                .iter()
                .map(|item| Item {
                    id: item.id.clone(),
                    title: item.title.get(lang).to_owned(),
                    section: item.section.get(lang).to_owned(),
                    status: item.status,
                    findings: item.findings.iter().map(|f| f.in_lang(lang)).collect(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area most at risk of three, each with its critical and low failing findings and its score.
    fn of(areas: [(u64, u64, f64); 3]) -> Option<Area> {
        let failing = areas.map(|(critical, low, _)| {
            BTreeMap::from([(Severity::Critical, critical), (Severity::Low, low)])
        });
        let scores = areas.map(|(.., score)| Some(score));
        let each = Area::ALL.iter().zip(&failing).zip(scores);
        most_at_risk(each.map(|((area, failing), score)| (*area, failing, score)))
    }

    #[test]
    fn what_fails_worst_is_most_at_risk_whatever_the_scores() {
        let (image, instance) = (Some(Area::Image), Some(Area::Instance));
        assert_eq!(of([(0, 3, 80.0), (0, 90, 12.0), (1, 0, 99.0)]), instance, "severity first");
        assert_eq!(of([(2, 0, 80.0), (3, 0, 90.0), (1, 99, 10.0)]), image, "then how many");
        assert_eq!(of([(2, 0, 10.0), (2, 1, 90.0), (0, 0, 0.0)]), image, "then the next severity");
        assert_eq!(of([(2, 1, 50.0), (2, 1, 49.9), (2, 1, 50.0)]), image, "then the score");
        assert_eq!(of([(2, 1, 50.0), (2, 1, 50.0), (0, 1, 50.0)]), None, "two are alike");
        assert_eq!(of([(0, 0, 0.0), (0, 0, 40.0), (0, 0, 100.0)]), None, "nothing fails");
    }
}
