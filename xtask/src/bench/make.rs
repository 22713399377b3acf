//! Makes the images of the bench, without an engine: a real Debian one (by debootstrap, root only), and layers of any
//! size. They are archives as `docker save` writes them. Kept below the build's folder, because making takes minutes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use super::data::Numbers;
use crate::run::{command, find, is_root, must, say};

/// What makes the image as large as usual service images: 200 MB.
const PACKAGES: &str = "ca-certificates,curl,gnupg,less,nginx-light,openssh-client,python3";
const SUITE: &str = "bookworm";

/// The archive of a Debian image, made if it is not there; nothing if it cannot be made here.
pub fn debian(folder: &Path) -> Result<Option<PathBuf>> {
    let archive = folder.join("debian.tar");
    if archive.is_file() {
        return Ok(Some(archive));
    }
    if !is_root() || find("debootstrap").is_none() {
        say("The Debian image needs root and the program debootstrap: it is not measured.");
        return Ok(None);
    }
    let root = folder.join("debian.root");
    if root.exists() {
        bail!(
            "{} is left of an earlier run: unmount what is mounted below it and remove it",
            root.display()
        );
    }
    let place = root.to_str().context("the build's folder has no readable name")?;
    let include = format!("--include={PACKAGES}");
    must(command("debootstrap", &["--variant=minbase", &include, SUITE, place])?)?;
    // What debootstrap has mounted there belongs to the host: nothing may be removed then.
    if std::fs::read_to_string("/proc/mounts")?.contains(place) {
        bail!("something is still mounted below {place}");
    }
    // What images leave out as well.
    for gone in ["var/cache/apt", "var/lib/apt/lists"].map(|gone| root.join(gone)) {
        std::fs::remove_dir_all(&gone)?;
    }
    save(&archive, |layer| {
        for entry in std::fs::read_dir(&root)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type()?;
            match name.to_str() {
                Some("proc" | "sys" | "dev") => {}
                Some(name) if kind.is_dir() => layer.append_dir_all(name, &path)?,
                Some(name) => layer.append_path_with_name(&path, name)?,
                None => {}
            }
        }
        Ok(())
    })?;
    std::fs::remove_dir_all(&root)?;
    Ok(Some(archive))
}

/// The same file, gzipped.
pub fn gzip(file: &Path) -> Result<PathBuf> {
    let to = file.with_extension("tar.gz");
    if !to.is_file() {
        let new = file.with_extension("gz.new");
        let mut out =
            flate2::write::GzEncoder::new(File::create(&new)?, flate2::Compression::default());
        io::copy(&mut BufReader::new(File::open(file)?), &mut out)?;
        out.finish()?.flush()?;
        std::fs::rename(new, &to)?;
    }
    Ok(to)
}

/// An image with one layer of about so many bytes in files of mixed size; half of them cannot be compressed.
pub fn layer(archive: &Path, bytes: u64) -> Result<()> {
    const POOL: usize = 16 << 20;
    const ENDINGS: [&str; 8] = ["", ".so", ".txt", ".json", ".bin", ".py", ".dat", ".html"];
    let mut numbers = Numbers::new(bytes);
    let noise = numbers.bytes(POOL);
    let words = numbers.text(POOL as u64 / 6).into_bytes();
    save(archive, |layer| {
        let (mut left, mut number) = (bytes, 0_u64);
        while left > 0 {
            // 1 KiB to 16 MiB, each magnitude as often.
            let size = (1024 << numbers.below(14)).min(left);
            let pool = if numbers.below(2) == 0 { &noise } else { &words };
            let at = numbers.below((pool.len() as u64).saturating_sub(size).max(1));
            let content = pool.iter().skip(usize::try_from(at)?).take(usize::try_from(size)?);
            let content: Vec<u8> = content.copied().collect();
            let ending = numbers.one(&ENDINGS).copied().unwrap_or_default();
            let name = format!("opt/data/{:03}/file-{number}{ending}", number / 100);
            entry(layer, &name, &content)?;
            left -= content.len() as u64;
            number += 1;
        }
        Ok(())
    })
}

/// Writes an archive with one image of one layer.
fn save(
    archive: &Path,
    fill: impl FnOnce(&mut Builder<BufWriter<File>>) -> Result<()>,
) -> Result<()> {
    let part = archive.with_extension("layer");
    let mut layer = Builder::new(BufWriter::with_capacity(1 << 20, File::create(&part)?));
    layer.follow_symlinks(false);
    fill(&mut layer)?;
    layer.into_inner()?.flush()?;
    let digest = digest(&part)?;
    let config = serde_json::to_vec(&serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        "history": [{"created_by": "cargo xtask bench"}],
    }))?;
    let name = format!("{}.json", hex(&Sha256::digest(&config)));
    let manifest = serde_json::to_vec(&serde_json::json!([{
        "Config": name, "RepoTags": ["haechi-bench:latest"], "Layers": [format!("blobs/sha256/{digest}")],
    }]))?;
    let new = archive.with_extension("new");
    let mut out = Builder::new(BufWriter::with_capacity(1 << 20, File::create(&new)?));
    entry(&mut out, &name, &config)?;
    out.append_path_with_name(&part, format!("blobs/sha256/{digest}"))?;
    entry(&mut out, "manifest.json", &manifest)?;
    out.into_inner()?.flush()?;
    std::fs::remove_file(part)?;
    std::fs::rename(new, archive)?;
    Ok(())
}

fn entry(out: &mut Builder<impl Write>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(out.append_data(&mut header, name, content)?)
}

fn digest(file: &Path) -> Result<String> {
    let mut sha = Sha256::new();
    let mut step = vec![0; 1 << 20];
    let mut source = File::open(file)?;
    loop {
        let count = source.read(&mut step)?;
        if count == 0 {
            return Ok(hex(&sha.finalize()));
        }
        let Some(part) = step.get(..count) else { bail!("a read of more than was asked for") };
        sha.update(part);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
