//! Text out of other wrappings: UTF-16, gzip, and the text members of a zip file (jar, whl, docx).
//!
//! One level deep. It reads at most [`MEMBER_MAX`] bytes of a member, [`TOTAL_MAX`] of a file and [`RATIO_MAX`] times
//! its size, so that a bomb costs no more than a large file. What lies behind a limit, encrypted members, a zip file
//! that is cut off, programs (class files) and archives in archives are not looked into.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use haechi_core::text::visible;
use zip::ZipArchive;

use super::Hit;
use super::preview::PREVIEW_MAX;

/// Bytes of one member: settings and scripts are small.
const MEMBER_MAX: u64 = 4 << 20;
/// Bytes of all members of one file: about 50 ms of work.
const TOTAL_MAX: u64 = 16 << 20;
/// Bytes out for each byte in: deflate cannot do more than about 1030, text seldom reaches 20.
const RATIO_MAX: u64 = 100;
/// Members that are looked at: the largest jars have some ten thousand.
const MEMBERS_MAX: usize = 20_000;
/// Bytes that tell text from a program.
const SNIFF: usize = 1024;
/// Characters of a member's name that are shown.
const NAME_MAX: usize = 16;

/// A text that was packed.
pub(super) struct Member {
    /// Its path in the archive; for gzip the file's name.
    pub name: String,
    pub content: Vec<u8>,
}

/// The text members of a zip or gzip file; `None` if it is neither.
pub(super) fn members(path: &str, content: &[u8]) -> Option<Vec<Member>> {
    let budget = u64::try_from(content.len()).unwrap_or(u64::MAX).saturating_mul(RATIO_MAX);
    let budget = budget.min(TOTAL_MAX);
    if content.starts_with(b"\x1f\x8b") {
        let name = path.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(name).to_owned();
        let text = text_of(MultiGzDecoder::new(content), budget);
        return Some(text.map(|content| Member { name, content }).into_iter().collect());
    }
    content.starts_with(b"PK\x03\x04").then(|| zipped(content, budget))
}

fn zipped(content: &[u8], mut budget: u64) -> Vec<Member> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(content)) else { return Vec::new() };
    let mut members = Vec::new();
    for index in 0..archive.len().min(MEMBERS_MAX) {
        if budget == 0 {
            break;
        }
        let Ok(file) = archive.by_index(index) else { continue };
        // A name that is no text does not hide the content.
        let name = file.name().map_or_else(|_| "?".into(), Cow::into_owned);
        if file.is_dir() || name.ends_with(".class") {
            continue;
        }
        let limit = budget.min(MEMBER_MAX);
        if let Some(content) = text_of(file, limit) {
            budget = budget.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
            members.push(Member { name, content });
        } else {
            budget = budget.saturating_sub(SNIFF as u64);
        }
    }
    members
}

/// The first `limit` bytes if they are text, also if the data is broken behind them.
fn text_of(reader: impl Read, limit: u64) -> Option<Vec<u8>> {
    let mut reader = reader.take(limit);
    let mut content = Vec::new();
    let sniff = SNIFF as u64;
    // A read that fails leaves in the buffer what came before.
    let _ = reader.by_ref().take(sniff).read_to_end(&mut content);
    let wide = matches!(utf8(&content), Cow::Owned(_));
    if content.is_empty() || (!wide && memchr::memchr(0, &content).is_some()) {
        return None;
    }
    let _ = reader.read_to_end(&mut content);
    Some(content)
}

/// A hit in a member: its line would be that of another file, so the preview names the member.
pub(super) fn inside(name: &str, hit: Hit) -> Hit {
    let file = visible(name.rsplit('/').next().unwrap_or_default()).into_owned();
    let skipped = file.chars().count().saturating_sub(NAME_MAX);
    let file: String = file.chars().skip(skipped).collect();
    let room = PREVIEW_MAX.saturating_sub(file.chars().count() + 2);
    let skipped = hit.preview.chars().count().saturating_sub(room);
    let rest: String = hit.preview.chars().skip(skipped).collect();
    Hit { line: 0, preview: format!("{file}: {rest}"), ..hit }
}

/// How a unit of UTF-16 is read.
type Unit = fn([u8; 2]) -> u16;

/// Text in UTF-16 (files from Windows), with a byte order mark or by its zero bytes, as UTF-8 without the mark; else the
/// content as it is.
pub(super) fn utf8(content: &[u8]) -> Cow<'_, [u8]> {
    let (read, text): (Unit, &[u8]) = match content {
        [0xff, 0xfe, rest @ ..] => (u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => (u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => return Cow::Borrowed(rest),
        _ => match unmarked(content) {
            Some(read) => (read, content),
            None => return Cow::Borrowed(content),
        },
    };
    let units = text.as_chunks::<2>().0.iter().map(|pair| read(*pair));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
    Cow::Owned(text.into_bytes())
}

/// UTF-16 without a mark, if nearly all of the first characters are Latin: one byte of each pair is zero, always the
/// same one.
fn unmarked(content: &[u8]) -> Option<Unit> {
    let pairs = content.as_chunks::<2>().0;
    let pairs = pairs.get(..pairs.len().min(SNIFF / 2))?;
    if pairs.len() < 8 {
        return None;
    }
    let first = pairs.iter().filter(|[first, _]| *first == 0).count();
    let second = pairs.iter().filter(|[_, second]| *second == 0).count();
    let enough = pairs.len() - pairs.len() / 8;
    match (first, second) {
        (0, zeros) if zeros >= enough => Some(u16::from_le_bytes),
        (zeros, 0) if zeros >= enough => Some(u16::from_be_bytes),
        _ => None,
    }
}
