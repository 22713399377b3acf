//! Containers, running or not: one inspect each, and /proc for those that run here.
//!
//! A container that vanishes between list and inspect is left out; one whose inspect fails stays in the list
//! with its name and a gap. Rights are worked out in [`super::rights`], mounts in [`super::mounts`].

use haechi_core::facts::{Attachment, Container, ContainerConfig, ContainerState, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::json::{self, Absent, Reader, text_at};
use super::mounts::Sockets;
use super::processes::{Group, Groups};
use super::volumes::Volumes;
use super::{Call, Daemon, Scene, given};
use crate::days_between;

/// An item of the engine's list, and its inspect.
pub(super) type Answer = (Value, Result<Value, super::ApiError>);

/// Lists and inspects the containers.
pub(super) async fn ask(
    scene: Scene<'_>,
    list: Result<Value, super::ApiError>,
) -> Option<Vec<Answer>> {
    let list = super::items(scene.gaps, SubjectKind::Container, list, "")?;
    let ids: Vec<String> = list.iter().map(|item| text_at(item, "Id").to_owned()).collect();
    let answers = super::ask_each(scene.api, &ids, Call::Container).await;
    Some(list.into_iter().zip(answers).collect())
}

/// What containers are judged against: the engine's defaults and this machine.
pub(super) struct Surroundings<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) daemon: &'a Daemon,
    pub(super) groups: Option<Groups<'a>>,
    pub(super) sockets: Sockets,
    pub(super) engine: &'a haechi_core::facts::Engine,
    /// Whether the engine is active in a swarm.
    pub(super) in_swarm: Option<bool>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(scene: Scene<'a>, daemon: &'a Daemon, snapshot: &'a Snapshot) -> Self {
        let groups = daemon.table.as_ref().map(|table| Groups::new(scene.root, table));
        let sockets = if daemon.local {
            let listeners = snapshot.engine.listeners.as_deref().unwrap_or_default();
            Sockets::find(scene.root, daemon.table.as_ref(), listeners)
        } else {
            Sockets::default()
        };
        let in_swarm = snapshot.swarm.state.as_deref().map(|state| state == "active");
        Self { scene, daemon, groups, sockets, engine: &snapshot.engine, in_swarm }
    }
}

/// Makes facts of the answers, sorted by name.
pub(super) fn build(
    around: &Surroundings<'_>,
    volumes: Option<&Volumes>,
    answers: Vec<Answer>,
) -> Vec<Container> {
    let mut containers: Vec<Container> = answers
        .iter()
        .filter_map(|(item, answer)| match answer {
            Ok(inspect) => Some(container(around, volumes, inspect, text_at(item, "Id"))),
            Err(error) if error.is_not_found() => None,
            Err(error) => Some(unanswered(around, item, error)),
        })
        .collect();
    containers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    super::joined::link(around.scene, &mut containers);
    containers
}

/// A container of which only the list's words are known.
fn unanswered(around: &Surroundings<'_>, item: &Value, error: &super::ApiError) -> Container {
    use crate::gaps::Observed;
    let id = text_at(item, "Id").to_owned();
    let names = item.get("Names").and_then(json::texts).unwrap_or_default();
    let name = names.first().map(|name| name.trim_start_matches('/').to_owned());
    let detail = error.to_string();
    around.scene.gaps.record_for(SubjectKind::Container, &id, "", error.gap_cause(), detail);
    Container { id: Some(id), name, ..Container::default() }
}

fn container(
    around: &Surroundings<'_>,
    volumes: Option<&Volumes>,
    inspect: &Value,
    listed: &str,
) -> Container {
    let id = match text_at(inspect, "Id") {
        "" => listed,
        id => id,
    };
    let reader = Reader::new(inspect, around.scene.gaps, SubjectKind::Container, id);
    let now = around.scene.options.now;
    let created = reader.time("Created", "created_at").flatten();
    if created.is_none() {
        for fact in ["created_at", "age_days"] {
            reader.gap(fact, Cause::Missing, "the engine does not say when it was created");
        }
    }
    let state = state(reader, created, now);
    let config = config(reader);
    let mut container = Container {
        id: Some(id.to_owned()),
        name: reader
            .text("Name", "name", Absent::Unknown)
            .map(|name| name.trim_start_matches('/').to_owned()),
        image_ref: reader.text("Config.Image", "image_ref", Absent::Unknown),
        image_id: reader.text("Image", "image_id", Absent::Unknown).map(|id| full_id(&id)),
        created_at: created.map(|time| time.to_string()),
        age_days: created.map(|time| days_between(time, now)),
        host_config: Some(given::host_config(reader)),
        ports: given::ports(reader),
        networks: networks(reader),
        swarm_task: swarm_task(&config, around.in_swarm),
        config: Some(config),
        ..Container::default()
    };
    if container.swarm_task.is_none() {
        let detail = "its labels, or whether the engine is in a swarm, are not known";
        reader.gap("swarm_task", Cause::Missing, detail);
    }
    let running = state.running;
    let group = running_group(around, id, &state);
    container.state = Some(state);
    fill_processes(around, reader, running, group.as_ref(), &mut container);
    super::rights::fill(around, reader, group.as_ref(), &mut container);
    container.mounts = super::mounts::build(around, reader, volumes);
    container
}

/// Whether a container is a swarm's task. Anyone can set the label, but only a swarm restarts tasks.
fn swarm_task(config: &ContainerConfig, in_swarm: Option<bool>) -> Option<bool> {
    let labelled = config.labels.as_ref()?.contains_key("com.docker.swarm.task.id");
    if labelled { in_swarm } else { Some(false) }
}

/// The id with its algorithm; Podman leaves it out.
pub(super) fn full_id(id: &str) -> String {
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        format!("sha256:{id}")
    } else {
        id.to_owned()
    }
}

/// The processes of a container that runs here, if they are visible.
fn running_group<'a>(
    around: &'a Surroundings<'_>,
    id: &str,
    state: &ContainerState,
) -> Option<Group<'a>> {
    around.groups.as_ref()?.find(id, state.pid.filter(|_| state.running == Some(true))?)
}

fn fill_processes(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    running: Option<bool>,
    group: Option<&Group<'_>>,
    container: &mut Container,
) {
    match (running, group, &around.groups) {
        (Some(false), ..) => {
            container.processes = Some(Vec::new());
            container.listeners = Some(Vec::new());
        }
        (_, Some(group), Some(groups)) => groups.fill(reader, group, container),
        _ => {
            let (cause, detail) = unseen(around);
            for fact in ["processes", "listeners"] {
                reader.gap(fact, cause, detail.clone());
            }
        }
    }
}

/// Why the processes of a running container are not known.
pub(super) fn unseen(around: &Surroundings<'_>) -> (Cause, String) {
    if around.daemon.local {
        let detail = "its processes are not visible here; run as root on the host";
        (Cause::Permission, detail.into())
    } else {
        around.daemon.elsewhere()
    }
}

fn state(
    reader: Reader<'_>,
    created: Option<jiff::Timestamp>,
    now: jiff::Timestamp,
) -> ContainerState {
    let status = reader.text("State.Status", "state.status", Absent::Unknown);
    let running = status.as_deref().map(|status| matches!(status, "running" | "paused"));
    if running.is_none() {
        reader.gap("state.running", Cause::Missing, "the engine does not say whether it runs");
    }
    let started = reader.time("State.StartedAt", "state.started_at");
    let finished = reader.time("State.FinishedAt", "state.finished_at");
    let finished = if running == Some(true) { Some(None) } else { finished };
    let idle_days = match (running, finished) {
        (Some(true), _) => Some(0),
        (Some(false), Some(finished)) => finished.or(created).map(|time| days_between(time, now)),
        _ => None,
    };
    if idle_days.is_none() {
        reader.gap(
            "state.idle_days",
            Cause::Missing,
            "the engine does not say since when it is idle",
        );
    }
    let shown = |time: Option<Option<jiff::Timestamp>>| {
        time.map(|time| time.map(|time| time.to_string()).unwrap_or_default())
    };
    ContainerState {
        status,
        running,
        pid: reader.int("State.Pid", "state.pid", Absent::Means(0)),
        health: reader
            .text("State.Health.Status", "state.health", Absent::Means("none"))
            .map(|health| if health.is_empty() { "none".into() } else { health }),
        started_at: shown(started),
        finished_at: shown(finished),
        idle_days,
    }
}

fn config(reader: Reader<'_>) -> ContainerConfig {
    let command = || {
        let mut command = reader.texts("Config.Entrypoint", "config.command")?;
        command.extend(reader.texts("Config.Cmd", "config.command")?);
        Some(crate::redact::arguments(&command))
    };
    ContainerConfig {
        user: reader.text("Config.User", "config.user", Absent::Unknown),
        env: reader
            .texts("Config.Env", "config.env")
            .map(|variables| crate::redact::environment(&variables)),
        exposed_ports: reader.keys("Config.ExposedPorts", "config.exposed_ports"),
        labels: reader.map("Config.Labels", "config.labels").map(crate::redact::labels),
        command: command(),
        healthcheck: healthcheck(reader, "Config.Healthcheck", "config.healthcheck"),
    }
}

/// Whether a health check is defined and not switched off.
pub(super) fn healthcheck(reader: Reader<'_>, path: &str, fact: &str) -> Option<bool> {
    let test = reader.texts(&format!("{path}.Test"), fact)?;
    Some(test.first().is_some_and(|word| word != "NONE"))
}

fn networks(reader: Reader<'_>) -> Option<Vec<Attachment>> {
    let Some(networks) = reader.at("NetworkSettings.Networks").and_then(Value::as_object) else {
        if reader.at("NetworkSettings").is_some() {
            return Some(Vec::new());
        }
        reader.gap("networks", Cause::Missing, "the engine does not say which networks it is in");
        return None;
    };
    let attachment = |(name, network): (&String, &Value)| Attachment {
        name: Some(name.clone()),
        network_id: Some(text_at(network, "NetworkID").to_owned()),
    };
    let mut attachments: Vec<Attachment> = networks.iter().map(attachment).collect();
    attachments.sort_by(|a, b| a.name.cmp(&b.name));
    Some(attachments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_alone_makes_no_task() {
        let config = |labels: &[&str]| ContainerConfig {
            labels: Some(labels.iter().map(|l| ((*l).to_owned(), String::new())).collect()),
            ..ContainerConfig::default()
        };
        let task = config(&["com.docker.swarm.task.id"]);
        assert_eq!(swarm_task(&task, Some(true)), Some(true));
        assert_eq!(swarm_task(&task, Some(false)), Some(false));
        assert_eq!(swarm_task(&task, None), None);
        assert_eq!(swarm_task(&config(&["com.docker.swarm.tasks"]), Some(true)), Some(false));
        assert_eq!(swarm_task(&config(&[]), None), Some(false));
    }
}
