//! Writing data: to stdout, or to a file that is either the old one or the whole new one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Writes to stdout.
///
/// # Errors
/// Writing failed. That nobody reads any more is an [`io::ErrorKind::BrokenPipe`], whatever a format's library made
/// of it.
pub fn stdout(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    to(io::stdout().lock(), write)
}

fn to(
    out: impl Write,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(Watched { out, is_broken: false });
    let result = write(&mut out).and_then(|()| Ok(out.flush()?));
    if result.is_err() && out.get_ref().is_broken {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    }
    result
}

/// Remembers that nobody reads any more.
struct Watched<W> {
    out: W,
    is_broken: bool,
}

impl<W> Watched<W> {
    fn seen<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.is_broken |= matches!(&result, Err(e) if e.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.seen(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.seen(result)
    }
}

/// Writes a file through a new one beside it, so that a reader never sees half of it.
pub fn file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Our own descriptors (/dev/stdout) and character devices (/dev/null) are written as they are. Everything
    // else, links and pipes included, is replaced: root must not write through what another user planted.
    if path.starts_with("/dev") {
        let mut out = BufWriter::new(open_device(path).map_err(|e| Failure::file(path, e))?);
        write(&mut out)?;
        return Ok(out.flush()?);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let result = (|| {
        let mut out = BufWriter::new(create_new(&part).map_err(|e| Failure::file(path, e))?);
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        std::fs::rename(&part, path).map_err(|e| Failure::file(path, e))?;
        Ok(())
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    result
}

fn open_device(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().write(true).custom_flags(nonblock).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_block_device() {
        return Err(io::Error::other("is a disk"));
    }
    Ok(file)
}

/// Reports tell where a host is weak, so only their owner reads them; an existing link is not followed.
fn create_new(path: &PathBuf) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::is_broken_pipe;

    /// A pipe that nobody reads any more, or a disk that is full.
    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_told_from_other_failures() {
        // Large enough that the library itself meets the failure, which hides its cause.
        let large = vec!["text"; 10_000];
        let json = |out: &mut dyn Write| Ok(serde_json::to_writer_pretty(out, &large)?);
        let pipe = to(Refusing(io::ErrorKind::BrokenPipe), json).unwrap_err();
        assert!(is_broken_pipe(&pipe), "{pipe:?}");
        let disk = to(Refusing(io::ErrorKind::StorageFull), json).unwrap_err();
        assert!(!is_broken_pipe(&disk), "{disk:?}");
        let page = |out: &mut dyn Write| -> anyhow::Result<()> {
            out.write_all(&[0; 100_000]).map_err(|_| anyhow::anyhow!("a page failed"))
        };
        assert!(is_broken_pipe(&to(Refusing(io::ErrorKind::BrokenPipe), page).unwrap_err()));
        let mut whole = Vec::new();
        to(&mut whole, |out| Ok(out.write_all(b"text")?)).unwrap();
        assert_eq!(whole, b"text");
    }
}
