//! What is answered about people: sessions, accounts, tokens, who did what, and how this Haechi is set up.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::role::{Role, Scope};

/// A session that was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedIn {
    /// Its secret; the web server makes a cookie of it and gives it to nobody else.
    pub secret: String,
    /// Who it is.
    pub me: Me,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// Name of the account.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Token against forged requests that changes have to carry; empty for an API token.
    pub csrf: String,
    /// Whether the password has to be changed before anything else.
    pub must_change_password: bool,
    /// When the session ends.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires: Timestamp,
}

/// A record of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Its number: one more than that of the record before.
    pub number: i64,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Who: an account, `token NAME of ACCOUNT`, or `haechi`.
    pub actor: String,
    /// From which address; empty if it was no browser.
    pub address: String,
    /// What: the name of a question, or of a deed of Haechi's own.
    pub action: String,
    /// With what.
    pub subject: String,
    /// What came of it: `done`, or the name of a refusal.
    pub outcome: String,
    /// More: reasons, names, numbers of records, by their names.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// SHA-256 of the record and of the hash before it, in hexadecimal.
    pub hash: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountRow {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it is locked.
    pub locked: bool,
    /// When somebody logged in with it.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_login: Option<Timestamp>,
}

/// A new account with its first password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewAccount {
    /// The account.
    pub account: AccountRow,
    /// The password, told this once.
    pub password: String,
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRow {
    /// Its number.
    pub number: i64,
    /// Whose it is.
    pub account: String,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scope: Scope,
    /// When it ends.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires: Timestamp,
    /// When it was used last.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub used: Option<Timestamp>,
}

/// A new API token with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// The token.
    pub token: TokenRow,
    /// The secret, told this once.
    pub secret: String,
}

/// How this Haechi is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Version.
    pub version: String,
    /// The policy's file, or `defaults`.
    pub policy: String,
    /// The policy, as TOML; secrets are not in it.
    pub policy_text: String,
    /// Minutes between verifications.
    pub interval_minutes: u64,
    /// The certificate's SHA-256 fingerprint.
    pub certificate: String,
}

/// The vulnerability data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseState {
    /// Its sources; none if there is no data.
    pub sources: Vec<SourceRow>,
}

/// A source of vulnerability data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRow {
    /// Name.
    pub name: String,
    /// When it was fetched (RFC 3339, UTC).
    pub fetched: String,
    /// Days since.
    pub age_days: i64,
    /// Advisories in it.
    pub entries: u64,
    /// Whether it is older than the policy allows.
    pub too_old: bool,
    /// What is wrong with it: it cannot be read, or looks partial; empty if nothing is.
    #[serde(default)]
    pub problem: String,
}

/// Whether containers are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MonitorState {
    /// Whether they are.
    pub watching: bool,
    /// Since when.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// Events that were lost.
    pub lost: u64,
    /// What cannot be seen on this kernel.
    pub lacks: Vec<String>,
    /// Whether the engine cannot be heard: what is done through it is not seen.
    #[serde(default)]
    pub engine_silent: bool,
}
