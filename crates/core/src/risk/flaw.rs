//! A vulnerability as far as its rank needs it.

use serde::{Deserialize, Serialize};

use super::{Weight, base};
use crate::vulnerability::{Rating, Vulnerability};

/// Whether the code of a vulnerable package was seen to be used in a container.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Watched without a gap, and never opened.
    Idle,
    /// It is not known.
    #[default]
    Unknown,
    /// A file of it was executed, mapped as code or held open.
    Used,
}

impl Usage {
    /// As a factor.
    pub fn weight(self) -> Weight {
        match self {
            Self::Idle => Weight::new("executed", 0.25, "executed.idle"),
            Self::Unknown => Weight::new("executed", 1.0, "executed.unknown"),
            Self::Used => Weight::new("executed", 2.0, "executed.used"),
        }
    }
}

/// A vulnerability in one package, wherever that is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Flaw {
    /// How bad it is, by whoever's word counts for this package.
    pub rating: Rating,
    /// The CVSS score; absent if there is none.
    pub score: Option<f64>,
    /// Whether it is known to be exploited.
    pub exploited: bool,
    /// Probability that it is exploited within 30 days, 0 to 1; absent if unknown.
    pub epss: Option<f64>,
    /// Whether a fixed version exists.
    pub fixable: bool,
}

impl From<&Vulnerability> for Flaw {
    fn from(of: &Vulnerability) -> Self {
        Self {
            rating: of.rating,
            score: of.scores.first().map(|score| score.score),
            exploited: of.exploited.is_some(),
            epss: of.epss.map(|epss| epss.score),
            fixable: !of.fixed.is_empty(),
        }
    }
}

impl Flaw {
    /// Its factors that are the same in every container, the severity first.
    pub fn weights(&self) -> Vec<Weight> {
        let mut weights = vec![self.severity()];
        if self.exploited {
            weights.push(Weight::new("exploited", 4.0, "exploited"));
        }
        weights.extend(self.likely());
        if self.fixable {
            weights.push(Weight::new("fixable", 1.2, "fixable"));
        }
        weights
    }

    /// The CVSS score, unless the word that counts says that it is worse or better than that: then the middle of that.
    fn severity(&self) -> Weight {
        let (middle, key) = match self.rating {
            Rating::Critical => (9.5, "severity.flaw.critical"),
            Rating::High => (8.0, "severity.flaw.high"),
            Rating::Medium => (5.5, "severity.flaw.medium"),
            Rating::Low => (2.5, "severity.flaw.low"),
            Rating::Negligible => (0.5, "severity.flaw.negligible"),
            // Not known is not harmless.
            Rating::Unknown => (5.5, "severity.flaw.unknown"),
        };
        match self.score.filter(|score| Rating::of_score(*score) == self.rating) {
            Some(score) => Weight::new("severity", base(score.min(10.0)), "severity.cvss")
                .with("score", format!("{:.1}", score.min(10.0))),
            None => Weight::new("severity", base(middle), key),
        }
    }

    /// From half to twice, by the root of the probability, because most are far below 0.1 and differ there. What is known
    /// to be exploited is not made less by a forecast.
    fn likely(&self) -> Option<Weight> {
        let epss = self.epss.filter(|epss| !epss.is_nan())?.clamp(0.0, 1.0);
        let times = (0.5 + 1.5 * epss.sqrt()).max(if self.exploited { 1.0 } else { 0.0 });
        let times = (times * 100.0).round() / 100.0;
        let key = if times < 1.0 { "likely.less" } else { "likely.more" };
        Some(Weight::new("likely", times, key).with("percent", percent(epss)))
    }
}

fn percent(part: f64) -> String {
    match part * 100.0 {
        small if small < 0.1 => "< 0.1".to_owned(),
        some => format!("{some:.1}"),
    }
}
