//! What the engine says of itself: versions, paths, drivers, security options.
//!
//! Fills the engine's facts from `version` and `info`, and from this machine's files where the engine runs
//! here. How it is configured is [`super::config`]'s.

use std::collections::BTreeMap;

use haechi_core::facts::{DataRootMount, Engine, Seccomp};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::Scene;
use super::daemon::Daemon;
use super::json::{Absent, Reader, text_at};
use super::options::SecurityOptions;
use crate::root::Root;

/// Loopback networks that every engine trusts without TLS.
const BUILT_IN_INSECURE: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Fills what `version` and `info` say. An answer that is missing has left its own gap.
pub(super) fn fill(
    scene: Scene<'_>,
    version: Option<&Value>,
    info: Option<&Value>,
    engine: &mut Engine,
) {
    if let Some(version) = version {
        fill_version(Reader::new(version, scene.gaps, SubjectKind::Engine, ""), engine);
    }
    if let Some(info) = info {
        fill_info(Reader::new(info, scene.gaps, SubjectKind::Engine, ""), engine);
    }
}

fn fill_version(reader: Reader<'_>, engine: &mut Engine) {
    let value = reader.at("Version").and_then(Value::as_str).unwrap_or_default().to_owned();
    engine.version = reader.text("Version", "version", Absent::Unknown);
    let number = |index| value.split(['.', '-', '+']).nth(index)?.parse::<i64>().ok();
    (engine.version_major, engine.version_minor) = (number(0), number(1));
    for (number, fact) in
        [(engine.version_major, "version_major"), (engine.version_minor, "version_minor")]
    {
        if number.is_none() {
            let detail = format!("the engine's version {value:?} has no numbers");
            reader.gap(fact, Cause::Missing, detail);
        }
    }
    engine.api_version = reader.text("ApiVersion", "api_version", Absent::Unknown);
    if let Some(components) = reader.list("Components", "components") {
        let pair = |component: &Value| {
            let name = text_at(component, "Name");
            let version = text_at(component, "Version");
            (!name.is_empty() && name != "Engine").then(|| (name.to_owned(), version.to_owned()))
        };
        let components: BTreeMap<_, _> = components.iter().filter_map(pair).collect();
        let podman = components.keys().any(|name| name.starts_with("Podman"));
        engine.kind = Some(if podman { "podman" } else { "docker" }.into());
        engine.components = Some(components);
    }
}

fn fill_info(reader: Reader<'_>, engine: &mut Engine) {
    engine.id = reader.text("ID", "id", Absent::Unknown);
    engine.name = reader.text("Name", "name", Absent::Unknown);
    engine.operating_system = reader.text("OperatingSystem", "operating_system", Absent::Unknown);
    engine.kernel = reader.text("KernelVersion", "kernel", Absent::Unknown);
    engine.data_root = reader.text("DockerRootDir", "data_root", Absent::Unknown);
    engine.storage_driver = reader.text("Driver", "storage_driver", Absent::Unknown);
    engine.cgroup_driver = reader.text("CgroupDriver", "cgroup_driver", Absent::Unknown);
    // Engines before 20.10 know only the first version and do not say so.
    engine.cgroup_version = reader.text("CgroupVersion", "cgroup_version", Absent::Means("1"));
    engine.experimental = reader.bool("ExperimentalBuild", "experimental", Absent::Means(false));
    engine.debug = reader.bool("Debug", "debug", Absent::Unknown);
    engine.live_restore = reader.bool("LiveRestoreEnabled", "live_restore", Absent::Unknown);
    engine.log_driver = reader.text("LoggingDriver", "log_driver", Absent::Unknown);
    engine.authorization_plugins = authorization_plugins(reader, "authorization_plugins");
    engine.insecure_registries = insecure_registries(reader);
    let Some(list) = reader.at("SecurityOptions").and_then(super::json::texts) else {
        for fact in ["security_options", "rootless", "userns", "seccomp", "apparmor", "selinux"] {
            reader.gap(fact, Cause::Missing, "the engine does not list its security options");
        }
        return;
    };
    let options = SecurityOptions::parse(&list);
    engine.rootless = Some(options.has("rootless"));
    engine.userns = Some(options.has("userns"));
    engine.apparmor = Some(options.has("apparmor"));
    engine.selinux = Some(options.has("selinux"));
    engine.seccomp = Some(match options.seccomp_profile() {
        None => seccomp(false, "unconfined"),
        Some(profile @ ("default" | "unconfined")) => seccomp(true, profile),
        // The file is read by `fill_local`.
        Some(path) => Seccomp { default_action: None, names: None, ..seccomp(true, path) },
    });
    engine.security_options = Some(list);
}

fn seccomp(enabled: bool, profile: &str) -> Seccomp {
    Seccomp {
        enabled: Some(enabled),
        profile: Some(profile.into()),
        default_action: Some(String::new()),
        names: Some(0),
    }
}

/// Authorization plugins; engines write none as null.
pub(super) fn authorization_plugins(reader: Reader<'_>, fact: &str) -> Option<Vec<String>> {
    if reader.at("Plugins").is_none() {
        reader.gap(fact, Cause::Missing, "the engine does not list its plugins");
        return None;
    }
    reader.texts("Plugins.Authorization", fact)
}

/// Registries without verified TLS, the built-in loopback ones left out.
fn insecure_registries(reader: Reader<'_>) -> Option<Vec<String>> {
    let fact = "insecure_registries";
    let config = reader.at("RegistryConfig");
    if config.is_none_or(|config| config.as_object().is_none_or(serde_json::Map::is_empty)) {
        reader.gap(fact, Cause::Missing, "the engine does not say which registries it trusts");
        return None;
    }
    let mut found = reader.texts("RegistryConfig.InsecureRegistryCIDRs", fact)?;
    found.retain(|network| !BUILT_IN_INSECURE.contains(&network.as_str()));
    if let Some(indexes) = reader.at("RegistryConfig.IndexConfigs").and_then(Value::as_object) {
        let insecure = |(_, index): &(&String, &Value)| {
            // An index that does not say that it is secure is not.
            index.get("Secure").and_then(Value::as_bool) != Some(true)
        };
        found.extend(indexes.iter().filter(insecure).map(|(name, _)| name.clone()));
        found.extend(indexes.values().flat_map(plain_mirrors));
    }
    // A mirror is asked first, so the way to it counts as well.
    found.extend(config.into_iter().flat_map(plain_mirrors));
    found.sort();
    found.dedup();
    Some(found)
}

/// The mirrors of an index or of the engine that are reached without TLS.
fn plain_mirrors(of: &Value) -> Vec<String> {
    let mirrors = of.get("Mirrors").and_then(super::json::texts).unwrap_or_default();
    let plain = |mirror: &&String| !mirror.trim().to_ascii_lowercase().starts_with("https://");
    mirrors.iter().filter(plain).map(|mirror| crate::redact::text(mirror)).collect()
}

/// Fills what this machine's files say of the engine, if it runs here.
pub(super) fn fill_local(scene: Scene<'_>, daemon: &Daemon, engine: &mut Engine) {
    let gap = |fact: &str, cause, detail: String| {
        scene.gaps.record(SubjectKind::Engine, fact, cause, detail);
    };
    let local = daemon.local;
    if let Some(seccomp) = engine.seccomp.as_mut().filter(|seccomp| seccomp.names.is_none()) {
        let path = seccomp.profile.clone().unwrap_or_default();
        match read_profile(scene.root, &path, daemon) {
            Ok((action, names)) => {
                seccomp.default_action = Some(action);
                seccomp.names = Some(names);
            }
            Err((cause, detail)) => {
                gap("seccomp.default_action", cause, detail.clone());
                gap("seccomp.names", cause, detail);
            }
        }
    }
    let Some(data_root) = engine.data_root.as_deref() else {
        let detail = "the engine does not say where its data lie";
        return gap("data_root_mount", Cause::Missing, detail.into());
    };
    if !local {
        let (cause, detail) = daemon.elsewhere();
        return gap("data_root_mount", cause, detail);
    }
    match data_root_mount(scene.root, data_root) {
        Ok(mount) => engine.data_root_mount = Some(mount),
        Err((cause, detail)) => gap("data_root_mount", cause, detail),
    }
}

fn read_profile(
    root: &Root,
    path: &str,
    daemon: &Daemon,
) -> Result<(String, i64), (Cause, String)> {
    use crate::gaps::Observed;
    if !daemon.local {
        return Err((Cause::Unreachable, "the engine is on another host".into()));
    }
    let started = daemon.process.as_ref().and_then(|running| running.started);
    match super::file::changed_after(super::file::last_change(root, path), started) {
        Some(false) => {}
        // The daemon reads it only once.
        Some(true) => {
            let detail = format!("{path} was changed after the daemon started; restart the daemon");
            return Err((Cause::Missing, detail));
        }
        None => return Err(daemon.unseen()),
    }
    let bytes = root.read(path).map_err(|error| (error.gap_cause(), error.to_string()))?;
    let profile: Value = serde_json::from_slice(&bytes)
        .map_err(|error| (Cause::Missing, format!("{path}: {error}")))?;
    let action = super::confinement::default_action(&profile).to_owned();
    let syscalls = profile.get("syscalls").and_then(Value::as_array);
    let names = |rule: &Value| match rule.get("names").and_then(Value::as_array) {
        Some(names) => names.len(),
        // The older form names one system call per rule.
        None => usize::from(rule.get("name").is_some()),
    };
    let count = syscalls.map_or(0, |rules| rules.iter().map(names).sum());
    Ok((action, i64::try_from(count).unwrap_or(i64::MAX)))
}

/// The file system that holds the engine's data, from the mounts that process 1 sees.
fn data_root_mount(root: &Root, data_root: &str) -> Result<DataRootMount, (Cause, String)> {
    use crate::gaps::Observed;
    let missing = |detail: String| (Cause::Missing, detail);
    let real = match root.metadata(data_root) {
        Ok(meta) => meta.real_path,
        Err(error) => return Err((error.gap_cause(), error.to_string())),
    };
    let text = std::fs::read(root.proc("1/mountinfo"))
        .map_err(|error| missing(format!("/proc/1/mountinfo: {error}")))?;
    let text = String::from_utf8_lossy(&text);
    let mounts: Vec<Mount<'_>> = text.lines().filter_map(Mount::parse).collect();
    // A later mount hides an earlier one at the same place.
    let at = |place: &str| mounts.iter().rev().find(|mount| mount.point == place);
    let top = at("/").ok_or_else(|| missing("/proc/1/mountinfo has no root file system".into()))?;
    let holder = std::path::Path::new(&real)
        .ancestors()
        .find_map(|place| at(place.to_str()?))
        .unwrap_or(top);
    Ok(DataRootMount {
        mount_point: Some(holder.point.clone()),
        device: Some(holder.device.into()),
        fs_type: Some(holder.fs_type.into()),
        source: Some(holder.source.into()),
        root_device: Some(top.device.into()),
        separate: Some(holder.device != top.device),
    })
}

/// What is needed of one line of mountinfo.
struct Mount<'l> {
    point: String,
    device: &'l str,
    fs_type: &'l str,
    source: &'l str,
}

impl<'l> Mount<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let device = before.nth(2)?;
        let point = unescape(before.nth(1)?);
        let mut after = after.split(' ');
        Some(Self {
            point,
            device,
            fs_type: after.next()?,
            source: after.next().unwrap_or_default(),
        })
    }
}

/// Undoes the kernel's `\040` for a space.
pub(super) fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Whether the engine is Podman, which has no daemon configuration.
pub(super) fn podman(engine: &Engine) -> bool {
    engine.kind.as_deref() == Some("podman")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaps::Gaps;
    use serde_json::json;

    fn read(info: &Value) -> (Engine, Vec<String>) {
        let gaps = Gaps::default();
        let mut engine = Engine::default();
        fill_info(Reader::new(info, &gaps, SubjectKind::Engine, ""), &mut engine);
        (engine, gaps.into_sorted().into_iter().map(|gap| gap.fact).collect())
    }

    #[test]
    fn registries_that_do_not_say_that_they_are_secure_are_insecure() {
        let info = json!({"RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", "10.0.0.0/8"],
            "IndexConfigs": {"docker.io": {"Secure": true}, "old.example": {"Secure": false}, "x": {}},
        }});
        let (engine, _) = read(&info);
        assert_eq!(engine.insecure_registries.unwrap(), ["10.0.0.0/8", "old.example", "x"]);
    }

    #[test]
    fn a_mirror_without_tls_is_an_insecure_registry() {
        let info = json!({"Debug": true, "RegistryConfig": {
            "Mirrors": ["http://mirror.example:5000/", "https://good.example/"],
            "IndexConfigs": {"docker.io": {"Secure": true,
                "Mirrors": ["http://mirror.example:5000/", "HTTP://other.example/"]}},
        }});
        let (engine, _) = read(&info);
        assert_eq!(
            engine.insecure_registries.unwrap(),
            ["HTTP://other.example/", "http://mirror.example:5000/"]
        );
        assert_eq!(engine.debug, Some(true));
    }

    #[test]
    fn a_profile_changed_after_the_start_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::write(dir.path().join("s.json"), r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#)
            .unwrap();
        let daemon = |seconds| Daemon {
            local: true,
            reason: String::new(),
            process: Some(super::super::daemon::Running {
                pid: 5,
                uid: 0,
                arguments: Vec::new(),
                started: Some(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)),
                program: String::new(),
            }),
            table: None,
        };
        let read = |daemon: &Daemon| read_profile(&root, "/s.json", daemon);
        assert_eq!(read(&daemon(100)).unwrap(), ("SCMP_ACT_ERRNO".to_owned(), 0));
        assert!(read(&daemon(-100)).unwrap_err().1.contains("restart the daemon"));
        let unseen = Daemon { process: None, ..daemon(0) };
        assert_eq!(read(&unseen).unwrap_err().0, Cause::Permission);
    }

    #[test]
    fn an_answer_without_fields_says_nothing() {
        let (engine, gaps) = read(&json!({}));
        assert_eq!(engine.live_restore, None);
        assert_eq!(engine.seccomp, None);
        assert_eq!(engine.insecure_registries, None);
        assert_eq!(engine.authorization_plugins, None);
        assert!(gaps.contains(&"live_restore".to_owned()) && gaps.contains(&"seccomp".to_owned()));
    }

    #[test]
    fn podman_is_recognised() {
        let version = json!({"Version": "4.3.1", "ApiVersion": "1.41",
            "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]});
        let gaps = Gaps::default();
        let mut engine = Engine::default();
        fill_version(Reader::new(&version, &gaps, SubjectKind::Engine, ""), &mut engine);
        assert_eq!(engine.kind.as_deref(), Some("podman"));
        assert_eq!((engine.version_major, engine.version_minor), (Some(4), Some(3)));
    }

    #[test]
    fn the_last_mount_at_a_place_counts_and_spaces_are_undone() {
        let mount =
            Mount::parse(r"36 35 98:0 /m /var/li\040b rw,noatime shared:1 - ext4 /dev/sda1 rw");
        let mount = mount.unwrap();
        assert_eq!(
            (mount.point.as_str(), mount.device, mount.fs_type),
            ("/var/li b", "98:0", "ext4")
        );
        assert!(Mount::parse("36 35 98:0").is_none());
    }
}
