//! Facts of a container: configuration, state, effective rights, processes and sockets.
//!
//! Filled by `haechi-facts`' engine collector from one inspect, and from /proc for running containers.

use std::collections::BTreeMap;

use super::{Behaviour, Listener, facts};

facts! {
    /// A container, running or not.
    pub struct Container {
        /// Full id.
        pub id: String,
        /// Name without the leading slash.
        pub name: String,
        /// The reference it was created from, as typed.
        pub image_ref: String,
        /// Id of the image that it runs.
        pub image_id: String,
        /// Id of the image that `image_ref` names on this host today; empty if none.
        pub image_ref_id: String,
        /// When it was created (RFC 3339).
        pub created_at: String,
        /// Days since it was created.
        pub age_days: i64,
        /// Running or not, and since when.
        pub state: ContainerState,
        /// What the image and `docker create` gave it.
        pub config: ContainerConfig,
        /// Resources, rights and isolation that it was given.
        pub host_config: HostConfig,
        /// Security settings, resolved.
        pub security: ContainerSecurity,
        /// What its processes may do in the end.
        pub effective: Effective,
        /// Namespaces of the host that it shares in the end, `container:…` modes followed: `ipc`, `network`, `pid`, `uts`.
        pub host_namespaces: Vec<String>,
        /// Mounts with sources resolved.
        pub mounts: Vec<ContainerMount>,
        /// Ports published on the host.
        pub ports: Vec<PublishedPort>,
        /// Networks that it is attached to; behind a `container:…` mode those of the container that it joins.
        pub networks: Vec<Attachment>,
        /// Its processes, from /proc; empty if it does not run.
        pub processes: Vec<Process>,
        /// Listening sockets in its network namespace that its processes own; empty if it does not run.
        pub listeners: Vec<Listener>,
        /// Listening sockets of other containers in its network namespace, as in a pod.
        pub joined_listeners: Vec<Listener>,
        /// Commands run in it through the engine since it was started, as observed, without those of its own health check;
        /// absent until the monitor watches. A gap says why there may have been more.
        pub execs: Vec<Exec>,
        /// What the monitor's rules said of it since it was made: the newest alert of each rule, those that are evidence
        /// for a check first; absent until the monitor watches. A gap says why there may have been more.
        pub alerts: Vec<ContainerAlert>,
        /// Kernel events of it that the monitor lost, and alerts that it could not keep, since it was made; absent until the
        /// monitor watches.
        pub lost: i64,
        /// When the monitor watched it since it was made, by time, the last 100 times; absent until the monitor watches.
        pub watches: Vec<ContainerWatch>,
        /// What containers of its workload were seen to do; absent until the monitor watched it with `--profile`.
        pub behaviour: Behaviour,
        /// Digest that `image_ref` has in its registry today; absent until the registry was asked.
        pub registry_digest: String,
        /// Whether it is a task of a service of the swarm that the engine is active in.
        pub swarm_task: bool,
    }

    /// A command run in a container through the engine.
    pub struct Exec {
        /// When it was created (RFC 3339).
        pub at: String,
        /// Its command line, secrets redacted.
        pub command: String,
        /// The user it ran as; empty means the container's own; absent if the engine did not tell in time.
        pub user: String,
        /// `--privileged`; absent if the engine did not tell in time.
        pub privileged: bool,
    }

    /// What a rule of the monitor said of a container.
    pub struct ContainerAlert {
        /// When it was last so (RFC 3339).
        pub at: String,
        /// Name of the rule.
        pub rule: String,
        /// How urgent it is: `emergency`, `alert`, `critical`, `error`, `warning`, `notice`, `informational` or `debug`.
        pub priority: String,
        /// What it said, secrets redacted.
        pub text: String,
        /// Command line of the process, secrets redacted.
        pub command: String,
        /// Ids of the checks that it is evidence for.
        pub checks: Vec<String>,
        /// How many alerts of the rule there were.
        pub count: i64,
    }

    /// A stretch of time in which the monitor watched a container without a break.
    pub struct ContainerWatch {
        /// Since when (RFC 3339).
        pub since: String,
        /// Until when it is certain (RFC 3339).
        pub until: String,
        /// Whether that is since the container was started.
        pub from_start: bool,
        /// Kernel events that were lost, and alerts that could not be kept.
        pub lost: i64,
    }

    /// State of a container.
    pub struct ContainerState {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        pub status: String,
        /// Whether it has processes: running or paused.
        pub running: bool,
        /// Process id of its first process; 0 if none.
        pub pid: i64,
        /// Health: `none`, `starting`, `healthy` or `unhealthy`.
        pub health: String,
        /// When it started (RFC 3339); empty if never.
        pub started_at: String,
        /// When it ended (RFC 3339); empty if never or running.
        pub finished_at: String,
        /// Days since it ended or, if it never started, since it was created; 0 while running.
        pub idle_days: i64,
    }

    /// Configuration that comes from the image and from `docker create`.
    pub struct ContainerConfig {
        /// `User` as configured: name, id, `user:group`; empty means root.
        pub user: String,
        /// Environment without values.
        pub env: Vec<EnvVar>,
        /// Ports that the image or the container declares, as `80/tcp`.
        pub exposed_ports: Vec<String>,
        /// Labels, secrets redacted.
        pub labels: BTreeMap<String, String>,
        /// Entry point and command, secrets redacted.
        pub command: Vec<String>,
        /// Whether a health check is defined and not switched off.
        pub healthcheck: bool,
    }

    /// An environment variable. Its value is never kept.
    pub struct EnvVar {
        /// Name.
        pub name: String,
        /// Which kind of secret its value looks like; empty if none.
        pub secret: String,
    }

    /// HostConfig: what the container was given.
    pub struct HostConfig {
        /// `--privileged`.
        pub privileged: bool,
        /// `--cap-add`, upper case without `CAP_`.
        pub cap_add: Vec<String>,
        /// `--cap-drop`, upper case without `CAP_`.
        pub cap_drop: Vec<String>,
        /// `--security-opt`, as given.
        pub security_opt: Vec<String>,
        /// `--network`: `default`, `bridge`, `host`, `none`, `container:ID` or a network's name.
        pub network_mode: String,
        /// `--pid`: empty, `host` or `container:ID`.
        pub pid_mode: String,
        /// `--ipc`: `private`, `shareable`, `host`, `none` or `container:ID`; empty means the engine's default.
        pub ipc_mode: String,
        /// `--uts`: empty or `host`.
        pub uts_mode: String,
        /// `--userns`: empty or `host`.
        pub userns_mode: String,
        /// `--cgroupns`: empty, `private` or `host`.
        pub cgroupns_mode: String,
        /// `--cgroup-parent`; empty if unset.
        pub cgroup_parent: String,
        /// `--read-only`.
        pub readonly_rootfs: bool,
        /// Memory limit in bytes; 0 means none.
        pub memory: i64,
        /// CPU limit in billionths of a CPU; 0 means none.
        pub nano_cpus: i64,
        /// CPU shares; 0 means the default weight.
        pub cpu_shares: i64,
        /// CPU quota in microseconds per period; 0 or less means none.
        pub cpu_quota: i64,
        /// Period of the quota in microseconds; 0 means the kernel's default of 100,000.
        pub cpu_period: i64,
        /// `--cpuset-cpus`; empty if unset.
        pub cpuset_cpus: String,
        /// Limit of processes; 0 or less means none.
        pub pids_limit: i64,
        /// `--restart`: `no`, `always`, `unless-stopped` or `on-failure`.
        pub restart_policy: String,
        /// Highest number of restarts of `on-failure`; 0 means no end.
        pub restart_retries: i64,
        /// Devices of the host given to the container.
        pub devices: Vec<Device>,
        /// `--device-cgroup-rule`.
        pub device_cgroup_rules: Vec<String>,
        /// Device requests such as GPUs, as `driver:capabilities`.
        pub device_requests: Vec<String>,
        /// `--ulimit` as `name=soft:hard`.
        pub ulimits: Vec<String>,
        /// Logging driver.
        pub log_driver: String,
        /// Runtime; empty means the engine's default.
        pub runtime: String,
        /// `-P`.
        pub publish_all_ports: bool,
        /// `--volumes-from`.
        pub volumes_from: Vec<String>,
        /// `--group-add`.
        pub group_add: Vec<String>,
        /// `--sysctl` as `name=value`.
        pub sysctls: Vec<String>,
    }

    /// A device of the host given to a container.
    pub struct Device {
        /// Path on the host.
        pub host_path: String,
        /// Path in the container.
        pub container_path: String,
        /// Letters of `rwm`.
        pub permissions: String,
    }

    /// Security settings of a container, resolved from security options and engine defaults.
    pub struct ContainerSecurity {
        /// `no-new-privileges` is in force, from the container or the daemon.
        pub no_new_privileges: bool,
        /// `default`, `unconfined`, `custom` (a profile was given) or `off` (the engine has no seccomp).
        pub seccomp: String,
        /// AppArmor profile in force; empty if none, `unconfined` if switched off.
        pub apparmor: String,
        /// SELinux: `disabled` by option, `default`, or the labels given.
        pub selinux: String,
        /// Whether masked and read-only kernel paths were opened (`systempaths=unconfined`).
        pub system_paths_unconfined: bool,
    }

    /// What the container's processes may do in the end.
    pub struct Effective {
        /// Capabilities without `CAP_`, sorted.
        pub capabilities: Vec<String>,
        /// `kernel` (bounding set of the running first process) or `configuration` (defaults, added, dropped).
        pub source: String,
        /// User id that its first process runs as, inside; for a stopped one from the configuration where that is a number, else -1.
        pub uid: i64,
        /// Whether any of its running processes has user id 0 inside.
        pub runs_as_root: bool,
    }

    /// A mount of a container.
    pub struct ContainerMount {
        /// `bind`, `volume`, `tmpfs`, `npipe`, `cluster` or `image`.
        pub kind: String,
        /// Volume name; empty for others.
        pub name: String,
        /// Source as configured; empty for tmpfs.
        pub source: String,
        /// The path of the host that is really seen inside: links resolved, and the device of a local volume that binds one.
        /// Empty for tmpfs and for volumes that the engine manages itself.
        pub host_path: String,
        /// All paths of the host that are seen inside, `host_path` first: other layers, other places of the same files, and
        /// what is mounted below. Empty for tmpfs and for volumes that the engine manages itself.
        pub host_paths: Vec<String>,
        /// Path in the container.
        pub destination: String,
        /// Whether it can be written.
        pub writable: bool,
        /// Propagation: `rprivate`, `private`, `rshared`, `shared`, `rslave`, `slave`; empty if it has none.
        pub propagation: String,
        /// Sockets of container engines that are found at or below `host_paths`.
        pub engine_sockets: Vec<String>,
    }

    /// A port published on the host.
    pub struct PublishedPort {
        /// Port in the container.
        pub container_port: i64,
        /// `tcp`, `udp` or `sctp`.
        pub protocol: String,
        /// Address of the host; `0.0.0.0` and `::` mean every interface.
        pub host_address: String,
        /// Port of the host; 0 if it is chosen at start.
        pub host_port: i64,
    }

    /// A network that a container is attached to.
    pub struct Attachment {
        /// Name of the network.
        pub name: String,
        /// Id of the network; empty before the first start.
        pub network_id: String,
    }

    /// A process of a container.
    pub struct Process {
        /// Process id on the host.
        pub pid: i64,
        /// Effective user id inside the container.
        pub uid: i64,
        /// Name that the process gives itself.
        pub name: String,
        /// Path of its program, as seen inside the container.
        pub program: String,
        /// Arguments, secrets redacted.
        pub arguments: Vec<String>,
        /// What the program's bytes say it is, whatever it is called: `openssh-server`, `dropbear`, `ssh-server` (another
        /// one, which listens on TCP); empty if nothing known.
        pub identity: String,
    }
}
