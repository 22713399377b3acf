//! What containers were seen to do, as questions are answered.

use haechi_core::Text;
use haechi_core::alert::Priority;
use haechi_core::allowance::Mode;
use haechi_core::profile::Kind;
use haechi_core::report::profiles::{PackageState, ProfileLine};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::AlertRow;

/// A profile with all that is known about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfilePage {
    /// In short.
    pub profile: ProfileLine,
    /// What it uses, by kind.
    pub used: Vec<UsedRow>,
    /// Packages of its image, those that run first; at most 1000. Empty if the image was not taken apart.
    pub packages: Vec<PackageRow>,
    /// Packages left out.
    pub packages_more: u64,
    /// Settings of its container: today, and the least that it needs.
    pub settings: Vec<SettingRow>,
    /// What has to be known before that is used.
    pub remarks: Vec<Text>,
    /// What is new since it was settled, the newest first; at most 200.
    pub news: Vec<NewsRow>,
    /// New things left out.
    pub news_more: u64,
    /// Its containers, those watched last first; at most 50.
    pub containers: Vec<ProfiledRow>,
    /// The newest alerts about something new in one of its containers.
    pub alerts: Vec<AlertRow>,
    /// What of it is in force, and what was found.
    pub enforced: EnforcedRow,
}

/// What of a profile is in force, who does it, and what was found that the profile does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnforcedRow {
    /// What is done; absent if nothing is in force.
    pub mode: Option<Mode>,
    /// Whether writing is limited as well.
    pub files: bool,
    /// Since when.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// Who set it; empty if nothing is in force.
    pub actor: String,
    /// Who does it now, and with which limits; empty if nothing is in force.
    pub said: Vec<Text>,
    /// What was found, the newest first; at most 100.
    pub found: Vec<RefusedRow>,
    /// What was found besides.
    pub found_more: u64,
}

/// Something that a profile did not have when it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedRow {
    /// When it was first.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first_at: Timestamp,
    /// When it was last.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_at: Timestamp,
    /// How often.
    pub times: u64,
    /// What was in force.
    pub mode: Mode,
    /// Path of the program or file.
    pub value: String,
    /// Why it is not what the profile has, in words.
    pub why: Text,
    /// What was done about it, or would be, in words.
    pub done: Text,
}

/// What is used of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsedRow {
    /// Which kind.
    pub kind: Kind,
    /// How many there are.
    pub count: u64,
    /// The first 200 of them, sorted.
    pub values: Vec<String>,
}

/// A package, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What was seen.
    pub state: PackageState,
    /// A file of it that was used; empty if none was.
    pub file: String,
    /// How many vulnerabilities of it are known.
    pub flaws: u64,
}

/// A setting, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingRow {
    /// Which.
    pub of: Text,
    /// What it is today.
    pub today: Text,
    /// What it would be.
    pub then: Text,
}

/// Something new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewsRow {
    /// When it was seen first.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What, in words.
    pub said: Text,
    /// How urgent it is; absent if no alert is given for it.
    pub priority: Option<Priority>,
    /// Full id of the container that it was seen in.
    pub container: String,
}

/// A container that was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfiledRow {
    /// Full id.
    pub id: String,
    /// Its name; empty if unknown.
    pub name: String,
    /// Until when it was watched.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub until: Timestamp,
}

/// A profile, to be linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileLink {
    /// Its number.
    pub number: i64,
    /// Whether it is settled.
    pub settled: bool,
    /// Entry point and arguments.
    pub command: Vec<String>,
    /// How many things are new since it was settled; absent if it never was while it was watched.
    pub news: Option<u64>,
}

/// What can be made from a profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A seccomp profile.
    #[default]
    Seccomp,
    /// An AppArmor profile.
    Apparmor,
    /// Options for `docker run`.
    Docker,
    /// A service of Compose.
    Compose,
    /// A pod of Kubernetes.
    Kubernetes,
    /// OpenVEX statements about its image.
    Vex,
}

/// A file that was made from a profile, or why it was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeFile {
    /// Its name.
    pub name: String,
    /// What is in it; absent if the profile is not known well enough, or if it could not be made.
    pub content: Option<String>,
    /// Why it was not made, line by line, in the language of the host; what has to be known about it if it was.
    pub said: Vec<String>,
}
