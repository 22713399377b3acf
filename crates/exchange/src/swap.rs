//! Carries a plan out, and takes it back.
//!
//! One order of steps, and one way back, which looks at what there is and does what is left: after a step that failed, after a
//! container that did not live, on request, and after this process was killed half way. The old container is never removed here,
//! and is only called back after it was looked at: it has its name, and runs if it ran.

use std::sync::OnceLock;
use std::time::Duration;

use haechi_facts::engine::api::{Api, ApiError, Call, encode};
use haechi_facts::engine::http::{HttpApi, Method};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::book::{Book, LABEL, Made};
use crate::plan::{Past, Plan, Step, is, is_same, put, text};

/// Lines of a container's log that are read.
const LINES: usize = 1000;
/// Characters of one.
const LINE_MAX: usize = 300;
/// Bytes of a log that are read: its last lines, however long.
const LOG_MAX: u64 = 1 << 20;
/// A container that has no time of its own to stop has so many seconds (the engine's own choice).
const STOP_SECONDS: u64 = 10;
/// Changed files that are named.
const CHANGED_MAX: usize = 10;
/// After so long it is looked whether what was started runs.
const LOOK: Duration = Duration::from_secs(1);
/// So often it is tried to put one back, with so much time between.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(2);
/// Where the engine puts the program of `--init`.
const INIT: [&str; 2] = ["/sbin/docker-init", "/usr/sbin/docker-init"];

/// Something that was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    /// The engine said no, or nothing.
    #[error(transparent)]
    Engine(#[from] ApiError),
    /// It could not be put on record, so it was not done.
    #[error("{0}")]
    Record(String),
    /// It was looked at afterwards, and is not as it was; what the engine says of its state.
    #[error("it was started, and is {0}")]
    Down(String),
}

/// An exchange that failed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Failed {
    /// Why.
    pub why: Trouble,
    /// Why it could not be taken back; none if it was.
    pub left: Option<Trouble>,
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
pub async fn changed(
    engine: &HttpApi,
    inspected: &Value,
) -> Result<(usize, Vec<String>), ApiError> {
    let told = engine.ask(Call::Changes(text(inspected, "/Id"))).await?;
    let files = files(&told, inspected);
    Ok((files.len(), files.iter().take(CHANGED_MAX).map(|path| (*path).to_owned()).collect()))
}

fn files<'t>(told: &'t Value, inspected: &Value) -> Vec<&'t str> {
    let all = told.as_array().into_iter().flatten();
    let paths: Vec<&str> = all.filter_map(|one| one.get("Path")?.as_str()).collect();
    // A folder is listed because of what lies in it.
    let is_outer = |path: &str| {
        paths.iter().any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    };
    // The engine makes what a mount is put on.
    let mounts = inspected.pointer("/Mounts").and_then(Value::as_array).into_iter().flatten();
    let mut made: Vec<&str> = mounts.map(|mount| text(mount, "/Destination")).collect();
    let memory = inspected.pointer("/HostConfig/Tmpfs").and_then(Value::as_object);
    made.extend(memory.into_iter().flatten().map(|(path, _)| path.as_str()));
    if is(inspected, "/HostConfig/Init") {
        made.extend(INIT);
    }
    let is_mount = |path: &str| made.iter().any(|mount| is_same(mount, path));
    paths.iter().copied().filter(|path| !is_outer(path) && !is_mount(path)).collect()
}

/// Names of containers that use the network, processes or memory of this one, and would lose them.
///
/// # Errors
/// The engine does not answer.
pub async fn joined(engine: &HttpApi, past: &Past) -> Result<Vec<String>, ApiError> {
    let all = engine.ask(Call::Containers).await?;
    let mut names = Vec::new();
    for id in all.as_array().into_iter().flatten().map(|one| text(one, "/Id")) {
        match inspect(engine, id).await {
            Ok(one) if shares(&one, past) => {
                names.push(text(&one, "/Name").trim_start_matches('/').to_owned());
            }
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// Whether a container has something of its own only through that one.
fn shares(inspected: &Value, past: &Past) -> bool {
    ["NetworkMode", "PidMode", "IpcMode"].iter().any(|key| {
        let with = text(inspected, &format!("/HostConfig/{key}")).strip_prefix("container:");
        // A name, or an id of any length.
        with.is_some_and(|with| {
            let with = with.trim_start_matches('/');
            with == past.name || (!with.is_empty() && past.id.starts_with(with))
        })
    })
}

/// Makes the container of a plan beside what there is, and does the plan's steps up to its start, which is not done: the token of
/// its record, and its id.
///
/// # Errors
/// The engine says no, or it cannot be put on record. What was made is removed.
pub async fn create(
    engine: &HttpApi,
    book: &Book,
    plan: &Plan,
    name: &str,
    is_trial: bool,
) -> Result<(String, String), Trouble> {
    let token = book.begin(plan, name, is_trial).await?;
    let mut body = plan.body.clone();
    put(&mut body, &["Labels", LABEL], json!(token));
    let path = format!("/containers/create?name={}", encode(name));
    let answer = match engine.change(&path, &body).await {
        Ok(answer) => answer,
        Err(error) => {
            // Without an answer it may be made all the same.
            if matches!(error, ApiError::Status(..)) {
                book.forget(&token).await?;
            }
            return Err(error.into());
        }
    };
    let id = text(&answer, "/Id").to_owned();
    let done = match book.made(&token, &id).await {
        Ok(()) => connect(engine, plan, &id).await,
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        remove(engine, &id).await?;
        book.forget(&token).await?;
        return Err(error);
    }
    Ok((token, id))
}

async fn connect(engine: &HttpApi, plan: &Plan, id: &str) -> Result<(), Trouble> {
    for step in &plan.steps {
        match step {
            Step::Connect(network, endpoint) => {
                let path = format!("/networks/{}/connect", encode(network));
                let asked = json!({"Container": id, "EndpointConfig": endpoint});
                engine.change(&path, &asked).await?;
            }
            Step::Leave(network) => {
                let path = format!("/networks/{}/disconnect", encode(network));
                engine.change(&path, &json!({"Container": id, "Force": true})).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Carries a plan out; `known` is told the id of the new container before that starts.
///
/// # Errors
/// A step failed; all before it were taken back, as far as the engine did that.
pub async fn exchange(
    engine: &HttpApi,
    book: &Book,
    plan: &Plan,
    known: &OnceLock<String>,
) -> Result<Made, Failed> {
    let past = &plan.past;
    let (token, id) = match create(engine, book, plan, &past.new_name(), false).await {
        Ok(made) => made,
        Err(why) => return Err(Failed { why, left: None }),
    };
    let _ = known.set(id.clone());
    let mut made = Made { token, id, past: past.clone(), stopping: false };
    for step in &plan.steps {
        let done = match step {
            Step::Create | Step::Connect(..) | Step::Leave(_) => Ok(()),
            Step::Hold => {
                restart(engine, &past.id, &json!({"Name": "no"})).await.map_err(Trouble::from)
            }
            Step::Stop => match book.stopping(&made.token).await {
                Ok(()) => {
                    made.stopping = true;
                    stop(engine, &past.id).await.map_err(Trouble::from)
                }
                Err(error) => Err(error),
            },
            Step::RenameOld => {
                rename(engine, &past.id, &past.old_name()).await.map_err(Trouble::from)
            }
            Step::RenameNew => rename(engine, &made.id, &past.name).await.map_err(Trouble::from),
            Step::Start => start(engine, &made.id).await.map_err(Trouble::from),
        };
        if let Err(why) = done {
            return Err(Failed { why, left: put_back(engine, book, &made).await.err() });
        }
    }
    Ok(made)
}

/// Puts the old container back: whatever was done of the exchange is undone, and what is so already stays. It is looked at afterwards.
///
/// # Errors
/// The engine says no, or the old one does not run though it ran. It can be done again, and goes on where it ended.
pub async fn put_back(engine: &HttpApi, book: &Book, made: &Made) -> Result<(), Trouble> {
    let mut tries = 0;
    loop {
        let done = once_back(engine, book, made).await;
        tries += 1;
        if done.is_ok() || tries >= TRIES {
            return done;
        }
        // Somebody else may be about it: a person, and the monitor that watches what it made. Each step can be done again.
        tokio::time::sleep(AGAIN).await;
        if !book.knows(&made.token).await {
            let old = inspect(engine, &made.past.id).await?;
            return is_back(&old, &made.past);
        }
    }
}

async fn once_back(engine: &HttpApi, book: &Book, made: &Made) -> Result<(), Trouble> {
    let past = &made.past;
    // First of all: without it nothing may be taken away.
    let old = inspect(engine, &past.id).await?;
    let mut was_started = true;
    match inspect(engine, &made.id).await {
        Ok(new) => {
            was_started = text(&new, "/State/Status") != "created";
            // It also ends that the engine starts it again and again. One that is stopped is so already.
            stop(engine, &made.id).await?;
            if text(&new, "/Name").trim_start_matches('/') == past.name {
                rename(engine, &made.id, &past.failed_name()).await?;
            }
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    if is_stopping(&old, made, was_started) {
        // The engine goes on with a stop of which nobody waits for the end: the container would be down after it was called back.
        // Asking once more waits for it; whether it did not stop is seen below.
        let _ = stop(engine, &past.id).await;
    }
    if text(&old, "/Name").trim_start_matches('/') != past.name {
        rename(engine, &past.id, &past.name).await?;
    }
    restart(engine, &past.id, &past.restart).await?;
    if past.running {
        start(engine, &past.id).await?;
        tokio::time::sleep(LOOK).await;
    }
    is_back(&inspect(engine, &past.id).await?, past)?;
    remove(engine, &made.id).await?;
    book.forget(&made.token).await
}

/// Whether the engine may still be about to stop the old one: it was asked to, and the next step was never done.
fn is_stopping(old: &Value, made: &Made, was_started: bool) -> bool {
    made.stopping && !was_started && is(old, "/State/Running")
}

/// Whether a container is as it was before.
fn is_back(old: &Value, past: &Past) -> Result<(), Trouble> {
    let name = text(old, "/Name").trim_start_matches('/');
    if name != past.name {
        return Err(Trouble::Down(format!("named {name}")));
    }
    let runs = is(old, "/State/Running") && !is(old, "/State/Restarting");
    if past.running && !runs {
        let code = old.pointer("/State/ExitCode").and_then(Value::as_i64).unwrap_or_default();
        return Err(Trouble::Down(format!("{} ({code})", text(old, "/State/Status"))));
    }
    Ok(())
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

/// Stops a container, and waits until it has.
///
/// # Errors
/// The engine says no.
pub async fn stop(engine: &HttpApi, id: &str) -> Result<(), ApiError> {
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
        let many: String = (0..1040).map(|at| format!("{at}\n")).collect();
        assert_eq!((lines(many.as_bytes()).len(), &*lines(many.as_bytes())[0]), (LINES, "40"));
    }

    #[test]
    fn whoever_shares_something_with_it_would_lose_it() {
        let past = Past {
            id: "0123456789ab".into(),
            name: "web".into(),
            restart: json!({}),
            running: true,
        };
        let with = |key: &str, value: &str| shares(&json!({"HostConfig": {key: value}}), &past);
        for key in ["NetworkMode", "PidMode", "IpcMode"] {
            assert!(with(key, "container:web") && with(key, "container:/web"), "{key}");
            assert!(with(key, "container:0123456789ab") && with(key, "container:0123"), "{key}");
            assert!(!with(key, "container:webs") && !with(key, "container:") && !with(key, "web"));
        }
    }

    #[test]
    fn places_of_mounts_are_nothing_that_a_container_changed() {
        let told = json!([{"Path": "/var"}, {"Path": "/var/tt"}, {"Path": "/data"}, {"Path": "/x"},
            {"Path": "/memory"}, {"Path": "/usr/sbin/docker-init"}, {"Path": "/data/hidden"}]);
        let mut inspected = json!({"HostConfig": {"Init": true, "Tmpfs": {"/memory/": ""}},
            "Mounts": [{"Destination": "/data"}, {"Destination": "/var/tt/"}]});
        assert_eq!(files(&told, &inspected), ["/x", "/data/hidden"]);
        put(&mut inspected, &["HostConfig", "Init"], json!(false));
        assert_eq!(files(&told, &inspected).len(), 3);
    }

    #[test]
    fn it_is_back_when_it_has_its_name_and_runs_if_it_ran() {
        let past =
            |running| Past { id: "a".into(), name: "web".into(), restart: json!({}), running };
        let told = |name: &str, running: bool, again: bool| {
            json!({"Name": name, "State": {"Running": running, "Restarting": again,
                   "Status": "exited", "ExitCode": 137}})
        };
        assert!(is_back(&told("/web", true, false), &past(true)).is_ok());
        assert!(is_back(&told("/web", false, false), &past(false)).is_ok());
        let down = is_back(&told("/web", false, false), &past(true)).unwrap_err().to_string();
        assert!(down.contains("exited (137)"), "{down}");
        assert!(is_back(&told("/web", true, true), &past(true)).is_err());
        assert!(is_back(&told("/web-before-haechi", true, false), &past(true)).is_err());
    }

    #[test]
    fn a_stop_that_was_begun_is_waited_for_before_it_is_started() {
        let old = |running: bool| json!({"State": {"Running": running}});
        let past = Past { id: "a".into(), name: "web".into(), restart: json!({}), running: true };
        let mut made = Made { token: "t".into(), id: "b".into(), past, stopping: true };
        assert!(is_stopping(&old(true), &made, false));
        assert!(!is_stopping(&old(false), &made, false), "it has stopped");
        assert!(!is_stopping(&old(true), &made, true), "somebody started it since");
        made.stopping = false;
        assert!(!is_stopping(&old(true), &made, false), "nobody asked: it is not interrupted");
    }
}
