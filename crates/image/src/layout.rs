//! An OCI layout folder (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>) as a source of images.
//!
//! Every file is opened beneath the folder: a link may lead to another place inside, never out of it. Only regular
//! files are read. The `oci-layout` file and its version are not looked at: what the blobs are is told by their digests.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use futures_util::future::{BoxFuture, FutureExt};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use crate::blobs::{self, BlobError, Blobs, Bytes, Kind, Measured};
use crate::manifest::{self, Descriptor};

/// A layout folder.
#[derive(Debug)]
pub struct Layout {
    root: OwnedFd,
    /// As it was given; only for messages.
    place: String,
}

impl Layout {
    /// Opens the folder.
    ///
    /// # Errors
    /// It is none, or may not be read.
    pub fn open(path: &Path) -> Result<Self, BlobError> {
        let place = path.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(root) => Ok(Self { root, place }),
            Err(error) => Err(failed(place, error)),
        }
    }

    /// Opens a regular file. What it is, is looked at before it is opened for reading: opening a device can do things.
    fn file(&self, path: &str) -> Result<File, BlobError> {
        let place = format!("{}/{path}", self.place);
        let open = |flags| {
            let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let flags = flags | OFlags::CLOEXEC;
            rustix::fs::openat2(&self.root, path, flags, Mode::empty(), inside)
        };
        for flags in [OFlags::PATH, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY] {
            let file = open(flags).map_err(|error| failed(place.clone(), error))?;
            let stat = rustix::fs::fstat(&file).map_err(|error| failed(place.clone(), error))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(BlobError::Malformed { place, why: "is no regular file".into() });
            }
            if flags != OFlags::PATH {
                return Ok(File::from(file));
            }
        }
        Err(BlobError::NotFound { place })
    }

    /// Reads a small file.
    fn read(&self, path: &str, max: usize) -> Result<Vec<u8>, BlobError> {
        let limit = u64::try_from(max).unwrap_or(u64::MAX);
        let place = format!("{}/{path}", self.place);
        let mut bytes = Vec::new();
        let read = self.file(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| BlobError::Io { place: place.clone(), error })?;
        if bytes.len() > max {
            return Err(BlobError::TooLarge { place, limit });
        }
        Ok(bytes)
    }

    fn blob_path(&self, digest: &str) -> Result<String, BlobError> {
        blobs::check_digest(digest, &self.place)?;
        Ok(format!("blobs/{}", digest.replacen(':', "/", 1)))
    }

    fn layer_file(&self, descriptor: &Descriptor) -> Result<Bytes, BlobError> {
        let path = self.blob_path(&descriptor.digest)?;
        let file = tokio::fs::File::from_std(self.file(&path)?);
        Ok(Box::pin(Measured::new(Box::pin(file), descriptor)?))
    }
}

/// An error of the system; a link that leads out is named as such.
fn failed(place: String, error: rustix::io::Errno) -> BlobError {
    match error {
        rustix::io::Errno::NOENT => BlobError::NotFound { place },
        rustix::io::Errno::XDEV => {
            BlobError::Malformed { place, why: "is a link that leads out of the folder".into() }
        }
        error => BlobError::Io { place, error: io::Error::from(error) },
    }
}

impl Blobs for Layout {
    fn top(&self) -> BoxFuture<'_, Result<(Vec<u8>, String), BlobError>> {
        let bytes = self.read("index.json", manifest::SIZE_MAX);
        std::future::ready(bytes.map(|bytes| {
            let digest = blobs::digest_like("sha256:", &bytes);
            (bytes, digest)
        }))
        .boxed()
    }

    fn document<'a>(
        &'a self,
        kind: Kind,
        digest: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        let read = || {
            let path = self.blob_path(digest)?;
            let bytes = self.read(&path, kind.size_max())?;
            blobs::verify(digest, &bytes, &format!("{}/{path}", self.place))?;
            Ok(bytes)
        };
        std::future::ready(read()).boxed()
    }

    fn layer<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        std::future::ready(self.layer_file(descriptor)).boxed()
    }
}

#[cfg(test)]
mod tests;
