//! The corpus of behaviours (`tests/corpus/*.yaml`), and the Debian that they run in. It runs nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::{digest, fetched, repository, tool};

const SUITE: &str = "bookworm";
/// Programs that attacks and services are made of.
const PACKAGES: &str = "busybox-static,ca-certificates,cron,curl,dropbear-bin,gcc,gettext-base,git,gosu,iproute2,\
    kmod,libc6-dev,locales,logrotate,make,netcat-openbsd,nginx-light,nmap,nodejs,openssh-client,openssh-server,perl,\
    php-cli,postgresql,procps,python3,python3-pip,redis-server,rsync,socat,sqlite3,strace,sudo,wget,xz-utils";
/// What of Debian is of no use here.
const LEFT_OUT: [&str; 6] = [
    "usr/share/doc/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "proc/*",
];

/// One behaviour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Name of its container, after the prefix.
    pub name: String,
    /// What is done, in words.
    pub title: String,
    /// `debian` or `busybox`.
    #[serde(default)]
    pub image: Base,
    /// Of `docker run`.
    #[serde(default)]
    pub options: Vec<String>,
    /// What the container is started with; a shell that reads `run` if there is none.
    #[serde(default)]
    pub command: Vec<String>,
    /// Script for the shell.
    #[serde(default)]
    pub run: String,
    /// Script for a shell that `docker exec` starts in it.
    #[serde(default)]
    pub exec: String,
    /// Rules of which one has to tell it.
    #[serde(default)]
    pub expect: BTreeSet<String>,
    /// Why it is not told.
    pub not_seen: Option<String>,
}

/// What a behaviour runs in.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    #[default]
    /// [`corpus_image`].
    Debian,
    /// Busybox alone.
    Busybox,
}

/// Attacks and everyday work, of all files.
pub fn corpus() -> (Vec<Behaviour>, Vec<Behaviour>) {
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("tests/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    let read = |path: PathBuf| -> Vec<Behaviour> {
        let text = fs::read_to_string(&path).unwrap();
        serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.into_iter().flat_map(read).partition(|behaviour| !behaviour.expect.is_empty())
}

/// A Debian with `tests/corpus/image.sh` done in it; kept below the build's folder.
pub fn corpus_image() -> PathBuf {
    let script = fs::read(repository().join("tests/corpus/image.sh")).unwrap();
    let recipe = digest(&[&script, PACKAGES.as_bytes()].concat());
    let name = format!("corpus-{}", &recipe["sha256:".len()..][..16]);
    fetched(&name, &LEFT_OUT, |folder| {
        let root = folder.to_str().unwrap();
        tool("debootstrap", &["--variant=minbase", &format!("--include={PACKAGES}"), SUITE, root]);
        fs::write(folder.join("image.sh"), script).unwrap();
        tool("chroot", &[root, "/bin/sh", "/image.sh"]);
        fs::remove_file(folder.join("image.sh")).unwrap();
    })
}
