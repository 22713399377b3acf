//! `haechi monitor`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use haechi_outputs::SyslogAddress;

#[derive(Debug, Clone, Args)]
pub struct Monitor {
    /// More rules: a file, or a folder with those within it, in Falco's rule language (may be repeated)
    #[arg(long, env = "HAECHI_RULES", value_name = "PATH", value_delimiter = ',')]
    pub rules: Vec<PathBuf>,
    /// Only the rules given, without Haechi's own and those of /etc/haechi/rules.d
    #[arg(long, env = "HAECHI_ONLY_RULES", requires = "rules")]
    pub only_rules: bool,
    /// List the rules with their tags and places, which of them run and what the others lack, and end
    #[arg(long)]
    pub list_rules: bool,
    /// Answer alerts as the policy says ([monitor] responses); without it they are only told
    #[arg(long, env = "HAECHI_RESPOND")]
    pub respond: bool,
    /// Only say how alerts would be answered, and what would be refused
    #[arg(long, env = "HAECHI_DRY_RUN", requires = "respond")]
    pub dry_run: bool,
    /// Watch by /proc and the process connector, as where the kernel takes no BPF programs
    #[arg(long, env = "HAECHI_WITHOUT_BPF")]
    pub without_bpf: bool,
    /// Also make profiles of what containers use (`haechi profile`)
    #[arg(long, env = "HAECHI_PROFILE", conflicts_with_all = ["no_store", "without_bpf"])]
    pub profile: bool,
    /// Keep nothing: show alerts and forget them
    #[arg(long, env = "HAECHI_NO_STORE", conflicts_with = "respond")]
    pub no_store: bool,
    /// Send alerts and actions to a syslog server: unix:///dev/log, udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, env = "HAECHI_SYSLOG", value_name = "ADDRESS")]
    pub syslog: Option<SyslogAddress>,
    /// Post alerts and actions to this address (https:// or http://)
    #[arg(long, env = "HAECHI_WEBHOOK", value_name = "URL")]
    pub webhook: Option<String>,
    /// File with the webhook's secrets (TOML: url, signing_key, [headers]); its owner alone may read it
    #[arg(long, env = "HAECHI_WEBHOOK_SECRETS", value_name = "FILE")]
    pub webhook_secrets: Option<PathBuf>,
    /// Offer metrics for Prometheus there, as 127.0.0.1:9464
    #[arg(long, env = "HAECHI_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Format on stdout
    #[arg(long, env = "HAECHI_FORMAT", value_enum, default_value = "text")]
    pub format: AlertFormat,
    /// Also every event, not only alerts
    #[arg(long, env = "HAECHI_EVENTS")]
    pub events: bool,
    /// Watch for the dashboard that started it: say once that it began, show nothing, and end with it
    #[arg(long, hide = true)]
    pub desk: bool,
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
