//! Whether containers run what their registry has today: fills `container.registry_digest` (checklist item 5.27).
//!
//! Only images that came from a registry are asked for, each reference once, and a registry that does not answer is not
//! asked again. What could not be had is a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use haechi_core::facts::{Container, Gap, Image, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use haechi_image::blobs::BlobError;
use haechi_image::registry::{self, Options};

/// Most time for one question; the registry may be behind a firewall that drops packets.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Fills the digests.
pub async fn fill(snapshot: &mut Snapshot, options: &Options) {
    let Some(containers) = &mut snapshot.containers else { return };
    // Credentials of the environment are for one registry that somebody named, not for every one that is asked here.
    let options = Options { timeout: TIMEOUT, login: None, ..options.clone() };
    let images = snapshot.images.as_deref().unwrap_or_default();
    let mut known: BTreeMap<String, Result<String, (Cause, String)>> = BTreeMap::new();
    let mut silent: BTreeMap<String, String> = BTreeMap::new();
    let mut gaps = Vec::new();
    for container in containers {
        let id = container.id.clone().unwrap_or_default();
        let answer = match reference(container, images) {
            Err(why) => Err((Cause::Missing, why)),
            Ok(reference) => {
                if !known.contains_key(&reference) {
                    let host = reference.split('/').next().unwrap_or_default().to_owned();
                    let answer = match silent.get(&host) {
                        Some(why) => Err((Cause::Unreachable, why.clone())),
                        None => ask(&reference, &options).await,
                    };
                    if let Err((Cause::Unreachable | Cause::TimedOut, why)) = &answer {
                        silent.insert(host, why.clone());
                    }
                    known.insert(reference.clone(), answer);
                }
                known.get(&reference).cloned().unwrap_or(Err((Cause::Missing, reference)))
            }
        };
        match answer {
            Ok(digest) => container.registry_digest = Some(digest),
            Err((cause, detail)) => gaps.push(Gap {
                kind: SubjectKind::Container,
                id,
                fact: "registry_digest".into(),
                cause,
                detail,
            }),
        }
    }
    snapshot.gaps.extend(gaps);
}

async fn ask(reference: &str, options: &Options) -> Result<String, (Cause, String)> {
    let asked = tokio::time::timeout(TIMEOUT, registry::digest(reference, options)).await;
    match asked {
        Err(_) => Err((Cause::TimedOut, format!("the registry of {reference} did not answer"))),
        // It does not have this tag any more: whatever runs is not the newest.
        Ok(Err(BlobError::NotFound { .. })) => Ok(String::new()),
        Ok(Err(error)) => {
            let cause = match &error {
                BlobError::Unauthorised { .. } => Cause::Permission,
                _ => Cause::Unreachable,
            };
            Err((cause, error.to_string()))
        }
        Ok(Ok(digest)) => Ok(digest),
    }
}

/// The reference to ask for.
fn reference(container: &Container, images: &[Image]) -> Result<String, String> {
    let name = container.image_ref.clone().unwrap_or_default();
    if name.is_empty() || name.starts_with("sha256:") {
        return Err("the container was made from an image id, which no registry knows".into());
    }
    let image = images.iter().find(|i| i.id.is_some() && i.id == container.image_id);
    let digests = image.and_then(|i| i.digests.as_ref());
    match digests {
        Some(digests) if digests.is_empty() => Err(format!(
            "{name} was built here and never pushed; no registry has it to compare with"
        )),
        Some(_) => Ok(full(&name)),
        None => Err(format!("it is not known which image {name} is")),
    }
}

/// A reference with Docker's defaults written out, so that its registry comes first.
fn full(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_out() {
        assert_eq!(full("nginx:1"), "docker.io/library/nginx:1");
        assert_eq!(full("team/app"), "docker.io/team/app");
        assert_eq!(full("localhost:5000/app"), "localhost:5000/app");
        assert_eq!(full("registry.example.com/a/b"), "registry.example.com/a/b");
    }

    #[test]
    fn only_what_came_from_a_registry_is_asked_for() {
        let image = |digests: &[&str]| Image {
            id: Some("sha256:a".into()),
            digests: Some(digests.iter().map(|d| (*d).to_owned()).collect()),
            ..Image::default()
        };
        let container = Container {
            image_ref: Some("app:1".into()),
            image_id: Some("sha256:a".into()),
            ..Container::default()
        };
        assert!(reference(&container, &[image(&[])]).is_err());
        assert!(reference(&container, &[image(&["app@sha256:b"])]).is_ok());
        assert!(reference(&container, &[]).is_err());
    }
}
