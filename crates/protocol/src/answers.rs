//! What questions are answered with. Words of [`haechi_core`] wherever there are some; text is in both languages where
//! it is Haechi's own.

use std::collections::BTreeMap;

use haechi_core::Text;
use haechi_core::activity::Activity;
use haechi_core::alert::{Alert, Priority};
use haechi_core::finding::{Area, Finding, Severity, Status};
use haechi_core::policy::Exception;
use haechi_core::report::images::ImageLine;
use haechi_core::report::profiles::PackageStates;
use haechi_core::report::{Counts, HostLine};
use haechi_core::response::Action;
pub use haechi_core::risk::{RiskFactor, RiskLine};
use haechi_core::score::{Movement, Score};
use haechi_core::verdict::Safety;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::MonitorState;
use crate::profiles::ProfileLink;

/// It was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct List<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// What to ask the next page with (`before` or `after`); absent at the end.
    pub next: Option<String>,
    /// How many there are altogether, if that is known without counting long.
    pub total: Option<u64>,
}

/// So many of the checks that moved the score are shown.
pub const MOVED: usize = 10;

/// A page of a list of what verifications see, the highest rank first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RankedListOf{T}")]
pub struct Ranked<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// What to ask the next page with (`after`); absent at the end.
    pub next: Option<String>,
    /// How many there are altogether, if that is known without counting long.
    pub total: Option<u64>,
    /// Whether the newest verification could not list them: then they are as an earlier one saw them.
    #[serde(default)]
    pub stale: bool,
}

/// The first page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// The verification that it shows; absent before the first one has ended.
    pub verification: Option<VerificationLine>,
    /// Host and engine.
    pub host: HostLine,
    /// Posture score.
    pub score: Score,
    /// What moved it since the verification before.
    pub movement: Option<Movement>,
    /// Titles of the first [`MOVED`] checks that moved it by a tenth of a point or more, by their ids; of checks that
    /// Haechi has no more there are none.
    #[serde(default)]
    pub titles: BTreeMap<String, Text>,
    /// The areas, in their order.
    pub areas: Vec<AreaLine>,
    /// Scores of the last verifications, the oldest first.
    pub trend: Vec<TrendPoint>,
    /// What is most at risk, first.
    pub risks: Vec<RiskLine>,
    /// Whether `risks` were ranked by the verification that is shown. If not, containers or images could not be listed
    /// then, or it is not the newest: an empty list says nothing, another one is of an earlier verification.
    #[serde(default)]
    pub ranked: bool,
    /// Alerts of the last day by priority.
    pub alerts: BTreeMap<Priority, u64>,
    /// Alerts of the last day, equal ones together: the most urgent first, then the newest.
    pub newest: Vec<AlertGroup>,
    /// Whether containers are watched, and what that lacks.
    pub monitor: MonitorState,
    /// Work that goes on.
    pub jobs: Vec<Job>,
}

/// An area in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AreaLine {
    /// Which.
    pub area: Area,
    /// Its score; absent if no check applied.
    pub score: Option<f64>,
    /// Findings by status.
    pub counts: Counts,
    /// Failing findings by severity.
    pub failing: BTreeMap<Severity, u64>,
}

/// A score at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrendPoint {
    /// Number of the verification.
    pub verification: i64,
    /// When (RFC 3339, UTC).
    pub taken_at: String,
    /// Score of the whole.
    pub score: Option<f64>,
    /// Whether everything could be seen. If not, the score is of what was seen.
    #[serde(default)]
    pub complete: bool,
}

/// A verification in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationLine {
    /// Its number.
    pub number: i64,
    /// When (RFC 3339, UTC).
    pub taken_at: String,
    /// Name of the host.
    pub host: String,
    /// Id of the benchmark.
    pub benchmark: String,
    /// Score of the whole.
    pub score: Option<f64>,
    /// Findings by status.
    pub counts: Counts,
    /// Whether everything was looked at that can be.
    pub complete: bool,
}

/// A benchmark in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BenchmarkLine {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// Number of items.
    pub items: u64,
}

/// Items of a benchmark with the sections that they are in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Items {
    /// The verification that decided them.
    pub verification: Option<VerificationLine>,
    /// Items by status, without regard to what was asked for.
    pub counts: Counts,
    /// Those that were asked for, in the benchmark's order.
    pub rows: Vec<ItemRow>,
}

/// An item in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ItemRow {
    /// Id, as `5.4`.
    pub id: String,
    /// Title.
    pub title: Text,
    /// Section.
    pub section: Text,
    /// Status.
    pub status: Status,
    /// The worst severity among the findings that decide its status.
    pub severity: Severity,
    /// Areas of its findings.
    pub areas: Vec<Area>,
    /// Its findings by status.
    pub counts: Counts,
    /// Since when it has not been seen to be as it should be; absent if it is.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
}

/// A finding as pages show it: what is accepted by now shows as accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingRow {
    /// The finding.
    pub finding: Finding,
    /// Id of the benchmark that its items are of.
    pub benchmark: String,
    /// Items of the benchmark that it belongs to, in the benchmark's order.
    pub items: Vec<String>,
    /// Since when it has not been seen to be as it should be; absent if it is, or if that is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
}

/// An item with all that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ItemPage {
    /// In short.
    pub item: ItemRow,
    /// Its findings, worst first: a page of them. How many there are is in `item.counts`.
    pub findings: Vec<FindingRow>,
    /// What to ask the next page of findings with (`after`); absent at the end.
    pub next: Option<String>,
    /// Its status in the last verifications, the newest first.
    pub history: Vec<PastStatus>,
}

/// How something was decided once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PastStatus {
    /// Number of the verification.
    pub verification: i64,
    /// When (RFC 3339, UTC).
    pub taken_at: String,
    /// Status.
    pub status: Status,
}

/// An exception.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExceptionLine {
    /// Its number; absent if it is of the policy's file.
    pub number: Option<i64>,
    /// What is accepted, why, by whom and until when.
    pub exception: Exception,
    /// Whether it has ended.
    pub expired: bool,
    /// When it was accepted; absent if it is of the policy's file, which does not say.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(default)]
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back; absent if it was not.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(default)]
    pub withdrawn_at: Option<Timestamp>,
}

/// An image in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageRow {
    /// What the report says of it.
    pub image: ImageLine,
    /// Its rank.
    pub rank: f64,
    /// Whether its reference carries the mark.
    pub marked: bool,
}

/// An image with all that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePage {
    /// In short.
    pub image: ImageRow,
    /// The report about it, as `haechi image scan --format json` gives it; absent if it was not scanned.
    pub report: Option<serde_json::Value>,
    /// Findings about it.
    pub findings: Vec<FindingRow>,
    /// Containers that were made from it, those at most risk first; at most 100.
    pub containers: Vec<ContainerRow>,
    /// Vulnerable packages whose code was seen to be used in a container, as `NAME VERSION`. Of others it is not known.
    pub used: Vec<String>,
    /// What was seen of its packages in all of its containers, by `NAME VERSION`; empty if none of them was watched.
    #[serde(default)]
    pub seen: PackageStates,
    /// What its containers were seen to do.
    #[serde(default)]
    pub profiles: Vec<ProfileLink>,
}

/// A container in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerRow {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The reference that it was created from.
    pub image: String,
    /// Id of the image.
    pub image_id: String,
    /// What is thought of the image.
    pub safety: Option<Safety>,
    /// As the engine says: `running`, `paused`, `exited` …; `gone` if there is none of this id any more, `unknown` if
    /// that cannot be told.
    pub state: String,
    /// Whether the last verification saw it. One that came later has no rank and no findings yet: nothing is known of it.
    pub verified: bool,
    /// Its rank.
    pub rank: f64,
    /// Findings by status.
    pub counts: Counts,
    /// Failing findings by severity.
    pub failing: BTreeMap<Severity, u64>,
    /// Alerts of the last day; 1000 stands for that many or more.
    pub alerts: u64,
}

/// A container with all that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerPage {
    /// In short.
    pub container: ContainerRow,
    /// How its rank came about.
    pub risks: Vec<RiskLine>,
    /// Findings about it, worst first.
    pub findings: Vec<FindingRow>,
    /// Its processes, as they are now; absent if it does not run or they cannot be seen.
    pub processes: Option<Vec<ProcessRow>>,
    /// Connections, as they are now.
    pub connections: Vec<Connection>,
    /// What it uses now; absent if it does not run or that cannot be seen.
    pub resources: Option<Resources>,
    /// What of the above could not be seen, and why, in words.
    pub unseen: Vec<String>,
    /// Its image with the most urgent vulnerabilities; absent if the last verification did not see it.
    pub image: Option<ImageRow>,
    /// The newest alerts.
    pub alerts: Vec<AlertRow>,
    /// What was done to it.
    pub actions: Vec<ActionRow>,
    /// What it was seen to do.
    #[serde(default)]
    pub profiles: Vec<ProfileLink>,
}

/// What a container uses. What the kernel does not say is absent; a limit that is absent is none, or not told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Limit of memory in bytes.
    pub memory_max: Option<u64>,
    /// Processors in use on average while this was read: 1 is one processor.
    pub cpu: Option<f64>,
    /// Time of processors used since it was started, in microseconds.
    pub cpu_us: Option<u64>,
    /// Limit of processors: 0.5 is half of one.
    pub cpu_max: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Limit of processes and threads.
    pub pids_max: Option<u64>,
}

/// A process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessRow {
    /// Id on the host.
    pub pid: u32,
    /// Id of the parent on the host.
    pub parent: u32,
    /// User id.
    pub uid: u32,
    /// Command line, secrets redacted.
    pub command: String,
}

/// A connection of a container, or a port that it listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// `tcp`, `udp`.
    pub protocol: String,
    /// Address and port here.
    pub local: String,
    /// Address and port there; empty if it listens.
    pub remote: String,
}

/// What a person does to a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Freeze it.
    #[default]
    Pause,
    /// Let it go on.
    Resume,
    /// Stop it.
    Stop,
}

/// An alert with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertRow {
    /// Its number.
    pub number: i64,
    /// The alert.
    pub alert: Alert,
}

/// Alerts of one rule in one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertGroup {
    /// The newest.
    pub row: AlertRow,
    /// How many there are.
    pub count: u64,
    /// Whether there may be more: no more were counted.
    pub more: bool,
}

/// An alert with what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertPage {
    /// The alert.
    pub row: AlertRow,
    /// What was done.
    pub actions: Vec<ActionRow>,
}

/// An action with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionRow {
    /// Its number.
    pub number: i64,
    /// The action.
    pub action: Action,
}

/// An activity with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityRow {
    /// Its number.
    pub number: i64,
    /// The activity.
    pub activity: Activity,
}

/// What happened since a place in the stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewsPage {
    /// The place after them.
    pub cursor: String,
    /// Whether some before these are not known any more: then the whole page is to be looked at again.
    pub gap: bool,
    /// Alerts, the oldest first.
    pub alerts: Vec<AlertRow>,
    /// Actions that were begun or came to an end.
    pub actions: Vec<ActionRow>,
    /// Work that goes on or has ended.
    pub jobs: Vec<Job>,
    /// The number of a verification that has ended.
    pub verification: Option<i64>,
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for its turn.
    Waiting,
    /// It goes on.
    Running,
    /// It was done.
    Done,
    /// It failed.
    Failed,
}

/// Work that takes longer than an answer may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its number.
    pub number: i64,
    /// `verify`, `scan`, `update`.
    pub kind: String,
    /// What it is about; empty if about everything.
    pub subject: String,
    /// Who asked for it; empty if nobody did.
    pub by: String,
    /// How far it is.
    pub state: JobState,
    /// Done of all parts, if that is known.
    pub progress: Option<(u64, u64)>,
    /// What went wrong: a word of Haechi's own (`job.problem` in `texts/web.yaml`), else the last that was said.
    pub problem: Option<String>,
    /// When it was asked for.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// When it ended.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub ended: Option<Timestamp>,
}
