//! The engine's API over a Unix socket, TCP, or TCP with TLS.
//!
//! One connection per question, each with a time limit and an answer of limited size. Facts are collected with GET
//! alone ([`Api`]); [`HttpApi::download`] gives an image as a stream, [`super::events`] the engine's events, and
//! [`HttpApi::act`] and [`HttpApi::change`] are for those who change something on purpose.
//! The path carries no API version, so the engine answers in the newest it speaks, and the reader takes what
//! is there. TLS trusts only the given authority, as the `docker` command does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
pub use hyper::Method;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::api::{Api, ApiError, Call};
use super::endpoint::{Address, Endpoint};
use super::tls;

/// Longest list that is read: one of 10,000 containers is about 20 MB.
const LIST_SIZE_MAX: usize = 64 << 20;
/// Longest answer about one thing that is read: a large inspect is about 50 kB, a long history 1 MB.
const ANSWER_SIZE_MAX: usize = 4 << 20;
/// All questions together may take this many times as long as one: an engine that is slow each time, but never
/// too slow, must not hold Haechi up for hours.
const TIMES_ALL: u32 = 12;
/// An engine packs an image before it sends the first byte.
const DOWNLOAD_STARTS: Duration = Duration::from_secs(120);
/// Characters of an error message of the engine that are kept.
const MESSAGE_MAX: usize = 300;

/// An engine reached over HTTP.
pub struct HttpApi {
    endpoint: Endpoint,
    timeout: Duration,
    /// Until when questions are asked; none if as long as it lasts.
    deadline: Option<Instant>,
    tls: Option<TlsConnector>,
}

impl HttpApi {
    /// An engine at `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// The certificates of a TLS endpoint cannot be read.
    pub fn new(endpoint: Endpoint, timeout: Duration) -> Result<Self, ApiError> {
        let tls = match &endpoint.tls {
            Some(files) => Some(TlsConnector::from(Arc::new(tls::client_config(files)?))),
            None => None,
        };
        let deadline = Some(Instant::now() + timeout * TIMES_ALL);
        Ok(Self { endpoint, timeout, deadline, tls })
    }

    /// The engine that `endpoint` names, or else the usual one of this user.
    ///
    /// # Errors
    /// The address is none, or its certificates cannot be read.
    pub fn connect(
        endpoint: Option<&str>,
        root: &crate::root::Root,
        timeout: Duration,
    ) -> Result<Self, ApiError> {
        let found =
            super::endpoint::resolve(endpoint, root, &super::endpoint::process_environment)?;
        Self::new(found, timeout)
    }

    /// Without a limit for all questions together: for somebody who goes on asking for days. Each question keeps its own.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.deadline = None;
        self
    }

    /// An image as `docker save` gives it (`/images/ID/get`), or a container's file system (`/containers/ID/export`).
    ///
    /// # Errors
    /// The engine does not answer, or says no.
    pub async fn download(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + Send + Unpin + use<>, ApiError> {
        self.stream(Method::GET, path, DOWNLOAD_STARTS).await
    }

    /// Changes something: a request without a body, and no answer but that it was done.
    ///
    /// # Errors
    /// The engine does not answer, or says no.
    pub async fn act(&self, method: Method, path: &str) -> Result<(), ApiError> {
        let (response, _driver) = tokio::time::timeout(self.timeout, self.send(method, path, None))
            .await
            .map_err(|_| ApiError::TimedOut(format!("the engine did not answer {path}")))??;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(refusal(status.as_u16(), response, path).await),
        }
    }

    /// Changes something: a request with a body, and the answer; null if it has none.
    ///
    /// # Errors
    /// The engine does not answer, or says no.
    pub async fn change(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let asked = async {
            let (response, _driver) = self.send(Method::POST, path, Some(body)).await?;
            match response.status() {
                status if !status.is_success() => {
                    Err(refusal(status.as_u16(), response, path).await)
                }
                _ if response.body().is_end_stream() => Ok(Value::Null),
                _ => self.answer(response, path).await,
            }
        };
        tokio::time::timeout(self.timeout, asked)
            .await
            .map_err(|_| ApiError::TimedOut(format!("the engine did not answer {path}")))?
    }

    /// Whether the engine is reached by a socket of this machine: then its containers run on this kernel.
    pub fn is_local(&self) -> bool {
        matches!(self.endpoint.address, Address::Unix(_))
    }

    /// Time limit of one question.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// An answer of any length, which must begin within `limit`.
    pub(super) async fn stream(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<impl AsyncRead + Send + Unpin + use<>, ApiError> {
        let (response, driver) = tokio::time::timeout(limit, self.send(method, path, None))
            .await
            .map_err(|_| ApiError::TimedOut(format!("the engine did not answer {path}")))??;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(status.as_u16(), response, path).await);
        }
        let frames = response.into_body().into_data_stream().map(move |frame| {
            // The connection lives as long as somebody reads from it.
            let _ = &driver;
            frame.map_err(std::io::Error::other)
        });
        Ok(tokio_util::io::StreamReader::new(Box::pin(frames)))
    }

    async fn get(&self, path: &str) -> Result<Value, ApiError> {
        let (response, driver) = self.send(Method::GET, path, None).await?;
        let answer = self.answer(response, path).await;
        drop(driver);
        answer
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Response<Incoming>, Driver), ApiError> {
        match &self.endpoint.address {
            Address::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|e| self.refused(&e))?;
                self.exchange(stream, "docker", method, path, body).await
            }
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(|e| self.refused(&e))?;
                let authority = if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                };
                let Some(tls) = &self.tls else {
                    return self.exchange(stream, &authority, method, path, body).await;
                };
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    ApiError::Unreachable(format!("{host} cannot be the name of a TLS server"))
                })?;
                let stream = tls.connect(name, stream).await.map_err(|e| {
                    ApiError::Unreachable(format!(
                        "no TLS with the engine at {}: {e}; check the certificates",
                        self.endpoint.url
                    ))
                })?;
                self.exchange(stream, &authority, method, path, body).await
            }
        }
    }

    /// What a failed connection means.
    fn refused(&self, error: &std::io::Error) -> ApiError {
        use std::io::ErrorKind;
        let url = &self.endpoint.url;
        match error.kind() {
            ErrorKind::NotFound => ApiError::Unreachable(format!(
                "no engine at {url}; is it running? `systemctl start docker`"
            )),
            ErrorKind::ConnectionRefused => ApiError::Unreachable(format!(
                "the engine at {url} is stopped; `systemctl start docker`"
            )),
            ErrorKind::PermissionDenied => ApiError::Permission(format!(
                "permission denied at {url}; run as root or as a trusted user"
            )),
            ErrorKind::TimedOut => {
                ApiError::TimedOut(format!("no answer from the engine at {url}"))
            }
            _ => ApiError::Unreachable(format!("cannot connect to the engine at {url}: {error}")),
        }
    }

    async fn exchange<S>(
        &self,
        stream: S,
        host: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Response<Incoming>, Driver), ApiError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |what: &dyn std::fmt::Display| {
            ApiError::Unreachable(format!("the engine at {} broke off: {what}", self.endpoint.url))
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| broken(&e))?;
        let driver = Driver(tokio::spawn(async move {
            // An error here shows up in the answer as well.
            let _ = connection.await;
        }));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header("User-Agent", concat!("haechi/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))
            .map_err(|e| ApiError::Malformed(format!("cannot ask for {path}: {e}")))?;
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        Ok((response, driver))
    }

    async fn answer(&self, response: Response<Incoming>, path: &str) -> Result<Value, ApiError> {
        let broken = |what: &dyn std::fmt::Display| {
            ApiError::Unreachable(format!("the engine at {} broke off: {what}", self.endpoint.url))
        };
        let status = response.status();
        let size_max = if is_list(path) { LIST_SIZE_MAX } else { ANSWER_SIZE_MAX };
        let body = Limited::new(response.into_body(), size_max).collect().await;
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(ApiError::Malformed(format!(
                    "the engine's answer to {path} is larger than {size_max} bytes"
                )));
            }
            Err(error) => return Err(broken(&error)),
        };
        if !status.is_success() {
            return Err(ApiError::Status(status.as_u16(), message(&body)));
        }
        serde_json::from_slice(&body).map_err(|e| {
            ApiError::Malformed(format!("the engine's answer to {path} is not JSON: {e}"))
        })
    }
}

/// The error that an answer other than success stands for.
async fn refusal(status: u16, response: Response<Incoming>, path: &str) -> ApiError {
    let body = Limited::new(response.into_body(), ANSWER_SIZE_MAX).collect().await;
    let said = body.map(|body| message(&body.to_bytes())).unwrap_or_default();
    ApiError::Status(status, if said.is_empty() { path.to_owned() } else { said })
}

/// A task that ends with the question it was made for, also when that runs into its time limit.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Api for HttpApi {
    fn ask<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Value, ApiError>> {
        Box::pin(async move {
            let path = call.path();
            let left = self
                .deadline
                .map_or(self.timeout, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(ApiError::TimedOut(format!(
                    "{path} was not asked: the engine took {} s for the questions before",
                    (self.timeout * TIMES_ALL).as_secs_f32()
                )));
            }
            let limit = self.timeout.min(left);
            tokio::time::timeout(limit, self.get(&path)).await.unwrap_or_else(|_| {
                Err(ApiError::TimedOut(format!(
                    "the engine did not answer {path} within {} s",
                    limit.as_secs_f32()
                )))
            })
        })
    }
}

/// Whether a path is that of a list of all things of a kind.
fn is_list(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.trim_matches('/').split('/').count() <= 1
        || path.ends_with("/json") && path.matches('/').count() == 2
}

/// The message of an error answer.
fn message(body: &[u8]) -> String {
    let text = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let start: String = text.trim().chars().take(MESSAGE_MAX).collect();
    crate::redact::text(&start)
}
