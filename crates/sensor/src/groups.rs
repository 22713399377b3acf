//! Control groups of containers: their names, and those that exist. Reads only `/sys/fs/cgroup`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How deep groups are followed: runtimes nest at most a handful (`kubepods/pod/…/container`).
const DEPTH: usize = 16;
/// How many groups are looked at: as many as the kernel side holds.
const GROUPS: usize = 16_384;

/// The container's id in the name of its control group: 64 hexadecimal digits, alone or as `RUNTIME-DIGITS.scope`.
///
/// The same as `is_container` in `bpf/sensor.bpf.c`. The group of a container's monitor (`libpod-conmon-…`) is none.
#[must_use]
pub fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (before, id) = name.split_at_checked(name.len().checked_sub(64)?)?;
    let digits = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let runtime = before.is_empty()
        || before.len() >= 4 && before.ends_with('-') && !before.ends_with("conmon-");
    (digits && runtime).then_some(id)
}

/// A control group that belongs to a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its id.
    pub id: u64,
    /// The container's.
    pub container: u64,
    /// The container's id, if the group is the container's own.
    pub name: Option<String>,
    /// The container that the container is in.
    pub outer: Option<u64>,
    /// Path below the root of the hierarchy.
    pub path: String,
}

/// Where the hierarchy of version 2 is mounted: alone, or beside those of version 1.
pub(crate) fn root() -> PathBuf {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.procs").exists() { hybrid.into() } else { "/sys/fs/cgroup".into() }
}

/// All groups of containers below a folder, those outside before those inside. What goes away meanwhile is left out.
pub(crate) fn existing(root: &Path) -> Vec<Group> {
    let mut found = Vec::new();
    let mut left = vec![(root.to_path_buf(), None, 0)];
    while let Some((folder, within, depth)) = left.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_dir() || depth >= DEPTH || found.len() >= GROUPS {
                continue;
            }
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().and_then(container_id).map(str::to_owned);
            // The inode of the folder is the id of the group.
            let container = if name.is_some() { Some(meta.ino()) } else { within };
            if let Some(container) = container {
                let path = path.strip_prefix(root).unwrap_or(&path);
                let path = format!("/{}", path.display());
                let outer = if name.is_some() { within } else { None };
                found.push(Group { id: meta.ino(), container, name, outer, path });
            }
            left.push((path, container, depth + 1));
        }
    }
    found
}

/// The device of the overlay that is the root of a group's first process, as the kernel itself counts devices; `None` if
/// that has another root. From what the kernel says of the process's mounts (proc_pid_mountinfo(5)): nobody answers for
/// it but the kernel.
pub(crate) fn root_device(folder: &Path) -> Option<u64> {
    let processes = fs::read_to_string(folder.join("cgroup.procs")).ok()?;
    let first = processes.lines().filter_map(|line| line.parse::<u32>().ok()).min()?;
    overlay_root(&fs::read_to_string(format!("/proc/{first}/mountinfo")).ok()?)
}

fn overlay_root(mounts: &str) -> Option<u64> {
    let (mount, kind) = mounts.lines().rev().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (mount.split(' ').nth(4)? == "/").then_some((mount, kind))
    })?;
    let (major, minor) = mount.split(' ').nth(2)?.split_once(':')?;
    let (major, minor) = (major.parse::<u64>().ok()?, minor.parse::<u64>().ok()?);
    // MKDEV() of the kernel.
    kind.starts_with("overlay ").then_some(major << 20 | minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_known_if_it_is_an_overlay() {
        let over = "812 700 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/l\n813 812 0:64 / /proc rw - proc proc rw\n";
        assert_eq!(overlay_root(over), Some(61));
        let above = format!("{over}900 812 0:70 / / rw - tmpfs none rw\n");
        assert_eq!(overlay_root(&above), None);
        assert_eq!(overlay_root(""), None);
    }

    #[test]
    fn names_of_runtimes_are_known_and_others_are_not() {
        let id = "0123456789abcdef".repeat(4);
        for name in
            ["ID", "docker-ID.scope", "cri-containerd-ID.scope", "libpod-ID.scope", "crio-ID"]
        {
            assert_eq!(container_id(&name.replace("ID", &id)), Some(id.as_str()), "{name}");
        }
        for name in ["libpod-conmon-ID.scope", "xID", "ID0", "crio-conmon-ID.scope", "", ".scope"] {
            assert_eq!(container_id(&name.replace("ID", &id)), None, "{name}");
        }
        assert_eq!(container_id(&id.replace('a', "A")), None);
        assert_eq!(container_id(&id.replace('a', "é")), None);
    }
}
