//! What a local volume's driver options show of the host.
//!
//! The engine hands `type`, `o` and `device` to mount(2) as they are, so they are read as the kernel reads them:
//! `bind` beats every type, an overlay has many layers, and a pseudo file system is the host's own. Options that
//! are not understood are told as such, never as harmless.

use std::net::IpAddr;

use serde_json::Value;

use super::super::json::text_at;

/// Where each pseudo file system of the kernel is usually mounted: any mount of it shows the same.
const PSEUDO: [(&str, &str); 19] = [
    ("binfmt_misc", "/proc/sys/fs/binfmt_misc"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup", "/sys/fs/cgroup"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("configfs", "/sys/kernel/config"),
    ("cpuset", "/sys/fs/cgroup"),
    ("debugfs", "/sys/kernel/debug"),
    ("devtmpfs", "/dev"),
    ("efivarfs", "/sys/firmware/efi/efivars"),
    ("fusectl", "/sys/fs/fuse/connections"),
    ("nfsd", "/proc/fs/nfsd"),
    ("proc", "/proc"),
    ("pstore", "/sys/fs/pstore"),
    ("resctrl", "/sys/fs/resctrl"),
    ("securityfs", "/sys/kernel/security"),
    ("selinuxfs", "/sys/fs/selinux"),
    ("smackfs", "/sys/fs/smackfs"),
    ("sysfs", "/sys"),
    ("tracefs", "/sys/kernel/tracing"),
];
/// File systems of a disk.
const DISKS: [&str; 16] = [
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "iso9660",
    "jfs", "ntfs3", "squashfs", "udf", "vfat", "xfs",
];
/// File systems of memory, new and empty with each mount.
const EMPTY: [&str; 2] = ["tmpfs", "ramfs"];

/// What the options show.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in super::super) struct Bound {
    /// Paths as written: they may be relative to the daemon's directory, and hold links.
    pub(in super::super) paths: Vec<String>,
    /// Device files that a disk's file system is read from.
    pub(in super::super) disks: Vec<String>,
    /// What of the options is not understood; empty if all is.
    pub(in super::super) unknown: String,
}

impl Bound {
    /// The first path, as written.
    pub(in super::super) fn first(&self) -> Option<&str> {
        self.paths.iter().chain(&self.disks).next().map(String::as_str)
    }
}

/// Where a pseudo file system's content is usually found.
pub(in super::super) fn pseudo(kind: &str) -> Option<&'static str> {
    PSEUDO.iter().find(|(name, _)| *name == kind).map(|(_, place)| *place)
}

/// What a volume shows of the host; `None` if it is certain that it shows nothing.
pub(super) fn read(volume: &Value) -> Option<Bound> {
    if text_at(volume, "Driver") != "local" {
        return None;
    }
    let options = volume.get("Options")?;
    let device = text_at(options, "device");
    let kind = text_at(options, "type");
    let list: Vec<&str> = text_at(options, "o").split(',').map(str::trim).collect();
    let mut bound = Bound::default();
    if list.iter().any(|option| matches!(*option, "bind" | "rbind")) {
        // The kernel looks at nothing else.
        bound.paths.push(device.to_owned());
    } else if device.is_empty() && kind.is_empty() {
        // Nothing is mounted: at most a quota is set.
        return None;
    } else if list.iter().any(|option| matches!(*option, "remount" | "move")) {
        bound.unknown = format!("the option {:?}", list.join(","));
    } else if kind == "overlay" {
        layers(&list, &mut bound);
    } else if let Some(place) = pseudo(kind) {
        bound.paths.push(place.to_owned());
    } else if DISKS.contains(&kind) {
        bound.disks.push(device.to_owned());
    } else if !EMPTY.contains(&kind) {
        served(kind, device, &list, &mut bound);
    }
    (bound != Bound::default()).then_some(bound)
}

/// The layers of an overlay.
fn layers(list: &[&str], bound: &mut Bound) {
    let value = |option: &&str| {
        let (key, value) = option.split_once('=')?;
        let known = ["lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"];
        known.contains(&key).then(|| value.to_owned())
    };
    for value in list.iter().filter_map(value) {
        // A backslash takes the meaning of the colon or comma that follows.
        if value.contains('\\') {
            bound.unknown = format!("the overlay's layers {value:?}");
        }
        bound.paths.extend(value.split(':').filter(|path| !path.is_empty()).map(str::to_owned));
    }
    if bound.paths.is_empty() {
        bound.unknown = "an overlay without layers".into();
    }
}

/// A file system that another machine serves, or one that is not known.
fn served(kind: &str, device: &str, list: &[&str], bound: &mut Bound) {
    let address = list.iter().find_map(|option| option.strip_prefix("addr="));
    let known = || format!("type {kind:?} of device {device:?}");
    match kind {
        "nfs" | "nfs4" => {
            let (host, path) = device.split_once(":/").unwrap_or(("", ""));
            let server = address.unwrap_or(host);
            if path.is_empty() && !device.ends_with(":/") || server.is_empty() {
                bound.unknown = known();
            } else if is_loopback(server) {
                // This machine serves it to itself.
                bound.paths.push(format!("/{path}"));
            }
        }
        "cifs" | "smb3" | "smbfs" => {
            let host = device.strip_prefix("//").and_then(|rest| rest.split('/').next());
            let server = address.or(host).unwrap_or_default();
            if host.is_none_or(str::is_empty) || is_loopback(server) {
                bound.unknown = known();
            }
        }
        _ => bound.unknown = known(),
    }
}

fn is_loopback(host: &str) -> bool {
    let plain = host.trim_matches(['[', ']']);
    plain == "localhost" || plain.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bound(options: Value) -> Option<Bound> {
        read(&json!({"Driver": "local", "Options": options}))
    }

    fn paths(options: Value) -> Vec<String> {
        let bound = bound(options).unwrap();
        assert_eq!(bound.unknown, "");
        bound.paths
    }

    #[test]
    fn a_bind_is_one_whatever_its_type() {
        for kind in ["none", "nfs", "cifs", "xfs", "tmpfs", "made-up", ""] {
            for option in ["bind", "rbind", "ro,bind", "rbind,private"] {
                let options = json!({"type": kind, "o": option, "device": "/run"});
                assert_eq!(paths(options), ["/run"], "{kind} {option}");
            }
        }
        let options = json!({"type": "xfs", "o": "bind", "device": "//etc"});
        assert_eq!(paths(options), ["//etc"]);
        let options = json!({"type": "none", "o": "bind", "device": "../../etc"});
        assert_eq!(paths(options), ["../../etc"]);
    }

    #[test]
    fn all_layers_and_pseudo_file_systems_are_told() {
        let o = "lowerdir=/a:/etc,upperdir=/u,workdir=/w,ro";
        let overlay = json!({"type": "overlay", "device": "overlay", "o": o});
        assert_eq!(paths(overlay), ["/a", "/etc", "/u", "/w"]);
        let odd = json!({"type": "overlay", "device": "x", "o": "lowerdir=/a\\:b:/c"});
        assert!(!bound(odd).unwrap().unknown.is_empty());
        assert_eq!(paths(json!({"type": "proc", "device": "x"})), ["/proc"]);
        assert_eq!(paths(json!({"type": "devtmpfs", "device": "x"})), ["/dev"]);
        assert_eq!(paths(json!({"type": "cgroup2", "device": "x"})), ["/sys/fs/cgroup"]);
        let disk = bound(json!({"type": "ext4", "device": "/dev/sda1"})).unwrap();
        assert_eq!((disk.first(), disk.paths.len()), (Some("/dev/sda1"), 0));
    }

    #[test]
    fn only_what_is_certainly_elsewhere_or_empty_is_harmless() {
        for options in [
            Value::Null,
            json!({}),
            json!({"size": "10G"}),
            json!({"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}),
            json!({"type": "nfs", "o": "addr=192.0.2.1,rw", "device": ":/x"}),
            json!({"type": "nfs4", "device": "server:/x"}),
            json!({"type": "cifs", "device": "//h/x", "o": "addr=192.0.2.1"}),
        ] {
            assert_eq!(bound(options.clone()), None, "{options}");
        }
        assert_eq!(read(&json!({"Driver": "other", "Options": {"device": "/etc"}})), None);
        for options in [
            json!({"type": "nfs4", "device": "/x"}),
            json!({"type": "ecryptfs", "device": "/etc"}),
            json!({"type": "none", "device": "/etc"}),
            json!({"type": "cifs", "device": "//127.0.0.1/x"}),
            json!({"type": "tmpfs", "device": "/x", "o": "remount"}),
        ] {
            assert!(!bound(options.clone()).unwrap().unknown.is_empty(), "{options}");
        }
        let own = json!({"type": "nfs", "o": "addr=127.0.0.1", "device": ":/etc"});
        assert_eq!(paths(own), ["/etc"]);
    }
}
