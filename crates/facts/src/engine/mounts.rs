//! Mounts of a container, with the path of the host that is really seen inside.
//!
//! Links are resolved below the root, local volumes that bind a path of the host are followed to it, and a
//! volume's directory that leads elsewhere is too. Engine sockets are found wherever they are reachable: below
//! a directory, under another name, or through a second mount of their directory.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use haechi_core::facts::{ApiListener, ContainerMount};
use haechi_core::finding::Cause;
use serde_json::Value;

use super::containers::Surroundings;
use super::json::{Reader, text_at};
use super::volumes::Volumes;
use crate::gaps::Observed;
use crate::root::{Metadata, Root};

/// Sockets of container engines at their usual places.
const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// A file by device and inode: the same whatever path leads to it.
type FileId = (String, u64);

fn file_id(meta: &Metadata) -> FileId {
    (meta.device.clone(), meta.inode)
}

/// The engine sockets of this machine.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    found: Vec<Socket>,
    /// Places where this user may not look for one.
    hidden: Vec<String>,
}

#[derive(Debug)]
struct Socket {
    /// Its path, links resolved.
    path: String,
    /// The socket and the directories above it, innermost first, with their ids.
    chain: Vec<(PathBuf, FileId)>,
    /// All paths under which it is reachable, its own one first.
    places: Vec<PathBuf>,
}

impl Sockets {
    /// Finds the sockets that exist: those of `listeners`, and engines' usual ones.
    pub(super) fn find(root: &Root, listeners: &[ApiListener]) -> Self {
        let own = listeners
            .iter()
            .filter(|listener| listener.protocol.as_deref() == Some("unix"))
            .filter_map(|listener| listener.address.clone());
        let users = root.list("/run/user").unwrap_or_default();
        let of_users = users.iter().filter_map(|user| user.to_str()).flat_map(|user| {
            ["docker.sock", "podman/podman.sock"].map(|name| format!("/run/user/{user}/{name}"))
        });
        let candidates = own.chain(SOCKETS.iter().map(|path| (*path).to_owned())).chain(of_users);
        let mut seen = BTreeSet::new();
        let mut hidden = Vec::new();
        let mut sockets: Vec<Socket> = Vec::new();
        for path in candidates {
            match root.metadata(&path) {
                Ok(meta) if meta.kind == "socket" => sockets.push(Socket::new(root, meta)),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(_) => hidden.push(path),
            }
        }
        sockets.retain(|socket| seen.insert(socket.path.clone()));
        let mounts = std::fs::read_to_string(root.proc("1/mountinfo")).unwrap_or_default();
        for mount in mounts.lines().filter_map(mount_point) {
            let Ok(meta) = root.metadata(&mount) else { continue };
            for socket in &mut sockets {
                socket.add_place(&mount, &file_id(&meta));
            }
        }
        Self { found: sockets, hidden }
    }

    /// The sockets that are found at or below `path`.
    ///
    /// # Errors
    /// There may be one that this user cannot see.
    fn below(&self, root: &Root, path: &str) -> Result<Vec<String>, (Cause, String)> {
        let id = root.metadata(path).ok().map(|meta| file_id(&meta));
        let is_below = |socket: &&Socket| {
            socket.places.iter().any(|place| place.starts_with(path))
                // The same directory or socket under another path.
                || socket.chain.iter().any(|(_, above)| Some(above) == id.as_ref())
        };
        let found: Vec<String> =
            self.found.iter().filter(is_below).map(|socket| socket.path.clone()).collect();
        match self.hidden.iter().find(|hidden| Path::new(hidden).starts_with(path)) {
            // One that is seen is enough to know.
            Some(hidden) if found.is_empty() => {
                Err((Cause::Permission, format!("{hidden} is not visible; run as root")))
            }
            _ => Ok(found),
        }
    }
}

impl Socket {
    fn new(root: &Root, meta: Metadata) -> Self {
        let chain = Path::new(&meta.real_path)
            .ancestors()
            .filter_map(|above| Some((above.to_owned(), file_id(&root.metadata(above).ok()?))))
            .collect();
        let places = vec![PathBuf::from(&meta.real_path)];
        Self { path: meta.real_path, chain, places }
    }

    /// Notes that the directory or file `id` is also seen at `mount`.
    fn add_place(&mut self, mount: &str, id: &FileId) {
        let above = self.chain.iter().find(|(path, above)| above == id && path != Path::new(mount));
        let Some((above, _)) = above else { return };
        if let Ok(rest) = Path::new(&self.path).strip_prefix(above) {
            self.places.push(Path::new(mount).join(rest));
        }
    }
}

/// The mount point of a line of mountinfo. File systems that another machine or program serves are left out:
/// no engine's socket lies on one, and a dead server would hold up whoever looks.
fn mount_point(line: &str) -> Option<String> {
    const SERVED: [&str; 8] = ["9p", "afs", "autofs", "ceph", "cifs", "fuse", "nfs", "smb"];
    let (before, after) = line.split_once(" - ")?;
    if SERVED.iter().any(|kind| after.starts_with(kind)) {
        return None;
    }
    before.split(' ').nth(4).map(super::info::unescape)
}

/// Where a path of the host really leads.
///
/// # Errors
/// It may not be looked at; a path that does not exist is no error.
pub(super) fn resolve(root: &Root, path: &str) -> Result<String, (Cause, String)> {
    let clean = clean(path);
    // The deepest part that exists may hold links, the rest cannot.
    for above in clean.ancestors() {
        match root.metadata(above) {
            Ok(meta) => {
                let rest = clean.strip_prefix(above).unwrap_or(Path::new(""));
                let real = Path::new(&meta.real_path).join(rest).display().to_string();
                // Joining nothing leaves a slash at the end.
                let trimmed = real.trim_end_matches('/');
                return Ok(if trimmed.is_empty() { "/".into() } else { trimmed.to_owned() });
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err((error.gap_cause(), error.to_string())),
        }
    }
    Ok(clean.display().to_string())
}

/// An absolute path without `.`, `..` and doubled slashes, by its letters alone.
fn clean(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// The mounts of an inspected container.
pub(super) fn build(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    volumes: Option<&Volumes>,
) -> Option<Vec<ContainerMount>> {
    if reader.at("Mounts").is_none() {
        // Engines write no mounts as an empty list.
        reader.gap("mounts", Cause::Missing, "the engine's answer has no Mounts");
        return None;
    }
    let mounts = reader.list("Mounts", "mounts")?;
    let mut mounts: Vec<ContainerMount> =
        mounts.iter().map(|mount| build_one(around, reader, volumes, mount)).collect();
    let tmpfs = reader.keys("HostConfig.Tmpfs", "mounts").unwrap_or_default();
    for destination in tmpfs {
        if !mounts.iter().any(|mount| mount.destination.as_ref() == Some(&destination)) {
            mounts.push(ContainerMount {
                kind: Some("tmpfs".into()),
                name: Some(String::new()),
                source: Some(String::new()),
                host_path: Some(String::new()),
                destination: Some(destination),
                writable: Some(true),
                propagation: Some(String::new()),
                engine_sockets: Some(Vec::new()),
            });
        }
    }
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    Some(mounts)
}

fn build_one(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    volumes: Option<&Volumes>,
    mount: &Value,
) -> ContainerMount {
    let text = |field| text_at(mount, field).to_owned();
    let (name, source) = (text("Name"), text("Source"));
    let kind = match text_at(mount, "Type") {
        // Engines before 1.13 do not say.
        "" if name.is_empty() => "bind".to_owned(),
        "" => "volume".to_owned(),
        kind => kind.to_owned(),
    };
    let writable = mount.get("RW").and_then(Value::as_bool);
    if writable.is_none() {
        reader.gap(
            "mounts.writable",
            Cause::Missing,
            "the engine does not say which mounts can be written",
        );
    }
    let host_path = match kind.as_str() {
        "bind" | "npipe" => host_path(around, &source),
        "volume" | "cluster" => volume_path(around, volumes, mount, &name, &source),
        _ => Ok(String::new()),
    };
    let gap = |fact: &str, (cause, detail): &(Cause, String)| {
        reader.gap(fact, *cause, detail.clone());
    };
    let sockets = host_path.clone().and_then(|path| match path.as_str() {
        "" => Ok(Vec::new()),
        path => around.sockets.below(around.scene.root, path),
    });
    let host_path = host_path.inspect_err(|why| gap("mounts.host_path", why)).ok();
    let sockets = sockets.inspect_err(|why| gap("mounts.engine_sockets", why)).ok();
    ContainerMount {
        kind: Some(kind),
        name: Some(name),
        source: Some(source),
        host_path,
        destination: Some(text("Destination")),
        writable,
        propagation: Some(text("Propagation")),
        engine_sockets: sockets,
    }
}

fn host_path(around: &Surroundings<'_>, source: &str) -> Result<String, (Cause, String)> {
    if !around.daemon.local {
        return Err(around.daemon.elsewhere());
    }
    resolve(around.scene.root, source)
}

/// The path of the host behind a volume; empty if the engine keeps the data at its own place.
fn volume_path(
    around: &Surroundings<'_>,
    volumes: Option<&Volumes>,
    mount: &Value,
    name: &str,
    source: &str,
) -> Result<String, (Cause, String)> {
    let Some(volumes) = volumes else {
        return Err((Cause::Missing, "the engine's volumes are not known".into()));
    };
    if let Some(bound) = volumes.bound(name) {
        return host_path(around, bound);
    }
    if text_at(mount, "Type") == "cluster" || source.is_empty() {
        return Ok(String::new());
    }
    if !volumes.has(name) {
        return Err((Cause::Missing, format!("the volume {name:?} is not in the engine's list")));
    }
    let real = host_path(around, source)?;
    let data = around.engine.data_root.as_deref().unwrap_or("/var/lib/docker");
    let data = resolve(around.scene.root, data)?;
    let own = ["volumes", "plugins"]
        .iter()
        .any(|place| Path::new(&real).starts_with(Path::new(&data).join(place)));
    Ok(if own { String::new() } else { real })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

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
    }

    #[test]
    fn sockets_are_found_below_beside_and_under_other_names() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("run/podman")).unwrap();
        std::fs::create_dir_all(at("var")).unwrap();
        std::fs::create_dir_all(at("srv")).unwrap();
        symlink("/run", at("var/run")).unwrap();
        let _docker = UnixListener::bind(at("run/docker.sock")).unwrap();
        let _podman = UnixListener::bind(at("run/podman/podman.sock")).unwrap();
        std::fs::hard_link(at("run/docker.sock"), at("srv/other")).unwrap();
        let sockets = Sockets::find(&root, &[]);
        let below = |path: &str| sockets.below(&root, &resolve(&root, path).unwrap()).unwrap();
        let both = ["/run/docker.sock", "/run/podman/podman.sock"];
        assert_eq!(below("/"), both);
        assert_eq!(below("/var/run"), both);
        assert_eq!(below("/run/podman"), ["/run/podman/podman.sock"]);
        assert_eq!(below("/srv/other"), ["/run/docker.sock"]);
        assert!(below("/srv").is_empty() && below("/run/docker").is_empty());
    }

    #[test]
    fn a_second_mount_of_a_sockets_directory_is_a_second_place() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir_all(dir.path().join("run")).unwrap();
        let _docker = UnixListener::bind(dir.path().join("run/docker.sock")).unwrap();
        let mut socket = Socket::new(&root, root.metadata("/run/docker.sock").unwrap());
        let run = file_id(&root.metadata("/run").unwrap());
        socket.add_place("/run", &run);
        assert_eq!(socket.places.len(), 1, "its own directory is no second place");
        socket.add_place("/mnt/x", &run);
        assert_eq!(socket.places.last().unwrap(), Path::new("/mnt/x/docker.sock"));
        let hidden = vec!["/secret/run/x.sock".to_owned()];
        let sockets = Sockets { found: vec![socket], hidden };
        assert_eq!(sockets.below(&root, "/mnt").unwrap(), ["/run/docker.sock"]);
        assert_eq!(sockets.below(&root, "/srv").unwrap(), Vec::<String>::new());
        assert_eq!(sockets.below(&root, "/secret").unwrap_err().0, Cause::Permission);
    }
}
