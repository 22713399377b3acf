//! `lab/lab.yaml`: the lab as data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::run::{find, repository};

/// The lab.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Folder of the host for what containers mount.
    pub directory: PathBuf,
    /// What is in it.
    pub files: Vec<HostFile>,
    pub networks: Vec<Made>,
    pub volumes: Vec<Made>,
    pub images: Vec<Image>,
    pub containers: Vec<Container>,
    /// What a lab cannot show, and why.
    pub not_shown: Vec<NotShown>,
}

/// A file or link in the lab's folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    pub path: String,
    #[serde(default)]
    pub text: String,
    pub link: Option<String>,
}

/// A network or volume.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    pub name: String,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub fails: Vec<String>,
    #[serde(default)]
    pub passes: Vec<String>,
}

/// An image, built from a Dockerfile or loaded from an archive made here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    pub name: String,
    /// Whether it keeps a name; without one it is dangling.
    #[serde(default = "yes")]
    pub tagged: bool,
    #[serde(default)]
    pub dockerfile: String,
    #[serde(default)]
    pub files: Vec<ImageFile>,
    pub archive: Option<Archive>,
    #[serde(default)]
    pub fails: Vec<String>,
    #[serde(default)]
    pub passes: Vec<String>,
}

fn yes() -> bool {
    true
}

/// A file of an image: a text, a link, or a program of this machine with its libraries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFile {
    pub to: String,
    #[serde(default)]
    pub text: String,
    pub link: Option<String>,
    pub program: Option<String>,
    /// Names under which the program is linked, beside it.
    #[serde(default)]
    pub names: Vec<String>,
}

/// An image whose bytes, and so its id, are the same on each machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    pub created: String,
    pub user: String,
    /// Steps of the build that the image says it had.
    pub history: Vec<String>,
    pub text: String,
}

/// A container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    pub name: String,
    pub image: String,
    #[serde(default)]
    pub state: State,
    /// Arguments of `docker create`.
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub command: Vec<String>,
    /// A network that it is connected to besides.
    pub connect: Option<String>,
    /// An image that takes over the name of this container's image afterwards.
    pub overtaken_by: Option<String>,
    /// Why it is as it is.
    pub why: String,
    #[serde(default)]
    pub fails: Vec<String>,
    #[serde(default)]
    pub passes: Vec<String>,
}

/// What becomes of a container after it was created.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Running,
    /// Never started.
    Created,
    /// Ran to its end.
    Exited,
}

/// A check that has no subject here for one of its verdicts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotShown {
    pub check: String,
    /// `fail`, `pass` or both.
    pub verdicts: Vec<String>,
    pub why: String,
}

impl Spec {
    /// Reads it; also what identifies this lab: another text or other programs make another lab.
    pub fn load() -> Result<(Self, String)> {
        let path = repository()?.join("lab/lab.yaml");
        let text = std::fs::read_to_string(&path).context(path.display().to_string())?;
        let spec: Self = serde_norway::from_str(&text).context(path.display().to_string())?;
        let mut marked = text;
        for program in spec.images.iter().flat_map(|i| &i.files).filter_map(|f| f.program.as_ref())
        {
            let size = find(program).and_then(|path| Some(std::fs::metadata(path).ok()?.len()));
            marked.push_str(&format!("{program} {size:?}\n"));
        }
        Ok((spec, super::archive::digest(marked.as_bytes()).chars().take(16).collect()))
    }

    /// Checks by id, with the subjects that fail and those that pass.
    pub fn by_check(&self) -> BTreeMap<&str, [Vec<String>; 2]> {
        let containers =
            self.containers.iter().map(|c| ("container", &c.name, &c.fails, &c.passes));
        let images = self.images.iter().map(|i| ("image", &i.name, &i.fails, &i.passes));
        let volumes = self.volumes.iter().map(|v| ("volume", &v.name, &v.fails, &v.passes));
        let networks = self.networks.iter().map(|n| ("network", &n.name, &n.fails, &n.passes));
        let mut all: BTreeMap<&str, [Vec<String>; 2]> = BTreeMap::new();
        for (kind, name, fails, passes) in containers.chain(images).chain(volumes).chain(networks) {
            let name = name.strip_prefix("haechi-lab-").unwrap_or(name);
            for (verdict, checks) in [fails, passes].into_iter().enumerate() {
                for check in checks {
                    if let Some(subjects) = all.entry(check).or_default().get_mut(verdict) {
                        subjects.push(format!("{kind} {name}"));
                    }
                }
            }
        }
        all
    }
}
