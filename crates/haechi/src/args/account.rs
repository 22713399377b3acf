//! `haechi account`, `haechi token` and `haechi audit`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use haechi_protocol::{Role, Scope};

use super::ListFormat;

/// Reads the name of a role.
fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Make an account; its first password is printed and has to be changed
    Add {
        /// Name: 2 to 32 letters, digits, `.`, `_`, `-`
        name: String,
        /// What it may do
        #[arg(long, env = "HAECHI_ROLE", value_parser = role())]
        role: Role,
    },
    /// All accounts
    List {
        /// Format
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Give an account a new password, which is printed and has to be changed; its sessions end
    Password {
        /// Name
        name: String,
    },
    /// Give an account another role
    Role {
        /// Name
        name: String,
        /// What it may do from now on
        #[arg(value_parser = role())]
        role: Role,
    },
    /// Lock an account: its sessions end, its tokens stop
    Lock {
        /// Name
        name: String,
    },
    /// Unlock an account
    Unlock {
        /// Name
        name: String,
    },
    /// Remove an account with its sessions and tokens
    Remove {
        /// Name
        name: String,
    },
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ScopeArg {
    /// Questions that change nothing
    Read,
    /// Everything that its account may
    Write,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::Write => Self::Write,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make an API token; its secret is printed this once
    Add {
        /// What it is for: letters, digits, `.`, `_`, `-`
        name: String,
        /// Whose it is
        #[arg(long, env = "HAECHI_ACCOUNT", value_name = "NAME")]
        account: String,
        /// What it may be used for
        #[arg(long, env = "HAECHI_SCOPE", value_enum, default_value = "read")]
        scope: ScopeArg,
        /// Days until it ends, 1 to 365
        #[arg(long, env = "HAECHI_DAYS", value_name = "N", default_value_t = 90)]
        days: u16,
    },
    /// All API tokens, without their secrets
    List {
        /// Format
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Remove an API token
    Remove {
        /// Number from `token list`
        number: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Who did what, newest first
    List {
        /// Only what this account and its tokens did
        #[arg(long, env = "HAECHI_ACCOUNT", value_name = "NAME")]
        account: Option<String>,
        /// Most to show, the newest; 0 shows all
        #[arg(long, env = "HAECHI_LIMIT", default_value_t = 100)]
        limit: u64,
        /// Format; of json, a line for each
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Write the whole log with its checkpoints, to verify it elsewhere
    Export {
        /// Write to a file instead of stdout
        #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Find out whether a record was changed, removed, put elsewhere or cut off
    Verify(AuditVerify),
}

#[derive(Debug, Args)]
pub struct AuditVerify {
    /// A log from `audit export` instead of this machine's
    #[arg(long, env = "HAECHI_AUDIT_EXPORT", value_name = "FILE", requires = "key")]
    pub export: Option<PathBuf>,
    /// A copy of audit.head that was kept elsewhere: what it knows must be there
    #[arg(long, env = "HAECHI_AUDIT_HEAD", value_name = "FILE")]
    pub head: Option<PathBuf>,
    /// A copy of audit.pub that was kept elsewhere [default: the one of the data folder]
    #[arg(long, env = "HAECHI_AUDIT_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}
