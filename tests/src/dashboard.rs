//! A running `haechi serve` with an account whose password is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Haechi, Running, until};

/// The password that the account `admin` is given.
pub const PASSWORD: &str = "seven small lanterns";

/// A dashboard that answers.
pub struct Dashboard {
    /// The program's own folder.
    pub haechi: Haechi,
    running: Option<Running>,
    /// `https://127.0.0.1:PORT`.
    pub address: String,
    /// The first password, as its file tells it; empty if there were accounts already.
    pub first: String,
    data: Option<PathBuf>,
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}

impl Dashboard {
    /// Starts one with these options, on a port that is free, and waits until it says where it is.
    pub fn begin(policy: &str, options: &[&str]) -> Self {
        let all = [&["serve", "--listen", "127.0.0.1:0"][..], options].concat();
        Self::of(Haechi::new(&all).policy(policy), None)
    }

    /// The same, with its data in this folder.
    pub fn begin_in(data: &Path, policy: &str, options: &[&str]) -> Self {
        let all = [&["serve", "--listen", "127.0.0.1:0"][..], options].concat();
        Self::of(Haechi::new(&all).policy(policy).data(data), Some(data.to_owned()))
    }

    fn of(mut haechi: Haechi, data: Option<PathBuf>) -> Self {
        let running = haechi.begin();
        let (address, first) = (String::new(), String::new());
        let mut dashboard = Self { haechi, running: Some(running), address, first, data };
        until("the dashboard says where it is", || dashboard.said().contains("Fingerprint"));
        let said = dashboard.said();
        let after = |mark: &str, end: char| {
            let (_, rest) = said.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {said}"));
            rest.split(end).next().unwrap_or_default().trim().to_owned()
        };
        dashboard.address = format!("https://{}", after("https://", '\n'));
        // Only the first start makes an account; nobody sits at a terminal.
        let first = fs::read_to_string(dashboard.data().join("first-password"));
        dashboard.first = first.unwrap_or_default().trim().to_owned();
        assert!(dashboard.first.is_empty() || !said.contains(&dashboard.first), "{said}");
        dashboard
    }

    /// What it said on stderr.
    pub fn said(&self) -> String {
        fs::read_to_string(self.haechi.dir().join("stderr")).unwrap_or_default()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.running.as_ref().map_or(0, Running::id)
    }

    /// Where it keeps its data.
    pub fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.haechi.dir().join("data"))
    }

    /// Asks it to end in order, and copies its data; its exit code and what it said.
    pub fn end_keeping(mut self, copy: &Path) -> (i32, String) {
        let data = self.data();
        let ended = self.ended();
        let copied = Command::new("cp").arg("-a").args([&data, copy]).status();
        assert!(copied.is_ok_and(|status| status.success()));
        ended
    }

    /// Asks it to end in order; its exit code and what it said.
    pub fn end(mut self) -> (i32, String) {
        self.ended()
    }

    fn ended(&mut self) -> (i32, String) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|s| s.success()));
        let running = self.running.take().expect("it runs");
        let done = running.end();
        (done.code, done.stderr)
    }
}
