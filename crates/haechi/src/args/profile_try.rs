//! The options of `haechi profile try`, `apply` and `rollback`, as typed.

use std::path::PathBuf;

use clap::Args;

/// Which container, and which profile.
#[derive(Debug, Args)]
pub struct ProfileOf {
    /// Name or id of a container, or what `profile show` takes, if that means one container
    pub target: String,
    /// The profile, from a file of `profile export` instead
    #[arg(long, env = "HAECHI_PROFILE_FILE", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Also if it is not known well enough
    #[arg(long, env = "HAECHI_UNSETTLED")]
    pub unsettled: bool,
}

#[derive(Debug, Args)]
pub struct ProfileTry {
    #[command(flatten)]
    pub of: ProfileOf,
    /// Run a second one beside it for a while: as it would be, and as today with a record (this is what is done if nothing is said)
    #[arg(long, env = "HAECHI_TRY_BESIDE", conflicts_with_all = ["restart", "watch"])]
    pub beside: bool,
    /// Start the container itself anew for a while, with a record and with nothing taken away; needs `--yes`
    #[arg(long, env = "HAECHI_TRY_RESTART", conflicts_with = "watch")]
    pub restart: bool,
    /// Start nothing: what the monitor saw beyond the profile
    #[arg(long, env = "HAECHI_TRY_WATCH")]
    pub watch: bool,
    /// For so many seconds
    #[arg(long = "for", env = "HAECHI_FOR", value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub seconds: u64,
    /// Do it: the container is stopped and started twice
    #[arg(long, env = "HAECHI_YES")]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ProfileApply {
    #[command(flatten)]
    pub of: ProfileOf,
    /// Do it; without it, what would be done is shown
    #[arg(long, env = "HAECHI_YES")]
    pub yes: bool,
    /// Watch it for so many seconds, and put the old one back if it does not live
    #[arg(long = "for", env = "HAECHI_FOR", value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub seconds: u64,
    /// Not now: when it is started next, by a running `haechi monitor`
    #[arg(long, env = "HAECHI_NEXT_START")]
    pub next_start: bool,
    /// Also if Compose made it, which will make it again as it was
    #[arg(long, env = "HAECHI_FORCE")]
    pub force: bool,
}
