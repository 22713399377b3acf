//! Compressed files and archives of JSON documents, read as streams.
//!
//! Nothing is unpacked to disk and no path of an archive is used but as a name in messages.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::{Capped, FeedError, MAX_ENTRY, MAX_FEED};

/// Most members of an archive: OSV's largest (npm, with reports of malice) has some 250,000.
const MAX_MEMBERS: usize = 5_000_000;

/// Opens a file; gzip and zstd are decompressed, whatever its name is.
///
/// # Errors
/// It cannot be opened or decompressed.
pub fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let head = head(&mut file, 4)?;
    let all = io::Cursor::new(head.clone()).chain(file);
    let plain: Box<dyn Read + Send> = match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(all)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::new(all)?),
        _ => Box::new(all),
    };
    Ok(Box::new(Capped::new(plain, MAX_FEED)))
}

/// The first `len` bytes, or fewer if there are no more.
///
/// # Errors
/// Reading failed.
pub fn head(input: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(len).read_to_end(&mut head)?;
    Ok(head)
}

/// One member of an archive, or why it could not be read.
pub type Member<'a> = (&'a str, Result<&'a [u8], String>);

/// Calls `each` for every `.json` member of a zip archive, and returns how many other files there are.
///
/// # Errors
/// It is no zip archive, has too many members, or `each` ends it.
pub fn each_of_zip(
    file: File,
    each: &mut dyn FnMut(Member<'_>) -> Result<(), FeedError>,
) -> Result<u64, FeedError> {
    let shape =
        |e: zip::result::ZipError| FeedError::Shape(format!("not a readable zip archive: {e}"));
    let mut zip = zip::ZipArchive::new(BufReader::with_capacity(1 << 16, file)).map_err(shape)?;
    if zip.len() > MAX_MEMBERS {
        return Err(FeedError::Shape(format!("more than {MAX_MEMBERS} members")));
    }
    let (mut others, mut bytes, mut left) = (0, Vec::new(), MAX_FEED);
    for i in 0..zip.len() {
        let mut member = match zip.by_index(i) {
            Ok(member) => member,
            Err(error) => {
                each((&format!("member {i}"), Err(error.to_string())))?;
                continue;
            }
        };
        let name = member.name().map_or_else(|_| format!("member {i}"), |n| n.into_owned());
        if !name.ends_with(".json") {
            others += u64::from(!member.is_dir());
            continue;
        }
        bytes.clear();
        match (&mut member).take(MAX_ENTRY + 1).read_to_end(&mut bytes) {
            Err(error) => each((&name, Err(error.to_string())))?,
            Ok(len) if len as u64 > MAX_ENTRY => each((&name, Err(too_long())))?,
            Ok(_) => each((&name, Ok(&bytes)))?,
        }
        left = left.checked_sub(bytes.len() as u64).ok_or_else(too_much)?;
    }
    Ok(others)
}

/// Calls `each` for every `.json` member of a tar archive, and returns how many other files there are.
///
/// # Errors
/// It is no tar archive or ends in the middle, has too many members, or `each` ends it.
pub fn each_of_tar(
    input: impl Read,
    each: &mut dyn FnMut(Member<'_>) -> Result<(), FeedError>,
) -> Result<u64, FeedError> {
    let mut tar = tar::Archive::new(input);
    let (mut others, mut bytes) = (0, Vec::new());
    for (i, member) in tar.entries()?.enumerate() {
        let mut member = member?;
        if i > MAX_MEMBERS {
            return Err(FeedError::Shape(format!("more than {MAX_MEMBERS} members")));
        }
        if !member.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if !name.ends_with(".json") {
            others += 1;
            continue;
        }
        bytes.clear();
        let len = (&mut member).take(MAX_ENTRY + 1).read_to_end(&mut bytes)? as u64;
        let stated = member.size();
        if len > MAX_ENTRY {
            each((&name, Err(too_long())))?;
        } else if len != stated {
            return Err(FeedError::Shape(format!("ends in the middle of `{name}`")));
        } else {
            each((&name, Ok(&bytes)))?;
        }
    }
    Ok(others)
}

fn too_long() -> String {
    format!("longer than {MAX_ENTRY} bytes")
}

fn too_much() -> FeedError {
    FeedError::Shape(format!("more than {MAX_FEED} bytes after decompression"))
}
