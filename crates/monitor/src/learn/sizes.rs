//! How many processes and how much memory a control group has had at once. What the kernel does not say is 0.

use std::path::Path;

/// The most processes and threads a group has had at once, or has now where this kernel does not remember.
pub(super) fn tasks(path: &str) -> u64 {
    number(path, "pids", "pids.peak").or_else(|| number(path, "pids", "pids.current")).unwrap_or(0)
}

/// The most memory a group has had at once, in bytes.
pub(super) fn memory(path: &str) -> u64 {
    number(path, "memory", "memory.peak")
        .or_else(|| number(path, "memory", "memory.max_usage_in_bytes"))
        .or_else(|| number(path, "memory", "memory.current"))
        .unwrap_or(0)
}

/// A number of a group, wherever its controller is mounted: in the one hierarchy, or in its own.
fn number(path: &str, controller: &str, file: &str) -> Option<u64> {
    let root = Path::new("/sys/fs/cgroup");
    let path = path.trim_start_matches('/');
    [root.join(path), root.join(controller).join(path)]
        .iter()
        .find_map(|folder| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok())
}
