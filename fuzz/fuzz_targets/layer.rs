//! Layers, archives of images, and what is made of them. The first byte picks raw bytes or archives made from them.
//! Reading must not depend on how bytes arrive; an archive that is cut must say so; merging must give the same
//! twice; and for simple layers what is there in the end is what a simple model says.
#![no_main]

use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::sync::LazyLock;

use arbitrary::Unstructured;
use haechi_core::inventory::ScanSubject;
use haechi_fuzz::{choice, make, tar};
use haechi_image::assemble::Contents;
use haechi_image::builder::Tools;
use haechi_image::layer::LayerScan;
use haechi_image::{archive, merge, path, worker};
use libfuzzer_sys::fuzz_target;

static TOOLS: LazyLock<Tools> =
    LazyLock::new(|| worker::tools(None, true).expect("embedded rules are whole"));

/// Gives few bytes at a time, as a pipe may.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end = buffer.len().min(self.0.len()).min(7);
        let (now, later) = self.0.split_at(end);
        buffer[..end].copy_from_slice(now);
        self.0 = later;
        Ok(end)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    match first % 8 {
        // A hole of a sparse file may have gigabytes: that costs time as it should, and finds nothing.
        0 | 1 if may_be_sparse(content) => {}
        0 => {
            let layer = read(content);
            whole(&[layer]);
        }
        1 => archive_of(content),
        2 => {
            let mut u = Unstructured::new(content);
            if let Ok(made) = tar::made(&mut u) {
                cut(&made, &mut u);
            }
        }
        3 => {
            let Ok(made) = tar::made(&mut Unstructured::new(content)) else { return };
            archive_of(&made.bytes);
        }
        4 => image(content),
        _ => {
            let mut u = Unstructured::new(content);
            let mut layers = Vec::new();
            while let (1.., true, Ok(made)) = (u.len(), layers.len() < 3, tar::made(&mut u)) {
                layers.push(made);
            }
            several(&layers);
        }
    }
});

fn may_be_sparse(content: &[u8]) -> bool {
    let packed = content.starts_with(b"\x1f\x8b") || content.starts_with(b"\x28\xb5\x2f\xfd");
    packed
        || content.windows(10).any(|w| w == b"GNU.sparse")
        || content.chunks(512).any(|block| block.get(156) == Some(&b'S'))
}

fn read(bytes: &[u8]) -> LayerScan {
    let layer = archive::layer(bytes, "layer", &TOOLS);
    assert_eq!(
        archive::layer(Slow(bytes), "layer", &TOOLS),
        layer,
        "it depends on how the bytes come"
    );
    assert!(!layer.diff_id.is_empty() || !layer.problems.is_empty(), "broken without a problem");
    layer
}

/// Merges twice.
fn whole(layers: &[LayerScan]) -> haechi_core::inventory::Scan {
    let scan = merge::merge(layers, None, ScanSubject::default());
    assert_eq!(
        merge::merge(layers, None, ScanSubject::default()),
        scan,
        "merging gives something else"
    );
    let problems: usize = layers.iter().map(|layer| layer.problems.len()).sum();
    assert!(problems == 0 || !scan.problems.is_empty(), "problems of layers are lost");
    scan
}

/// A whole archive has all its files; one that is cut says so.
fn cut(made: &tar::Made, u: &mut Unstructured<'_>) {
    let layer = read(&made.bytes);
    if made.plain {
        // A file in it may have one: it is called `package.json` and is none.
        let own = layer.problems.iter().find(|problem| problem.place == "layer");
        assert_eq!(own, None, "a plain archive has a problem");
        for (name, content) in &made.files {
            let name = path::normal(name.as_bytes()).unwrap_or_default();
            let is_it = |node: &&haechi_image::layer::Node| node.path == name;
            let node = layer.nodes.iter().find(is_it).expect("a file is lost");
            let size = content.len() as u64;
            assert!(
                matches!(node.kind, haechi_image::layer::NodeKind::File { size: s, .. } if s == size)
            );
        }
    }
    let end = made.borders.last().copied().unwrap_or_default();
    let at = u.int_in_range(0..=end).unwrap_or_default();
    let short = read(&made.bytes[..at]);
    // What ends between two entries cannot be told from a shorter archive; its digest tells.
    if made.plain && !made.borders.contains(&at) {
        assert!(!short.problems.is_empty(), "cut at {at} of {end} in silence");
    }
    for packed in [make::gzip(&made.bytes), make::zstd(&made.bytes)] {
        let unpacked = read(&packed);
        assert_eq!(unpacked.diff_id, layer.diff_id);
        assert_eq!(unpacked.nodes, layer.nodes);
        let at = u.int_in_range(4..=packed.len() - 1).unwrap_or(4);
        let short = read(&packed[..at]);
        assert!(short.diff_id.is_empty() && !short.problems.is_empty(), "a cut stream in silence");
    }
}

fn archive_of(bytes: &[u8]) {
    let mut contents = Contents::default();
    let mut items = Vec::new();
    archive::read(bytes, &TOOLS, &HashSet::new(), |item| {
        items.push(item);
        Ok(())
    })
    .expect("the sink takes all");
    let mut pipe = Vec::new();
    for item in items {
        worker::send(&mut pipe, &item).expect("memory takes it");
        let received = worker::receive(&mut pipe.as_slice()).expect("what is sent can be received");
        assert_eq!(received.as_ref(), Some(&item));
        pipe.clear();
        contents.add(item, |_| None);
    }
    if let Ok(image) = contents.assemble(None, "linux/amd64") {
        let scan = merge::merge(&image.layers, Some(&image.config), image.subject.clone());
        assert_eq!(merge::merge(&image.layers, Some(&image.config), image.subject), scan);
    }
}

/// An archive whose parts are hostile and have the right names.
fn image(content: &[u8]) {
    let mut parts = content.splitn(3, |&b| b == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (manifest, config, layer) = (part(), part(), part());
    if may_be_sparse(layer) {
        return;
    }
    let mut bytes = tar::entry(b'0', b"layer.tar", b"", 0o644, layer);
    bytes.extend(tar::entry(b'0', b"config.json", b"", 0o644, config));
    bytes.extend(tar::entry(b'2', b"link/layer.tar", b"../layer.tar", 0o644, b""));
    bytes.extend(tar::entry(b'0', b"manifest.json", b"", 0o644, manifest));
    bytes.resize(bytes.len() + 1024, 0);
    archive_of(&bytes);
}

/// Every file is setuid, so the scan lists all that are there: they must be those that the model has.
fn several(made: &[tar::Made]) {
    let layers: Vec<LayerScan> =
        made.iter().map(|made| archive::layer(made.bytes.as_slice(), "layer", &TOOLS)).collect();
    let scan = whole(&layers);
    if !made.iter().all(|made| made.plain) {
        return;
    }
    let mut there: BTreeSet<String> = BTreeSet::new();
    let below = |path: &str, folder: &str| path.starts_with(&format!("{folder}/"));
    for (made, layer) in made.iter().zip(&layers) {
        for deleted in &made.deleted {
            match deleted.strip_suffix('/') {
                Some(folder) => there.retain(|p| !folder.is_empty() && !below(p, folder)),
                None => there.retain(|p| p != deleted && !below(p, deleted)),
            }
        }
        for node in &layer.nodes {
            let path = &node.path;
            let is_file = matches!(node.kind, haechi_image::layer::NodeKind::File { .. });
            there.retain(|p| p != path && !below(path, p) && (!is_file || !below(p, path)));
            if is_file {
                there.insert(path.clone());
            }
        }
    }
    let listed: BTreeSet<String> =
        scan.setid_files.iter().map(|f| f.path.trim_start_matches('/').to_owned()).collect();
    assert_eq!(listed, there);
}
