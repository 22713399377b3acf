//! What may be in a profile and should not: what was told while it was learned. It takes nothing out: whoever uses the profile
//! decides.

use haechi_core::alert::{Alert, Priority};
use haechi_core::text::visible;
use haechi_profile::texts;
use haechi_store::AlertFilter;

use super::{Known, store_failure};
use crate::setting::Setting;

/// Alerts that are named; more are counted.
const NAMED: usize = 5;
/// Alerts that are asked for, of one container.
const ASKED: u32 = 1000;

/// Alerts of warning or more about containers of a workload, from when it was watched first until its baseline.
pub(super) async fn alerts(known: &Known, setting: &Setting) -> anyhow::Result<Vec<Alert>> {
    let profile = &known.profile;
    // Of a file nobody here knows what was told.
    let (Some(_), Some(since)) = (known.id, profile.runs.iter().map(|run| run.since).min()) else {
        return Ok(Vec::new());
    };
    let store = crate::commands::store(setting).await?;
    let mut containers: Vec<&str> = profile.runs.iter().map(|run| run.container.as_str()).collect();
    containers.sort_unstable();
    containers.dedup();
    let mut found = Vec::new();
    for container in containers {
        let filter = AlertFilter {
            since: Some(since),
            until: profile.baseline_at,
            container: Some(container.to_owned()),
            priority_at_least: Some(Priority::Warning),
            limit: ASKED,
            ..AlertFilter::default()
        };
        found.extend(store.alerts(&filter).await.map_err(store_failure)?);
    }
    let mut alerts: Vec<Alert> = found.into_iter().map(|(_, alert)| alert).collect();
    alerts.sort_by_key(|alert| (alert.priority, alert.at));
    Ok(alerts)
}

/// The same as lines; none if there are none.
pub(super) async fn lines(known: &Known, setting: &Setting) -> anyhow::Result<Vec<String>> {
    let alerts = alerts(known, setting).await?;
    if alerts.is_empty() {
        return Ok(Vec::new());
    }
    let say = |key: &str, values: &[(&str, &str)]| texts::say(setting.lang, key, values);
    let mut lines = vec![say("amid-alerts", &[("count", &alerts.len().to_string())])];
    lines.extend(alerts.iter().take(NAMED).map(|alert| {
        let at = alert.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        visible(&format!("  {at}  {}  {}", alert.rule, alert.text)).into_owned()
    }));
    if let more @ 1.. = alerts.len().saturating_sub(NAMED) {
        lines.push(format!("  {}", say("amid-more", &[("count", &more.to_string())])));
    }
    Ok(lines)
}
