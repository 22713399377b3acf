//! From the facts of a container to what its place adds to whatever is wrong in it.

use haechi_core::alert::Priority;
use haechi_core::facts::{Container, ContainerAlert, ContainerMount, PublishedPort};
use haechi_core::risk::{Exposure, Reach, Recent};
use haechi_core::{Policy, Snapshot};
use jiff::{SignedDuration, Timestamp};

/// Containers may join the network of one that joins another's; no honest chain is longer.
const JOINED_MAX: usize = 4;
/// Small files of the host that engines and people hand to containers and that tell nothing.
const HARMLESS: [&str; 5] =
    ["/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/resolv.conf", "/etc/timezone"];

/// What is known of a container, as far as ranks need it.
pub fn of(container: &Container, snapshot: &Snapshot, policy: &Policy) -> Exposure {
    let given = container.host_config.as_ref();
    let effective = container.effective.as_ref();
    let running = container.state.as_ref().and_then(|state| state.running);
    let namespaces = container.host_namespaces.as_ref();
    let (reach, ports) = reach(container, snapshot, JOINED_MAX);
    let sensitive: Vec<&str> = policy
        .mounts
        .sensitive
        .iter()
        .map(String::as_str)
        .chain(snapshot.engine.data_root.as_deref().filter(|root| !root.is_empty()))
        .collect();
    let shown = |writable: bool| {
        let mounts = container.mounts.as_ref()?;
        let mounts = mounts.iter().filter(|mount| mount.writable == Some(writable));
        Some(mounts.flat_map(|mount| shows(mount, &sensitive)).collect())
    };
    Exposure {
        running,
        reach,
        ports,
        host_network: namespaces.is_some_and(|all| all.iter().any(|one| one == "network")),
        root: match running {
            Some(true) => effective.and_then(|effective| effective.runs_as_root),
            _ => effective.and_then(|e| e.uid).filter(|uid| *uid >= 0).map(|uid| uid == 0),
        },
        privileged: given.and_then(|given| given.privileged),
        capabilities: effective
            .and_then(|effective| effective.capabilities.as_ref())
            .map(|all| all.iter().filter(|one| Exposure::is_dangerous(one)).cloned().collect()),
        namespaces: namespaces
            .map(|all| all.iter().filter(|one| *one != "network").cloned().collect()),
        sockets: container.mounts.as_ref().map(|mounts| {
            let sockets = mounts.iter().flat_map(|mount| mount.engine_sockets.iter().flatten());
            sockets.cloned().collect()
        }),
        writes: shown(true),
        reads: shown(false),
        alerts: container.alerts.as_ref().map(|alerts| recent(alerts, &snapshot.taken_at)),
    }
}

/// Sensitive paths that a mount shows: it lies in one, or has one in it.
fn shows(mount: &ContainerMount, sensitive: &[&str]) -> Vec<String> {
    let paths = mount.host_paths.iter().flatten();
    let shows = |path: &&String| {
        let harmless = mount.writable == Some(false)
            && (HARMLESS.contains(&path.as_str()) || within(path, "/usr/share/zoneinfo"));
        !harmless && sensitive.iter().any(|one| within(path, one) || within(one, path))
    };
    paths.filter(shows).cloned().collect()
}

fn within(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Who can send something to a container, and its published ports.
fn reach(container: &Container, snapshot: &Snapshot, depth: usize) -> (Option<Reach>, Vec<String>) {
    let shared = container.host_namespaces.as_ref();
    if shared.is_some_and(|all| all.iter().any(|one| one == "network")) {
        return (Some(Reach::Everybody), Vec::new());
    }
    let mode = container.host_config.as_ref().and_then(|given| given.network_mode.as_deref());
    if let Some(other) = mode.and_then(|mode| mode.strip_prefix("container:")) {
        let is = |one: &&Container| {
            one.id.as_deref() == Some(other) || one.name.as_deref() == Some(other)
        };
        return match snapshot.containers.iter().flatten().find(is) {
            Some(other) if depth > 0 => reach(other, snapshot, depth - 1),
            _ => (None, Vec::new()),
        };
    }
    let Some(ports) = &container.ports else { return (None, Vec::new()) };
    let published = ports.iter().map(by_port).max();
    let ports = ports.iter().map(told).collect();
    let reach = match (published, mode) {
        (_, Some("none")) => Some(Reach::None),
        (published, Some(_)) => published.max(Some(by_network(container, snapshot))),
        (published, None) => published,
    };
    (reach, ports)
}

fn by_port(port: &PublishedPort) -> Reach {
    let address = port.host_address.as_deref().unwrap_or_default();
    match address.parse::<std::net::IpAddr>() {
        Ok(address) if address.is_unspecified() => Reach::Everybody,
        Ok(address) if address.is_loopback() => Reach::Host,
        Ok(_) => Reach::Addresses,
        // No address means every one.
        Err(_) => Reach::Everybody,
    }
}

/// Networks that lead out of the host by themselves.
fn by_network(container: &Container, snapshot: &Snapshot) -> Reach {
    let of = |name: &str| {
        let networks = snapshot.networks.iter().flatten();
        let mut named = networks.filter(|network| network.name.as_deref() == Some(name));
        match named.next().and_then(|network| network.driver.as_deref()) {
            Some("macvlan" | "ipvlan") => Reach::Addresses,
            // What a swarm publishes, it publishes on every node.
            Some("overlay") if name == "ingress" => Reach::Everybody,
            _ => Reach::Containers,
        }
    };
    let names = container.networks.iter().flatten().filter_map(|one| one.name.as_deref());
    names.map(of).max().unwrap_or(Reach::Containers)
}

fn told(port: &PublishedPort) -> String {
    let address = match port.host_address.as_deref().unwrap_or_default() {
        "" => "0.0.0.0".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]"),
        v4 => v4.to_owned(),
    };
    match port.host_port.unwrap_or_default() {
        0 => address,
        number => format!("{address}:{number}"),
    }
}

/// Rules whose newest alert is of the last day.
fn recent(alerts: &[ContainerAlert], now: &str) -> Recent {
    let moment = |text: &str| text.parse::<Timestamp>().ok();
    let since = moment(now).and_then(|now| now.checked_sub(SignedDuration::from_hours(24)).ok());
    let mut recent = Recent::default();
    for alert in alerts {
        let at = alert.at.as_deref().and_then(moment);
        // A time that cannot be read may be of today.
        if at.zip(since).is_some_and(|(at, since)| at < since) {
            continue;
        }
        match alert.priority.as_deref().map(str::parse::<Priority>) {
            Some(Ok(priority)) if priority <= Priority::Critical => recent.critical += 1,
            Some(Ok(priority)) if priority <= Priority::Warning => recent.warning += 1,
            _ => {}
        }
    }
    recent
}

/// Where the engine takes calls from the network; `None` if it does not, or that is not known.
pub fn engine_address(snapshot: &Snapshot) -> Option<String> {
    let mut listeners = snapshot.engine.listeners.iter().flatten();
    listeners.find_map(|listener| {
        let address = listener.address.as_deref()?;
        let loopback =
            address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let open = listener.protocol.as_deref() == Some("tcp") && !loopback;
        open.then(|| format!("{address}:{}", listener.port.unwrap_or_default()))
    })
}
