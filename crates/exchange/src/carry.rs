//! The whole way: the exchange, the watch, and back if the new container does not live.

use std::sync::OnceLock;
use std::time::Duration;

use haechi_facts::engine::api::ApiError;
use haechi_facts::engine::http::HttpApi;
use jiff::SignedDuration;

use crate::plan::Plan;
use crate::swap::{self, Failed, Made};
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
    /// What the engine said if the old one could not be put back.
    pub left: Option<ApiError>,
}

/// Carries a plan out, and watches for so long, or until somebody does not want to wait any more: then the old one is put back.
/// `known` is told the id of the new one before that starts.
pub async fn carry(
    engine: &HttpApi,
    plan: &Plan,
    ran_before: SignedDuration,
    time: Duration,
    known: &OnceLock<String>,
    unwanted: impl Future<Output = ()>,
) -> Outcome {
    let made = match swap::exchange(engine, plan, known).await {
        Ok(made) => made,
        Err(failed) => return Outcome::Failed(failed),
    };
    if !plan.past.running {
        return Outcome::Kept(made, Fate::Done);
    }
    let begun = std::time::Instant::now();
    let fate = tokio::select! {
        fate = watch(engine, &made.id, ran_before, time) => fate,
        () = unwanted => return Outcome::Back(back(engine, &made, None, begun.elapsed()).await),
    };
    match fate {
        Ok(fate) if fate.is_well() => Outcome::Kept(made, fate),
        Ok(fate) => Outcome::Back(back(engine, &made, Some(fate), begun.elapsed()).await),
        // Nobody can be asked to put anything back.
        Err(why) => Outcome::Failed(Failed { left: Some(why.clone()), why }),
    }
}

/// Puts the old one back, with the last words of the new one.
pub async fn back(engine: &HttpApi, made: &Made, fate: Option<Fate>, lived: Duration) -> Back {
    let log = swap::log(engine, &made.id).await;
    let left = swap::put_back(engine, made).await.err();
    Back { fate, log, id: made.id.clone(), lived, left }
}
