//! The engine, its containers, images, networks, volumes and swarm.
//!
//! Everything comes from the engine's API ([`api`]) and, for an engine on this host, from /proc and files. A
//! question that fails or takes too long is a gap for just those facts; the rest goes on. Nothing is judged,
//! and nothing of the engine is changed.

pub mod activity;
pub mod api;
mod capabilities;
mod config;
mod confinement;
mod containers;
mod daemon;
pub mod endpoint;
pub mod events;
mod file;
mod flags;
mod given;
pub mod http;
mod images;
mod info;
mod joined;
mod json;
mod listeners;
mod mounts;
mod namespaces;
mod networks;
mod options;
mod packages;
mod processes;
mod programs;
mod rights;
mod services;
mod shell;
mod steps;
mod swarm;
mod tls;
mod volumes;

use futures_util::stream::{self, StreamExt};
use haechi_core::facts::{Container, Image, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use crate::{Options, gaps::Gaps, gaps::Observed, root::Root};
pub use api::{Api, ApiError, Call};
use daemon::Daemon;
use endpoint::Endpoint;
pub(crate) use processes::container_ids;

/// Questions that are under way at the same time: enough to keep an engine busy, too few to bother it.
const CONCURRENCY: usize = 16;
/// Things of one kind that are looked at; more are a gap.
const THINGS_MAX: usize = 20_000;

/// What every part of the collector works with.
#[derive(Clone, Copy)]
struct Scene<'a> {
    api: &'a dyn Api,
    options: &'a Options,
    root: &'a Root,
    gaps: &'a Gaps,
}

/// Collects the facts of the engine.
pub async fn collect(options: &Options, root: &Root, gaps: &Gaps, snapshot: &mut Snapshot) {
    let found =
        endpoint::resolve(options.endpoint.as_deref(), root, &endpoint::process_environment);
    let endpoint = match found {
        Ok(endpoint) => endpoint,
        Err(error) => {
            snapshot.engine.endpoint = options.endpoint.as_deref().map(crate::redact::text);
            return unanswered(gaps, &error);
        }
    };
    snapshot.engine.endpoint = Some(endpoint.url.clone());
    match http::HttpApi::new(endpoint.clone(), options.timeout) {
        Ok(api) => {
            let scene = Scene { api: &api, options, root, gaps };
            collect_from(scene, &endpoint, snapshot).await;
        }
        Err(error) => unanswered(gaps, &error),
    }
}

/// Collects the facts of the engine that answers behind `scene.api`.
async fn collect_from(scene: Scene<'_>, endpoint: &Endpoint, snapshot: &mut Snapshot) {
    let Scene { api, gaps, .. } = scene;
    snapshot.engine.endpoint = Some(endpoint.url.clone());
    // One question first: an engine that is not there is asked once, not two hundred times.
    let version = api.ask(Call::Version).await;
    if let Err(error) = &version
        && error.is_connection()
    {
        unanswered(gaps, error);
        if matches!(endpoint.address, endpoint::Address::Unix(_)) {
            snapshot.engine.daemon_json = Some(file::read_default(scene.root).facts(None));
        }
        return;
    }
    let (peer, info, containers, images, networks, volumes) = futures_util::join!(
        daemon::peer(endpoint, scene.options.timeout),
        api.ask(Call::Info),
        api.ask(Call::Containers),
        api.ask(Call::Images),
        api.ask(Call::Networks),
        api.ask(Call::Volumes),
    );
    let swarm = async {
        match &info {
            Ok(info) if swarm::is_manager(info) => Some(swarm::ask(api).await),
            _ => None,
        }
    };
    let (containers, images, networks, swarm) = futures_util::join!(
        containers::ask(scene, containers),
        images::ask(scene, images),
        networks::ask(scene, networks),
        swarm,
    );

    let version = keep(gaps, SubjectKind::Engine, version);
    let info = keep(gaps, SubjectKind::Engine, info);
    let info = info.as_ref();
    info::fill(scene, version.as_ref(), info, &mut snapshot.engine);
    let daemon = daemon::find(scene, endpoint, peer, info);
    snapshot.networks = networks.map(|answers| networks::build(scene, &answers));
    let private = config::fill(scene, &daemon, snapshot);
    let data_port =
        info.filter(|info| swarm::is_member(info)).map(|_| swarm::data_port(swarm.as_ref()));
    let sockets = listeners::fill(scene, &daemon, endpoint, data_port, &private, snapshot);
    info::fill_local(scene, &daemon, &mut snapshot.engine);
    swarm::fill(scene, &daemon, info, swarm, sockets, snapshot);
    snapshot.images = images.map(|answers| images::build(scene, answers));
    let volumes = volumes::read(scene, volumes);
    let containers = containers.map(|answers| {
        let around = containers::Surroundings::new(scene, &daemon, snapshot);
        containers::build(&around, volumes.as_ref(), answers)
    });
    snapshot.containers = containers;
    if let Some(containers) = &mut snapshot.containers {
        namespaces::link(scene, daemon.local, containers);
    }
    link_images(gaps, snapshot);
    networks::link(snapshot);
    snapshot.volumes = volumes::build(volumes, scene, snapshot.containers.as_deref(), daemon.local);
}

/// The answer, or the gap that it left for everything of its kind.
fn keep(gaps: &Gaps, kind: SubjectKind, answer: Result<Value, ApiError>) -> Option<Value> {
    gaps.keep(kind, "", answer)
}

/// Records that nothing of the engine is known.
fn unanswered(gaps: &Gaps, error: &ApiError) {
    for kind in [
        SubjectKind::Engine,
        SubjectKind::Container,
        SubjectKind::Image,
        SubjectKind::Network,
        SubjectKind::Volume,
        SubjectKind::Swarm,
        SubjectKind::Service,
    ] {
        gaps.record(kind, "", error.gap_cause(), error.to_string());
    }
}

/// The items of a list, at most [`THINGS_MAX`]; what is not a list is a gap.
fn items(
    gaps: &Gaps,
    kind: SubjectKind,
    answer: Result<Value, ApiError>,
    path: &str,
) -> Option<Vec<Value>> {
    let answer = keep(gaps, kind, answer)?;
    let list = if path.is_empty() { Some(&answer) } else { answer.get(path) };
    let mut items = match list {
        Some(Value::Array(items)) => items.clone(),
        // Go writes an empty list as null.
        Some(Value::Null) => Vec::new(),
        _ => {
            let detail = format!("the engine's list of {kind}s is malformed");
            gaps.record(kind, "", Cause::Missing, detail);
            return None;
        }
    };
    if items.len() > THINGS_MAX {
        let detail = format!("{} {kind}s; only the first {THINGS_MAX} were looked at", items.len());
        gaps.record(kind, "", Cause::Missing, detail);
        items.truncate(THINGS_MAX);
    }
    Some(items)
}

/// Asks about many things, [`CONCURRENCY`] at a time, and gives the answers in the order of `ids`.
async fn ask_each<'a, F>(
    api: &'a dyn Api,
    ids: &'a [String],
    call: F,
) -> Vec<Result<Value, ApiError>>
where
    F: Fn(&'a str) -> Call<'a>,
{
    stream::iter(ids.iter().map(|id| api.ask(call(id)))).buffered(CONCURRENCY).collect().await
}

/// Tells images and containers of each other.
fn link_images(gaps: &Gaps, snapshot: &mut Snapshot) {
    let names = snapshot.images.as_deref().map(images::Names::new);
    for container in snapshot.containers.iter_mut().flatten() {
        if let (Some(reference), Some(names)) = (&container.image_ref, &names) {
            container.image_ref_id = Some(names.find(reference).unwrap_or_default().to_owned());
        } else {
            let id = container.id.as_deref().unwrap_or_default();
            let detail = "the container's reference or the engine's images are not known";
            gaps.record_for(SubjectKind::Container, id, "image_ref_id", Cause::Missing, detail);
        }
    }
    for image in snapshot.images.iter_mut().flatten() {
        link_image(gaps, image, snapshot.containers.as_deref());
    }
}

/// Tells an image which containers use it, and whether one of them runs as root.
fn link_image(gaps: &Gaps, image: &mut Image, containers: Option<&[Container]>) {
    let id = image.id.clone().unwrap_or_default();
    let gap = |fact: &str, detail: &str| {
        gaps.record_for(SubjectKind::Image, &id, fact, Cause::Missing, detail);
    };
    // One container whose image is not known could be of this one.
    let known = containers.filter(|all| all.iter().all(|container| container.image_id.is_some()));
    let Some(containers) = known else {
        for fact in ["used_by", "runs_as_root"] {
            gap(fact, "the image of a container is not known");
        }
        return;
    };
    let users = || containers.iter().filter(|c| c.image_id == image.id);
    let mut names: Vec<String> = users().filter_map(|container| container.name.clone()).collect();
    names.sort();
    let mut root = Some(false);
    for container in users() {
        let runs = container.state.as_ref().and_then(|state| state.running);
        let as_root = container.effective.as_ref().and_then(|effective| effective.runs_as_root);
        match (runs, as_root) {
            (Some(false), _) | (_, Some(false)) => {}
            (_, Some(true)) => {
                root = Some(true);
                break;
            }
            (_, None) => root = None,
        }
    }
    if root.is_none() {
        gap("runs_as_root", "the users of a running container's processes are not known");
    }
    image.used_by = Some(names);
    image.runs_as_root = root;
}

#[cfg(test)]
mod tests;
