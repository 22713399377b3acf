//! Where the parts of one image come from: the trait that a registry and a layout folder share, and its errors.
//!
//! Whatever comes through here has been checked against the digest and the size that name it; for layers with a
//! sha256 digest the worker does that while it reads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256, Sha512};
use tokio::io::{AsyncRead, ReadBuf};

use crate::hash::hex;
use crate::manifest::{self, Descriptor};
use crate::{config, decode};

/// The bytes of a layer as they are stored.
pub type Bytes = Pin<Box<dyn AsyncRead + Send>>;

/// Where the parts of one image come from.
pub trait Blobs: Send + Sync {
    /// The document that the reference means (index or manifest): its bytes and digest, verified where it is known.
    fn top(&self) -> BoxFuture<'_, Result<(Vec<u8>, String), BlobError>>;

    /// A document by digest, verified.
    fn document<'a>(
        &'a self,
        kind: Kind,
        digest: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>>;

    /// A layer's bytes as they are stored. Reading fails where they are more or fewer than the descriptor says, or
    /// break off; see [`Measured`] for the digest.
    fn layer<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Bytes, BlobError>>;

    /// References that the image has by where it comes from.
    fn tags(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An index or a manifest.
    Manifest,
    /// A configuration.
    Config,
}

impl Kind {
    /// Most bytes that such a document may have.
    pub fn size_max(self) -> usize {
        match self {
            Self::Manifest => manifest::SIZE_MAX,
            Self::Config => config::SIZE_MAX,
        }
    }
}

/// Why a part of an image cannot be had. `place` is a reference, an address or a file.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there.
    #[error("{place}: not found")]
    NotFound {
        /// Where.
        place: String,
    },
    /// The registry does not let us.
    #[error("{place}: the registry refuses access ({why}); log in with `docker login {host}`")]
    Unauthorised {
        /// Where.
        place: String,
        /// The registry.
        host: String,
        /// What it said.
        why: String,
    },
    /// Credentials are configured and cannot be had.
    #[error("{place}: {why}")]
    Credentials {
        /// The configuration or the helper.
        place: String,
        /// Why.
        why: String,
    },
    /// No answer, or one that says "later".
    #[error("{place}: unreachable: {why}")]
    Unreachable {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
    /// The other end is not trusted.
    #[error(
        "{place}: no trusted connection: {why}; certificates for this registry belong into /etc/docker/certs.d/{host} \
         (its CA: ca.crt; a client's: client.cert, client.key)"
    )]
    Tls {
        /// Where.
        place: String,
        /// The registry.
        host: String,
        /// Why.
        why: String,
    },
    /// More bytes than stated or allowed.
    #[error("{place}: more than {limit} bytes")]
    TooLarge {
        /// Where.
        place: String,
        /// What is allowed, bytes.
        limit: u64,
    },
    /// Other bytes than asked for.
    #[error("{place}: should have the digest {wanted} and has {found}")]
    Digest {
        /// Where.
        place: String,
        /// What was asked for.
        wanted: String,
        /// What came.
        found: String,
    },
    /// It cannot be read.
    #[error("{place}: {error}")]
    Io {
        /// Where.
        place: String,
        /// Why. It is in the message, so it is no further cause.
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("{place}: {why}")]
    Malformed {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
}

/// The digest of bytes, by the algorithm of another digest (sha256 unless that is sha512).
pub fn digest_like(digest: &str, bytes: &[u8]) -> String {
    if digest.starts_with("sha512:") {
        format!("sha512:{}", hex(&Sha512::digest(bytes)))
    } else {
        format!("sha256:{}", hex(&Sha256::digest(bytes)))
    }
}

/// Checks bytes against the digest that names them.
///
/// # Errors
/// It is no digest, or another one.
pub fn verify(digest: &str, bytes: &[u8], place: &str) -> Result<(), BlobError> {
    check_digest(digest, place)?;
    let found = digest_like(digest, bytes);
    if found == digest {
        return Ok(());
    }
    Err(BlobError::Digest { place: place.to_owned(), wanted: digest.to_owned(), found })
}

/// Refuses what is no digest, before it becomes part of a path or an address.
///
/// # Errors
/// It is none.
pub fn check_digest(digest: &str, place: &str) -> Result<(), BlobError> {
    if manifest::is_digest(digest) {
        return Ok(());
    }
    let why = format!("`{digest:.80}` is no digest that Haechi knows (sha256, sha512)");
    Err(BlobError::Malformed { place: place.to_owned(), why })
}

/// Most bytes of a layer: what its descriptor says, or what is read of any layer if it says nothing.
///
/// # Errors
/// It says more than is read of any layer.
pub fn layer_max(descriptor: &Descriptor) -> Result<u64, BlobError> {
    if descriptor.size > decode::SIZE_MAX {
        return Err(BlobError::TooLarge {
            place: descriptor.digest.clone(),
            limit: decode::SIZE_MAX,
        });
    }
    Ok(if descriptor.size == 0 { decode::SIZE_MAX } else { descriptor.size })
}

/// A layer's bytes, held to the size of their descriptor; and to the digest if it is a sha512, which the worker does
/// not verify.
pub struct Measured {
    source: Bytes,
    descriptor: Descriptor,
    max: u64,
    count: u64,
    hasher: Option<Sha512>,
    ended: bool,
}

impl Measured {
    /// Around a source of bytes.
    ///
    /// # Errors
    /// The descriptor states more than is read of any layer.
    pub fn new(source: Bytes, descriptor: &Descriptor) -> Result<Self, BlobError> {
        Ok(Self {
            source,
            max: layer_max(descriptor)?,
            descriptor: descriptor.clone(),
            count: 0,
            hasher: descriptor.digest.starts_with("sha512:").then(Sha512::new),
            ended: false,
        })
    }

    /// What is wrong at the end.
    fn end(&mut self) -> io::Result<()> {
        let (count, digest) = (self.count, &self.descriptor.digest);
        if count < self.descriptor.size {
            let why = format!("{digest} ends after {count} of {} bytes", self.descriptor.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        if let Some(hasher) = self.hasher.take() {
            let found = format!("sha512:{}", hex(&hasher.finalize()));
            if found != *digest {
                let why = format!("{digest} has the digest {found}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
        Ok(())
    }
}

impl AsyncRead for Measured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(self.source.as_mut().poll_read(context, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            self.ended = true;
            return Poll::Ready(self.end());
        }
        self.count = self.count.saturating_add(u64::try_from(new.len()).unwrap_or(u64::MAX));
        if let Some(hasher) = &mut self.hasher {
            hasher.update(new);
        }
        if self.count > self.max {
            let why = format!("{} has more than {} bytes", self.descriptor.digest, self.max);
            // Who fails has given nothing.
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn read(bytes: &'static [u8], digest: String, size: u64) -> io::Result<Vec<u8>> {
        let descriptor = Descriptor { digest, size, ..Descriptor::default() };
        let mut out = Vec::new();
        Measured::new(Box::pin(bytes), &descriptor).unwrap().read_to_end(&mut out).await?;
        Ok(out)
    }

    #[tokio::test]
    async fn a_layer_is_held_to_its_descriptor() {
        let right = digest_like("sha512:", b"layer");
        assert_eq!(read(b"layer", right.clone(), 5).await.unwrap(), b"layer");
        assert_eq!(read(b"layer", right.clone(), 0).await.unwrap(), b"layer");
        assert!(
            read(b"layer", right.clone(), 4).await.unwrap_err().to_string().contains("more than 4")
        );
        assert!(read(b"layer", right.clone(), 6).await.unwrap_err().to_string().contains("5 of 6"));
        assert!(read(b"Layer", right, 5).await.unwrap_err().to_string().contains("has the digest"));
        let huge = Descriptor { size: u64::MAX, ..Descriptor::default() };
        assert!(matches!(layer_max(&huge), Err(BlobError::TooLarge { .. })));
    }

    #[test]
    fn digests_are_verified() {
        for like in ["sha256:", "sha512:"] {
            let digest = digest_like(like, b"x");
            assert!(verify(&digest, b"x", "p").is_ok());
            assert!(matches!(verify(&digest, b"y", "p"), Err(BlobError::Digest { .. })));
        }
        assert!(matches!(verify("md5:00", b"x", "p"), Err(BlobError::Malformed { .. })));
        assert!(matches!(verify("sha256:../..", b"x", "p"), Err(BlobError::Malformed { .. })));
    }
}
