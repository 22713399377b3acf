//! What is in the virtual machine: busybox, the program that tries everything, the libraries that it needs, and one
//! script that begins. An archive as the kernel reads it (`Documentation/driver-api/early-userspace/buffer-format.rst`
//! in its source).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::need;
use crate::run::output;

/// Mounts what a machine has, and turns it off when all is done or nothing goes on.
const BEGIN: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
insmod /overlay.ko
ip link set lo up
echo begin
/vmtest
poweroff -f
";
/// Programs of busybox that the script and the tests use.
const APPLETS: [&str; 16] = [
    "sh", "mount", "insmod", "ip", "poweroff", "echo", "rm", "cp", "chmod", "cat", "nc", "grep",
    "sleep", "kill", "true", "mkdir",
];
const FOLDERS: [&str; 9] = ["bin", "opt", "proc", "sys", "dev", "tmp", "etc", "run", "root"];

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Writes the archive.
pub(super) fn write(to: &Path, program: &Path, kernel: &Kernel) -> Result<()> {
    let busybox = need("busybox", "busybox-static")?;
    let mut archive = Archive::new(File::create(to).with_context(|| to.display().to_string())?);
    for folder in FOLDERS {
        archive.add(folder, FOLDER, &[])?;
    }
    archive.add("init", PROGRAM, BEGIN.as_bytes())?;
    archive.add("overlay.ko", PROGRAM, &read(&kernel.overlay)?)?;
    let busybox = read(&busybox)?;
    // Two of them under names that are no program of busybox: they end at once and say so.
    for copy in ["bin/busybox", "opt/sshd", "opt/other"] {
        archive.add(copy, PROGRAM, &busybox)?;
    }
    for applet in APPLETS {
        archive.add(&format!("bin/{applet}"), LINK, b"busybox")?;
    }
    archive.add("vmtest", PROGRAM, &stripped(program)?)?;
    for library in libraries(program)? {
        archive.add_with_folders(&library, &read(&library)?)?;
    }
    archive.end()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// The program without what only debuggers read, if there is a tool for that; it need not be.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let small = program.with_extension("stripped");
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&small).arg(program);
    if output(strip).is_ok() {
        return read(&small);
    }
    read(program)
}

/// The libraries that a program is loaded with.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut ldd = Command::new(need("ldd", "libc-bin")?);
    ldd.arg(program);
    Ok(paths(&output(ldd)?))
}

/// The paths in what `ldd` prints: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader.
fn paths(said: &str) -> Vec<PathBuf> {
    let words = said.lines().filter_map(|line| {
        let path =
            line.split_once("=>").map_or(line, |(_, path)| path).split_whitespace().next()?;
        path.starts_with('/').then_some(path)
    });
    words.map(PathBuf::from).collect()
}

/// An archive that is being written.
struct Archive<W: Write> {
    to: BufWriter<W>,
    number: u32,
    made: Vec<PathBuf>,
}

impl<W: Write> Archive<W> {
    fn new(to: W) -> Self {
        Self { to: BufWriter::new(to), number: 0, made: Vec::new() }
    }

    /// A file, a link or a folder; `mode` says which.
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) -> Result<()> {
        self.number += 1;
        self.to.write_all(&head(self.number, mode, name, data.len())?)?;
        self.to.write_all(data)?;
        self.fill(data.len())
    }

    /// A file with the folders above it.
    fn add_with_folders(&mut self, path: &Path, data: &[u8]) -> Result<()> {
        let inner = path.strip_prefix("/").unwrap_or(path);
        let mut above: Vec<_> =
            inner.ancestors().skip(1).filter(|path| path.parent().is_some()).collect();
        above.reverse();
        for folder in above {
            if !self.made.iter().any(|made| made == folder) {
                self.add(&folder.to_string_lossy(), FOLDER, &[])?;
                self.made.push(folder.to_owned());
            }
        }
        self.add(&inner.to_string_lossy(), PROGRAM, data)
    }

    fn end(mut self) -> Result<()> {
        self.to.write_all(&head(0, 0, "TRAILER!!!", 0)?)?;
        Ok(self.to.flush()?)
    }

    /// Each part begins at a multiple of four.
    fn fill(&mut self, size: usize) -> Result<()> {
        Ok(self.to.write_all(&vec![0; size.next_multiple_of(4) - size])?)
    }
}

/// The head of an entry, with its name.
fn head(number: u32, mode: u32, name: &str, size: usize) -> io::Result<Vec<u8>> {
    let fits = |size: usize| u32::try_from(size).map_err(io::Error::other);
    let links = 1;
    let (size, name_size) = (fits(size)?, fits(name.len() + 1)?);
    // Owner, group, time; then the numbers of devices; last a sum that is not used.
    let words = [number, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
    let mut head = b"070701".to_vec();
    for word in words {
        head.extend(format!("{word:08x}").bytes());
    }
    head.extend(name.bytes());
    head.push(0);
    head.resize(head.len().next_multiple_of(4), 0);
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_laid_out_as_the_kernel_reads_it() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.add("abc", PROGRAM, b"hello").unwrap();
        archive.add_with_folders(Path::new("/lib/x/y.so"), b"1234").unwrap();
        archive.add_with_folders(Path::new("/lib/x/z.so"), b"").unwrap();
        archive.end().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.len() % 4, 0);
        let first = concat!(
            "070701",
            "00000001",
            "000081ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000005",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "abc\0\0\0",
            "hello\0\0\0",
            "070701",
        );
        assert!(text.starts_with(first), "{text}");
        let order = ["lib\0", "lib/x\0", "lib/x/y.so\0", "lib/x/z.so\0", "TRAILER!!!\0"];
        let places: Vec<_> = order.iter().map(|name| text.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(text.matches("lib/x\0").count(), 1);
    }

    #[test]
    fn libraries_are_found_in_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x7ff)\n\tlibc.so.6 => /lib/libc.so.6 (0x7f0)\n\
                    \tlibgone.so => not found\n\t/lib64/ld.so.2 (0x7f1)\n";
        assert_eq!(paths(said), ["/lib/libc.so.6", "/lib64/ld.so.2"].map(PathBuf::from));
        assert!(paths("\tstatically linked\n").is_empty());
    }
}
