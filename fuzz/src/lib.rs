//! What the fuzz targets share: readers that are run as the builder runs them, and files made around hostile bytes.
//!
//! [`check`] holds every reader to what readers promise. The makers ([`tar`], [`elf`], [`archive`], [`ndb`]) put bytes
//! where mutation alone would not get them: behind magics, offsets and checksums.

pub mod make;
pub mod readers;
pub mod seeds;
pub mod tar;

/// Splits the first byte off.
pub fn choice(data: &[u8]) -> Option<(usize, &[u8])> {
    data.split_first().map(|(&first, rest)| (usize::from(first), rest))
}
