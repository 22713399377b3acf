//! Writes the seeds of every target into `corpus/TARGET/`.

use std::path::Path;

const TARGETS: [&str; 8] =
    ["layer", "distro", "languages", "binaries", "dangers", "manifests", "feeds", "versions"];

fn main() -> std::io::Result<()> {
    for target in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in haechi_fuzz::seeds::of(target).into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
