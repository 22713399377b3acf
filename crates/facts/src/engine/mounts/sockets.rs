//! The sockets of container engines, wherever they are reachable: below a directory, under another name, or
//! through a second mount of their directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use haechi_core::facts::ApiListener;
use haechi_core::finding::Cause;

use super::super::info::unescape;
use super::super::listeners::unix_socket;
use super::places::Places;
use crate::gaps::Observed;
use crate::procs::{ProcessEntry, ProcessTable};
use crate::root::{Metadata, Root};

/// Sockets of container engines at their usual places.
const SOCKETS: [&str; 8] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/buildkit/buildkitd.sock",
];

/// Programs of container engines: whatever they listen on commands them.
const ENGINES: [&str; 11] = [
    "balena-engine",
    "balenad",
    "buildkitd",
    "containerd",
    "cri-dockerd",
    "crio",
    "docker",
    "dockerd",
    "k3s",
    "k3s-server",
    "podman",
];

/// A file by device and inode: the same whatever path leads to it.
type FileId = (String, u64);

fn file_id(meta: &Metadata) -> FileId {
    (meta.device.clone(), meta.inode)
}

/// The engine sockets of this machine.
#[derive(Debug, Default)]
pub(in super::super) struct Sockets {
    found: Vec<Socket>,
    /// Places where this user may not look for one.
    hidden: Vec<String>,
    /// Why the sockets that listen are not known.
    unlisted: Option<(Cause, String)>,
    /// The mounts of this machine.
    pub(super) places: Places,
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
    /// Finds the sockets that exist: those of `listeners`, engines' usual ones, and what engines listen on.
    pub(in super::super) fn find(
        root: &Root,
        table: Option<&ProcessTable>,
        listeners: &[ApiListener],
    ) -> Self {
        let listening = listening(root, table);
        let own = listeners
            .iter()
            .filter(|listener| listener.protocol.as_deref() == Some("unix"))
            .filter_map(|listener| listener.address.clone());
        let users = root.list("/run/user").unwrap_or_default();
        let of_users = users.iter().filter_map(|user| user.to_str()).flat_map(|user| {
            ["docker.sock", "podman/podman.sock"].map(|name| format!("/run/user/{user}/{name}"))
        });
        let usual = SOCKETS.iter().map(|path| (*path).to_owned());
        let (listening, unowned, unlisted) = match listening {
            Ok((engines, unowned)) => (engines, unowned, None),
            Err(why) => (Vec::new(), Vec::new(), Some(why)),
        };
        let candidates = own.chain(usual).chain(of_users).chain(listening);
        let mut seen = BTreeSet::new();
        let mut hidden = unowned;
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
        Self { found: sockets, hidden, unlisted, places: Places::read(root) }
    }

    /// The sockets that are found at or below `path`.
    ///
    /// # Errors
    /// There may be one that this user cannot see.
    pub(super) fn below(&self, root: &Root, path: &str) -> Result<Vec<String>, (Cause, String)> {
        let meta = root.metadata(path);
        // A link of the kernel, as `/proc/1/root`, may lead to any directory.
        let unseen = meta
            .as_ref()
            .err()
            .filter(|error| !error.is_not_found())
            .map(|error| (error.gap_cause(), error.to_string()));
        let id = meta.ok().map(|meta| file_id(&meta));
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
            _ if !found.is_empty() => Ok(found),
            _ => unseen.or_else(|| self.unlisted.clone()).map_or(Ok(found), Err),
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

/// Paths of sockets of engines that listen, and of those of which it cannot be told.
type Listening = (Vec<String>, Vec<String>);

/// The Unix sockets that engines of this machine listen on, by their name or by who has them open.
///
/// # Errors
/// The kernel's list cannot be read.
fn listening(root: &Root, table: Option<&ProcessTable>) -> Result<Listening, (Cause, String)> {
    let file = root.proc("1/net/unix");
    let text = std::fs::read(&file)
        .map_err(|error| (Cause::Missing, format!("/proc/1/net/unix: {error}")))?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    let mut owned = BTreeSet::new();
    let mut complete = table.is_some_and(|table| !table.hidden());
    let processes = table.map(ProcessTable::processes).unwrap_or_default();
    for process in processes.iter().filter(|process| is_engine(process)) {
        match table.map(|table| table.socket_inodes(process.pid)) {
            Some(Ok(inodes)) => owned.extend(inodes),
            _ => complete = false,
        }
        // An engine without root has a network of its own.
        let other = std::fs::read(root.proc(&format!("{}/net/unix", process.pid)));
        text.push_str(&String::from_utf8_lossy(&other.unwrap_or_default()));
    }
    let (mut engines, mut unowned) = (BTreeSet::new(), BTreeSet::new());
    for (inode, path) in text.lines().filter_map(unix_socket) {
        if owned.contains(&inode) || has_engine_s_name(path) {
            engines.insert(path.to_owned());
        } else if !complete {
            unowned.insert(path.to_owned());
        }
    }
    Ok((engines.into_iter().collect(), unowned.into_iter().collect()))
}

fn is_engine(process: &ProcessEntry) -> bool {
    ENGINES.contains(&process.exe_name().unwrap_or(&process.name))
}

/// Whether a socket is called like an engine: `containerd.sock`, `docker.sock`.
fn has_engine_s_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split('.').next().is_some_and(|stem| ENGINES.contains(&stem))
}

/// The mount point of a line of mountinfo. File systems that another machine or program serves are left out:
/// no engine's socket lies on one, and a dead server would hold up whoever looks.
fn mount_point(line: &str) -> Option<String> {
    const SERVED: [&str; 8] = ["9p", "afs", "autofs", "ceph", "cifs", "fuse", "nfs", "smb"];
    let (before, after) = line.split_once(" - ")?;
    if SERVED.iter().any(|kind| after.starts_with(kind)) {
        return None;
    }
    before.split(' ').nth(4).map(unescape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_an_engine_listens_on_is_found_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (pid, name) in [(1, "init"), (7, "containerd"), (8, "nginx")] {
            let stat = format!("{pid} ({name}) S 1 1 1 0 -1 0 0 0\n");
            write(&format!("proc/{pid}/stat"), &stat);
            write(&format!("proc/{pid}/status"), "Uid:\t0\t0\t0\t0\n");
            write(&format!("proc/{pid}/fd/.keep"), "");
        }
        let fd = |at: &str, inode: u64| {
            symlink(format!("socket:[{inode}]"), dir.path().join(at)).unwrap();
        };
        fd("proc/7/fd/3", 70);
        fd("proc/8/fd/3", 80);
        let line = |inode, path| format!("0: 2 0 00010000 0001 01 {inode} {path}\n");
        let lines = [line(70, "/srv/e/x"), line(80, "/srv/n/www"), line(90, "/srv/b/docker.sock")];
        write("proc/1/net/unix", &lines.concat());
        for path in ["srv/e", "srv/n", "srv/b"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let _all = ["srv/e/x", "srv/n/www", "srv/b/docker.sock"]
            .map(|path| UnixListener::bind(dir.path().join(path)).unwrap());
        let table = ProcessTable::read(&root).unwrap();
        let sockets = Sockets::find(&root, Some(&table), &[]);
        assert_eq!(sockets.below(&root, "/srv/e").unwrap(), ["/srv/e/x"]);
        assert_eq!(sockets.below(&root, "/srv/b").unwrap(), ["/srv/b/docker.sock"]);
        assert!(sockets.below(&root, "/srv/n").unwrap().is_empty());
        // Who cannot be asked may be an engine.
        let sockets = Sockets::find(&root, None, &[]);
        assert_eq!(sockets.below(&root, "/srv/n").unwrap_err().0, Cause::Permission);
        std::fs::remove_file(dir.path().join("proc/1/net/unix")).unwrap();
        let sockets = Sockets::find(&root, Some(&table), &[]);
        assert_eq!(sockets.below(&root, "/srv").unwrap_err().0, Cause::Missing);
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
        std::fs::create_dir_all(at("proc/1/net")).unwrap();
        std::fs::write(at("proc/1/net/unix"), "").unwrap();
        let sockets = Sockets::find(&root, None, &[]);
        let below = |path: &str| {
            sockets.below(&root, &super::super::resolve(&root, path).unwrap()).unwrap()
        };
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
        let sockets = Sockets { found: vec![socket], hidden, ..Sockets::default() };
        assert_eq!(sockets.below(&root, "/mnt").unwrap(), ["/run/docker.sock"]);
        assert_eq!(sockets.below(&root, "/srv").unwrap(), Vec::<String>::new());
        assert_eq!(sockets.below(&root, "/secret").unwrap_err().0, Cause::Permission);
    }

    #[test]
    fn behind_a_link_of_the_kernel_there_may_be_a_socket() {
        let sockets = Sockets::default();
        let root = Root::new(Path::new("/"));
        assert!(sockets.below(&root, "/proc/self/root/run").is_err());
        assert!(sockets.below(&root, "/proc/self").unwrap().is_empty());
    }
}
