//! The posture score: one number from 0 to 100 for the whole and for each area, and what moved it.
//!
//! Formula (documented for readers in `docs/score.md`): every check that applies to at least one subject has
//! a weight by severity (critical 10, high 5, medium 3, low 1) and a share = passing subjects ÷ (passing +
//! failing + unverified subjects). The score is 100 × Σ(weight × share) ÷ Σ weight. Not-applicable and
//! excepted subjects count on neither side; an unverified subject counts like a failing one, so that not
//! looking never improves the score. Without any check that applies there is no score.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Area, Finding, Severity, Status};

/// The posture score with everything it was computed from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// 0 to 100, one decimal; absent if no check applied.
    pub total: Option<f64>,
    /// The same for each area.
    pub areas: BTreeMap<Area, Option<f64>>,
    /// What each check contributed.
    pub checks: BTreeMap<String, Share>,
}

/// What one check contributed to the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Its area.
    pub area: Area,
    /// Its weight.
    pub weight: u64,
    /// Subjects that pass.
    pub passing: u64,
    /// Subjects that pass, fail or could not be verified.
    pub counted: u64,
}

/// How the score changed since the last verification, and by what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Movement {
    /// When the last verification was (RFC 3339).
    pub since: String,
    /// Its score.
    pub before: Option<f64>,
    /// Checks that moved the score, strongest first.
    pub moved: Vec<Moved>,
}

impl Movement {
    /// The checks whose move shows: by a tenth of a point or more; and those whose move rounds to nothing.
    pub fn shown(&self) -> (&[Moved], &[Moved]) {
        self.moved.split_at(self.moved.partition_point(|moved| moved.points.abs() >= 0.05))
    }
}

/// One check that moved the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Id of the check.
    pub check: String,
    /// Points that its change alone makes of the total, one decimal.
    pub points: f64,
    /// Passing of counted subjects before; absent if the check did not apply.
    pub before: Option<(u64, u64)>,
    /// Passing of counted subjects now; absent if the check does not apply any more.
    pub after: Option<(u64, u64)>,
}

/// The weight of a severity.
pub fn weight(severity: Severity) -> u64 {
    match severity {
        Severity::Critical => 10,
        Severity::High => 5,
        Severity::Medium => 3,
        Severity::Low => 1,
    }
}

impl Score {
    /// Computes the score of some findings; a finding given twice counts once.
    pub fn of<'a, T: 'a>(findings: impl Iterator<Item = &'a Finding<T>>) -> Self {
        let mut checks: BTreeMap<String, Share> = BTreeMap::new();
        let mut seen = HashSet::new();
        for finding in findings.filter(|f| seen.insert(f.key())) {
            let (passing, counted) = match finding.status {
                Status::Pass => (1, 1),
                Status::Fail | Status::Unverified => (0, 1),
                Status::Excepted | Status::NotApplicable => continue,
            };
            let share = checks.entry(finding.check.clone()).or_insert(Share {
                area: finding.area,
                weight: weight(finding.severity),
                passing: 0,
                counted: 0,
            });
            share.passing += passing;
            share.counted += counted;
        }
        Self::of_shares(checks)
    }

    /// Computes the score of what each check contributes.
    pub fn of_shares(checks: BTreeMap<String, Share>) -> Self {
        let areas =
            Area::ALL.map(|area| (area, mean(checks.values().filter(|s| s.area == area)))).into();
        Self { total: mean(checks.values()), areas, checks }
    }

    /// What moved the score from `before` to `self`.
    pub fn movement(&self, since: &str, before: &Self) -> Movement {
        let ids: std::collections::BTreeSet<&String> =
            before.checks.keys().chain(self.checks.keys()).collect();
        let mut moved: Vec<Moved> = ids
            .into_iter()
            .filter_map(|id| {
                let (was, is) = (before.checks.get(id), self.checks.get(id));
                if was == is {
                    return None;
                }
                // The total as it would be with only this check changed back.
                let mut other = self.checks.clone();
                match was {
                    Some(share) => other.insert(id.clone(), *share),
                    None => other.remove(id),
                };
                let points = self.total.unwrap_or(0.0) - mean(other.values()).unwrap_or(0.0);
                let pair = |s: Option<&Share>| s.map(|s| (s.passing, s.counted));
                Some(Moved {
                    check: id.clone(),
                    points: tenth(points),
                    before: pair(was),
                    after: pair(is),
                })
            })
            .collect();
        moved.sort_by(|a, b| {
            b.points.abs().total_cmp(&a.points.abs()).then_with(|| a.check.cmp(&b.check))
        });
        Movement { since: since.to_owned(), before: before.total, moved }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of findings are far below 2^52")]
fn mean<'a>(shares: impl Iterator<Item = &'a Share>) -> Option<f64> {
    let (mut reached, mut possible) = (0.0, 0.0);
    for share in shares {
        reached += share.weight as f64 * share.passing as f64 / share.counted as f64;
        possible += share.weight as f64;
    }
    (possible > 0.0).then(|| tenth(100.0 * reached / possible))
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
