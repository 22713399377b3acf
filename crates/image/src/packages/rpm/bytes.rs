//! Integers at places of a buffer: nothing where the buffer has none.

use std::ops::Range;

/// The bytes of a range given by offset and length.
pub(super) fn part(raw: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    raw.get(range(offset, length)?)
}

fn range(offset: usize, length: usize) -> Option<Range<usize>> {
    Some(offset..offset.checked_add(length)?)
}

/// Which byte comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

impl Order {
    /// 16 bits at an offset.
    pub(super) fn u16(self, raw: &[u8], offset: usize) -> Option<usize> {
        let bytes: [u8; 2] = part(raw, offset, 2)?.try_into().ok()?;
        Some(usize::from(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }))
    }

    /// 32 bits at an offset.
    pub(super) fn u32(self, raw: &[u8], offset: usize) -> Option<u32> {
        let bytes = part(raw, offset, 4)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    /// 32 bits at an offset, as a size.
    pub(super) fn size(self, raw: &[u8], offset: usize) -> Option<usize> {
        usize::try_from(self.u32(raw, offset)?).ok()
    }
}
