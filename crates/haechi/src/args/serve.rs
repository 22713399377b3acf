//! `haechi serve`, and what it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ImageReading;

#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where the dashboard is offered, with TLS; beyond this machine only if told so here
    #[arg(long, env = "HAECHI_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Certificate with its chain, as PEM [default: one that is made at the first start]
    #[arg(long, env = "HAECHI_CERTIFICATE", value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Key of the certificate, as PEM; its owner alone may read it
    #[arg(long, env = "HAECHI_KEY", value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Names by which browsers call this machine, besides its own (may be repeated)
    #[arg(long = "name", env = "HAECHI_NAMES", value_name = "NAME", value_delimiter = ',')]
    pub names: Vec<String>,
    /// User that the web server becomes; without such a user, nobody
    #[arg(long, env = "HAECHI_WEB_USER", value_name = "USER", default_value = "haechi")]
    pub user: String,
    /// Benchmarks that are verified, the first one shown first (may be repeated) [default: all]
    #[arg(long, env = "HAECHI_BENCHMARKS", value_name = "ID", value_delimiter = ',')]
    pub benchmark: Vec<String>,
    /// Minutes between verifications; 0 means only when something changes or somebody asks
    #[arg(long, env = "HAECHI_INTERVAL", value_name = "MINUTES", default_value_t = 60)]
    pub interval: u64,
    /// Do not watch containers
    #[arg(long, env = "HAECHI_NO_MONITOR")]
    pub no_monitor: bool,
    /// Also make profiles of what containers use (`haechi profile`)
    #[arg(long, env = "HAECHI_PROFILE", conflicts_with = "no_monitor")]
    pub profile: bool,
    /// Only tell alerts, whatever the policy says about responses
    #[arg(long, env = "HAECHI_NO_RESPOND")]
    pub no_respond: bool,
    /// More rules: a file, or a folder with those within it, in Falco's rule language (may be repeated)
    #[arg(long, env = "HAECHI_RULES", value_name = "PATH", value_delimiter = ',')]
    pub rules: Vec<PathBuf>,
    /// Update the vulnerability data from this mirror or folder instead of the publishers
    #[arg(long, env = "HAECHI_DB_FROM", value_name = "DIR|URL")]
    pub db_from: Option<String>,
}

/// Work of `haechi serve`, each a process of its own.
#[derive(Debug, Subcommand)]
pub enum Work {
    /// Verify this host and keep what was decided
    Verify {
        /// Benchmarks
        #[arg(long, required = true)]
        benchmark: Vec<String>,
        /// Time limit of one question to the engine, in seconds
        #[arg(long, env = "HAECHI_TIMEOUT", default_value_t = 10)]
        timeout: u64,
        /// Do not ask registries whether images are the newest
        #[arg(long, env = "HAECHI_OFFLINE")]
        offline: bool,
        #[command(flatten)]
        reading: ImageReading,
    },
}
