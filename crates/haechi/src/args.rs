//! The command line, as typed. Every option has a `HAECHI_*` variable.

mod account;
mod alerts;
mod image;
mod monitor;
mod profile;
mod profile_enforce;
mod profile_try;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use account::*;
pub use alerts::*;
pub use image::*;
pub use monitor::*;
pub use profile::*;
pub use profile_enforce::*;
pub use profile_try::*;
pub use serve::*;

/// Verifies that a container environment is secure.
#[derive(Debug, Parser)]
#[command(name = "haechi", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Language of reports and messages [default: from LC_ALL, LC_MESSAGES or LANG]
    #[arg(long, global = true, env = "HAECHI_LANG", value_enum)]
    pub lang: Option<LangArg>,
    /// Policy of the site [default: /etc/haechi/policy.toml if it exists, or the user's]
    #[arg(long, global = true, env = "HAECHI_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where verifications are kept [default: /var/lib/haechi, or the user's data folder]
    #[arg(long, global = true, env = "HAECHI_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Engine: unix:///PATH or tcp://HOST:PORT [default: DOCKER_HOST, the Docker context, or the local socket]
    #[arg(long, global = true, env = "HAECHI_HOST", value_name = "SOCKET")]
    pub host: Option<String>,
    /// Where the host's files are, when Haechi runs in a container with the host mounted
    #[arg(long, global = true, env = "HAECHI_ROOT", value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Only data and errors
    #[arg(short, long, global = true, env = "HAECHI_QUIET")]
    pub quiet: bool,
    /// Also what passed; twice: what Haechi does
    #[arg(short, long, global = true, env = "HAECHI_VERBOSE", action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// No colour (also: NO_COLOR)
    #[arg(long, global = true, env = "HAECHI_NO_COLOR")]
    pub no_color: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LangArg {
    /// English
    En,
    /// 한국어
    Ko,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Collect facts, decide every item of a benchmark, report
    Verify(Verify),
    /// Collect facts only, as a snapshot
    Collect(Collect),
    /// Images: take them apart without running them
    #[command(subcommand)]
    Image(Image),
    /// The vulnerability database
    #[command(subcommand)]
    Db(Db),
    /// Watch running containers from the kernel, and judge what they do by rules
    Monitor(Monitor),
    /// What containers were seen to do, and the least that they need
    #[command(subcommand)]
    Profile(Profile),
    /// Alerts on record, newest first
    Alerts(Alerts),
    /// What was done about alerts, newest first
    Actions(Actions),
    /// What was done through the engine, newest first
    Activity(Activity),
    /// Dashboard and API: verifies, watches, and shows what is at risk
    Serve(Serve),
    /// Work of the dashboard
    #[command(subcommand, hide = true)]
    ServeWork(Work),
    /// Benchmarks and checks
    #[command(subcommand)]
    Benchmark(Benchmark),
    /// The site's policy
    #[command(subcommand)]
    Policy(Policy),
    /// Verifications on record
    History(History),
    /// What changed between two verifications
    Diff(Diff),
    /// Accept failures for a while
    #[command(subcommand)]
    Except(Except),
    /// Accounts of the dashboard
    #[command(subcommand)]
    Account(Account),
    /// API tokens of the dashboard
    #[command(subcommand)]
    Token(Token),
    /// Who did what: the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// JSON Schemas of what Haechi writes
    Schema {
        /// Which
        #[arg(value_enum)]
        what: SchemaOf,
    },
    /// Completions for a shell
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// The manual page
    Man,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Benchmark to verify against
    #[arg(long, env = "HAECHI_BENCHMARK", value_name = "ID", default_value = "cis-docker-1.13.0")]
    pub benchmark: String,
    /// Facts from a snapshot instead of this host; `-` is stdin
    #[arg(long, env = "HAECHI_SNAPSHOT", value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Format on stdout, or of the files whose name does not say it
    #[arg(long, env = "HAECHI_FORMAT", value_enum)]
    pub format: Option<FormatArg>,
    /// Write the report to a file (may be repeated; .html .json .sarif .xml .csv .md tell the format)
    #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE", value_delimiter = ',')]
    pub output: Vec<PathBuf>,
    /// Least severity of a finding that makes the exit code 1 (or 2 if undecided); `never` for none
    #[arg(long, env = "HAECHI_FAIL_ON", value_enum, default_value = "low")]
    pub fail_on: FailOn,
    /// Time limit of one question to the engine, in seconds
    #[arg(long, env = "HAECHI_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Do not keep this verification
    #[arg(long, env = "HAECHI_NO_STORE")]
    pub no_store: bool,
    /// Take neither images nor the host's packages apart; what needs that stays unverified
    #[arg(long, env = "HAECHI_NO_IMAGES")]
    pub no_images: bool,
    /// Do not ask registries whether images are the newest; what needs that stays unverified
    #[arg(long, env = "HAECHI_OFFLINE")]
    pub offline: bool,
    #[command(flatten)]
    pub reading: ImageReading,
}

#[derive(Debug, Args)]
pub struct Collect {
    /// Write to a file instead of stdout
    #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Time limit of one question to the engine, in seconds
    #[arg(long, env = "HAECHI_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Take neither images nor the host's packages apart; what needs that stays unverified
    #[arg(long, env = "HAECHI_NO_IMAGES")]
    pub no_images: bool,
    /// Do not ask registries whether images are the newest; what needs that stays unverified
    #[arg(long, env = "HAECHI_OFFLINE")]
    pub offline: bool,
    #[command(flatten)]
    pub reading: ImageReading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Table,
    Json,
    Html,
    Sarif,
    Junit,
    Csv,
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Low,
    Medium,
    High,
    Critical,
    Never,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SchemaOf {
    /// Reports (`verify --format json`)
    Report,
    /// Snapshots (`collect`)
    Snapshot,
    /// Reports about one image (`image scan --format json`)
    Image,
    /// What was learned of a workload (`profile export`)
    Profile,
    /// Alerts (`monitor`, `alerts`, webhook)
    Alert,
    /// What was done about alerts (`monitor`, `actions`, webhook)
    Action,
    /// What was done through the engine (`activity`)
    Activity,
    /// Events (`monitor --events`)
    Event,
    /// The dashboard's API, as an OpenAPI document
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum Benchmark {
    /// Known benchmarks
    List,
    /// The items of a benchmark and the checks that decide them
    Show {
        /// Benchmark
        id: String,
    },
    /// Which items older tools decide, and which Haechi decides
    Coverage,
    /// Run the examples of all checks, or of the checks in some files
    Test {
        /// Files of checks
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Write a commented policy with the defaults
    Init {
        /// Where to; stdout if not given
        file: Option<PathBuf>,
    },
    /// Validate a policy
    Check {
        /// Which; the one in force if not given
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct History {
    /// Only this host
    #[arg(long, env = "HAECHI_OF", value_name = "NAME")]
    pub of: Option<String>,
    /// Most verifications to show
    #[arg(long, env = "HAECHI_LIMIT", default_value_t = 20)]
    pub limit: u32,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// The earlier one: a number of `history`, a date, `previous` or `latest`
    #[arg(default_value = "previous")]
    pub before: String,
    /// The later one
    #[arg(default_value = "latest")]
    pub after: String,
    /// Only this host
    #[arg(long, env = "HAECHI_OF", value_name = "NAME")]
    pub of: Option<String>,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Except {
    /// Accept failures of a check
    Add {
        /// Check
        check: String,
        /// Name of the subject, or a pattern with `*` and `?`
        subject: String,
        /// Why it is accepted
        #[arg(long, env = "HAECHI_REASON")]
        reason: String,
        /// Who answers for it
        #[arg(long, env = "HAECHI_OWNER")]
        owner: String,
        /// Last day on which it counts, as 2026-12-31
        #[arg(long, env = "HAECHI_EXPIRES")]
        expires: jiff::civil::Date,
    },
    /// What is accepted, expired ones too
    List,
    /// Accept no longer
    Remove {
        /// Number from `except list`
        number: i64,
    },
}
