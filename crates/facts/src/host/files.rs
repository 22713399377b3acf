//! Files and directories that the engine relies on, existing or not.
//!
//! Roles: `docker-service`, `docker-socket-unit`, `etc-docker`, `registry-certificate`, `tls-ca`,
//! `tls-cert`, `tls-key`, `docker-socket`, `daemon-json`, `docker-default`, `docker-sysconfig`,
//! `containerd-socket`, `docker-binary`, `docker-data`, `containerd-binary`, `runc-binary`,
//! `containerd-run`, `containerd-config`, `containerd-shim`, `containerd-shim-v1`,
//! `containerd-shim-v2`. A role has one entry for each path that exists, or one for its first path
//! if none does; roles that follow from the configuration (certificates, keys) have none where
//! nothing is configured. Links are followed: what counts is what is behind them.

use std::collections::BTreeMap;

use haechi_core::facts::{Engine, File, SettingText, Unit};
use haechi_core::finding::{Cause, SubjectKind};

use super::glob;
use crate::gaps::{Gaps, Observed};
use crate::root::Root;

/// Roles with fixed paths.
const FIXED: [(&str, &[&str]); 11] = [
    ("etc-docker", &["/etc/docker"]),
    ("docker-default", &["/etc/default/docker"]),
    ("docker-sysconfig", &["/etc/sysconfig/docker"]),
    (
        "containerd-socket",
        &["/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"],
    ),
    ("containerd-binary", &["/usr/bin/docker-containerd", "/usr/bin/containerd"]),
    ("runc-binary", &["/usr/bin/docker-runc", "/usr/bin/runc", "/usr/sbin/runc"]),
    ("containerd-run", &["/run/containerd"]),
    ("containerd-config", &["/etc/containerd/config.toml"]),
    ("containerd-shim", &["/usr/bin/containerd-shim"]),
    ("containerd-shim-v1", &["/usr/bin/containerd-shim-runc-v1"]),
    ("containerd-shim-v2", &["/usr/bin/containerd-shim-runc-v2"]),
];

/// What the engine says of its own files.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Paths by role; the engine's own answer comes before a default.
    paths: BTreeMap<&'static str, Vec<String>>,
    /// Roles that cannot be told because the configuration is not known.
    unknown: Vec<&'static str>,
}

impl Wanted {
    /// Takes the paths out of the engine's facts.
    pub(super) fn new(engine: &Engine) -> Self {
        let mut wanted = Self::default();
        let config = engine.config.as_ref();
        let tls: [(&str, Option<&SettingText>); 3] = [
            ("tls-ca", config.and_then(|c| c.tls_ca_cert.as_ref())),
            ("tls-cert", config.and_then(|c| c.tls_cert.as_ref())),
            ("tls-key", config.and_then(|c| c.tls_key.as_ref())),
        ];
        for (role, setting) in tls {
            match setting.and_then(|setting| setting.value.as_deref()) {
                // Without TLS there is none.
                Some("") => {}
                Some(path) => wanted.add(role, path),
                None => wanted.unknown.push(role),
            }
        }
        for listener in engine.listeners.iter().flatten() {
            if listener.protocol.as_deref() == Some("unix") {
                wanted.add("docker-socket", listener.address.as_deref().unwrap_or_default());
            }
        }
        if let Some(path) = engine.endpoint.as_deref().and_then(|e| e.strip_prefix("unix://")) {
            wanted.add("docker-socket", path);
        }
        wanted.or("docker-socket", &["/var/run/docker.sock", "/run/docker.sock"]);
        if let Some(path) = engine.daemon_json.as_ref().and_then(|json| json.path.as_deref()) {
            wanted.add("daemon-json", path);
        }
        wanted.or("daemon-json", &["/etc/docker/daemon.json"]);
        if let Some(path) = engine.process.as_ref().and_then(|process| process.program.as_deref()) {
            wanted.add("docker-binary", path);
        }
        wanted.or("docker-binary", &["/usr/bin/dockerd", "/usr/sbin/dockerd"]);
        wanted.add("docker-data", engine.data_root.as_deref().unwrap_or_default());
        wanted.or("docker-data", &["/var/lib/docker"]);
        for (role, paths) in FIXED {
            for path in paths {
                wanted.add(role, path);
            }
        }
        wanted
    }

    /// Adds a path; what is not absolute could be anywhere, so that the role is not known.
    pub(super) fn add(&mut self, role: &'static str, path: &str) {
        // The kernel's mark for a program that was replaced while it runs.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        if path.starts_with('/') {
            self.paths.entry(role).or_default().push(path.to_owned());
        } else if !path.is_empty() && !self.unknown.contains(&role) {
            self.unknown.push(role);
        }
    }

    /// Adds defaults where the role has no path yet.
    fn or(&mut self, role: &'static str, paths: &[&str]) {
        if !self.paths.contains_key(role) {
            for path in paths {
                self.add(role, path);
            }
        }
    }

    /// Adds the files of the engine's units; `None` if they could not be read.
    pub(super) fn units(&mut self, units: Option<&[Unit]>) {
        let Some(units) = units else {
            self.unknown.extend(["docker-service", "docker-socket-unit"]);
            return;
        };
        for (role, name) in
            [("docker-service", "docker.service"), ("docker-socket-unit", "docker.socket")]
        {
            let unit = units.iter().find(|unit| unit.name.as_deref() == Some(name));
            match unit {
                Some(unit) => {
                    for path in unit.path.iter().chain(unit.drop_ins.iter().flatten()) {
                        self.add(role, path);
                    }
                }
                None => self.add(role, &format!("/usr/lib/systemd/system/{name}")),
            }
        }
    }
}

/// Looks at all wanted files, sorted by role and path. `real_ids` tells whether this process sees
/// user ids as the host has them: in a user namespace somebody else's file can look like root's.
pub(super) fn collect(root: &Root, wanted: &Wanted, real_ids: bool, gaps: &Gaps) -> Vec<File> {
    let names = (root.user_names(), root.group_names());
    let mut files = Vec::new();
    for role in &wanted.unknown {
        let detail = "needs the engine's configuration or units, which are not known";
        gaps.record_for(SubjectKind::File, role, "", Cause::Missing, detail);
        // In the list without a path, so that "not known" is not taken for "there is none".
        files.push(File { role: Some((*role).to_string()), ..File::default() });
    }
    for (role, paths) in &wanted.paths {
        files.extend(role_files(root, role, paths, &names, gaps));
    }
    match glob::expand(root, "/etc/docker/certs.d/*/*") {
        Ok(paths) => {
            let certificates = paths.iter().filter(|p| p.ends_with(".crt") || p.ends_with(".cert"));
            for path in certificates {
                let one = std::slice::from_ref(path);
                files.extend(role_files(root, "registry-certificate", one, &names, gaps));
            }
        }
        Err(error) => {
            let (id, cause) = (error.path.clone(), error.gap_cause());
            gaps.record_for(SubjectKind::File, &id, "", cause, error.to_string());
            let role = Some("registry-certificate".to_owned());
            files.push(File { role, path: Some(id), ..File::default() });
        }
    }
    if !real_ids {
        let detail = "owners are seen through a user namespace; run without one (--userns=host)";
        for fact in ["owner", "group", "uid", "gid"] {
            gaps.record(SubjectKind::File, fact, Cause::Permission, detail);
        }
        for file in &mut files {
            (file.owner, file.group, file.uid, file.gid) = (None, None, None, None);
        }
    }
    let key = |file: &File| (file.role.clone(), file.path.clone());
    files.sort_by_key(key);
    files
}

type Names = (BTreeMap<u32, String>, BTreeMap<u32, String>);

fn role_files(root: &Root, role: &str, paths: &[String], names: &Names, gaps: &Gaps) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    let mut absent = None;
    for path in paths {
        let named = File { role: Some(role.into()), path: Some(path.clone()), ..File::default() };
        match root.metadata(path) {
            Ok(meta) => {
                if files.iter().any(|file| file.real_path.as_ref() == Some(&meta.real_path)) {
                    continue;
                }
                let name = |names: &BTreeMap<u32, String>, id: u32| {
                    names.get(&id).cloned().unwrap_or_else(|| id.to_string())
                };
                files.push(File {
                    real_path: Some(meta.real_path),
                    exists: Some(true),
                    // What cannot be told is taken for a link: then only a watch on the target counts.
                    link: Some(!root.read_link(path).is_ok_and(|link| link.is_none())),
                    kind: Some(meta.kind.into()),
                    owner: Some(name(&names.0, meta.uid)),
                    group: Some(name(&names.1, meta.gid)),
                    uid: Some(meta.uid.into()),
                    gid: Some(meta.gid.into()),
                    mode: Some(meta.mode.into()),
                    mode_text: Some(format!("{:04o}", meta.mode)),
                    acl: Some(meta.acl),
                    ..named
                });
            }
            Err(error) if error.is_not_found() => {
                absent.get_or_insert(File {
                    real_path: Some(String::new()),
                    exists: Some(false),
                    link: Some(false),
                    ..named
                });
            }
            Err(error) => {
                gaps.record_for(SubjectKind::File, path, "", error.gap_cause(), error.to_string());
                files.push(named);
            }
        }
    }
    if files.is_empty() {
        files.extend(absent);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use haechi_core::facts::{ApiListener, EngineConfig};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn show(files: &[File], role: &str) -> Vec<String> {
        files
            .iter()
            .filter(|file| file.role.as_deref() == Some(role))
            .map(|file| match file.exists {
                Some(true) => {
                    format!("{} {}", file.path.as_ref().unwrap(), file.mode_text.as_ref().unwrap())
                }
                Some(false) => format!("{} absent", file.path.as_ref().unwrap()),
                None => format!("{} unknown", file.path.as_ref().unwrap()),
            })
            .collect()
    }

    #[test]
    fn existing_paths_are_listed_once_and_missing_roles_said() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        for path in ["usr/bin", "etc/docker/certs.d/reg:5000", "etc/docker/certs.d/b"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        for path in [
            "usr/bin/containerd",
            "etc/docker/certs.d/reg:5000/ca.crt",
            "etc/docker/certs.d/b/client.cert",
            "etc/docker/certs.d/b/client.key",
        ] {
            fs::write(dir.path().join(path), "").unwrap();
            fs::set_permissions(dir.path().join(path), PermissionsExt::from_mode(0o644)).unwrap();
        }
        symlink("containerd", dir.path().join("usr/bin/docker-containerd")).unwrap();
        let gaps = Gaps::default();
        let mut wanted = Wanted::new(&Engine::default());
        wanted.units(Some(&[]));
        wanted.add("containerd-binary", "/usr/bin/containerd");
        let files = collect(&root, &wanted, true, &gaps);
        assert_eq!(show(&files, "containerd-binary"), ["/usr/bin/docker-containerd 0644"]);
        assert_eq!(show(&files, "runc-binary"), ["/usr/bin/docker-runc absent"]);
        assert_eq!(show(&files, "docker-socket"), ["/var/run/docker.sock absent"]);
        assert_eq!(
            show(&files, "docker-service"),
            ["/usr/lib/systemd/system/docker.service absent"]
        );
        assert_eq!(
            show(&files, "registry-certificate"),
            ["/etc/docker/certs.d/b/client.cert 0644", "/etc/docker/certs.d/reg:5000/ca.crt 0644"]
        );
        let absent = files.iter().find(|file| file.exists == Some(false)).unwrap();
        assert_eq!((absent.mode, absent.real_path.as_deref()), (None, Some("")));
        let foreign = collect(&root, &wanted, false, &Gaps::default());
        assert!(foreign.iter().all(|file| file.uid.is_none() && file.owner.is_none()));
        let ids: Vec<_> = gaps.into_sorted().into_iter().map(|gap| gap.id).collect();
        assert_eq!(ids, ["tls-ca", "tls-cert", "tls-key"]);
        assert!(files.is_sorted_by_key(|file| (file.role.clone(), file.path.clone())));
    }

    #[test]
    fn the_engine_s_own_paths_come_first() {
        let text =
            |value: &str| Some(SettingText { value: Some(value.into()), ..SettingText::default() });
        let engine = Engine {
            endpoint: Some("unix:///var/run/docker.sock".into()),
            data_root: Some("/data".into()),
            config: Some(EngineConfig {
                tls_ca_cert: text("/ca.pem"),
                tls_cert: text(""),
                tls_key: text("relative.pem"),
                ..EngineConfig::default()
            }),
            listeners: Some(vec![ApiListener {
                protocol: Some("unix".into()),
                address: Some("/run/own.sock".into()),
                ..ApiListener::default()
            }]),
            ..Engine::default()
        };
        let wanted = Wanted::new(&engine);
        assert_eq!(wanted.paths["tls-ca"], ["/ca.pem"]);
        assert!(!wanted.paths.contains_key("tls-cert") && !wanted.paths.contains_key("tls-key"));
        assert_eq!(wanted.unknown, ["tls-key"], "a relative path is not dropped");
        assert_eq!(wanted.paths["docker-socket"], ["/run/own.sock", "/var/run/docker.sock"]);
        assert_eq!(wanted.paths["docker-data"], ["/data"]);
        let mut wanted = wanted;
        wanted.units(None);
        assert_eq!(wanted.unknown, ["tls-key", "docker-service", "docker-socket-unit"]);
    }

    #[test]
    fn a_path_that_cannot_be_looked_at_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let gaps = Gaps::default();
        let files = role_files(
            &Root::new(dir.path()),
            "tls-key",
            &["/loop".into()],
            &Names::default(),
            &gaps,
        );
        assert_eq!(show(&files, "tls-key"), ["/loop unknown"]);
        assert_eq!(gaps.into_sorted()[0].id, "/loop");
    }
}
