//! What is on record of a container that was watched, as facts: exec calls, alerts, and what may be missing.
//!
//! Exec calls count since it was started last; alerts and losses since it was made, because what was done to its files is
//! there until it is removed. What was seen is always a fact, also when the record has
//! holes; a gap says so wherever there may have been more, so that a violation fails and silence passes only if it was
//! listened to. Pure: the record comes from the caller.

use std::collections::BTreeMap;

use haechi_core::activity::{Activity, ExecCall, Watch};
use haechi_core::alert::Alert;
use haechi_core::facts::{Container, ContainerAlert, ContainerWatch, Exec, Gap};
use haechi_core::finding::{Cause, SubjectKind};
use jiff::{SignedDuration, Timestamp};

use crate::engine::activity::is_health_check;
use crate::redact;

/// A monitor writes about every 10 s until when it has watched; one that wrote so long ago is not there any more.
const REACH: SignedDuration = SignedDuration::from_secs(60);
/// The engine notes the start when the first program runs already; what that did belongs to the new life.
const START: SignedDuration = SignedDuration::from_secs(10);
/// Exec calls of one container that become facts; those that matter to checks come first.
const EXECS_MAX: usize = 1000;
/// Stretches of watching that become facts, and those that are told in one sentence: the last ones.
const WATCHES_MAX: usize = 100;
const STRETCHES_SHOWN: usize = 3;
/// Bytes of a text that are kept.
const TEXT_MAX: usize = 1024;

/// What is on record of a container since it was started.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The last stretch in which it was watched.
    pub watch: Option<Watch>,
    /// Those before, by time.
    pub earlier: Vec<Watch>,
    /// What was done to it through the engine.
    pub activity: Vec<Activity>,
    /// Whether there is more of it than was read.
    pub more_activity: bool,
    /// The newest alert of each rule, and how many there were.
    pub alerts: Vec<(u64, Alert)>,
}

/// The moments between which a container's present life lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It was never started: nothing can have happened in it.
    None,
    /// Since when, and until when if it ended.
    Since(Timestamp, Option<Timestamp>),
}

impl Life {
    /// The present life of a container. If its start is not known, all of the past counts.
    pub fn of(container: &Container) -> Self {
        let state = container.state.as_ref();
        let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        match state.map(|state| (&state.started_at, &state.finished_at)) {
            Some((Some(started), _)) if started.is_empty() => Self::None,
            Some((started, finished)) => {
                Self::Since(time(started).unwrap_or(Timestamp::UNIX_EPOCH), time(finished))
            }
            None => Self::Since(Timestamp::UNIX_EPOCH, None),
        }
    }

    /// From which moment on alerts belong to the container: since it was made.
    pub fn alerts_since(self, container: &Container) -> Option<Timestamp> {
        let Self::Since(started, _) = self else { return None };
        let made = container.created_at.as_ref().and_then(|text| text.parse().ok());
        Some(earlier(made.map_or(started, |made| started.min(made)), START))
    }
}

/// Completes a container with what is on record of it; why there may be more. `observed_min` is how long one that ran
/// before the monitor must be watched until nothing seen counts as nothing done.
pub fn fill(
    container: &mut Container,
    record: &Record,
    now: Timestamp,
    observed_min: SignedDuration,
) -> Vec<Gap> {
    let Life::Since(started, ended) = Life::of(container) else {
        container.execs = Some(Vec::new());
        container.alerts = Some(Vec::new());
        container.lost = Some(0);
        container.watches = Some(Vec::new());
        return Vec::new();
    };
    let id = container.id.clone().unwrap_or_default();
    let gap = |fact: &str, (cause, detail): (Cause, String)| Gap {
        kind: SubjectKind::Container,
        id: id.clone(),
        fact: fact.to_owned(),
        cause,
        detail,
    };
    let mut gaps = Vec::new();
    let made = Life::of(container).alerts_since(container).unwrap_or(started);
    let all = record.earlier.iter().chain(&record.watch).filter(|watch| watch.until >= made);
    let all: Vec<&Watch> = all.collect();
    // A stretch that ended before it was started says nothing about what was done to it since.
    let watch = all.last().copied().filter(|watch| watch.until >= earlier(started, START));

    let (execs, untold) = execs(&record.activity, started);
    if watch.is_some() || !execs.is_empty() {
        let missing = match watch {
            None => Some((Cause::NeedsMonitor, "no monitor watches it now".to_owned())),
            Some(watch) => unobserved(watch, started, ended.unwrap_or(now), observed_min),
        };
        let untold = (untold > 0).then(|| {
            let detail = format!("the engine did not tell the rights of {untold} exec calls");
            (Cause::NotObserved, detail)
        });
        let more = (record.more_activity || execs.len() > EXECS_MAX)
            .then(|| (Cause::NotObserved, "more exec calls than are read".to_owned()));
        gaps.extend(missing.or(untold).or(more).map(|why| gap("execs", why)));
        container.execs = Some(execs.into_iter().take(EXECS_MAX).collect());
    }
    if watch.is_some() || !record.alerts.is_empty() {
        container.alerts = Some(record.alerts.iter().map(alert).collect());
    }
    let lost = all.iter().fold(0_u64, |sum, watch| sum.saturating_add(watch.lost));
    if watch.is_some() || lost > 0 {
        container.lost = Some(i64::try_from(lost).unwrap_or(i64::MAX));
    }
    if lost > 0 {
        let detail = format!("{lost} events or alerts of it; {}", stretches(&all));
        gaps.push(gap("alerts", (Cause::EventsLost, detail)));
    }
    if !all.is_empty() {
        let first = all.len().saturating_sub(WATCHES_MAX);
        container.watches = Some(all.iter().skip(first).map(|watch| stretch(watch)).collect());
    }
    for gap in &mut gaps {
        if gap.fact == "execs" && !all.is_empty() {
            gap.detail = format!("{}; {}", gap.detail, stretches(&all));
        }
    }
    gaps
}

fn stretch(watch: &Watch) -> ContainerWatch {
    ContainerWatch {
        since: Some(watch.since.to_string()),
        until: Some(watch.until.to_string()),
        from_start: Some(watch.from_start),
        lost: Some(i64::try_from(watch.lost).unwrap_or(i64::MAX)),
    }
}

/// In which stretches it was watched, in words: the last ones.
fn stretches(all: &[&Watch]) -> String {
    let words = |watch: &&Watch| {
        let begin = if watch.from_start { " (its start)" } else { "" };
        format!("from {}{begin} until {}", watch.since, watch.until)
    };
    let more = all.len().saturating_sub(STRETCHES_SHOWN);
    let shown: Vec<String> = all.iter().skip(more).map(words).collect();
    let before = if more > 0 { format!("{more} times before, ") } else { String::new() };
    format!("watched {before}{}", shown.join(", "))
}

/// Why a stretch does not prove that nothing else was done through the engine.
fn unobserved(
    watch: &Watch,
    started: Timestamp,
    end: Timestamp,
    observed_min: SignedDuration,
) -> Option<(Cause, String)> {
    if watch.activity_missed {
        let detail = format!("some of what the engine did since {}", watch.since);
        return Some((Cause::EventsLost, detail));
    }
    if watch.until < earlier(end, REACH) {
        return Some((Cause::NotObserved, format!("a monitor watched it until {}", watch.until)));
    }
    let from_start = watch.from_start && earlier(watch.since, REACH) <= started;
    let observed = end.duration_since(watch.since);
    (!from_start && observed < observed_min).then(|| {
        let (hours, min) = (observed.as_hours().max(0), observed_min.as_hours());
        let detail = format!("{hours} of {min} hours, and not from its start");
        (Cause::NotObserved, detail)
    })
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// Each exec call once, those with more rights or as root first, then the newest; and of how many the engine
/// did not tell the rights. Runs of the container's own health check are left out.
fn execs(activity: &[Activity], started: Timestamp) -> (Vec<Exec>, usize) {
    let mut calls: BTreeMap<(&str, Timestamp), (&Activity, &ExecCall)> = BTreeMap::new();
    let mut first: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut all: Vec<&Activity> = activity.iter().filter(|one| one.at >= started).collect();
    all.sort_by_key(|one| one.at);
    for one in all {
        let Some(call) = &one.exec else { continue };
        // A call is created and then started: both tell of the same one. A creation always begins another.
        let at = match first.get(call.id.as_str()) {
            Some(at) if one.action != "exec_create" && !call.id.is_empty() => *at,
            _ => one.at,
        };
        first.insert(&call.id, at);
        let kept = calls.entry((&call.id, at)).or_insert((one, call));
        if kept.1.privileged.is_none() && call.privileged.is_some() {
            *kept = (one, call);
        }
    }
    let mut list: Vec<_> = calls
        .into_iter()
        .filter(|(_, (one, _))| !is_health_check(one))
        .map(|((_, at), (_, call))| (at, call))
        .collect();
    let matters = |call: &ExecCall| call.privileged != Some(false) || is_root(&call.user);
    list.sort_by_key(|(at, call)| (!matters(call), std::cmp::Reverse(*at)));
    let untold = list.iter().filter(|(_, call)| call.privileged.is_none()).count();
    let execs = list.into_iter().map(|(at, call)| Exec {
        at: Some(at.to_string()),
        command: Some(call.command.clone()),
        user: call.privileged.map(|_| call.user.clone()),
        privileged: call.privileged,
    });
    (execs.collect(), untold)
}

/// Whether a user as given to an exec call is root. An engine reads `+0` as a number, too.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    name == "root" || (!digits.is_empty() && digits.bytes().all(|byte| byte == b'0'))
}

fn alert((count, alert): &(u64, Alert)) -> ContainerAlert {
    let shown = |text: &str| {
        let mut text = redact::text(text);
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        Some(text)
    };
    ContainerAlert {
        at: Some(alert.at.to_string()),
        rule: Some(alert.rule.clone()),
        priority: Some(alert.priority.name().to_owned()),
        text: shown(&alert.text),
        command: shown(&alert.command),
        checks: Some(alert.checks.clone()),
        count: Some(i64::try_from(*count).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests;
