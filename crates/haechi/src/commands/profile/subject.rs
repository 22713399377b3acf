//! A container that there is, with the profile of what it runs.

use std::time::Duration;

use haechi_core::profile::{Phase, Profile};
use haechi_core::text::visible;
use haechi_exchange::book::Book;
use haechi_exchange::plan::{Plan, Refused};
use haechi_exchange::rights::Rights;
use haechi_exchange::swap;
use haechi_facts::engine::api::ApiError;
use haechi_facts::engine::http::HttpApi;
use haechi_facts::root::Root;
use haechi_monitor::container::Container;
use haechi_profile::texts;
use haechi_profile::today::Today;
use haechi_store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Known, find, needed, read};
use crate::args::ProfileOf;
use crate::commands::{store, store_failure};
use crate::failure::Failure;
use crate::setting::Setting;

/// How long the engine has for an answer, beside the time that a container has to stop.
const ENGINE: Duration = Duration::from_secs(30);

/// The container that is meant.
pub(super) struct Subject {
    pub engine: HttpApi,
    pub store: Store,
    /// What the engine says of it.
    pub inspected: Value,
    /// What names its image.
    pub image: String,
    pub known: Known,
    /// Why the profile is not known well enough; nothing if it is.
    pub unsettled: Vec<String>,
}

/// A connection to the engine that waits for a container that has so many seconds to stop.
pub(super) fn connect(setting: &Setting, stop: u64) -> anyhow::Result<HttpApi> {
    let root = Root::new(&setting.root);
    let patience = ENGINE.saturating_add(Duration::from_secs(stop));
    Ok(HttpApi::connect(setting.host.as_deref(), &root, patience)?.lasting())
}

impl Subject {
    /// The container that a name means, with its profile; refused if that is not known well enough.
    pub async fn of(of: &ProfileOf, setting: &Setting) -> anyhow::Result<Self> {
        let engine = connect(setting, 0)?;
        let store = store(setting).await?;
        let inspected = container(&engine, &of.target, setting).await?;
        let engine = connect(setting, swap::stop_seconds(&inspected))?;
        let told = Container::from_inspect(&inspected);
        let (id, profile) = match &of.file {
            Some(file) => {
                let profile = read(file)?;
                if profile.workload.image != told.image_id
                    || profile.workload.command != told.command
                {
                    return Err(said(setting, "profile-of-other", &[("name", &told.name)]));
                }
                (None, profile)
            }
            None => {
                let all = store.workloads().await.map_err(store_failure)?;
                let is_of = |profile: &Profile| {
                    profile.workload.image == told.image_id
                        && profile.workload.command == told.command
                };
                let Some((id, _)) = all.iter().find(|(_, profile)| is_of(profile)) else {
                    return Err(said(setting, "no-profile", &[("name", &told.name)]));
                };
                (Some(*id), store.profile(*id).await.map_err(store_failure)?)
            }
        };
        let snapshot = find::engine(setting).await?;
        let mut containers = snapshot.containers.iter().flatten();
        let today = containers.find(|one| one.id.as_ref() == Some(&told.id)).map(Today::of);
        let known = Known::with(id, profile, today.unwrap_or_default(), setting)?;
        let unsettled = known.warn(&needed(&known.least), of.unsettled, setting)?;
        let image = swap::image_of(&engine, &inspected).await;
        Ok(Self { engine, store, inspected, image, known, unsettled })
    }

    /// To take its place with these rights.
    pub fn instead(&self, rights: &Rights, force: bool, setting: &Setting) -> anyhow::Result<Plan> {
        let plan = Plan::instead(&self.inspected, &self.image, rights, force);
        plan.map_err(|why| self.refused(&why, setting))
    }

    /// To run beside it with these rights.
    pub fn beside(&self, rights: &Rights, setting: &Setting) -> anyhow::Result<Plan> {
        let plan = Plan::beside(&self.inspected, &self.image, rights);
        plan.map_err(|why| self.refused(&why, setting))
    }

    /// What was made here.
    pub fn book(&self) -> Book {
        Book::of(&self.store)
    }

    /// Refuses what would take something from others, or is done already.
    pub async fn check(&self, plan: &Plan, setting: &Setting) -> anyhow::Result<()> {
        let made = self.book().kept(&self.engine).await?;
        if made.iter().any(|made| made.id == plan.past.id || made.past.id == plan.past.id) {
            return Err(self.refused(&Refused::Applied, setting));
        }
        let joined = swap::joined(&self.engine, &plan.past).await?;
        if !joined.is_empty() {
            let values = [("name", self.name()), ("names", &joined.join(" "))];
            return Err(said(setting, "refused-joined", &values));
        }
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let name = self.inspected.get("Name").and_then(Value::as_str).unwrap_or_default();
        name.trim_start_matches('/')
    }

    /// Its full id.
    pub fn id(&self) -> &str {
        self.inspected.get("Id").and_then(Value::as_str).unwrap_or_default()
    }

    /// For how long it ran.
    pub fn ran(&self) -> SignedDuration {
        haechi_exchange::watch::ran(&self.inspected, Timestamp::now())
    }

    fn refused(&self, why: &Refused, setting: &Setting) -> anyhow::Error {
        let by = match why {
            Refused::Managed(by) => by,
            Refused::State(state) => state.as_str(),
            _ => "",
        };
        said(setting, why.key(), &[("name", self.name()), ("by", by)])
    }
}

/// Whether a workload was ever seen to stop: what it does then would else be refused, just when it keeps its data.
pub(super) fn knows_stop(profile: &Profile) -> bool {
    profile.runs.iter().any(|run| run.phases.contains(&Phase::Stop))
}

/// A failure in words.
pub(super) fn said(setting: &Setting, key: &str, values: &[(&str, &str)]) -> anyhow::Error {
    Failure::Said(texts::say(setting.lang, key, values)).into()
}

/// The container of a name or an id; else the only one that there is of the profile that is meant.
async fn container(engine: &HttpApi, target: &str, setting: &Setting) -> anyhow::Result<Value> {
    match swap::inspect(engine, target).await {
        Ok(inspected) => return Ok(inspected),
        Err(error) if error.is_not_found() => {}
        Err(ApiError::Status(400, _)) => {}
        Err(error) => return Err(error.into()),
    }
    let (_, profile) = find::stored(target, setting).await?;
    let ids: std::collections::BTreeSet<&str> =
        profile.runs.iter().map(|run| run.container.as_str()).collect();
    let mut found = Vec::new();
    for id in ids {
        match swap::inspect(engine, id).await {
            Ok(inspected) => found.push(inspected),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if found.len() > 1 {
        let names = found.iter().filter_map(|one| one.get("Name")?.as_str());
        let names: Vec<&str> = names.map(|name| name.trim_start_matches('/')).collect();
        let names = visible(&names.join(" ")).into_owned();
        return Err(said(setting, "several-containers", &[("target", target), ("names", &names)]));
    }
    found.pop().ok_or_else(|| Failure::NoSuchContainer(target.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::Run;

    use super::*;

    #[test]
    fn a_stop_is_known_only_if_one_was_seen() {
        let mut profile = Profile::default();
        assert!(!knows_stop(&profile));
        profile.runs.push(Run {
            container: "a".into(),
            name: "web".into(),
            since: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH,
            phases: [Phase::Start, Phase::Run].into(),
            gaps: [].into(),
            tasks_max: 1,
            memory_max: 0,
        });
        assert!(!knows_stop(&profile));
        profile.runs[0].phases.insert(Phase::Stop);
        assert!(knows_stop(&profile));
    }
}
