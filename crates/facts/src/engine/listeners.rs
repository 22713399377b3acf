//! The sockets on which the daemon takes API calls, and those that it opens for a swarm.
//!
//! What the configuration says is joined with what the kernel says the daemon holds: a socket that systemd
//! handed over is in no option, and an option may not be in force yet. If one side is not known, a gap says
//! that the list may be too short.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

use haechi_core::facts::{ApiListener, Listener, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};

use super::Scene;
use super::config::Private;
use super::daemon::Daemon;
use super::endpoint::{Address, Endpoint};
use crate::gaps::Observed;
use crate::procs::{ListeningSocket, listening_sockets};
use crate::root::Root;

/// TCP port of a swarm's managers, and TCP and UDP port on which its nodes find each other.
const SWARM_PORTS: [u16; 2] = [2377, 7946];

/// The sockets of the daemon that serve a swarm; `Err` says why they are not known.
pub(super) type SwarmSockets = Result<Vec<Listener>, (Cause, String)>;

/// Fills the engine's locality, process and listeners, and gives the swarm's sockets. The port of the data
/// plane is `None` on an engine that is in no swarm.
pub(super) fn fill(
    scene: Scene<'_>,
    daemon: &Daemon,
    endpoint: &Endpoint,
    swarm_data_port: Option<u16>,
    private: &Private,
    snapshot: &mut Snapshot,
) -> SwarmSockets {
    let gap = |fact: &str, (cause, detail): (Cause, String)| {
        scene.gaps.record(SubjectKind::Engine, fact, cause, detail);
    };
    let engine = &mut snapshot.engine;
    engine.local = Some(daemon.local);
    engine.local_reason = Some(daemon.reason.clone());
    engine.process = daemon.facts(scene.root);
    if engine.process.is_none() {
        gap("process", daemon.unseen());
    }
    let config = engine.config.as_ref();
    let configured = configured(scene, daemon, endpoint, config);
    let known = configured.is_some();
    if !known && daemon.local {
        let detail = "the daemon's hosts and TLS options are not known";
        gap("listeners", (Cause::Missing, detail.into()));
    }
    let configured = configured.unwrap_or_default();
    let mut held = match held(scene, daemon, &private.exec_root) {
        Ok(held) => held,
        Err(why) => {
            // What is configured is still worth knowing; the gap keeps it from proving anything.
            engine.listeners = (known || !configured.is_empty()).then_some(configured);
            gap("listeners", why.clone());
            return Err(why);
        }
    };
    let metrics = private.metrics.as_deref().and_then(Listens::parse);
    held.sockets.retain(|socket| !metrics.as_ref().is_some_and(|metrics| metrics.is(socket)));
    let swarm = swarm_data_port
        .map(|_| Listens::of_swarm(scene.root, engine.data_root.as_deref().unwrap_or_default()));
    engine.listeners = Some(join(configured, known, &held, swarm.as_deref().unwrap_or_default()));
    Ok(swarm_sockets(scene, &held, swarm_data_port, swarm.as_deref().unwrap_or_default()))
}

/// An address and a port on which the daemon was told to listen.
#[derive(Debug, PartialEq, Eq)]
struct Listens {
    host: String,
    port: u16,
}

impl Listens {
    /// Understands `host:port`.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: port.parse().ok()? })
    }

    /// Where the swarm listens, by the engine's own notes; at its usual ports on all addresses if there are none.
    fn of_swarm(root: &Root, data_root: &str) -> Vec<Self> {
        let noted = || {
            let bytes = root.read(format!("{data_root}/swarm/docker-state.json")).ok()?;
            let state: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            Self::parse(super::json::text_at(&state, "ListenAddr"))
        };
        let [managers, nodes] = SWARM_PORTS;
        let noted = noted().unwrap_or_else(|| Self { host: String::new(), port: managers });
        // The nodes find each other on the same address.
        vec![Self { host: noted.host.clone(), port: nodes }, noted]
    }

    fn is(&self, socket: &ListeningSocket) -> bool {
        self.port == socket.port && is_at(&self.host, socket.address)
    }
}

/// Whether a socket at `address` is what `host` becomes. All addresses of one family are those of both: that is
/// how Go listens. A name could be any one address.
fn is_at(host: &str, address: IpAddr) -> bool {
    let address = address.to_canonical();
    match host.parse::<IpAddr>().map(|host| host.to_canonical()) {
        Ok(host) => host == address || (host.is_unspecified() && address.is_unspecified()),
        Err(_) if host.is_empty() => address.is_unspecified(),
        Err(_) if host == "localhost" => address.is_loopback(),
        Err(_) => !address.is_unspecified(),
    }
}

/// What the kernel says that the daemon holds.
#[derive(Default)]
struct Held {
    pid: i32,
    program: String,
    sockets: Vec<ListeningSocket>,
    unix: Vec<String>,
}

fn held(scene: Scene<'_>, daemon: &Daemon, exec_root: &str) -> Result<Held, (Cause, String)> {
    let (Some(running), Some(table)) = (&daemon.process, &daemon.table) else {
        return Err(daemon.unseen());
    };
    let failed = |error: crate::root::RootError| (error.gap_cause(), error.to_string());
    let own: HashSet<u64> = table.socket_inodes(running.pid).map_err(failed)?.into_iter().collect();
    let mut sockets = listening_sockets(scene.root, running.pid).map_err(failed)?;
    sockets.retain(|socket| own.contains(&socket.inode));
    let unix = std::fs::read(scene.root.proc(&format!("{}/net/unix", running.pid)))
        .map_err(|error| (Cause::Missing, format!("/proc/{}/net/unix: {error}", running.pid)))?;
    let unix = String::from_utf8_lossy(&unix)
        .lines()
        .filter_map(unix_socket)
        .filter(|(inode, _)| own.contains(inode))
        .map(|(_, path)| path.to_owned())
        .filter(|path| !Path::new(&plain(path)).starts_with(plain(exec_root)))
        .collect();
    let program = running.program.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Held { pid: running.pid, program, sockets, unix })
}

/// Inode and path of a line of /proc/net/unix, if the socket takes connections and has a path.
pub(super) fn unix_socket(line: &str) -> Option<(u64, &str)> {
    /// `__SO_ACCEPTCON` of the kernel.
    const LISTENS: u32 = 1 << 16;
    let mut rest = line;
    let mut field = || {
        let trimmed = rest.trim_start();
        let (field, after) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = after;
        field
    };
    let flags = (0..4).map(|_| field()).last()?;
    let inode = (0..3).map(|_| field()).last()?.parse().ok()?;
    // The path may have spaces; an abstract name begins with `@`.
    let path = rest.trim_start();
    let listens = u32::from_str_radix(flags, 16).ok()? & LISTENS != 0;
    (listens && path.starts_with('/')).then_some((inode, path))
}

/// The listeners that the configuration names; `None` if it is not known.
fn configured(
    scene: Scene<'_>,
    daemon: &Daemon,
    endpoint: &Endpoint,
    config: Option<&haechi_core::facts::EngineConfig>,
) -> Option<Vec<ApiListener>> {
    let Some(config) = config else {
        // Podman serves one socket, which it was started with, and speaks no TLS.
        return Some(daemon.process.iter().flat_map(|_| connected(endpoint)).collect());
    };
    let verify = config.tls_verify.as_ref()?.value?;
    let tls = config.tls.as_ref()?.value? || verify;
    let hosts = config.hosts.as_ref()?.value.clone()?;
    let mut listeners = Vec::new();
    let default = ["unix:///var/run/docker.sock".to_owned()];
    for host in if hosts.is_empty() { default.iter() } else { hosts.iter() } {
        let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
        match scheme {
            "unix" => {
                let path = if rest.is_empty() { "/var/run/docker.sock" } else { rest };
                listeners.push(unix(path, "configuration"));
            }
            "fd" => listeners.extend(connected(endpoint)),
            "tcp" => listeners.extend(tcp(rest, tls, verify)),
            _ => {
                let detail = format!("the daemon's host {host:?} is of an unknown kind");
                let cause = Cause::Missing;
                scene.gaps.record(SubjectKind::Engine, "listeners", cause, detail);
                return None;
            }
        }
    }
    Some(listeners)
}

fn connected(endpoint: &Endpoint) -> Option<ApiListener> {
    match &endpoint.address {
        Address::Unix(_) => Some(unix(endpoint.url.strip_prefix("unix://")?, "configuration")),
        Address::Tcp { .. } => None,
    }
}

fn unix(path: &str, source: &str) -> ApiListener {
    ApiListener {
        protocol: Some("unix".into()),
        address: Some(path.to_owned()),
        port: Some(0),
        tls: Some(false),
        tls_verify: Some(false),
        source: Some(source.into()),
    }
}

/// A TCP host as dockerd understands it: without an address it is the loopback one, with only a port it is all.
fn tcp(rest: &str, tls: bool, verify: bool) -> Option<ApiListener> {
    let authority = rest.split('/').next()?;
    let default = if tls { 2376 } else { 2375 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => match port.parse::<u16>() {
            Ok(port) => (host, port),
            // An IPv6 address in brackets without a port.
            Err(_) => (authority, default),
        },
        None => (authority, default),
    };
    let host = match host.trim_start_matches('[').trim_end_matches(']') {
        "" if authority.is_empty() => "127.0.0.1",
        "" => "0.0.0.0",
        host => host,
    };
    Some(ApiListener {
        protocol: Some("tcp".into()),
        address: Some(host.to_owned()),
        port: Some(port.into()),
        tls: Some(tls),
        tls_verify: Some(verify),
        source: Some("configuration".into()),
    })
}

/// The path without the link that /var/run is.
fn plain(path: &str) -> String {
    path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"))
}

/// Joins what is configured with what the kernel shows.
fn join(
    configured: Vec<ApiListener>,
    known: bool,
    held: &Held,
    swarm: &[Listens],
) -> Vec<ApiListener> {
    let mut listeners = Vec::new();
    let mut explained = HashSet::new();
    let kernel_tcp: Vec<&ListeningSocket> =
        held.sockets.iter().filter(|socket| socket.protocol == "tcp").collect();
    let mut unexplained_unix: Vec<&String> = held.unix.iter().collect();
    for mut listener in configured {
        let both = Some("kernel,configuration".to_owned());
        if listener.protocol.as_deref() == Some("unix") {
            let path = listener.address.clone().unwrap_or_default();
            let before = unexplained_unix.len();
            unexplained_unix.retain(|held| plain(held) != plain(&path));
            if unexplained_unix.len() < before {
                listener.source = both;
            }
            listeners.push(listener);
            continue;
        }
        let host = listener.address.clone().unwrap_or_default();
        let at_port: Vec<_> = kernel_tcp
            .iter()
            .filter(|socket| Some(i64::from(socket.port)) == listener.port)
            .filter(|socket| is_at(&host, socket.address))
            .collect();
        for socket in &at_port {
            explained.insert((socket.address, socket.port));
            // The kernel knows the address that `localhost` or an empty host became.
            let address = Some(socket.address.to_string());
            listeners.push(ApiListener { address, source: both.clone(), ..listener.clone() });
        }
        if at_port.is_empty() {
            listeners.push(listener);
        }
    }
    listeners.extend(unexplained_unix.into_iter().map(|path| unix(path, "kernel")));
    let is_swarms = |socket: &ListeningSocket| swarm.iter().any(|listens| listens.is(socket));
    for socket in kernel_tcp {
        if !explained.contains(&(socket.address, socket.port)) && !is_swarms(socket) {
            listeners.push(ApiListener {
                protocol: Some("tcp".into()),
                address: Some(socket.address.to_string()),
                port: Some(socket.port.into()),
                // Where the options are known, nothing says that this one speaks TLS.
                tls: known.then_some(false),
                tls_verify: known.then_some(false),
                source: Some("kernel".into()),
            });
        }
    }
    let key = |l: &ApiListener| (l.protocol.clone(), l.address.clone(), l.port);
    listeners.sort_by_key(key);
    listeners.dedup_by_key(|listener| key(listener));
    listeners
}

/// The sockets that the daemon opened for a swarm, and those of the data plane, which the kernel owns.
fn swarm_sockets(
    scene: Scene<'_>,
    held: &Held,
    data_port: Option<u16>,
    swarm: &[Listens],
) -> Vec<Listener> {
    let Some(data_port) = data_port else { return Vec::new() };
    let listener = |socket: &ListeningSocket, owned: bool| Listener {
        protocol: Some(socket.protocol.into()),
        address: Some(socket.address.to_string()),
        port: Some(socket.port.into()),
        pid: Some(if owned { held.pid.into() } else { 0 }),
        program: Some(if owned { held.program.clone() } else { String::new() }),
    };
    let swarms = |socket: &&ListeningSocket| {
        swarm.iter().any(|listens| {
            listens.is(socket) || socket.port == listens.port && socket.protocol == "udp"
        })
    };
    let mut found: Vec<Listener> =
        held.sockets.iter().filter(swarms).map(|socket| listener(socket, true)).collect();
    let of_kernel = |s: &&ListeningSocket| s.protocol == "udp" && s.port == data_port;
    let all = listening_sockets(scene.root, held.pid).unwrap_or_default();
    found.extend(all.iter().filter(of_kernel).map(|socket| listener(socket, false)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(address: &str, port: u16) -> ListeningSocket {
        ListeningSocket { protocol: "tcp", address: address.parse().unwrap(), port, inode: 1 }
    }

    #[test]
    fn configured_and_held_sockets_are_joined() {
        let held = Held {
            sockets: vec![socket("127.0.0.1", 2376), socket("0.0.0.0", 2375), socket("::", 2377)],
            unix: vec!["/run/docker.sock".into(), "/extra.sock".into()],
            ..Held::default()
        };
        let swarm = Listens::of_swarm(&Root::new(Path::new("/none")), "");
        let configured = vec![
            unix("/var/run/docker.sock", "configuration"),
            tcp("localhost:2376", true, true).unwrap(),
        ];
        let seen: Vec<_> = join(configured, true, &held, &swarm)
            .into_iter()
            .map(|l| {
                format!(
                    "{}:{} {} {}",
                    l.address.unwrap(),
                    l.port.unwrap(),
                    l.tls.unwrap(),
                    l.source.unwrap()
                )
            })
            .collect();
        let expected = [
            "0.0.0.0:2375 false kernel",
            "127.0.0.1:2376 true kernel,configuration",
            "/extra.sock:0 false kernel",
            "/var/run/docker.sock:0 false kernel,configuration",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn only_the_swarm_s_own_sockets_are_no_api() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("d/swarm")).unwrap();
        let state = r#"{"ListenAddr": "10.0.0.5:4000"}"#;
        std::fs::write(dir.path().join("d/swarm/docker-state.json"), state).unwrap();
        let swarm = Listens::of_swarm(&Root::new(dir.path()), "/d");
        let held = Held {
            sockets: vec![
                socket("10.0.0.5", 4000),
                socket("10.0.0.5", 7946),
                socket("0.0.0.0", 2377),
                socket("127.0.0.1", 7946),
            ],
            ..Held::default()
        };
        let api = join(Vec::new(), true, &held, &swarm);
        let api: Vec<_> = api.into_iter().map(|l| (l.address.unwrap(), l.port.unwrap())).collect();
        assert_eq!(api, [("0.0.0.0".to_owned(), 2377), ("127.0.0.1".to_owned(), 7946)]);
        let metrics = Listens::parse("127.0.0.1:9323").unwrap();
        assert!(metrics.is(&socket("127.0.0.1", 9323)) && !metrics.is(&socket("::", 9323)));
        assert!(is_at("0.0.0.0", "::".parse().unwrap()));
        assert!(!is_at("name", "::".parse().unwrap()));
    }

    #[test]
    fn hosts_without_address_or_port_are_completed_as_dockerd_does() {
        let read = |rest, tls| {
            let l = tcp(rest, tls, tls).unwrap();
            format!("{} {}", l.address.unwrap(), l.port.unwrap())
        };
        assert_eq!(read("", false), "127.0.0.1 2375");
        assert_eq!(read(":1234", false), "0.0.0.0 1234");
        assert_eq!(read("10.0.0.1", true), "10.0.0.1 2376");
        assert_eq!(read("[::1]:5", true), "::1 5");
        assert_eq!(read("[::1]", true), "::1 2376");
    }

    #[test]
    fn unix_sockets_that_listen_are_found() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 11590 /run/a b.sock";
        assert_eq!(unix_socket(line), Some((11590, "/run/a b.sock")));
        let connected = "0000000000000000: 00000003 00000000 00000000 0001 03 11591 /run/x.sock";
        assert_eq!(unix_socket(connected), None);
        assert_eq!(unix_socket("Num       RefCount Protocol Flags    Type St Inode Path"), None);
        let odd = "0: 2 0 00010000 0001 01 7 @abstract";
        assert_eq!(unix_socket(odd), None);
    }
}
