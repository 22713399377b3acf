//! What a container adds to whatever is wrong in it: whether it runs, who reaches it, what it may do.

use serde::{Deserialize, Serialize};

use super::{Weight, names};

/// Who can send something to a container. Ordered from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It has no network.
    None,
    /// Only other containers of its networks.
    Containers,
    /// Programs of this host: ports are published on a loopback address.
    Host,
    /// Whoever reaches certain addresses of the host.
    Addresses,
    /// Whoever reaches the host: ports are published on every address, or it is on the host's own network.
    Everybody,
}

/// How many rules gave an alert in the last day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// As urgent as critical, or more.
    pub critical: u64,
    /// Errors and warnings.
    pub warning: u64,
}

/// What is known of a container, as far as ranks need it. What is absent is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// Whether it has processes.
    pub running: Option<bool>,
    /// Who can send something to it.
    pub reach: Option<Reach>,
    /// Its published ports, as `0.0.0.0:80`.
    pub ports: Vec<String>,
    /// Whether it is on the host's network.
    pub host_network: bool,
    /// Whether processes in it have user id 0.
    pub root: Option<bool>,
    /// `--privileged`.
    pub privileged: Option<bool>,
    /// Capabilities that lead out of a container.
    pub capabilities: Option<Vec<String>>,
    /// Namespaces of the host that it shares, the network left out.
    pub namespaces: Option<Vec<String>>,
    /// Sockets of engines that it can reach through a mount.
    pub sockets: Option<Vec<String>>,
    /// Sensitive paths of the host that it can write.
    pub writes: Option<Vec<String>>,
    /// Sensitive paths of the host that it can read.
    pub reads: Option<Vec<String>>,
    /// Alerts of the last day; absent if it is not watched.
    pub alerts: Option<Recent>,
}

/// Capabilities with which whoever is root in a container gets out of it, or at the kernel
/// (capabilities(7); each has been used so).
pub(super) const DANGEROUS: [&str; 12] = [
    "BPF",
    "DAC_READ_SEARCH",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
];

impl Exposure {
    /// Whether a capability leads out of a container.
    pub fn is_dangerous(capability: &str) -> bool {
        DANGEROUS.contains(&capability)
    }

    /// Its factors. Those that change nothing are left out, except where something is not known.
    pub fn weights(&self) -> Vec<Weight> {
        let mut weights = vec![self.running(), self.reachable()];
        weights.push(match self.root {
            Some(true) => Weight::new("root", 1.5, "root.yes"),
            Some(false) => Weight::new("root", 0.8, "root.no"),
            None => Weight::new("root", 1.0, "root.unknown"),
        });
        weights.extend(self.rights());
        weights.extend(self.recent());
        weights.retain(|weight| weight.times != 1.0 || weight.is_unknown());
        weights
    }

    pub(super) fn running(&self) -> Weight {
        match self.running {
            Some(true) => Weight::new("running", 1.0, "running.yes"),
            Some(false) => Weight::new("running", 0.4, "running.no"),
            None => Weight::new("running", 1.0, "running.unknown"),
        }
    }

    fn reachable(&self) -> Weight {
        let (times, key) = match self.reach {
            Some(Reach::None) => (0.4, "reachable.none"),
            Some(Reach::Containers) => (0.7, "reachable.containers"),
            Some(Reach::Host) => (1.0, "reachable.host"),
            Some(Reach::Addresses) => (1.5, "reachable.addresses"),
            Some(Reach::Everybody) if self.host_network => (2.0, "reachable.host-network"),
            Some(Reach::Everybody) => (2.0, "reachable.everybody"),
            None => (1.0, "reachable.unknown"),
        };
        Weight::new("reachable", times, key).with("ports", names(&self.ports))
    }

    /// What it may do to the host. A privileged container has all capabilities, so these do not count twice.
    fn rights(&self) -> Vec<Weight> {
        let list = |factor, times, key, what: &Option<Vec<String>>| {
            let what = what.as_ref().filter(|what| !what.is_empty())?;
            Some(Weight::new(factor, times, key).with("names", names(what)))
        };
        let mut weights = Vec::new();
        match self.privileged {
            Some(true) => weights.push(Weight::new("privileged", 3.0, "privileged")),
            _ => weights.extend(list("capabilities", 2.0, "capabilities", &self.capabilities)),
        }
        weights.extend(list("engine-socket", 3.0, "engine-socket", &self.sockets));
        weights.extend(
            list("mounts", 2.0, "mounts.write", &self.writes)
                .or_else(|| list("mounts", 1.5, "mounts.read", &self.reads)),
        );
        weights.extend(list("namespaces", 1.5, "namespaces", &self.namespaces));
        let known = self.privileged.is_some()
            && self.capabilities.is_some()
            && self.namespaces.is_some()
            && self.sockets.is_some()
            && self.writes.is_some();
        if !known {
            weights.push(Weight::new("rights", 1.0, "rights.unknown"));
        }
        weights
    }

    fn recent(&self) -> Option<Weight> {
        let Some(recent) = self.alerts else {
            return Some(Weight::new("alerts", 1.0, "alerts.unknown"));
        };
        let (times, key, count) = match recent {
            Recent { critical: 0, warning: 0 } => return None,
            Recent { critical: 0, warning } => (1.5, "alerts.warning", warning),
            Recent { critical, .. } => (3.0, "alerts.critical", critical),
        };
        Some(Weight::new("alerts", times, key).with("count", count.to_string()))
    }
}

impl Weight {
    fn is_unknown(&self) -> bool {
        self.key.ends_with(".unknown")
    }
}
