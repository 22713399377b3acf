//! What has to be done to make a container again: from what the engine says of it, without asking anything.
//!
//! Promises that nothing that the engine says of a container is lost but what it made up itself (the host name, addresses that
//! nobody chose). What a container wrote into its own file system is not carried over: see [`crate::swap::changed`].

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::rights::Rights;

/// What the name of the old container ends with.
const OLD: &str = "-before-haechi";
/// What the name of the new one ends with until it takes the old one's.
const NEW: &str = "-next-haechi";
/// What the name of a new one that failed ends with until it is removed.
const FAILED: &str = "-failed-haechi";
/// Digits of an id that the engine takes for a host name and an alias.
const SHORT: usize = 12;

/// The container before, and how it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Its full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its restart policy, as the engine has it.
    pub restart: Value,
    /// Whether it ran.
    pub running: bool,
}

impl Past {
    /// The name under which it is kept.
    pub fn old_name(&self) -> String {
        format!("{}{OLD}", self.name)
    }

    /// The name of the new one until it takes this one's.
    pub fn new_name(&self) -> String {
        format!("{}{NEW}", self.name)
    }

    /// The name of a new one that failed.
    pub fn failed_name(&self) -> String {
        format!("{}{FAILED}", self.name)
    }
}

/// Why a container is not made again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The engine's answer is not understood.
    #[error("the engine's answer is not understood")]
    Unknown,
    /// It is privileged: the engine would give it all the same.
    #[error("it is privileged")]
    Privileged,
    /// Somebody else makes it, and would make it again as it was: `swarm`, `kubernetes`, `compose`.
    #[error("it is managed by {0}")]
    Managed(&'static str),
    /// It is gone when it ends (`--rm`).
    #[error("it is removed when it ends")]
    Removed,
    /// It is paused, restarting or being removed.
    #[error("it is {0}")]
    State(String),
    /// It was made here, and the one before it is still there.
    #[error("it was made here")]
    Applied,
    /// It has no network of its own: two of it would take the same ports.
    #[error("it has the network of the host or of another container")]
    Network,
}

impl Refused {
    /// Its key in the texts.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Unknown => "refused-unknown",
            Self::Privileged => "refused-privileged",
            Self::Managed(_) => "refused-managed",
            Self::Removed => "refused-removed",
            Self::State(_) => "refused-state",
            Self::Applied => "refused-applied",
            Self::Network => "refused-network",
        }
    }
}

/// One step; each can be taken back.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Makes the new container under a name for the time being.
    Create,
    /// Gives it another network.
    Connect(String, Value),
    /// Takes it out of a network in which the old one is not.
    Leave(String),
    /// Keeps the engine from starting the old one again.
    Hold,
    /// Stops the old one.
    Stop,
    /// Gives the old one another name.
    RenameOld,
    /// Gives the new one its name.
    RenameNew,
    /// Starts the new one.
    Start,
}

/// How a container is made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The one that there is.
    pub past: Past,
    /// What the engine is to make.
    pub body: Value,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// To take the place of a container. `image` is what names its image: the reference, or the id if that means another now.
    ///
    /// # Errors
    /// It cannot be, or should not be; `force` takes a container of Compose all the same.
    pub fn instead(
        inspected: &Value,
        image: &str,
        rights: &Rights,
        force: bool,
    ) -> Result<Self, Refused> {
        let past = past(inspected).ok_or(Refused::Unknown)?;
        refuse(inspected, force)?;
        let (mut body, networks) = again(inspected, image).ok_or(Refused::Unknown)?;
        rights.put(&mut body);
        let mut steps = vec![Step::Create];
        steps.extend(networks);
        steps.push(Step::Hold);
        steps.extend(past.running.then_some(Step::Stop));
        steps.extend([Step::RenameOld, Step::RenameNew]);
        steps.extend(past.running.then_some(Step::Start));
        Ok(Self { past, body, steps })
    }

    /// To run beside a container, for a while: without its names, addresses and ports, and only reading what it writes.
    ///
    /// # Errors
    /// It cannot be.
    pub fn beside(inspected: &Value, image: &str, rights: &Rights) -> Result<Self, Refused> {
        let past = past(inspected).ok_or(Refused::Unknown)?;
        if is(inspected, "/HostConfig/Privileged") {
            return Err(Refused::Privileged);
        }
        let mode = text(inspected, "/HostConfig/NetworkMode");
        if mode == "host" || mode.starts_with("container:") {
            return Err(Refused::Network);
        }
        let (mut body, mut networks) = again(inspected, image).ok_or(Refused::Unknown)?;
        alone(&mut body, &mut networks);
        // Not even its labels may let others take it for the one that there is: routers and schedulers read them.
        put(&mut body, &["Labels"], json!({}));
        rights.put(&mut body);
        let steps = std::iter::once(Step::Create).chain(networks).chain([Step::Start]).collect();
        Ok(Self { past, body, steps })
    }
}

fn past(inspected: &Value) -> Option<Past> {
    let id = text(inspected, "/Id");
    let name = text(inspected, "/Name").trim_start_matches('/');
    let restart = inspected.pointer("/HostConfig/RestartPolicy").cloned();
    (!id.is_empty() && !name.is_empty()).then(|| Past {
        id: id.to_owned(),
        name: name.to_owned(),
        restart: restart.unwrap_or_else(|| json!({"Name": "no"})),
        running: is(inspected, "/State/Running"),
    })
}

fn refuse(inspected: &Value, force: bool) -> Result<(), Refused> {
    let label = |name: &str| {
        inspected.pointer("/Config/Labels").and_then(|labels| labels.get(name)).is_some()
    };
    let managed = [
        ("com.docker.swarm.task.id", "Swarm"),
        ("io.kubernetes.pod.uid", "Kubernetes"),
        ("com.docker.compose.project", "Compose"),
    ];
    for (name, by) in managed {
        if label(name) && !(force && by == "Compose") {
            return Err(Refused::Managed(by));
        }
    }
    if is(inspected, "/HostConfig/Privileged") {
        return Err(Refused::Privileged);
    }
    if is(inspected, "/HostConfig/AutoRemove") {
        return Err(Refused::Removed);
    }
    match text(inspected, "/State/Status") {
        "running" | "exited" | "created" => Ok(()),
        state => Err(Refused::State(state.to_owned())),
    }
}

/// What the engine is to be asked for to get the same container, and the steps for its networks after it was made.
fn again(inspected: &Value, image: &str) -> Option<(Value, Vec<Step>)> {
    let mut body = inspected.get("Config")?.clone();
    let mut host = inspected.get("HostConfig")?.clone();
    let id = text(inspected, "/Id");
    let short = id.get(..SHORT).unwrap_or(id);
    put(&mut body, &["Image"], json!(image));
    // Taken from the image if there is none, unless it is empty: an entry point that was taken away would come back.
    if body.get("Entrypoint").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        put(&mut body, &["Entrypoint"], json!([""]));
    }
    let mode = text(&host, "/NetworkMode").to_owned();
    let shares = mode.starts_with("container:");
    // What the engine made up for the old one, and what it refuses from those who have none of their own.
    if text(&body, "/Hostname") == short
        || shares
        || mode == "host"
        || text(&host, "/UTSMode") == "host"
    {
        remove(&mut body, &["Hostname", "Domainname"]);
    }
    if shares {
        remove(&mut body, &["ExposedPorts", "MacAddress"]);
    }
    volumes(inspected, &mut host);
    let (first, steps) = networks(inspected, &mode, short);
    if let Some((name, endpoint)) = first {
        put(&mut body, &["NetworkingConfig"], json!({"EndpointsConfig": {name: endpoint}}));
    }
    put(&mut body, &["HostConfig"], host);
    Some((body, steps))
}

/// Names the volumes that the engine made up: without their names it would make new and empty ones.
fn volumes(inspected: &Value, host: &mut Value) {
    let mounts = inspected.pointer("/Mounts").and_then(Value::as_array);
    let is_bound = |host: &Value, at: &str| {
        let binds = host.get("Binds").and_then(Value::as_array).into_iter().flatten();
        let mut targets = binds.filter_map(|bind| bind.as_str()?.split(':').nth(1));
        targets.any(|target| is_same(target, at))
    };
    for mount in mounts.into_iter().flatten().filter(|one| text(one, "/Type") == "volume") {
        let (name, at) = (text(mount, "/Name"), text(mount, "/Destination"));
        if name.is_empty() || at.is_empty() || is_bound(host, at) {
            continue;
        }
        let asked = host.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten();
        let mut asked = asked.filter(|one| is_same(text(one, "/Target"), at));
        if let Some(asked) = asked.next() {
            put(asked, &["Source"], json!(name));
            continue;
        }
        let access = if is(mount, "/RW") { "rw" } else { "ro" };
        let bind = json!(format!("{name}:{at}:{access}"));
        match host.get_mut("Binds").and_then(Value::as_array_mut) {
            Some(binds) => binds.push(bind),
            None => put(host, &["Binds"], json!([bind])),
        }
    }
}

/// The network that it is made with, and the steps for all others.
fn networks(inspected: &Value, mode: &str, short: &str) -> (Option<(String, Value)>, Vec<Step>) {
    let all = inspected.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    let is_own = |name: &str| !["none", "host"].contains(&name);
    let mut all: Vec<(String, Value)> = all
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_own(name))
        .map(|(name, endpoint)| (name.clone(), wanted(endpoint, short)))
        .collect();
    if !is_own(mode) || mode.starts_with("container:") {
        return (None, Vec::new());
    }
    let named = if ["", "default"].contains(&mode) { "bridge" } else { mode };
    let is_first = |(name, _): &(String, Value)| {
        let told = inspected.pointer("/NetworkSettings/Networks").and_then(|all| all.get(name));
        name == named || told.is_some_and(|one| text(one, "/NetworkID") == named)
    };
    let first = all.iter().position(is_first).map(|at| all.remove(at));
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(first.is_none().then(|| Step::Leave(named.to_owned())));
    steps.extend(all.into_iter().map(|(name, endpoint)| Step::Connect(name, endpoint)));
    // The engine's own bridge takes no names and addresses.
    let first =
        first.filter(|(name, _)| name != "bridge").map(|(_, endpoint)| (mode.to_owned(), endpoint));
    (first, steps)
}

/// What somebody asked for of a network, without what the engine added.
fn wanted(endpoint: &Value, short: &str) -> Value {
    let mut wanted = Map::new();
    for key in ["IPAMConfig", "Links", "DriverOpts", "GwPriority"] {
        if let Some(value) = endpoint.get(key).filter(|value| !value.is_null()) {
            wanted.insert(key.to_owned(), value.clone());
        }
    }
    let aliases = endpoint.get("Aliases").and_then(Value::as_array).into_iter().flatten();
    let aliases: Vec<&Value> = aliases.filter(|alias| alias.as_str() != Some(short)).collect();
    if !aliases.is_empty() {
        wanted.insert("Aliases".to_owned(), json!(aliases));
    }
    Value::Object(wanted)
}

/// Takes away what only one can have, and the right to change what is shared.
fn alone(body: &mut Value, networks: &mut [Step]) {
    remove(body, &["MacAddress", "Hostname", "Domainname"]);
    for endpoint in networks.iter_mut().filter_map(|step| match step {
        Step::Connect(_, endpoint) => Some(endpoint),
        _ => None,
    }) {
        remove(endpoint, &["IPAMConfig", "Aliases"]);
    }
    let first =
        body.pointer_mut("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object_mut);
    for endpoint in first.into_iter().flat_map(|all| all.values_mut()) {
        remove(endpoint, &["IPAMConfig", "Aliases"]);
    }
    let Some(host) = body.get_mut("HostConfig") else { return };
    for (key, value) in [
        ("PortBindings", json!({})),
        ("PublishAllPorts", json!(false)),
        ("AutoRemove", json!(false)),
        ("RestartPolicy", json!({"Name": "no"})),
        ("ContainerIDFile", json!("")),
    ] {
        put(host, &[key], value);
    }
    for bind in host.get_mut("Binds").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(told) = bind.as_str() {
            let mut parts = told.splitn(3, ':');
            let (source, at) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            *bind = json!(format!("{source}:{at}:ro"));
        }
    }
    for mount in host.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        if text(mount, "/Type") != "tmpfs" {
            put(mount, &["ReadOnly"], json!(true));
        }
    }
    for from in host.get_mut("VolumesFrom").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(name) = from.as_str().and_then(|told| told.split(':').next()) {
            *from = json!(format!("{name}:ro"));
        }
    }
}

/// Whether two paths are one, however they are written (`/data/`, `//data`).
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    Path::new(one).components().eq(Path::new(other).components())
}

/// A text of the engine's answer; empty if it is none.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Whether something is so.
pub(crate) fn is(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool) == Some(true)
}

/// Sets something, and makes the objects on the way.
pub(crate) fn put(value: &mut Value, path: &[&str], what: Value) {
    let Some((key, rest)) = path.split_first() else {
        *value = what;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    if let Some(object) = value.as_object_mut() {
        put(object.entry(*key).or_insert(Value::Null), rest, what);
    }
}

fn remove(value: &mut Value, keys: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

#[cfg(test)]
mod tests;
