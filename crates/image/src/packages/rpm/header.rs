//! One package's header as it lies in the database: an index of tags, then their data
//! (<https://rpm-software-management.github.io/rpm/manual/format_header.html>). All integers are big-endian.
//!
//! Takes values out by tag and type. Copies nothing that is not asked for.

use super::bytes::{Order, part};

/// Tags that are asked for (`rpmtag.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Tag {
    Name = 1000,
    Version = 1001,
    Release = 1002,
    Epoch = 1003,
    Vendor = 1011,
    License = 1014,
    Arch = 1022,
    OldFileNames = 1027,
    FileStates = 1029,
    FileDigests = 1035,
    FileFlags = 1037,
    SourceRpm = 1044,
    FileVerifyFlags = 1045,
    DirIndexes = 1116,
    BaseNames = 1117,
    DirNames = 1118,
    FileDigestAlgo = 5011,
    ModularityLabel = 5096,
}

const CHAR: u32 = 1;
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// Most entries of an index: headers have about 100, and rpm refuses more than 65 535.
const ENTRIES_MAX: usize = 65_535;

/// A header, taken apart into index and data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    index: &'a [[u8; 16]],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Takes a blob apart. Bytes after the stated data are ignored: databases pad.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn parse(blob: &'a [u8]) -> Result<Self, &'static str> {
        let sizes = (Order::Big.size(blob, 0), Order::Big.size(blob, 4));
        let (Some(entries), Some(size)) = sizes else { return Err("the header is too short") };
        if entries == 0 || entries > ENTRIES_MAX {
            return Err("the header's index has an impossible size");
        }
        let index = part(blob, 8, entries * 16).ok_or("the header's index is cut off")?;
        let data = part(blob, 8 + entries * 16, size).ok_or("the header's data is cut off")?;
        Ok(Self { index: index.as_chunks().0, data })
    }

    /// The data from where a tag's begins, and its number of values. An entry that was added when the package was
    /// installed comes later in the index and replaces the one that was signed, as in rpm.
    fn find(&self, tag: Tag, kinds: &[u32]) -> Option<(&'a [u8], usize)> {
        let entry = self.index.iter().rev().find(|e| Order::Big.u32(*e, 0) == Some(tag as u32))?;
        let kind = Order::Big.u32(entry, 4)?;
        let offset = Order::Big.size(entry, 8)?;
        let count = Order::Big.size(entry, 12)?;
        kinds.contains(&kind).then_some(())?;
        Some((self.data.get(offset..)?, count))
    }

    /// A text. Nothing if it is absent, has another type, or does not end.
    pub(super) fn string(&self, tag: Tag) -> Option<&'a [u8]> {
        let (data, _) = self.find(tag, &[STRING, I18N_STRING, STRING_ARRAY])?;
        Some(data.split_at_checked(memchr::memchr(0, data)?)?.0)
    }

    /// Texts one after the other, as many as are really there.
    pub(super) fn strings(&self, tag: Tag) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (data, count) = self.find(tag, &[STRING_ARRAY, STRING]).unwrap_or_default();
        let mut rest = data;
        let next = move || {
            let (text, after) = rest.split_at_checked(memchr::memchr(0, rest)?)?;
            rest = after.get(1..)?;
            Some(text)
        };
        std::iter::from_fn(next).take(count)
    }

    /// The first of a tag's integers.
    pub(super) fn int(&self, tag: Tag) -> Option<u32> {
        self.ints(tag).first().copied().map(u32::from_be_bytes)
    }

    /// Integers, big-endian.
    pub(super) fn ints(&self, tag: Tag) -> &'a [[u8; 4]] {
        let (data, count) = self.find(tag, &[INT32]).unwrap_or_default();
        let all = data.as_chunks().0;
        all.get(..count).unwrap_or(all)
    }

    /// Single bytes.
    pub(super) fn chars(&self, tag: Tag) -> &'a [u8] {
        let (data, count) = self.find(tag, &[CHAR]).unwrap_or_default();
        data.get(..count).unwrap_or(data)
    }
}
