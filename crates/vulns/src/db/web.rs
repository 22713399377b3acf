//! Fetches files over HTTP: only if they have changed, again from where it broke off, and not too fast.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Response, StatusCode, header};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::DbError;
use super::update::Progress;

/// Longest download: the largest known (OSV, all ecosystems) is below 2 GB.
const MAX_DOWNLOAD: u64 = 8 << 30;
/// Times that a download is begun or taken up again.
const ATTEMPTS: u32 = 5;
/// Longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// What a server says of a file, to be asked later whether it has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: String,
    /// `Last-Modified`.
    pub last_modified: String,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The file is there.
    New(Validators),
    /// It has not changed.
    Same,
    /// The server does not have it.
    Absent,
}

/// The way to publishers or a mirror.
pub struct Web {
    client: Client,
    first_wait: Duration,
}

impl Web {
    /// To the publishers, or to the mirror at this address.
    ///
    /// # Errors
    /// The system has no certificates, or the proxy settings of the environment are wrong.
    pub fn new(mirror: Option<&str>) -> Result<Self, DbError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // If the program has chosen one already, that one is used.
            let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        });
        let mut builder = Client::builder()
            .user_agent(concat!("haechi/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(Duration::from_secs(60));
        match mirror {
            None => builder = builder.https_only(true),
            // A mirror without TLS needs no certificates, and a small image may have none.
            Some(base) if base.starts_with("http://") => builder = builder.tls_certs_only([]),
            Some(_) => {}
        }
        let client = builder.build().map_err(|e| refused("the connection cannot be set up", &e))?;
        let first_wait =
            if mirror.is_some() { Duration::from_millis(200) } else { Duration::from_secs(6) };
        Ok(Self { client, first_wait })
    }

    /// Fetches a file, if it is another than `known`.
    ///
    /// # Errors
    /// It cannot be fetched, after several attempts; or written.
    pub async fn file(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        known: &Validators,
        into: &Path,
        progress: &dyn Progress,
    ) -> Result<Fetched, DbError> {
        let mut begun = Validators::default();
        let mut why = String::new();
        for attempt in 0..ATTEMPTS {
            let have = tokio::fs::metadata(into).await.map(|m| m.len()).unwrap_or_default();
            let have = if attempt == 0 { 0 } else { have };
            let mut request = self.client.get(url);
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            if !known.etag.is_empty() {
                request = request.header(header::IF_NONE_MATCH, &known.etag);
            } else if !known.last_modified.is_empty() {
                request = request.header(header::IF_MODIFIED_SINCE, &known.last_modified);
            }
            // A weak tag does not promise the same bytes (RFC 9110 §13.1.5).
            let same = if begun.etag.is_empty() || begun.etag.starts_with("W/") {
                &begun.last_modified
            } else {
                &begun.etag
            };
            let resumes = have > 0 && !same.is_empty();
            if resumes {
                request = request
                    .header(header::RANGE, format!("bytes={have}-"))
                    .header(header::IF_RANGE, same);
            }
            let mut wait = self.first_wait.saturating_mul(1 << attempt);
            match request.send().await {
                Err(error) => why = cause(&error),
                Ok(answer) => {
                    let status = answer.status();
                    match status {
                        StatusCode::NOT_MODIFIED => return Ok(Fetched::Same),
                        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Fetched::Absent),
                        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                            let appends = status == StatusCode::PARTIAL_CONTENT;
                            let place = text(&answer, header::CONTENT_RANGE.as_str());
                            if appends && !(resumes && place.starts_with(&format!("bytes {have}-")))
                            {
                                return Err(DbError::Refused(format!(
                                    "{url}: answered with a part that was not asked for"
                                )));
                            }
                            if !appends {
                                begun = validators(&answer);
                            }
                            match save(answer, into, if appends { have } else { 0 }, url, progress)
                                .await?
                            {
                                None => return Ok(Fetched::New(begun)),
                                Some(broken) => why = broken,
                            }
                        }
                        StatusCode::RANGE_NOT_SATISFIABLE => {
                            begun = Validators::default();
                            why = "the file changed while it was fetched".to_owned();
                        }
                        // NVD answers 403 to those who ask too often.
                        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                            wait = asked_to_wait(&answer).unwrap_or(wait);
                            why = format!("answered {status}");
                        }
                        status if status.is_server_error() => {
                            wait = asked_to_wait(&answer).unwrap_or(wait);
                            why = format!("answered {status}");
                        }
                        status => {
                            return Err(DbError::Refused(format!("{url}: answered {status}")));
                        }
                    }
                }
            }
            if attempt + 1 < ATTEMPTS {
                tracing::info!(url, why, "asks again");
                tokio::time::sleep(wait).await;
            }
        }
        Err(DbError::Refused(format!("{url}: {why} (after {ATTEMPTS} attempts)")))
    }
}

/// Writes a body from a place on; what broke it off, if it did.
async fn save(
    answer: Response,
    into: &Path,
    from: u64,
    url: &str,
    progress: &dyn Progress,
) -> Result<Option<String>, DbError> {
    let failed = |e: std::io::Error| DbError::Write(into.to_owned(), e.to_string());
    let total = answer.content_length().map(|rest| from.saturating_add(rest));
    let mut file: File = if from > 0 {
        OpenOptions::new().append(true).open(into).await.map_err(failed)?
    } else {
        File::create(into).await.map_err(failed)?
    };
    let mut done = from;
    let mut body = answer.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                file.flush().await.map_err(failed)?;
                return Ok(Some(format!("broke off after {done} bytes: {}", cause(&error))));
            }
        };
        done += chunk.len() as u64;
        if done > MAX_DOWNLOAD {
            return Err(DbError::Refused(format!("{url}: longer than {MAX_DOWNLOAD} bytes")));
        }
        file.write_all(&chunk).await.map_err(failed)?;
        progress.at(url, done, total);
    }
    file.flush().await.map_err(failed)?;
    Ok(None)
}

fn validators(answer: &Response) -> Validators {
    Validators {
        etag: text(answer, header::ETAG.as_str()),
        last_modified: text(answer, header::LAST_MODIFIED.as_str()),
    }
}

fn text(answer: &Response, name: &str) -> String {
    answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

fn asked_to_wait(answer: &Response) -> Option<Duration> {
    let seconds = text(answer, header::RETRY_AFTER.as_str()).parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

/// An error with what is behind it; reqwest's own words leave that out.
fn cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

fn refused(what: &str, error: &reqwest::Error) -> DbError {
    DbError::Refused(format!("{what}: {}", cause(error)))
}
