//! The lab: containers, images, networks and volumes on a real engine, each with the checks that it has
//! to fail and to pass. What they are is data: `lab/lab.yaml`.

mod archive;
mod docs;
mod images;
mod spec;

use std::fs;
use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::engine;
use crate::needs::{self, For};
use crate::run::{PATIENCE, docker, say};
pub use docs::{table, write as write_docs};
use spec::{Container, Made, Spec, State};

/// What everything in the lab is labelled with.
const LABEL: &str = "haechi.lab=1";
/// The label with the text of the lab that an object comes from.
const SPEC: &str = "haechi.lab.spec";

/// Makes what is missing, and anew what is of another lab.
pub fn up() -> Result<()> {
    needs::meet(For::Lab)?;
    engine::meet()?;
    let (spec, identity) = Spec::load()?;
    say("Lab:");
    remove_others(&identity)?;
    place_files(&spec)?;
    for image in &spec.images {
        images::make(image, &identity)?;
    }
    for network in &spec.networks {
        make("network", network, &identity)?;
    }
    for volume in &spec.volumes {
        make("volume", volume, &identity)?;
    }
    for container in &spec.containers {
        bring(container, &spec, &identity)
            .with_context(|| format!("container {}", container.name))?;
    }
    settle()?;
    ran(&spec)?;
    say(format!(
        "Lab: {} containers, {} images, {} volumes. `cargo xtask lab down` removes them.",
        spec.containers.len(),
        spec.images.len(),
        spec.volumes.len()
    ));
    Ok(())
}

/// Makes sure of one image of the lab; the name under which containers are made from it.
pub fn image(name: &str) -> Result<String> {
    let (spec, identity) = Spec::load()?;
    let image = spec.images.iter().find(|image| image.name == name).context("no such image")?;
    images::make(image, &identity)?;
    Ok(images::tag(name))
}

/// Removes everything of the lab.
pub fn down() -> Result<()> {
    engine::meet()?;
    let (spec, _) = Spec::load()?;
    remove_others("")?;
    if spec.directory.exists() {
        fs::remove_dir_all(&spec.directory)
            .with_context(|| format!("cannot remove {}", spec.directory.display()))?;
    }
    say("The lab is removed.");
    Ok(())
}

/// Says what is there.
pub fn status() -> Result<()> {
    let filter = format!("label={LABEL}");
    let rows = "table {{.Names}}\t{{.Status}}\t{{.Image}}";
    say(docker(["ps", "--all", "--filter", &filter, "--format", rows])?);
    for (kind, list) in [("image", "images"), ("network", "network"), ("volume", "volume")] {
        let found = match list {
            "images" => docker(["images", "--quiet", "--filter", &filter])?,
            _ => docker([list, "ls", "--quiet", "--filter", &filter])?,
        };
        say(format!("{kind}s: {}", found.lines().count()));
    }
    Ok(())
}

/// Removes objects of the lab that do not come from this text of it.
fn remove_others(identity: &str) -> Result<()> {
    // Loaded images carry no mark of their lab: their bytes are their mark.
    let filter = format!("label={}", if identity.is_empty() { LABEL } else { SPEC });
    let theirs = |list: &[&str]| -> Result<Vec<String>> {
        let all = [list, &["--filter", &filter]].concat();
        let found = docker(&all)?;
        let keep = format!("label={SPEC}={identity}");
        let kept = docker([all.as_slice(), &["--filter", &keep]].concat())?;
        let kept: Vec<&str> = kept.lines().collect();
        Ok(found.lines().filter(|id| !kept.contains(id)).map(ToOwned::to_owned).collect())
    };
    let kinds: [(&[&str], &[&str]); 4] = [
        (&["ps", "--all", "--quiet"], &["rm", "--force"]),
        (&["images", "--quiet"], &["rmi", "--force"]),
        (&["network", "ls", "--quiet"], &["network", "rm"]),
        (&["volume", "ls", "--quiet"], &["volume", "rm"]),
    ];
    for (list, remove) in kinds {
        let mut ids = theirs(list)?;
        ids.dedup();
        if !ids.is_empty() {
            let words = remove.iter().map(|word| (*word).to_owned()).chain(ids);
            docker(words)?;
        }
    }
    Ok(())
}

fn place_files(spec: &Spec) -> Result<()> {
    for file in &spec.files {
        let path = spec.directory.join(&file.path);
        let folder = path.parent().context("a file needs a folder")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}: the lab needs root", folder.display()))?;
        match &file.link {
            Some(_) if path.is_symlink() => {}
            Some(target) => symlink(target, &path)?,
            // Written anew each time: a backup has to be a fresh one.
            None => fs::write(&path, &file.text)?,
        }
    }
    Ok(())
}

fn make(kind: &str, made: &Made, identity: &str) -> Result<()> {
    let there = docker([kind, "ls", "--quiet", "--filter", &format!("name=^{}$", made.name)])?;
    if there.is_empty() {
        let label = format!("{SPEC}={identity}");
        let mut words = vec![kind, "create", "--label", LABEL, "--label", &label];
        words.extend(made.args.iter().map(String::as_str));
        words.push(&made.name);
        docker(words).with_context(|| format!("{kind} {}", made.name))?;
    }
    Ok(())
}

/// Brings a container into its state.
fn bring(container: &Container, spec: &Spec, identity: &str) -> Result<()> {
    let name = container.name.as_str();
    let state = ["ps", "--all", "--format", "{{.State}}", "--filter"];
    let state = docker(state.into_iter().chain([format!("name=^{name}$").as_str()]))?;
    let is = match container.state {
        State::Running => state == "running",
        State::Created => state == "created",
        State::Exited => state == "exited",
    };
    if is {
        return Ok(());
    }
    if !state.is_empty() {
        docker(["rm", "--force", name])?;
    }
    say(format!("  container {name}"));
    let image = images::tag(&container.image);
    if container.overtaken_by.is_some() {
        // It may have been overtaken in an earlier run.
        let own = images::id(&container.image)?.context("its image is missing")?;
        docker(["tag", &own, &image])?;
    }
    let label = format!("{SPEC}={identity}");
    let directory = spec.directory.display().to_string();
    let given: Vec<String> =
        container.args.iter().map(|word| word.replace("{directory}", &directory)).collect();
    let mut words = vec!["create", "--name", name, "--label", LABEL, "--label", &label];
    words.extend(given.iter().map(String::as_str));
    words.push(&image);
    words.extend(container.command.iter().map(String::as_str));
    docker(words)?;
    if let Some(network) = &container.connect {
        docker(["network", "connect", network, name])?;
    }
    if container.state != State::Created {
        docker(["start", name])?;
    }
    if container.state == State::Exited {
        docker(["wait", name])?;
    }
    if let Some(other) = &container.overtaken_by {
        let other = images::id(other)?.context("the image that overtakes is missing")?;
        docker(["tag", &other, &image])?;
    }
    Ok(())
}

/// Complains about containers that did not stay running.
fn ran(spec: &Spec) -> Result<()> {
    let running = docker(["ps", "--format", "{{.Names}}", "--filter", &format!("label={LABEL}")])?;
    let mut wanted = spec.containers.iter().filter(|c| c.state == State::Running);
    if let Some(ended) = wanted.find(|c| !running.lines().any(|name| name == c.name)) {
        let said = docker(["logs", &ended.name]).unwrap_or_default();
        bail!("{} did not stay running; `docker logs {0}` says: {said}", ended.name);
    }
    Ok(())
}

/// Waits until no health check is pending: what is starting is neither healthy nor not.
fn settle() -> Result<()> {
    let begin = Instant::now();
    loop {
        let filter = format!("label={LABEL}");
        let starting =
            docker(["ps", "--quiet", "--filter", &filter, "--filter", "health=starting"])?;
        if starting.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("the health of {starting} is not known after {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(200));
    }
}
