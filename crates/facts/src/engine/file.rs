//! daemon.json: what it says, whether it is understood, and whether it may not be in force.
//!
//! The file's own words only; what is in force is decided in [`super::config`]. A key that occurs twice makes
//! the file invalid here although the engine takes the last one: nobody can tell which one was meant.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use haechi_core::facts::DaemonJson;
use haechi_core::finding::Cause;
use jiff::Timestamp;
use serde::Deserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::gaps::Observed;
use crate::root::Root;

/// Where the file is unless `--config-file` says otherwise.
pub(super) const DEFAULT_PATH: &str = "/etc/docker/daemon.json";
/// A start time is known to the second, and the daemon reads its file a moment after it starts.
const START_TOLERANCE_SECONDS: i64 = 2;

/// Keys that dockerd 20.10 to 29 and Mirantis' engine know.
const KNOWN_KEYS: [&str; 103] = [
    "allow-direct-routing",
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
    "bip",
    "bip6",
    "bridge",
    "bridge-accept-fwmark",
    "builder",
    "cdi-spec-dirs",
    "cgroup-parent",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opts",
    "containerd",
    "containerd-namespace",
    "containerd-namespaces",
    "containerd-plugin-namespace",
    "containerd-plugins-namespace",
    "content-trust",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cri-containerd",
    "data-root",
    "debug",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-network-opts",
    "default-runtime",
    "default-shm-size",
    "default-ulimits",
    "deprecated-key-path",
    "disable-legacy-registry",
    "dns",
    "dns-opts",
    "dns-search",
    "exec-opts",
    "exec-root",
    "experimental",
    "features",
    "firewall-backend",
    "fixed-cidr",
    "fixed-cidr-v6",
    "graph",
    "group",
    "host-gateway-ip",
    "host-gateway-ips",
    "hosts",
    "http-proxy",
    "https-proxy",
    "icc",
    "init",
    "init-path",
    "insecure-registries",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "isolation",
    "labels",
    "live-restore",
    "log-driver",
    "log-format",
    "log-level",
    "log-opts",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "min-api-version",
    "mtu",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-new-privileges",
    "no-proxy",
    "node-generic-resources",
    "nri-opts",
    "oom-score-adjust",
    "pidfile",
    "proxies",
    "raw-logs",
    "registry-mirrors",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opts",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
];

/// The configuration file as found.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: String,
    /// When its content or attributes last changed, seconds since the epoch.
    changed: Option<i64>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// There is no such file.
    None,
    /// Its keys.
    Keys(Map<String, Value>),
    /// It is not understood; why.
    Broken(String),
    /// It could not be read.
    Unreadable(Cause, String),
}

/// What the file says about one key.
#[derive(Debug, PartialEq)]
pub(super) enum FileValue<T> {
    /// Nothing, and that is in force.
    Unset,
    /// A value.
    Set(T),
    /// It cannot be known; why.
    Unknown(Cause, String),
}

/// Reads the file at its usual place.
pub(super) fn read_default(root: &Root) -> ConfigFile {
    read(root, DEFAULT_PATH)
}

/// Reads the file at `path`.
pub(super) fn read(root: &Root, path: &str) -> ConfigFile {
    let content = match root.read(path) {
        Ok(bytes) => parse(&bytes).map_or_else(Content::Broken, Content::Keys),
        Err(error) if error.is_not_found() => Content::None,
        Err(error) => Content::Unreadable(error.gap_cause(), error.to_string()),
    };
    ConfigFile { path: path.to_owned(), changed: last_change(root, path), content }
}

/// Reads the file that `--config-file` names, of a daemon that works in `directory`. One that is not there is
/// not known: the daemon would not have started without it.
pub(super) fn read_given(root: &Root, path: &str, directory: Option<&Path>) -> ConfigFile {
    let place = if path.starts_with('/') {
        Some(Path::new(path).to_owned())
    } else {
        directory.map(|directory| directory.join(path))
    };
    let unknown = |path: &str, cause, detail| ConfigFile {
        path: path.to_owned(),
        changed: None,
        content: Content::Unreadable(cause, detail),
    };
    let Some(place) = place.map(|place| place.display().to_string()) else {
        let detail =
            format!("the directory to which {path} is relative is not visible; run as root");
        return unknown(path, Cause::Permission, detail);
    };
    match read(root, &place) {
        ConfigFile { content: Content::None, .. } => {
            let detail = format!("{place}, which --config-file names, is not found");
            unknown(&place, Cause::Missing, detail)
        }
        file => file,
    }
}

/// When the file at `path`, or a link on the way to it, last changed; seconds since the epoch. The change
/// time counts too: a file moved into place keeps that of its content.
pub(super) fn last_change(root: &Root, path: &str) -> Option<i64> {
    /// As many links as the kernel follows.
    const LINKS_MAX: usize = 40;
    let mut rest: Vec<OsString> = parts(Path::new(path));
    let mut at = PathBuf::new();
    let (mut links, mut latest) = (0, None);
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let real = root.base().join(&at).join(&part);
        let Ok(meta) = std::fs::symlink_metadata(&real) else { break };
        if !meta.is_symlink() {
            at.push(part);
            if rest.is_empty() {
                latest = latest.max(Some(meta.ctime().max(meta.mtime())));
            }
            continue;
        }
        links += 1;
        latest = latest.max(Some(meta.ctime()));
        let Ok(target) = std::fs::read_link(&real) else { break };
        if links > LINKS_MAX {
            break;
        }
        if target.is_absolute() {
            at = PathBuf::new();
        }
        rest.extend(parts(&target));
    }
    latest
}

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}

/// Whether a file that changed at `changed` may not be what a daemon read when it `started`.
pub(super) fn changed_after(changed: Option<i64>, started: Option<Timestamp>) -> Option<bool> {
    match (changed, started) {
        (None, _) => Some(false),
        (Some(changed), Some(started)) => {
            Some(changed > started.as_second() + START_TOLERANCE_SECONDS)
        }
        (Some(_), None) => None,
    }
}

impl ConfigFile {
    /// Whether the file may not be what the daemon read when it started.
    pub(super) fn changed_after(&self, started: Option<Timestamp>) -> Option<bool> {
        changed_after(self.changed, started)
    }

    /// The file as facts.
    pub(super) fn facts(&self, started: Option<Timestamp>) -> DaemonJson {
        let (exists, valid, error) = match &self.content {
            Content::None => (Some(false), Some(true), Some(String::new())),
            Content::Keys(_) => (Some(true), Some(true), Some(String::new())),
            Content::Broken(error) => (Some(true), Some(false), Some(error.clone())),
            Content::Unreadable(..) => (None, None, None),
        };
        DaemonJson {
            path: Some(self.path.clone()),
            exists,
            valid,
            error,
            changed_after_start: self.changed_after(started),
        }
    }

    /// Why the file is not known, if it is not.
    pub(super) fn problem(&self) -> Option<(Cause, String)> {
        match &self.content {
            Content::Unreadable(cause, detail) => Some((*cause, detail.clone())),
            _ => None,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Keys that no engine knows, sorted; `None` if the file was not understood.
    pub(super) fn unknown_keys(&self) -> Option<Vec<String>> {
        match &self.content {
            Content::None => Some(Vec::new()),
            Content::Keys(keys) => {
                let unknown = |key: &&String| !KNOWN_KEYS.contains(&key.as_str());
                let mut unknown: Vec<String> = keys.keys().filter(unknown).cloned().collect();
                unknown.sort();
                Some(unknown)
            }
            Content::Broken(_) | Content::Unreadable(..) => None,
        }
    }

    /// The value of `key`, whether or not it is in force.
    pub(super) fn get<T>(&self, key: &str, convert: impl Fn(&Value) -> Option<T>) -> FileValue<T> {
        match &self.content {
            Content::None => FileValue::Unset,
            Content::Broken(error) => {
                FileValue::Unknown(Cause::Missing, format!("{}: {error}", self.path))
            }
            Content::Unreadable(cause, detail) => FileValue::Unknown(*cause, detail.clone()),
            Content::Keys(keys) => match keys.get(key) {
                None | Some(Value::Null) => FileValue::Unset,
                Some(value) => match convert(value) {
                    Some(value) => FileValue::Set(value),
                    None => FileValue::Unknown(
                        Cause::Missing,
                        format!("{}: the value of {key:?} is malformed", self.path),
                    ),
                },
            },
        }
    }
}

/// The keys of a configuration file.
fn parse(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    // The engine skips a byte-order mark, and takes an empty file as an empty object.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let keys = reader.deserialize_map(Keys).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(keys)
}

/// Reads an object and refuses keys that occur twice.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut keys = Map::new();
        while let Some((key, value)) = access.next_entry::<String, Value>()? {
            if keys.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} occurs twice")));
            }
            keys.insert(key, value);
        }
        Ok(keys)
    }
}

/// The home directory's configuration file of a daemon that runs as `uid`.
pub(super) fn rootless_path(root: &Root, uid: u32) -> Option<String> {
    let accounts = root.read_text("/etc/passwd").ok()?;
    let home = accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_it = fields.get(2)?.parse() == Ok(uid);
        is_it.then(|| fields.get(5).copied()).flatten()
    })?;
    Some(Path::new(home).join(".config/docker/daemon.json").display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_files_say_where() {
        assert!(parse(b"").unwrap().is_empty());
        assert!(parse(b"\xef\xbb\xbf {\"icc\": false} ").unwrap().contains_key("icc"));
        let error = parse(b"{\n  \"icc\": flase\n}").unwrap_err();
        assert!(error.contains("line 2 column"), "{error}");
        let error = parse(br#"{"icc": true, "icc": false}"#).unwrap_err();
        assert!(error.contains("occurs twice") && error.contains("line 1"), "{error}");
        assert!(parse(b"[]").is_err() && parse(b"{} x").is_err());
    }

    #[test]
    fn keys_are_known_or_not() {
        let mut sorted = KNOWN_KEYS;
        sorted.sort_unstable();
        assert_eq!(sorted, KNOWN_KEYS);
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::write(dir.path().join("d.json"), r#"{"iccc": false, "log-opts": {"x": "y"}}"#)
            .unwrap();
        let file = read(&root, "/d.json");
        assert_eq!(file.unknown_keys().unwrap(), ["iccc"]);
        assert_eq!(file.get("icc", Value::as_bool), FileValue::Unset);
        assert_eq!(file.get("iccc", Value::as_bool), FileValue::Set(false));
        assert!(matches!(file.get("log-opts", Value::as_bool), FileValue::Unknown(..)));
        assert_eq!(read(&root, "/none").facts(None).exists, Some(false));
    }

    #[test]
    fn a_file_that_was_moved_into_place_later_counts_as_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let path = dir.path().join("d.json");
        std::fs::write(&path, "{}").unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(9000);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let started = Timestamp::now() - jiff::SignedDuration::from_secs(100);
        assert_eq!(read(&root, "/d.json").changed_after(Some(started)), Some(true));
        let later = Timestamp::now() + jiff::SignedDuration::from_secs(100);
        assert_eq!(read(&root, "/d.json").changed_after(Some(later)), Some(false));
        assert_eq!(read(&root, "/d.json").changed_after(None), None);
    }

    #[test]
    fn a_link_that_was_turned_elsewhere_counts_as_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/d.json"), "{}").unwrap();
        let before = last_change(&root, "/a/d.json").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        std::os::unix::fs::symlink("/a", dir.path().join("b")).unwrap();
        std::os::unix::fs::symlink("../b/./d.json", dir.path().join("a/link")).unwrap();
        assert!(last_change(&root, "/b/d.json").unwrap() > before);
        assert!(last_change(&root, "/a/link").unwrap() > before);
        assert_eq!(last_change(&root, "/a/../a/d.json"), Some(before));
        assert_eq!(last_change(&root, "/none"), None);
        // A loop ends.
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        assert!(last_change(&root, "/loop").is_some());
    }

    #[test]
    fn a_file_that_was_named_is_looked_for_where_the_daemon_works() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir(dir.path().join("srv")).unwrap();
        std::fs::write(dir.path().join("srv/d.json"), r#"{"icc": false}"#).unwrap();
        let file = read_given(&root, "d.json", Some(Path::new("/srv")));
        assert_eq!(file.path(), "/srv/d.json");
        assert_eq!(file.get("icc", Value::as_bool), FileValue::Set(false));
        for file in [read_given(&root, "d.json", None), read_given(&root, "/none", None)] {
            assert!(matches!(file.get("icc", Value::as_bool), FileValue::Unknown(..)));
            assert_eq!(file.facts(None).exists, None);
        }
    }
}
