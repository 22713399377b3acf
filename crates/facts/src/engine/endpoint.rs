//! Where the engine is: from `--host`, the environment, the current context, or the default socket.
//!
//! In the order of the `docker` command. It connects to nothing; addresses that Haechi cannot use (ssh,
//! Windows pipes) are errors that say what to do instead.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::api::ApiError;
use super::json::{at, text_at};
use crate::root::Root;

/// The engine's address and how to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As shown to people: `unix:///run/docker.sock`, `tcp://host:2376`.
    pub url: String,
    /// Where to connect.
    pub address: Address,
    /// Certificates, if the engine speaks TLS.
    pub tls: Option<TlsFiles>,
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in this machine's file system.
    Unix(PathBuf),
    /// A port of a host.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// The files of a TLS client; those that do not exist are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authority that the server's certificate must come from.
    pub ca: PathBuf,
    /// The client's certificate.
    pub cert: PathBuf,
    /// The client's key.
    pub key: PathBuf,
    /// Whether any server is believed.
    pub skip_verify: bool,
}

impl TlsFiles {
    fn below(directory: &Path, skip_verify: bool) -> Self {
        Self {
            ca: directory.join("ca.pem"),
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
            skip_verify,
        }
    }
}

/// The environment variable `name`; empty ones count as unset, as for the `docker` command.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub(super) fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Finds the engine's address.
///
/// # Errors
/// The address or the context cannot be used; the text says how to mend it.
pub(super) fn resolve(
    given: Option<&str>,
    root: &Root,
    env: Environment<'_>,
) -> Result<Endpoint, ApiError> {
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        return parse(given, environment_tls(env));
    }
    if let Some(host) = env("DOCKER_HOST") {
        return parse(&host, environment_tls(env));
    }
    let config = config_directory(env);
    let context = env("DOCKER_CONTEXT").or_else(|| current_context(config.as_deref()?));
    match (context, config) {
        (Some(name), Some(config)) if name != "default" => from_context(&name, &config),
        _ => Ok(default_socket(root)),
    }
}

fn config_directory(env: Environment<'_>) -> Option<PathBuf> {
    env("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| Path::new(&home).join(".docker")))
}

/// Certificates named by the environment; the `docker` command's own variables and defaults.
fn environment_tls(env: Environment<'_>) -> Option<TlsFiles> {
    let verify = env("DOCKER_TLS_VERIFY").is_some();
    let directory = env("DOCKER_CERT_PATH").map(PathBuf::from);
    if !verify && directory.is_none() && env("DOCKER_TLS").is_none() {
        return None;
    }
    Some(TlsFiles::below(&directory.or_else(|| config_directory(env))?, !verify))
}

/// Reads a file of the person who runs Haechi, through the same limits as the host's files.
fn own_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&Root::new(Path::new("/")).read(path).ok()?).ok()
}

fn current_context(config: &Path) -> Option<String> {
    let name = text_at(&own_json(&config.join("config.json"))?, "currentContext").to_owned();
    (!name.is_empty()).then_some(name)
}

fn from_context(name: &str, config: &Path) -> Result<Endpoint, ApiError> {
    let digest: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    let meta = config.join("contexts/meta").join(&digest).join("meta.json");
    let unusable = |what: &str| {
        ApiError::Unreachable(format!("the context {name:?} {what}; choose one with --host"))
    };
    let meta = own_json(&meta).ok_or_else(|| unusable("does not exist or cannot be read"))?;
    let host = text_at(&meta, "Endpoints.docker.Host");
    if host.is_empty() {
        return Err(unusable("names no engine"));
    }
    let skip = at(&meta, "Endpoints.docker.SkipTLSVerify").and_then(Value::as_bool);
    let directory = config.join("contexts/tls").join(digest).join("docker");
    let tls = (directory.exists() || skip == Some(true))
        .then(|| TlsFiles::below(&directory, skip == Some(true)));
    parse(host, tls)
}

/// The engine's usual sockets below the root: Docker's, then Podman's.
fn default_socket(root: &Root) -> Endpoint {
    const DOCKER: &str = "/var/run/docker.sock";
    let found = [DOCKER, "/run/podman/podman.sock"].into_iter().find_map(|path| {
        let real = root.metadata(path).ok().filter(|meta| meta.kind == "socket")?.real_path;
        Some((path, real))
    });
    let (shown, real) = found.unwrap_or((DOCKER, DOCKER.to_owned()));
    Endpoint {
        url: format!("unix://{shown}"),
        address: Address::Unix(root.base().join(real.trim_start_matches('/'))),
        tls: None,
    }
}

/// Understands an address as people write it.
fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Endpoint, ApiError> {
    let unusable = |why: &str| {
        // Whatever stands before an `@` may be a password, in any spelling.
        let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
        ApiError::Unreachable(format!("{}: {why}", crate::redact::text(shown)))
    };
    let (scheme, rest) = match text.split_once("://") {
        Some(parts) => parts,
        None if text.starts_with('/') => ("unix", text),
        None => ("tcp", text),
    };
    match scheme {
        "unix" => Ok(Endpoint {
            url: format!("unix://{rest}"),
            address: Address::Unix(PathBuf::from(rest)),
            tls: None,
        }),
        "tcp" | "http" | "https" => {
            let tls = match scheme {
                "https" => tls.or_else(|| Some(TlsFiles::below(Path::new("/nonexistent"), false))),
                "http" => None,
                _ => tls,
            };
            let default = match (scheme, &tls) {
                ("http", _) => 80,
                ("https", _) => 443,
                (_, Some(_)) => 2376,
                (_, None) => 2375,
            };
            let authority = rest.split('/').next().unwrap_or_default();
            if authority.contains('@') {
                return Err(unusable("an address with a password is not used"));
            }
            let (host, port) = host_and_port(authority, default)
                .ok_or_else(|| unusable("is no address; write tcp://HOST:PORT"))?;
            let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            Ok(Endpoint {
                url: format!("{scheme}://{shown}:{port}"),
                address: Address::Tcp { host, port },
                tls,
            })
        }
        "ssh" => Err(unusable(
            "ssh is not used; forward the socket (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST) \
             and give its path, or use tcp with TLS",
        )),
        "npipe" => Err(unusable("Windows pipes are not used; run Haechi on the engine's host")),
        _ => {
            Err(unusable("is no address that Haechi knows; write unix:///PATH or tcp://HOST:PORT"))
        }
    }
}

fn host_and_port(authority: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        (host, after.strip_prefix(':'))
    } else {
        match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = match port {
        Some(text) => text.parse().ok().filter(|port| *port > 0)?,
        None => default,
    };
    // The `docker` command takes an empty host as this machine.
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    host.chars().all(plain).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn addresses_as_people_write_them() {
        let url = |text| parse(text, None).map(|endpoint| endpoint.url);
        assert_eq!(url("unix:///a/b.sock").unwrap(), "unix:///a/b.sock");
        assert_eq!(url("/a/b.sock").unwrap(), "unix:///a/b.sock");
        assert_eq!(url("tcp://h").unwrap(), "tcp://h:2375");
        assert_eq!(url("tcp://[::1]:1/x").unwrap(), "tcp://[::1]:1");
        assert_eq!(url("tcp://:99").unwrap(), "tcp://127.0.0.1:99");
        assert_eq!(url("https://h").unwrap(), "https://h:443");
        for bad in
            ["tcp://h:0", "tcp://h:x", "tcp://a b", "ssh://h", "npipe:////./pipe/x", "ftp://h"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
        let error = url("tcp://me:topsecret@h").unwrap_err().to_string();
        assert!(!error.contains("topsecret"), "{error}");
    }

    #[test]
    fn the_docker_commands_order_of_places_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let host = |name: &str| (name == "DOCKER_HOST").then(|| "tcp://env:1".to_owned());
        assert_eq!(resolve(Some("/x"), &root, &host).unwrap().url, "unix:///x");
        assert_eq!(resolve(None, &root, &host).unwrap().url, "tcp://env:1");
        let default = resolve(None, &root, &nothing).unwrap();
        assert_eq!(default.url, "unix:///var/run/docker.sock");
        assert_eq!(default.address, Address::Unix(dir.path().join("var/run/docker.sock")));
    }

    #[test]
    fn a_context_names_the_engine_and_its_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let digest: String = Sha256::digest("far").iter().map(|b| format!("{b:02x}")).collect();
        let meta = dir.path().join("contexts/meta").join(&digest);
        let tls = dir.path().join("contexts/tls").join(&digest).join("docker");
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext": "far"}"#).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": false}}}"#,
        )
        .unwrap();
        let config = dir.path().display().to_string();
        let env = move |name: &str| (name == "DOCKER_CONFIG").then(|| config.clone());
        let found = resolve(None, &root, &env).unwrap();
        assert_eq!(found.url, "tcp://far:2376");
        assert_eq!(found.tls, Some(TlsFiles::below(&tls, false)));
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext": "gone"}"#).unwrap();
        assert!(resolve(None, &root, &env).is_err());
    }

    #[test]
    fn the_default_socket_is_found_through_links_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("run")).unwrap();
        std::fs::create_dir_all(dir.path().join("var")).unwrap();
        std::os::unix::fs::symlink("/run", dir.path().join("var/run")).unwrap();
        let _socket =
            std::os::unix::net::UnixListener::bind(dir.path().join("run/docker.sock")).unwrap();
        let found = resolve(None, &Root::new(dir.path()), &nothing).unwrap();
        assert_eq!(found.address, Address::Unix(dir.path().join("run/docker.sock")));
    }
}
