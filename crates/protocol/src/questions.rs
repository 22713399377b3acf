//! The table of questions. A new one is a row here, an answer at the desk, and, if people see it, a page.

use haechi_core::alert::Priority;
use haechi_core::finding::{Area, Severity, Status, SubjectKind};
use haechi_core::report::profiles::ProfileLine;
use haechi_core::response::Response;
use haechi_core::verdict::Safety;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::*;
use crate::people::*;
use crate::period::*;
use crate::profiles::*;
use crate::role::{Role, Scope};
use crate::route::{Method, Question, Route};
use crate::search::*;

/// Rows that a page of a list has if nothing else is asked for.
pub const LIMIT: u32 = 50;
/// Rows that a page of a list has at most.
pub const LIMIT_MAX: u32 = 500;
/// Letters that are looked for by [`Search`] at least.
pub const TEXT_MIN: usize = 2;
/// Letters that are looked for at most.
pub const TEXT_MAX: usize = 200;
/// Characters that a password has at least.
pub const PASSWORD_MIN: usize = 12;
/// Characters that a password has at most.
pub const PASSWORD_MAX: usize = 256;
/// Days that an API token lasts at most.
pub const DAYS_MAX: u16 = 365;

const fn limit() -> u32 {
    LIMIT
}

/// Names each question with its fields, its answer and its row.
macro_rules! questions {
    ($(
        $(#[doc = $about:literal])+
        $name:ident => $answer:ty, $method:ident $path:literal, $role:expr, {
            $($(#[$meta:meta])* $field:ident: $type:ty,)*
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$meta])* pub $field: $type,)* }

            impl Question for $name {
                type Answer = $answer;
            }

            impl From<$name> for Ask {
                fn from(question: $name) -> Self {
                    Self::$name(Box::new(question))
                }
            }
        )+

        /// Any question.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Ask {
            $($(#[doc = $about])+ $name(Box<$name>),)+
        }

        impl Ask {
            /// Its row.
            pub const fn route(&self) -> &'static Route {
                match self {
                    $(Self::$name(_) => {
                        const ROW: &Route = &Route {
                            name: stringify!($name),
                            about: concat!($($about, "\n"),+),
                            method: Method::$method,
                            path: $path,
                            role: $role,
                            question: |schemas| schemas.subschema_for::<$name>(),
                            answer: |schemas| schemas.subschema_for::<$answer>(),
                            read: |value| {
                                Ok(Ask::$name(Box::new(crate::route::read(value)?)))
                            },
                        };
                        ROW
                    })+
                }
            }
        }

        /// All rows, in the order of the API's document.
        pub fn routes() -> Vec<&'static Route> {
            vec![$(Ask::$name(Box::default()).route(),)+]
        }
    };
}

questions! {
    /// Opens a session.
    Login => LoggedIn, Post "/api/v1/session", None, {
        /// Name of the account.
        name: String,
        /// Its password.
        #[schemars(length(min = 1))]
        password: String,
    }
    /// Says who is logged in.
    Who => Me, Get "/api/v1/session", Some(Role::Viewer), {}
    /// Ends the session.
    Logout => Done, Delete "/api/v1/session", Some(Role::Viewer), {}
    /// Changes the password of whoever asks, and ends the other sessions of the account.
    ChangePassword => Done, Put "/api/v1/session/password", Some(Role::Viewer), {
        /// The password until now.
        #[schemars(length(min = 1))]
        old: String,
        /// The one from now on: 12 characters at least.
        #[schemars(length(min = PASSWORD_MIN, max = PASSWORD_MAX))]
        new: String,
    }

    /// Says which area is at risk, why, since when, and what to do first.
    Overview => Picture, Get "/api/v1/overview", Some(Role::Viewer), {
        /// Id of the benchmark; the one of the policy if not given.
        #[serde(default)]
        benchmark: Option<String>,
    }
    /// Lists verifications, the newest first.
    ListVerifications => List<VerificationLine>, Get "/api/v1/verifications", Some(Role::Viewer), {
        /// Of this benchmark only.
        #[serde(default)]
        benchmark: Option<String>,
        /// Those before this number.
        #[serde(default)]
        #[schemars(range(min = 1))]
        before: Option<i64>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Starts a verification; what goes on is told as a job.
    Verify => Job, Post "/api/v1/verifications", Some(Role::Operator), {}
    /// Lists the benchmarks.
    ListBenchmarks => List<BenchmarkLine>, Get "/api/v1/benchmarks", Some(Role::Viewer), {}
    /// Lists items of a benchmark as they were decided last.
    ListItems => Items, Get "/api/v1/benchmarks/{benchmark}/items", Some(Role::Viewer), {
        /// Id of the benchmark.
        benchmark: String,
        /// With findings of this area.
        #[serde(default)]
        area: Option<Area>,
        /// Of this status.
        #[serde(default)]
        status: Option<Status>,
        /// With findings as severe as this, or more.
        #[serde(default)]
        severity: Option<Severity>,
        /// Whose id, title or subject has this in it.
        #[serde(default)]
        #[schemars(length(max = TEXT_MAX))]
        text: Option<String>,
    }
    /// Tells one item: its findings with evidence and remediation, and how it was decided before.
    ShowItem => ItemPage, Get "/api/v1/benchmarks/{benchmark}/items/{item}", Some(Role::Viewer), {
        /// Id of the benchmark.
        benchmark: String,
        /// Id of the item, as `5.4`.
        item: String,
        /// Findings of this status only.
        #[serde(default)]
        status: Option<Status>,
        /// Findings after this place, as the last answer gave it.
        #[serde(default)]
        #[schemars(length(min = 1))]
        after: Option<String>,
        /// Findings, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }

    /// Lists what the site accepted.
    ListExceptions => List<ExceptionLine>, Get "/api/v1/exceptions", Some(Role::Viewer), {}
    /// Accepts a finding until a day, with a reason. Whoever asks answers for it.
    Accept => ExceptionLine, Post "/api/v1/exceptions", Some(Role::Operator), {
        /// Id of the check.
        check: String,
        /// Kind of the subject.
        #[serde(default)]
        kind: Option<SubjectKind>,
        /// Name of the subject; `*` and `?` stand for anything.
        subject: String,
        /// Why.
        reason: String,
        /// The last day on which it counts, at most a year from now.
        #[schemars(with = "String", extend("format" = "date"))]
        expires: Date,
    }
    /// Takes an exception back. Those of the policy's file can only be changed there.
    Withdraw => Done, Delete "/api/v1/exceptions/{number}", Some(Role::Operator), {
        /// Its number.
        number: i64,
    }

    /// Lists images, the most dangerous first.
    ListImages => Ranked<ImageRow>, Get "/api/v1/images", Some(Role::Viewer), {
        /// Of this verdict.
        #[serde(default)]
        safety: Option<Safety>,
        /// Whose name has this in it.
        #[serde(default)]
        #[schemars(length(max = TEXT_MAX))]
        text: Option<String>,
        /// Those after this one.
        #[serde(default)]
        #[schemars(length(min = 1))]
        after: Option<String>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Tells one image: flaws by fix, layers, packages, secrets, and the containers that run it.
    ShowImage => ImagePage, Get "/api/v1/images/{id}", Some(Role::Viewer), {
        /// Id, as `sha256:…`.
        id: String,
    }
    /// Reads an image again; what goes on is told as a job.
    ScanImage => Job, Post "/api/v1/images/{id}/scans", Some(Role::Operator), {
        /// Id, as `sha256:…`.
        id: String,
    }

    /// Lists containers, those at most risk first.
    ListContainers => Ranked<ContainerRow>, Get "/api/v1/containers", Some(Role::Viewer), {
        /// Whether they run.
        #[serde(default)]
        running: Option<bool>,
        /// Whose name, id or image has this in it.
        #[serde(default)]
        #[schemars(length(max = TEXT_MAX))]
        text: Option<String>,
        /// Those after this one.
        #[serde(default)]
        #[schemars(length(min = 1))]
        after: Option<String>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Tells one container: processes, peers, findings, alerts, and the flaws of its image; of one that is gone, what is
    /// still on record.
    ShowContainer => ContainerPage, Get "/api/v1/containers/{id}", Some(Role::Viewer), {
        /// Full id.
        id: String,
    }
    /// Pauses, resumes or stops a container.
    Act => Done, Post "/api/v1/containers/{id}/actions", Some(Role::Operator), {
        /// Full id.
        id: String,
        /// What to do.
        what: Deed,
        /// Why; recorded.
        reason: String,
    }

    /// Lists workloads that were watched, by their number.
    ListProfiles => List<ProfileLine>, Get "/api/v1/profiles", Some(Role::Viewer), {
        /// Those after this one.
        #[serde(default)]
        #[schemars(length(min = 1))]
        after: Option<String>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Tells one workload: what it was seen to do, how well it is known, what is new, and the least that it needs.
    ShowProfile => ProfilePage, Get "/api/v1/profiles/{number}", Some(Role::Viewer), {
        /// Its number.
        number: i64,
    }
    /// Makes a file from a profile. One that is not known well enough is refused with the reasons.
    MakeFile => MadeFile, Get "/api/v1/profiles/{number}/files/{kind}", Some(Role::Operator), {
        /// Its number.
        number: i64,
        /// What to make.
        kind: FileKind,
    }

    /// Lists alerts, the newest first.
    ListAlerts => List<AlertRow>, Get "/api/v1/alerts", Some(Role::Viewer), {
        /// Of this container: id or name.
        #[serde(default)]
        container: Option<String>,
        /// Of this rule.
        #[serde(default)]
        rule: Option<String>,
        /// As urgent as this, or more.
        #[serde(default)]
        priority: Option<Priority>,
        /// From this moment on.
        #[serde(default)]
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        since: Option<Timestamp>,
        /// Before this moment.
        #[serde(default)]
        #[schemars(with = "Option<String>", extend("format" = "date-time"))]
        until: Option<Timestamp>,
        /// Those before this number.
        #[serde(default)]
        #[schemars(range(min = 1))]
        before: Option<i64>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Tells one alert with its event, and what was done about it.
    ShowAlert => AlertPage, Get "/api/v1/alerts/{number}", Some(Role::Viewer), {
        /// Its number.
        number: i64,
    }
    /// Lists what was done about alerts, the newest first.
    ListActions => List<ActionRow>, Get "/api/v1/actions", Some(Role::Viewer), {
        /// On this container: id or name.
        #[serde(default)]
        container: Option<String>,
        /// Of this kind.
        #[serde(default)]
        response: Option<Response>,
        /// Those before this number.
        #[serde(default)]
        #[schemars(range(min = 1))]
        before: Option<i64>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Lists what was done through the engine, the newest first.
    ListActivity => List<ActivityRow>, Get "/api/v1/activity", Some(Role::Viewer), {
        /// On this thing: id or name.
        #[serde(default)]
        container: Option<String>,
        /// Of this kind, as `exec_start`.
        #[serde(default)]
        action: Option<String>,
        /// Those before this number.
        #[serde(default)]
        #[schemars(range(min = 1))]
        before: Option<i64>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Waits, at most 25 s, for what is newer than a place in the stream, and gives it.
    News => NewsPage, Get "/api/v1/news", Some(Role::Viewer), {
        /// The place, as the last answer gave it; nothing means from now on.
        #[serde(default)]
        #[schemars(length(min = 1))]
        after: Option<String>,
    }
    /// Finds items, images, containers, alerts and vulnerabilities by their names.
    Search => Found, Get "/api/v1/search", Some(Role::Viewer), {
        /// What to find, two characters at least.
        #[schemars(length(min = TEXT_MIN, max = TEXT_MAX))]
        text: String,
    }

    /// Lists work that takes longer, the newest first.
    ListJobs => List<Job>, Get "/api/v1/jobs", Some(Role::Viewer), {}
    /// Says which vulnerability data there is, and how old.
    ShowDatabase => DatabaseState, Get "/api/v1/database", Some(Role::Viewer), {}
    /// Updates the vulnerability data; what goes on is told as a job.
    UpdateDatabase => Job, Post "/api/v1/database/updates", Some(Role::Operator), {}

    /// Lists who did what, the newest first.
    ListAudit => List<AuditRow>, Get "/api/v1/audit", Some(Role::Auditor), {
        /// By this account.
        #[serde(default)]
        actor: Option<String>,
        /// Those before this number.
        #[serde(default)]
        #[schemars(range(min = 1))]
        before: Option<i64>,
        /// Rows, at most 500.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = LIMIT_MAX))]
        limit: u32,
    }
    /// Tells a period: posture, trend, findings, exceptions and responses.
    Report => PeriodReport, Get "/api/v1/report", Some(Role::Auditor), {
        /// Id of the benchmark.
        benchmark: String,
        /// The first day.
        #[schemars(with = "String", extend("format" = "date"))]
        from: Date,
        /// The last day.
        #[schemars(with = "String", extend("format" = "date"))]
        to: Date,
    }

    /// Lists accounts.
    ListAccounts => List<AccountRow>, Get "/api/v1/accounts", Some(Role::Admin), {}
    /// Makes an account, with a password that has to be changed.
    AddAccount => NewAccount, Post "/api/v1/accounts", Some(Role::Admin), {
        /// Its name: 2 to 32 letters, digits, `.`, `_`, `-`.
        name: String,
        /// What it may do.
        role: MaybeRole,
    }
    /// Gives an account another role, locks or unlocks it.
    ChangeAccount => AccountRow, Put "/api/v1/accounts/{name}", Some(Role::Admin), {
        /// Its name.
        name: String,
        /// What it may do from now on.
        #[serde(default)]
        role: Option<Role>,
        /// Whether it is locked.
        #[serde(default)]
        locked: Option<bool>,
    }
    /// Removes an account with its sessions and tokens. The last admin stays.
    RemoveAccount => Done, Delete "/api/v1/accounts/{name}", Some(Role::Admin), {
        /// Its name.
        name: String,
    }
    /// Lists API tokens: an admin's list has everybody's.
    ListTokens => List<TokenRow>, Get "/api/v1/tokens", Some(Role::Viewer), {}
    /// Makes an API token of whoever asks. Its secret is told this once.
    AddToken => NewToken, Post "/api/v1/tokens", Some(Role::Viewer), {
        /// What it is for.
        name: String,
        /// What it may be used for.
        scope: MaybeScope,
        /// Days until it ends: 1 to 365.
        #[schemars(range(min = 1, max = DAYS_MAX))]
        days: u16,
    }
    /// Removes an API token.
    RemoveToken => Done, Delete "/api/v1/tokens/{number}", Some(Role::Viewer), {
        /// Its number.
        number: i64,
    }
    /// Says how this Haechi is set up. What is set is set in the policy's file.
    ShowSettings => Settings, Get "/api/v1/settings", Some(Role::Admin), {}
}

/// A role that has to be named: there is no default that could be given by mistake.
pub type MaybeRole = Named<Role>;
/// The same for a scope.
pub type MaybeScope = Named<Scope>;

/// Something that has to be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Named<T>(#[schemars(with = "T")] pub Option<T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests;
