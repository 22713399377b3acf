//! Which files dpkg's packages own (`info/*.list`), their checksums (`info/*.md5sums`), and which files were moved
//! aside on purpose (`diversions`).

use super::{as_text, owned, stem};
use crate::packages::files::text::{hex, note, owned_path};
use crate::reader::{Digest, Found, Meta, Owned, OwnedFile, Unread};

/// Most files of one list: the largest package of Debian has some 60 000.
const FILES_MAX: usize = 1_000_000;

/// `var/lib/dpkg/info/NAME.list`.
pub(super) fn is_list(meta: &Meta<'_>, _head: &[u8]) -> bool {
    is_in(meta.path, "var/lib/dpkg/info/", ".list")
}

/// `var/lib/dpkg/info/NAME.md5sums`, in distroless images `var/lib/dpkg/status.d/NAME.md5sums`.
pub(super) fn is_md5sums(meta: &Meta<'_>, _head: &[u8]) -> bool {
    is_in(meta.path, "var/lib/dpkg/info/", ".md5sums")
        || is_in(meta.path, "var/lib/dpkg/status.d/", ".md5sums")
}

/// `var/lib/dpkg/diversions`.
pub(super) fn is_diversions(meta: &Meta<'_>, _head: &[u8]) -> bool {
    meta.path == "var/lib/dpkg/diversions"
}

fn is_in(path: &str, folder: &str, extension: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|name| !name.contains('/') && name.ends_with(extension))
}

/// One absolute path a line; folders are among them.
pub(super) fn read_list(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let files: Vec<_> =
        lines(content).filter_map(|line| owned(line, None)).take(FILES_MAX).collect();
    let full = is_full(&files);
    found.owned.push(Owned { package: stem(meta.path).to_owned(), files });
    full
}

/// `md5  path` as md5sum(1) writes it, the path without leading `/`.
pub(super) fn read_md5sums(
    meta: &Meta<'_>,
    content: &[u8],
    found: &mut Found,
) -> Result<(), Unread> {
    let mut files = Vec::new();
    for (index, line) in lines(content).enumerate().filter(|(_, line)| !line.is_empty()) {
        let entry = line.split_at_checked(32).and_then(|(sum, path)| {
            let path = path.strip_prefix(b" ")?;
            let path = path.strip_prefix(b" ").or_else(|| path.strip_prefix(b"*")).unwrap_or(path);
            owned(path, Some(Digest::Md5(hex(sum)?)))
        });
        match entry {
            Some(file) if files.len() < FILES_MAX => files.push(file),
            Some(_) => break,
            None => note(found, || format!("line {} is no checksum with a path", index + 1)),
        }
    }
    let full = is_full(&files);
    found.owned.push(Owned { package: stem(meta.path).to_owned(), files });
    full
}

fn is_full(files: &[OwnedFile]) -> Result<(), Unread> {
    if files.len() < FILES_MAX { Ok(()) } else { Err(Unread(format!("{FILES_MAX} files or more"))) }
}

/// Three lines for each: the path, where its file was moved, and for which package (`:` for the site itself).
///
/// What then lies at the path is not the file of the package whose checksum names it, so it is expected to differ.
pub(super) fn read_diversions(
    _meta: &Meta<'_>,
    content: &[u8],
    found: &mut Found,
) -> Result<(), Unread> {
    let mut lines = lines(content).filter(|line| !line.is_empty());
    while let Some(from) = lines.next() {
        let (Some(_), Some(package)) = (lines.next(), lines.next()) else {
            return Err(Unread("ends in the middle of an entry".into()));
        };
        let package = if package == b":" { String::new() } else { as_text(package) };
        if let Some(path) = owned_path(from) {
            let file = OwnedFile { path, digest: None, config: true };
            if found.owned.len() == FILES_MAX {
                return Err(Unread(format!("{FILES_MAX} entries or more")));
            }
            found.owned.push(Owned { package, files: vec![file] });
        }
    }
    Ok(())
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
