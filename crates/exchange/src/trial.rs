//! Runs a container beside another for a while, and says what became of it. It is removed, whatever became of it.
//!
//! Which of the rights it was that it could not do without is found by giving it all but one kind: [`Part`].

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use haechi_facts::engine::api::ApiError;
use haechi_facts::engine::http::HttpApi;
use jiff::SignedDuration;
use serde_json::Value;

use crate::book::Book;
use crate::heard::{Heard, Listener};
use crate::plan::Plan;
use crate::rights::Rights;
use crate::swap::{self, Trouble};
use crate::watch::{Fate, watch};

/// What a program says of a call that was refused, or of a limit that it met (`strerror(3)`), in small letters.
const REFUSALS: [&str; 8] = [
    "operation not permitted",
    "permission denied",
    "read-only file system",
    "resource temporarily unavailable",
    "cannot allocate memory",
    "no space left on device",
    "eperm",
    "eacces",
];

/// A kind of rights that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// System calls.
    Calls,
    /// Capabilities.
    Capabilities,
    /// The writable root file system.
    Root,
    /// Processes and memory.
    Limits,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Calls, Self::Capabilities, Self::Root, Self::Limits];

    /// Its key in the texts.
    pub fn key(self) -> &'static str {
        match self {
            Self::Calls => "taken-calls",
            Self::Capabilities => "taken-capabilities",
            Self::Root => "taken-root",
            Self::Limits => "taken-limits",
        }
    }

    /// These rights in this kind alone, and in all others as `open`; none if they take nothing away in it.
    pub fn alone(self, rights: &Rights, open: &Rights) -> Option<Rights> {
        let mut one = open.clone();
        match self {
            Self::Calls => one.seccomp = rights.seccomp.clone(),
            Self::Capabilities => one.capabilities = Some(rights.capabilities.clone()?),
            Self::Root => {
                one.read_only = rights.read_only;
                one.tmpfs.clone_from(&rights.tmpfs);
            }
            Self::Limits => (one.pids, one.memory) = (rights.pids, rights.memory),
        }
        (one != *open).then_some(one)
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Full id of the container that was.
    pub id: String,
    /// What became of it.
    pub fate: Fate,
    /// The code with which it ended when it was stopped; none if it was not, or did not stop.
    pub stopped: Option<i64>,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// How long it was watched.
    pub lived: Duration,
}

/// How it is run.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// Its name.
    pub name: &'a str,
    /// For how long the one that it is like ran.
    pub ran_before: SignedDuration,
    /// How long it is watched.
    pub time: Duration,
    /// Whether it is stopped properly when it lived, to see whether it can; else it is killed.
    pub stops: bool,
}

/// Runs a container by its plan. `known` is told its id before it starts.
///
/// # Errors
/// The engine does not make it, or does not answer any more.
pub async fn run(
    engine: &HttpApi,
    book: &Book,
    plan: &Plan,
    how: How<'_>,
    known: &OnceLock<String>,
) -> Result<Trial, Trouble> {
    let (token, id) = swap::create(engine, book, plan, how.name, true).await?;
    let _ = known.set(id.clone());
    let begun = Instant::now();
    let fate = match swap::start(engine, &id).await {
        Ok(()) => watch(engine, &id, how.ran_before, how.time).await,
        // It is there, and cannot be started.
        Err(ApiError::Status(_, said)) => Ok(Fate::NotStarted { said }),
        Err(error) => Err(error),
    };
    let lived = begun.elapsed();
    let stopped = match &fate {
        Ok(Fate::Lives { .. }) if how.stops => stopped(engine, &id).await,
        _ => None,
    };
    let log = swap::log(engine, &id).await;
    swap::remove(engine, &id).await?;
    book.forget(&token).await?;
    Ok(Trial { id, fate: fate?, stopped, log, lived })
}

/// Stops a container; the code with which it ended.
async fn stopped(engine: &HttpApi, id: &str) -> Option<i64> {
    swap::stop(engine, id).await.ok()?;
    let inspected = swap::inspect(engine, id).await.ok()?;
    inspected.pointer("/State/ExitCode").and_then(Value::as_i64)
}

/// The same, with the calls that the kernel recorded of it and of the one `beside` it; or why it could not be heard.
///
/// # Errors
/// The engine does not make it, or does not answer any more.
pub async fn listened(
    engine: &HttpApi,
    book: &Book,
    plan: &Plan,
    how: How<'_>,
    beside: &Arc<OnceLock<String>>,
) -> Result<(Trial, Result<Heard, String>), Trouble> {
    let known = Arc::new(OnceLock::new());
    let target = vec![Arc::clone(&known), Arc::clone(beside)];
    let listener = match engine.is_local() {
        true => Listener::begin(target).map_err(|error| error.to_string()),
        false => Err("the engine is on another machine".to_owned()),
    };
    let trial = run(engine, book, plan, how, &known).await;
    let heard = match listener {
        Ok(listener) => Ok(listener.end().await),
        Err(why) => Err(why),
    };
    Ok((trial?, heard))
}

/// How the one with the least privilege differs from the one as today in what can be seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Lines of its log that the other has nothing like.
    pub lines: Vec<String>,
    /// Whether one of them says that something is not permitted, in the words of a C library.
    pub is_refused: bool,
    /// Whether another became of it, or it stopped with another code.
    pub is_other_end: bool,
}

impl Difference {
    /// Compares the two.
    pub fn of(least: &Trial, today: &Trial) -> Self {
        let alike: BTreeSet<String> = today.log.iter().map(|line| shape(line)).collect();
        let mut lines = least.log.clone();
        lines.retain(|line| !alike.contains(&shape(line)));
        let is_refusal = |line: &String| {
            let line = line.to_lowercase();
            REFUSALS.iter().any(|words| line.contains(words))
        };
        let is_other_end = least.fate.key() != today.fate.key() && !is_early(least, today)
            || least.stopped != today.stopped;
        Self { is_refused: lines.iter().any(is_refusal), is_other_end, lines }
    }
}

/// Whether both live, and only the health check of one has not spoken yet.
fn is_early(least: &Trial, today: &Trial) -> bool {
    matches!((&least.fate, &today.fate), (Fate::Lives { .. }, Fate::Lives { .. }))
}

/// A line without what is another each time: numbers, times, ids.
fn shape(line: &str) -> String {
    let words = line.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && !word.contains(char::is_numeric));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(log: &[&str], stopped: Option<i64>) -> Trial {
        Trial {
            id: "x".into(),
            fate: Fate::Lives { health: None },
            stopped,
            log: log.iter().map(|line| (*line).to_owned()).collect(),
            lived: Duration::ZERO,
        }
    }

    #[test]
    fn what_only_the_one_with_less_says_is_a_difference() {
        let today = trial(&["1:M 10:00:01 ready, pid 7", "no user: Permission denied"], Some(0));
        let same = trial(&["1:M 10:00:02 ready, pid 12", "no user: Permission denied"], Some(0));
        assert_eq!(Difference::of(&same, &today), Difference::default());
        let refused = trial(&["1:M 10:00:02 ready", "chown: Operation not permitted"], Some(0));
        let found = Difference::of(&refused, &today);
        assert!(found.is_refused && !found.is_other_end && found.lines.len() == 2, "{found:?}");
        let other = Difference::of(&trial(&["worker gave up"], Some(0)), &today);
        assert!(!other.is_refused && other.lines == ["worker gave up"]);
    }

    #[test]
    fn one_that_does_not_stop_as_before_is_a_difference() {
        let (good, bad) = (trial(&[], Some(0)), trial(&[], Some(1)));
        assert!(Difference::of(&bad, &good).is_other_end);
        assert!(Difference::of(&trial(&[], None), &good).is_other_end);
        let done = Trial { fate: Fate::Done, ..good.clone() };
        assert!(Difference::of(&done, &good).is_other_end);
        let healthy =
            Trial { fate: Fate::Lives { health: Some("healthy".into()) }, ..good.clone() };
        assert!(!Difference::of(&healthy, &good).is_other_end);
    }
}
