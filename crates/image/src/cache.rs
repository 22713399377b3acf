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

use crate::layer::{Depth, LayerScan};
use crate::manifest::is_digest;

/// Raised when readers change what they find, so that old results are not used.
const VERSION: u32 = 3;
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

    /// How names of files end: results of one depth are never taken for those of another.
    fn end(&self, depth: Depth) -> String {
        match depth {
            Depth::Everything => format!(".{}", self.key),
            Depth::Packages => format!(".{}.packages", self.key),
        }
    }

    fn path(&self, diff_id: &str, depth: Depth) -> Option<PathBuf> {
        let digest = is_digest(diff_id).then(|| diff_id.replacen(':', "-", 1))?;
        Some(self.folder.join(format!("{digest}{}", self.end(depth))))
    }

    /// A layer, if it is known at this depth or a greater one.
    pub fn get(&self, diff_id: &str, depth: Depth) -> Option<LayerScan> {
        enough(depth).iter().find_map(|&depth| self.kept(diff_id, depth))
    }

    fn kept(&self, diff_id: &str, depth: Depth) -> Option<LayerScan> {
        let path = self.path(diff_id, depth)?;
        let packed = fs::read(&path).ok()?;
        let bytes = zstd::bulk::decompress(&packed, ENTRY_MAX.min(bound(&packed)?)).ok()?;
        let layer: LayerScan = rmp_serde::from_slice(&bytes).ok()?;
        // Used now: it goes last when space is needed.
        if let Ok(file) = fs::File::open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        (layer.diff_id == diff_id && layer.depth == depth).then_some(layer)
    }

    /// Whether a layer is known at this depth or a greater one.
    pub fn has(&self, diff_id: &str, depth: Depth) -> bool {
        let paths = enough(depth).iter().filter_map(|&depth| self.path(diff_id, depth));
        paths.into_iter().any(|path| path.exists())
    }

    /// Digests of layers that are known at this depth or a greater one; not all, if there are very many.
    pub fn list(&self, depth: Depth) -> HashSet<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return HashSet::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let ends: Vec<String> = enough(depth).iter().map(|&depth| self.end(depth)).collect();
        let digests = names.filter_map(|name| {
            let digest = ends.iter().find_map(|end| name.strip_suffix(end))?;
            Some(digest.replacen('-', ":", 1))
        });
        digests.filter(|digest| is_digest(digest)).take(LIST_MAX).collect()
    }

    /// Keeps a layer. One that was not read to its end is not kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, layer: &LayerScan) -> io::Result<()> {
        let Some(path) = self.path(&layer.diff_id, layer.depth) else { return Ok(()) };
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

/// The depths whose results serve this one, best first.
fn enough(depth: Depth) -> &'static [Depth] {
    match depth {
        Depth::Everything => &[Depth::Everything],
        Depth::Packages => &[Depth::Everything, Depth::Packages],
    }
}

/// The unpacked size that a frame states.
fn bound(packed: &[u8]) -> Option<usize> {
    usize::try_from(zstd::zstd_safe::get_frame_content_size(packed).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_never_serves_a_scan() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1).unwrap();
        let layer = |byte: &str, depth| LayerScan {
            diff_id: format!("sha256:{}", byte.repeat(64)),
            depth,
            ..LayerScan::default()
        };
        let (shallow, deep) = (layer("a", Depth::Packages), layer("b", Depth::Everything));
        cache.put(&shallow).unwrap();
        cache.put(&deep).unwrap();
        let known = |id: &str, depth| {
            let got = cache.get(id, depth).is_some();
            assert_eq!((got, got), (cache.has(id, depth), cache.list(depth).contains(id)));
            got
        };
        assert!(!known(&shallow.diff_id, Depth::Everything));
        assert!(known(&shallow.diff_id, Depth::Packages));
        assert!(known(&deep.diff_id, Depth::Everything));
        assert!(known(&deep.diff_id, Depth::Packages));
        // Nor does it under the other's name.
        let name = |depth| cache.path(&shallow.diff_id, depth).unwrap();
        fs::rename(name(Depth::Packages), name(Depth::Everything)).unwrap();
        assert_eq!(cache.get(&shallow.diff_id, Depth::Everything), None);
    }
}
