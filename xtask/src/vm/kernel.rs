//! Debian's kernel and QEMU, from this machine's own package sources. The kernel is taken out of its package into the
//! folder that is built into; it is not installed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::need;
use crate::run::{find, is_root, must, output, say};

/// The package that names the current one.
const NEWEST: &str = "linux-image-amd64";

/// A kernel that can be started.
pub(super) struct Kernel {
    /// Its package.
    pub name: String,
    /// What QEMU starts.
    pub image: PathBuf,
    /// The module of overlayfs.
    pub overlay: PathBuf,
}

/// QEMU, which is installed if it is not there.
pub(super) fn qemu() -> Result<PathBuf> {
    const PROGRAM: &str = "qemu-system-x86_64";
    const PACKAGE: &str = "qemu-system-x86";
    if let Some(found) = find(PROGRAM) {
        return Ok(found);
    }
    if find("apt-get").is_none() || !is_root() {
        bail!("{PROGRAM} is missing; as root: apt-get update && apt-get install {PACKAGE}");
    }
    say(format!("This machine lacks {PROGRAM}; it is installed with apt-get ({PACKAGE})."));
    for words in [
        ["update", "--quiet"].as_slice(),
        &["install", "--quiet", "--yes", "--no-install-recommends", PACKAGE],
    ] {
        let mut apt = Command::new("apt-get");
        apt.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        // What apt-get prints is not the data of this command.
        apt.stdin(Stdio::null()).stdout(io::stderr());
        must(apt)?;
    }
    need(PROGRAM, PACKAGE)
}

/// The newest kernel of this release; fetched once.
pub(super) fn meet(folder: &Path) -> Result<Kernel> {
    let mut depends = Command::new("apt-cache");
    depends.args(["depends", "--important", NEWEST]).env("LC_ALL", "C");
    let depends = output(depends).context("the kernel comes from Debian's packages")?;
    let name = newest(&depends).with_context(|| {
        format!("{NEWEST} names no kernel: are there package lists (apt-get update)?")
    })?;
    let own = folder.join(name);
    let kernel = Kernel {
        name: name.to_owned(),
        image: own.join("vmlinuz"),
        overlay: own.join("overlay.ko"),
    };
    if kernel.image.is_file() && kernel.overlay.is_file() {
        return Ok(kernel);
    }
    fs::create_dir_all(&own)?;
    say(format!("Fetching {name} with apt-get, into {}.", own.display()));
    let mut download = Command::new("apt-get");
    download.args(["download", "--quiet", name]).current_dir(&own);
    must({
        download.stdin(Stdio::null()).stdout(io::stderr());
        download
    })?;
    let package = fs::read_dir(&own)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("apt-get left no package")?;
    take_out(&package, &kernel)?;
    fs::remove_file(&package)?;
    Ok(kernel)
}

/// The package in what `apt-cache depends` prints.
fn newest(depends: &str) -> Option<&str> {
    let packages = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    packages.into_iter().find(|name| {
        name.starts_with("linux-image-")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.+".contains(&byte))
    })
}

/// Takes the kernel and the module out of the package.
fn take_out(package: &Path, kernel: &Kernel) -> Result<()> {
    let mut unpack = Command::new(need("dpkg-deb", "dpkg")?);
    unpack.arg("--fsys-tarfile").arg(package).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut unpack = unpack.spawn()?;
    let mut files = tar::Archive::new(unpack.stdout.take().context("dpkg-deb has no output")?);
    for entry in files.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let to = if path.trim_start_matches("./").starts_with("boot/vmlinuz-") {
            &kernel.image
        } else if path.ends_with("/overlayfs/overlay.ko") {
            &kernel.overlay
        } else {
            continue;
        };
        // Whole or not at all: the next run trusts what is there.
        let part = to.with_extension("part");
        io::copy(&mut entry, &mut File::create(&part)?)?;
        fs::rename(part, to)?;
    }
    // To the end, so that dpkg-deb can end well.
    io::copy(&mut files.into_inner().take(u64::MAX), &mut io::sink())?;
    if !unpack.wait()?.success() {
        bail!("dpkg-deb could not read {}", package.display());
    }
    for path in [&kernel.image, &kernel.overlay] {
        if !path.is_file() {
            bail!("{} is not in {}", path.display(), package.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_found_in_what_apt_says() {
        let said = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n  Suggests: x\n";
        assert_eq!(newest(said), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(newest("linux-image-amd64\n  Depends: grub\n"), None);
        assert_eq!(newest("  Depends: linux-image-1 --force\n"), None);
        assert_eq!(newest(""), None);
    }
}
