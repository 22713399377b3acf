//! Images and containers of an engine, opened through its API without a temporary file.
//!
//! Which layers an image has is asked first: what is in the cache is not read again, and an image whose layers are all
//! known is not downloaded at all.

use std::collections::HashSet;

use haechi_core::inventory::{ProblemKind, Scan, ScanSubject};
use haechi_facts::engine::api::encode;
use haechi_facts::engine::http::HttpApi;
use haechi_facts::engine::{Api, ApiError, Call};
use haechi_image::config::Config;
use haechi_image::layer::LayerScan;
use haechi_image::merge::merge;
use haechi_image::open::{self, Options, ScanError};
use haechi_image::worker::Input;
use serde_json::Value;

/// Why an engine's image or container cannot be examined.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine does not answer, or has no such thing.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The image cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// An image of the engine, by reference or id.
///
/// # Errors
/// The engine has no such image, or does not answer.
pub async fn image(api: &HttpApi, reference: &str, options: &Options) -> Result<Scan, EngineError> {
    let inspected = api.ask(Call::Image(reference)).await?;
    let config = config(api, reference, &inspected).await;
    let subject = subject(reference, &inspected);
    if let Some(layers) = known(&config, options) {
        return Ok(merge(&layers, Some(&config), subject));
    }
    let cached =
        |id: &&String| options.cache.as_ref().is_some_and(|cache| cache.has(id, options.depth));
    let known = config.diff_ids.iter().filter(cached).cloned().collect();
    // By id: a reference may mean another image a moment later.
    let id = if subject.id.is_empty() { reference } else { &subject.id };
    let path = format!("/images/{}/get", encode(id));
    let stream = api.download(&path).await?;
    let mut scan = open::archive(stream, reference, None, known, options).await?;
    scan.subject.reference = reference.to_owned();
    scan.subject.tags = subject.tags;
    scan.subject.digest = subject.digest;
    if scan.subject.id.is_empty() {
        scan.subject.id = subject.id;
    } else if !subject.id.is_empty() && scan.subject.id != subject.id && scan.problems.is_empty() {
        // Engines with containerd's image store name an image by its manifest.
        scan.subject.id = subject.id;
    }
    Ok(scan)
}

/// The layers of an image, if every one is known.
fn known(config: &Config, options: &Options) -> Option<Vec<LayerScan>> {
    if config.diff_ids.is_empty() {
        return None;
    }
    config.diff_ids.iter().map(|id| options.known(id)).collect()
}

/// A container: its image, and what the container changed since.
///
/// # Errors
/// The engine has no such container, or does not answer.
pub async fn container(api: &HttpApi, name: &str, options: &Options) -> Result<Scan, EngineError> {
    let inspected = api.ask(Call::Container(name)).await?;
    let text =
        |pointer: &str| inspected.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (id, image_id) = (text("/Id").to_owned(), text("/Image").to_owned());
    let changes = api.ask(Call::Changes(&id)).await?;
    let path = format!("/containers/{}/export", encode(&id));
    let stream = api.download(&path).await?;
    let whole = open::layer(
        Input::Layer,
        "the container",
        stream,
        &Options { cache: None, ..options.clone() },
    )
    .await?;
    let top = only_changes(whole, &changes);
    let subject = ScanSubject {
        kind: "container".into(),
        reference: text("/Name").trim_start_matches('/').to_owned(),
        id: image_id.clone(),
        tags: vec![text("/Config/Image").to_owned()],
        user: text("/Config/User").to_owned(),
        ..ScanSubject::default()
    };
    let inspected = api.ask(Call::Image(&image_id)).await?;
    let config = config(api, &image_id, &inspected).await;
    let mut layers = match known(&config, options) {
        Some(layers) => layers,
        None => {
            // Reading the image fills the cache; without one its layers are read just for this.
            let path = format!("/images/{}/get", encode(&image_id));
            let stream = api.download(&path).await?;
            open::archive_layers(stream, &image_id, options).await?
        }
    };
    layers.push(top);
    Ok(merge(&layers, Some(&config), subject))
}

/// Of a container's whole file system, what it changed.
fn only_changes(mut whole: LayerScan, changes: &Value) -> LayerScan {
    // Kind 2 is a deletion, 0 and 1 are a change and an addition (Engine API, ContainerChanges).
    let (mut changed, mut deleted) = (HashSet::new(), Vec::new());
    for change in changes.as_array().into_iter().flatten() {
        let path = change.get("Path").and_then(Value::as_str).unwrap_or_default();
        let Ok(path) = haechi_image::path::normal(path.as_bytes()) else { continue };
        match change.get("Kind").and_then(Value::as_i64) {
            Some(2) => deleted.push(path),
            _ => {
                changed.insert(path);
            }
        }
    }
    whole.nodes.retain(|node| changed.contains(&node.path));
    whole.found.retain(|(path, _)| changed.contains(path));
    whole.secrets.retain(|(path, _)| changed.contains(path));
    whole.malware.retain(|(path, _)| changed.contains(path));
    whole.whiteouts = deleted;
    whole.opaque.clear();
    whole
}

/// The configuration as the engine tells it.
async fn config(api: &HttpApi, reference: &str, inspected: &Value) -> Config {
    let text = |pointer: &str| {
        inspected.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let strings = |pointer: &str| -> Vec<String> {
        let list = inspected.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let variant = text("/Variant");
    let mut architecture = text("/Architecture");
    if !variant.is_empty() {
        architecture = format!("{architecture}/{variant}");
    }
    // Newest first in the answer.
    let history = api.ask(Call::ImageHistory(reference)).await.unwrap_or_default();
    let mut history: Vec<(String, bool)> = history
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| {
            let made = step.get("CreatedBy").and_then(Value::as_str).unwrap_or_default();
            let size = step.get("Size").and_then(Value::as_u64).unwrap_or_default();
            (made.to_owned(), size > 0)
        })
        .collect();
    history.reverse();
    Config {
        architecture,
        os: text("/Os"),
        created: text("/Created"),
        user: text("/Config/User"),
        env: strings("/Config/Env")
            .into_iter()
            .map(|entry| match entry.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (entry, String::new()),
            })
            .collect(),
        labels: inspected
            .pointer("/Config/Labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        history,
        diff_ids: strings("/RootFS/Layers"),
    }
}

fn subject(reference: &str, inspected: &Value) -> ScanSubject {
    let strings = |key: &str| -> Vec<String> {
        let list = inspected.get(key).and_then(Value::as_array);
        let mut list: Vec<String> =
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        list.sort();
        list
    };
    let digest = strings("RepoDigests")
        .first()
        .and_then(|d| Some(d.split_once('@')?.1.to_owned()))
        .unwrap_or_default();
    ScanSubject {
        kind: "image".into(),
        reference: reference.to_owned(),
        id: inspected.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned(),
        digest,
        tags: strings("RepoTags"),
        ..ScanSubject::default()
    }
}

/// The scan of an image that could not be read at all, so that nothing about it passes.
pub fn unread(reference: &str, error: &EngineError) -> Scan {
    let kind = match error {
        EngineError::Api(ApiError::TimedOut(_)) => ProblemKind::TimedOut,
        EngineError::Scan(ScanError::Worker(_)) => ProblemKind::Crashed,
        _ => ProblemKind::Absent,
    };
    open::broken(reference, kind, error.to_string())
}
