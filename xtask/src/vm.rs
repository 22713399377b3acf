//! `cargo xtask vm`: what the kernel side does on Debian's own kernel, in a virtual machine: BPF LSM and AppArmor on,
//! control groups of version 2 alone. Needs no root but to install packages, no network in the machine, and no
//! acceleration. It changes nothing on this machine but the folder that is built into.

mod initrd;
mod kernel;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run::{Failed, PATIENCE, cargo, find, must, print, say, target};

/// What each machine's kernel is told: no control groups of version 1, and which modules for security it has. What it
/// says itself is not printed.
const KERNEL_LINE: &str = "console=ttyS0 quiet loglevel=1 panic=-1 rdinit=/init cgroup_no_v1=all";
const MACHINES: [(&str, &str); 2] = [
    ("BPF LSM and AppArmor", "lsm=lockdown,yama,apparmor,bpf"),
    // Takes the program that refuses, and does not ask it.
    ("AppArmor alone", "lsm=lockdown,yama,apparmor haechi=unasked"),
];
/// Bytes of memory, as QEMU reads it.
const MEMORY: &str = "768M";
/// Last lines of the machine that are shown when it gave no verdict.
const SHOWN: usize = 40;

/// What the machine said.
#[derive(Debug, Default)]
struct Verdict {
    ok: u32,
    failed: Vec<String>,
    /// How many lines it says it has printed.
    end: Option<u32>,
    /// Everything, for when something is missing.
    all: Vec<String>,
}

pub fn run() -> Result<()> {
    let begin = Instant::now();
    let qemu = kernel::qemu()?;
    let folder = target()?.join("vm");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let kernel = kernel::meet(&folder)?;
    let program = build()?;
    let initrd = folder.join("initrd");
    initrd::write(&initrd, &program, &kernel)?;
    let mut holds = 0;
    for (what, line) in MACHINES {
        say(format!("Starting a machine with {} and {what}.", kernel.name));
        let machine = start(&qemu, &kernel.image, &initrd, line)?;
        let verdict = attend(machine)?;
        verdict.judge()?;
        holds += verdict.ok;
    }
    say(format!("All {holds} hold, in {} s.", begin.elapsed().as_secs()));
    Ok(())
}

/// Listens until the machine has given its verdict or has no more time, and ends it.
fn attend(mut machine: Child) -> Result<Verdict> {
    let output = machine.stdout.take().context("the machine has no output")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // Console output may hold anything.
        for line in BufReader::new(output).split(b'\n').map_while(std::io::Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim().to_owned()).is_err() {
                return;
            }
        }
    });
    let verdict = listen(&lines, Instant::now() + PATIENCE);
    // It has ended by itself, or is of no use any more.
    let _ = machine.kill();
    let _ = machine.wait();
    Ok(verdict)
}

/// Builds what runs in the machine.
fn build() -> Result<PathBuf> {
    must(cargo(&["build", "--quiet", "--package", "haechi-sensor", "--example", "vmtest"])?)?;
    Ok(target()?.join("debug/examples/vmtest"))
}

fn start(qemu: &Path, kernel: &Path, initrd: &Path, line: &str) -> Result<Child> {
    let mut machine = Command::new(qemu);
    machine
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none", "-nic", "none"])
        // Emulated, so that it is the same everywhere.
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY])
        .args(["-serial", "stdio", "-append", &format!("{KERNEL_LINE} {line}")])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    machine.spawn().with_context(|| format!("cannot run {}", qemu.display()))
}

/// Reads what the machine says until its end, or until there is no time left.
fn listen(lines: &Receiver<String>, end: Instant) -> Verdict {
    let mut verdict = Verdict::default();
    while verdict.end.is_none() {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => verdict.read(line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    verdict
}

impl Verdict {
    fn read(&mut self, line: String) {
        if line.starts_with("ok ") {
            self.ok += 1;
            print(&line);
        } else if line.starts_with("FAIL ") {
            print(&line);
            self.failed.push(line.clone());
        } else if let Some(count) = line.strip_prefix("end ") {
            self.end = count.parse().ok();
        }
        self.all.push(line);
    }

    /// An error, unless everything holds and nothing that was said is missing.
    fn judge(&self) -> Result<()> {
        let said = self.ok + u32::try_from(self.failed.len())?;
        let problem = match self.end {
            None => Some("the machine gave no verdict".to_owned()),
            Some(0) => Some("the machine tried nothing".to_owned()),
            Some(count) if count != said => Some(format!("of {count} lines {said} arrived")),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            let from = self.all.len().saturating_sub(SHOWN);
            self.all.iter().skip(from).for_each(|line| say(format!("  {line}")));
            bail!(Failed(format!("{problem}; above is the last that it said")));
        }
        if !self.failed.is_empty() {
            bail!(Failed(format!("{} of {said} do not hold", self.failed.len())));
        }
        Ok(())
    }
}

/// A program that is needed, and the package of Debian that brings it.
fn need(program: &str, package: &str) -> Result<PathBuf> {
    find(program).with_context(|| format!("{program} is missing; it is in Debian's {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(lines: &[&str]) -> Verdict {
        let (sender, receiver) = channel();
        lines.iter().for_each(|line| sender.send((*line).to_owned()).unwrap());
        drop(sender);
        listen(&receiver, Instant::now() + PATIENCE)
    }

    #[test]
    fn only_a_whole_verdict_without_a_failure_is_good() {
        assert!(verdict(&["boot", "ok one", "ok two", "end 2"]).judge().is_ok());
        for bad in [
            vec!["ok one", "ok two"],
            vec!["ok one", "end 2"],
            vec!["ok one", "FAIL two: why", "end 2"],
            vec!["end 0"],
            vec!["ok one", "end x"],
            vec![],
        ] {
            let error = verdict(&bad).judge().unwrap_err();
            assert!(error.is::<Failed>(), "{bad:?}");
        }
    }
}
