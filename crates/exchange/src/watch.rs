//! Whether a container that was made again lives.

use std::time::Duration;

use haechi_facts::engine::api::ApiError;
use haechi_facts::engine::http::HttpApi;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::plan::{is, text};
use crate::swap;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often, if something is about to come.
const SOON: Duration = Duration::from_millis(20);
/// How long it is waited for the code with which a container that is started again and again ends.
const FOR_CODE: Duration = Duration::from_secs(3);
/// An engine that does not answer is asked again so often before it is given up.
const TRIES: u32 = 20;

/// What became of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It runs; what its health check says, if it has one.
    Lives {
        /// `healthy` or `starting`.
        health: Option<String>,
    },
    /// It ended as it should, with 0, and had never run longer.
    Done,
    /// It ended with 0, sooner than the one before it ran.
    Short,
    /// It ended with this code.
    Ended {
        /// The code.
        code: i64,
        /// Whether it had no more memory.
        out_of_memory: bool,
    },
    /// The engine started it again so often, and how it ended last.
    Restarts {
        /// How often.
        count: u64,
        /// The code; none while it runs again, for the engine forgets it then.
        code: Option<i64>,
    },
    /// Its health check fails; what that said last.
    Unhealthy {
        /// Its output.
        said: String,
    },
    /// The engine could not start it; what it said.
    NotStarted {
        /// Its words.
        said: String,
    },
    /// Somebody removed it.
    Gone,
    /// It was made and not started, for the one before it did not run: nothing is known of it.
    Waits,
}

impl Fate {
    /// Whether it is as it should be, as far as it was looked at.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Lives { .. } | Self::Done)
    }

    /// Its key in the texts.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Lives { health: None } => "fate-lives",
            Self::Lives { .. } => "fate-lives-health",
            Self::Done => "fate-done",
            Self::Short => "fate-short",
            Self::Ended { out_of_memory: false, .. } => "fate-ended",
            Self::Ended { .. } => "fate-memory",
            Self::Restarts { code: Some(_), .. } => "fate-restarts",
            Self::Restarts { .. } => "fate-restarts-unknown",
            Self::Unhealthy { .. } => "fate-unhealthy",
            Self::NotStarted { .. } => "fate-not-started",
            Self::Gone => "fate-gone",
            Self::Waits => "fate-waits",
        }
    }
}

/// Watches a container until it is clear that it does not live, or this much time is over.
///
/// # Errors
/// The engine does not answer any more.
pub async fn watch(
    engine: &HttpApi,
    id: &str,
    ran_before: SignedDuration,
    time: Duration,
) -> Result<Fate, ApiError> {
    let end = tokio::time::Instant::now() + time;
    let (mut tries, mut code_by) = (0, None);
    loop {
        match swap::inspect(engine, id).await {
            Ok(inspected) => {
                tries = 0;
                let fate = fate(&inspected, ran_before);
                let now = tokio::time::Instant::now();
                match &fate {
                    Fate::Lives { .. } if now < end => {}
                    // It is waited a little for its next end, which tells the code.
                    Fate::Restarts { code: None, .. }
                        if now < *code_by.get_or_insert(now + FOR_CODE) => {}
                    _ => return Ok(fate),
                }
            }
            Err(error) if error.is_not_found() => return Ok(Fate::Gone),
            Err(error) => {
                tries += 1;
                if tries > TRIES {
                    return Err(error);
                }
            }
        }
        let left = end.saturating_duration_since(tokio::time::Instant::now()).max(SOON);
        tokio::time::sleep(if code_by.is_some() { SOON } else { LOOK.min(left) }).await;
    }
}

/// For how long a container runs, or ran last.
pub fn ran(inspected: &Value, now: Timestamp) -> SignedDuration {
    let moment = |path: &str| text(inspected, path).parse::<Timestamp>().ok();
    let Some(started) = moment("/State/StartedAt") else { return SignedDuration::ZERO };
    let until = match is(inspected, "/State/Running") {
        true => Some(now),
        false => moment("/State/FinishedAt"),
    };
    until.map_or(SignedDuration::ZERO, |until| until.duration_since(started))
}

/// What has become of a container, from what the engine says of it.
fn fate(inspected: &Value, ran_before: SignedDuration) -> Fate {
    let code = inspected.pointer("/State/ExitCode").and_then(Value::as_i64).unwrap_or_default();
    let count = inspected.get("RestartCount").and_then(Value::as_u64).unwrap_or_default();
    if count > 0 || is(inspected, "/State/Restarting") {
        let runs = is(inspected, "/State/Running") && !is(inspected, "/State/Restarting");
        return Fate::Restarts { count: count.max(1), code: (!runs).then_some(code) };
    }
    if !is(inspected, "/State/Running") {
        return match code {
            0 if ran(inspected, Timestamp::now()) < ran_before => Fate::Short,
            0 => Fate::Done,
            code => Fate::Ended { code, out_of_memory: is(inspected, "/State/OOMKilled") },
        };
    }
    let health = text(inspected, "/State/Health/Status");
    if health == "unhealthy" {
        let said = inspected.pointer("/State/Health/Log").and_then(Value::as_array);
        let last = said.and_then(|all| all.last()).map(|last| text(last, "/Output"));
        let said = last.unwrap_or_default().trim().chars().take(300).collect();
        return Fate::Unhealthy { said };
    }
    let health = (!health.is_empty() && health != "none").then(|| health.to_owned());
    Fate::Lives { health }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(state: Value, restarts: u64) -> Fate {
        fate(&json!({"State": state, "RestartCount": restarts}), SignedDuration::from_secs(60))
    }

    #[test]
    fn what_became_of_it_is_told_by_the_engine() {
        assert_eq!(told(json!({"Running": true}), 0), Fate::Lives { health: None });
        let healthy = json!({"Running": true, "Health": {"Status": "starting"}});
        assert_eq!(told(healthy, 0), Fate::Lives { health: Some("starting".into()) });
        let ill = json!({"Running": true, "Health": {"Status": "unhealthy", "Log": [
            {"Output": "old"}, {"Output": " no answer\n"}]}});
        assert_eq!(told(ill, 0), Fate::Unhealthy { said: "no answer".into() });
        let ended = json!({"Running": false, "ExitCode": 137, "OOMKilled": true});
        assert_eq!(told(ended, 0), Fate::Ended { code: 137, out_of_memory: true });
        // Between two starts it runs, or does not: it is a loop all the same.
        let again = told(json!({"Running": true, "ExitCode": 0}), 1);
        assert_eq!(again, Fate::Restarts { count: 1, code: None }, "0 is not how it ended");
        // An engine says that it runs while it waits to start it again.
        let waits = json!({"Running": true, "Restarting": true, "ExitCode": 7});
        assert_eq!(told(waits, 1), Fate::Restarts { count: 1, code: Some(7) });
        let waits = json!({"Running": false, "Restarting": true, "ExitCode": 1});
        assert_eq!(told(waits, 0), Fate::Restarts { count: 1, code: Some(1) });
    }

    #[test]
    fn a_service_that_ends_at_once_with_success_did_not_live() {
        let ended = |seconds: u32| {
            json!({
                "Running": false, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z",
                "FinishedAt": format!("2026-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60),
            })
        };
        assert_eq!(told(ended(3), 0), Fate::Short);
        assert_eq!(told(ended(61), 0), Fate::Done);
        assert!(!Fate::Short.is_well() && Fate::Done.is_well());
    }
}
