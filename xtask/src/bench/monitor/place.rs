//! The container in which work is measured: a Debian with a compiler and the load ([`load.c`](load.c)) in its image, so
//! that neither is a program that was added later.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::{command, docker, find, must, target};

const NAME: &str = "haechi-bench-monitor";
const BASE: &str = "haechi-bench-monitor:base";
const IMAGE: &str = "haechi-bench-monitor:1";
const SUITE: &str = "bookworm";
const PACKAGES: &str = "findutils,gcc,libc6-dev,strace";
/// Functions in the source that is compiled: some tenths of a second of work.
const FUNCTIONS: usize = 80;

/// It; gone at the end.
pub struct Place {
    id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = docker(["rm", "--force", NAME]);
        let _ = docker(["rmi", "--force", IMAGE, BASE]);
    }
}

impl Place {
    /// Makes it and starts it.
    pub fn make() -> Result<Self> {
        let folder = target()?.join("bench");
        std::fs::create_dir_all(&folder)?;
        let tar = folder.join("monitor-debian.tar");
        if !tar.is_file() {
            debian(&folder, &tar)?;
        }
        let _ = docker(["rm", "--force", NAME]);
        let base = tar.to_str().context("the build's folder has no readable name")?;
        docker(["import", base, BASE])?;
        let mut place = Self { id: String::new() };
        image()?;
        // strace needs more than containers are allowed; what is measured needs no network.
        let options = ["run", "--detach", "--name", NAME, "--network", "none"];
        let allow = ["--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"];
        let program = [IMAGE, "/bin/sleep", "1000000"];
        place.id = docker(options.iter().chain(&allow).chain(&program))?;
        Ok(place)
    }

    /// Its name.
    pub const fn container(&self) -> &str {
        NAME
    }

    /// The folder of its control group (version 2).
    pub fn group(&self) -> Result<String> {
        let pid = docker(["inspect", "--format", "{{.State.Pid}}", &self.id])?;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"));
        let path = path.context("the container is in no control group of version 2")?;
        let hybrid = Path::new("/sys/fs/cgroup/unified").is_dir();
        Ok(format!("/sys/fs/cgroup{}{path}", if hybrid { "/unified" } else { "" }))
    }
}

fn debian(folder: &Path, tar: &Path) -> Result<()> {
    if find("debootstrap").is_none() {
        bail!("the program debootstrap is missing");
    }
    let room = tempfile::tempdir_in(folder)?;
    let (root, new) = (room.path().join("root"), room.path().join("tar"));
    let (root_text, new_text) = (
        root.to_str().context("the build's folder has no readable name")?,
        new.to_str().context("the build's folder has no readable name")?,
    );
    let include = format!("--include={PACKAGES}");
    must(command("debootstrap", &["--variant=minbase", &include, SUITE, root_text])?)?;
    let leave = ["--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./var/cache/apt/*"];
    let write = ["--numeric-owner", "--directory", root_text, "--create", "--file", new_text, "."];
    must(command("tar", &[&leave[..], &write[..]].concat())?)?;
    Ok(std::fs::rename(new, tar)?)
}

/// The image: that Debian, the load, and a source to compile.
fn image() -> Result<()> {
    let room = tempfile::tempdir()?;
    let at = |name: &str| -> Result<String> {
        let path = room.path().join(name);
        Ok(path.to_str().context("the folder for temporary files has no readable name")?.to_owned())
    };
    std::fs::write(at("load.c")?, include_str!("load.c"))?;
    must(command("cc", &["-O2", "-static", "-o", &at("load")?, &at("load.c")?])?)?;
    let mut source = String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n");
    for number in 0..FUNCTIONS {
        source.push_str(&format!(
            "int f{number}(const char *t, int n) {{ int s = {number}; for (int i = 0; i < n; i++) \
             s = s * 31 + t[i % (n + 1)]; return s ? s : (int)strlen(t); }}\n"
        ));
    }
    std::fs::write(at("source.c")?, source)?;
    std::fs::write(at("Dockerfile")?, format!("FROM {BASE}\nCOPY load source.c /\n"))?;
    docker(["build", "--quiet", "--network", "none", "--tag", IMAGE, &at("")?]).map(drop)
}
