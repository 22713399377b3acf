//! Facts of the engine: what it is, how it is configured, and whether its configuration agrees with itself.
//!
//! Filled by `haechi-facts`' engine collector from the API, daemon.json and the running daemon's command line.

use std::collections::BTreeMap;

use super::facts;

facts! {
    /// The container engine.
    pub struct Engine {
        /// `docker` or `podman`.
        pub kind: String,
        /// Where it was asked: `unix:///run/docker.sock`, `tcp://host:2376`.
        pub endpoint: String,
        /// Whether it runs on the host that the host facts are of.
        pub local: bool,
        /// How that was decided.
        pub local_reason: String,
        /// The engine's own id.
        pub id: String,
        /// The engine's host name.
        pub name: String,
        /// Version, as `28.2.2`.
        pub version: String,
        /// Major version.
        pub version_major: i64,
        /// Minor version.
        pub version_minor: i64,
        /// API version, as `1.50`.
        pub api_version: String,
        /// Versions of its parts by name: `containerd`, `runc`, `docker-init`.
        pub components: BTreeMap<String, String>,
        /// Known vulnerabilities of the engine and its parts, as `ID in PART VERSION`; absent without a vulnerability database.
        pub vulnerabilities: Vec<String>,
        /// Whether its release still gets security fixes; absent without a release table.
        pub supported: bool,
        /// Operating system, as the engine says.
        pub operating_system: String,
        /// Kernel, as the engine says.
        pub kernel: String,
        /// DockerRootDir.
        pub data_root: String,
        /// The file system that holds it.
        pub data_root_mount: DataRootMount,
        /// Storage driver in use.
        pub storage_driver: String,
        /// Cgroup driver: `systemd`, `cgroupfs` or `none`.
        pub cgroup_driver: String,
        /// Cgroup version: `1` or `2`.
        pub cgroup_version: String,
        /// Security options as the engine lists them.
        pub security_options: Vec<String>,
        /// Whether the daemon runs without root.
        pub rootless: bool,
        /// Whether containers get user namespaces by default.
        pub userns: bool,
        /// Default seccomp profile.
        pub seccomp: Seccomp,
        /// Whether the engine uses AppArmor.
        pub apparmor: bool,
        /// Whether the engine uses SELinux.
        pub selinux: bool,
        /// Whether experimental features are on.
        pub experimental: bool,
        /// Whether the daemon runs in debug mode, which overrides its log level.
        pub debug: bool,
        /// Whether containers go on while the daemon is down.
        pub live_restore: bool,
        /// Authorization plugins.
        pub authorization_plugins: Vec<String>,
        /// Registries and mirrors that are used without verified TLS (CIDRs, names, URLs), the built-in loopback ones left out.
        pub insecure_registries: Vec<String>,
        /// Default logging driver.
        pub log_driver: String,
        /// The effective configuration, option by option.
        pub config: EngineConfig,
        /// Places where daemon.json, command line and API do not agree, in words.
        pub contradictions: Vec<String>,
        /// Keys of daemon.json that the engine does not know.
        pub unknown_keys: Vec<String>,
        /// The configuration file.
        pub daemon_json: DaemonJson,
        /// The daemon's process.
        pub process: EngineProcess,
        /// Sockets on which the daemon takes API calls.
        pub listeners: Vec<ApiListener>,
    }

    /// The file system that holds the engine's data.
    pub struct DataRootMount {
        /// Its mount point.
        pub mount_point: String,
        /// Its device as `major:minor`.
        pub device: String,
        /// Its type.
        pub fs_type: String,
        /// Its source.
        pub source: String,
        /// Device of the root file system.
        pub root_device: String,
        /// Whether it is a file system of its own: another device than the root's, and not a bind mount of one of the root's folders.
        pub separate: bool,
    }

    /// The daemon-wide seccomp profile.
    pub struct Seccomp {
        /// Whether the engine applies seccomp at all.
        pub enabled: bool,
        /// `default` (built in), `unconfined`, or the path of a profile file.
        pub profile: String,
        /// `defaultAction` of the profile file; empty for the built-in one.
        pub default_action: String,
        /// How many system-call names the profile file names; 0 for the built-in one.
        pub names: i64,
    }

    /// The effective configuration. Each option has a value and says where it comes from; an option whose
    /// value could not be established is absent.
    pub struct EngineConfig {
        /// `icc`: containers on the default bridge may talk to each other.
        pub icc: SettingBool,
        /// `log-level`.
        pub log_level: SettingText,
        /// `iptables`.
        pub iptables: SettingBool,
        /// `storage-opts`.
        pub storage_opts: SettingList,
        /// `tls`.
        pub tls: SettingBool,
        /// `tlsverify`.
        pub tls_verify: SettingBool,
        /// `tlscacert`.
        pub tls_ca_cert: SettingText,
        /// `tlscert`.
        pub tls_cert: SettingText,
        /// `tlskey`.
        pub tls_key: SettingText,
        /// `default-ulimits` as `name=soft:hard`.
        pub default_ulimits: SettingList,
        /// `userns-remap`; empty if unset.
        pub userns_remap: SettingText,
        /// `cgroup-parent`; empty if unset.
        pub cgroup_parent: SettingText,
        /// `log-driver`.
        pub log_driver: SettingText,
        /// `log-opts` as `key=value`, secrets redacted.
        pub log_opts: SettingList,
        /// `disable-legacy-registry`.
        pub disable_legacy_registry: SettingBool,
        /// `live-restore`.
        pub live_restore: SettingBool,
        /// `userland-proxy`.
        pub userland_proxy: SettingBool,
        /// `seccomp-profile`; empty if unset.
        pub seccomp_profile: SettingText,
        /// `experimental`.
        pub experimental: SettingBool,
        /// `no-new-privileges`.
        pub no_new_privileges: SettingBool,
        /// `hosts`, as given.
        pub hosts: SettingList,
        /// `content-trust` mode: `enforced`, `permissive` or empty.
        pub content_trust: SettingText,
        /// `insecure-registries`, as given.
        pub insecure_registries: SettingList,
        /// `authorization-plugins`, as given.
        pub authorization_plugins: SettingList,
    }

    /// A yes-or-no option and where it comes from.
    pub struct SettingBool {
        /// The value in force.
        pub value: bool,
        /// `daemon.json`, `command line`, `API` or `default`.
        pub source: String,
    }

    /// A text option and where it comes from.
    pub struct SettingText {
        /// The value in force; empty if unset.
        pub value: String,
        /// `daemon.json`, `command line`, `API` or `default`.
        pub source: String,
    }

    /// A list option and where it comes from.
    pub struct SettingList {
        /// The values in force.
        pub value: Vec<String>,
        /// `daemon.json`, `command line`, `API` or `default`.
        pub source: String,
    }

    /// The configuration file of the daemon.
    pub struct DaemonJson {
        /// Its path.
        pub path: String,
        /// Whether it exists.
        pub exists: bool,
        /// Whether it could be read and understood.
        pub valid: bool,
        /// What is wrong with it, with line and column; empty if nothing.
        pub error: String,
        /// Whether it was changed after the daemon started, so that it may not be in force.
        pub changed_after_start: bool,
    }

    /// The daemon's process on this host.
    pub struct EngineProcess {
        /// Process id.
        pub pid: i64,
        /// Effective user id.
        pub uid: i64,
        /// Its name in the host's accounts.
        pub user: String,
        /// Program path.
        pub program: String,
        /// Command line, secrets redacted.
        pub arguments: Vec<String>,
        /// When it started (RFC 3339).
        pub started_at: String,
    }

    /// A socket on which the daemon takes API calls.
    pub struct ApiListener {
        /// `unix` or `tcp`.
        pub protocol: String,
        /// Path of a Unix socket, IP address of a TCP one.
        pub address: String,
        /// TCP port; 0 for a Unix socket.
        pub port: i64,
        /// Whether it speaks TLS.
        pub tls: bool,
        /// Whether it demands a client certificate.
        pub tls_verify: bool,
        /// `kernel` (a socket the daemon holds), `configuration`, or both joined by a comma.
        pub source: String,
    }
}
