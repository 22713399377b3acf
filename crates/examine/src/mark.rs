//! The `unsafe` mark: an unsafe image loses its reference `name:tag` and gets `name:tag-unsafe`, so that whoever runs it
//! has to type that.
//!
//! Only references change, nothing is deleted: the new reference is made first, and a container that runs the image goes
//! on. [`mark`] and [`unmark`] say what would be done, [`apply`] does it, one reference after the other. Who marked what and why is
//! kept by the caller.

use haechi_facts::engine::ApiError;
use haechi_facts::engine::api::encode;
use haechi_facts::engine::http::{HttpApi, Method};

/// What a marked reference ends with.
pub const SUFFIX: &str = "-unsafe";
/// Longest tag (OCI distribution specification, "Pulling manifests").
const TAG_MAX: usize = 128;

/// One reference in place of another, for the same image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Id of the image.
    pub id: String,
    /// The reference that goes.
    pub from: String,
    /// The reference that comes.
    pub to: String,
}

/// Why a reference cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStep {
    /// It is marked already, or not marked.
    #[error("{0} is so already")]
    Already(String),
    /// The marked tag would be longer than a tag may be.
    #[error("{0}: the tag with `{SUFFIX}` would be longer than {TAG_MAX} characters")]
    TooLong(String),
    /// The new reference names another image, which would lose it.
    #[error("{0} is the name of another image; give that one another name or remove it first")]
    Taken(String),
    /// It is no reference with a tag.
    #[error("{0} has no tag")]
    NoTag(String),
}

/// The step that marks a reference.
///
/// # Errors
/// It cannot be marked.
pub fn mark(id: &str, reference: &str) -> Result<Step, NoStep> {
    let (_, tag) = split(reference)?;
    if tag.ends_with(SUFFIX) {
        return Err(NoStep::Already(reference.to_owned()));
    }
    if tag.len() + SUFFIX.len() > TAG_MAX {
        return Err(NoStep::TooLong(reference.to_owned()));
    }
    Ok(Step { id: id.into(), from: reference.into(), to: format!("{reference}{SUFFIX}") })
}

/// The step that takes the mark away.
///
/// # Errors
/// It is not marked.
pub fn unmark(id: &str, reference: &str) -> Result<Step, NoStep> {
    let (_, tag) = split(reference)?;
    match reference.strip_suffix(SUFFIX) {
        Some(plain) if tag.len() > SUFFIX.len() => {
            Ok(Step { id: id.into(), from: reference.into(), to: plain.into() })
        }
        _ => Err(NoStep::Already(reference.to_owned())),
    }
}

/// A step that takes no reference from another image. `named` gives the image that a reference names now.
///
/// # Errors
/// It would.
pub fn free(step: Step, named: impl Fn(&str) -> Option<String>) -> Result<Step, NoStep> {
    match named(&step.to) {
        Some(id) if id != step.id => Err(NoStep::Taken(step.to)),
        _ => Ok(step),
    }
}

/// Repository and tag.
fn split(reference: &str) -> Result<(&str, &str), NoStep> {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !name.is_empty() && !reference.contains('@') => {
            Ok((name, tag))
        }
        _ => Err(NoStep::NoTag(reference.to_owned())),
    }
}

/// Does a step. The new reference is made before the old one goes, so a break in between leaves both.
///
/// # Errors
/// The engine says no.
pub async fn apply(api: &HttpApi, step: &Step) -> Result<(), ApiError> {
    let (repository, tag) = split(&step.to).map_err(|e| ApiError::Malformed(e.to_string()))?;
    let path =
        format!("/images/{}/tag?repo={}&tag={}", encode(&step.id), encode(repository), encode(tag));
    api.act(Method::POST, &path).await?;
    // An image never loses its last reference here: it has the new one.
    api.act(Method::DELETE, &format!("/images/{}?noprune=1", encode(&step.from))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let step = mark("sha256:a", "registry.example.com:5000/app:1.2");
        assert_eq!(
            step.as_ref().map(|s| s.to.as_str()),
            Ok("registry.example.com:5000/app:1.2-unsafe")
        );
        let back = unmark("sha256:a", "registry.example.com:5000/app:1.2-unsafe");
        assert_eq!(back.map(|s| s.to), Ok("registry.example.com:5000/app:1.2".into()));
    }

    #[test]
    fn no_image_loses_its_reference_to_another() {
        let named = |id: &str| {
            let id = id.to_owned();
            move |reference: &str| (reference == "app:1-unsafe").then(|| id.clone())
        };
        let step = mark("a", "app:1").unwrap();
        assert_eq!(free(step.clone(), named("a")), Ok(step.clone()));
        assert_eq!(free(step, named("b")), Err(NoStep::Taken("app:1-unsafe".into())));
        let other = mark("a", "app:2").unwrap();
        assert!(free(other, named("b")).is_ok());
    }

    #[test]
    fn what_cannot_be_marked() {
        assert!(matches!(mark("a", "app:1-unsafe"), Err(NoStep::Already(_))));
        assert!(matches!(unmark("a", "app:1"), Err(NoStep::Already(_))));
        assert!(matches!(unmark("a", "app:-unsafe"), Err(NoStep::Already(_))));
        assert!(matches!(mark("a", "app@sha256:b"), Err(NoStep::NoTag(_))));
        assert!(matches!(mark("a", "localhost:5000/app"), Err(NoStep::NoTag(_))));
        assert!(matches!(mark("a", &format!("app:{}", "x".repeat(125))), Err(NoStep::TooLong(_))));
    }
}
