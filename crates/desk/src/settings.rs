//! How this Haechi is set up. Nothing is changed here: what is set is set in the policy's file, by whoever owns it.

use haechi_protocol::{DatabaseState, Refusal, Settings, ShowDatabase, ShowSettings, SourceRow};

use crate::accounts::Caller;
use crate::{Desk, unavailable};

/// Answers [`ShowDatabase`].
pub(crate) async fn database(
    desk: &Desk,
    _caller: &Caller,
    _question: &ShowDatabase,
) -> Result<DatabaseState, Refusal> {
    let told = desk.jobs.ask(&["db", "status", "--format", "json"]).await.map_err(unavailable)?;
    sources(&told).map_err(unavailable)
}

/// Answers [`ShowSettings`].
pub(crate) async fn settings(
    desk: &Desk,
    _caller: &Caller,
    _question: &ShowSettings,
) -> Result<Settings, Refusal> {
    let policy_text = match (desk.setup.policy)() {
        Ok(loaded) => toml::to_string_pretty(&loaded.policy).map_err(unavailable)?,
        Err(error) => format!("# {error:#}"),
    };
    Ok(Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy: desk.setup.policy_name.clone(),
        policy_text,
        interval_minutes: desk.setup.interval_minutes,
        certificate: desk.setup.certificate.clone(),
    })
}

/// What `haechi db status` tells of its sources.
fn sources(told: &str) -> serde_json::Result<DatabaseState> {
    #[derive(serde::Deserialize)]
    struct Source {
        name: String,
        records: u64,
        fetched_at: String,
        age_days: Option<i64>,
        too_old: bool,
        shortfall: String,
        error: Option<String>,
    }
    // Without a database nothing is told.
    if told.trim().is_empty() {
        return Ok(DatabaseState::default());
    }
    let sources: Vec<Source> = serde_json::from_str(told)?;
    let row = |source: Source| SourceRow {
        name: source.name,
        fetched: source.fetched_at,
        age_days: source.age_days.unwrap_or(-1),
        entries: source.records,
        too_old: source.too_old,
        problem: source.error.unwrap_or(source.shortfall),
    };
    Ok(DatabaseState { sources: sources.into_iter().map(row).collect() })
}
