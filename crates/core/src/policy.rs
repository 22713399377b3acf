//! What a site intends: one TOML file, typed, every key with a safe default.
//!
//! Checks read it as `policy.…`; collectors read only which backups to look for. Parsing says the place of
//! each error. Reading the file is the command line's business; the commented template is [`TEMPLATE`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Accepted, Subject};
use crate::vulnerability::Rating;

/// The commented policy that `haechi policy init` writes. Its values are the defaults.
pub const TEMPLATE: &str = include_str!("policy.toml");

/// A larger file is not a policy.
pub const SIZE_MAX: usize = 1 << 20;

macro_rules! section {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty = $default:expr,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    )*};
}

mod base;
mod exception;
mod monitor;

pub use exception::{Exception, accepted};
pub use monitor::{MonitorPolicy, ResponsePolicy};

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

section! {
    /// The policy of a site.
    pub struct Policy {
        /// Who may do what.
        pub access: Access = Access::default(),
        /// Where images may come from.
        pub registries: Registries = Registries::default(),
        /// What images may hold.
        pub images: Images = Images::default(),
        /// How the engine is meant to be set up.
        pub engine: EnginePolicy = EnginePolicy::default(),
        /// Whether and how a swarm is meant to be used.
        pub swarm: SwarmPolicy = SwarmPolicy::default(),
        /// How much is too much, how old is too old.
        pub limits: Limits = Limits::default(),
        /// Capabilities that containers may have.
        pub capabilities: Capabilities = Capabilities::default(),
        /// Host paths that containers may see.
        pub mounts: Mounts = Mounts::default(),
        /// Ports that may be open.
        pub ports: Ports = Ports::default(),
        /// Programs that measure what containers use.
        pub metering: Metering = Metering::default(),
        /// How running containers are watched and what is done about alerts.
        pub monitor: MonitorPolicy = MonitorPolicy::default(),
        /// Backups of volumes.
        pub backups: Vec<BackupPolicy> = Vec::new(),
        /// Failures that the site accepts.
        pub exceptions: Vec<Exception> = Vec::new(),
    }

    /// Who may do what.
    pub struct Access {
        /// Accounts that may be in the `docker` group, besides root.
        pub trusted_users: Vec<String> = Vec::new(),
    }

    /// Where images may come from.
    pub struct Registries {
        /// Prefixes of approved repositories, as `docker.io/library` or `registry.example.com`. Empty approves none.
        pub approved: Vec<String> = Vec::new(),
        /// Whether images that were built on this host and have no repository digest are approved.
        pub local_builds: bool = false,
        /// Digests that are approved whatever their repository, as `sha256:…`.
        pub digests: Vec<String> = Vec::new(),
    }

    /// What images may hold.
    pub struct Images {
        /// Packages that images do not need: compilers, network tools, editors, debuggers, ssh servers.
        pub unneeded_packages: Vec<String> = list(&[
            "cmake", "dropbear", "emacs", "ftp", "g++", "gcc", "gdb", "golang", "make", "nano", "ncat", "net-tools",
            "netcat-openbsd", "netcat-traditional", "nmap", "openssh-server", "rsh-client", "socat", "strace", "sudo",
            "tcpdump", "telnet", "vim",
        ]),
        /// Whether packages fail of which nothing was ever used, where the image's containers were watched well enough.
        pub unused_packages_fail: bool = true,
        /// Packages that may lie unused, by name pattern: what distributions build on and cannot do without.
        pub base_packages: Vec<String> = list(&base::PACKAGES),
        /// Paths of setuid and setgid files that are approved.
        pub setid_files: Vec<String> = Vec::new(),
        /// An image with a vulnerability of this rating or worse is unsafe.
        pub unsafe_rating: Rating = Rating::Critical,
        /// Whether only vulnerabilities count that have a fix.
        pub unsafe_fixable_only: bool = false,
        /// Whether a vulnerability that is known to be exploited makes an image unsafe, whatever its rating.
        pub unsafe_exploited: bool = true,
        /// Whether malware makes an image unsafe.
        pub unsafe_malware: bool = true,
        /// Whether a secret makes an image unsafe.
        pub unsafe_secrets: bool = false,
        /// Vulnerabilities that the site accepts.
        pub accepted: Vec<AcceptedVulnerability> = Vec::new(),
    }

    /// How the engine is meant to be set up.
    pub struct EnginePolicy {
        /// Logging drivers that bring logs to another machine.
        pub central_log_drivers: Vec<String> =
            list(&["awslogs", "fluentd", "gcplogs", "gelf", "logentries", "splunk"]),
        /// Oldest major version of Docker Engine that may run; nobody maintains older ones than 20.10 any more.
        pub version_major_min: i64 = 20,
        /// Limits that `default-ulimits` must set.
        pub required_ulimits: Vec<String> = list(&["nofile", "nproc"]),
    }

    /// Whether and how a swarm is meant to be used.
    pub struct SwarmPolicy {
        /// Whether this host needs swarm mode.
        pub needed: bool = false,
        /// Fewest managers for availability.
        pub managers_min: i64 = 3,
        /// Most managers that may control the cluster.
        pub managers_max: i64 = 7,
        /// Days after which the unlock key must have been changed.
        pub unlock_key_days_max: i64 = 90,
        /// Longest lifetime of node certificates, in days.
        pub node_cert_days_max: i64 = 90,
        /// Days after which the root CA must have been changed.
        pub ca_days_max: i64 = 365,
    }

    /// How much is too much, how old is too old.
    pub struct Limits {
        /// Most attempts of the `on-failure` restart policy.
        pub restart_retries_max: i64 = 5,
        /// Days after which an image that no container uses is sprawl.
        pub unused_image_days_max: i64 = 30,
        /// Days after which a stopped or never started container is sprawl.
        pub stopped_container_days_max: i64 = 7,
        /// Most containers on one host.
        pub containers_max: i64 = 200,
        /// Days after which a verification is too old.
        pub verification_days_max: i64 = 30,
        /// Days after which an image must have been built anew.
        pub image_age_days_max: i64 = 90,
        /// Days after which vulnerability data is too old to call a package sound.
        pub database_age_days_max: i64 = 7,
    }

    /// Capabilities that containers may have.
    pub struct Capabilities {
        /// Every container may have these; the default is the engine's own default set.
        pub allowed: Vec<String> = list(&[
            "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
            "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
        ]),
        /// What certain containers may have besides, by name pattern.
        pub containers: BTreeMap<String, Vec<String>> = BTreeMap::new(),
        /// What a container may hold although it was watched well enough and never used it.
        pub unused: Vec<String> = Vec::new(),
    }

    /// Host paths that containers may see.
    pub struct Mounts {
        /// Sensitive paths of the host: neither they, nor what contains them, nor what they contain may be mounted.
        pub sensitive: Vec<String> = list(&[
            "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/bin", "/sys",
            "/usr", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet",
            "/var/run", "/var/spool/cron",
        ]),
        /// Paths that any container may see read-only.
        pub read_only: Vec<String> = list(&["/etc/localtime", "/etc/timezone"]),
        /// Host paths that certain containers may see, by name pattern.
        pub containers: BTreeMap<String, Vec<String>> = BTreeMap::new(),
    }

    /// Ports that may be open.
    pub struct Ports {
        /// Ports below 1024 that containers may publish.
        pub privileged: Vec<i64> = Vec::new(),
        /// Ports on which the host itself may listen beyond its loopback addresses, as `22/tcp`; 68 and 546 are DHCP clients.
        pub host: Vec<String> = list(&["22/tcp", "68/udp", "546/udp"]),
    }

    /// Programs that measure what containers use.
    pub struct Metering {
        /// Names of programs, on the host or in containers.
        pub agents: Vec<String> = list(&[
            "cadvisor", "collectd", "datadog-agent", "metricbeat", "netdata", "node_exporter", "otelcol",
            "prometheus", "prometheus-node-exporter", "telegraf", "zabbix_agent2", "zabbix_agentd",
        ]),
    }
}

/// Where the backup of some volumes is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupPolicy {
    /// Pattern of volume names or, for bind mounts, host paths (`*` and `?`).
    pub volume: String,
    /// A file or folder: the newest file in it is the newest backup.
    #[serde(default)]
    pub path: Option<String>,
    /// A command and its arguments, run without a shell, that prints the time of the newest backup (RFC 3339).
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// The oldest that the newest backup may be, in hours.
    #[serde(default = "BackupPolicy::day")]
    pub max_age_hours: i64,
}

impl BackupPolicy {
    fn day() -> i64 {
        26
    }
}

/// A vulnerability that the site accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedVulnerability {
    /// Its id, or any other name of it.
    pub id: String,
    /// Pattern of the package's name (`*` and `?`); any if not given.
    #[serde(default = "any")]
    pub package: String,
    /// Pattern of the image's references; any if not given.
    #[serde(default = "any")]
    pub image: String,
    /// Why it is accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it counts, as `2026-12-31`.
    #[schemars(with = "String")]
    pub expires: Date,
}

fn any() -> String {
    "*".to_owned()
}

/// A policy with where it came from and which keys it sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// The file, or `defaults`.
    pub source: String,
    /// Dotted keys that the file sets (`swarm.needed`).
    pub set: BTreeSet<String>,
}

/// Why a policy is not valid, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{place}: {message}")]
    Syntax {
        /// `FILE:LINE:COLUMN`.
        place: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A value that cannot be meant.
    #[error("{file}: {key}: {message}")]
    Value {
        /// The file.
        file: String,
        /// The dotted key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The file is too large to be a policy.
    #[error("{file}: {size} bytes are too many for a policy (limit {SIZE_MAX})")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        size: usize,
    },
}

impl Loaded {
    /// The defaults, as used without a file.
    pub fn defaults() -> Self {
        Self { source: "defaults".into(), ..Self::default() }
    }

    /// Parses and validates a policy file; `file` is its name in errors.
    ///
    /// # Errors
    /// All that are found, each with its place: broken TOML and unknown keys stop at the first.
    pub fn parse(file: &str, toml: &str) -> Result<Self, Vec<PolicyError>> {
        if toml.len() > SIZE_MAX {
            return Err(vec![PolicyError::TooLarge { file: file.into(), size: toml.len() }]);
        }
        let policy: Policy = toml::from_str(toml).map_err(|error| {
            let (line, column) = error.span().map_or((1, 1), |span| place(toml, span.start));
            vec![PolicyError::Syntax {
                place: format!("{file}:{line}:{column}"),
                message: error.message().to_owned(),
            }]
        })?;
        let errors = policy.validate(file);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut set = BTreeSet::new();
        if let Ok(table) = toml.parse::<toml::Table>() {
            keys(&table, "", &mut set);
        }
        Ok(Self { policy, source: file.to_owned(), set })
    }

    /// Whether `path` (`swarm.needed`) was left at its default.
    pub fn is_default(&self, path: &str) -> bool {
        !self.set.iter().any(|key| {
            key == path
                || path.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.'))
                || key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
        })
    }
}

fn keys(table: &toml::Table, prefix: &str, set: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => keys(inner, &path, set),
            _ => {
                set.insert(path);
            }
        }
    }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

impl Policy {
    fn validate(&self, file: &str) -> Vec<PolicyError> {
        let mut errors = Vec::new();
        let mut refuse = |key: String, message: &str| {
            errors.push(PolicyError::Value {
                file: file.to_owned(),
                key,
                message: message.to_owned(),
            });
        };
        let numbers = [
            ("engine.version_major_min", self.engine.version_major_min, 17),
            ("swarm.managers_min", self.swarm.managers_min, 1),
            ("swarm.managers_max", self.swarm.managers_max, 1),
            ("swarm.unlock_key_days_max", self.swarm.unlock_key_days_max, 1),
            ("swarm.node_cert_days_max", self.swarm.node_cert_days_max, 1),
            ("swarm.ca_days_max", self.swarm.ca_days_max, 1),
            ("limits.restart_retries_max", self.limits.restart_retries_max, 0),
            ("limits.unused_image_days_max", self.limits.unused_image_days_max, 0),
            ("limits.stopped_container_days_max", self.limits.stopped_container_days_max, 0),
            ("limits.containers_max", self.limits.containers_max, 1),
            ("limits.verification_days_max", self.limits.verification_days_max, 1),
            ("limits.image_age_days_max", self.limits.image_age_days_max, 1),
            ("monitor.actions_max", self.monitor.actions_max, 1),
            ("monitor.actions_minutes", self.monitor.actions_minutes, 1),
            ("monitor.observed_hours_min", self.monitor.observed_hours_min, 0),
            ("monitor.resume_minutes", self.monitor.resume_minutes, 0),
        ];
        for (key, value, least) in numbers {
            if value < least {
                refuse(key.into(), &format!("must be at least {least}, not {value}"));
            }
        }
        if self.swarm.managers_max < self.swarm.managers_min {
            refuse("swarm.managers_max".into(), "must not be below swarm.managers_min");
        }
        for path in self.mounts.sensitive.iter().chain(&self.mounts.read_only) {
            if !path.starts_with('/') {
                refuse("mounts".into(), &format!("`{path}` must be an absolute path"));
            }
        }
        for (key, why) in self.monitor.mistakes() {
            refuse(key, &why);
        }
        for (index, backup) in self.backups.iter().enumerate() {
            let key = format!("backups[{index}]");
            if backup.path.is_some() == backup.command.is_some() {
                refuse(key.clone(), "needs either `path` or `command`");
            }
            if backup.command.as_ref().is_some_and(Vec::is_empty) {
                refuse(key.clone(), "`command` must not be empty");
            }
            if backup.max_age_hours < 1 {
                refuse(key, "`max_age_hours` must be at least 1");
            }
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            let key = format!("exceptions[{index}]");
            let words = [
                ("check", &exception.check),
                ("subject", &exception.subject),
                ("reason", &exception.reason),
                ("owner", &exception.owner),
            ];
            for (name, word) in words {
                if word.trim().is_empty() {
                    refuse(key.clone(), &format!("`{name}` must not be empty"));
                }
            }
        }
        errors
    }

    /// The exception in force for a failing check on `today`, if the site made one.
    pub fn exception(&self, check: &str, subject: &Subject, today: Date) -> Option<Accepted> {
        accepted(&self.exceptions, check, subject, today)
    }
}

/// What every text begins with that matches a pattern.
pub fn beginning(pattern: &str) -> &str {
    pattern.split(['*', '?']).next().unwrap_or_default()
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters and `?` for one. Linear in time.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    // Most texts differ from most patterns at once.
    if !text.starts_with(beginning(pattern)) {
        return false;
    }
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests;
