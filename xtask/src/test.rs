//! `cargo xtask test`: everything that has to hold, from a fresh clone, on real containers.

use std::time::Instant;

use anyhow::{Error, Result};

use crate::needs::{self, For};
use crate::run::{Failed, cargo, command, docker, haechi, must, say};
use crate::{engine, lab, tidy};

/// What tests call what they make in the engine.
const NAMES: [&str; 3] = ["haechi-test", "haechi-sensor", "haechi-live"];

pub fn run() -> Result<()> {
    let begin = Instant::now();
    needs::meet(For::Test)?;
    engine::meet()?;
    let step = |what: &str, run: &dyn Fn() -> Result<()>| -> Result<()> {
        let begin = Instant::now();
        run().map_err(|error| Error::new(Failed(format!("{what}: {error:#}"))))?;
        say(format!("[{what}: {} s]", begin.elapsed().as_secs()));
        Ok(())
    };
    let run = |words: &[&str]| must(cargo(words)?);
    step("format", &|| run(&["fmt", "--all", "--check"]))?;
    // All at once: what is built for one part has other features, and the rest would be built again.
    step("build", &|| run(&["build", "--workspace", "--all-targets"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    step("lints", &|| run(&clippy))?;
    step("tidy", &tidy::run)?;
    // A run that was killed may have left something.
    sweep()?;
    step("lab", &lab::up)?;
    let tested = step("tests", &|| run(&["test", "--workspace"]));
    sweep()?;
    tested?;
    step("examples of checks", &|| must(command(haechi("debug")?, &["benchmark", "test"])?))?;
    say(format!("All tests passed, in {} s.", begin.elapsed().as_secs()));
    Ok(())
}

/// Removes what tests left in the engine: each image is one more to read for everything that comes after.
fn sweep() -> Result<()> {
    for name in NAMES {
        let containers = format!("name=^{name}-");
        let [image, below] = ["*", "*/*"].map(|rest| format!("reference={name}{rest}"));
        for (list, remove) in [
            (["ps", "--all", "--quiet", "--filter", &containers].as_slice(), ["rm", "--force"]),
            (&["images", "--quiet", "--filter", &image], ["rmi", "--force"]),
            (&["images", "--quiet", "--filter", &below], ["rmi", "--force"]),
        ] {
            let found = docker(list)?;
            for left in found.lines() {
                say(format!("Left by a test, removed: {name}… {left}"));
                // One that has two names is listed twice.
                let _ = docker(remove.into_iter().chain([left]));
            }
        }
    }
    Ok(())
}
