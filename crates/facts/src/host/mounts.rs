//! Mounts, from mountinfo of process 1, and which of them holds the engine's data.
//!
//! "A file system of its own" means another device than the root's. Subvolumes of one btrfs share
//! its device, so they are not; data sets of ZFS have a device and a source each, so they are (they
//! can have a quota).

use std::collections::BTreeMap;

use haechi_core::facts::{DataRootMount, Mount};
use haechi_core::finding::{Cause, SubjectKind};

use super::view::{PID_DETAIL, View};
use crate::gaps::Gaps;
use crate::root::{Root, RootError};

/// Mounts with their place in the tree of mounts.
pub(super) struct Mounts {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: i64,
    parent: i64,
    mount: Mount,
}

/// Reads the mounts of process 1.
pub(super) fn collect(root: &Root, view: &View, gaps: &Gaps) -> Option<Mounts> {
    if !view.proc {
        super::proc_gap(gaps, "mounts");
        return None;
    }
    if !view.host_processes {
        gaps.record(SubjectKind::Host, "mounts", Cause::Permission, PID_DETAIL);
        return None;
    }
    let text = std::fs::read(root.proc("1/mountinfo"))
        .map_err(|error| RootError::new("/proc/1/mountinfo".as_ref(), error));
    let text = gaps.keep(SubjectKind::Host, "mounts", text)?;
    let entries: Option<Vec<Entry>> =
        String::from_utf8_lossy(&text).lines().map(parse_line).collect();
    if entries.is_none() {
        let detail = "/proc/1/mountinfo: unknown form of line";
        gaps.record(SubjectKind::Host, "mounts", Cause::Missing, detail);
    }
    entries.map(|entries| Mounts { entries })
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut fields = line.split(' ');
    let id = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let device = fields.next()?.to_owned();
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = fields.next()?.to_owned();
    // Optional fields end at a lone dash.
    fields.find(|field| *field == "-")?;
    let fs_type = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    let mount = Mount {
        mount_point: Some(mount_point),
        root: Some(root),
        device: Some(device),
        fs_type: Some(fs_type),
        source: Some(source),
        options: Some(options),
    };
    Some(Entry { id, parent, mount })
}

/// The kernel writes blanks, line ends and backslashes as three octal digits.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| after.get(..3).and_then(|d| std::str::from_utf8(d).ok()))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = after.get(if code.is_some() { 3 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Mounts {
    /// All mounts, in the kernel's order.
    pub(super) fn facts(&self) -> Vec<Mount> {
        self.entries.iter().map(|entry| entry.mount.clone()).collect()
    }

    /// The mount that a path, links resolved, is on: the way of the kernel, from the root down, so
    /// that a mount that another one covers is not taken.
    fn holding(&self, path: &str) -> Option<&Mount> {
        let mut children: BTreeMap<i64, Vec<&Entry>> = BTreeMap::new();
        let ids: std::collections::BTreeSet<i64> = self.entries.iter().map(|e| e.id).collect();
        let mut here: Option<&Entry> = None;
        for entry in &self.entries {
            if entry.parent == entry.id || !ids.contains(&entry.parent) {
                if entry.mount.mount_point.as_deref() == Some("/") {
                    here = Some(entry);
                }
            } else {
                children.entry(entry.parent).or_default().push(entry);
            }
        }
        let mut here = here?;
        // As many steps as there are mounts: a ring in hostile input ends there.
        for _ in 0..self.entries.len() {
            let below = children.get(&here.id).into_iter().flatten();
            let next = below
                .filter(|entry| {
                    contains(entry.mount.mount_point.as_deref().unwrap_or_default(), path)
                })
                .min_by_key(|entry| entry.mount.mount_point.as_ref().map_or(0, String::len));
            match next {
                Some(next) => here = next,
                None => return Some(&here.mount),
            }
        }
        None
    }

    /// The file system that holds the engine's data.
    pub(super) fn data_root(
        &self,
        root: &Root,
        data_root: &str,
        gaps: &Gaps,
    ) -> Option<DataRootMount> {
        let fact = "data_root_mount";
        let real = gaps.keep(SubjectKind::Engine, fact, root.metadata(data_root))?.real_path;
        let (Some(mount), Some(base)) = (self.holding(&real), self.holding("/")) else {
            let detail = "/proc/1/mountinfo: no root mount";
            gaps.record(SubjectKind::Engine, fact, Cause::Missing, detail);
            return None;
        };
        let block = mount.source.as_deref().is_some_and(|source| source.starts_with('/'))
            || matches!(mount.fs_type.as_deref(), Some("btrfs" | "zfs"));
        let same_source = block && mount.source == base.source;
        Some(DataRootMount {
            mount_point: mount.mount_point.clone(),
            device: mount.device.clone(),
            fs_type: mount.fs_type.clone(),
            source: mount.source.clone(),
            root_device: base.device.clone(),
            separate: Some(mount.device != base.device && !same_source),
        })
    }
}

/// Whether a path is a directory or below it.
fn contains(dir: &str, path: &str) -> bool {
    let dir = dir.trim_end_matches('/');
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(text: &str) -> Mounts {
        Mounts { entries: text.lines().map(|line| parse_line(line).unwrap()).collect() }
    }

    fn separate(text: &str) -> (String, bool) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/lib/docker")).unwrap();
        let root = Root::new(dir.path());
        let seen = mounts(text).data_root(&root, "/var/lib/docker", &Gaps::default()).unwrap();
        (seen.mount_point.unwrap(), seen.separate.unwrap())
    }

    const BASE: &str = "22 27 0:21 / /sys rw shared:7 - sysfs sysfs rw\n\
        27 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n";

    #[test]
    fn only_another_device_is_a_partition_of_its_own() {
        for (more, mount_point, expected) in [
            ("", "/", false),
            ("30 27 8:17 / /var/lib/docker rw - ext4 /dev/sdb1 rw\n", "/var/lib/docker", true),
            ("30 27 8:17 / /var rw - ext4 /dev/sdb1 rw\n", "/var", true),
            // A bind mount of a folder of the root file system.
            ("30 27 8:1 /data /var/lib/docker rw - ext4 /dev/sda1 rw\n", "/var/lib/docker", false),
            // A bind mount of a folder of another disk.
            ("30 27 8:17 /d /var/lib/docker rw - ext4 /dev/sdb1 rw\n", "/var/lib/docker", true),
            // Covered by a later mount on /var: the data is not on the disk that was mounted first.
            (
                "30 27 8:17 / /var/lib/docker rw - ext4 /dev/sdb1 rw\n\
                 31 27 8:1 /v /var rw - ext4 /dev/sda1 rw\n",
                "/var",
                false,
            ),
            // Mounted over itself.
            (
                "30 27 8:17 / /var/lib/docker rw - ext4 /dev/sdb1 rw\n\
                 31 30 8:1 /x /var/lib/docker rw - ext4 /dev/sda1 rw\n",
                "/var/lib/docker",
                false,
            ),
            ("30 27 8:17 / /var/lib/dock rw - ext4 /dev/sdb1 rw\n", "/", false),
            ("30 27 0:40 / /var/lib/docker rw - zfs rpool/docker rw\n", "/var/lib/docker", true),
            ("30 27 0:40 /@d /var/lib/docker rw - btrfs /dev/sda1 rw\n", "/var/lib/docker", false),
        ] {
            assert_eq!(
                separate(&format!("{BASE}{more}")),
                (mount_point.into(), expected),
                "{more}"
            );
        }
    }

    #[test]
    fn lines_with_odd_names_are_read_and_broken_ones_refused() {
        let entry =
            parse_line("1 0 8:1 /a\\040b /m\\134n rw,x a:1 b:2 - fuse.x so\\011urce rw").unwrap();
        assert_eq!(entry.mount.root.as_deref(), Some("/a b"));
        assert_eq!(entry.mount.mount_point.as_deref(), Some("/m\\n"));
        assert_eq!(entry.mount.source.as_deref(), Some("so\turce"));
        assert_eq!(entry.mount.options.as_deref(), Some("rw,x"));
        assert!(parse_line("").is_none());
        assert!(parse_line("1 0 8:1 / / rw shared:1 ext4 x rw").is_none());
        assert_eq!(unescape("a\\04"), "a\\04");
        assert_eq!(unescape("\\999"), "\\999");
    }

    #[test]
    fn rings_and_missing_roots_end() {
        assert!(mounts("1 2 8:1 / / rw - a b c\n2 1 8:1 / / rw - a b c\n").holding("/x").is_none());
        assert!(mounts("").holding("/").is_none());
        let stacked = "1 1 0:1 / / rw - rootfs rootfs rw\n2 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
        assert_eq!(mounts(stacked).holding("/").unwrap().device.as_deref(), Some("8:1"));
    }

    #[test]
    fn this_machine_s_mounts_are_read() {
        let view = View { proc: true, host_processes: true, ..View::default() };
        let gaps = Gaps::default();
        let root = Root::new("/".as_ref());
        let mounts = collect(&root, &view, &gaps).unwrap();
        assert!(mounts.data_root(&root, "/etc", &gaps).is_some());
        assert_eq!(gaps.into_sorted(), []);
    }
}
