//! `haechi monitor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Args)]
pub struct Monitor {
    /// More rules: a file or a folder of them, in Falco's rule language (may be repeated)
    #[arg(long, env = "HAECHI_RULES", value_name = "PATH", value_delimiter = ',')]
    pub rules: Vec<PathBuf>,
    /// Only the rules given, without Haechi's own and those of /etc/haechi/rules.d
    #[arg(long, env = "HAECHI_ONLY_RULES", requires = "rules")]
    pub only_rules: bool,
    /// List the rules, which of them run and what the others lack, and end
    #[arg(long)]
    pub list_rules: bool,
    /// Answer alerts as the policy says ([monitor] responses); without it they are only told
    #[arg(long, env = "HAECHI_RESPOND")]
    pub respond: bool,
    /// Only say how alerts would be answered
    #[arg(long, env = "HAECHI_DRY_RUN", requires = "respond")]
    pub dry_run: bool,
    /// Keep nothing: show alerts and forget them
    #[arg(long, env = "HAECHI_NO_STORE", conflicts_with = "respond")]
    pub no_store: bool,
    /// Format on stdout
    #[arg(long, env = "HAECHI_FORMAT", value_enum, default_value = "text")]
    pub format: AlertFormat,
    /// Also every event, not only alerts (JSON only)
    #[arg(long, env = "HAECHI_EVENTS")]
    pub events: bool,
    /// End after so many seconds [default: when interrupted]
    #[arg(long, env = "HAECHI_SECONDS", value_name = "N")]
    pub seconds: Option<u64>,
}

/// How alerts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlertFormat {
    /// One line for each
    Text,
    /// One JSON object on a line for each
    Json,
}
