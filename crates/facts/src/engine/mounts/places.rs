//! Where the files behind a path are found on the host.
//!
//! One directory can have many paths: links lead to it, a bind mount shows it at a second place, and a pseudo
//! file system is the same wherever it is mounted. What is mounted below a directory is seen with it, because
//! engines bind recursively. [`Places::behind`] tells all of them, rather one too many than one too few.

use std::path::{Component, Path, PathBuf};

use haechi_core::finding::Cause;

use super::super::info::unescape;
use super::super::volumes::pseudo;
use crate::gaps::Observed;
use crate::root::Root;

/// Links that are followed for one path, as the kernel does.
const LINKS_MAX: usize = 40;
/// Directories that are links on some machines, besides those at the top.
const LINKED: [&str; 5] = [
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/spool/cron",
];
/// Directories where engines mount volumes: a mount in one is a second place of data from elsewhere, and
/// nothing sensitive of its own.
const VOLUMES: [&str; 3] =
    ["/var/lib/containers/storage/volumes", "/var/lib/docker/volumes", "/var/lib/kubelet/pods"];

/// The mounts and links of this machine.
#[derive(Debug, Default)]
pub(in super::super) struct Places {
    mounts: Vec<Mount>,
    /// Directories that are links, and where they lead.
    links: Vec<(String, String)>,
    /// Why the mounts are not known.
    unknown: Option<(Cause, String)>,
}

/// A line of mountinfo.
#[derive(Debug, Clone)]
struct Mount {
    device: String,
    /// The directory of the file system that is mounted.
    root: PathBuf,
    point: PathBuf,
    kind: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let device = before.nth(2)?.to_owned();
        let (root, point) = (unescape(before.next()?), unescape(before.next()?));
        let kind = after.split(' ').next()?.to_owned();
        Some(Self { device, root: root.into(), point: point.into(), kind })
    }
}

impl Places {
    /// Reads the mounts that process 1 sees, and the links at the top.
    pub(super) fn read(root: &Root) -> Self {
        let mut text = std::fs::read(root.proc("1/mountinfo"));
        // Only root may read those of process 1; on this machine itself, one's own are the same.
        if text.is_err() && root.is_whole_machine() {
            text = std::fs::read(root.proc("self/mountinfo"));
        }
        let mut places = match text {
            Ok(text) => Self::parse(&String::from_utf8_lossy(&text)),
            Err(error) => {
                let cause = match error.kind() {
                    std::io::ErrorKind::PermissionDenied => Cause::Permission,
                    _ => Cause::Missing,
                };
                let detail = format!("/proc/1/mountinfo: {error}");
                Self { unknown: Some((cause, detail)), ..Self::default() }
            }
        };
        let top = root.list("/").unwrap_or_default();
        let top = top.iter().filter_map(|name| Some(format!("/{}", name.to_str()?)));
        for path in top.chain(LINKED.map(str::to_owned)) {
            if let Ok(Some(_)) = root.read_link(&path)
                && let Ok(real) = resolve(root, &path)
                && real != path
                && real != "/"
            {
                places.links.push((path, real));
            }
        }
        places
    }

    fn parse(text: &str) -> Self {
        let mounts: Vec<Mount> = text.lines().filter_map(Mount::parse).collect();
        // A table without a root is of nothing that could be looked at.
        let unknown = (!mounts.iter().any(|mount| mount.point == Path::new("/")))
            .then(|| (Cause::Missing, "/proc/1/mountinfo has no root file system".to_owned()));
        Self { mounts, unknown, ..Self::default() }
    }

    /// Why [`Places::behind`] may not know all.
    pub(super) fn unknown(&self) -> Option<&(Cause, String)> {
        self.unknown.as_ref()
    }

    /// All places of what is seen at the real path `path`, itself first. What lies below another one is left
    /// out. `data` is the engine's data directory.
    pub(super) fn behind(&self, path: &str, data: &str) -> Vec<String> {
        let mut found = vec![path.to_owned()];
        let path = Path::new(path);
        for mount in self.holders(path) {
            let rest = path.strip_prefix(&mount.point).unwrap_or(Path::new(""));
            self.same(mount, &mount.root.join(rest), data, &mut found);
        }
        self.below(path, data, &mut found);
        self.other_names(&mut found);
        found
    }

    /// The places of what is mounted below `path`.
    pub(super) fn mounted_below(&self, path: &str, data: &str) -> Vec<String> {
        let mut found = vec![path.to_owned()];
        self.below(Path::new(path), data, &mut found);
        found.remove(0);
        found
    }

    /// Whether something is mounted at `path`, or between it and `above`.
    pub(super) fn is_mounted_below(&self, path: &str, above: &Path) -> bool {
        let path = Path::new(path);
        self.holders(path).any(|mount| mount.point.starts_with(above) && mount.point != above)
    }

    /// The mount that holds `path`, and those that were made later on a directory above it and may hide it.
    fn holders<'s>(&'s self, path: &Path) -> impl Iterator<Item = &'s Mount> {
        let holds: Vec<&Mount> =
            self.mounts.iter().filter(|mount| path.starts_with(&mount.point)).collect();
        let depth = |mount: &&Mount| mount.point.components().count();
        // The last of several at the same place.
        let deepest = holds.iter().enumerate().max_by_key(|(_, mount)| depth(mount));
        let first = deepest.map_or(0, |(index, _)| index);
        holds.into_iter().skip(first)
    }

    fn below(&self, path: &Path, data: &str, found: &mut Vec<String>) {
        for mount in &self.mounts {
            if mount.point.starts_with(path) && mount.point != path {
                self.same(mount, &mount.root, data, found);
            }
        }
    }

    /// All places of the directory `inner` of the file system that `mount` shows.
    fn same(&self, mount: &Mount, inner: &Path, data: &str, found: &mut Vec<String>) {
        if let Some(place) = pseudo(&mount.kind) {
            add(found, Path::new(place).join(inner.strip_prefix("/").unwrap_or(inner)));
        }
        // Namespaces are mounted as files without a path.
        let other = |other: &&Mount| other.device == mount.device && other.root.starts_with("/");
        for other in self.mounts.iter().filter(other).filter(|m| !is_volume(&m.point, data)) {
            if let Ok(rest) = inner.strip_prefix(&other.root) {
                add(found, other.point.join(rest));
            } else if other.root.starts_with(inner) {
                add(found, other.point.clone());
            }
        }
    }

    /// Adds the links that lead to what was found.
    fn other_names(&self, found: &mut Vec<String>) {
        for (link, real) in &self.links {
            for path in found.clone() {
                if let Ok(rest) = Path::new(&path).strip_prefix(real) {
                    add(found, Path::new(link).join(rest));
                } else if Path::new(real).starts_with(&path) {
                    add(found, link.into());
                }
            }
        }
    }
}

/// Whether an engine has mounted a volume at `point`.
fn is_volume(point: &Path, data: &str) -> bool {
    let own = Path::new(data).join("volumes");
    let known = VOLUMES.iter().map(Path::new).chain([own.as_path()]);
    known.into_iter().any(|dir| point.starts_with(dir) && point != dir)
}

/// Adds a path, unless what holds it is there.
fn add(found: &mut Vec<String>, path: PathBuf) {
    if !found.iter().any(|known| path.starts_with(known)) {
        found.push(tidy(&path));
    }
}

/// A path as text: joining nothing leaves a slash at the end.
fn tidy(path: &Path) -> String {
    let text = path.display().to_string();
    match text.trim_end_matches('/') {
        "" => "/".into(),
        trimmed => trimmed.to_owned(),
    }
}

/// Where a path of the host really leads: its parts are walked in order, as the kernel does, because what `..`
/// means after a link depends on where the link leads.
///
/// # Errors
/// It may not be looked at; a path that does not exist is no error.
pub(in super::super) fn resolve(root: &Root, path: &str) -> Result<String, (Cause, String)> {
    let mut left: Vec<String> = parts(path);
    left.reverse();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        let of_kernel = next.starts_with("/proc") || next.starts_with("/sys");
        let target = match root.read_link(&next) {
            Ok(target) => target,
            Err(error) if error.is_not_found() => None,
            // Its name tells enough.
            Err(_) if of_kernel => Some(String::new()),
            Err(error) => return Err((error.gap_cause(), error.to_string())),
        };
        match target {
            None => real = next,
            // The links of processes are no paths, and differ with who asks: they stay as written.
            Some(_) if next.starts_with("/proc") || (of_kernel && links >= LINKS_MAX) => {
                let rest = left.iter().rev().filter(|part| *part != "..");
                return Ok(tidy(&rest.fold(next, |path, part| path.join(part))));
            }
            Some(target) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err((Cause::Missing, format!("{path}: too many links")));
                }
                if target.starts_with('/') {
                    real = PathBuf::from("/");
                }
                left.extend(parts(&target).into_iter().rev());
            }
        }
    }
    Ok(tidy(&real))
}

/// The names of a path and its `..`, in order.
fn parts(path: &str) -> Vec<String> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    Path::new(path).components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const DATA: &str = "/var/lib/docker";

    fn places(more: &str) -> Places {
        Places::parse(&format!(
            "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 27 0:21 / /proc rw - proc proc rw\n{more}"
        ))
    }

    #[test]
    fn paths_are_resolved_as_far_as_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir_all(dir.path().join("etc/docker")).unwrap();
        symlink("/etc", dir.path().join("innocent")).unwrap();
        assert_eq!(resolve(&root, "/innocent").unwrap(), "/etc");
        assert_eq!(resolve(&root, "/innocent/docker/").unwrap(), "/etc/docker");
        assert_eq!(resolve(&root, "/innocent/none/deep").unwrap(), "/etc/none/deep");
        assert_eq!(resolve(&root, "/a//b/../c/.").unwrap(), "/a/c");
        assert_eq!(resolve(&root, "/").unwrap(), "/");
        assert_eq!(resolve(&root, "/../..").unwrap(), "/");
        symlink("/etc/docker", dir.path().join("deep")).unwrap();
        assert_eq!(resolve(&root, "/deep/../x").unwrap(), "/etc/x", "after the link, not before");
        symlink("round", dir.path().join("round")).unwrap();
        assert!(resolve(&root, "/round/x").is_err());
    }

    #[test]
    fn links_of_processes_stay_as_written() {
        let root = Root::new(Path::new("/"));
        assert_eq!(resolve(&root, "/proc/self/root/etc").unwrap(), "/proc/self/root/etc");
        assert_eq!(resolve(&root, "/proc/1/root/etc").unwrap(), "/proc/1/root/etc");
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("l");
        symlink("/proc/1/root", &link).unwrap();
        let seen = resolve(&root, link.join("../etc").to_str().unwrap()).unwrap();
        assert_eq!(seen, "/proc/1/root/etc");
    }

    #[test]
    fn a_bind_mount_is_led_back_to_where_its_files_are() {
        let places = places("30 27 8:1 /etc /srv/x/e rw - ext4 /dev/sda1 rw\n");
        assert!(places.unknown().is_none());
        assert_eq!(places.behind("/srv/x/e", DATA), ["/srv/x/e", "/etc"]);
        assert_eq!(places.behind("/srv/x/e/ssh", DATA), ["/srv/x/e/ssh", "/etc/ssh"]);
        assert_eq!(places.behind("/srv/x", DATA), ["/srv/x", "/etc"], "mounted below");
        assert_eq!(places.behind("/srv/y", DATA), ["/srv/y"]);
        assert_eq!(places.behind("/", DATA), ["/"]);
    }

    #[test]
    fn a_directory_that_is_mounted_at_a_sensitive_place_is_that_place() {
        let places = places("30 27 8:1 /data/home /home rw - ext4 /dev/sda1 rw\n");
        assert_eq!(places.behind("/data", DATA), ["/data", "/home"]);
        assert_eq!(places.behind("/data/home/me", DATA), ["/data/home/me", "/home/me"]);
    }

    #[test]
    fn pseudo_file_systems_are_the_same_everywhere() {
        let places = places(
            "30 27 0:40 / /srv/x/p rw - proc proc rw\n31 27 0:41 /a /srv/s rw - sysfs sysfs rw\n",
        );
        assert_eq!(places.behind("/srv/x", DATA), ["/srv/x", "/proc"]);
        assert_eq!(places.behind("/srv/x/p/sys", DATA), ["/srv/x/p/sys", "/proc/sys"]);
        assert_eq!(places.behind("/srv/s", DATA), ["/srv/s", "/sys/a"]);
    }

    #[test]
    fn a_mounted_volume_is_no_second_place_of_its_data() {
        let volume = "/var/lib/docker/volumes/v/_data";
        let places = places(&format!("30 27 8:1 /srv/d {volume} rw - ext4 /dev/sda1 rw\n"));
        assert_eq!(places.behind("/srv/d", DATA), ["/srv/d"]);
        assert_eq!(places.behind(volume, DATA), [volume, "/srv/d"]);
        assert!(places.is_mounted_below(volume, Path::new("/var/lib/docker/volumes")));
        assert!(!places.is_mounted_below("/srv/d", Path::new("/srv")));
    }

    #[test]
    fn later_mounts_above_and_links_at_the_top_count() {
        let mut places = places(
            "30 27 8:2 / /srv/x/e rw - ext4 /dev/sdb rw\n31 27 8:1 /etc /srv/x rw - ext4 /dev/sda1 rw\n",
        );
        assert_eq!(places.behind("/srv/x/e", DATA), ["/srv/x/e", "/etc/e"]);
        places.links.push(("/home".into(), "/data/home".into()));
        assert_eq!(places.behind("/data/home/me", DATA), ["/data/home/me", "/home/me"]);
        assert_eq!(places.behind("/data", DATA), ["/data", "/home"]);
        assert!(Places::parse("").unknown().is_some());
    }
}
