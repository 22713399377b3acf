//! Carries a plan out, and takes it back.
//!
//! One order of steps, and one way back, which looks at what there is and does what is left: after a step that failed, after a
//! container that did not live, on request, and after this process was killed half way. The old container is never removed here.

use std::sync::OnceLock;

use haechi_facts::engine::api::{Api, ApiError, Call, encode};
use haechi_facts::engine::http::{HttpApi, Method};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::plan::{BEFORE, Past, Plan, Step, TRY, is, text};

/// Lines of a container's log that are shown.
const LINES: usize = 10;
/// Characters of one.
const LINE_MAX: usize = 300;
/// Bytes of a log that are read: its last lines, however long.
const LOG_MAX: u64 = 1 << 20;
/// A container that has no time of its own to stop has so many seconds (the engine's own choice).
const STOP_SECONDS: u64 = 10;
/// Changed files that are named.
const CHANGED_MAX: usize = 10;

/// An exchange that failed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Failed {
    /// What the engine said.
    pub why: ApiError,
    /// What the engine said when it was to be taken back; none if it was.
    pub left: Option<ApiError>,
}

/// A container that was made here, and the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Its full id.
    pub id: String,
    /// Its name now.
    pub name: String,
    /// The one before it.
    pub past: Past,
}

/// What the engine says of a container, by name or id.
///
/// # Errors
/// There is none, or the engine does not answer.
pub async fn inspect(engine: &HttpApi, name: &str) -> Result<Value, ApiError> {
    engine.ask(Call::Container(name)).await
}

/// What names the image of a container: its reference, or its id if the reference means another now.
pub async fn image_of(engine: &HttpApi, inspected: &Value) -> String {
    let (reference, id) = (text(inspected, "/Config/Image"), text(inspected, "/Image"));
    match engine.ask(Call::Image(reference)).await {
        Ok(image) if text(&image, "/Id") == id => reference.to_owned(),
        _ => id.to_owned(),
    }
}

/// Files that a container changed in its own file system, outside of mounts: they do not go over to another. How many, and some.
///
/// # Errors
/// The engine does not answer.
pub async fn changed(engine: &HttpApi, id: &str) -> Result<(usize, Vec<String>), ApiError> {
    let told = engine.ask(Call::Changes(id)).await?;
    let all = told.as_array().into_iter().flatten();
    let paths: Vec<&str> = all.filter_map(|one| one.get("Path")?.as_str()).collect();
    // A folder is listed because of what lies in it.
    let is_outer = |path: &str| {
        paths.iter().any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    };
    let files: Vec<&str> = paths.iter().copied().filter(|path| !is_outer(path)).collect();
    Ok((files.len(), files.iter().take(CHANGED_MAX).map(|path| (*path).to_owned()).collect()))
}

/// Names of containers that use the network of this one, and would lose it.
///
/// # Errors
/// The engine does not answer.
pub async fn joined(engine: &HttpApi, past: &Past) -> Result<Vec<String>, ApiError> {
    let all = engine.ask(Call::Containers).await?;
    let modes = [format!("container:{}", past.id), format!("container:{}", past.name)];
    let is_in =
        |one: &&Value| modes.iter().any(|mode| text(one, "/HostConfig/NetworkMode") == mode);
    let joined = all.as_array().into_iter().flatten().filter(is_in);
    Ok(joined.map(|one| text(one, "/Names/0").trim_start_matches('/').to_owned()).collect())
}

/// Containers that were made here in place of another that is still there.
///
/// # Errors
/// The engine does not answer.
pub async fn made(engine: &HttpApi) -> Result<Vec<Made>, ApiError> {
    let all = engine.ask(Call::Containers).await?;
    let of = |one: &Value| {
        let past: Past = serde_json::from_str(one.get("Labels")?.get(BEFORE)?.as_str()?).ok()?;
        Some(Made {
            id: text(one, "/Id").to_owned(),
            name: text(one, "/Names/0").trim_start_matches('/').to_owned(),
            past,
        })
    };
    let there: Vec<&str> =
        all.as_array().into_iter().flatten().map(|one| text(one, "/Id")).collect();
    let made = all.as_array().into_iter().flatten().filter_map(of);
    Ok(made.filter(|made| there.contains(&made.past.id.as_str())).collect())
}

/// Removes containers that were tried out and left, because Haechi was killed; how many.
///
/// # Errors
/// The engine does not answer.
pub async fn sweep(engine: &HttpApi, tried: &str) -> Result<usize, ApiError> {
    let all = engine.ask(Call::Containers).await?;
    let is_of = |one: &&Value| {
        one.get("Labels").and_then(|labels| labels.get(TRY)).and_then(Value::as_str) == Some(tried)
    };
    let left: Vec<&str> =
        all.as_array().into_iter().flatten().filter(is_of).map(|one| text(one, "/Id")).collect();
    for id in &left {
        remove(engine, id).await?;
    }
    Ok(left.len())
}

/// Makes the container of a plan beside what there is, and does the plan's steps up to its start, which is not done: its id.
///
/// # Errors
/// The engine says no. What was made is removed.
pub async fn create(engine: &HttpApi, plan: &Plan, name: &str) -> Result<String, ApiError> {
    let path = format!("/containers/create?name={}", encode(name));
    let answer = engine.change(&path, &plan.body).await?;
    let id = text(&answer, "/Id").to_owned();
    for step in &plan.steps {
        let done = match step {
            Step::Connect(network, endpoint) => {
                let path = format!("/networks/{}/connect", encode(network));
                let asked = json!({"Container": id, "EndpointConfig": endpoint});
                engine.change(&path, &asked).await
            }
            Step::Leave(network) => {
                let path = format!("/networks/{}/disconnect", encode(network));
                engine.change(&path, &json!({"Container": id, "Force": true})).await
            }
            _ => Ok(Value::Null),
        };
        if let Err(error) = done {
            remove(engine, &id).await?;
            return Err(error);
        }
    }
    Ok(id)
}

/// Carries a plan out; `known` is told the id of the new container before that starts.
///
/// # Errors
/// A step failed; all before it were taken back, as far as the engine did that.
pub async fn exchange(
    engine: &HttpApi,
    plan: &Plan,
    known: &OnceLock<String>,
) -> Result<Made, Failed> {
    let past = &plan.past;
    let id = match create(engine, plan, &past.new_name()).await {
        Ok(id) => id,
        Err(why) => return Err(Failed { why, left: None }),
    };
    let _ = known.set(id.clone());
    let made = Made { id, name: past.name.clone(), past: past.clone() };
    for step in &plan.steps {
        let done = match step {
            Step::Create | Step::Connect(..) | Step::Leave(_) => Ok(()),
            Step::Hold => restart(engine, &past.id, &json!({"Name": "no"})).await,
            Step::Stop => stop(engine, &past.id).await,
            Step::RenameOld => rename(engine, &past.id, &past.old_name()).await,
            Step::RenameNew => rename(engine, &made.id, &past.name).await,
            Step::Start => start(engine, &made.id).await,
        };
        if let Err(why) = done {
            return Err(Failed { why, left: put_back(engine, &made).await.err() });
        }
    }
    Ok(made)
}

/// Puts the old container back: whatever was done of the exchange is undone, and what is so already stays.
///
/// # Errors
/// The engine says no. It can be done again, and goes on where it ended.
pub async fn put_back(engine: &HttpApi, made: &Made) -> Result<(), ApiError> {
    let past = &made.past;
    // First of all: without it nothing may be taken away.
    let old = inspect(engine, &past.id).await?;
    match inspect(engine, &made.id).await {
        Ok(new) => {
            // It also ends that the engine starts it again and again. One that is stopped is so already.
            stop(engine, &made.id).await?;
            if text(&new, "/Name").trim_start_matches('/') == past.name {
                rename(engine, &made.id, &past.failed_name()).await?;
            }
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    if text(&old, "/Name").trim_start_matches('/') != past.name {
        rename(engine, &past.id, &past.name).await?;
    }
    restart(engine, &past.id, &past.restart).await?;
    if past.running && !is(&old, "/State/Running") {
        start(engine, &past.id).await?;
    }
    remove(engine, &made.id).await
}

/// Starts a container.
///
/// # Errors
/// The engine says no.
pub async fn start(engine: &HttpApi, id: &str) -> Result<(), ApiError> {
    already(engine.act(Method::POST, &format!("/containers/{id}/start")).await)
}

/// Removes a container and keeps its volumes; one that is gone is removed.
///
/// # Errors
/// The engine says no.
pub async fn remove(engine: &HttpApi, id: &str) -> Result<(), ApiError> {
    match engine.act(Method::DELETE, &format!("/containers/{id}?force=1&v=0")).await {
        Err(error) if error.is_not_found() => Ok(()),
        // It is being removed.
        Err(ApiError::Status(409, _)) => Ok(()),
        other => other,
    }
}

async fn stop(engine: &HttpApi, id: &str) -> Result<(), ApiError> {
    already(engine.act(Method::POST, &format!("/containers/{id}/stop")).await)
}

async fn rename(engine: &HttpApi, id: &str, name: &str) -> Result<(), ApiError> {
    engine.act(Method::POST, &format!("/containers/{id}/rename?name={}", encode(name))).await
}

async fn restart(engine: &HttpApi, id: &str, policy: &Value) -> Result<(), ApiError> {
    let path = format!("/containers/{id}/update");
    engine.change(&path, &json!({"RestartPolicy": policy})).await.map(drop)
}

/// The engine says 304 of what is so already.
fn already(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(ApiError::Status(304, _)) => Ok(()),
        other => other,
    }
}

/// How long a container has to stop, in seconds: the engine's answer takes at least as long.
pub fn stop_seconds(inspected: &Value) -> u64 {
    let asked = inspected.pointer("/Config/StopTimeout").and_then(Value::as_u64);
    asked.unwrap_or(STOP_SECONDS)
}

/// The last lines of a container's log; nothing if the engine has none.
pub async fn log(engine: &HttpApi, id: &str) -> Vec<String> {
    let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail={LINES}");
    let Ok(stream) = engine.download(&path).await else { return Vec::new() };
    let mut bytes = Vec::new();
    // What was read until it broke off is shown.
    let _ = stream.take(LOG_MAX).read_to_end(&mut bytes).await;
    lines(&bytes)
}

/// Lines of a log in the engine's frames (a byte for the stream, three of nothing, four of the length), or without, as of a terminal.
fn lines(bytes: &[u8]) -> Vec<String> {
    let mut plain = Vec::new();
    let mut rest = bytes;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let [stream, 0, 0, 0, length @ ..] = *head else { break };
        if stream > 2 {
            break;
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let (frame, after) = body.split_at_checked(length).unwrap_or((body, &[]));
        plain.extend_from_slice(frame);
        rest = after;
    }
    if plain.is_empty() {
        plain = bytes.to_vec();
    }
    let text = String::from_utf8_lossy(&plain);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LINES));
    last.map(|line| line.chars().take(LINE_MAX).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_with_frames_and_without() {
        let frame = |stream: u8, text: &str| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[stream, 0, 0, 0], length.as_slice(), text.as_bytes()].concat()
        };
        let framed = [frame(1, "one\n"), frame(2, "two\nthr"), frame(2, "ee\n")].concat();
        assert_eq!(lines(&framed), ["one", "two", "three"]);
        assert_eq!(lines(b"one\r\ntwo"), ["one", "two"]);
        // Cut off, and with a length that is none.
        assert_eq!(lines(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, b'x']), ["x"]);
        let long = "y".repeat(5000);
        assert_eq!(lines(long.as_bytes())[0].len(), LINE_MAX);
        let many: String = (0..50).map(|at| format!("{at}\n")).collect();
        assert_eq!((lines(many.as_bytes()).len(), &*lines(many.as_bytes())[0]), (LINES, "40"));
    }
}
