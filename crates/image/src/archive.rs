//! An archive of images (docker save, OCI layout as tar), read once from front to back.
//!
//! Layers come in any order and before the manifest that names them, so each is read as it comes, and what belongs
//! to the image is found out at the end ([`crate::assemble`]). Runs inside the worker.

use std::collections::HashSet;
use std::io::{self, Cursor, Read};

use haechi_core::inventory::ProblemKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use crate::assemble::{missing, problem};
use crate::builder::{self, Tools};
use crate::decode::{self, Compression};
use crate::hash::hex;
use crate::layer::LayerScan;
use crate::path;
use crate::tarball::{self, Stop};

/// Largest document that is kept. Configurations of thousands of build steps have some megabytes.
const DOCUMENT_MAX: u64 = 8 << 20;
/// Most documents of one archive.
const DOCUMENTS_MAX: usize = 20_000;
/// Most bytes of documents of one archive.
const DOCUMENTS_BYTES_MAX: usize = 256 << 20;
/// Most entries of one archive.
const ENTRIES_MAX: usize = 200_000;
/// Bytes that tell what an entry is: enough for the magic of tar at 257.
const SNIFF: usize = 512;

/// Something of an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Item {
    /// A layer at this path.
    Layer(String, Box<LayerScan>),
    /// A layer that was skipped because its digest is known already.
    Known(String, String),
    /// A document: path, digest, bytes.
    Document(String, String, Vec<u8>),
    /// Another name of a path.
    Link(String, String),
    /// Reading ended here.
    Stop(ProblemKind, String),
}

/// Reads an archive, and gives each item to `emit`. `known` are digests of layers that need no
/// looking into; that they are what their names say is still made sure of.
///
/// # Errors
/// Nobody takes the items any more.
pub fn read(
    source: impl Read,
    tools: &Tools,
    known: &HashSet<String>,
    mut emit: impl FnMut(Item) -> io::Result<()> + Send,
) -> io::Result<()> {
    let (read, digests) =
        decode::decoded(source, false, |bytes| entries(bytes, tools, known, &mut emit));
    let stop = match (read, digests) {
        (Ok(Ok(())), Ok(_)) => return Ok(()),
        (Err(error), _) => return Err(error),
        (Ok(Err(stop)), _) => stop,
        (Ok(Ok(())), Err(error)) => Stop::from(error),
    };
    emit(Item::Stop(stop.kind, stop.detail))
}

/// The outer result is about `emit`, the inner about the archive.
fn entries(
    bytes: &mut dyn Read,
    tools: &Tools,
    known: &HashSet<String>,
    emit: &mut dyn FnMut(Item) -> io::Result<()>,
) -> io::Result<Result<(), Stop>> {
    let mut archive = Archive::new(bytes);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(error.into())),
    };
    let (mut count, mut documents, mut document_bytes) = (0, 0, 0);
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(error.into())),
        };
        count += 1;
        if count > ENTRIES_MAX {
            let detail = format!("more than {ENTRIES_MAX} entries in the archive");
            return Ok(Err(Stop { kind: ProblemKind::Limit, detail }));
        }
        // A name that leads out names nothing that a manifest could mean.
        let Ok(place) = path::normal(&entry.path_bytes()) else { continue };
        match entry.header().entry_type() {
            EntryType::Symlink | EntryType::Link => {
                let link = path::text(&entry.link_name_bytes().unwrap_or_default());
                let target = match entry.header().entry_type() {
                    EntryType::Symlink => path::follow(&place, &link),
                    _ => path::normal(link.as_bytes()).unwrap_or_default(),
                };
                emit(Item::Link(place, target))?;
                continue;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
            _ => continue,
        }
        let digest = named_digest(&place);
        if let Some(digest) = digest.as_ref().filter(|digest| known.contains(*digest)) {
            // A name is no proof: what lies under it may be something else than what was read before.
            match digest_of(&mut entry) {
                Ok(true_digest) if true_digest == *digest => {
                    emit(Item::Known(place, digest.clone()))?;
                }
                Ok(_) => {
                    let detail = "its content is not what its name says".to_owned();
                    let scan = missing(&place, ProblemKind::DigestMismatch, detail);
                    emit(Item::Layer(place, Box::new(scan)))?;
                }
                Err(error) => return Ok(Err(error.into())),
            }
            continue;
        }
        let size = entry.size();
        let start = match decode::head(&mut entry, SNIFF) {
            Ok(start) => start,
            Err(error) => return Ok(Err(error.into())),
        };
        if is_layer(&start, size) {
            let source = Cursor::new(start).chain(entry);
            let layer = layer(source, &place, tools);
            emit(Item::Layer(place, Box::new(layer)))?;
        } else if size <= DOCUMENT_MAX && documents < DOCUMENTS_MAX {
            let mut document = start;
            if let Err(error) = entry.read_to_end(&mut document) {
                return Ok(Err(error.into()));
            }
            document_bytes += document.len();
            documents += 1;
            if document_bytes > DOCUMENTS_BYTES_MAX {
                let detail = "too many documents in the archive".to_owned();
                return Ok(Err(Stop { kind: ProblemKind::Limit, detail }));
            }
            let digest = format!("sha256:{}", hex(&Sha256::digest(&document)));
            emit(Item::Document(place, digest, document))?;
        }
    }
    Ok(Ok(()))
}

/// The digest that a path of an OCI layout names: `blobs/sha256/HEX`.
fn named_digest(path: &str) -> Option<String> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    Some(format!("{algorithm}:{hex}"))
}

/// The digest of what is left of an entry.
fn digest_of(entry: &mut impl Read) -> io::Result<String> {
    let mut sha = Sha256::new();
    let mut step = vec![0; 64 << 10];
    loop {
        let count = entry.read(&mut step)?;
        if count == 0 {
            return Ok(format!("sha256:{}", hex(&sha.finalize())));
        }
        sha.update(step.get(..count).unwrap_or_default());
    }
}

/// Whether bytes are a layer: compressed, or a tar, or an empty tar (only zeros).
fn is_layer(start: &[u8], size: u64) -> bool {
    Compression::of(start) != Compression::None
        || start.get(257..262) == Some(b"ustar")
        || start.len() == SNIFF && size >= 1024 && start.iter().all(|&b| b == 0)
        || is_old_tar(start)
}

/// Whether bytes are a tar header of the time before `ustar`: its checksum tells (tar(5), "Old-Style Archive Format").
fn is_old_tar(start: &[u8]) -> bool {
    let Some(stated) = start.get(148..156) else { return false };
    let digits: String =
        stated.iter().map(|&b| char::from(b)).filter(char::is_ascii_digit).collect();
    let blank = |(at, &b): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(b) };
    let sum: u32 = start.iter().enumerate().map(blank).sum();
    u32::from_str_radix(&digits, 8) == Ok(sum)
}

/// Reads one layer, compressed or not.
pub fn layer(source: impl Read, place: &str, tools: &Tools) -> LayerScan {
    let (mut scan, digests) = decode::decoded(source, true, |bytes| {
        builder::layer(tools, |builder| tarball::read(bytes, place, builder))
    });
    match digests {
        Ok(digests) => {
            scan.diff_id = digests.plain;
            scan.blob = digests.blob;
            scan.size = digests.size;
        }
        Err(error) => {
            // The archive's own reader may not have come to where the stream breaks.
            let stop = Stop::from(error);
            if scan.problems.iter().all(|p| p.affects.is_empty()) {
                scan.problems.push(problem(stop.kind, place, stop.detail));
            }
        }
    }
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_cksum();
            out.append_data(&mut header, path, *content).unwrap();
        }
        out.into_inner().unwrap()
    }

    fn items(archive: &[u8], known: &[&str]) -> Vec<Item> {
        let tools = crate::worker::tools(None, false).unwrap();
        let known = known.iter().map(|digest| (*digest).to_owned()).collect();
        let mut items = Vec::new();
        read(archive, &tools, &known, |item| {
            items.push(item);
            Ok(())
        })
        .unwrap();
        items
    }

    #[test]
    fn a_known_layer_is_passed_over_only_if_it_is_what_its_name_says() {
        let layer = tar_of(&[("etc/hostname", b"a")]);
        let sum = hex(&Sha256::digest(&layer));
        let (path, digest) = (format!("blobs/sha256/{sum}"), format!("sha256:{sum}"));
        let known = items(&tar_of(&[(&path, &layer)]), &[&digest]);
        assert_eq!(known, [Item::Known(path.clone(), digest.clone())]);
        let other = tar_of(&[("etc/hostname", b"b")]);
        match items(&tar_of(&[(&path, &other)]), &[&digest]).as_slice() {
            [Item::Layer(_, layer)] => {
                assert_eq!(layer.problems[0].kind, ProblemKind::DigestMismatch)
            }
            other => panic!("{other:?}"),
        }
    }
}
