//! `cargo xtask test`: everything that has to hold, from a fresh clone, on real containers.

use std::time::Instant;

use anyhow::Result;

use crate::needs::{self, For};
use crate::run::{Failed, cargo, command, haechi, must, say};
use crate::{engine, lab, tidy};

pub fn run() -> Result<()> {
    let begin = Instant::now();
    needs::meet(For::Test)?;
    engine::meet()?;
    let step = |what: &str, done: Result<()>| {
        done.map_err(|error| anyhow::Error::new(Failed(format!("{what}: {error:#}"))))
    };
    step("format", must(cargo(&["fmt", "--all", "--check"])?))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    step("lints", must(cargo(&clippy)?))?;
    must(cargo(&["build", "--package", "haechi"])?)?;
    step("tidy", tidy::run())?;
    lab::up()?;
    step("tests", must(cargo(&["test", "--workspace"])?))?;
    step("examples of checks", must(command(haechi("debug")?, &["benchmark", "test"])?))?;
    say(format!("All tests passed, in {} s.", begin.elapsed().as_secs()));
    Ok(())
}
