//! What was decided: one [`Finding`] is a check decided for one subject.
//!
//! Statuses, areas, severities and causes are closed lists: there is no silent path from "could not
//! be decided" to [`Status::Pass`]. Rendering is `haechi-report`'s business, deciding `haechi-checks`'.

use std::fmt;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Lang, Text};

/// Which part of a container environment is at risk. Every check belongs to one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Host, engine, files, networks, swarm.
    Environment,
    /// Images, before they run.
    Image,
    /// Containers and services.
    Instance,
}

impl Area {
    /// All areas, in the order of every report.
    pub const ALL: [Self; 3] = [Self::Environment, Self::Image, Self::Instance];

    /// The name used in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Image => "image",
            Self::Instance => "instance",
        }
    }
}

/// How bad it is when a check fails. Ordered from least to worst.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Weakens a second line of defence.
    Low,
    /// Weakens a first line of defence.
    Medium,
    /// Lets an attacker who is inside go further.
    High,
    /// Hands over the host or the engine.
    Critical,
}

impl Severity {
    /// All severities, worst first, as reports list them.
    pub const WORST_FIRST: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The name used in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What was decided. Ordered so that the greatest is the one that an item with several findings shows:
/// fail, unverified, excepted, pass, not applicable.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// There is nothing here that the check is about; the reason is given.
    NotApplicable,
    /// Seen to be as expected.
    Pass,
    /// Not as expected, and the site accepted that, with reason, owner and expiry.
    Excepted,
    /// Could not be decided; the cause is given. Never counts as a pass.
    Unverified,
    /// Seen not to be as expected.
    Fail,
}

impl Status {
    /// All statuses, worst first.
    pub const WORST_FIRST: [Self; 5] =
        [Self::Fail, Self::Unverified, Self::Excepted, Self::Pass, Self::NotApplicable];

    /// The name used in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Pass => "pass",
            Self::Excepted => "excepted",
            Self::Unverified => "unverified",
            Self::Fail => "fail",
        }
    }
}

/// Why something could not be verified: a closed list, so that each has a text and a mend.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The kernel, a file or the engine refused to answer this user.
    Permission,
    /// The engine, host or registry could not be reached, or is another host than the one looked at.
    Unreachable,
    /// The fact is not in the snapshot, or what was read could not be understood.
    Missing,
    /// No answer within the time limit.
    TimedOut,
    /// It happens only at run time and was not observed, or not for long enough.
    NotObserved,
    /// The monitor lost events, so that absence proves nothing.
    EventsLost,
    /// The data that the verdict needs is older than the policy allows.
    DataTooOld,
    /// Needs the image module's scan.
    NeedsImageScan,
    /// Needs the vulnerability database.
    NeedsDatabase,
    /// Needs the run-time monitor.
    NeedsMonitor,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 10] = [
        Self::Permission,
        Self::Unreachable,
        Self::Missing,
        Self::TimedOut,
        Self::NotObserved,
        Self::EventsLost,
        Self::DataTooOld,
        Self::NeedsImageScan,
        Self::NeedsDatabase,
        Self::NeedsMonitor,
    ];

    /// The name used in JSON and in checks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Unreachable => "unreachable",
            Self::Missing => "missing",
            Self::TimedOut => "timed-out",
            Self::NotObserved => "not-observed",
            Self::EventsLost => "events-lost",
            Self::DataTooOld => "data-too-old",
            Self::NeedsImageScan => "needs-image-scan",
            Self::NeedsDatabase => "needs-database",
            Self::NeedsMonitor => "needs-monitor",
        }
    }
}

/// The kinds of things that checks are about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// The machine that runs the engine.
    Host,
    /// The container engine.
    Engine,
    /// A file or directory of the host that the engine relies on.
    File,
    /// The swarm that the engine is part of.
    Swarm,
    /// A swarm service.
    Service,
    /// A network of the engine.
    Network,
    /// A volume of the engine.
    Volume,
    /// An image.
    Image,
    /// A container, running or not.
    Container,
}

impl SubjectKind {
    /// The name used in JSON, in checks and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Engine => "engine",
            Self::File => "file",
            Self::Swarm => "swarm",
            Self::Service => "service",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
            Self::Container => "container",
        }
    }
}

macro_rules! display_by_name {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )*};
}
display_by_name!(Area, Severity, Status, Cause, SubjectKind);

/// What a finding is about. Sorted by kind, then name, then id.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Which kind of thing.
    pub kind: SubjectKind,
    /// The name that people know it by; for images the first reference, for files the path.
    pub name: String,
    /// The engine's id, or what else identifies it on this host.
    pub id: String,
}

/// What was seen, what was expected, and where it was read.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Evidence<T = Text> {
    /// What was observed, in the terms of the system it was observed on.
    pub seen: String,
    /// What the check asks for.
    pub expected: T,
    /// Where it was read: an API call and field, a file, a kernel interface.
    pub source: String,
}

/// The policy exception that made a failure an accepted one.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Why the site accepts it.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it counts.
    #[schemars(with = "String")]
    pub expires: Date,
}

/// One check decided for one subject.
///
/// `T` is [`Text`] inside Haechi and `String` once a language was chosen ([`Finding::in_lang`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding<T = Text> {
    /// Id of the check.
    pub check: String,
    /// Title of the check.
    pub title: T,
    /// Area of the check.
    pub area: Area,
    /// How bad a failure is.
    pub severity: Severity,
    /// What was decided.
    pub status: Status,
    /// What it was decided for.
    pub subject: Subject,
    /// What it was decided from; never empty.
    pub evidence: Vec<Evidence<T>>,
    /// Why it could not be verified; set exactly when the status is `unverified`.
    pub cause: Option<Cause>,
    /// Why it does not apply or could not be verified, in words.
    pub reason: Option<T>,
    /// The exception that accepted it; set exactly when the status is `excepted`.
    pub accepted: Option<Accepted>,
    /// What to do about it.
    pub remediation: T,
    /// The command or setting that mends this very subject, where there is one.
    pub fix: Option<String>,
    /// Policy keys that were left at Haechi's default and on which this finding depends.
    pub policy_defaults: Vec<String>,
}

impl Finding<Text> {
    /// The finding in one language.
    pub fn in_lang(&self, lang: Lang) -> Finding<String> {
        let pick = |text: &Text| text.get(lang).to_owned();
        Finding {
            check: self.check.clone(),
            title: pick(&self.title),
            area: self.area,
            severity: self.severity,
            status: self.status,
            subject: self.subject.clone(),
            evidence: self
                .evidence
                .iter()
                .map(|e| Evidence {
                    seen: e.seen.clone(),
                    expected: pick(&e.expected),
                    source: e.source.clone(),
                })
                .collect(),
            cause: self.cause,
            reason: self.reason.as_ref().map(pick),
            accepted: self.accepted.clone(),
            remediation: pick(&self.remediation),
            fix: self.fix.clone(),
            policy_defaults: self.policy_defaults.clone(),
        }
    }
}

impl<T> Finding<T> {
    /// What identifies a finding from one verification to the next.
    pub fn key(&self) -> (&str, &Subject) {
        (&self.check, &self.subject)
    }

    /// Whether somebody should do something: it fails, or could not be verified.
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Fail | Status::Unverified)
    }
}
