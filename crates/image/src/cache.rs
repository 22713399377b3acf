//! Layers that were read before, by the digest of their uncompressed bytes and the version of what read them.
//!
//! A file that cannot be read counts as not there: the layer is read again. It promises no more than that what it
//! gives was once written by this Haechi with these rules.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::layer::LayerScan;
use crate::manifest::is_digest;

/// Raised when readers change what they find, so that old results are not used.
const VERSION: u32 = 2;
/// Most bytes of the folder; the least recently used go first.
const SIZE_MAX: u64 = 1 << 30;
/// Largest unpacked entry.
const ENTRY_MAX: usize = 1 << 30;
/// Most layers that are listed: a worker's order holds them.
const LIST_MAX: usize = 20_000;
/// Fast, and a fourth of the size.
const LEVEL: i32 = 3;

/// Files that this process has written, so that each has a name of its own while it is written.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A folder of layers.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    key: String,
}

impl Cache {
    /// The cache in `data_dir`, for readers and rules with this fingerprint.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(data_dir: &Path, fingerprint: u64) -> io::Result<Self> {
        let folder = data_dir.join("layers");
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        use std::os::unix::fs::PermissionsExt;
        // What was found in images is nobody else's business.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let key = format!("{VERSION}-{}-{fingerprint:016x}", env!("CARGO_PKG_VERSION"));
        Ok(Self { folder, key })
    }

    fn path(&self, diff_id: &str) -> Option<PathBuf> {
        let digest = is_digest(diff_id).then(|| diff_id.replacen(':', "-", 1))?;
        Some(self.folder.join(format!("{digest}.{}", self.key)))
    }

    /// A layer, if it is known.
    pub fn get(&self, diff_id: &str) -> Option<LayerScan> {
        let path = self.path(diff_id)?;
        let packed = fs::read(&path).ok()?;
        let bytes = zstd::bulk::decompress(&packed, ENTRY_MAX.min(bound(&packed)?)).ok()?;
        let layer: LayerScan = rmp_serde::from_slice(&bytes).ok()?;
        // Used now: it goes last when space is needed.
        if let Ok(file) = fs::File::open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        (layer.diff_id == diff_id).then_some(layer)
    }

    /// Whether a layer is known.
    pub fn has(&self, diff_id: &str) -> bool {
        self.path(diff_id).is_some_and(|path| path.exists())
    }

    /// Digests of layers that are known; not all, if there are very many.
    pub fn list(&self) -> HashSet<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return HashSet::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let end = format!(".{}", self.key);
        let digests = names.filter_map(|name| Some(name.strip_suffix(&end)?.replacen('-', ":", 1)));
        digests.filter(|digest| is_digest(digest)).take(LIST_MAX).collect()
    }

    /// Keeps a layer. One that was not read to its end is not kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, layer: &LayerScan) -> io::Result<()> {
        let Some(path) = self.path(&layer.diff_id) else { return Ok(()) };
        let bytes = rmp_serde::to_vec_named(layer).map_err(io::Error::other)?;
        let packed = zstd::bulk::compress(&bytes, LEVEL)?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{number}", std::process::id()));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&packed)?;
        drop(file);
        fs::rename(&temporary, path)
    }

    /// Makes room: the least recently used go until the rest is small enough.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            files.push((meta.modified()?, meta.len(), entry.path()));
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= SIZE_MAX {
                break;
            }
            fs::remove_file(path)?;
            total = total.saturating_sub(size);
        }
        Ok(())
    }
}

/// The unpacked size that a frame states.
fn bound(packed: &[u8]) -> Option<usize> {
    usize::try_from(zstd::zstd_safe::get_frame_content_size(packed).ok()??).ok()
}
