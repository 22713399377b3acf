//! The parts of binary data that can be text. Machine code is most of a program, and no secret is in it.
//!
//! Whatever has twice [`BLOCK`] readable bytes in a row lies completely in one of the ranges; nothing that the detectors
//! look for is shorter, as their examples show. It does not tell text from chance.

use std::ops::Range;

/// Bytes that are judged at once.
const BLOCK: usize = 8;

/// Ranges of content that may hold text, in order; they do not touch.
pub(super) fn ranges(content: &[u8]) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let (blocks, rest) = content.as_chunks::<BLOCK>();
    let mut add = |from: usize, to: usize| match out.last_mut() {
        Some(last) if from <= last.end => last.end = to,
        _ => out.push(from..to),
    };
    // What is readable goes on into the blocks before and after.
    for (number, block) in blocks.iter().enumerate() {
        if block.iter().fold(true, |all, &byte| all & is_readable(byte)) {
            let at = number * BLOCK;
            add(at.saturating_sub(BLOCK), (at + 2 * BLOCK).min(content.len()));
        }
    }
    if !rest.is_empty() {
        add(content.len().saturating_sub(rest.len() + BLOCK), content.len());
    }
    out
}

/// ASCII that is seen, and blanks; bytes of UTF-8 beyond ASCII are in no secret.
const fn is_readable(byte: u8) -> bool {
    byte.wrapping_sub(0x20) < 0x5f || byte.wrapping_sub(9) < 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_least_length_is_found_wherever_it_lies() {
        for at in 0..40 {
            for length in 2 * BLOCK - 1..60 {
                let mut content = vec![0xff_u8; 120];
                content.splice(at..at + length, std::iter::repeat_n(b'x', length));
                let found = ranges(&content);
                assert!(
                    found.iter().any(|range| range.start <= at && at + length <= range.end),
                    "{length} at {at}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_text_is_left_out() {
        assert!(ranges(&[0; 4096]).is_empty());
        assert!(ranges(&b"abcdef\0".repeat(800)).iter().map(Range::len).sum::<usize>() < 100);
    }
}
