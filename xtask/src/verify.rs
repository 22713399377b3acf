//! `cargo xtask verify`: from a fresh clone to a report of this host.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::needs::{self, For};
use crate::run::{cargo, docker, haechi, is_root, must, say};
use crate::{engine, lab};

const REPORT: &str = "haechi-report.html";

pub fn run(further: &[&str]) -> Result<()> {
    needs::meet(For::Verify)?;
    engine::meet()?;
    must(cargo(&["build", "--release", "--package", "haechi"])?)?;
    if docker(["ps", "--all", "--quiet"])?.is_empty() {
        say(
            "The engine has no container: making some to verify. `cargo xtask lab down` removes them.",
        );
        lab::up()?;
    }
    if !is_root() {
        say("Not root: Haechi says what it may not see. Root sees more.");
    }
    // Not in the clone: where the person is, and in the terminal's own width.
    let mut verify = Command::new(haechi("release")?);
    verify.args(["verify", "--output", REPORT]).args(further);
    let status = verify.status().context("cannot run haechi")?;
    match status.code() {
        Some(0) => say("haechi ended with 0: nothing failed."),
        Some(1) => {
            say(format!("haechi ended with 1: it verified, and found failures; see {REPORT}."))
        }
        Some(2) => bail!("haechi ended with 2: it could not verify; see above"),
        _ => bail!("haechi ended with {status}"),
    }
    Ok(())
}
