//! Layers, written entry by entry: also such as no honest tool writes.
//!
//! The format is ustar (POSIX.1-1988) with GNU's long names; nothing is checked, for tests want to break it.

const BLOCK: usize = 512;

/// A layer that is being written.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    bytes: Vec<u8>,
}

/// Fills a tar archive up to whole blocks.
pub trait Pad {
    /// Adds zeros.
    fn pad(&mut self);
}

impl Pad for Vec<u8> {
    fn pad(&mut self) {
        self.resize(self.len().div_ceil(BLOCK) * BLOCK, 0);
    }
}

impl Layer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file that everybody may read.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.mode(path, 0o644, content)
    }

    /// A file with these permissions.
    pub fn mode(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entry(b'0', path.as_bytes(), mode, b"", content.as_ref())
    }

    /// A directory with these permissions.
    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(b'5', path.as_bytes(), mode, b"", b"")
    }

    /// A symbolic link.
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(b'2', path.as_bytes(), 0o777, target.as_bytes(), b"")
    }

    /// A hard link.
    pub fn hard(self, path: &str, target: &str) -> Self {
        self.entry(b'1', path.as_bytes(), 0o644, target.as_bytes(), b"")
    }

    /// Deletes a path of the layers below.
    pub fn delete(self, path: &str) -> Self {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let slash = if folder.is_empty() { "" } else { "/" };
        self.file(&format!("{folder}{slash}.wh.{name}"), "")
    }

    /// Any entry.
    pub fn entry(mut self, kind: u8, path: &[u8], mode: u32, link: &[u8], content: &[u8]) -> Self {
        if path.len() > 100 {
            let header = header(b'L', b"././@LongLink", 0, b"", path.len() as u64 + 1);
            self.bytes.extend(header);
            self.bytes.extend(path);
            self.bytes.push(0);
            self.bytes.pad();
        }
        self.bytes.extend(header(kind, path, mode, link, content.len() as u64));
        self.bytes.extend(content);
        self.bytes.pad();
        self
    }

    /// A header that states a size, and nothing after it.
    pub fn stated(mut self, kind: u8, path: &str, size: u64) -> Self {
        self.bytes.extend(header(kind, path.as_bytes(), 0o644, b"", size));
        self
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend(bytes.as_ref());
        self
    }

    /// What there is so far, without an end.
    pub fn open(self) -> Vec<u8> {
        self.bytes
    }

    /// The whole layer.
    pub fn done(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

fn header(kind: u8, path: &[u8], mode: u32, link: &[u8], size: u64) -> [u8; BLOCK] {
    let mut out = [0; BLOCK];
    let mut put = |at: usize, max: usize, bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(max)];
        out[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, 100, path);
    put(100, 8, format!("{mode:07o}").as_bytes());
    put(108, 8, b"0000000");
    put(116, 8, b"0000000");
    if size < 1 << 33 {
        put(124, 12, format!("{size:011o}").as_bytes());
    } else {
        // GNU's binary form: the first bit tells.
        put(124, 1, &[0x80]);
        put(128, 8, &size.to_be_bytes());
    }
    put(136, 12, b"14000000000");
    put(148, 8, b"        ");
    put(156, 1, &[kind]);
    put(157, 100, link);
    put(257, 8, b"ustar\x0000");
    let sum: u32 = out.iter().map(|&b| u32::from(b)).sum();
    out[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out
}
