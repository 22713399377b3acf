//! Bytes of a layer or archive: compression found by its magic, digests computed on the way, sizes limited.
//!
//! What comes out is read in a thread of its own, so that decompressing and reading share the work. Blocks are
//! handed over through a bounded channel: memory does not grow with the image.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest as _, Sha256};

use crate::hash::hex;

/// Bytes handed over at once.
const BLOCK: usize = 256 << 10;
/// Bytes that tell a compression.
const MAGIC: usize = 4;
/// Blocks that may wait.
const BLOCKS: usize = 8;
/// Most bytes that come out of one layer. The largest honest layers (machine learning) are some 20 GB.
pub const SIZE_MAX: u64 = 64 << 30;
/// Deflate's best ratio is 1032, and honest layers are below 20; zeros of a data file may reach 1000 for a while.
const RATIO_MAX: u64 = 400;
/// Below this size no ratio is suspicious.
const RATIO_FREE: u64 = 4 << 30;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Told by the first bytes.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // Skippable frames may come first (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Digests of a stream that was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// `sha256:…` of the bytes as they came.
    pub blob: String,
    /// `sha256:…` of the uncompressed bytes.
    pub plain: String,
    /// Uncompressed bytes.
    pub size: u64,
}

/// Counts what passes, and digests it if that is wanted.
struct Tap<R> {
    inner: R,
    sha: Option<Sha256>,
    size: u64,
}

impl<R: Read> Tap<R> {
    fn new(inner: R, digest: bool) -> Self {
        Self { inner, sha: digest.then(Sha256::new), size: 0 }
    }

    fn digest(self) -> String {
        self.sha.map(|sha| format!("sha256:{}", hex(&sha.finalize()))).unwrap_or_default()
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(sha) = &mut self.sha {
            sha.update(buffer.get(..count).unwrap_or_default());
        }
        self.size += count as u64;
        Ok(count)
    }
}

/// Reads at least `wanted` bytes, or up to the end.
///
/// # Errors
/// The source cannot be read.
pub fn head(source: &mut impl Read, wanted: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(wanted);
    source.take(wanted as u64).read_to_end(&mut out)?;
    Ok(out)
}

/// Passes the uncompressed bytes of `source` to `consume`, which runs in another thread, and gives its result with the
/// digests of everything.
///
/// What `consume` leaves unread is read to the end all the same, for the digests. With `digest` false none are computed,
/// and what is not compressed is not handed over but read right here.
/// A stream that is broken, ends too early or is a bomb is an error in the second part, and an error of the reader.
pub fn decoded<R: Read, T: Send>(
    mut source: R,
    digest: bool,
    consume: impl FnOnce(&mut dyn Read) -> T + Send,
) -> (T, io::Result<Digests>) {
    let start = match head(&mut source, MAGIC) {
        Ok(start) => start,
        Err(error) => {
            let same = io::Error::new(error.kind(), error.to_string());
            return (consume(&mut Broken(Some(same))), Err(error));
        }
    };
    let compression = Compression::of(&start);
    let mut source = Cursor::new(start).chain(source);
    if compression == Compression::None && !digest {
        return (consume(&mut source), Ok(Digests::default()));
    }
    let (sender, receiver) = sync_channel(BLOCKS);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(move || {
            consume(&mut Blocks { receiver, block: Cursor::new(Vec::new()), ended: false })
        });
        let digests = pump(source, compression, digest, &sender);
        let last = match &digests {
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        // Nobody may be listening any more.
        let _ = sender.send(last);
        drop(sender);
        match consumer.join() {
            Ok(made) => (made, digests),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Decompresses into blocks until the end.
fn pump<R: Read>(
    source: R,
    compression: Compression,
    digest: bool,
    sender: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<Digests> {
    let packed = compression != Compression::None;
    let mut raw = Tap::new(source, digest && packed);
    let mut plain = Tap::new(open(&mut raw, compression)?, digest);
    let mut listening = true;
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        (&mut plain).take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            break;
        }
        if plain.size > SIZE_MAX {
            return Err(limit(format!("more than {} GiB uncompressed", SIZE_MAX >> 30)));
        }
        listening = listening && sender.send(Ok(block)).is_ok();
    }
    let (size, plain) = (plain.size, plain.digest());
    // A gzip stream may have bytes after its end; they belong to the blob's digest.
    io::copy(&mut raw, &mut io::sink())?;
    let blob = if packed { raw.digest() } else { plain.clone() };
    Ok(Digests { blob, plain, size })
}

/// The error of something that is larger than anything honest.
pub fn limit(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

fn open<'r, R: Read>(
    raw: &'r mut Tap<R>,
    compression: Compression,
) -> io::Result<Box<dyn Read + 'r>> {
    Ok(match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => {
            let buffered = io::BufReader::with_capacity(BLOCK, Ratio::new(raw));
            Box::new(Bounded::new(flate2::bufread::MultiGzDecoder::new(buffered), |d| {
                d.get_ref().get_ref().passed
            }))
        }
        Compression::Zstd => {
            let mut decoder =
                zstd::Decoder::with_buffer(io::BufReader::with_capacity(BLOCK, Ratio::new(raw)))?;
            // 128 MiB of window: what `zstd --long=27` needs, more is refused.
            decoder.window_log_max(27)?;
            Box::new(Bounded::new(decoder, |d| d.get_ref().get_ref().passed))
        }
    })
}

/// A source that could not even be begun.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Counts compressed bytes.
struct Ratio<R> {
    inner: R,
    passed: u64,
}

impl<R> Ratio<R> {
    fn new(inner: R) -> Self {
        Self { inner, passed: 0 }
    }
}

impl<R: Read> Read for Ratio<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.passed += count as u64;
        Ok(count)
    }
}

/// Ends a bomb: far more comes out than any honest data would give.
struct Bounded<D> {
    decoder: D,
    taken: fn(&D) -> u64,
    given: u64,
}

impl<D> Bounded<D> {
    fn new(decoder: D, taken: fn(&D) -> u64) -> Self {
        Self { decoder, taken, given: 0 }
    }
}

impl<D: Read> Read for Bounded<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.given += count as u64;
        let taken = (self.taken)(&self.decoder).max(1);
        if self.given > RATIO_FREE && self.given / taken > RATIO_MAX {
            return Err(limit(format!(
                "a compression bomb: {taken} bytes become more than {}",
                self.given
            )));
        }
        Ok(count)
    }
}

/// The reading end of the channel. An empty block is the end; a channel that closes without one is a break.
struct Blocks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    block: Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.ended {
                return Ok(count);
            }
            let block = self
                .receiver
                .recv()
                .map_err(|_| io::Error::other("decompression ended unexpectedly"))??;
            self.ended = block.is_empty();
            self.block = Cursor::new(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(bytes: &[u8]) -> (Vec<u8>, io::Result<Digests>) {
        decoded(bytes, true, |read| {
            let mut out = Vec::new();
            let _ = read.read_to_end(&mut out);
            out
        })
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_gives_the_same_digest_of_what_is_inside() {
        let data = b"layer".repeat(300_000);
        let (plain, digests) = all(&data);
        let want = digests.unwrap();
        assert_eq!(
            (plain.len(), want.size, &want.blob),
            (data.len(), data.len() as u64, &want.plain)
        );
        for packed in [gzip(&data), zstd::encode_all(data.as_slice(), 1).unwrap()] {
            let (out, digests) = all(&packed);
            let digests = digests.unwrap();
            assert!(out == data && digests.plain == want.plain && digests.blob != want.blob);
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error_and_not_an_end() {
        let data = b"0123456789abcdef".repeat(100_000);
        let packed = gzip(&data);
        let cut = packed.get(..packed.len() - 20).unwrap();
        let (seen, digests) = decoded(cut, true, |read| {
            let mut out = Vec::new();
            read.read_to_end(&mut out).map(|_| out.len())
        });
        assert!(seen.is_err() && digests.is_err());
    }

    #[test]
    fn a_reader_that_stops_early_still_gets_digests() {
        let data = b"x".repeat(5 << 20);
        let (byte, digests) = decoded(data.as_slice(), true, |read| {
            let mut byte = [0];
            read.read_exact(&mut byte).map(|()| byte)
        });
        assert_eq!(byte.unwrap(), *b"x");
        assert_eq!(digests.unwrap().size, 5 << 20);
    }

    #[test]
    fn two_gzip_members_are_one_stream() {
        let mut both = gzip(b"a");
        both.extend(gzip(b"b"));
        assert_eq!(all(&both).0, b"ab");
    }
}
