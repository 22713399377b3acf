//! The options of `haechi profile`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ImageReading, ListFormat, ProfileApply, ProfileEnforce, ProfileTry};

/// What `haechi profile` does.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// Every workload that was watched, and whether it is known well enough
    List {
        /// Format
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// What a workload was seen to do, and how well it is known
    Show(ProfileShow),
    /// Which packages of its image run: executed, loaded, present only, or not known
    Packages(ProfilePackages),
    /// Which vulnerabilities of its image are in what runs (OpenVEX)
    Vex(ProfileVex),
    /// A seccomp profile with the system calls that it needs (OCI JSON)
    Seccomp(ProfileFile),
    /// Options that give it no more than it needs, with the difference to today
    Run(ProfileRun),
    /// An AppArmor profile with the files, capabilities and networks that it needs
    Apparmor(ProfileFile),
    /// What its least privilege would refuse, tried out beside what runs, or in its place with a record
    Try(ProfileTry),
    /// Make the container again with its least privilege, and put the old one back if it does not live
    Apply(ProfileApply),
    /// Put back the container that was there before `apply`
    Rollback {
        /// Name or id of the container
        target: String,
    },
    /// What is new since it was settled
    News {
        /// Name or id of a container, or an image
        target: String,
        /// Format
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Take all that is new until now for what it does
    Learn {
        /// Name or id of a container, or an image
        target: String,
    },
    /// Forget it, with what was taken for known and what of it is in force; it is learned anew
    Forget {
        /// Name or id of a container, or an image
        target: String,
        /// Really do it
        #[arg(long, env = "HAECHI_YES")]
        yes: bool,
    },
    /// Let it start and write no more than it is known to, or show what of that is in force
    Enforce(ProfileEnforce),
    /// What was learned, for another host
    Export {
        /// Name or id of a container, or an image
        target: String,
        /// Write to a file instead of stdout
        #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take over what was learned on another host
    Import {
        /// A file of `profile export`
        file: PathBuf,
    },
}

/// Which workload.
#[derive(Debug, Args)]
pub struct ProfileSource {
    /// Name or id of a container, an image, or a number of `profile list`
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub target: Option<String>,
    /// From a file of `profile export` instead
    #[arg(long, env = "HAECHI_PROFILE_FILE", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What its container is given today, from a snapshot instead of this host's engine
    #[arg(long, env = "HAECHI_SNAPSHOT", value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ProfileShow {
    #[command(flatten)]
    pub source: ProfileSource,
    /// Everything, not only the beginning of long lists
    #[arg(long, env = "HAECHI_ALL")]
    pub all: bool,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct ProfilePackages {
    #[command(flatten)]
    pub source: ProfileSource,
    #[command(flatten)]
    pub reading: ImageReading,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct ProfileVex {
    #[command(flatten)]
    pub source: ProfileSource,
    #[command(flatten)]
    pub reading: ImageReading,
    /// Write to a file instead of stdout
    #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ProfileFile {
    #[command(flatten)]
    pub source: ProfileSource,
    /// Also if it is not known well enough
    #[arg(long, env = "HAECHI_UNSETTLED")]
    pub unsettled: bool,
    /// Write to a file instead of stdout
    #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ProfileRun {
    #[command(flatten)]
    pub file: ProfileFile,
    /// For what
    #[arg(long, env = "HAECHI_RUN_FORMAT", value_enum, default_value = "docker")]
    pub format: RunFormat,
}

/// What the options are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// A command line
    Docker,
    /// A service of Compose
    Compose,
    /// A pod of Kubernetes
    Kubernetes,
}
