//! Credentials as `docker login` keeps them: in Docker's `config.json`, or with a helper program
//! (<https://docs.docker.com/reference/cli/docker/login/#credential-stores>).
//!
//! Read here, not by a library, because the name of a helper becomes the name of a program that is run, and a helper
//! may hang.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::Options;
use crate::blobs::BlobError;

/// Largest configuration and largest answer of a helper.
const SIZE_MAX: u64 = 1 << 20;
/// Most time for a helper: some ask a service.
const HELPER_TIME: Duration = Duration::from_secs(30);
/// How Docker Hub is called in Docker's configuration and by helpers.
const HUB: &str = "https://index.docker.io/v1/";
/// What helpers answer if they know nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password or access token.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// As the value of an `Authorization` header.
    pub(super) fn basic(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

/// What opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Login(Login),
    /// A refresh token for the token server.
    Token(String),
}

/// Where the credentials for a host are.
#[derive(PartialEq, Eq)]
enum Place {
    Here(Credential),
    Helper(String),
    Nowhere,
}

/// Finds the credentials for a registry; none is no error.
pub(super) async fn find(options: &Options, host: &str) -> Result<Option<Credential>, BlobError> {
    if let Some(login) = &options.login {
        return Ok(Some(Credential::Login(login.clone())));
    }
    let Some(path) = &options.docker_config else { return Ok(None) };
    let Some(json) = read(path).await? else { return Ok(None) };
    match look_up(&json, host) {
        Ok(Place::Here(credential)) => Ok(Some(credential)),
        Ok(Place::Nowhere) => Ok(None),
        Ok(Place::Helper(name)) => helper(&name, host).await,
        Err(why) => Err(bad(&path.display().to_string(), why)),
    }
}

fn bad(place: &str, why: impl Into<String>) -> BlobError {
    BlobError::Credentials { place: place.to_owned(), why: why.into() }
}

async fn read(path: &Path) -> Result<Option<Vec<u8>>, BlobError> {
    let place = path.display().to_string();
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(&place, error.to_string())),
    };
    let mut bytes = Vec::new();
    let read = file.take(SIZE_MAX).read_to_end(&mut bytes).await;
    read.map_err(|error| bad(&place, error.to_string()))?;
    Ok(Some(bytes))
}

/// Looks a host up: its own helper, then what is written down, then the helper for all.
fn look_up(json: &[u8], host: &str) -> Result<Place, String> {
    let config: Value =
        serde_json::from_slice(json).map_err(|error| format!("is no JSON: {error}"))?;
    let helpers = config.get("credHelpers").and_then(Value::as_object);
    let own = helpers.into_iter().flatten().find(|(key, _)| is_host(key, host));
    if let Some(name) = own.and_then(|(_, name)| name.as_str()) {
        return helper_name(name);
    }
    let auths = config.get("auths").and_then(Value::as_object);
    for (_, entry) in auths.into_iter().flatten().filter(|(key, _)| is_host(key, host)) {
        if let Some(credential) = written(entry)? {
            return Ok(Place::Here(credential));
        }
    }
    match config.get("credsStore").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => helper_name(name),
        _ => Ok(Place::Nowhere),
    }
}

/// A helper's name is part of a program's name: nothing else must come in with it.
fn helper_name(name: &str) -> Result<Place, String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > 100 || !name.bytes().all(fine) {
        return Err(format!("`{name:.100}` is no name of a credential helper"));
    }
    Ok(Place::Helper(name.to_owned()))
}

/// Whether a key of the configuration is a host: bare, or as an address of its API. A key for a part of a host (other
/// tools write those) is not.
fn is_host(key: &str, host: &str) -> bool {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let (name, path) = key.split_once('/').unwrap_or((key, ""));
    let hub = |name| matches!(name, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    matches!(path.trim_end_matches('/'), "" | "v1" | "v2")
        && (name.eq_ignore_ascii_case(host) || hub(name) && hub(host))
}

/// What an entry of `auths` holds.
fn written(entry: &Value) -> Result<Option<Credential>, String> {
    let text = |key: &str| {
        let text = entry.get(key).and_then(Value::as_str).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::Token(token)));
    }
    if let Some(auth) = text("auth") {
        let any =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let pair = GeneralPurpose::new(&STANDARD, any).decode(auth.trim()).ok();
        let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.ok_or("an `auth` entry is not in base64")?;
        // Docker itself cuts zero bytes off the end.
        let (user, password) =
            pair.trim_end_matches('\0').split_once(':').ok_or("an `auth` entry has no password")?;
        return Ok(Some(login(user, password)));
    }
    Ok(text("username").zip(text("password")).map(|(user, password)| login(&user, &password)))
}

fn login(user: &str, password: &str) -> Credential {
    Credential::Login(Login { user: user.to_owned(), password: password.to_owned() })
}

/// Asks a helper (<https://github.com/docker/docker-credential-helpers>). Its name has been checked.
async fn helper(name: &str, host: &str) -> Result<Option<Credential>, BlobError> {
    let program = format!("docker-credential-{name}");
    let server = if is_host(HUB, host) { HUB } else { host };
    let run = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read says why on its own.
            let _ = stdin.write_all(format!("{server}\n").as_bytes()).await;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(SIZE_MAX).read_to_end(&mut answer).await?;
        }
        Ok::<_, io::Error>((child.wait().await?, answer))
    };
    let (status, answer) = match timeout(HELPER_TIME, run).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            return Err(bad(&program, format!("the credential helper cannot be run: {error}")));
        }
        Err(_) => {
            let why =
                format!("the credential helper gave no answer in {} s", HELPER_TIME.as_secs());
            return Err(bad(&program, why));
        }
    };
    if !status.success() {
        let said = String::from_utf8_lossy(&answer);
        let said: String = said.trim().chars().filter(|c| !c.is_control()).take(200).collect();
        if said.eq_ignore_ascii_case(NOT_FOUND) {
            return Ok(None);
        }
        return Err(bad(&program, format!("the credential helper failed ({status}): {said}")));
    }
    answered(&answer)
        .ok_or_else(|| bad(&program, "the credential helper's answer is not understood"))
        .map(Some)
}

/// What a helper answers.
fn answered(json: &[u8]) -> Option<Credential> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let user = value.get("Username")?.as_str()?;
    let secret = value.get("Secret")?.as_str()?;
    Some(if user == "<token>" { Credential::Token(secret.to_owned()) } else { login(user, secret) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(json: &str, host: &str) -> String {
        match look_up(json.as_bytes(), host) {
            Ok(Place::Here(Credential::Login(login))) => {
                format!("{}:{}", login.user, login.password)
            }
            Ok(Place::Here(Credential::Token(token))) => format!("token {token}"),
            Ok(Place::Helper(name)) => format!("helper {name}"),
            Ok(Place::Nowhere) => "nowhere".into(),
            Err(why) => format!("error {why}"),
        }
    }

    #[test]
    fn dockers_configuration() {
        // "me:a:b", without padding.
        let json = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6YTpi"}, "r.test:5000": {"auth": "eDp5"},
            "r.test/team": {"auth": "eDp6"}, "t.test": {"identitytoken": "T", "auth": "eDp6"}, "e.test": {},
            "n.test": {"username": "n", "password": "p"}, "b.test": {"auth": "?"}},
            "credHelpers": {"h.test": "own", "x.test": "../../bin/sh"}, "credsStore": "all"}"#;
        assert_eq!(place(json, "docker.io"), "me:a:b");
        assert_eq!(place(json, "r.test:5000"), "x:y");
        assert_eq!(place(json, "r.test"), "helper all");
        assert_eq!(place(json, "t.test"), "token T");
        assert_eq!(place(json, "e.test"), "helper all");
        assert_eq!(place(json, "n.test"), "n:p");
        assert_eq!(place(json, "h.test"), "helper own");
        assert!(place(json, "b.test").starts_with("error an `auth`"));
        assert!(place(json, "x.test").starts_with("error `../../bin/sh`"));
        assert_eq!(place("{}", "docker.io"), "nowhere");
        assert!(place("{", "docker.io").starts_with("error is no JSON"));
    }

    #[test]
    fn answers_of_helpers() {
        let of = |text: &str| answered(text.as_bytes()).is_some();
        assert!(of(r#"{"ServerURL": "x", "Username": "u", "Secret": "s"}"#));
        assert!(!of(r#"{"Username": "u"}"#) && !of("") && !of("[]"));
        let token = answered(br#"{"Username": "<token>", "Secret": "s"}"#);
        assert!(token == Some(Credential::Token("s".into())));
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_is_named() {
        let error = helper("haechi-has-no-such", "r.test").await.err().map(|e| e.to_string());
        assert!(error.is_some_and(|e| e.contains("docker-credential-haechi-has-no-such")));
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login { user: "me".into(), password: "hidden".into() };
        assert!(!format!("{login:?}").contains("hidden"));
    }
}
