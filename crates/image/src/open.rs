//! From where an image is to a [`Scan`]: starts workers, pumps bytes into them, and puts together what comes back.
//!
//! This is the parent's side. It reads manifests and configurations (small documents, with limits) but no layer. An
//! image whose worker ends unexpectedly is still a result, with the problem that says so; only what is no image at all
//! is an error.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use haechi_core::inventory::{INVENTORY_SCHEMA, Part, Problem, ProblemKind, Scan, ScanSubject};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::archive::Item;
use crate::assemble::{Contents, NoImage, missing, problem};
use crate::cache::Cache;
use crate::layer::{Depth, LayerScan};
use crate::merge::merge;
use crate::worker::{self, Input, Order};

/// Bytes pumped at once.
const STEP: usize = 256 << 10;
/// What a worker says on stderr is kept up to here.
const WORDS_MAX: u64 = 2000;

/// Where package managers keep what is installed, and what names the distribution.
const DATABASES: [&str; 10] = [
    "etc/os-release",
    "usr/lib/os-release",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d",
    "lib/apk/db",
    "usr/lib/apk/db",
    "var/lib/rpm",
    "usr/lib/sysimage/rpm",
    "usr/share/rpm",
    "etc/redhat-release",
];

/// How images are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that is the worker: this very one.
    pub program: PathBuf,
    /// Known layers.
    pub cache: Option<Cache>,
    /// The site's YARA rules.
    pub yara: Option<PathBuf>,
    /// For a folder: only these paths and what is below them; all if empty.
    pub only: Vec<String>,
    /// Whether lock files count as packages.
    pub lock_files: bool,
    /// How much is looked at.
    pub depth: Depth,
    /// `os/architecture` to take where there are several.
    pub platform: String,
    /// Most time for one image.
    pub timeout: Duration,
}

impl Options {
    /// A layer that was read before, at least as deep.
    pub fn known(&self, diff_id: &str) -> Option<LayerScan> {
        self.cache.as_ref()?.get(diff_id, self.depth)
    }
}

/// Why there is no scan.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// What was given is no archive of images.
    #[error("{0}: this is no archive of images")]
    NoArchive(String),
    /// What was given is no image, or not the one that was asked for.
    #[error("{place}: {why}")]
    NoImage {
        /// File, folder or reference.
        place: String,
        /// Why.
        why: String,
    },
    /// It cannot be read.
    #[error("{place} cannot be read: {error}")]
    Io {
        /// File, folder or reference.
        place: String,
        /// Why. It is in the message, so it is no further cause.
        error: io::Error,
    },
    /// The worker cannot be started.
    #[error("the worker that reads images cannot be started: {0}")]
    Worker(io::Error),
}

/// What one worker gave.
struct Work {
    items: Vec<Item>,
    /// Why it ended early.
    broken: Option<(ProblemKind, String)>,
}

/// An archive of images (docker save, OCI layout as tar; plain, gzip or zstd), from a file or a connection.
///
/// # Errors
/// It is no archive of images, or `wanted` is not in it.
pub async fn archive(
    source: impl AsyncRead + Unpin + Send,
    place: &str,
    wanted: Option<&str>,
    known: Vec<String>,
    options: &Options,
) -> Result<Scan, ScanError> {
    let known = known.into_iter().collect();
    assembled(contents(Input::Archive, source, known, options).await?, place, wanted, options)
}

/// An archive of images in a file. The worker reads it by itself, and layers that are known are not looked into again.
///
/// # Errors
/// The file cannot be read, it is no archive of images, or `wanted` is not in it.
pub async fn archive_file(
    path: &Path,
    wanted: Option<&str>,
    options: &Options,
) -> Result<Scan, ScanError> {
    let place = path.display().to_string();
    let io = |error| ScanError::Io { place: place.clone(), error };
    let file = tokio::fs::File::open(path).await.map_err(io)?;
    let real = std::fs::canonicalize(path).ok().filter(|real| real.is_file());
    let known = options.cache.as_ref().map(|cache| cache.list(options.depth)).unwrap_or_default();
    let contents = match real.filter(|real| real.to_str().is_some()) {
        Some(real) => contents(Input::File(real), tokio::io::empty(), known, options).await?,
        // A pipe, or a name that an order cannot hold.
        None => contents(Input::Archive, file, known, options).await?,
    };
    assembled(contents, &place, wanted, options)
}

fn assembled(
    contents: Contents,
    place: &str,
    wanted: Option<&str>,
    options: &Options,
) -> Result<Scan, ScanError> {
    match contents.assemble(wanted, &options.platform) {
        Ok(image) => {
            let subject = ScanSubject {
                kind: "image".into(),
                reference: wanted.unwrap_or(place).to_owned(),
                ..image.subject
            };
            let mut scan = merge(&image.layers, Some(&image.config), subject);
            scan.problems.extend(image.problems);
            scan.problems.sort();
            Ok(scan)
        }
        Err(NoImage::NoArchive) => Err(ScanError::NoArchive(place.to_owned())),
        Err(NoImage::Invalid(why)) => Err(ScanError::NoImage { place: place.to_owned(), why }),
        Err(NoImage::Stopped(kind, why)) => Ok(broken(place, kind, why)),
    }
}

/// The layers of the one image in an archive, base first.
///
/// # Errors
/// It is no archive of images.
pub async fn archive_layers(
    source: impl AsyncRead + Unpin + Send,
    place: &str,
    options: &Options,
) -> Result<Vec<LayerScan>, ScanError> {
    match contents(Input::Archive, source, HashSet::new(), options)
        .await?
        .assemble(None, &options.platform)
    {
        Ok(image) => Ok(image.layers),
        Err(NoImage::NoArchive) => Err(ScanError::NoArchive(place.to_owned())),
        Err(NoImage::Invalid(why)) => Err(ScanError::NoImage { place: place.to_owned(), why }),
        Err(NoImage::Stopped(kind, why)) => Ok(vec![missing(place, kind, why)]),
    }
}

async fn contents(
    input: Input,
    source: impl AsyncRead + Unpin + Send,
    known: HashSet<String>,
    options: &Options,
) -> Result<Contents, ScanError> {
    let work = work(input, known, source, options).await?;
    let mut contents = Contents::default();
    for item in work.items {
        if let (Item::Layer(_, layer), Some(cache)) = (&item, &options.cache) {
            keep(cache, layer);
        }
        contents.add(item, |digest| options.known(digest));
    }
    if let Some((kind, detail)) = work.broken {
        contents.cut(kind, detail);
    }
    Ok(contents)
}

/// The scan of something of which nothing could be read.
pub fn broken(place: &str, kind: ProblemKind, why: String) -> Scan {
    Scan {
        schema: INVENTORY_SCHEMA.into(),
        subject: ScanSubject {
            kind: "image".into(),
            reference: place.to_owned(),
            ..ScanSubject::default()
        },
        problems: vec![problem(kind, place, why)],
        ..Scan::default()
    }
}

/// An unpacked root file system.
///
/// # Errors
/// The folder cannot be read.
pub async fn folder(path: &Path, options: &Options) -> Result<Scan, ScanError> {
    let place = path.display().to_string();
    let io = |error| ScanError::Io { place: place.clone(), error };
    let real = std::fs::canonicalize(path).map_err(io)?;
    if !real.is_dir() {
        return Err(ScanError::NoImage { place, why: "is no folder".into() });
    }
    let layer = layer(Input::Folder(real), &place, tokio::io::empty(), options).await?;
    let subject =
        ScanSubject { kind: "rootfs".into(), reference: place.clone(), ..ScanSubject::default() };
    let mut scan = merge(&[layer], None, subject);
    without_layers(&mut scan);
    // Another folder than was meant, or a mount that failed, must not look like a clean system.
    if scan.packages.is_empty() && scan.distro.is_none() {
        let why = "neither a package nor the name of a distribution: is it the root of a system?";
        scan.problems.push(Problem {
            affects: vec![Part::Packages],
            ..problem(ProblemKind::UnknownDistro, &place, why.to_owned())
        });
    }
    Ok(scan)
}

/// A folder has no layers: what was found in it names none.
fn without_layers(scan: &mut Scan) {
    scan.layers.clear();
    scan.packages.iter_mut().for_each(|one| one.layer = None);
    scan.setid_files.iter_mut().for_each(|one| one.layer = None);
    scan.world_writable.iter_mut().for_each(|one| one.layer = None);
    scan.altered_files.iter_mut().for_each(|one| one.layer = None);
    scan.secrets.iter_mut().for_each(|one| one.layer = None);
    scan.malware.iter_mut().for_each(|one| one.layer = None);
    scan.weak_sources.iter_mut().for_each(|one| one.layer = None);
    scan.problems.iter_mut().for_each(|one| one.layer = None);
}

/// Only the package databases of a root file system: a host's own packages, without reading all its files.
///
/// # Errors
/// The folder cannot be read.
pub async fn databases(root: &Path, options: &Options) -> Result<Scan, ScanError> {
    let options = Options {
        only: DATABASES.iter().map(|path| (*path).to_owned()).collect(),
        cache: None,
        yara: None,
        lock_files: false,
        ..options.clone()
    };
    folder(root, &options).await
}

/// One layer, from its bytes. A worker that ends unexpectedly gives an empty layer with the problem.
///
/// # Errors
/// The worker cannot be started.
pub async fn layer(
    input: Input,
    place: &str,
    source: impl AsyncRead + Unpin + Send,
    options: &Options,
) -> Result<LayerScan, ScanError> {
    let work = work(input, HashSet::new(), source, options).await?;
    let found = work.items.into_iter().find_map(|item| match item {
        Item::Layer(_, layer) => Some(*layer),
        _ => None,
    });
    Ok(match (found, work.broken) {
        (Some(mut layer), Some((kind, detail))) => {
            layer.problems.push(problem(kind, place, detail));
            layer
        }
        (Some(layer), None) => {
            if let Some(cache) = &options.cache {
                keep(cache, &layer);
            }
            layer
        }
        (None, Some((kind, detail))) => missing(place, kind, detail),
        (None, None) => missing(place, ProblemKind::Crashed, "the worker gave no result".into()),
    })
}

fn keep(cache: &Cache, layer: &LayerScan) {
    // Only speed is lost when it cannot be kept.
    if let Err(error) = cache.put(layer) {
        tracing::warn!("a layer's result cannot be kept: {error}");
    }
}

/// Runs one worker over one source.
async fn work(
    input: Input,
    known: HashSet<String>,
    source: impl AsyncRead + Unpin + Send,
    options: &Options,
) -> Result<Work, ScanError> {
    let order = Order {
        input,
        only: options.only.clone(),
        lock_files: options.lock_files,
        depth: options.depth,
        yara: options.yara.clone(),
        known,
        // Several threads share the work.
        seconds: options.timeout.as_secs().saturating_mul(4).max(4),
    };
    let mut line = serde_json::to_vec(&order).map_err(|e| ScanError::Worker(e.into()))?;
    line.push(b'\n');
    let mut child = Command::new(&options.program)
        .arg(worker::COMMAND)
        .env_clear()
        // The C library's memory pools for each thread would keep what other threads have freed.
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(ScanError::Worker)?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(ScanError::Worker(io::Error::other("no pipes")));
    };
    let items = tokio::task::spawn_blocking(move || collect(stdout));
    let words = tokio::spawn(async move {
        let mut words = Vec::new();
        let _ = stderr.take(WORDS_MAX).read_to_end(&mut words).await;
        String::from_utf8_lossy(&words).trim().to_owned()
    });
    let run = async {
        let pumped = pump(&line, source, stdin).await;
        let (items, cut) = items.await.unwrap_or_else(|e| (Vec::new(), Some(io::Error::other(e))));
        (pumped, items, cut)
    };
    let (pumped, items, cut) = match tokio::time::timeout(options.timeout, run).await {
        Ok(done) => done,
        Err(_) => {
            let _ = child.kill().await;
            let detail = format!("not read within {} s", options.timeout.as_secs());
            return Ok(Work { items: Vec::new(), broken: Some((ProblemKind::TimedOut, detail)) });
        }
    };
    let said = ended(&mut child).await;
    let words = words.await.unwrap_or_default();
    let broken = match (said, pumped, cut) {
        // What the parent could not read ends the worker as well.
        (_, _, Some(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Some((ProblemKind::Crashed, format!("the worker's answer is broken: {error}")))
        }
        (Some(how), _, _) => {
            let words = if words.is_empty() { words } else { format!(": {words}") };
            Some((ProblemKind::Crashed, format!("the worker ended early ({how}){words}")))
        }
        // The source broke off: what was read of it is not all.
        (None, Err(error), _) => {
            Some((ProblemKind::Truncated, format!("the source broke off: {error}")))
        }
        (None, Ok(()), Some(error)) => {
            Some((ProblemKind::Crashed, format!("the worker's answer is broken: {error}")))
        }
        (None, Ok(()), None) => None,
    };
    Ok(Work { items, broken })
}

/// How a worker ended, if not well.
async fn ended(child: &mut Child) -> Option<String> {
    match child.wait().await {
        Ok(status) if status.success() => None,
        Ok(status) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Reads items until the end.
fn collect(stdout: tokio::process::ChildStdout) -> (Vec<Item>, Option<io::Error>) {
    let mut items = Vec::new();
    let opened = stdout.into_owned_fd().and_then(|fd| {
        // Tokio's pipes do not wait; this thread does.
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags - rustix::fs::OFlags::NONBLOCK)?;
        Ok(fd)
    });
    let mut source = match opened {
        Ok(fd) => io::BufReader::with_capacity(STEP, std::fs::File::from(fd)),
        Err(error) => return (items, Some(error)),
    };
    loop {
        match worker::receive(&mut source) {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(error) => return (items, Some(error)),
        }
    }
}

/// Gives the worker its order and the bytes.
async fn pump(
    order: &[u8],
    mut source: impl AsyncRead + Unpin,
    mut stdin: tokio::process::ChildStdin,
) -> io::Result<()> {
    if stdin.write_all(order).await.is_err() {
        // The worker's own end says more.
        return Ok(());
    }
    let mut step = vec![0; STEP];
    loop {
        let count = source.read(&mut step).await?;
        if count == 0 || stdin.write_all(step.get(..count).unwrap_or_default()).await.is_err() {
            return Ok(());
        }
    }
}
