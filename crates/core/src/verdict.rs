//! Whether an image is safe to run, by the policy: a [`Verdict`], and the [`ImageReport`] that carries it.
//!
//! Pure: the same scan, assessment and policy give the same verdict. What could not be decided makes an image
//! undecided, never safe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inventory::{Part, Scan};
use crate::policy::Images;
use crate::report::profiles::{PackageState, PackageStates};
use crate::vulnerability::{Assessment, FixState, Rating, Vulnerability};

/// The version of the JSON report about one image that this Haechi writes.
pub const IMAGE_REPORT_SCHEMA: &str = "haechi/image-report/v1";

/// Most reasons that are listed one by one.
const REASONS_MAX: usize = 1000;

/// What is thought of an image. Ordered from best to worst.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// Nothing above the policy's threshold, and everything could be decided.
    Safe,
    /// Nothing above the threshold was seen, but not everything could be decided.
    Undecided,
    /// Something above the policy's threshold.
    Unsafe,
}

impl Safety {
    /// The name used in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Undecided => "undecided",
            Self::Unsafe => "unsafe",
        }
    }
}

/// Why an image is not safe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// A vulnerability at or above the threshold.
    Vulnerability {
        /// Its id.
        id: String,
        /// The package that has it.
        package: String,
        /// The version that fixes it; empty if there is none.
        fixed: String,
    },
    /// A vulnerability that is known to be exploited.
    Exploited {
        /// Its id.
        id: String,
        /// The package that has it.
        package: String,
    },
    /// Malware.
    Malware {
        /// The rule.
        rule: String,
        /// The file.
        path: String,
    },
    /// A secret.
    Secret {
        /// The detector.
        detector: String,
        /// Where it is.
        place: String,
    },
    /// Something could not be read.
    Unread {
        /// Where.
        place: String,
        /// Why.
        detail: String,
    },
    /// A package could not be decided.
    Undecided {
        /// The package.
        package: String,
        /// Why.
        detail: String,
    },
}

impl Reason {
    /// What this reason makes of an image.
    pub fn safety(&self) -> Safety {
        match self {
            Self::Unread { .. } | Self::Undecided { .. } => Safety::Undecided,
            _ => Safety::Unsafe,
        }
    }
}

/// What is thought of an image, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// What is thought of it.
    pub safety: Safety,
    /// Why, worst first; empty if it is safe.
    pub reasons: Vec<Reason>,
    /// Reasons left out of the list.
    pub more: u64,
}

impl Verdict {
    /// Decides.
    pub fn of(scan: &Scan, assessment: &Assessment, policy: &Images) -> Self {
        let mut reasons = Vec::new();
        for vulnerability in &assessment.vulnerabilities {
            let (id, package) = (vulnerability.id.clone(), vulnerability.name.clone());
            let fixable = vulnerability.state == FixState::Fixed;
            if vulnerability.exploited.is_some() && policy.unsafe_exploited {
                reasons.push(Reason::Exploited { id, package });
            } else if vulnerability.rating >= policy.unsafe_rating
                && (fixable || !policy.unsafe_fixable_only)
            {
                let fixed = vulnerability.fixed.clone();
                reasons.push(Reason::Vulnerability { id, package, fixed });
            }
        }
        // One that nobody has rated may be above the threshold or below it.
        let unrated = assessment.vulnerabilities.iter().filter(|v| v.rating == Rating::Unknown);
        reasons.extend(unrated.filter(|v| v.exploited.is_none()).map(|v| Reason::Undecided {
            package: v.name.clone(),
            detail: format!("{} is not rated by anybody yet", v.id),
        }));
        if policy.unsafe_malware {
            reasons.extend(
                scan.malware
                    .iter()
                    .filter(|hit| hit.severity >= crate::Severity::High)
                    .map(|hit| Reason::Malware { rule: hit.rule.clone(), path: hit.path.clone() }),
            );
        }
        if policy.unsafe_secrets {
            reasons.extend(scan.secrets.iter().map(|secret| Reason::Secret {
                detector: secret.detector.clone(),
                place: secret.place.clone(),
            }));
        }
        reasons.extend(scan.problems.iter().filter(|p| !p.affects.is_empty()).map(|problem| {
            Reason::Unread { place: problem.place.clone(), detail: problem.detail.clone() }
        }));
        reasons.extend(assessment.undecided.iter().map(|undecided| Reason::Undecided {
            package: undecided.name.clone(),
            detail: undecided.detail.clone(),
        }));
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.safety()));
        let safety = reasons.first().map_or(Safety::Safe, Reason::safety);
        let more = reasons.len().saturating_sub(REASONS_MAX) as u64;
        reasons.truncate(REASONS_MAX);
        Self { safety, reasons, more }
    }
}

/// Everything about one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageReport {
    /// Format and version: [`IMAGE_REPORT_SCHEMA`].
    pub schema: String,
    /// The Haechi that made it.
    pub haechi_version: String,
    /// When (RFC 3339, UTC).
    pub taken_at: String,
    /// What it holds.
    pub scan: Scan,
    /// What is known to be wrong with that.
    pub assessment: Assessment,
    /// What is thought of it.
    pub verdict: Verdict,
    /// Names of the containers that run it, if that is known.
    pub containers: Vec<String>,
    /// What was seen of its packages in its containers; empty if none of them was watched.
    #[serde(default)]
    pub seen: PackageStates,
}

impl ImageReport {
    /// Whether this part of the image was read to its end.
    pub fn is_whole(&self, part: Part) -> bool {
        self.scan.is_whole(part)
    }

    /// What was seen of the package that has a vulnerability; absent if no container of the image was watched.
    pub fn seen_of(&self, flaw: &Vulnerability) -> Option<PackageState> {
        if self.seen.is_empty() {
            return None;
        }
        let place = format!("{} {}", flaw.name, flaw.installed);
        Some(self.seen.get(&place).copied().unwrap_or(PackageState::Unknown))
    }

    /// How many vulnerabilities have each rating, worst first.
    pub fn counts(&self) -> [(Rating, usize); 6] {
        Rating::WORST_FIRST.map(|rating| {
            let count =
                self.assessment.vulnerabilities.iter().filter(|v| v.rating == rating).count();
            (rating, count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{PackageKind, Problem, ProblemKind};
    use crate::vulnerability::Vulnerability;

    fn vulnerability(rating: Rating, state: FixState) -> Vulnerability {
        Vulnerability {
            id: "CVE-1".into(),
            aliases: vec![],
            advisories: vec![],
            package: String::new(),
            kind: PackageKind::Deb,
            name: "a".into(),
            installed: "1".into(),
            path: String::new(),
            layer: None,
            state,
            fixed: String::new(),
            command: String::new(),
            rating,
            rated_by: String::new(),
            scores: vec![],
            exploited: None,
            epss: None,
            title: String::new(),
            description: String::new(),
            urls: vec![],
            cwes: vec![],
            published: String::new(),
            source: String::new(),
            rank: 0.0,
        }
    }

    #[test]
    fn the_threshold_decides() {
        let scan = Scan::default();
        let policy = Images::default();
        let of = |rating, state| {
            let vulnerabilities = vec![vulnerability(rating, state)];
            let assessment = Assessment { vulnerabilities, ..Assessment::default() };
            Verdict::of(&scan, &assessment, &policy).safety
        };
        assert_eq!(of(Rating::Critical, FixState::Fixed), Safety::Unsafe);
        assert_eq!(of(Rating::High, FixState::Fixed), Safety::Safe);
        assert_eq!(of(Rating::Unknown, FixState::Fixed), Safety::Undecided);
    }

    #[test]
    fn what_was_not_read_is_not_safe() {
        let problem = |affects| Problem {
            kind: ProblemKind::Truncated,
            place: "x".into(),
            layer: None,
            detail: "y".into(),
            affects,
        };
        let of = |affects| {
            let scan = Scan { problems: vec![problem(affects)], ..Scan::default() };
            Verdict::of(&scan, &Assessment::default(), &Images::default()).safety
        };
        assert_eq!(of(vec![Part::Packages]), Safety::Undecided);
        assert_eq!(of(vec![]), Safety::Safe);
    }
}
