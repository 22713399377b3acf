//! A running Docker Engine: the one that is there, or one that is started and said how to stop.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::{PATIENCE, docker, find, is_root, must, say};

const SOCKET: &str = "/var/run/docker.sock";

/// Sees to it that an engine answers.
pub fn meet() -> Result<()> {
    let Err(why) = answers() else {
        return Ok(());
    };
    if let Some(host) = std::env::var_os("DOCKER_HOST").filter(|host| !host.is_empty()) {
        bail!("the engine of DOCKER_HOST={} does not answer: {why:#}", host.display());
    }
    let refused = UnixStream::connect(SOCKET).err().map(|error| error.kind());
    if refused == Some(ErrorKind::PermissionDenied) {
        bail!("{SOCKET}: this user may not talk to the engine; run this as root");
    }
    if Path::new("/run/systemd/system").is_dir() {
        say("The engine does not answer: starting it with systemctl.");
        let mut words = vec!["systemctl", "start", "docker"];
        if !is_root() && find("sudo").is_some() {
            words.insert(0, "sudo");
        }
        let mut start = Command::new(words.remove(0));
        start.args(words);
        must(start)?;
        return wait(None).context("systemd started the engine, but it does not answer");
    }
    if !is_root() {
        bail!("the engine does not run, and only root can start it: run this as root");
    }
    start()
}

fn answers() -> Result<()> {
    docker(["version", "--format", "{{.Server.Version}}"]).map(drop)
}

/// Starts an engine that outlives this program.
fn start() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("haechi-dockerd-").tempdir()?.keep();
    let log = folder.join("log");
    let file = File::create(&log)?;
    let dockerd = find("dockerd").context("there is no dockerd")?;
    forget_ended("/var/run/docker.pid", "dockerd");
    forget_ended("/var/run/docker/containerd/containerd.pid", "containerd");
    // A session of its own: it goes on when the terminal closes.
    let child = Command::new("setsid")
        .arg(dockerd)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .current_dir("/")
        .spawn()
        .context("cannot start dockerd")?;
    say(format!(
        "The engine did not run: started dockerd, log in {}. Stop it with `kill {}`.",
        log.display(),
        child.id()
    ));
    wait(Some(child)).with_context(|| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        format!("the engine did not start; the end of {}:\n{tail}", log.display())
    })
}

/// Removes the pid file of a daemon that was killed: where nobody waits for ended processes, their ids stay taken,
/// and the daemon would believe that it runs already.
fn forget_ended(file: &str, program: &str) {
    let Some(pid) =
        std::fs::read_to_string(file).ok().and_then(|pid| pid.trim().parse::<u32>().ok())
    else {
        return;
    };
    let read =
        |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let is_ended = read("stat").rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'));
    if is_ended || read("comm").trim() != program {
        say(format!("{file}: {program} {pid} does not run any more; removed."));
        // If this fails, the daemon says so itself.
        let _ = std::fs::remove_file(file);
    }
}

fn wait(mut child: Option<Child>) -> Result<()> {
    let begin = Instant::now();
    loop {
        let Err(why) = answers() else {
            return Ok(());
        };
        if let Some(status) = child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            bail!("dockerd ended with {status}");
        }
        if begin.elapsed() > PATIENCE {
            return Err(why.context(format!("no answer within {} s", PATIENCE.as_secs())));
        }
        sleep(Duration::from_millis(300));
    }
}
