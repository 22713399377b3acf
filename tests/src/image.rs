//! Images in every container format, from layers that the test wrote.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::layer::Layer;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Compression {
    /// Compresses.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut out =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// `sha256:…` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Layers, base first, uncompressed.
    pub layers: Vec<Vec<u8>>,
    /// The member `config` of its configuration.
    pub config: Value,
    /// Its reference.
    pub tag: String,
}

impl Image {
    /// One of these layers.
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self::of_bytes(layers.into_iter().map(Layer::done))
    }

    /// One of these layers, whatever they are.
    pub fn of_bytes(layers: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let layers = layers.into_iter().collect();
        Self { layers, config: json!({"User": "1000"}), tag: "haechi-test/made:1".into() }
    }

    /// Its configuration.
    pub fn configuration(&self) -> Vec<u8> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let ids: Vec<String> = self.layers.iter().map(|layer| digest(layer)).collect();
        let steps: Vec<Value> =
            (0..ids.len()).map(|n| json!({"created_by": format!("step {n}")})).collect();
        json!({
            "architecture": architecture, "os": "linux", "config": self.config,
            "created": "2026-01-02T03:04:05Z",
            "rootfs": {"type": "layers", "diff_ids": ids}, "history": steps,
        })
        .to_string()
        .into_bytes()
    }

    /// As `docker save` writes it.
    pub fn docker_archive(&self) -> Vec<u8> {
        as_tar(&self.docker_files())
    }

    /// The files of that.
    pub fn docker_files(&self) -> Vec<(String, Vec<u8>)> {
        let name = |n: usize| format!("layer{n}/layer.tar");
        let config = self.configuration();
        let path = format!("{}.json", &digest(&config)[7..]);
        let names: Vec<String> = (0..self.layers.len()).map(name).collect();
        let manifest = json!([{"Config": path, "RepoTags": [self.tag], "Layers": names}]);
        let mut files: Vec<_> =
            self.layers.iter().enumerate().map(|(n, bytes)| (name(n), bytes.clone())).collect();
        files.push((path, config));
        files.push(("manifest.json".into(), manifest.to_string().into_bytes()));
        files
    }

    /// The files of an OCI layout.
    pub fn oci_files(&self, compression: Compression) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut blob = |media_type: &str, bytes: Vec<u8>| {
            let digest = digest(&bytes);
            let told = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
            files.push((format!("blobs/{}", digest.replace(':', "/")), bytes));
            told
        };
        let compressed = self.layers.iter().map(|layer| compression.of(layer));
        let layers: Vec<Value> =
            compressed.map(|bytes| blob(compression.media_type(), bytes)).collect();
        let config = blob("application/vnd.oci.image.config.v1+json", self.configuration());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let mut manifest = blob(kind, manifest.to_string().into_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": self.tag});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        files.push(("index.json".into(), index.to_string().into_bytes()));
        files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files
    }

    /// Gives it to the engine.
    pub fn load(&self) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        fs::write(&path, self.docker_archive()).unwrap();
        crate::docker(&["load", "--input", path.to_str().unwrap()]);
    }
}

/// Files as a tar archive.
pub fn as_tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let add = |layer: Layer, (path, bytes): &(String, Vec<u8>)| layer.file(path, bytes);
    files.iter().fold(Layer::new(), add).done()
}

/// Files below a folder.
pub fn write_below(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
