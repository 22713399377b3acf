//! Images as archives for `docker load`: the same bytes, and so the same id, on each machine.

use sha2::{Digest, Sha256};

use super::spec::Image;

const BLOCK: usize = 512;

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id that the image has once it is loaded.
pub fn id(image: &Image) -> String {
    format!("sha256:{}", digest(parts(image).0.as_bytes()))
}

/// The archive of an image with one file.
pub fn of(image: &Image, tag: &str) -> Vec<u8> {
    let (config, layer) = parts(image);
    let name = format!("{}.json", digest(config.as_bytes()));
    let manifest = serde_json::json!([
        {"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}
    ])
    .to_string();
    tar(&[
        (name.as_str(), config.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ])
}

/// Configuration and layer; empty if the image is not one that is loaded.
fn parts(image: &Image) -> (String, Vec<u8>) {
    let Some(archive) = &image.archive else {
        return Default::default();
    };
    let layer = tar(&[("note.txt", archive.text.as_bytes())]);
    let history: Vec<_> = archive
        .history
        .iter()
        .enumerate()
        .map(|(number, step)| {
            // The last step is the one that made the only layer.
            let empty = number + 1 < archive.history.len();
            serde_json::json!({"created": archive.created, "created_by": step, "empty_layer": empty})
        })
        .collect();
    let config = sorted(serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "created": archive.created,
        "config": {
            "User": archive.user,
            "Cmd": ["/note.txt"],
            "Labels": {"haechi.lab": "1", "haechi.lab.image": image.name},
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
        "history": history,
    }))
    .to_string();
    (config, layer)
}

/// The same value with its keys in order: whether `serde_json` keeps the order of insertion depends on what else is
/// built with it, and the image's id must not.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// A tar archive of plain files, owned by root and of no time.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let fields = [
            (name.to_string(), 100),
            ("0000644\0".into(), 8),
            ("0000000\0".into(), 8),
            ("0000000\0".into(), 8),
            (format!("{:011o}\0", content.len()), 12),
            (format!("{:011o}\0", 0), 12),
        ];
        let mut header: Vec<u8> = Vec::with_capacity(BLOCK);
        for (field, width) in fields {
            let end = header.len() + width;
            header.extend_from_slice(field.as_bytes());
            header.resize(end, 0);
        }
        let rest: &[u8] = b"0";
        let magic: &[u8] = b"ustar\x0000";
        let mut tail = [rest, &[0; 100], magic].concat();
        tail.resize(BLOCK - header.len() - 8, 0);
        // The sum counts its own field as spaces.
        let sum: u32 =
            header.iter().chain(&tail).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        archive.extend_from_slice(&header);
        archive.extend_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&tail);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}
