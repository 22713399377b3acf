//! Joint risk: how urgent something is here, from more than its severity. The formula is in `docs/risk.md`.
//!
//! A danger begins with how bad the flaw or finding is and is multiplied with what is known about the place where it is:
//! whether the code runs, who can reach it, what it may do there. [`rank`] makes a number from 0 to 100 of the product.
//! What is not known is multiplied with 1 and said, so that it neither looks good nor bad. Every [`Weight`] has a sentence.
//!
//! Pure. Nothing is collected here, and nothing is decided: a rank orders what checks and scans have found.

mod exposure;
mod flaw;
mod kept;

pub use exposure::{Exposure, Reach, Recent};
pub use flaw::{Flaw, Usage};
pub use kept::{ContainerKept, FlawKept, Given, ImageKept, Inventory, RiskKept};

use std::sync::LazyLock;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Area, Severity};
use crate::text::{Catalog, Lang, Text, visible};

/// A danger of 10 (a CVSS score of 10 about which nothing else is known) has the rank 50.
const MIDDLE: f64 = 10.0;
/// Letters of a name in a sentence.
const NAME_MAX: usize = 120;

/// The sentences. That every key is there in both languages is tested.
static TEXTS: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(include_str!("../../../texts/risk.yaml")).unwrap_or_default());

/// Why something is at risk: one factor of the joint rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RiskFactor {
    /// Its name, as `executed`, `reachable`, `exploited` (see `docs/risk.md`).
    pub factor: String,
    /// What the danger is multiplied with. The first factor, `severity`, is what it begins with; 1 changes nothing.
    pub times: f64,
    /// Why, in a sentence.
    pub why: Text,
}

/// Something that is at risk, with its rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RiskLine {
    /// From 0 to 100.
    pub rank: f64,
    /// Area.
    pub area: Area,
    /// What it is, in a sentence.
    pub title: Text,
    /// Where to read more: a path of the dashboard.
    pub link: String,
    /// How the rank came about.
    pub factors: Vec<RiskFactor>,
    /// What to do.
    pub remediation: Text,
    /// The command that does it, or several, a line each; empty if there is none.
    pub command: String,
    /// How many findings and vulnerabilities that would mend.
    pub mends: u64,
    /// Since when the first of them has not been as it should be; absent if that is not known.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

/// A factor before it is put into words.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Name of the factor.
    pub factor: &'static str,
    /// What the danger is multiplied with.
    pub times: f64,
    /// Key of its sentence.
    key: &'static str,
    /// What the sentence names.
    values: Vec<(&'static str, String)>,
}

impl Weight {
    fn new(factor: &'static str, times: f64, key: &'static str) -> Self {
        Self { factor, times, key, values: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// How bad a finding is: what its danger begins with.
    pub fn of_severity(severity: Severity) -> Self {
        let (score, key) = match severity {
            Severity::Critical => (9.5, "severity.critical"),
            Severity::High => (8.0, "severity.high"),
            Severity::Medium => (5.5, "severity.medium"),
            Severity::Low => (2.5, "severity.low"),
        };
        Self::new("severity", base(score), key)
    }

    /// What host, engine and swarm carry: every container.
    pub fn of_all_containers() -> Self {
        Self::new("all-containers", 2.0, "all-containers")
    }

    /// The engine takes calls from the network, at this address.
    pub fn of_engine_in_network(address: &str) -> Self {
        Self::new("engine-reachable", 2.0, "engine-reachable").with("address", name(address))
    }

    /// No container is made from the image.
    pub fn of_no_container() -> Self {
        Self::new("running", 0.2, "running.none")
    }

    /// In words.
    pub fn told(&self) -> RiskFactor {
        let values: Vec<(&str, &str)> = self.values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        RiskFactor {
            factor: self.factor.to_owned(),
            times: self.times,
            why: sentence(self.key, &values),
        }
    }
}

/// A score from 0 to 10 as what a danger begins with: squared, because twice the score is more than twice as bad.
fn base(score: f64) -> f64 {
    score * score / 10.0
}

/// The product of factors.
pub fn danger<'a>(weights: impl IntoIterator<Item = &'a Weight>) -> f64 {
    weights.into_iter().map(|weight| weight.times).product()
}

/// The rank of a danger: from 0 to 100 with one decimal, and never lower for a greater danger.
pub fn rank(danger: f64) -> f64 {
    // Not a number is no excuse: nothing that is not understood comes last.
    if danger.is_nan() || danger == f64::INFINITY {
        return 100.0;
    }
    let danger = danger.max(0.0);
    (1000.0 * danger / (danger + MIDDLE)).round() / 10.0
}

/// A sentence of `texts/risk.yaml` in both languages.
pub fn sentence(key: &str, values: &[(&str, &str)]) -> Text {
    Text::new(&TEXTS.with(Lang::En, key, values), &TEXTS.with(Lang::Ko, key, values))
}

/// A name that somebody else chose, for a sentence: made visible, and cut. An image without a reference is named by its
/// id, as people write it: twelve digits.
pub fn name(raw: &str) -> String {
    if let Some(digest) = raw.strip_prefix("sha256:")
        && digest.len() == 64
        && digest.bytes().all(|digit| digit.is_ascii_hexdigit())
    {
        return digest.chars().take(12).collect();
    }
    let shown = visible(raw);
    let mut letters = shown.chars();
    let mut out: String = letters.by_ref().take(NAME_MAX).collect();
    if letters.next().is_some() {
        out.push('…');
    }
    out
}

/// Some of many names, and how many more there are.
fn names(all: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = all.iter().take(SHOWN).map(|one| name(one)).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} +{more}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
