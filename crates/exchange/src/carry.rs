//! The whole way: the exchange, the watch, and back if the new container does not live.

use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use haechi_facts::engine::http::HttpApi;
use jiff::SignedDuration;

use crate::book::{Book, Made};
use crate::plan::Plan;
use crate::swap::{self, Failed, Trouble};
use crate::watch::{Fate, watch};

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// The new container lives.
    Kept(Made, Fate),
    /// It did not, or is not wanted any more.
    Back(Back),
    /// A step failed; what was done was taken back, if the engine did that.
    Failed(Failed),
}

/// The old container was put back.
#[derive(Debug)]
pub struct Back {
    /// What became of the new one; none if somebody did not want to wait.
    pub fate: Option<Fate>,
    /// Its last lines.
    pub log: Vec<String>,
    /// Its full id.
    pub id: String,
    /// How long it was there.
    pub lived: Duration,
    /// Why the old one could not be put back, or does not run.
    pub left: Option<Trouble>,
}

/// Carries a plan out, and watches for so long, or until somebody does not want to wait any more: then the old one is put back.
/// What was begun of the exchange is ended first: between two steps nothing runs. `known` is told the id of the new one before that
/// starts.
pub async fn carry(
    engine: &HttpApi,
    book: &Book,
    plan: &Plan,
    ran_before: SignedDuration,
    time: Duration,
    known: &OnceLock<String>,
    unwanted: impl Future<Output = ()>,
) -> Outcome {
    let mut unwanted = pin!(unwanted);
    let mut exchange = pin!(swap::exchange(engine, book, plan, known));
    let mut is_wanted = true;
    let made = loop {
        tokio::select! {
            made = &mut exchange => break made,
            () = &mut unwanted, if is_wanted => is_wanted = false,
        }
    };
    let made = match made {
        Ok(made) => made,
        Err(failed) => return Outcome::Failed(failed),
    };
    if !is_wanted {
        return Outcome::Back(back(engine, book, &made, None, Duration::ZERO).await);
    }
    if !plan.past.running {
        return Outcome::Kept(made, Fate::Waits);
    }
    let begun = std::time::Instant::now();
    let fate = tokio::select! {
        fate = watch(engine, &made.id, ran_before, time) => fate,
        () = unwanted => return Outcome::Back(back(engine, book, &made, None, begun.elapsed()).await),
    };
    match fate {
        Ok(fate) if fate.is_well() => Outcome::Kept(made, fate),
        Ok(fate) => Outcome::Back(back(engine, book, &made, Some(fate), begun.elapsed()).await),
        // Nobody can be asked to put anything back.
        Err(why) => Outcome::Failed(Failed { left: Some(why.clone().into()), why: why.into() }),
    }
}

/// Puts the old one back, with the last words of the new one.
pub async fn back(
    engine: &HttpApi,
    book: &Book,
    made: &Made,
    fate: Option<Fate>,
    lived: Duration,
) -> Back {
    let log = swap::log(engine, &made.id).await;
    let left = swap::put_back(engine, book, made).await.err();
    Back { fate, log, id: made.id.clone(), lived, left }
}
