//! What the engine tells while the monitor runs: names of containers, and what is done through it.
//!
//! An engine that goes is waited for; what it did meanwhile may have been missed, and that is said.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use haechi_core::activity::Activity;
use haechi_facts::engine::activity::{HealthCheck, exec_of, from_event, is_health_check};
use haechi_facts::engine::api::{Api, Call};
use haechi_facts::engine::http::HttpApi;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::mpsc;

use super::act::Connect;
use crate::bundle;
use crate::container::Container;

/// How long it waits before it looks for an engine again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an engine is given to know a container before it goes without a name.
const PATIENCE: Duration = Duration::from_millis(300);
/// Containers that are asked about at once.
const AT_ONCE: usize = 8;
/// How often a container is asked about that the engine does not know yet.
const TRIES: u32 = 10;
/// Health checks that are remembered.
const CHECKS_MAX: usize = 20_000;
/// Events this much older are asked for again after a break: clocks of engine and host are the same, but not exactly
/// when an event is written.
const OVERLAP: SignedDuration = SignedDuration::from_secs(2);

/// What the engine told.
pub(super) enum Told {
    /// A container has this name and these settings.
    Container(Box<Container>),
    /// Something was done through the engine.
    Activity(Box<Activity>),
    /// The engine ran the health check of the container with this id.
    Checked(String),
    /// Listening began: what was done before may have been missed.
    Listening,
    /// The engine is gone.
    Gone,
}

/// Asks the engine for the names of containers, as they come.
pub(super) async fn name(
    connect: Connect,
    mut asked: mpsc::UnboundedReceiver<String>,
    tell: mpsc::Sender<Told>,
) {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    while let Some(id) = asked.recv().await {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
        let (connect, tell) = (Connect::clone(&connect), tell.clone());
        tokio::spawn(async move {
            let mut wait = Duration::from_millis(5);
            for _ in 0..TRIES {
                if let Some(engine) = connect()
                    && let Ok(answer) = engine.ask(Call::Container(&id)).await
                {
                    let container = Container::from_inspect(&answer);
                    let _ = tell.send(Told::Container(Box::new(container))).await;
                    return;
                }
                // Of another engine: its runtime left something on disk.
                let sought = id.clone();
                let bundle =
                    tokio::task::spawn_blocking(move || bundle::find(Path::new("/"), &sought));
                // Docker's own are there as well, without a name; it is asked first, and again.
                if let Ok(Some(container)) = bundle.await
                    && (wait >= PATIENCE || container.id.get(..12) != Some(&container.name))
                {
                    let _ = tell.send(Told::Container(Box::new(container))).await;
                    return;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(AGAIN);
            }
            // An inspect that cannot be read must not make it nameless: names decide what is done about it.
            let container = match connect() {
                Some(engine) => listed(&engine, &id).await,
                None => None,
            };
            let unnamed =
                || Container { name: id.chars().take(12).collect(), ..Container::default() };
            let container = Container { id: id.clone(), ..container.unwrap_or_else(unnamed) };
            let _ = tell.send(Told::Container(Box::new(container))).await;
            drop(place);
        });
    }
}

/// What the engine's list says about a container.
async fn listed(engine: &HttpApi, id: &str) -> Option<Container> {
    let all = engine.ask(Call::Containers).await.ok()?;
    let found =
        all.as_array()?.iter().find(|one| one.get("Id").and_then(Value::as_str) == Some(id))?;
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = found.pointer("/Names/0").and_then(Value::as_str)?;
    Some(Container {
        name: name.trim_start_matches('/').to_owned(),
        image: text("Image"),
        image_id: text("ImageID"),
        ..Container::default()
    })
}

/// Listens to what is done through the engine, for ever.
pub(super) async fn listen(connect: Connect, last: Option<Timestamp>, tell: mpsc::Sender<Told>) {
    let mut since = last;
    let mut told = false;
    let mut checks: HashMap<String, Option<HealthCheck>> = HashMap::new();
    loop {
        if let Some(engine) = connect()
            && let Ok(mut events) = engine.events(since.map(|at| at - OVERLAP)).await
        {
            if tell.send(Told::Listening).await.is_err() {
                return;
            }
            told = false;
            while let Some(Ok(event)) = events.next().await {
                if let Some(activity) = activity(&connect, &event, &mut checks).await {
                    since = since.max(Some(activity.at));
                    // The engine's own, every few seconds for as long as a container lives: nobody did that.
                    let is_check = is_health_check(&activity);
                    let what = if is_check {
                        Told::Checked(activity.id)
                    } else {
                        Told::Activity(Box::new(activity))
                    };
                    if tell.send(what).await.is_err() {
                        return;
                    }
                }
            }
            if tell.send(Told::Gone).await.is_err() {
                return;
            }
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(
                "the engine does not answer: names of containers and what is done through it are not known until it does"
            );
        }
        since = since.or_else(|| Some(Timestamp::now()));
        tokio::time::sleep(AGAIN).await;
    }
}

async fn activity(
    connect: &Connect,
    event: &Value,
    checks: &mut HashMap<String, Option<HealthCheck>>,
) -> Option<Activity> {
    let Some((container, call)) = exec_of(event) else { return from_event(event, None, None) };
    // Without an answer it is kept all the same: as a call of which not everything is known.
    let Some(engine) = connect() else { return from_event(event, None, None) };
    if !checks.contains_key(container) {
        if checks.len() >= CHECKS_MAX {
            checks.clear();
        }
        let check = match engine.ask(Call::Container(container)).await {
            Ok(told) => HealthCheck::of(&told),
            Err(_) => None,
        };
        checks.insert(container.to_owned(), check);
    }
    let told = engine.ask(Call::Exec(call)).await.ok();
    from_event(event, told.as_ref(), checks.get(container).and_then(Option::as_ref))
}
