//! Places and processes: where the clone and its build are, and how other programs are run.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What has not happened by then never happens: nothing depends on how fast a machine is.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What was asked for was done, and its answer is no: a test failed, a goal was missed.
#[derive(Debug)]
pub struct Failed(pub String);

impl Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Prints a line for people.
pub fn say(line: impl Display) {
    // Nobody reads it any more: no reason to stop what is being done.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a line of data.
pub fn print(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The clone.
pub fn repository() -> Result<PathBuf> {
    // Cargo says it at run time; what was true when this was compiled may have been moved since.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(manifest.parent().context("the manifest is in no folder")?.to_owned())
}

/// The folder that cargo builds into: the one that this program came from.
pub fn target() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let mut folders = program.ancestors().skip(1);
    let folder = folders.find(|f| !matches!(name(f), "deps" | "debug" | "release"));
    Ok(folder.context("this program is in no folder")?.to_owned())
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// The built `haechi` of a profile (`debug`, `release`).
pub fn haechi(profile: &str) -> Result<PathBuf> {
    let path = target()?.join(profile).join("haechi");
    if !path.is_file() {
        bail!("{} is not there: build it first with `cargo build`", path.display());
    }
    Ok(path)
}

/// Where a program is, looked for where root's programs are, too.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // The owner of its own /proc entry is the effective user.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A command in the clone.
pub fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository()?);
    Ok(command)
}

/// `cargo`, the one that runs this.
pub fn cargo(arguments: &[&str]) -> Result<Command> {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// Runs a command that talks to the terminal; a bad end is an error.
pub fn must(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", line(&command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(&command));
    }
    Ok(())
}

/// Runs a command and gives what it prints; a bad end is an error with what it said.
pub fn output(mut command: Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", line(&command)))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("`{}` ended with {}: {}", line(&command), done.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// `docker` with these arguments; gives what it prints.
pub fn docker<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Result<String> {
    let mut docker = command("docker", &[])?;
    // The classic builder is the one that every engine has without further packages.
    docker.args(arguments).env("DOCKER_BUILDKIT", "0").env("LC_ALL", "C");
    output(docker)
}
