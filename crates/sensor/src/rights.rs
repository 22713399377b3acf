//! Capabilities that a program's file gives by itself (`security.capability`, capabilities(7)), for kernels whose functions
//! cannot be watched at their end (`rights_of_file` in `bpf/profile.h`).
//!
//! Looks after the fact, as a process of the container sees it: where neither the process nor its parent lives on, nothing is
//! found. Nothing here waits for a container, opens a file or changes anything.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::groups;
use crate::resolve::at;

/// The attribute.
const NAME: &str = "security.capability";
/// In its first word: the program holds them from its first moment on.
const EFFECTIVE: u32 = 1;

/// Capabilities without all of which a program of a container's group is not executed, in bits; 0 if there are none, or none
/// of these processes can be asked.
pub(crate) fn of_program(group: u64, processes: [u32; 2], path: &str) -> u64 {
    let viewer = processes.into_iter().find_map(|pid| viewer(group, pid));
    let found = viewer.and_then(|viewer| at(&viewer, path));
    found.map_or(0, |file| {
        let mut bytes = [0; 24];
        let file = format!("/proc/self/fd/{}", file.as_raw_fd());
        let size = rustix::fs::getxattr(file, NAME, &mut bytes).unwrap_or(0);
        bytes.get(..size).and_then(given).unwrap_or(0)
    })
}

/// A process that is in the group and sees its files from their root.
fn viewer(group: u64, pid: u32) -> Option<PathBuf> {
    let own = Path::new("/proc").join(pid.to_string());
    let groups = fs::read_to_string(own.join("cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_in = groups::root().join(path).metadata().is_ok_and(|folder| folder.ino() == group);
    let is_at_root = fs::read_link(own.join("root")).is_ok_and(|root| root == Path::new("/"));
    (is_in && is_at_root).then_some(own)
}

/// What the attribute says (`struct vfs_cap_data`, versions 2 and 3): a word, then two halves of what is permitted, each with
/// one of what is inheritable behind it.
fn given(bytes: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let rights = u64::from(word(4)?) | u64::from(word(12)?) << 32;
    Some(if word(0)? & EFFECTIVE == 0 { 0 } else { rights })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_file_gives_by_itself_is_needed() {
        let of = |words: [u32; 5]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            given(&bytes)
        };
        assert_eq!(of([0x0200_0001, 1 << 13, 0, 1 << 6, 0]), Some(1 << 13 | 1 << 38));
        assert_eq!(of([0x0200_0000, 1 << 13, 0, 0, 0]), Some(0), "it takes what there is");
        assert_eq!((given(&[]), given(&[1; 15])), (None, None));
    }

    #[test]
    fn somebody_outside_of_the_group_is_not_asked() {
        assert_eq!(of_program(0, [std::process::id(), 0], "/bin/sh"), 0);
        assert!(viewer(0, std::process::id()).is_none());
    }
}
