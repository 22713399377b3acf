//! Facts of images, networks, volumes, the swarm and its services.
//!
//! Filled by `haechi-facts`' engine collector from the API.

use std::collections::BTreeMap;

use super::{EnvVar, ImageBehaviour, facts};

facts! {
    /// An image.
    pub struct Image {
        /// Id (digest of its configuration).
        pub id: String,
        /// References on this host, sorted; empty for a dangling image.
        pub tags: Vec<String>,
        /// Repository digests, sorted; empty for an image that was built here and never pushed.
        pub digests: Vec<String>,
        /// When it was created (RFC 3339); empty if it does not say.
        pub created_at: String,
        /// Days since it was created; -1 if it does not say.
        pub age_days: i64,
        /// Size in bytes.
        pub size: i64,
        /// `User`; empty means root.
        pub user: String,
        /// Whether a health check is defined and not switched off.
        pub healthcheck: bool,
        /// Ports that it declares, as `80/tcp`.
        pub exposed_ports: Vec<String>,
        /// Environment without values.
        pub env: Vec<EnvVar>,
        /// Labels, secrets redacted.
        pub labels: BTreeMap<String, String>,
        /// Volumes that it declares.
        pub volumes: Vec<String>,
        /// How it was built, oldest step first.
        pub history: Vec<BuildStep>,
        /// Architecture.
        pub architecture: String,
        /// What its layers hold; absent until it was scanned.
        pub scan: ImageScan,
        /// What its containers were seen to use; absent until it was scanned and one was watched with `--profile`.
        pub behaviour: ImageBehaviour,
        /// Names of containers that use it, sorted.
        pub used_by: Vec<String>,
        /// The largest effective user id rights of its running containers: whether any runs a process as root inside.
        pub runs_as_root: bool,
    }

    /// What the layers of an image hold, read without running it. Filled by the image module.
    pub struct ImageScan {
        /// Names of installed packages, sorted.
        pub packages: Vec<String>,
        /// Vulnerabilities with a known fix, as `ID in PACKAGE VERSION, fixed in VERSION`.
        pub fixable: Vec<String>,
        /// Paths of files with a setuid or setgid bit.
        pub setid_files: Vec<String>,
        /// Secrets found in layers, history and labels, as `KIND in PLACE`; never the secret.
        pub secrets: Vec<String>,
        /// Packaged files whose checksum differs from the package database, and package sources that skip verification.
        pub unverified_packages: Vec<String>,
        /// `valid` (by a key that the site trusts), `invalid` or `none`.
        pub signature: String,
        /// What malware rules matched, as `RULE in PATH`.
        pub malware: Vec<String>,
        /// Files and folders that anyone may write.
        pub world_writable: Vec<String>,
        /// Vulnerabilities, most urgent first.
        pub vulnerabilities: Vec<ImageVulnerability>,
        /// `safe`, `undecided` or `unsafe`, by the policy.
        pub safety: String,
        /// Its layers, base first.
        pub layers: Vec<ImageLayer>,
        /// Its distribution; empty if it says none.
        pub distro: String,
        /// The user id that `User` has inside; -1 if it cannot be told.
        pub uid: i64,
        /// Age of the vulnerability data in days.
        pub data_age_days: i64,
    }

    /// One flaw in one package of an image.
    pub struct ImageVulnerability {
        /// The CVE, or its best-known name.
        pub id: String,
        /// Package.
        pub package: String,
        /// Installed version.
        pub version: String,
        /// The version that fixes it; empty if there is none.
        pub fixed: String,
        /// The command that gets there; empty if there is none.
        pub command: String,
        /// `unknown`, `negligible`, `low`, `medium`, `high` or `critical`.
        pub rating: String,
        /// 0 to 100: what to mend first.
        pub rank: i64,
        /// Whether it is known to be exploited.
        pub exploited: bool,
        /// Probability that it is exploited within 30 days, in thousandths; -1 if unknown.
        pub epss: i64,
        /// The layer that brought the package, from 0; -1 if unknown.
        pub layer: i64,
    }

    /// One layer of an image.
    pub struct ImageLayer {
        /// Digest of its uncompressed bytes.
        pub digest: String,
        /// The build step that made it, secrets redacted.
        pub created_by: String,
        /// Bytes.
        pub size: i64,
    }

    /// One step of an image's history.
    pub struct BuildStep {
        /// The instruction that made it, in full, secrets redacted.
        pub instruction: String,
        /// Which Dockerfile keyword it stands for: `ADD`, `COPY`, `RUN`, `ENV` …; empty if it cannot be told.
        pub keyword: String,
        /// Bytes that it added.
        pub size: i64,
        /// For ADD: `remote` (an address), `archive`, or `plain`; empty otherwise or if it cannot be told.
        pub add_kind: String,
        /// For RUN: whether it updates package lists.
        pub updates: bool,
        /// For RUN: whether it installs or upgrades packages.
        pub installs: bool,
    }

    /// A network.
    pub struct Network {
        /// Id.
        pub id: String,
        /// Name.
        pub name: String,
        /// Driver.
        pub driver: String,
        /// `local`, `swarm` or `global`.
        pub scope: String,
        /// Whether it is the engine's default bridge.
        pub default_bridge: bool,
        /// Whether its containers may talk to each other (bridge networks).
        pub icc: bool,
        /// Whether its data between hosts is encrypted (overlay networks).
        pub encrypted: bool,
        /// Whether it has no way out.
        pub internal: bool,
        /// Names of attached containers, sorted.
        pub containers: Vec<String>,
    }

    /// A volume.
    pub struct Volume {
        /// Name.
        pub name: String,
        /// Driver.
        pub driver: String,
        /// Where its data lies on the host.
        pub mountpoint: String,
        /// Whether the engine chose its name.
        pub anonymous: bool,
        /// The path of the host that a local volume binds; empty for others.
        pub bound_path: String,
        /// Names of containers that mount it, sorted.
        pub used_by: Vec<String>,
        /// Whether this is not a volume but a bind mount that holds data (written by a container, outside system directories).
        pub bind_mount: bool,
    }

    /// The swarm, as this engine sees it.
    pub struct Swarm {
        /// Cluster id; empty if there is none.
        pub id: String,
        /// `inactive`, `pending`, `active`, `locked` or `error`.
        pub state: String,
        /// Whether this engine is a manager.
        pub manager: bool,
        /// Number of managers.
        pub managers: i64,
        /// Number of nodes.
        pub nodes: i64,
        /// When the swarm was made (RFC 3339).
        pub created_at: String,
        /// Days since then.
        pub age_days: i64,
        /// Whether managers are locked after a restart.
        pub auto_lock: bool,
        /// A keyed hash of the unlock key; empty without auto-lock. Never the key.
        pub unlock_key_hash: String,
        /// Days for which this very unlock key has been seen; 0 at first sight.
        pub unlock_key_seen_days: i64,
        /// Whether a change of the unlock key was seen within the days above.
        pub unlock_key_rotation_seen: bool,
        /// Lifetime of node certificates in days.
        pub node_cert_days: i64,
        /// Days since the root CA's certificate was issued.
        pub ca_age_days: i64,
        /// Address for the management plane, as advertised to other nodes.
        pub advertise_address: String,
        /// Address for the data plane; empty means the same as the management plane.
        pub data_path_address: String,
        /// Listening sockets of the daemon for the swarm (ports 2377, 7946 and the data-path port).
        pub listeners: Vec<super::Listener>,
        /// Number of secrets that the swarm manages.
        pub secrets: i64,
        /// Names of configs whose content looks like a secret.
        pub suspicious_configs: Vec<String>,
        /// Number of services.
        pub services: i64,
    }

    /// A swarm service.
    pub struct Service {
        /// Id.
        pub id: String,
        /// Name.
        pub name: String,
        /// Image reference.
        pub image_ref: String,
        /// Environment without values.
        pub env: Vec<EnvVar>,
        /// Names of labels whose value looks like a secret.
        pub suspicious_labels: Vec<String>,
        /// Names of secrets that it uses.
        pub secrets: Vec<String>,
    }
}
