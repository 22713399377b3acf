//! What the monitor's rules said, as evidence for the checks that they name.
//!
//! One mechanism for all checks: an alert that names a check makes it fail, whatever its expression says of the facts
//! of the moment; and a check that a rule names does not pass where the monitor may have missed something (a gap of
//! `container.alerts`). An alert counts for its container; for the image that the container runs; and, of checks about
//! anything else, for every subject. Whether the site accepts the failure is decided as for any other.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::facts::{Container, ContainerAlert, ContainerWatch, Gap, Snapshot};
use haechi_core::text::visible;
use haechi_core::{Subject, SubjectKind};
use jiff::{SignedDuration, Timestamp};

/// The fact of a container that alerts are.
const FACT: &str = "alerts";
/// Where evidence comes from that is an alert.
pub(crate) const SOURCE: &str = "haechi monitor: alerts of its rules";
/// How much later than its first program's start the engine may note a container's start.
const START: SignedDuration = SignedDuration::from_secs(10);
/// Stretches of watching that are told: the last ones.
const STRETCHES_SHOWN: usize = 3;

/// All alerts of a snapshot that are evidence, by the check that they name.
pub(crate) struct Alerts<'a> {
    by_check: BTreeMap<&'a str, Vec<(&'a Container, &'a ContainerAlert)>>,
    named: BTreeSet<&'a str>,
    watched: BTreeMap<&'a str, &'a Container>,
    missed: Vec<(&'a Gap, Option<&'a Container>)>,
}

impl<'a> Alerts<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut by_check: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for container in snapshot.containers.iter().flatten() {
            for alert in container.alerts.iter().flatten() {
                for check in alert.checks.iter().flatten() {
                    by_check.entry(check).or_default().push((container, alert));
                }
            }
        }
        let gaps = snapshot.gaps.iter();
        let of_alerts: Vec<_> =
            gaps.filter(|gap| gap.kind == SubjectKind::Container && gap.fact == FACT).collect();
        let all = snapshot.containers.iter().flatten();
        let by_id: BTreeMap<&str, &Container> =
            all.filter_map(|container| Some((container.id.as_deref()?, container))).collect();
        let missed =
            of_alerts.into_iter().map(|gap| (gap, by_id.get(gap.id.as_str()).copied())).collect();
        let mut watched = by_id;
        watched
            .retain(|_, container| container.watches.as_ref().is_some_and(|all| !all.is_empty()));
        let named = snapshot.monitor.checks.iter().flatten().map(String::as_str).collect();
        Self { by_check, named, watched, missed }
    }

    /// What alerts that name a check say of a subject, a line for each; nothing if there are none.
    pub(crate) fn said(&self, check: &str, subject: &Subject) -> Vec<String> {
        let all = self.by_check.get(check).map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .filter(|(container, _)| concerns(subject, Some(container)))
            .map(|(container, alert)| line(container, alert, subject))
            .collect()
    }

    /// When a container was watched by rules that name this check, in a line; nothing if it was not.
    pub(crate) fn watched(&self, check: &str, subject: &Subject) -> Option<String> {
        if subject.kind != SubjectKind::Container || !self.named.contains(check) {
            return None;
        }
        let watches = self.watched.get(subject.id.as_str())?.watches.as_deref()?;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let words = |watch: &ContainerWatch| {
            let start = if watch.from_start == Some(true) { " (its start)" } else { "" };
            format!("from {}{start} until {}", text(&watch.since), text(&watch.until))
        };
        let more = watches.len().saturating_sub(STRETCHES_SHOWN);
        let shown: Vec<String> = watches.iter().skip(more).map(words).collect();
        let before = if more > 0 { format!("{more} times before, ") } else { String::new() };
        Some(format!("watched {before}{}", shown.join(", ")))
    }

    /// Why the silence of rules that name this check proves nothing for a subject.
    pub(crate) fn missed(&self, check: &str, subject: &Subject) -> Option<&'a Gap> {
        if !self.named.contains(check) {
            return None;
        }
        let found = |(gap, container): &&(&Gap, Option<&Container>)| match subject.kind {
            _ if gap.id.is_empty() => true,
            SubjectKind::Container => gap.id == subject.id,
            _ => concerns(subject, *container),
        };
        self.missed.iter().find(found).map(|(gap, _)| *gap)
    }
}

/// Whether an alert is of before its container was started last.
fn is_of_earlier(container: &Container, alert: &ContainerAlert) -> bool {
    let moment = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    let started = container.state.as_ref().and_then(|state| moment(&state.started_at));
    // The engine notes the start when the first program runs already.
    matches!((moment(&alert.at), started), (Some(at), Some(started)) if at < started - START)
}

/// Whether what a container did is evidence for a subject. One that is not known may be any.
fn concerns(subject: &Subject, container: Option<&Container>) -> bool {
    let Some(container) = container else { return true };
    let is = |id: &Option<String>| id.as_ref().is_none_or(|id| *id == subject.id);
    match subject.kind {
        SubjectKind::Container => is(&container.id),
        SubjectKind::Image => is(&container.image_id),
        _ => true,
    }
}

fn line(container: &Container, alert: &ContainerAlert, subject: &Subject) -> String {
    let text = |value: &Option<String>| visible(value.as_deref().unwrap_or_default()).into_owned();
    let (at, rule, said) = (text(&alert.at), text(&alert.rule), text(&alert.text));
    let mut line = format!("{at} {rule}: {said}");
    let command = text(&alert.command);
    if !command.is_empty() && !said.contains(&command) {
        line.push_str(&format!(" (command: {command})"));
    }
    if let Some(count) = alert.count.filter(|count| *count > 1) {
        line.push_str(&format!(" (the last of {count})"));
    }
    if is_of_earlier(container, alert) {
        let started = container.state.as_ref().and_then(|state| state.started_at.clone());
        line.push_str(&format!(
            " (before it was started again at {})",
            started.unwrap_or_default()
        ));
    }
    if subject.kind == SubjectKind::Container {
        return line;
    }
    format!("container {}: {line}", text(&container.name))
}
