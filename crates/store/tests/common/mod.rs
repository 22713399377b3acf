//! What the tests share: sample reports, the example that writes them, and its path.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test helpers: not every test uses all, and all may stop at once"
)]

pub mod sample;

use std::path::{Path, PathBuf};

use haechi_store::Store;

/// A time, for reports where it does not matter.
pub const TIME: &str = "2026-07-28T09:30:00Z";

/// An open store in a directory of its own below `root`.
pub async fn store(root: &Path) -> Store {
    Store::open(&root.join("data")).await.expect("the store opens")
}

/// The built `examples/writer.rs`, beside this test's own program.
pub fn writer() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.parent().unwrap().parent().unwrap().join("examples/writer");
    // `--test NAME` and `--examples` do not build it; an old one would test old code.
    let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified());
    let built = changed(&path).expect("`cargo test -p haechi-store` builds the example");
    for source in Path::new(env!("CARGO_MANIFEST_DIR")).join("src").read_dir().unwrap() {
        let source = source.unwrap().path();
        assert!(
            changed(&source).unwrap() <= built,
            "{path:?} is older than {source:?}: run `cargo test -p haechi-store` without `--test`"
        );
    }
    path
}
