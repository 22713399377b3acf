//! The options of `haechi profile enforce`, as typed.

use clap::{Args, ValueEnum};

use super::ListFormat;

/// What is done about what a profile does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnforceMode {
    /// Tell what would be refused
    DryRun,
    /// Refuse it
    Deny,
    /// Nothing
    Off,
}

#[derive(Debug, Args)]
pub struct ProfileEnforce {
    /// Name or id of a container, an image, or a number of `profile list`; without it, everything that is in force
    pub target: Option<String>,
    /// What is done from now on; without it, what is in force and what was found
    #[arg(long, env = "HAECHI_ENFORCE_MODE", value_enum, requires = "target")]
    pub mode: Option<EnforceMode>,
    /// Also that nothing is written where it was not seen to write
    #[arg(long, env = "HAECHI_ENFORCE_FILES", requires = "mode")]
    pub files: bool,
    /// `deny` without a dry run, or with what it found
    #[arg(long, env = "HAECHI_AT_ONCE", requires = "mode")]
    pub at_once: bool,
    /// Everything that was found, not only the beginning
    #[arg(long, env = "HAECHI_ALL", requires = "target")]
    pub all: bool,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}
