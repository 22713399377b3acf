//! Debian's own packages as material: a root by debootstrap, single packages by apt-get; each fetched once and kept
//! below the build folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::program::target;

/// Tests of one program run side by side.
static FETCHING: Mutex<()> = Mutex::new(());

/// Runs a program, demands that it works, and gives what it prints.
pub fn tool(program: &str, arguments: &[&str]) -> String {
    tool_in(Path::new("/"), program, arguments)
}

fn tool_in(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run `cargo xtask test`"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
}

fn kept() -> PathBuf {
    let folder = target().join("haechi-tests");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A root file system of this host's release, as a tar archive.
pub fn debian() -> PathBuf {
    let release = tool("sh", &["-c", ". /etc/os-release && echo $VERSION_CODENAME"]);
    fetched(&format!("debian-{release}"), &["var/cache/apt/*", "var/lib/apt/lists/*"], |root| {
        tool("debootstrap", &["--variant=minbase", &release, root.to_str().unwrap()]);
    })
}

/// A root file system that is made once, as a tar archive of this name; without devices, and without what is left out.
pub fn fetched(name: &str, left_out: &[&str], make: impl FnOnce(&Path)) -> PathBuf {
    let _one = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let tar = kept().join(format!("{name}.tar"));
    if !tar.is_file() {
        let dir = tempfile::tempdir_in(kept()).unwrap();
        let (root, new) = (dir.path().join("root"), dir.path().join("tar"));
        make(&root);
        let (root, new) = (root.to_str().unwrap(), new.to_str().unwrap());
        let out: Vec<String> =
            left_out.iter().chain(&["dev/*"]).map(|what| format!("--exclude=./{what}")).collect();
        let out: Vec<&str> = out.iter().map(String::as_str).collect();
        let write = ["--numeric-owner", "--directory", root, "--create", "--file", new, "."];
        tool("tar", &[&out[..], &write[..]].concat());
        fs::rename(new, &tar).unwrap();
    }
    tar
}

/// A package of this host's release, unpacked: its file, and the folder that holds its files.
pub fn debian_package(name: &str) -> (PathBuf, PathBuf) {
    let _one = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = kept().join("packages").join(name);
    if !folder.is_dir() {
        let dir = tempfile::tempdir_in(kept()).unwrap();
        let new = dir.path().join("new");
        fs::create_dir(&new).unwrap();
        tool_in(&new, "apt-get", &["--quiet", "download", name]);
        let deb = deb_in(&new);
        tool("dpkg-deb", &["--extract", deb.to_str().unwrap(), new.join("root").to_str().unwrap()]);
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        fs::rename(&new, &folder).unwrap();
    }
    (deb_in(&folder), folder.join("root"))
}

fn deb_in(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|e| e == "deb")).expect("a .deb")
}
