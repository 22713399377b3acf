//! Which containers were made here: on record before the engine is asked for one, and after it said its id.
//!
//! Promises that nothing is stopped, renamed or removed that is not on record with its full id. A label says nothing by itself:
//! whoever writes an image, a Compose file or `docker run` sets any, and `docker commit` hands them on. Only between the two
//! records, before the container was ever started, it is known by a label that nobody can guess, and by its name.

use haechi_facts::engine::api::{Api, Call};
use haechi_facts::engine::http::HttpApi;
use haechi_store::{MadeHere, Store};
use jiff::Timestamp;
use serde_json::Value;

use crate::plan::{Past, Plan, text};
use crate::swap::{self, Trouble};

/// The label with the token of its record.
pub const LABEL: &str = "haechi.made";
/// Bytes of a token.
const TOKEN: usize = 16;

/// A container that was made here, and the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The token of its record.
    pub token: String,
    /// Its full id.
    pub id: String,
    /// The one before it.
    pub past: Past,
    /// Whether the engine was asked to stop the one before it.
    pub stopping: bool,
}

/// The record.
#[derive(Debug, Clone)]
pub struct Book(Store);

impl Book {
    /// The record of a store.
    pub fn of(store: &Store) -> Self {
        Self(store.clone())
    }

    /// Keeps that a container is about to be made under a name; its token.
    pub(crate) async fn begin(
        &self,
        plan: &Plan,
        name: &str,
        is_trial: bool,
    ) -> Result<String, Trouble> {
        let one = MadeHere {
            token: token()?,
            is_trial,
            old: plan.past.id.clone(),
            name: name.to_owned(),
            past: serde_json::to_string(&plan.past).map_err(|error| unkept(&error))?,
            made: None,
            stopping: false,
        };
        self.0.begin_made(&one, Timestamp::now()).await.map_err(|error| unkept(&error))?;
        Ok(one.token)
    }

    pub(crate) async fn made(&self, token: &str, id: &str) -> Result<(), Trouble> {
        self.0.note_made(token, id).await.map_err(|error| unkept(&error))
    }

    pub(crate) async fn stopping(&self, token: &str) -> Result<(), Trouble> {
        self.0.note_stopping(token).await.map_err(|error| unkept(&error))
    }

    pub(crate) async fn forget(&self, token: &str) -> Result<(), Trouble> {
        self.0.forget_made(token).await.map_err(|error| unkept(&error))
    }

    /// Whether it is still on record, as far as that can be read.
    pub(crate) async fn knows(&self, token: &str) -> bool {
        self.0.made().await.is_ok_and(|all| all.iter().any(|one| one.token == token))
    }

    /// Containers that were made here in place of another that is still there.
    ///
    /// # Errors
    /// The engine does not answer, or the record cannot be read.
    pub async fn kept(&self, engine: &HttpApi) -> Result<Vec<Made>, Trouble> {
        let (records, there) = self.both(engine).await?;
        Ok(kept(&records, &there))
    }

    /// Removes containers that were tried out beside this one and left, because Haechi was killed; how many.
    ///
    /// # Errors
    /// The engine does not answer, or the record cannot be read.
    pub async fn sweep(&self, engine: &HttpApi, tried: &str) -> Result<usize, Trouble> {
        let (records, there) = self.both(engine).await?;
        let mut count = 0;
        for (token, id) in left(&records, &there, tried) {
            swap::remove(engine, &id).await?;
            self.forget(&token).await?;
            count += 1;
        }
        Ok(count)
    }

    async fn both(&self, engine: &HttpApi) -> Result<(Vec<MadeHere>, Vec<Value>), Trouble> {
        let records = self.0.made().await.map_err(|error| unkept(&error))?;
        let there = engine.ask(Call::Containers).await?;
        Ok((records, there.as_array().cloned().unwrap_or_default()))
    }
}

fn kept(records: &[MadeHere], there: &[Value]) -> Vec<Made> {
    let is_there = |id: &str| there.iter().any(|one| text(one, "/Id") == id);
    let of = |one: &MadeHere| {
        let past: Past = serde_json::from_str(&one.past).ok()?;
        let id = id(one, there)?;
        let made = Made { token: one.token.clone(), id, past, stopping: one.stopping };
        is_there(&made.past.id).then_some(made)
    };
    records.iter().filter(|one| !one.is_trial).filter_map(of).collect()
}

/// Tokens and ids of what was tried out beside a container and is still there.
fn left(records: &[MadeHere], there: &[Value], tried: &str) -> Vec<(String, String)> {
    let of_it = records.iter().filter(|one| one.is_trial && one.old == tried);
    of_it.filter_map(|one| Some((one.token.clone(), id(one, there)?))).collect()
}

/// The full id of what is on record, if it is there.
fn id(record: &MadeHere, there: &[Value]) -> Option<String> {
    let is_it = |one: &&Value| match &record.made {
        Some(id) => text(one, "/Id") == id,
        None => {
            let label = one.get("Labels").and_then(|labels| labels.get(LABEL));
            label.and_then(Value::as_str) == Some(&record.token)
                && text(one, "/Names/0").trim_start_matches('/') == record.name
                && text(one, "/State") == "created"
        }
    };
    there.iter().find(is_it).map(|one| text(one, "/Id").to_owned())
}

fn unkept(error: &dyn std::error::Error) -> Trouble {
    Trouble::Record(error.to_string())
}

fn token() -> Result<String, Trouble> {
    let mut bytes = [0_u8; TOKEN];
    // So few come at once or not at all.
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(TOKEN) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        Ok(_) => Err(Trouble::Record("the kernel gave too few random bytes".to_owned())),
        Err(error) => Err(unkept(&error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(made: Option<&str>, is_trial: bool) -> MadeHere {
        let past = json!({"id": "old", "name": "web", "restart": {"Name": "no"}, "running": true});
        MadeHere {
            token: "t0k3n".into(),
            is_trial,
            old: "old".into(),
            name: "web-next".into(),
            past: past.to_string(),
            made: made.map(Into::into),
            stopping: false,
        }
    }

    fn one(id: &str, name: &str, state: &str, label: &str) -> Value {
        // Each has the label of before as well, as an author of an image could set it.
        let before = r#"{"id":"old","name":"web","restart":{"Name":"no"},"running":true}"#;
        json!({"Id": id, "Names": [format!("/{name}")], "State": state,
               "Labels": {LABEL: label, "haechi.before": before, "haechi.try": "old"}})
    }

    #[test]
    fn a_label_alone_makes_nothing_ours() {
        let there =
            [one("old", "web-before", "exited", ""), one("rich", "rich", "running", "t0k3n")];
        assert!(kept(&[], &there).is_empty() && left(&[], &there, "old").is_empty());
        // Not even with the right token: of a commit of ours it has another id, or another name, or was started.
        let known = [record(Some("new"), false), record(Some("new"), true)];
        assert!(kept(&known, &there).is_empty() && left(&known, &there, "old").is_empty());
        let half = [record(None, false), record(None, true)];
        assert!(kept(&half, &there).is_empty() && left(&half, &there, "old").is_empty());
        let started = [one("old", "web", "running", ""), one("x", "web-next", "running", "t0k3n")];
        assert!(kept(&half, &started).is_empty());
        let other = [one("old", "web", "running", ""), one("x", "web-next", "created", "t")];
        assert!(kept(&half, &other).is_empty() && left(&half, &other, "old").is_empty());
    }

    #[test]
    fn what_is_on_record_is_found_by_its_id_and_before_that_by_its_token() {
        let there = [one("old", "web", "running", ""), one("new", "web-next", "created", "t0k3n")];
        for made in [None, Some("new")] {
            assert_eq!(kept(&[record(made, false)], &there)[0].id, "new");
            assert_eq!(
                left(&[record(made, true)], &there, "old"),
                [("t0k3n".into(), "new".into())]
            );
            assert!(left(&[record(made, true)], &there, "new").is_empty());
            assert!(kept(&[record(made, false)], &there[1..]).is_empty(), "the old one is gone");
        }
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert!(one != other && one.len() == 2 * TOKEN);
    }
}
