//! From a source of [`Blobs`] to a [`Scan`]: picks the image, gets its layers, puts together what the workers give.
//!
//! A layer that cannot be had is in the result, empty and with the problem that says why; the rest goes on. Only an
//! image whose manifest or configuration cannot be had is an error.

use std::io;

use futures_util::stream::{self, StreamExt};
use haechi_core::inventory::{ProblemKind, Scan, ScanSubject};
use tokio::time::{Instant, timeout_at};

use crate::assemble;
use crate::blobs::{BlobError, Blobs, Kind};
use crate::config::Config;
use crate::layer::LayerScan;
use crate::manifest::{self, Descriptor, Document};
use crate::merge::merge;
use crate::open::{self, Options, ScanError};
use crate::worker::Input;

/// Most indexes in one another.
const DEPTH_MAX: usize = 8;
/// Most layers: engines stop at 127, and each costs a worker.
const LAYERS_MAX: usize = 1000;
/// Workers at once: each may use much memory.
const WORKERS: usize = 2;

/// One image, chosen, without its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Digest of its manifest.
    pub digest: String,
    /// Digest of its configuration.
    pub id: String,
    /// References that an index gives it.
    pub tags: Vec<String>,
    /// Its configuration.
    pub config: Config,
    /// Its layers, base first.
    pub layers: Vec<Descriptor>,
}

/// Scans an image. `wanted` is its name or digest where the source has several; `place` names the source.
///
/// # Errors
/// There is no such image, its manifest or configuration cannot be had, or no worker can be started.
pub async fn scan(
    blobs: &dyn Blobs,
    place: &str,
    wanted: Option<&str>,
    options: &Options,
) -> Result<Scan, ScanError> {
    let deadline = Instant::now() + options.timeout;
    let late = |_| ScanError::Io {
        place: place.to_owned(),
        error: io::Error::new(
            io::ErrorKind::TimedOut,
            format!("not read within {} s", options.timeout.as_secs()),
        ),
    };
    let image = timeout_at(deadline, choose(blobs, place, wanted, &options.platform))
        .await
        .map_err(late)??;
    let mut jobs = Vec::with_capacity(image.layers.len());
    for (number, descriptor) in image.layers.iter().enumerate() {
        let diff_id = image.config.diff_ids.get(number).map(String::as_str);
        jobs.push(Job { blobs, descriptor, diff_id, options, deadline });
    }
    let done: Vec<_> = stream::iter(jobs).map(Job::run).buffered(WORKERS).collect().await;
    let layers = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut tags = image.tags;
    tags.extend(blobs.tags());
    tags.sort();
    tags.dedup();
    let subject = ScanSubject {
        kind: "image".into(),
        reference: wanted.unwrap_or(place).to_owned(),
        id: image.id,
        digest: image.digest,
        tags,
        ..ScanSubject::default()
    };
    let mut scan = merge(&layers, Some(&image.config), subject);
    scan.problems.extend(assemble::count_problem(&image.layers, &image.config));
    scan.problems.sort();
    Ok(scan)
}

/// Finds the image's manifest and configuration.
///
/// # Errors
/// There is none, or it cannot be had.
pub async fn choose(
    blobs: &dyn Blobs,
    place: &str,
    wanted: Option<&str>,
    platform: &str,
) -> Result<Chosen, ScanError> {
    let none =
        |why: String| ScanError::NoImage { place: place.to_owned(), why: beyond(place, &why) };
    let (bytes, mut digest) = blobs.top().await.map_err(|error| failed(place, error))?;
    let mut document = manifest::document(&bytes, place).map_err(|e| none(e.0))?;
    let (mut wanted, mut tags) = (wanted, Vec::new());
    for depth in 0..DEPTH_MAX {
        let Document::Index(manifests) = &document else { break };
        let one = manifest::pick(manifests, wanted, platform).map_err(|e| none(e.0))?;
        // Only the outermost index gives names to images.
        wanted = None;
        if depth == 0 && !one.name.is_empty() {
            tags = vec![one.name.clone()];
        }
        digest.clone_from(&one.digest);
        let bytes = blobs.document(Kind::Manifest, &digest).await;
        let bytes = bytes.map_err(|error| failed(place, error))?;
        document = manifest::document(&bytes, &digest).map_err(|e| none(e.0))?;
    }
    let Document::Manifest { config, layers } = document else {
        return Err(none(format!("more than {DEPTH_MAX} indexes in one another")));
    };
    if layers.len() > LAYERS_MAX {
        return Err(none(format!("{} layers; at most {LAYERS_MAX} are read", layers.len())));
    }
    let bytes = blobs.document(Kind::Config, &config.digest).await;
    let bytes = bytes.map_err(|error| failed(place, error))?;
    let id = config.digest;
    let config = Config::parse(&bytes).map_err(|why| none(format!("{id}: {why}")))?;
    Ok(Chosen { digest, id, tags, config, layers })
}

/// What a message says besides the place with which it begins: the place is said anyway.
fn beyond(place: &str, message: &str) -> String {
    let rest = message.strip_prefix(place).unwrap_or(message);
    rest.trim_start_matches([' ', '/', ':']).to_owned()
}

/// No scan without manifest and configuration.
fn failed(place: &str, error: BlobError) -> ScanError {
    let place = place.to_owned();
    let why = beyond(&place, &error.to_string());
    match error {
        BlobError::NotFound { .. } | BlobError::Malformed { .. } | BlobError::Digest { .. } => {
            ScanError::NoImage { place, why }
        }
        _ => ScanError::Io { place, error: io::Error::other(why) },
    }
}

/// One layer to be had.
struct Job<'a> {
    blobs: &'a dyn Blobs,
    descriptor: &'a Descriptor,
    diff_id: Option<&'a str>,
    options: &'a Options,
    deadline: Instant,
}

impl Job<'_> {
    /// The layer: from the cache, or from its bytes.
    async fn run(self) -> Result<LayerScan, ScanError> {
        let place = &self.descriptor.digest;
        if let Some(why) = assemble::unsupported(self.descriptor) {
            return Ok(assemble::missing(place, ProblemKind::Unsupported, why));
        }
        if let Some(diff_id) = self.diff_id
            && let Some(layer) = self.options.known(diff_id)
        {
            // What was kept may have been packed in another way, so its blob's digest says nothing.
            return Ok(assemble::checked(Some(&layer), place, None, Some(diff_id)));
        }
        match timeout_at(self.deadline, self.read()).await {
            Ok(layer) => layer,
            Err(_) => {
                let why = format!("not read within {} s", self.options.timeout.as_secs());
                Ok(assemble::missing(place, ProblemKind::TimedOut, why))
            }
        }
    }

    async fn read(&self) -> Result<LayerScan, ScanError> {
        let place = &self.descriptor.digest;
        let source = match self.blobs.layer(self.descriptor).await {
            Ok(source) => source,
            Err(error) => {
                return Ok(assemble::missing(place, problem_kind(&error), error.to_string()));
            }
        };
        let layer = open::layer(Input::Layer, place, source, self.options).await?;
        Ok(assemble::checked(Some(&layer), place, Some(place), self.diff_id))
    }
}

/// What a layer that cannot be had is in a scan.
fn problem_kind(error: &BlobError) -> ProblemKind {
    match error {
        BlobError::TooLarge { .. } => ProblemKind::Limit,
        BlobError::Digest { .. } => ProblemKind::DigestMismatch,
        BlobError::Malformed { .. } => ProblemKind::Corrupt,
        _ => ProblemKind::Absent,
    }
}

#[cfg(test)]
mod tests;
