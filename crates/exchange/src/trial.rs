//! Runs a container beside another for a while, and says what became of it. It is removed, whatever became of it.
//!
//! Which of the rights it was that it could not do without is found by giving it all but one kind: [`Part`].

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use haechi_facts::engine::api::ApiError;
use haechi_facts::engine::http::HttpApi;
use jiff::SignedDuration;

use crate::heard::{Heard, Listener};
use crate::plan::Plan;
use crate::rights::Rights;
use crate::swap;
use crate::watch::{Fate, watch};

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
    /// The last lines of its log.
    pub log: Vec<String>,
    /// How long it was watched.
    pub lived: Duration,
}

/// Runs a container by its plan under a name. `known` is told its id before it starts.
///
/// # Errors
/// The engine does not make it, or does not answer any more.
pub async fn run(
    engine: &HttpApi,
    plan: &Plan,
    name: &str,
    ran_before: SignedDuration,
    time: Duration,
    known: &OnceLock<String>,
) -> Result<Trial, ApiError> {
    let id = swap::create(engine, plan, name).await?;
    let _ = known.set(id.clone());
    let begun = Instant::now();
    let fate = match swap::start(engine, &id).await {
        Ok(()) => watch(engine, &id, ran_before, time).await,
        // It is there, and cannot be started.
        Err(ApiError::Status(_, said)) => Ok(Fate::NotStarted { said }),
        Err(error) => Err(error),
    };
    let lived = begun.elapsed();
    let log = swap::log(engine, &id).await;
    swap::remove(engine, &id).await?;
    Ok(Trial { id, fate: fate?, log, lived })
}

/// The same, with the calls that the kernel recorded; or why it could not be heard.
///
/// # Errors
/// The engine does not make it, or does not answer any more.
pub async fn listened(
    engine: &HttpApi,
    plan: &Plan,
    name: &str,
    ran_before: SignedDuration,
    time: Duration,
) -> Result<(Trial, Result<Heard, String>), ApiError> {
    let known = Arc::new(OnceLock::new());
    let listener = match engine.is_local() {
        true => Listener::begin(Arc::clone(&known)).map_err(|error| error.to_string()),
        false => Err("the engine is on another machine".to_owned()),
    };
    let trial = run(engine, plan, name, ran_before, time, &known).await;
    let heard = match listener {
        Ok(listener) => Ok(listener.end().await),
        Err(why) => Err(why),
    };
    Ok((trial?, heard))
}
