//! The lab's images: built from programs of this machine, from nothing else. Nothing is pulled.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::archive;
use super::spec::{Image, ImageFile};
use super::{LABEL, SPEC};
use crate::run::{command, docker, find, output, say};

/// The name under which an image is found.
pub fn tag(name: &str) -> String {
    format!("haechi-lab-{name}:1")
}

/// The id of an image of the lab, if it is there.
pub fn id(name: &str) -> Result<Option<String>> {
    let label = format!("label=haechi.lab.image={name}");
    let ids = docker(["images", "--quiet", "--no-trunc", "--filter", &label])?;
    Ok(ids.lines().next().map(ToOwned::to_owned))
}

/// Makes an image, unless it is there.
pub fn make(image: &Image, identity: &str) -> Result<()> {
    let there = id(&image.name)?;
    let as_wanted = |id: &String| image.archive.is_none() || *id == archive::id(image);
    if there.as_ref().is_some_and(as_wanted) {
        return Ok(());
    }
    say(format!("  image {}", image.name));
    if image.archive.is_some() {
        return load(image);
    }
    let folder = tempfile::tempdir()?;
    for file in &image.files {
        place(file, folder.path()).with_context(|| format!("image {}: {}", image.name, file.to))?;
    }
    fs::write(folder.path().join("Dockerfile"), &image.dockerfile)?;
    let folder = folder.path().display().to_string();
    let labels = [
        LABEL.to_owned(),
        format!("haechi.lab.image={}", image.name),
        format!("{SPEC}={identity}"),
    ];
    let mut words = vec!["build", "--quiet", "--force-rm", "--network", "none"];
    words.extend(labels.iter().flat_map(|label| ["--label", label]));
    let tag = tag(&image.name);
    if image.tagged {
        words.extend(["--tag", &tag]);
    }
    words.push(&folder);
    docker(words).map(drop)
}

fn load(image: &Image) -> Result<()> {
    let mut docker = command("docker", &["load", "--quiet"])?;
    docker.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut load = docker.spawn().context("cannot run docker")?;
    let archive = archive::of(image, &tag(&image.name));
    load.stdin.take().context("docker load reads nothing")?.write_all(&archive)?;
    let status = load.wait()?;
    if !status.success() {
        bail!("docker load ended with {status}");
    }
    Ok(())
}

/// Puts a file into the build's folder.
fn place(file: &ImageFile, folder: &Path) -> Result<()> {
    let to = folder.join(&file.to);
    let within = to.parent().context("a file needs a name")?;
    fs::create_dir_all(within)?;
    if let Some(target) = &file.link {
        symlink(target, &to)?;
    } else if let Some(program) = &file.program {
        let path = find(program).with_context(|| format!("{program} is not installed"))?;
        fs::copy(&path, &to)?;
        for library in libraries(&path)? {
            // Beside it, below the same `root/` that the Dockerfile copies.
            let root = folder.join(file.to.split('/').next().unwrap_or_default());
            let copy = root.join(library.strip_prefix("/").unwrap_or(&library));
            fs::create_dir_all(copy.parent().context("a library needs a name")?)?;
            fs::copy(&library, copy)?;
        }
    } else {
        fs::write(&to, &file.text)?;
    }
    if file.text.starts_with("#!") {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let base = to.file_name().context("a file needs a name")?;
    for name in &file.names {
        symlink(base, within.join(name))?;
    }
    Ok(())
}

/// What a program loads when it starts; nothing if it is static.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut ldd = command("ldd", &[])?;
    ldd.arg(program).env("LC_ALL", "C");
    // A static program makes ldd complain: it needs nothing.
    let Ok(lines) = output(ldd) else {
        return Ok(Vec::new());
    };
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(lines.lines().filter_map(path).collect())
}
