//! What this machine needs beside Rust: named first, with the reason, then installed where that is known.

use std::fmt;
use std::io::{BufRead, IsTerminal, stdin};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run::{find, is_root, must, say};

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Verify this host.
    Verify,
    /// Every test.
    Test,
    /// The lab.
    Lab,
    /// Measurements.
    Bench,
}

/// How it is seen to be there.
enum Seen {
    Program(&'static str),
    File(&'static str),
}

/// A need: how it is seen, which Debian packages bring it (the first that this release has), why, what for.
struct Need {
    seen: Seen,
    packages: &'static [&'static str],
    why: &'static str,
    what_for: &'static [For],
}

const ALL: &[For] = &[For::Verify, For::Test, For::Lab, For::Bench];

const NEEDS: &[Need] = &[
    Need {
        seen: Seen::Program("cc"),
        packages: &["gcc"],
        why: "compiles SQLite, where verifications are kept",
        what_for: &[For::Verify, For::Test, For::Bench],
    },
    Need {
        seen: Seen::File("/usr/include/stdio.h"),
        packages: &["libc6-dev"],
        why: "compiles SQLite, where verifications are kept",
        what_for: &[For::Verify, For::Test, For::Bench],
    },
    Need {
        seen: Seen::Program("clang"),
        packages: &["clang"],
        why: "compiles the programs that run in the kernel",
        what_for: &[For::Verify, For::Test, For::Bench],
    },
    Need {
        seen: Seen::Program("dockerd"),
        packages: &["docker.io"],
        why: "the container engine that is verified",
        what_for: ALL,
    },
    Need {
        // Newer releases have the command in a package of its own.
        seen: Seen::Program("docker"),
        packages: &["docker-cli", "docker.io"],
        why: "makes the containers of the lab",
        what_for: ALL,
    },
    Need {
        seen: Seen::Program("iptables"),
        packages: &["iptables"],
        why: "the engine cannot start without it",
        what_for: ALL,
    },
    Need {
        seen: Seen::Program("busybox"),
        packages: &["busybox-static"],
        why: "all that the lab's images contain; nothing is pulled",
        what_for: ALL,
    },
    Need {
        seen: Seen::Program("dropbear"),
        packages: &["dropbear-bin"],
        why: "the ssh server that a container of the lab hides; it is not started on the host",
        what_for: ALL,
    },
    Need {
        seen: Seen::Program("debootstrap"),
        packages: &["debootstrap"],
        why: "makes the root of a Debian image, once",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("apparmor_parser"),
        packages: &["apparmor"],
        why: "compiles the AppArmor profiles that are made",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("auditctl"),
        packages: &["auditd"],
        why: "loads rules of the kernel's audit, to be read back",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("rpmbuild"),
        packages: &["rpm"],
        why: "makes packages and a database of rpm",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("htpasswd"),
        packages: &["apache2-utils"],
        why: "the password of the registry that one test starts",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("openssl"),
        packages: &["openssl"],
        why: "certificates of that registry, and keys to be found in images",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("chromium"),
        packages: &["chromium"],
        why: "opens the dashboard as people do",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("chromedriver"),
        packages: &["chromium-driver", "chromium-chromedriver"],
        why: "drives that browser",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("npm"),
        packages: &["npm"],
        why: "fetches axe-core, which looks whether everybody can use the pages",
        what_for: &[For::Test],
    },
    Need {
        seen: Seen::Program("curl"),
        packages: &["curl"],
        why: "asks the dashboard as programs do",
        what_for: &[For::Test, For::Bench],
    },
    Need {
        seen: Seen::Program("wrk"),
        packages: &["wrk"],
        why: "asks the dashboard as many people at once do",
        what_for: &[For::Bench],
    },
    Need {
        seen: Seen::Program("sqlite3"),
        packages: &["sqlite3"],
        why: "writes to the database while the dashboard wants to, and changes what must not be changed",
        what_for: &[For::Test],
    },
];

impl Need {
    fn is_there(&self) -> bool {
        match self.seen {
            Seen::Program(name) => find(name).is_some(),
            Seen::File(path) => std::path::Path::new(path).exists(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Seen::Program(what) | Seen::File(what)) = self.seen;
        write!(f, "  {:<16} ({what}): {}", self.packages.join(" or "), self.why)
    }
}

fn missing(what_for: For) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| need.what_for.contains(&what_for) && !need.is_there()).collect()
}

/// Sees to it that everything is there.
pub fn meet(what_for: For) -> Result<()> {
    let needs = missing(what_for);
    if needs.is_empty() {
        return Ok(());
    }
    say("This machine lacks:");
    needs.iter().for_each(say);
    let Some(apt) = find("apt-get") else {
        bail!("install them (the names above are Debian's) and run this again");
    };
    say("They are installed with apt-get from this machine's own package sources.");
    let by_hand = "as root: apt-get update && apt-get install PACKAGES";
    let before: &[&str] = match (is_root(), find("sudo")) {
        (true, _) => &[],
        (false, Some(_)) => &["sudo"],
        (false, None) => bail!("only root can install them, and there is no sudo; {by_hand}"),
    };
    if !agreed()? {
        bail!("nothing was installed; {by_hand}");
    }
    let apt = |arguments: &[&str]| {
        let environment = ["env", "DEBIAN_FRONTEND=noninteractive"];
        let apt = apt.display().to_string();
        let mut words: Vec<&str> = [before, &environment, &[apt.as_str()], arguments].concat();
        let mut command = Command::new(words.remove(0));
        // What apt-get prints is not the data of the command that needed it.
        command.args(words).stdin(Stdio::null()).stdout(std::io::stderr());
        must(command)
    };
    apt(&["update", "--quiet"])?;
    let mut packages: Vec<&str> = needs.iter().filter_map(|need| available(need)).collect();
    packages.sort_unstable();
    packages.dedup();
    let install = ["install", "--quiet", "--yes", "--no-install-recommends"];
    apt(&[&install, packages.as_slice()].concat())?;
    let still = missing(what_for);
    if !still.is_empty() {
        still.iter().for_each(say);
        bail!("these are missing still, after apt-get");
    }
    Ok(())
}

/// The first package that this release has; apt-get itself complains if there is none.
fn available(need: &Need) -> Option<&'static str> {
    let known = |package: &&&str| {
        let mut show = Command::new("apt-cache");
        show.args(["show", package])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        show.status().is_ok_and(|status| status.success())
    };
    need.packages.iter().find(known).or(need.packages.last()).copied()
}

/// Asks, if there is somebody to ask.
fn agreed() -> Result<bool> {
    if !stdin().is_terminal() {
        say("No terminal to ask on: going on.");
        return Ok(true);
    }
    say("Install them now? [y/N]");
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
