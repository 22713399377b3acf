//! Sorts more than fits into memory: sorted runs in temporary files, merged when all is there.
//!
//! The files have no name, so nothing is left behind whatever happens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Bytes in memory before a run is written. More is hardly faster, less makes many runs.
const RUN: usize = 64 << 20;
/// Longest value: a damaged length must not reserve memory.
const MAX_VALUE: u32 = 512 << 20;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Takes pairs in any order.
pub struct Sorter {
    dir: PathBuf,
    limit: usize,
    used: usize,
    pairs: Vec<Pair>,
    runs: Vec<File>,
}

impl Sorter {
    /// With temporary files in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self::with_limit(dir, RUN)
    }

    fn with_limit(dir: &Path, limit: usize) -> Self {
        Self { dir: dir.to_owned(), limit, used: 0, pairs: Vec::new(), runs: Vec::new() }
    }

    /// Takes a pair. Of equal keys all are kept.
    ///
    /// # Errors
    /// A run cannot be written (disk full).
    pub fn push(&mut self, key: Vec<u8>, value: Vec<u8>) -> io::Result<()> {
        // With what a pair costs beside its bytes.
        self.used += key.len() + value.len() + 64;
        self.pairs.push((key, value));
        if self.used >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.pairs.sort();
        let mut out = BufWriter::with_capacity(1 << 16, tempfile::tempfile_in(&self.dir)?);
        for (key, value) in self.pairs.drain(..) {
            for part in [key, value] {
                let len = u32::try_from(part.len()).ok().filter(|l| *l <= MAX_VALUE);
                let len =
                    len.ok_or_else(|| io::Error::other("one entry is too long to be kept"))?;
                out.write_all(&len.to_le_bytes())?;
                out.write_all(&part)?;
            }
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(file);
        self.used = 0;
        Ok(())
    }

    /// All pairs, sorted by key and value.
    ///
    /// # Errors
    /// A run cannot be written or read.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.runs.is_empty() {
            self.pairs.sort();
            return Ok(Sorted {
                memory: self.pairs.into_iter(),
                runs: Vec::new(),
                heap: BinaryHeap::new(),
            });
        }
        self.spill()?;
        let mut sorted =
            Sorted { memory: Vec::new().into_iter(), runs: Vec::new(), heap: BinaryHeap::new() };
        for (i, file) in self.runs.into_iter().enumerate() {
            let mut run = BufReader::with_capacity(1 << 16, file);
            if let Some(pair) = next(&mut run)? {
                sorted.heap.push(Reverse((pair, i)));
            }
            sorted.runs.push(run);
        }
        Ok(sorted)
    }
}

/// The sorted pairs.
pub struct Sorted {
    memory: std::vec::IntoIter<Pair>,
    runs: Vec<BufReader<File>>,
    heap: BinaryHeap<Reverse<(Pair, usize)>>,
}

impl Iterator for Sorted {
    type Item = io::Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.memory.next() {
            return Some(Ok(pair));
        }
        let Reverse((pair, i)) = self.heap.pop()?;
        if let Some(run) = self.runs.get_mut(i) {
            match next(run) {
                Ok(Some(following)) => self.heap.push(Reverse((following, i))),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(pair))
    }
}

fn next(run: &mut BufReader<File>) -> io::Result<Option<Pair>> {
    let Some(key) = part(run)? else { return Ok(None) };
    let value = part(run)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    Ok(Some((key, value)))
}

fn part(run: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match run.read_exact(&mut len) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u64::from(u32::from_le_bytes(len));
    let mut bytes = Vec::new();
    if run.take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_on_disk_give_the_same_order_as_memory() {
        let dir = tempfile::tempdir().unwrap();
        let pairs: Vec<Pair> = (0..2000_u32)
            .map(|i| {
                (
                    (i.wrapping_mul(2_654_435_761) % 500).to_be_bytes().to_vec(),
                    i.to_be_bytes().to_vec(),
                )
            })
            .collect();
        let mut expected = pairs.clone();
        expected.sort();
        for limit in [usize::MAX, 5000] {
            let mut sorter = Sorter::with_limit(dir.path(), limit);
            for (key, value) in pairs.clone() {
                sorter.push(key, value).unwrap();
            }
            assert_eq!(sorter.runs.is_empty(), limit == usize::MAX);
            let sorted: Vec<Pair> = sorter.finish().unwrap().collect::<io::Result<_>>().unwrap();
            assert!(sorted == expected);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
