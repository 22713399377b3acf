//! What a container is given today, as far as the engine told.

use std::collections::BTreeSet;

use haechi_core::capability::DEFAULT;
use haechi_core::facts::Container;
use haechi_core::risk::Given;

/// What a container is given today; `None` is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Today {
    /// Its name.
    pub name: String,
    /// Capabilities that it holds, without `CAP_`.
    pub capabilities: Option<BTreeSet<String>>,
    /// `default`, `unconfined`, `custom` or `off`.
    pub seccomp: Option<String>,
    /// Whether its root file system is read-only.
    pub read_only: Option<bool>,
    /// Whether programs can gain no rights.
    pub no_new_privileges: Option<bool>,
    /// Its limit of processes; 0 is none.
    pub pids: Option<u64>,
    /// Its limit of memory in bytes; 0 is none.
    pub memory: Option<u64>,
    /// Where something is mounted in it.
    pub mounts: Vec<String>,
    /// Whether it has a health check.
    pub has_health_check: bool,
}

impl Today {
    /// What the facts of a container say.
    pub fn of(container: &Container) -> Self {
        let config = container.host_config.as_ref();
        let security = container.security.as_ref();
        let limit =
            |value: Option<i64>| value.map(|value| u64::try_from(value).unwrap_or_default());
        let mounts = container.mounts.iter().flatten();
        Self {
            name: container.name.clone().unwrap_or_default(),
            capabilities: container
                .effective
                .as_ref()
                .and_then(|effective| effective.capabilities.as_ref())
                .map(|names| names.iter().cloned().collect()),
            seccomp: security.and_then(|security| security.seccomp.clone()),
            read_only: config.and_then(|config| config.readonly_rootfs),
            no_new_privileges: security.and_then(|security| security.no_new_privileges),
            pids: limit(config.and_then(|config| config.pids_limit)),
            memory: limit(config.and_then(|config| config.memory)),
            mounts: mounts.filter_map(|mount| mount.destination.clone()).collect(),
            has_health_check: container
                .config
                .as_ref()
                .and_then(|config| config.healthcheck)
                .unwrap_or_default(),
        }
    }

    /// What was kept of a container of this name.
    pub fn of_kept(name: &str, kept: Given) -> Self {
        let Given { capabilities, seccomp, read_only, no_new_privileges, pids, memory, .. } = kept;
        Self {
            name: name.to_owned(),
            capabilities,
            seccomp,
            read_only,
            no_new_privileges,
            pids,
            memory,
            mounts: kept.mounts,
            has_health_check: kept.has_health_check,
        }
    }

    /// The same, to be kept.
    pub fn kept(self) -> Given {
        Given {
            capabilities: self.capabilities,
            seccomp: self.seccomp,
            read_only: self.read_only,
            no_new_privileges: self.no_new_privileges,
            pids: self.pids,
            memory: self.memory,
            mounts: self.mounts,
            has_health_check: self.has_health_check,
        }
    }

    /// Capabilities that it holds, or what Docker gives if that is not known.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        let given = DEFAULT.iter().copied().filter(|_| self.capabilities.is_none());
        self.capabilities.iter().flatten().map(String::as_str).chain(given)
    }

    /// How many system calls of the 64-bit entry it may make; `None` if its profile is not known.
    pub fn calls(&self) -> Option<usize> {
        match self.seccomp.as_deref()? {
            "default" => Some(crate::calls::docker(self.held()).len()),
            "unconfined" | "off" => Some(crate::calls::native().len()),
            _ => None,
        }
    }
}
