//! Choosing an image, and what becomes of layers that cannot be had, with blobs from memory.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};

use super::*;
use crate::blobs::{Bytes, digest_like};
use crate::cache::Cache;
use crate::layer::Depth;

#[derive(Default)]
struct Memory {
    top: String,
    blobs: HashMap<String, Vec<u8>>,
}

impl Memory {
    fn put(&mut self, text: &str) -> String {
        let digest = digest_like("", text.as_bytes());
        self.blobs.insert(digest.clone(), text.into());
        digest
    }

    fn get(&self, digest: &str) -> Result<Vec<u8>, BlobError> {
        let place = digest.to_owned();
        self.blobs.get(digest).cloned().ok_or(BlobError::NotFound { place })
    }

    /// Puts an image; layers are a media type and a digest.
    fn image(&mut self, layers: &[(&str, &str)], diff_ids: &[&str]) -> String {
        let ids: Vec<String> = diff_ids.iter().map(|id| format!("{id:?}")).collect();
        let config =
            self.put(&format!(r#"{{"os":"linux","rootfs":{{"diff_ids":[{}]}}}}"#, ids.join(",")));
        let layers: Vec<String> = layers
            .iter()
            .map(|(kind, digest)| format!(r#"{{"mediaType":"{kind}","digest":"{digest}"}}"#))
            .collect();
        self.put(&format!(
            r#"{{"config":{{"digest":"{config}"}},"layers":[{}]}}"#,
            layers.join(",")
        ))
    }
}

impl Blobs for Memory {
    fn top(&self) -> BoxFuture<'_, Result<(Vec<u8>, String), BlobError>> {
        let digest = digest_like("", self.top.as_bytes());
        std::future::ready(Ok((self.top.clone().into_bytes(), digest))).boxed()
    }

    fn document<'a>(
        &'a self,
        _: Kind,
        digest: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        std::future::ready(self.get(digest)).boxed()
    }

    fn layer<'a>(&'a self, layer: &'a Descriptor) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        let bytes = self.get(&layer.digest);
        std::future::ready(bytes.map(|bytes| Box::pin(io::Cursor::new(bytes)) as Bytes)).boxed()
    }

    fn tags(&self) -> Vec<String> {
        vec!["here:1".into()]
    }
}

fn options(cache: Option<Cache>) -> Options {
    Options {
        // Ends at once, and badly: a worker that breaks.
        program: "/bin/false".into(),
        cache,
        depth: Depth::Everything,
        yara: None,
        only: Vec::new(),
        lock_files: false,
        platform: "linux/amd64".into(),
        timeout: Duration::from_secs(20),
    }
}

fn index(digest: &str, architecture: &str) -> String {
    format!(
        r#"{{"digest":"{digest}","platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
    )
}

#[tokio::test]
async fn the_platform_is_picked() {
    let mut memory = Memory::default();
    let amd = memory.image(&[], &[]);
    let arm = memory.image(&[("", &digest_like("", b"x"))], &["sha256:1"]);
    memory.top = format!(r#"{{"manifests":[{},{}]}}"#, index(&arm, "arm64"), index(&amd, "amd64"));
    assert_eq!(choose(&memory, "p", None, "linux/amd64").await.unwrap().digest, amd);
    let arm64 = choose(&memory, "p", None, "linux/arm64").await.unwrap();
    assert_eq!((arm64.digest, arm64.layers.len()), (arm, 1));
    let none = choose(&memory, "p", None, "linux/s390x").await.unwrap_err().to_string();
    assert!(none.contains("no image") || none.contains("several images"), "{none}");
}

#[tokio::test]
async fn indexes_in_one_another_have_an_end() {
    let mut memory = Memory::default();
    let mut digest = memory.image(&[], &[]);
    for depth in 1..=DEPTH_MAX + 1 {
        memory.top = format!(r#"{{"manifests":[{}]}}"#, index(&digest, "amd64"));
        assert_eq!(choose(&memory, "p", None, "linux/amd64").await.is_ok(), depth <= DEPTH_MAX);
        digest = memory.put(&memory.top.clone());
    }
}

#[tokio::test]
async fn no_image_says_why() {
    let mut memory = Memory { top: "[]".into(), ..Memory::default() };
    assert!(matches!(
        scan(&memory, "p", None, &options(None)).await,
        Err(ScanError::NoImage { .. })
    ));
    let image = memory.image(&[], &[]);
    memory.top = format!(r#"{{"manifests":[{}]}}"#, index(&image, "amd64"));
    memory.blobs.remove(&image);
    let error = scan(&memory, "p", None, &options(None)).await.unwrap_err().to_string();
    assert!(error.contains(&image) && error.contains("not found"), "{error}");
    let descriptor = format!(r#"{{"digest":"{image}"}}"#);
    let layers = vec![descriptor.as_str(); LAYERS_MAX + 1].join(",");
    memory.top = format!(r#"{{"config":{descriptor},"layers":[{layers}]}}"#);
    let error = scan(&memory, "p", None, &options(None)).await.unwrap_err().to_string();
    assert!(error.contains("1001 layers"), "{error}");
}

#[tokio::test]
async fn every_layer_is_there_or_is_a_problem() {
    let folder = tempfile::TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 1).unwrap();
    let known = digest_like("", b"known");
    cache.put(&LayerScan { diff_id: known.clone(), size: 7, ..LayerScan::default() }).unwrap();
    let mut memory = Memory::default();
    let broken = memory.put("worker breaks");
    let (absent, plain) = (digest_like("", b"absent"), "application/vnd.oci.image.layer.v1.tar");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let layers = [(plain, &*absent), (foreign, &*absent), (plain, &*absent), (plain, &*broken)];
    let image = memory.image(&layers, &["sha256:1", "sha256:2", &known, "sha256:4", "sha256:5"]);
    memory.top = format!(r#"{{"manifests":[{}]}}"#, index(&image, "amd64"));
    let scan = scan(&memory, "p", None, &options(Some(cache))).await.unwrap();
    let mut problems: Vec<_> = scan.problems.iter().map(|p| (p.layer, p.kind)).collect();
    problems.sort_unstable();
    assert_eq!(
        problems,
        [
            // The configuration names one layer more than the manifest.
            (None, ProblemKind::Corrupt),
            (Some(0), ProblemKind::Absent),
            (Some(1), ProblemKind::Unsupported),
            (Some(3), ProblemKind::Crashed),
        ]
    );
    assert_eq!(scan.layers.iter().map(|layer| layer.size).collect::<Vec<_>>(), [0, 0, 7, 0]);
    assert_eq!((scan.subject.digest, scan.subject.reference), (image, "p".into()));
    assert_eq!(scan.subject.tags, ["here:1"]);
}

#[test]
fn an_error_of_access_is_no_statement_about_the_image() {
    let refused = BlobError::Unauthorised { place: "r".into(), host: "h".into(), why: "no".into() };
    assert!(matches!(failed("p", refused), ScanError::Io { .. }));
    assert_eq!(
        problem_kind(&BlobError::TooLarge { place: "x".into(), limit: 1 }),
        ProblemKind::Limit
    );
}
