//! A second Docker daemon, with data, sockets and configuration of its own, as long as a test lives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::until;

/// A running daemon.
pub struct Daemon {
    child: Child,
    dir: TempDir,
    flags: Vec<String>,
}

impl Daemon {
    /// Starts one with this daemon.json and these further flags.
    pub fn start(config: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("daemon.json"), config).unwrap();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        let child = spawn(dir.path(), &flags);
        let mut daemon = Self { child, dir, flags };
        daemon.wait();
        daemon
    }

    /// Ends it and starts it again; containers live on if `--live-restore` says so.
    pub fn restart(&mut self) {
        self.end();
        self.child = spawn(self.dir.path(), &self.flags);
        self.wait();
    }

    /// Runs `docker` against it, and gives what it prints; fails if it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let url = self.url();
        crate::docker(&[&["--host", url.as_str()], arguments].concat())
    }

    fn wait(&mut self) {
        until("dockerd answers", || {
            if self.child.try_wait().unwrap().is_some() {
                let said = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("dockerd ended: {said}");
            }
            self.answers()
        });
    }

    fn end(&mut self) {
        // Asked, not forced: it takes its containerd along.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        until("dockerd ends", || !matches!(self.child.try_wait(), Ok(None)));
    }

    /// How Haechi finds it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.dir.path().join("docker.sock").display())
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("daemon.json")
    }

    /// Changes its configuration file, which it does not read again.
    pub fn change(&self, config: &str) {
        fs::write(self.config(), config).unwrap();
        // Later than any tolerance for the moment in which a daemon starts and reads its file.
        let later = SystemTime::now() + Duration::from_secs(60);
        let file = File::options().write(true).open(self.config()).unwrap();
        file.set_modified(later).unwrap();
    }

    fn answers(&self) -> bool {
        let mut version = Command::new("docker");
        version
            .args(["--host", &self.url(), "version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        version.status().unwrap().success()
    }
}

fn spawn(dir: &Path, flags: &[String]) -> Child {
    let at = |name: &str| dir.join(name);
    let log = File::options().create(true).append(true).open(at("log")).unwrap();
    // In a network of its own: `--bridge=none` would take docker0 away from the engine of this host.
    Command::new("unshare")
        .args(["--net", "--", "dockerd"])
        .arg(format!("--config-file={}", at("daemon.json").display()))
        .arg(format!("--data-root={}", at("data").display()))
        .arg(format!("--exec-root={}", at("exec").display()))
        .arg(format!("--pidfile={}", at("pid").display()))
        .arg(format!("--host=unix://{}", at("docker.sock").display()))
        .args(["--bridge=none", "--iptables=false"])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("these tests need dockerd and root: run `cargo xtask test` as root")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
