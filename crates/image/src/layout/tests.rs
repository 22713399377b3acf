//! Layouts made here, right and hostile.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::*;
use crate::manifest::Document;
use crate::pull;

struct Made {
    folder: TempDir,
}

impl Made {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha512")).unwrap();
        Self { folder }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.path().join("blobs").join(digest.replace(':', "/"))
    }

    fn put(&self, like: &str, bytes: &[u8]) -> String {
        let digest = blobs::digest_like(like, bytes);
        fs::write(self.path(&digest), bytes).unwrap();
        digest
    }

    fn index(&self, json: &str) {
        fs::write(self.folder.path().join("index.json"), json).unwrap();
    }

    fn open(&self) -> Layout {
        Layout::open(self.folder.path()).unwrap()
    }

    /// An image with these layers, and the digest of its manifest.
    fn image(&self, layers: &[(&str, &[u8])]) -> String {
        let config = self.put("sha256:", br#"{"os":"linux","rootfs":{"diff_ids":[]}}"#);
        let layers: Vec<String> = layers
            .iter()
            .map(|(kind, bytes)| {
                let digest = self.put("sha256:", bytes);
                format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#, bytes.len())
            })
            .collect();
        let manifest =
            format!(r#"{{"config":{{"digest":"{config}"}},"layers":[{}]}}"#, layers.join(","));
        self.put("sha256:", manifest.as_bytes())
    }
}

async fn bytes(layout: &Layout, layer: &Descriptor) -> Result<Vec<u8>, String> {
    let mut source = layout.layer(layer).await.map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    source.read_to_end(&mut out).await.map_err(|e| e.to_string())?;
    Ok(out)
}

#[tokio::test]
async fn an_index_in_an_index_and_layers_as_they_are() {
    let made = Made::new();
    let gzip = b"\x1f\x8bpacked".as_slice();
    let zstd = b"\x28\xb5\x2f\xfdpacked".as_slice();
    let media = "application/vnd.oci.image.layer.v1.tar";
    let image = made.image(&[(media, b"plain"), (media, gzip), (media, zstd)]);
    let inner = format!(
        r#"{{"manifests":[{{"digest":"{image}","platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#
    );
    let inner = made.put("sha256:", inner.as_bytes());
    let name = r#""annotations":{"org.opencontainers.image.ref.name":"a:1"}"#;
    made.index(&format!(r#"{{"manifests":[{{"digest":"{inner}",{name}}}]}}"#));
    let layout = made.open();
    let (top, _) = layout.top().await.unwrap();
    assert!(matches!(manifest::document(&top, "").unwrap(), Document::Index(_)));
    let chosen = pull::choose(&layout, "x", Some("a:1"), "linux/amd64").await.unwrap();
    assert_eq!(chosen.digest, image);
    assert_eq!(chosen.tags, ["a:1"]);
    let mut seen = Vec::new();
    for layer in &chosen.layers {
        seen.push(bytes(&layout, layer).await.unwrap());
    }
    assert_eq!(seen, [b"plain", gzip, zstd]);
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let made = Made::new();
    made.index("{}");
    let layout = made.open();
    let absent = Descriptor { digest: blobs::digest_like("", b"x"), ..Descriptor::default() };
    assert!(matches!(layout.layer(&absent).await, Err(BlobError::NotFound { .. })));
    // Other bytes than the name says.
    fs::write(made.path(&absent.digest), b"y").unwrap();
    let wrong = layout.document(Kind::Config, &absent.digest).await;
    assert!(matches!(wrong, Err(BlobError::Digest { .. })));
    let long = blobs::digest_like("sha512:", b"x");
    fs::write(made.path(&long), b"y").unwrap();
    let layer = Descriptor { digest: long, size: 1, ..Descriptor::default() };
    assert!(bytes(&layout, &layer).await.unwrap_err().contains("has the digest"));
    // More and fewer bytes than stated.
    let digest = made.put("sha256:", b"layer");
    let layer = |size| Descriptor { digest: digest.clone(), size, ..Descriptor::default() };
    assert!(bytes(&layout, &layer(4)).await.unwrap_err().contains("more than 4"));
    assert!(bytes(&layout, &layer(6)).await.unwrap_err().contains("5 of 6"));
    let large = vec![b' '; config_max() + 1];
    let large = made.put("sha256:", &large);
    let read = layout.document(Kind::Config, &large).await;
    assert!(matches!(read, Err(BlobError::TooLarge { .. })));
}

fn config_max() -> usize {
    Kind::Config.size_max()
}

#[tokio::test]
async fn nothing_outside_is_read() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    let made = Made::new();
    let digest = blobs::digest_like("", b"secret");
    symlink(outside.path().join("secret"), made.path(&digest)).unwrap();
    let layout = made.open();
    let refused = layout.document(Kind::Config, &digest).await.unwrap_err();
    assert!(refused.to_string().contains("leads out"), "{refused}");
    // Inside, a link is fine.
    let real = made.put("sha512:", b"secret");
    fs::remove_file(made.path(&digest)).unwrap();
    symlink(format!("../{}", real.replace(':', "/")), made.path(&digest)).unwrap();
    assert_eq!(layout.document(Kind::Config, &digest).await.unwrap(), b"secret");
    assert!(layout.document(Kind::Config, "sha256:../../x").await.is_err());
}

#[tokio::test]
async fn only_regular_files_are_read() {
    let made = Made::new();
    let digest = blobs::digest_like("", b"x");
    rustix::fs::mkfifoat(rustix::fs::CWD, made.path(&digest), Mode::from_raw_mode(0o600)).unwrap();
    let refused = made.open().document(Kind::Config, &digest).await.unwrap_err();
    assert!(refused.to_string().contains("no regular file"), "{refused}");
    fs::create_dir(made.folder.path().join("index.json")).unwrap();
    assert!(matches!(made.open().top().await, Err(BlobError::Malformed { .. })));
    let file = made.put("sha256:", b"");
    assert!(Layout::open(&made.path(&file)).is_err());
    assert!(matches!(Layout::open(&made.path("no")), Err(BlobError::NotFound { .. })));
}
