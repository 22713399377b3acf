//! The worker: the only process that reads bytes of an image, and how the parent talks to it.
//!
//! The parent starts its own program as `haechi image-worker`. First comes one line of JSON on its stdin, the
//! [`Order`]; then, unless a folder or file is read, the bytes. On its stdout come [`Item`]s, each with its length before it. The
//! worker shuts itself in ([`crate::sandbox`]) before it reads the first byte: no file, no network, limited memory
//! and time. It keeps nothing.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::{self, Item};
use crate::builder::Dangers;
use crate::builder::Tools;
use crate::dangers::malware::Rules;
use crate::dangers::secrets::Detectors;
use crate::layer::Depth;
use crate::{folder, packages, sandbox};

/// The name of the hidden command.
pub const COMMAND: &str = "image-worker";
/// Longest order: it has the digests of known layers.
const ORDER_MAX: u64 = 4 << 20;
/// Longest item: a layer of four million entries has some 500 MB.
const ITEM_MAX: u32 = 1 << 30;

/// What the worker is to read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// What kind of bytes come.
    pub input: Input,
    /// For a folder: only these paths and what is below them; all if empty.
    pub only: Vec<String>,
    /// Whether lock files count as packages.
    pub lock_files: bool,
    /// How much is looked at.
    pub depth: Depth,
    /// The site's folder of YARA rules.
    pub yara: Option<PathBuf>,
    /// Digests of layers that need no reading.
    pub known: HashSet<String>,
    /// Seconds of processor time.
    pub seconds: u64,
}

/// What kind of bytes come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// An archive of images.
    Archive,
    /// An archive of images in this file.
    File(PathBuf),
    /// One layer.
    Layer,
    /// None: this folder is read.
    Folder(PathBuf),
}

/// The worker's main function. Ends with an error message on stderr if it cannot begin.
///
/// # Errors
/// The order is not understood, the sandbox cannot be set up, or nobody takes the items.
pub fn main() -> io::Result<()> {
    let mut stdin = BufReader::with_capacity(1 << 18, io::stdin());
    let mut line = Vec::new();
    (&mut stdin).take(ORDER_MAX).read_until(b'\n', &mut line)?;
    let order: Order = serde_json::from_slice(&line).map_err(io::Error::other)?;
    let tools = match order.depth {
        Depth::Everything => tools(order.yara.as_deref(), order.lock_files)?,
        Depth::Packages => package_tools(order.lock_files),
    };
    let folder = match &order.input {
        Input::Folder(path) => Some(folder::open(path)?),
        _ => None,
    };
    let file = match &order.input {
        Input::File(path) => Some(File::open(path)?),
        _ => None,
    };
    sandbox::enter(order.seconds, folder.as_ref())?;
    let mut out = BufWriter::with_capacity(1 << 18, io::stdout());
    if let Some(file) = file {
        let file = BufReader::with_capacity(1 << 18, file);
        archive::read(file, &tools, &order.known, |item| send(&mut out, &item))?;
        return out.flush();
    }
    match (&order.input, folder) {
        (Input::Folder(path), Some(folder)) => {
            let layer = folder::read(folder, &order.only, &tools);
            let place = path.display().to_string();
            send(&mut out, &Item::Layer(place, Box::new(layer)))?;
        }
        (Input::Archive, _) => {
            archive::read(stdin, &tools, &order.known, |item| send(&mut out, &item))?;
        }
        _ => {
            let layer = archive::layer(stdin, "", &tools);
            send(&mut out, &Item::Layer(String::new(), Box::new(layer)))?;
        }
    }
    out.flush()
}

/// Readers and rules, made before the sandbox closes.
///
/// # Errors
/// The site's rules cannot be read.
pub fn tools(yara: Option<&Path>, lock_files: bool) -> io::Result<Tools> {
    let (rules, broken) = match yara {
        None => (Rules::new().map_err(words)?, Vec::new()),
        Some(folder) => Rules::with_folder(folder).map_err(words)?,
    };
    let dangers = Dangers {
        detectors: Detectors::embedded().map_err(words)?,
        rules,
        broken_rules: broken.iter().map(ToString::to_string).collect(),
    };
    Ok(Tools { dangers: Some(dangers), ..package_tools(lock_files) })
}

/// Readers of packages alone.
pub fn package_tools(lock_files: bool) -> Tools {
    let mut readers = packages::readers();
    if lock_files {
        readers.extend(packages::lockfiles::READERS);
    }
    Tools { readers, dangers: None }
}

fn words(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Writes an item.
///
/// # Errors
/// The other end is closed.
pub fn send(out: &mut impl Write, item: &Item) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(item).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|&n| n <= ITEM_MAX);
    let length = length.ok_or_else(|| io::Error::other("a layer with too many entries"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&bytes)?;
    out.flush()
}

/// Reads the next item; `None` at the end. The worker is not trusted: lengths are limited.
///
/// # Errors
/// It breaks off, or is none.
pub fn receive(source: &mut impl Read) -> io::Result<Option<Item>> {
    let mut length = [0; 4];
    let mut have = 0;
    while have < length.len() {
        match source.read(length.get_mut(have..).unwrap_or_default())? {
            0 if have == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => have += count,
        }
    }
    let length = u32::from_le_bytes(length);
    if length > ITEM_MAX {
        return Err(io::Error::other("the worker sent something too long"));
    }
    let mut bytes = Vec::new();
    source.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    rmp_serde::from_slice(&bytes).map(Some).map_err(io::Error::other)
}
