//! The HTTP clients: the system's roots, Docker's certificates by host, time limits, redirects; and errors in words.

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Identity};

use super::Options;
use crate::blobs::BlobError;

/// Most time for a connection.
const CONNECT: Duration = Duration::from_secs(15);
/// Redirects in a row.
const REDIRECTS_MAX: usize = 5;
/// Largest file of certificates: a bundle of all roots has 250 kB.
const FILE_MAX: u64 = 2 << 20;
/// Deepest chain of causes that is shown.
const CAUSES_MAX: usize = 8;

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The registry itself. `lax`: its certificate is not verified.
    Registry { lax: bool },
    /// A token server on the registry's own host.
    OwnTokens { lax: bool },
    /// A token server elsewhere: nothing that was made for the registry applies to it.
    OtherTokens,
}

/// Makes a client. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY` …).
pub(super) fn client(host: &str, options: &Options, purpose: Use) -> Result<Client, BlobError> {
    // An error means that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (lax, own) = match purpose {
        Use::Registry { lax } | Use::OwnTokens { lax } => (lax, true),
        Use::OtherTokens => (false, false),
    };
    let redirects = match purpose {
        Use::Registry { .. } => Policy::custom(follow),
        // A redirect could take a refresh token elsewhere.
        _ => Policy::none(),
    };
    let mut builder = Client::builder()
        .user_agent(concat!("haechi/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .referer(false)
        .connect_timeout(CONNECT.min(options.timeout))
        .read_timeout(options.timeout)
        // Bytes are wanted as they are stored, or digests would be wrong.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd();
    if own {
        let folder = options.certs.join(host);
        let (roots, identity) = certificates(&folder)?;
        if !roots.is_empty() {
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
    }
    if super::is_local(host) {
        // A proxy is on the way to other machines.
        builder = builder.no_proxy();
    }
    if lax {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder
        .build()
        .map_err(|error| BlobError::Unreachable { place: host.to_owned(), why: cause(error) })
}

/// Redirects within limits, and never from TLS to none. reqwest drops `Authorization` on the way to another host.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error("too many redirects");
    }
    let was_safe = attempt.previous().iter().any(|url| url.scheme() == "https");
    if was_safe && attempt.url().scheme() != "https" {
        return attempt.error("a redirect from HTTPS to HTTP");
    }
    attempt.follow()
}

/// Roots (`*.crt`) and a client's certificate (`NAME.cert` with `NAME.key`) of Docker's folder for a host.
fn certificates(folder: &Path) -> Result<(Vec<Certificate>, Option<Identity>), BlobError> {
    let io = |place: &Path| {
        let place = place.display().to_string();
        move |error| BlobError::Io { place, error }
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
        Err(error) => return Err(io(folder)(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(io(folder))?;
    paths.sort();
    let (mut roots, mut identity) = (Vec::new(), None);
    for path in paths {
        let bad = |error: reqwest::Error| BlobError::Malformed {
            place: path.display().to_string(),
            why: cause(error),
        };
        match path.extension().and_then(|e| e.to_str()) {
            Some("crt") => {
                let pem = read(&path).map_err(io(&path))?;
                roots.extend(Certificate::from_pem_bundle(&pem).map_err(bad)?);
            }
            Some("cert") if identity.is_none() => {
                let mut pem = read(&path).map_err(io(&path))?;
                let key = path.with_extension("key");
                pem.push(b'\n');
                pem.extend(read(&key).map_err(io(&key))?);
                identity = Some(Identity::from_pem(&pem).map_err(bad)?);
            }
            _ => {}
        }
    }
    Ok((roots, identity))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error of a client: a connection that is not trusted, or one that is not there.
pub(super) fn failure(error: reqwest::Error, place: String, host: &str) -> BlobError {
    let is_tls = causes(&error).any(is_tls);
    let refused = error.is_redirect() || error.is_builder();
    let why = cause(error);
    if is_tls {
        BlobError::Tls { place, host: host.to_owned(), why }
    } else if refused {
        BlobError::Malformed { place, why }
    } else {
        BlobError::Unreachable { place, why }
    }
}

/// Whether a cause is TLS; `io::Error`s around it hide it from `source`.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(cause);
    for _ in 0..CAUSES_MAX {
        let Some(this) = cause else { break };
        if this.is::<rustls::Error>() {
            return true;
        }
        let inner = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inner.map(|inner| inner as &(dyn Error + 'static));
    }
    false
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source()).take(CAUSES_MAX)
}

/// An error with its causes, without the address: one that was redirected to may carry a secret.
pub(super) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    for cause in causes(&error) {
        let cause = cause.to_string();
        if !words.ends_with(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_recognised_behind_other_errors() {
        let tls = rustls::Error::General("x".into());
        assert!(is_tls(&io::Error::other(io::Error::other(tls))));
        assert!(!is_tls(&io::Error::other(io::Error::other("refused"))));
    }

    #[test]
    fn dockers_certificates_by_host() {
        let folder = tempfile::TempDir::new().unwrap();
        let (roots, identity) = certificates(&folder.path().join("none")).unwrap();
        assert!(roots.is_empty() && identity.is_none());
        fs::write(folder.path().join("client.cert"), "x").unwrap();
        let error = certificates(folder.path()).unwrap_err().to_string();
        assert!(error.contains("client.key"), "{error}");
        fs::write(folder.path().join("client.key"), "x").unwrap();
        let error = certificates(folder.path()).unwrap_err().to_string();
        assert!(error.contains("client.cert"), "{error}");
    }
}
