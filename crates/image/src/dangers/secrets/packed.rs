//! Text out of other wrappings: UTF-16, gzip, and the text members of a zip file (jar, whl, docx).
//!
//! Unpacking is that of [`crate::dangers::packed`]: one level deep, at most 4 MiB of a member and 16 MiB of a file. What
//! lies behind a limit, encrypted members, a zip file that is cut off, programs (class files) and archives in archives
//! are not looked into.

use std::borrow::Cow;

use haechi_core::text::visible;

use super::Hit;
use super::preview::PREVIEW_MAX;
use crate::dangers::packed::{self, Visitor};

/// Bytes that tell the order of UTF-16.
const SNIFF: usize = 1024;
/// Characters of a member's name that are shown.
const NAME_MAX: usize = 16;

/// A text that was packed.
pub(super) struct Member {
    /// Its path in the archive; for gzip the file's name.
    pub name: String,
    pub content: Vec<u8>,
}

struct Texts(Vec<Member>);

impl Visitor for Texts {
    /// Settings and scripts are small.
    const MEMBER_MAX: u64 = 4 << 20;
    /// About 50 ms of work.
    const TOTAL_MAX: u64 = 16 << 20;

    fn wants_name(&self, name: &str) -> bool {
        !name.ends_with(".class")
    }

    fn wants(&self, _: &str, head: &[u8]) -> bool {
        matches!(utf8(head), Cow::Owned(_)) || memchr::memchr(0, head).is_none()
    }

    fn see(&mut self, name: &str, content: Vec<u8>) {
        self.0.push(Member { name: name.to_owned(), content });
    }
}

/// The text members of a zip or gzip file; `None` if it is neither.
pub(super) fn members(path: &str, content: &[u8]) -> Option<Vec<Member>> {
    packed::is_packed(content).then(|| {
        let mut texts = Texts(Vec::new());
        packed::visit(path, content, &mut texts);
        texts.0
    })
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
