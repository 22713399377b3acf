//! Webhook: each alert and action as JSON, with `POST`.
//!
//! Signed, if there is a key: `Haechi-Signature: sha256=HEX` is HMAC-SHA256 of `Haechi-Timestamp`, a full stop and the
//! body, so that neither can be forged nor sent again later. What the server cannot take now (no answer, 408, 429, 5xx)
//! is tried again, later each time; what it refuses otherwise is given up and counted, and so is a redirect, which could
//! take secrets elsewhere. Certificates are those of the system; proxies those of the environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url, redirect};
use sha2::Sha256;
use tokio::sync::{mpsc, watch};

use crate::metrics::{Metrics, Way};
use crate::secrets::Secrets;
use crate::trouble::Trouble;
use crate::{Message, OutputError, WAIT_FIRST, WAIT_LONGEST, Waiting, again};

/// How long connecting, and a whole request, may take.
const CONNECT: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);
/// Times that one message is tried: about ten minutes. A server that is away for longer costs what does not fit the queue.
const ATTEMPTS: u32 = 16;

/// A webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its address, `https://…` or `http://…`; none if the file with secrets has it.
    pub url: Option<String>,
    /// File with secrets (TOML: `url`, `signing_key`, `[headers]`), which only its owner may read.
    pub secrets: Option<PathBuf>,
}

/// What is needed to send.
pub(crate) struct Sender {
    client: Client,
    url: Url,
    headers: HeaderMap,
    key: Option<Vec<u8>>,
}

/// What became of one attempt.
enum Attempt {
    Taken,
    Refused(StatusCode),
    Later(String, Option<Duration>),
}

impl Sender {
    pub(crate) fn new(config: &Webhook) -> Result<Self, OutputError> {
        let secrets = match &config.secrets {
            Some(path) => Secrets::read(path)?,
            None => Secrets::default(),
        };
        let wrong = |why: &str| OutputError::Webhook(why.to_owned());
        let url =
            secrets.url.as_ref().or(config.url.as_ref()).ok_or_else(|| wrong("there is none"))?;
        let url = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("another scheme, or no host"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &secrets.headers {
            let bad = || OutputError::Secrets {
                path: config.secrets.clone().unwrap_or_default(),
                why: format!("the header `{name}` cannot be sent"),
            };
            let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        // An error means that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("haechi/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(REQUEST);
        if url.scheme() == "http" {
            // Without TLS no certificates are needed, and a small image may have none.
            builder = builder.tls_certs_only([]);
        }
        if is_local(&url) {
            // A proxy is on the way to other machines.
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| OutputError::Webhook(error.without_url().to_string()))?;
        Ok(Self { client, url, headers, key: secrets.signing_key.map(String::into_bytes) })
    }

    async fn post(&self, kind: &'static str, body: &[u8]) -> Attempt {
        let at = Timestamp::now().as_second().to_string();
        let mut request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("Haechi-Event", kind)
            .header("Haechi-Timestamp", &at);
        if let Some(signature) = self.key.as_ref().and_then(|key| sign(key, &at, body)) {
            request = request.header("Haechi-Signature", format!("sha256={signature}"));
        }
        // The address may be a secret itself.
        let response = match request.body(body.to_vec()).send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Later(error.without_url().to_string(), None),
        };
        let status = response.status();
        if status.is_success() {
            return Attempt::Taken;
        }
        let later = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if !later {
            return Attempt::Refused(status);
        }
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        Attempt::Later(status.to_string(), asked)
    }
}

/// Sends what waits until there is nothing more to come.
pub(crate) async fn run(
    sender: Sender,
    queue: mpsc::Receiver<Arc<Message>>,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<bool>,
) {
    let mut waiting = Waiting::new(queue, metrics, Way::Webhook);
    let mut trouble = Trouble::new(1);
    while let Some(message) = waiting.next().await {
        let Some((kind, body)) = body(&message) else {
            waiting.dropped();
            continue;
        };
        let mut wait = WAIT_FIRST;
        let mut taken = false;
        for _ in 0..ATTEMPTS {
            match sender.post(kind, &body).await {
                Attempt::Taken => {
                    taken = true;
                    break;
                }
                Attempt::Refused(status) => {
                    if let Some(tries) = trouble.failed(Instant::now()) {
                        tracing::warn!(%status, tries, "the webhook refuses messages; they are dropped");
                    }
                    break;
                }
                Attempt::Later(why, asked) => {
                    if let Some(tries) = trouble.failed(Instant::now()) {
                        tracing::warn!(why, tries, "the webhook takes no messages; trying again");
                    }
                    if let Some(asked) = asked {
                        wait = wait.max(asked).min(WAIT_LONGEST);
                    }
                    again(&mut wait, &mut ended).await;
                }
            }
        }
        if taken {
            if let Some(tries) = trouble.worked() {
                tracing::warn!(tries, "the webhook takes messages again");
            }
            waiting.sent();
        } else {
            waiting.dropped();
        }
    }
}

fn body(message: &Message) -> Option<(&'static str, Vec<u8>)> {
    let (kind, body) = match message {
        Message::Alert(alert) => ("alert", serde_json::to_vec(alert)),
        Message::Action(action) => ("action", serde_json::to_vec(action)),
    };
    Some((kind, body.ok()?))
}

/// HMAC-SHA256 of time, full stop and body, in hexadecimal.
pub(crate) fn sign(key: &[u8], at: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(at.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_local(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        None => false,
    }
}
