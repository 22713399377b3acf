//! Where a daemon works, and where it therefore looks for its certificates.
//!
//! TLS without paths means files below a directory of the daemon's environment; relative paths are relative to
//! its working directory. What cannot be seen is a gap, never "no such file".

use std::path::{Path, PathBuf};

use haechi_core::facts::{EngineConfig, SettingBool, SettingText};
use haechi_core::finding::{Cause, SubjectKind};

use super::super::Scene;
use crate::root::Root;

/// What of a daemon's process decides about paths.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Its working directory, if visible.
    pub(super) directory: Option<PathBuf>,
    /// The directory of its certificates if nothing is configured, if its environment is visible.
    certificates: Option<PathBuf>,
}

impl Place {
    /// Looks at the process `pid`.
    pub(super) fn of(root: &Root, pid: i32) -> Self {
        let environment = std::fs::read(root.proc(&format!("{pid}/environ"))).ok();
        Self {
            directory: std::fs::read_link(root.proc(&format!("{pid}/cwd"))).ok(),
            certificates: environment.map(|bytes| certificates(&bytes)),
        }
    }

    /// Fills in where the daemon finds its TLS files.
    pub(super) fn complete_tls(&self, scene: Scene<'_>, config: &mut EngineConfig) {
        let on = |setting: &Option<SettingBool>| setting.as_ref().and_then(|setting| setting.value);
        let used = match (on(&config.tls), on(&config.tls_verify)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        for (fact, name, setting) in [
            ("config.tls_ca_cert", "ca.pem", &mut config.tls_ca_cert),
            ("config.tls_cert", "cert.pem", &mut config.tls_cert),
            ("config.tls_key", "key.pem", &mut config.tls_key),
        ] {
            let Some(SettingText { value: Some(path), .. }) = setting else { continue };
            match self.path(path, name, used) {
                Ok(found) => *path = found,
                Err(detail) => {
                    scene.gaps.record(SubjectKind::Engine, fact, Cause::Permission, detail);
                    *setting = None;
                }
            }
        }
    }

    fn path(&self, given: &str, name: &str, used: Option<bool>) -> Result<String, String> {
        let given = match (given, used) {
            ("", Some(false)) => return Ok(String::new()),
            ("", None) => return Err("whether the daemon uses TLS is not known".into()),
            ("", Some(true)) => match &self.certificates {
                Some(directory) => directory.join(name),
                None => return Err("the daemon's environment is not visible; run as root".into()),
            },
            (given, _) => PathBuf::from(given),
        };
        let path = match &self.directory {
            _ if given.is_absolute() => given,
            Some(directory) => directory.join(given),
            None => return Err("the daemon's working directory is not visible; run as root".into()),
        };
        Ok(path.display().to_string())
    }
}

/// `$DOCKER_CERT_PATH`, or the client's own directory in the home of the daemon's user.
fn certificates(environment: &[u8]) -> PathBuf {
    let variable = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            (!value.is_empty()).then(|| PathBuf::from(String::from_utf8_lossy(value).into_owned()))
        })
    };
    variable("DOCKER_CERT_PATH").or_else(|| variable("DOCKER_CONFIG")).unwrap_or_else(|| {
        variable("HOME").unwrap_or_else(|| Path::new("/root").to_owned()).join(".docker")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_without_a_path_lie_where_the_environment_says() {
        assert_eq!(certificates(b"A=b\0DOCKER_CERT_PATH=/c\0"), Path::new("/c"));
        assert_eq!(certificates(b"DOCKER_CONFIG=/d\0HOME=/h"), Path::new("/d"));
        assert_eq!(certificates(b"HOME=/h\0DOCKER_CERT_PATH=\0"), Path::new("/h/.docker"));
        assert_eq!(certificates(b""), Path::new("/root/.docker"));
    }

    #[test]
    fn paths_are_completed_or_not_known() {
        let place = Place { directory: Some("/w".into()), certificates: Some("c".into()) };
        let path = |given, used| place.path(given, "ca.pem", used);
        assert_eq!(path("", Some(true)).unwrap(), "/w/c/ca.pem");
        assert_eq!(path("", Some(false)).unwrap(), "");
        assert_eq!(path("x.pem", Some(false)).unwrap(), "/w/x.pem");
        assert_eq!(path("/x.pem", None).unwrap(), "/x.pem");
        assert!(path("", None).is_err());
        let unseen = Place::default();
        assert!(unseen.path("", "ca.pem", Some(true)).is_err());
        assert!(unseen.path("x.pem", "ca.pem", Some(true)).is_err());
        assert_eq!(unseen.path("/x.pem", "ca.pem", Some(true)).unwrap(), "/x.pem");
    }
}
