//! `cargo xtask verify`: from a fresh clone to a report of this host.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::needs::{self, For};
use crate::run::{PATIENCE, cargo, docker, haechi, is_root, must, say, target};
use crate::{engine, lab};

const REPORT: &str = "haechi-report.html";

/// Where the dashboard writes what it says, in the folder of the build.
const LOG: &str = "haechi-serve.log";

pub fn run(arguments: &[&str]) -> Result<()> {
    let (serves, further) = match arguments {
        ["--serve", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let further = further.strip_prefix(&["--"]).unwrap_or(further);
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
    if serves {
        serve()?;
    }
    Ok(())
}

/// Starts the dashboard, which stays when this has ended, and tells its address.
fn serve() -> Result<()> {
    let path = target()?.join(LOG);
    let log = File::create(&path).with_context(|| path.display().to_string())?;
    // Of a group of its own: Ctrl-C in this terminal does not mean it.
    let mut dashboard = Command::new(haechi("release")?)
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot run haechi serve")?;
    let until = Instant::now() + PATIENCE;
    loop {
        let said = std::fs::read_to_string(&path)?;
        if said.contains("https://") {
            say(said.trim_end());
            let pid = dashboard.id();
            say(format!(
                "It goes on running; `kill {pid}` ends it. What it says: {}",
                path.display()
            ));
            return Ok(());
        }
        if let Some(status) = dashboard.try_wait()? {
            bail!("haechi serve ended with {status}: {}", said.trim_end());
        }
        if Instant::now() > until {
            bail!("haechi serve does not say where it is; see {}", path.display());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
