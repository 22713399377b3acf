//! Sparse files in PAX archives, formats 0.0, 0.1 and 1.0 (GNU tar manual, "Storing Sparse Files"). The old GNU format
//! is read by the `tar` crate.
//!
//! Holes are made while reading, so a file of 100 GB of zeros takes no memory; who reads it decides how much of it.

use std::io::{self, Read};

use tar::Entry;

use crate::tarball::Stop;
use haechi_core::inventory::ProblemKind;

/// Most pieces of one file. A database file has some thousands.
const PIECES_MAX: usize = 1 << 20;
/// Longest number in a map of format 1.0.
const DIGITS_MAX: usize = 20;
/// A tar block.
const BLOCK: usize = 512;

/// What the headers say about a sparse file.
pub struct Map {
    /// Its real name; empty if the entry's own is right.
    pub name: Vec<u8>,
    /// Its real size in bytes.
    pub size: u64,
    /// Pieces of data: offset and length; for format 1.0 read from the content.
    pieces: Option<Vec<(u64, u64)>>,
}

impl Map {
    /// The map of an entry, if it is such a file.
    ///
    /// # Errors
    /// The headers are broken.
    pub fn of<R: Read>(entry: &mut Entry<'_, R>) -> Result<Option<Self>, Stop> {
        let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
        let (mut name, mut size, mut pieces, mut sparse) = (Vec::new(), None, Vec::new(), false);
        let mut in_content = false;
        let mut offset = None;
        for extension in extensions {
            let extension = extension?;
            let Some(key) = extension.key_bytes().strip_prefix(b"GNU.sparse.") else { continue };
            sparse = true;
            let value = extension.value_bytes();
            match key {
                b"name" => name = value.to_vec(),
                b"size" | b"realsize" => size = number(value),
                b"major" => in_content = value == b"1",
                b"offset" => offset = number(value),
                b"numbytes" => {
                    pieces.push((
                        offset.take().ok_or_else(broken)?,
                        number(value).ok_or_else(broken)?,
                    ));
                }
                b"map" => {
                    let numbers: Option<Vec<u64>> =
                        value.split(|&b| b == b',').map(number).collect();
                    let numbers = numbers.ok_or_else(broken)?;
                    let (pairs, []) = numbers.as_chunks::<2>() else { return Err(broken()) };
                    pieces = pairs.iter().map(|&[at, length]| (at, length)).collect();
                }
                _ => {}
            }
            if pieces.len() > PIECES_MAX {
                return Err(broken());
            }
        }
        if !sparse {
            return Ok(None);
        }
        let size = size.ok_or_else(broken)?;
        Ok(Some(Self { name, size, pieces: (!in_content).then_some(pieces) }))
    }

    /// The file's content, holes filled with zeros.
    ///
    /// # Errors
    /// The map is broken.
    pub fn content<R: Read>(self, mut data: R) -> Result<Content<R>, Stop> {
        let pieces = match self.pieces {
            Some(pieces) => pieces,
            None => map(&mut data)?,
        };
        let mut end = 0;
        for &(at, length) in &pieces {
            if at < end {
                return Err(broken());
            }
            end = at.checked_add(length).filter(|&end| end <= self.size).ok_or_else(broken)?;
        }
        Ok(Content { data, pieces: pieces.into_iter(), piece: None, at: 0, size: self.size })
    }
}

/// The map at the start of the content (format 1.0): decimal numbers, one on each line, padded to a block.
fn map(data: &mut impl Read) -> Result<Vec<(u64, u64)>, Stop> {
    let mut read = 0_usize;
    let mut line = |data: &mut dyn Read| -> Result<u64, Stop> {
        let mut digits = Vec::new();
        let mut byte = [0];
        loop {
            data.read_exact(&mut byte)?;
            read += 1;
            match byte {
                [b'\n'] => return number(&digits).ok_or_else(broken),
                [digit] if digits.len() < DIGITS_MAX => digits.push(digit),
                _ => return Err(broken()),
            }
        }
    };
    let count =
        usize::try_from(line(data)?).ok().filter(|&n| n <= PIECES_MAX).ok_or_else(broken)?;
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push((line(data)?, line(data)?));
    }
    let mut padding = [0; BLOCK];
    let padding = padding.get_mut(..read.next_multiple_of(BLOCK) - read).unwrap_or_default();
    data.read_exact(padding)?;
    Ok(pieces)
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn broken() -> Stop {
    Stop { kind: ProblemKind::Corrupt, detail: "a broken map of a sparse file".into() }
}

/// Reads a sparse file.
pub struct Content<R> {
    data: R,
    pieces: std::vec::IntoIter<(u64, u64)>,
    piece: Option<(u64, u64)>,
    at: u64,
    size: u64,
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let piece = match self.piece {
                Some(piece) => Some(piece),
                None => self.pieces.next(),
            };
            self.piece = piece;
            // Up to the next piece, or to the end, there are zeros.
            let hole_end = piece.map_or(self.size, |(start, _)| start);
            if self.at < hole_end {
                let count = room(buffer, hole_end - self.at);
                buffer.get_mut(..count).unwrap_or_default().fill(0);
                self.at += count as u64;
                return Ok(count);
            }
            let Some((start, length)) = piece else { return Ok(0) };
            let left = (start + length).saturating_sub(self.at);
            if left == 0 {
                self.piece = None;
                continue;
            }
            let wanted = room(buffer, left);
            let count = self.data.read(buffer.get_mut(..wanted).unwrap_or_default())?;
            if count == 0 && wanted > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.at += count as u64;
            return Ok(count);
        }
    }
}

fn room(buffer: &[u8], left: u64) -> usize {
    buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(map: Map, data: &[u8]) -> Result<Vec<u8>, Stop> {
        let mut out = Vec::new();
        map.content(data)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn holes_become_zeros() {
        let map = Map { name: vec![], size: 10, pieces: Some(vec![(2, 3), (7, 1)]) };
        assert_eq!(content(map, b"abcd"), Ok(b"\0\0abc\0\0d\0\0".to_vec()));
    }

    #[test]
    fn a_map_in_the_content() {
        let mut data = b"1\n4\n2\n".to_vec();
        data.resize(512, 0);
        data.extend(b"xy");
        let map = Map { name: vec![], size: 6, pieces: None };
        assert_eq!(content(map, &data), Ok(b"\0\0\0\0xy".to_vec()));
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for pieces in [vec![(5, 2), (3, 1)], vec![(8, 5)], vec![(u64::MAX, 2)]] {
            let map = Map { name: vec![], size: 10, pieces: Some(pieces) };
            assert!(content(map, b"abcdefghij").is_err());
        }
        let short = Map { name: vec![], size: 10, pieces: Some(vec![(0, 5)]) };
        assert_eq!(content(short, b"ab").map_err(|s| s.kind), Err(ProblemKind::Truncated));
    }
}
