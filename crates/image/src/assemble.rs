//! Items of an archive become one image: which manifest, which configuration, which layers in which order.
//!
//! Pure. Every layer that the manifest names is there in the end; one that could not be had is empty and carries
//! the problem that says why.

use std::collections::HashMap;

use haechi_core::inventory::{Part, Problem, ProblemKind, ScanSubject};

use crate::archive::Item;
use crate::config::Config;
use crate::layer::LayerScan;
use crate::manifest::{self, Descriptor, Document};

/// Longest chain of links and of indexes in indexes.
const CHAIN_MAX: usize = 8;

/// An image ready to be merged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assembled {
    /// What is known about it.
    pub subject: ScanSubject,
    /// Its configuration.
    pub config: Config,
    /// Its layers, base first.
    pub layers: Vec<LayerScan>,
    /// Problems of the archive as a whole.
    pub problems: Vec<Problem>,
}

/// Why an archive gives no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    /// What was read is no archive of images at all.
    #[error("this is no archive of images")]
    NoArchive,
    /// It is none.
    #[error("{0}")]
    Invalid(String),
    /// Reading ended before the manifest came.
    #[error("{1}")]
    Stopped(ProblemKind, String),
}

impl From<manifest::BadManifest> for NoImage {
    fn from(error: manifest::BadManifest) -> Self {
        Self::Invalid(error.0)
    }
}

/// Everything that was read from an archive.
#[derive(Debug, Default)]
pub struct Contents {
    documents: HashMap<String, (String, Vec<u8>)>,
    layers: HashMap<String, LayerScan>,
    links: HashMap<String, String>,
    stop: Option<(ProblemKind, String)>,
    /// Whether the source broke off, or the worker did.
    cut: bool,
}

impl Contents {
    /// Takes an item. `known` gives a layer that was skipped.
    pub fn add(&mut self, item: Item, known: impl FnOnce(&str) -> Option<LayerScan>) {
        match item {
            Item::Layer(path, layer) => {
                self.layers.insert(path, *layer);
            }
            Item::Known(path, digest) => {
                if let Some(layer) = known(&digest) {
                    self.layers.insert(path, layer);
                }
            }
            Item::Document(path, digest, bytes) => {
                self.documents.insert(path, (digest, bytes));
            }
            Item::Link(path, target) => {
                self.links.insert(path, target);
            }
            Item::Stop(kind, detail) => self.stop = Some((kind, detail)),
        }
    }

    /// Takes that there was no more to take, for a cause that is not in the bytes.
    pub fn cut(&mut self, kind: ProblemKind, detail: String) {
        self.stop = Some((kind, detail));
        self.cut = true;
    }

    fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.layers.is_empty() && self.links.is_empty()
    }

    /// The layers that were read.
    pub fn layers(&self) -> impl Iterator<Item = &LayerScan> {
        self.layers.values()
    }

    /// A path with links followed.
    fn real<'a>(&'a self, path: &'a str) -> &'a str {
        let mut path = path;
        for _ in 0..CHAIN_MAX {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        path
    }

    fn document(&self, path: &str) -> Option<&(String, Vec<u8>)> {
        self.documents.get(self.real(path))
    }

    /// A document by digest; one with other bytes than its name says counts as not there.
    fn blob(&self, digest: &str) -> Result<&[u8], NoImage> {
        let (found, bytes) = self
            .document(&blob_path(digest))
            .ok_or_else(|| NoImage::Invalid(format!("the archive has no {digest}")))?;
        // Another algorithm than sha256 is not verified here, only found by name.
        if digest.starts_with("sha256:") && found != digest {
            let detail = format!("{digest} in the archive has the digest {found}");
            return Err(NoImage::Invalid(detail));
        }
        Ok(bytes)
    }

    /// Puts the image together. `wanted` is a reference or digest, if the archive has several images.
    ///
    /// # Errors
    /// There is no such image, or it cannot be understood.
    pub fn assemble(mut self, wanted: Option<&str>, platform: &str) -> Result<Assembled, NoImage> {
        let stop = self.stop.take();
        let assembled = if let Some((_, bytes)) = self.document("manifest.json") {
            self.docker(bytes, wanted)
        } else if let Some((_, bytes)) = self.document("index.json") {
            self.oci(bytes, wanted, platform)
        } else {
            Err(NoImage::NoArchive)
        };
        match (assembled, stop) {
            (Ok(mut assembled), Some((kind, detail))) => {
                assembled.problems.push(problem(kind, "archive", detail));
                Ok(assembled)
            }
            (Ok(assembled), None) => Ok(assembled),
            // Not one entry: these bytes are something else.
            (Err(NoImage::NoArchive), Some((ProblemKind::Corrupt | ProblemKind::Truncated, _)))
                if self.is_empty() && !self.cut =>
            {
                Err(NoImage::NoArchive)
            }
            // What is missing may be behind the place where reading ended.
            (Err(_), Some((kind, detail))) => Err(NoImage::Stopped(kind, detail)),
            (Err(error), None) => Err(error),
        }
    }

    fn docker(&self, json: &[u8], wanted: Option<&str>) -> Result<Assembled, NoImage> {
        let images = manifest::archive(json)?;
        let named: Vec<_> = match wanted {
            None => images.iter().collect(),
            Some(wanted) => images
                .iter()
                .filter(|image| {
                    image.tags.iter().any(|tag| is_name(tag, wanted))
                        || image.config.contains(digest_hex(wanted))
                })
                .collect(),
        };
        let [image] = named.as_slice() else {
            let names: Vec<&str> =
                images.iter().flat_map(|i| i.tags.iter().map(String::as_str)).take(20).collect();
            let how = if named.is_empty() {
                "there is no such image"
            } else {
                "there are several images"
            };
            return Err(NoImage::Invalid(format!(
                "{how} in the archive; it has: {}",
                names.join(", ")
            )));
        };
        let (digest, bytes) = self
            .document(&crate::path::normal(image.config.as_bytes()).unwrap_or_default())
            .ok_or_else(|| {
                NoImage::Invalid(format!("the archive has no configuration {}", image.config))
            })?;
        let config = Config::parse(bytes).map_err(NoImage::Invalid)?;
        let mut out = Assembled::default();
        out.subject.id.clone_from(digest);
        out.subject.tags.clone_from(&image.tags);
        out.subject.tags.sort();
        // An archive of today's engines is an OCI layout as well, which tells the manifest's digest.
        if let Some((_, index)) = self.document("index.json")
            && let Ok(Document::Index(manifests)) = manifest::document(index, "index.json")
            && let [one] = manifests.as_slice()
        {
            out.subject.digest.clone_from(&one.digest);
        }
        if image.layers.len() != config.diff_ids.len() {
            out.problems.push(problem(
                ProblemKind::Corrupt,
                "manifest.json",
                format!(
                    "it names {} layers, the configuration {}",
                    image.layers.len(),
                    config.diff_ids.len()
                ),
            ));
        }
        for (number, path) in image.layers.iter().enumerate() {
            let path = crate::path::normal(path.as_bytes()).unwrap_or_default();
            let diff_id = config.diff_ids.get(number).map(String::as_str);
            let layer = self.layers.get(self.real(&path));
            out.layers.push(checked(layer, &path, None, diff_id));
        }
        out.config = config;
        Ok(out)
    }

    fn oci(&self, json: &[u8], wanted: Option<&str>, platform: &str) -> Result<Assembled, NoImage> {
        let mut document = manifest::document(json, "index.json")?;
        let (mut wanted, mut digest, mut tags) = (wanted, String::new(), Vec::new());
        for _ in 0..CHAIN_MAX {
            let Document::Index(manifests) = &document else { break };
            let one = manifest::pick(manifests, wanted, platform)?;
            wanted = None;
            digest.clone_from(&one.digest);
            if !one.name.is_empty() {
                tags = vec![one.name.clone()];
            }
            document = manifest::document(self.blob(&one.digest)?, &one.digest)?;
        }
        let Document::Manifest { config, layers } = document else {
            return Err(NoImage::Invalid("indexes in indexes without end".into()));
        };
        let image = Config::parse(self.blob(&config.digest)?).map_err(NoImage::Invalid)?;
        let mut out =
            Assembled { problems: count_problem(&layers, &image), ..Assembled::default() };
        out.subject = ScanSubject { id: config.digest, digest, tags, ..ScanSubject::default() };
        for (number, layer) in layers.iter().enumerate() {
            let diff_id = image.diff_ids.get(number).map(String::as_str);
            let path = blob_path(&layer.digest);
            let scan = self.layers.get(self.real(&path));
            out.layers.push(match unsupported(layer) {
                Some(why) => missing(&layer.digest, ProblemKind::Unsupported, why),
                None => checked(scan, &layer.digest, Some(&layer.digest), diff_id),
            });
        }
        out.config = image;
        Ok(out)
    }
}

/// A problem if manifest and configuration do not agree on how many layers there are.
pub fn count_problem(layers: &[Descriptor], config: &Config) -> Vec<Problem> {
    if layers.len() == config.diff_ids.len() {
        return Vec::new();
    }
    let detail =
        format!("it names {} layers, the configuration {}", layers.len(), config.diff_ids.len());
    vec![problem(ProblemKind::Corrupt, "manifest", detail)]
}

/// Why a layer cannot be read whatever its bytes are.
pub fn unsupported(layer: &Descriptor) -> Option<String> {
    let kind = &layer.media_type;
    if kind.contains("encrypted") {
        Some("the layer is encrypted".into())
    } else if kind.contains("foreign") || kind.contains("nondistributable") {
        Some("the layer is kept elsewhere (foreign layer)".into())
    } else {
        None
    }
}

/// A layer with what its digests say about it.
pub fn checked(
    layer: Option<&LayerScan>,
    place: &str,
    blob: Option<&str>,
    diff_id: Option<&str>,
) -> LayerScan {
    let Some(layer) = layer else {
        return missing(place, ProblemKind::Absent, "the layer is not there".into());
    };
    let mut layer = layer.clone();
    // Without a digest of its own it broke off, and says so already.
    if !layer.diff_id.is_empty() {
        for (stated, real) in [(blob, &layer.blob), (diff_id, &layer.diff_id)] {
            if let Some(stated) = stated
                && stated.starts_with("sha256:")
                && !real.is_empty()
                && stated != real
            {
                let detail = format!("the layer should be {stated} and is {real}");
                layer.problems.push(problem(ProblemKind::DigestMismatch, place, detail));
            }
        }
    }
    layer
}

/// A layer that could not be had.
pub fn missing(place: &str, kind: ProblemKind, detail: String) -> LayerScan {
    LayerScan { problems: vec![problem(kind, place, detail)], ..LayerScan::default() }
}

/// A problem that makes everything doubtful.
pub fn problem(kind: ProblemKind, place: &str, detail: String) -> Problem {
    Problem { kind, place: place.to_owned(), layer: None, detail, affects: Part::ALL.to_vec() }
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn digest_hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// Whether a tag is the wanted reference: as written, or with Docker's defaults left out.
pub fn is_name(tag: &str, wanted: &str) -> bool {
    let short = |name: &str| {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        let name = name.strip_prefix("library/").unwrap_or(name).to_owned();
        if name.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            name
        } else {
            format!("{name}:latest")
        }
    };
    short(tag) == short(wanted)
}
