//! A running `haechi monitor`: waits until it watches, and ends it whatever happens. It judges nothing that was told.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{Done, Haechi, Running, until};

/// The monitor; killed when it is dropped.
pub struct Monitor {
    haechi: Haechi,
    running: Option<Running>,
}

impl Monitor {
    /// Starts what was prepared (`Haechi::new(&["monitor", …])`), and waits until it watches.
    pub fn begin(mut haechi: Haechi) -> Self {
        let running = Some(haechi.begin());
        let mut monitor = Self { haechi, running };
        until("the monitor watches", || {
            let ended = monitor.running.as_mut().unwrap().has_ended();
            assert!(!ended, "{}", monitor.said());
            monitor.said().contains("Watching")
        });
        monitor
    }

    /// Folder in which it runs; what it says is in `stdout` and `stderr` there.
    pub fn dir(&self) -> PathBuf {
        self.haechi.dir().to_path_buf()
    }

    /// What it said on stderr until now.
    pub fn said(&self) -> String {
        fs::read_to_string(self.haechi.dir().join("stderr")).unwrap_or_default()
    }

    /// The alerts that it told until now; for `--format json`.
    pub fn alerts(&self) -> Vec<Value> {
        let told = fs::read_to_string(self.haechi.dir().join("stdout")).unwrap_or_default();
        told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.running.as_ref().unwrap().id()
    }

    /// Asks it to end, as from the keyboard; what it said.
    pub fn end(&mut self) -> Done {
        let asked = Command::new("kill").args(["-INT", &self.id().to_string()]).status();
        assert!(asked.unwrap().success());
        self.running.take().unwrap().end()
    }

    /// Ends it by force; what it said on stdout until then.
    pub fn kill(mut self) -> String {
        self.running.take().unwrap().kill();
        fs::read_to_string(self.haechi.dir().join("stdout")).unwrap()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}
