//! From an event of the engine to what was done: pure, without asking anything.
//!
//! The engine says what was done and to what, not who asked. Of an exec call the event has only the command; user
//! and rights come from inspecting the call ([`super::Call::Exec`]), which is possible for some minutes after it ended.
//! Labels of a container are among an event's attributes and may carry any name, so only attributes that the engine is
//! known to set are kept, and an inspected call counts only if it belongs to the container. What only tells of the
//! engine's own bookkeeping (the end of an exec call, a changed health) is left out.

use std::collections::BTreeMap;

use haechi_core::activity::{Activity, ExecCall};
use jiff::Timestamp;
use serde_json::Value;

use super::json::at;
use crate::redact;

/// What [`Activity::details`] has for a run of the container's own health check.
pub const HEALTH: &str = "health=true";

/// Bytes of a text of an event that are kept.
const TEXT_MAX: usize = 1024;
/// Details of an event that are kept.
const DETAILS_MAX: usize = 32;
/// Events about a container that are no activity: they tell of what the engine itself noticed.
const NOTICED: [&str; 5] = ["exec_die", "exec_died", "health_status", "resize", "exec_detach"];
/// Attributes of events about containers and images that the engine sets; all others are labels.
const ATTRIBUTES: [&str; 11] = [
    "comment",
    "containerExitCode",
    "exitCode",
    "imageID",
    "imageRef",
    "oldName",
    "path",
    "podId",
    "repo",
    "signal",
    "tag",
];

/// The health check of a container: the engine runs it by itself as an exec call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    command: Vec<String>,
    user: String,
}

impl HealthCheck {
    /// The health check that an inspected container has; none if it has none or it is switched off.
    pub fn of(container: &Value) -> Option<Self> {
        let test = strings(at(container, "Config.Healthcheck.Test"));
        let (kind, rest) = test.split_first()?;
        let command = match kind.as_str() {
            "CMD" => rest.to_vec(),
            // The shell of the image, or the engine's own choice.
            "CMD-SHELL" => {
                let mut shell = strings(at(container, "Config.Shell"));
                if shell.is_empty() {
                    shell = vec!["/bin/sh".to_owned(), "-c".to_owned()];
                }
                shell.into_iter().chain(rest.iter().cloned()).collect()
            }
            _ => return None,
        };
        let user = text(at(container, "Config.User")).to_owned();
        (!command.is_empty()).then_some(Self { command, user })
    }

    /// Whether an exec call is a run of it: the same command as the same user, without more rights. Who runs just
    /// that by hand cannot be told apart, and does nothing that the engine would not do.
    fn is(&self, command: &[String], user: &str, privileged: bool) -> bool {
        !privileged && self.command == command && (user.is_empty() || user == self.user)
    }
}

/// The container and the exec call that an event is about, if it is about one: ask for [`super::Call::Exec`] of it,
/// at once.
pub fn exec_of(event: &Value) -> Option<(&str, &str)> {
    let (action, _) = action(event);
    let id = text(at(event, "Actor.Attributes.execID"));
    let is_exec = matches!(action, "exec_create" | "exec_start" | "exec");
    (is_exec && !id.is_empty()).then_some((text(at(event, "Actor.ID")), id))
}

/// Whether it is a run of the container's own health check.
pub fn is_health_check(activity: &Activity) -> bool {
    activity.details.iter().any(|detail| detail == HEALTH)
}

/// What was done; none if the event tells of nothing that somebody did, or is none.
///
/// `exec` is the inspected call of [`exec_of`], `health` the container's health check.
pub fn from_event(
    event: &Value,
    exec: Option<&Value>,
    health: Option<&HealthCheck>,
) -> Option<Activity> {
    let (action, after) = action(event);
    if action.is_empty() || NOTICED.contains(&action) {
        return None;
    }
    let kind = shorten(text(at(event, "Type")));
    let attribute = |name: &str| {
        let attributes = event.get("Actor").and_then(|actor| actor.get("Attributes"));
        text(attributes.and_then(|all| all.get(name)))
    };
    let id = text(at(event, "Actor.ID"));
    let mut details = details(event, &kind);
    let call = if matches!(action, "exec_create" | "exec_start" | "exec") {
        let (call, is_health) = exec_call(attribute("execID"), after, id, exec, health);
        details.extend(is_health.then(|| HEALTH.to_owned()));
        Some(call)
    } else {
        if !after.is_empty() {
            details.push(format!("value={}", shorten(&redact::text(after))));
        }
        None
    };
    details.sort();
    Some(Activity {
        at: moment(event)?,
        action: shorten(action),
        id: shorten(id),
        name: shorten(attribute("name")),
        image: if kind == "container" { shorten(attribute("image")) } else { String::new() },
        kind,
        details,
        exec: call,
    })
}

/// The call, as far as it is known, and whether it is a health check.
fn exec_call(
    id: &str,
    command: &str,
    container: &str,
    inspected: Option<&Value>,
    health: Option<&HealthCheck>,
) -> (ExecCall, bool) {
    let told = inspected.filter(|told| {
        text(told.get("ID")) == id
            && text(told.get("ContainerID")) == container
            && at(told, "ProcessConfig.privileged").is_some_and(Value::is_boolean)
    });
    let Some(told) = told else {
        let command = shorten(&redact::text(command));
        return (ExecCall { id: shorten(id), command, ..ExecCall::default() }, false);
    };
    let mut line = vec![text(at(told, "ProcessConfig.entrypoint")).to_owned()];
    line.extend(strings(at(told, "ProcessConfig.arguments")));
    let user = text(at(told, "ProcessConfig.user"));
    // Docker says whether it is privileged; of what it leaves out nothing is known.
    let privileged = at(told, "ProcessConfig.privileged").and_then(Value::as_bool).unwrap_or(true);
    let is_health = health.is_some_and(|health| health.is(&line, user, privileged));
    let call = ExecCall {
        id: shorten(id),
        command: redact::arguments(&line).join(" "),
        user: shorten(user),
        privileged: Some(privileged),
        pid: told.get("Pid").and_then(Value::as_u64).and_then(|p| p.try_into().ok()).unwrap_or(0),
    };
    (call, is_health)
}

/// The action, and what the engine writes after it.
fn action(event: &Value) -> (&str, &str) {
    let action = text(event.get("Action"));
    action.split_once(": ").unwrap_or((action, ""))
}

/// When it was, by the engine's clock.
fn moment(event: &Value) -> Option<Timestamp> {
    let exact = event.get("timeNano").and_then(Value::as_i64);
    match exact {
        Some(exact) => Timestamp::from_nanosecond(exact.into()).ok(),
        None => Timestamp::from_second(event.get("time")?.as_i64()?).ok(),
    }
}

/// What else the engine says, without names and labels.
fn details(event: &Value, kind: &str) -> Vec<String> {
    let Some(Value::Object(all)) = at(event, "Actor.Attributes") else { return Vec::new() };
    let labelled = matches!(kind, "container" | "image");
    let known = |name: &str| {
        let elsewhere = matches!(name, "name" | "image" | "execID");
        !elsewhere && (!labelled || ATTRIBUTES.contains(&name))
    };
    let kept: BTreeMap<String, String> = redact::labels(
        all.iter()
            .filter(|(name, _)| known(name))
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))),
    );
    let line = |(name, value): (String, String)| shorten(&format!("{name}={value}"));
    kept.into_iter().take(DETAILS_MAX).map(line).collect()
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn shorten(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    format!("{}…", text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
