//! Documents of images: manifests, indexes, configurations, SBOMs, and what the worker sends. The first byte picks.
#![no_main]

use haechi_core::inventory::ScanSubject;
use haechi_fuzz::choice;
use haechi_image::archive::Item;
use haechi_image::assemble::Contents;
use haechi_image::config::Config;
use haechi_image::layer::LayerScan;
use haechi_image::manifest::{self, Document};
use haechi_image::{blobs, merge, path, sbom, worker};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    match first % 12 {
        0 => {
            if let Ok(images) = manifest::archive(content) {
                is_json(content);
                assert_eq!(manifest::archive(content), Ok(images));
            }
        }
        1 => match manifest::document(content, "place") {
            Ok(Document::Index(all)) => {
                for wanted in [None, Some("latest"), Some("a:1")] {
                    if let Ok(one) = manifest::pick(&all, wanted, "linux/amd64") {
                        assert!(manifest::is_digest(&one.digest));
                        assert!(blobs::check_digest(&one.digest, "place").is_ok());
                    }
                }
            }
            Ok(Document::Manifest { config, layers }) => {
                is_json(content);
                for descriptor in layers.iter().chain([&config]) {
                    assert!(manifest::is_digest(&descriptor.digest));
                    // A digest is part of a path.
                    let path = format!("blobs/{}", descriptor.digest);
                    assert_eq!(path::normal(path.as_bytes()), Ok(path));
                }
            }
            Err(_) => {}
        },
        2 => {
            if let Ok(config) = Config::parse(content) {
                is_json(content);
                let layers = vec![LayerScan::default(); config.diff_ids.len().min(100)];
                let scan = merge::merge(&layers, Some(&config), ScanSubject::default());
                assert_eq!(merge::merge(&layers, Some(&config), ScanSubject::default()), scan);
            }
        }
        3 => received(content),
        4 => {
            // With the length that it has, mutation gets to what is behind it.
            let length = u32::try_from(content.len()).expect("inputs are small");
            received(&[&length.to_le_bytes(), content].concat());
        }
        5 | 6 => assembled(content, first % 2 == 0),
        _ => read_sbom(content),
    }
});

fn is_json(content: &[u8]) {
    assert!(serde_json::from_slice::<serde_json::Value>(content).is_ok());
}

fn received(mut source: &[u8]) {
    let mut contents = Contents::default();
    let mut layers = Vec::new();
    for _ in 0..64 {
        let Ok(Some(item)) = worker::receive(&mut source) else { break };
        if let Item::Layer(_, layer) = &item {
            layers.push((**layer).clone());
        }
        contents.add(item, |_| None);
    }
    // What a worker claims that was taken over must not make the parent fall over.
    let _ = merge::merge(&layers, None, ScanSubject::default());
    let _ = contents.assemble(None, "linux/amd64");
}

/// Documents that name each other by digest, hostile in the middle.
fn assembled(content: &[u8], docker: bool) {
    let mut parts = content.splitn(2, |&b| b == 0);
    let (top, config) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut contents = Contents::default();
    let mut add = |path: String, bytes: &[u8]| {
        let digest = blobs::digest_like("sha256:", bytes);
        contents.add(Item::Document(path, digest, bytes.to_vec()), |_| None);
    };
    if docker {
        add("manifest.json".into(), top);
        add("config.json".into(), config);
    } else {
        let digest = blobs::digest_like("sha256:", config);
        let manifest =
            format!(r#"{{"config":{{"digest":"{digest}"}},"layers":[{{"digest":"{digest}"}}]}}"#);
        let place = |digest: &str| format!("blobs/{}", digest.replacen(':', "/", 1));
        add(place(&digest), config);
        let named = blobs::digest_like("sha256:", manifest.as_bytes());
        add(place(&named), manifest.as_bytes());
        let index = format!(r#"{{"manifests":[{{"digest":"{named}"}}]}}"#);
        add("index.json".into(), if top.is_empty() { index.as_bytes() } else { top });
    }
    if let Ok(image) = contents.assemble(None, "linux/amd64") {
        let scan = merge::merge(&image.layers, Some(&image.config), image.subject);
        let empty = image.layers.is_empty();
        assert!(empty || !scan.problems.is_empty(), "layers that are not there, in silence");
    }
}

fn read_sbom(content: &[u8]) {
    let Ok(scan) = sbom::read(content) else { return };
    assert_eq!(sbom::read(content).as_ref(), Ok(&scan));
    assert!(!scan.problems.is_empty(), "an SBOM knows nothing of files");
    for package in &scan.packages {
        assert!(!package.name.is_empty());
    }
}
