//! A registry (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>) as a source of images.
//!
//! It only reads. Everything is verified by digest, held to a size and to a time. Plain HTTP and unverified TLS are for
//! this machine itself and for hosts that the caller lists, as in Docker. Credentials go to the registry and to the
//! token server that it names, never to where a blob is redirected to. IPv6 addresses in references are not understood.

mod auth;
mod credentials;
mod download;
mod tls;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::sync::OnceCell;

use crate::blobs::{self, BlobError, Blobs, Bytes, Kind, Measured};
use crate::manifest::{self, Descriptor};

pub use credentials::Login;

/// What we take for a manifest.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// How often something is tried again.
const RETRIES: u32 = 3;
/// Longest wait that a registry can ask for before a retry.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What is read of an error's body.
const WORDS_MAX: usize = 8 << 10;

/// How registries are asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hosts (`HOST[:PORT]`) for which HTTP and TLS that nobody vouches for will do.
    pub insecure: Vec<String>,
    /// Docker's folder of certificates by host: `/etc/docker/certs.d`.
    pub certs: PathBuf,
    /// Docker's `config.json`; absent: nobody is logged in.
    pub docker_config: Option<PathBuf>,
    /// Overrides Docker's credentials, for every registry that is asked.
    pub login: Option<Login>,
    /// Most time for a document, and for silence while a layer comes.
    pub timeout: Duration,
    /// First wait before a retry; it doubles.
    pub wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            certs: "/etc/docker/certs.d".into(),
            docker_config: None,
            login: None,
            timeout: Duration::from_secs(60),
            wait: Duration::from_millis(500),
        }
    }
}

impl Options {
    /// With the credentials that the environment gives: Docker's configuration (`DOCKER_CONFIG` or `~/.docker`), and
    /// `HAECHI_REGISTRY_USER` with `HAECHI_REGISTRY_PASSWORD`, which override it.
    pub fn from_environment() -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|f| !f.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let login = variable("HAECHI_REGISTRY_USER")
            .zip(variable("HAECHI_REGISTRY_PASSWORD"))
            .map(|(user, password)| Login { user, password });
        Self {
            docker_config: folder.or_else(home).map(|folder| folder.join("config.json")),
            login,
            ..Self::default()
        }
    }
}

/// One image in a registry.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reference: Reference,
    options: Options,
    /// Whether HTTP and TLS that nobody vouches for will do.
    lax: bool,
    client: Client,
    /// `https://host` or `http://host`, once known.
    base: OnceCell<String>,
    /// What the registry gave or wants as `Authorization`.
    authorization: Mutex<Option<HeaderValue>>,
}

/// The digest of the manifest or index that a reference means now.
///
/// # Errors
/// It cannot be had.
pub async fn digest(reference: &str, options: &Options) -> Result<String, BlobError> {
    Registry::new(reference, options)?.digest().await
}

impl Registry {
    /// An image by reference, with Docker's defaults (`docker.io`, `library/`, `latest`). Asks nothing yet.
    ///
    /// # Errors
    /// It is no reference, or the certificates for its host are not usable.
    pub fn new(reference: &str, options: &Options) -> Result<Self, BlobError> {
        let malformed = |why: String| BlobError::Malformed {
            place: format!("{reference:.300}"),
            why: format!("is no reference of an image: {why}"),
        };
        let reference: Reference = reference
            .parse()
            .map_err(|e: oci_spec::distribution::ParseError| malformed(e.to_string()))?;
        if let Some(digest) = reference.digest() {
            blobs::check_digest(digest, &reference.whole())?;
        }
        let host = reference.registry();
        let lax = is_local(host) || options.insecure.iter().any(|listed| listed == host);
        let client = tls::client(host, options, tls::Use::Registry { lax })?;
        let inner = Inner {
            lax,
            client,
            options: options.clone(),
            base: OnceCell::new(),
            authorization: Mutex::new(None),
            reference,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The reference in full.
    pub fn reference(&self) -> String {
        self.inner.reference.whole()
    }

    /// Whether this registry is one for which HTTP and TLS that nobody vouches for will do: a tag's meaning is then
    /// not to be relied on.
    pub fn is_insecure(&self) -> bool {
        self.inner.lax
    }

    /// The digest of the manifest or index that the reference means now. Nothing is downloaded unless the registry does
    /// not tell.
    ///
    /// # Errors
    /// It cannot be had.
    pub async fn digest(&self) -> Result<String, BlobError> {
        let path = self.inner.manifest_path();
        let stated = match self.inner.ask(Method::HEAD, &path, None).await {
            Ok(response) => stated_digest(response.headers()),
            // Some know no HEAD.
            Err(BlobError::Malformed { .. }) => None,
            Err(error) => return Err(error),
        };
        match stated {
            Some(digest) => Ok(digest),
            None => Ok(self.inner.top().await?.1),
        }
    }
}

impl Inner {
    fn manifest_path(&self) -> String {
        let name = self.reference.digest().or(self.reference.tag()).unwrap_or("latest");
        format!("manifests/{name}")
    }

    async fn top(&self) -> Result<(Vec<u8>, String), BlobError> {
        let path = self.manifest_path();
        let place = self.reference.whole();
        let (bytes, stated) = self.fetch(&path, manifest::SIZE_MAX, &place).await?;
        // By a digest in the reference, or else by what the registry says it sends.
        match self.reference.digest().map(str::to_owned).or(stated) {
            Some(digest) => {
                blobs::verify(&digest, &bytes, &place)?;
                Ok((bytes, digest))
            }
            None => {
                let digest = blobs::digest_like("sha256:", &bytes);
                Ok((bytes, digest))
            }
        }
    }

    async fn document(&self, kind: Kind, digest: &str) -> Result<Vec<u8>, BlobError> {
        blobs::check_digest(digest, &self.reference.whole())?;
        let path = match kind {
            Kind::Manifest => format!("manifests/{digest}"),
            Kind::Config => format!("blobs/{digest}"),
        };
        let place = format!("{} {digest}", self.reference.whole());
        let (bytes, _) = self.fetch(&path, kind.size_max(), &place).await?;
        blobs::verify(digest, &bytes, &place)?;
        Ok(bytes)
    }

    /// A document and the digest that the registry states; again from the start if it breaks off.
    async fn fetch(
        &self,
        path: &str,
        max: usize,
        place: &str,
    ) -> Result<(Vec<u8>, Option<String>), BlobError> {
        let mut tries = 0;
        loop {
            let response = self.ask(Method::GET, path, None).await?;
            let stated = stated_digest(response.headers());
            match limited(response, max, place).await {
                Err(BlobError::Unreachable { .. }) if tries < RETRIES => {
                    self.pause(tries, None).await;
                    tries += 1;
                }
                done => return done.map(|bytes| (bytes, stated)),
            }
        }
    }

    /// `https://host`, or `http://host` where that will do and the other is not there.
    async fn base(&self) -> &str {
        let find = async {
            let host = match self.reference.registry() {
                "docker.io" => "registry-1.docker.io",
                host => host,
            };
            let safe = format!("https://{host}");
            if !self.lax {
                return safe;
            }
            let answer = self.client.get(format!("{safe}/v2/")).send().await;
            let plain = answer.is_err_and(|error| error.is_connect());
            if !is_local(host) {
                let how = if plain { "no TLS" } else { "a certificate that is not verified" };
                tracing::warn!(
                    "{host}: listed as insecure, asked with {how}; answers can be forged"
                );
            }
            if plain { format!("http://{host}") } else { safe }
        };
        self.base.get_or_init(|| find).await
    }

    /// One question below `/v2/NAME/`, with logging in and retries; the answer is a success.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        from: Option<u64>,
    ) -> Result<Response, BlobError> {
        let base = self.base().await;
        let url = format!("{base}/v2/{}/{path}", self.reference.repository());
        let place = format!("{} {path}", self.reference.whole());
        let (mut tries, mut logged_in) = (0, false);
        loop {
            let mut request = self.client.request(method.clone(), &url).header(ACCEPT, MANIFESTS);
            // A layer may take long as long as bytes come; `read_timeout` is for those.
            if !path.starts_with("blobs/") {
                request = request.timeout(self.options.timeout);
            }
            if let Some(from) = from {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            if let Some(value) = self.authorization() {
                request = request.header(AUTHORIZATION, value);
            }
            let (failure, asked_wait) = match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response)
                    if response.status() == StatusCode::UNAUTHORIZED
                        && !logged_in
                        // Who a blob was redirected to gets no credentials.
                        && is_same_host(response.url(), base) =>
                {
                    logged_in = true;
                    let value = self.log_in(response.headers(), base).await?;
                    if let Ok(mut slot) = self.authorization.lock() {
                        *slot = Some(value);
                    }
                    continue;
                }
                Ok(response) => {
                    let wait = retry_after(response.headers());
                    let again = is_temporary(response.status());
                    let failure = self.refused(response, place.clone()).await;
                    if !again {
                        return Err(failure);
                    }
                    (failure, wait)
                }
                Err(error) => {
                    let failure = tls::failure(error, place.clone(), self.reference.registry());
                    if !matches!(failure, BlobError::Unreachable { .. }) {
                        return Err(failure);
                    }
                    (failure, None)
                }
            };
            if tries >= RETRIES {
                return Err(failure);
            }
            self.pause(tries, asked_wait).await;
            tries += 1;
        }
    }

    /// Waits before retry number `tries`, doubling each time.
    async fn pause(&self, tries: u32, asked: Option<Duration>) {
        let own = self.options.wait.saturating_mul(1 << tries.min(RETRIES));
        tokio::time::sleep(asked.unwrap_or(own).min(WAIT_MAX)).await;
    }

    fn authorization(&self) -> Option<HeaderValue> {
        self.authorization.lock().ok().and_then(|slot| slot.clone())
    }

    /// What an answer that is no success means.
    async fn refused(&self, response: Response, place: String) -> BlobError {
        let status = response.status();
        let said = words(response).await;
        let why = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        match status {
            StatusCode::NOT_FOUND => BlobError::NotFound { place },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let host = self.reference.registry().to_owned();
                BlobError::Unauthorised { place, host, why }
            }
            _ if is_temporary(status) => BlobError::Unreachable { place, why },
            _ => BlobError::Malformed { place, why: format!("the registry answers {why}") },
        }
    }
}

impl Blobs for Registry {
    fn top(&self) -> BoxFuture<'_, Result<(Vec<u8>, String), BlobError>> {
        self.inner.top().boxed()
    }

    fn document<'a>(
        &'a self,
        kind: Kind,
        digest: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        self.inner.document(kind, digest).boxed()
    }

    fn layer<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        async {
            blobs::layer_max(descriptor)?;
            let source = download::start(&self.inner, descriptor).await?;
            let layer: Bytes = Box::pin(Measured::new(source, descriptor)?);
            Ok(layer)
        }
        .boxed()
    }

    fn tags(&self) -> Vec<String> {
        self.inner.reference.tag().map(|_| self.reference()).into_iter().collect()
    }
}

/// Whether a host is this machine, where nobody can listen in.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_same_host(url: &Url, base: &str) -> bool {
    Url::parse(base).is_ok_and(|base| base.origin() == url.origin())
}

fn is_temporary(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}

/// `Retry-After` in seconds; as a date it is not used.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn stated_digest(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get("docker-content-digest")?.to_str().ok()?;
    manifest::is_digest(digest).then(|| digest.to_owned())
}

/// A body of limited length.
async fn limited(mut response: Response, max: usize, place: &str) -> Result<Vec<u8>, BlobError> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    let too_large = || BlobError::TooLarge { place: place.to_owned(), limit };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len().saturating_add(chunk.len()) > max => {
                return Err(too_large());
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => {
                return Err(BlobError::Unreachable {
                    place: place.to_owned(),
                    why: tls::cause(error),
                });
            }
        }
    }
}

/// What a registry says about an error, if it says it as the specification wants; short, on one line.
async fn words(response: Response) -> String {
    let Ok(body) = limited(response, WORDS_MAX, "").await else { return String::new() };
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |key: &str| value.pointer(key).and_then(serde_json::Value::as_str);
    let said = text("/errors/0/message").or(text("/errors/0/code")).or(text("/details"));
    said.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
