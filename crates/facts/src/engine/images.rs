//! Images: configuration, age, and how they were built.
//!
//! One inspect and one history each. The content of an image is not looked at here.

use std::collections::HashMap;

use haechi_core::facts::{BuildStep, Image};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::containers::{full_id, healthcheck};
use super::json::{self, Absent, Reader, text_at};
use super::{Call, Scene, steps};
use crate::days_between;
use crate::gaps::Observed;

/// Steps of one image that are kept; the engine itself stops at 127 layers.
const STEPS_MAX: usize = 2000;

/// What was asked about the images.
pub(super) struct Answers {
    ids: Vec<String>,
    inspects: Vec<Result<Value, super::ApiError>>,
    histories: Vec<Result<Value, super::ApiError>>,
}

/// Lists the images and asks about each.
pub(super) async fn ask(scene: Scene<'_>, list: Result<Value, super::ApiError>) -> Option<Answers> {
    let list = super::items(scene.gaps, SubjectKind::Image, list, "")?;
    let mut ids: Vec<String> = list.iter().map(|item| text_at(item, "Id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    let (inspects, histories) = futures_util::join!(
        super::ask_each(scene.api, &ids, Call::Image),
        super::ask_each(scene.api, &ids, Call::ImageHistory),
    );
    Some(Answers { ids, inspects, histories })
}

/// Makes facts of the answers, sorted by reference.
pub(super) fn build(scene: Scene<'_>, answers: Answers) -> Vec<Image> {
    let Answers { ids, inspects, histories } = answers;
    let asked = ids.iter().zip(inspects).zip(histories);
    let mut images: Vec<Image> = asked
        .filter_map(|((id, inspect), history)| match inspect {
            Ok(inspect) => Some(image(scene, id, &inspect, history)),
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                let detail = error.to_string();
                scene.gaps.record_for(SubjectKind::Image, id, "", error.gap_cause(), detail);
                Some(Image { id: Some(full_id(id)), ..Image::default() })
            }
        })
        .collect();
    // Dangling images, which have no reference, come last.
    let key = |image: &Image| {
        let first = image.tags.as_ref().and_then(|tags| tags.first().cloned());
        (first.is_none(), first, image.id.clone())
    };
    images.sort_by_key(key);
    images
}

fn image(
    scene: Scene<'_>,
    id: &str,
    inspect: &Value,
    history: Result<Value, super::ApiError>,
) -> Image {
    let full = full_id(id);
    let reader = Reader::new(inspect, scene.gaps, SubjectKind::Image, &full);
    let now = scene.options.now;
    let references = |path: &str, fact: &str| {
        let mut list = reader.texts(path, fact)?;
        list.retain(|reference| !reference.starts_with("<none>"));
        list.sort();
        list.dedup();
        Some(list)
    };
    let created = reader.time("Created", "created_at");
    let text_of = |time: Option<jiff::Timestamp>| time.map(|t| t.to_string()).unwrap_or_default();
    if created.is_none() {
        reader.gap("age_days", Cause::Missing, "its time of creation is malformed");
    }
    let mut image = Image {
        id: Some(full.clone()),
        tags: references("RepoTags", "tags"),
        digests: references("RepoDigests", "digests"),
        created_at: created.map(text_of),
        age_days: created.map(|time| time.map_or(-1, |time| days_between(time, now))),
        size: reader.int("Size", "size", Absent::Unknown),
        architecture: reader.text("Architecture", "architecture", Absent::Means("")),
        history: match history {
            Ok(history) => steps_of(reader, &history),
            Err(error) => {
                reader.gap("history", error.gap_cause(), error.to_string());
                None
            }
        },
        ..Image::default()
    };
    if reader.at("Config").is_none() {
        for fact in ["user", "healthcheck", "exposed_ports", "env", "labels", "volumes"] {
            reader.gap(fact, Cause::Missing, "the engine's answer has no Config");
        }
        return image;
    }
    // Engines since 29 leave out what is empty.
    image.user = reader.text("Config.User", "user", Absent::Means(""));
    image.healthcheck = healthcheck(reader, "Config.Healthcheck", "healthcheck");
    image.exposed_ports = reader.keys("Config.ExposedPorts", "exposed_ports");
    image.env =
        reader.texts("Config.Env", "env").map(|variables| crate::redact::environment(&variables));
    image.labels = reader.map("Config.Labels", "labels").map(crate::redact::labels);
    image.volumes = reader.keys("Config.Volumes", "volumes");
    image
}

/// The steps of a history, which the engine gives newest first.
fn steps_of(reader: Reader<'_>, history: &Value) -> Option<Vec<BuildStep>> {
    let Some(items) = history.as_array().filter(|items| items.len() <= STEPS_MAX) else {
        reader.gap("history", Cause::Missing, "the image's history is malformed or too long");
        return None;
    };
    let step = |item: &Value| {
        let size = item.get("Size").and_then(json::int).unwrap_or(0);
        steps::step(text_at(item, "CreatedBy"), size)
    };
    Some(items.iter().rev().map(step).collect())
}

/// Images by what names them.
pub(super) struct Names {
    by_name: HashMap<String, String>,
    ids: Vec<String>,
}

impl Names {
    /// The names of `images`.
    pub(super) fn new(images: &[Image]) -> Self {
        let mut by_name = HashMap::new();
        let mut ids = Vec::new();
        for image in images {
            let Some(id) = &image.id else { continue };
            ids.push(id.clone());
            let tags = image.tags.iter().flatten().map(|tag| normal(tag));
            let digests = image.digests.iter().flatten().map(|digest| normal_digest(digest));
            for name in tags.chain(digests) {
                by_name.entry(name).or_insert_with(|| id.clone());
            }
        }
        Self { by_name, ids }
    }

    /// The id of the image that a reference names: by name, by digest, or by (a beginning of) its id.
    pub(super) fn find(&self, reference: &str) -> Option<&str> {
        if reference.contains('@') {
            return self.by_name.get(&normal_digest(reference)).map(String::as_str);
        }
        let named = self.by_name.get(&normal(reference)).map(String::as_str);
        named.or_else(|| {
            let hex = reference.strip_prefix("sha256:").unwrap_or(reference);
            if hex.len() < 4 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let starts = |id: &&String| id.strip_prefix("sha256:").unwrap_or(id).starts_with(hex);
            self.ids.iter().find(starts).map(String::as_str)
        })
    }
}

/// A reference in the short form that the engine itself shows, with its tag.
fn normal(reference: &str) -> String {
    let short = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let short = short.strip_prefix("index.docker.io/").unwrap_or(short);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let last = short.rsplit('/').next().unwrap_or(short);
    if last.contains(':') { short.to_owned() } else { format!("{short}:latest") }
}

/// `name@digest` in the short form; with a digest the tag means nothing.
fn normal_digest(reference: &str) -> String {
    let (name, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let name = normal(name);
    format!("{}@{digest}", name.rsplit_once(':').map_or(name.as_str(), |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_followed_to_the_image_they_name_now() {
        let image = |id: &str, tags: &[&str], digests: &[&str]| Image {
            id: Some(format!("sha256:{}", id.repeat(32))),
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            digests: Some(digests.iter().map(|digest| (*digest).to_owned()).collect()),
            ..Image::default()
        };
        let images = [
            image("a1", &["web:latest", "reg:5000/web:1"], &["web@sha256:d1"]),
            image("b2", &["docker.io/library/db:2"], &[]),
        ];
        let names = Names::new(&images);
        let found = |reference| names.find(reference).map(str::to_owned);
        let (a, b) = (images[0].id.clone(), images[1].id.clone());
        assert_eq!(found("web"), a);
        assert_eq!(found("docker.io/library/web:latest"), a);
        assert_eq!(found("reg:5000/web:1"), a);
        assert_eq!(found("reg:5000/web"), None);
        assert_eq!(found("web:old@sha256:d1"), a);
        assert_eq!(found("db:2"), b);
        assert_eq!(found("b2b2b2b2"), b);
        let full = b.clone().unwrap();
        assert_eq!(found(&full), b);
        assert_eq!(found("nothing"), None);
        assert_eq!(found("b2"), None, "too short for an id");
    }
}
