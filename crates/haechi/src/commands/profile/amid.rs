//! What may be in a profile and should not: what was told while it was learned. It takes nothing out: whoever uses the profile
//! decides. What was only told because a profile did not have it, and was learned since, is no attack by that.

use haechi_core::Lang;
use haechi_core::alert::{Alert, Priority};
use haechi_core::profile::Profile;
use haechi_core::text::visible;
use haechi_profile::texts;
use haechi_store::AlertFilter;

use super::{Known, store_failure};
use crate::setting::Setting;

/// Alerts that are named; more are counted.
const NAMED: usize = 5;
/// Alerts that are asked for, of one container.
const ASKED: u32 = 1000;
/// What tells that a profile does not have something; its alerts have the tag `profile`.
const NEWS: [&str; 2] = ["Something new in a settled profile", "Not in the enforced profile"];

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
    let alerts = found.into_iter().map(|(_, alert)| alert);
    let mut alerts: Vec<Alert> = alerts.filter(|alert| !is_learned(alert, profile)).collect();
    alerts.sort_by_key(|alert| (alert.priority, alert.at));
    Ok(alerts)
}

/// Whether somebody who learned what was new until the baseline took this for what the workload does. Not what could not be
/// seen, nor what was refused, nor what was told of a build that nobody knew yet: that was never anybody's decision.
fn is_learned(alert: &Alert, profile: &Profile) -> bool {
    let has = |tag: &str| alert.tags.iter().any(|one| one == tag);
    let is_of_build = profile.predecessor.as_ref().is_some_and(|before| {
        let image = if before.image_name.is_empty() { &before.image } else { &before.image_name };
        alert.text.contains(&texts::say(Lang::En, "news-updated", &[("image", image)]))
    });
    NEWS.contains(&alert.rule.as_str())
        && has("profile")
        && !has("blind")
        && !has("deny")
        && !is_of_build
        && profile.baseline_at.is_some_and(|baseline| alert.at <= baseline)
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

#[cfg(test)]
mod tests {
    use haechi_core::alert::{ALERT_SCHEMA, AlertContainer};
    use haechi_core::event::{Action, Call, Event, Process};
    use haechi_core::profile::{Kinship, Predecessor};
    use jiff::Timestamp;

    use super::*;

    fn alert(rule: &str, tags: &[&str], second: i64, text: &str) -> Alert {
        Alert {
            schema: ALERT_SCHEMA.into(),
            at: Timestamp::from_second(second).unwrap(),
            rule: rule.into(),
            priority: Priority::Error,
            text: text.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            checks: Vec::new(),
            container: AlertContainer::default(),
            program: String::new(),
            command: String::new(),
            ancestors: Vec::new(),
            event: Event {
                at: 0,
                cgroup: 0,
                process: Process::default(),
                call: String::new(),
                result: 0,
                action: Action::Call(Call::default()),
            },
        }
    }

    #[test]
    fn only_what_was_new_and_learned_since_is_no_attack() {
        let baseline_at = Some(Timestamp::from_second(100).unwrap());
        let predecessor = Some(Predecessor {
            image: "sha256:1".into(),
            image_name: "example/web:1".into(),
            by: Kinship::Reference,
        });
        let profile = Profile { baseline_at, predecessor, ..Profile::default() };
        let [new, enforced] = NEWS;
        for (learned, alert) in [
            (true, alert(new, &["profile", "executed"], 50, "executed /opt/x")),
            (true, alert(enforced, &["profile", "dry-run", "not-allowed"], 50, "/opt/x")),
            // It was refused, it could not be seen, it came later, or nobody knew the build yet.
            (false, alert(enforced, &["profile", "deny", "not-allowed"], 50, "/opt/x")),
            (false, alert(new, &["profile", "blind", "lost"], 50, "lost")),
            (false, alert(new, &["profile", "executed"], 101, "executed /opt/x")),
            (
                false,
                alert(
                    new,
                    &["profile", "executed"],
                    50,
                    "executed /opt/x; the update of the image does not explain it (example/web:1 before)",
                ),
            ),
            (false, alert("Shell in a container", &["profile"], 50, "sh")),
            (false, alert(new, &["shell"], 50, "a rule of a site that is called so")),
        ] {
            assert_eq!(is_learned(&alert, &profile), learned, "{}: {}", alert.rule, alert.text);
        }
        let unsettled = Profile::default();
        assert!(!is_learned(&alert(new, &["profile"], 50, "x"), &unsettled));
    }
}
