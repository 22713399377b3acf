//! Control groups of containers, versions 1 and 2: which there are, who is in them, what they use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::container_ids;
use crate::root::Root;

/// Where control groups are mounted (file-hierarchy of systemd; cgroups(7)).
const MOUNT: &str = "sys/fs/cgroup";
/// Version 1: the hierarchies that say what is used; the first one that is there says which containers there are.
const HIERARCHIES: [&str; 3] = ["memory", "pids", "cpuacct"];
/// Folders that are looked at; the largest hosts have some ten thousand.
const FOLDERS_MAX: usize = 200_000;
/// Folders below one another.
const DEPTH_MAX: usize = 16;
/// More than any machine has: what version 1 writes for "no limit".
const NO_LIMIT: u64 = 1 << 60;

/// The control groups of all containers of this machine.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    by_id: BTreeMap<String, Group>,
}

/// The control group of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Version 2, or version 1's hierarchy of memory.
    path: PathBuf,
    /// Version 1: where the mounts of its hierarchies are, and the path below them.
    older: Option<(PathBuf, PathBuf)>,
}

/// What a container uses; what the kernel does not say is absent, and so is a limit where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Use {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Its limit.
    pub memory_max: Option<u64>,
    /// Time of processors in microseconds.
    pub cpu_us: Option<u64>,
    /// Limit of processors: 0.5 is half of one.
    pub cpu_max: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Their limit.
    pub pids_max: Option<u64>,
}

impl Groups {
    /// Looks for the control groups of containers.
    ///
    /// # Errors
    /// Control groups are not mounted, or may not be listed: then it is not known which containers run.
    pub fn read(root: &Root) -> io::Result<Self> {
        let mount = root.base().join(MOUNT);
        let (start, older) = match mount.join("cgroup.controllers").exists() {
            true => (mount, None),
            false => {
                let found = HIERARCHIES.iter().map(|name| mount.join(name)).find(|at| at.is_dir());
                let missing = || io::Error::new(io::ErrorKind::NotFound, "no control groups");
                (found.ok_or_else(missing)?, Some(mount))
            }
        };
        let mut by_id = BTreeMap::new();
        let mut folders = vec![(start.clone(), 0)];
        let mut seen = 0;
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                // A container that has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound && depth > 0 => continue,
                Err(error) => return Err(error),
            };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                seen += 1;
                if seen > FOLDERS_MAX {
                    return Err(io::Error::other("too many control groups"));
                }
                let path = entry.path();
                let name = entry.file_name();
                let id = name.to_str().and_then(|name| container_ids(name).next());
                match id {
                    // What is below a container's group is the container's own.
                    Some(id) => {
                        let older = older.as_ref().and_then(|mount| {
                            let below = path.strip_prefix(&start).ok()?;
                            Some((mount.clone(), below.to_owned()))
                        });
                        by_id.insert(id.to_ascii_lowercase(), Group { path, older });
                    }
                    None if depth < DEPTH_MAX => folders.push((path, depth + 1)),
                    None => {}
                }
            }
        }
        Ok(Self { by_id })
    }

    /// The group of a container, by its full id.
    pub fn of(&self, id: &str) -> Option<&Group> {
        self.by_id.get(id)
    }

    /// Full ids of the containers that have a group with a process in it, or in a group below it.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        self.by_id.iter().filter(|(_, group)| group.is_populated()).map(|(id, _)| id.as_str())
    }
}

impl Group {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a process in it. A group that cannot be read counts as one with processes: nothing that runs may
    /// be left out.
    fn is_populated(&self) -> bool {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(events) => !events.lines().any(|line| line.trim() == "populated 0"),
            Err(_) => !self.pids().is_ok_and(|pids| pids.is_empty()),
        }
    }

    /// Ids of its processes, sorted, those of groups below it included.
    ///
    /// # Errors
    /// It has gone, or may not be read.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let mut pids = BTreeSet::new();
        let mut folders = vec![(self.path.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let listed = match fs::read_to_string(folder.join("cgroup.procs")) {
                Ok(listed) => listed,
                // Threaded groups have their processes listed further up (cgroups(7), "Thread mode").
                Err(error) if depth > 0 && error.kind() != io::ErrorKind::PermissionDenied => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            // 0 stands for a process of another namespace.
            pids.extend(
                listed.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|p| *p > 0),
            );
            if depth >= DEPTH_MAX {
                continue;
            }
            for entry in fs::read_dir(&folder)?.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push((entry.path(), depth + 1));
                }
            }
        }
        Ok(pids.into_iter().collect())
    }

    /// What it uses.
    pub fn usage(&self) -> Use {
        match &self.older {
            None => self.usage_2(),
            Some((mount, below)) => usage_1(mount, below),
        }
    }

    fn usage_2(&self) -> Use {
        let text = |file: &str| fs::read_to_string(self.path.join(file)).ok();
        let number = |file: &str| text(file)?.trim().parse().ok();
        let cpu_us = text("cpu.stat").and_then(|stat| {
            stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
        });
        let cpu_max = text("cpu.max").and_then(|max| {
            let (quota, period) = max.trim().split_once(' ')?;
            share(quota.parse().ok()?, period.parse().ok()?)
        });
        Use {
            memory: number("memory.current"),
            memory_max: number("memory.max"),
            cpu_us,
            cpu_max,
            pids: number("pids.current"),
            pids_max: number("pids.max"),
        }
    }
}

fn usage_1(mount: &Path, below: &Path) -> Use {
    let text = |hierarchy: &str, file: &str| {
        fs::read_to_string(mount.join(hierarchy).join(below).join(file)).ok()
    };
    let number =
        |hierarchy: &str, file: &str| -> Option<u64> { text(hierarchy, file)?.trim().parse().ok() };
    let quota = text("cpu", "cpu.cfs_quota_us").and_then(|quota| quota.trim().parse::<f64>().ok());
    let period = number("cpu", "cpu.cfs_period_us");
    Use {
        memory: number("memory", "memory.usage_in_bytes"),
        memory_max: number("memory", "memory.limit_in_bytes").filter(|max| *max < NO_LIMIT),
        cpu_us: number("cpuacct", "cpuacct.usage").map(|nanoseconds| nanoseconds / 1000),
        // Below 0 there is no limit.
        cpu_max: quota.filter(|quota| *quota > 0.0).zip(period).and_then(|(q, p)| share(q, p)),
        pids: number("pids", "pids.current"),
        pids_max: number("pids", "pids.max"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a period is far below 2^52 microseconds")]
fn share(quota: f64, period: u64) -> Option<f64> {
    (period > 0).then(|| quota / period as f64)
}
