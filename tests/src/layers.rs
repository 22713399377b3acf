//! What Haechi has read of images, kept for all tests of one build: most are not about reading, and each begins with an
//! empty data folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use crate::program::{binary, target};

/// The folders of other builds go after this time: their tests may still run.
const OLD: Duration = Duration::from_secs(86_400);

/// Lets Haechi find in this data folder what is kept, and keep more; if it has a folder of layers, it is left alone.
pub(crate) fn share(data: &Path) {
    static KEPT: LazyLock<PathBuf> = LazyLock::new(kept);
    // The data folder itself may be one that cannot be.
    let _ = symlink(&*KEPT, data.join("layers"));
}

fn kept() -> PathBuf {
    let all = target().join("haechi-tests/layers");
    let built = binary().metadata().unwrap().modified().unwrap();
    let built = built.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let own = all.join(built.to_string());
    fs::create_dir_all(&own).unwrap();
    for other in fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().path()) {
        let changed = other.metadata().and_then(|meta| meta.modified());
        if changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD)) {
            let _ = fs::remove_dir_all(other);
        }
    }
    own
}
