//! Keeps what is learned, takes it for what a workload does once it is settled, and tells what is new from then on.
//!
//! Promises that one novelty is one alert, whatever rules say, in however many containers and runs it is seen. An alert that
//! was not told because the monitor was killed between is not told again: `haechi profile news` has it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use haechi_core::Lang;
use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Priority};
use haechi_core::event::{Action as Did, Call, Event, Origin, Process};
use haechi_core::policy::MonitorPolicy;
use haechi_core::profile::{Entry, Gap, Kind, Profile, Run};
use haechi_profile::blind;
use haechi_profile::coverage::{Coverage, Rule};
use haechi_profile::news::{self, New};
use haechi_profile::texts;
use haechi_store::{Learned, ProfileId, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc as queue;

use super::writer::Keep;
use crate::Clock;
use crate::judge::Counts;
use crate::learn::{Exec, Lesson};
use crate::redact::redacted;
use crate::throttle::Throttle;

/// Name under which it is told.
const RULE: &str = "Something new in a settled profile";
/// How often it is looked whether a profile is settled. It is told once a minute that a container goes on: that is never missed.
const LOOK: SignedDuration = SignedDuration::from_secs(50);
/// It is worth a word that nothing new had come for so long.
const QUIET: SignedDuration = SignedDuration::from_mins(10);
/// What comes so long after a command that was run through the engine is told with it: sets are read every few seconds.
const AFTER_EXEC: SignedDuration = SignedDuration::from_secs(10);

/// Seconds without anything new that are asked for: the policy may change.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet(Arc<AtomicU64>);

impl Quiet {
    pub fn use_policy(&self, policy: &MonitorPolicy) {
        let hours = u64::try_from(policy.observed_hours_min).unwrap_or_default();
        self.0.store(hours.saturating_mul(3600), Ordering::Relaxed);
    }
}

/// What is kept, and what of it is news.
pub(super) struct Keeper {
    store: Store,
    quiet: Quiet,
    clock: Clock,
    counts: Arc<Counts>,
    throttle: Throttle,
    /// What could not be kept yet.
    waiting: Vec<Lesson>,
    /// When it was looked last whether a profile is settled.
    looked: HashMap<ProfileId, Timestamp>,
    /// Of which containers it was told that what is new cannot be told any more, and why.
    blind: HashSet<(String, Gap)>,
}

impl Keeper {
    pub fn new(store: Store, quiet: Quiet, clock: Clock, counts: Arc<Counts>) -> Self {
        Self {
            store,
            quiet,
            clock,
            counts,
            throttle: Throttle::default(),
            waiting: Vec::new(),
            looked: HashMap::new(),
            blind: HashSet::new(),
        }
    }

    /// Keeps what comes until nobody sends any more; what cannot be kept is tried again with the next.
    pub async fn keep(
        mut self,
        mut coming: queue::UnboundedReceiver<Vec<Lesson>>,
        keep: queue::Sender<Keep>,
    ) {
        while let Some(lessons) = coming.recv().await {
            for alert in self.take(lessons, Timestamp::now()).await {
                let _ = keep.send(Keep::Alert(Box::new(alert), None)).await;
            }
        }
    }

    /// Keeps what was learned; what of it is to be told.
    async fn take(&mut self, lessons: Vec<Lesson>, now: Timestamp) -> Vec<Alert> {
        self.waiting.extend(lessons);
        let learned: Vec<Learned> = self.waiting.iter().map(|one| one.learned.clone()).collect();
        let kept = match self.store.learn(&learned).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!("profiles could not be kept yet: {error}");
                return Vec::new();
            }
        };
        let lessons = std::mem::take(&mut self.waiting);
        let (mut alerts, mut new) =
            (Vec::new(), BTreeMap::<ProfileId, (Vec<Entry>, Vec<Exec>)>::new());
        for (lesson, kept) in lessons.into_iter().zip(kept) {
            let is_settled = kept.baseline_at.is_some_and(|at| lesson.learned.run.until > at);
            if is_settled {
                match self.blind(kept.profile, &lesson.learned).await {
                    Ok(found) => alerts.extend(found),
                    Err(error) => {
                        tracing::error!("what was told before could not be read: {error}")
                    }
                }
            }
            let is_settled = kept.baseline_at.is_some();
            if is_settled || kept.predecessor.is_some() {
                // Of a new build of a known workload, what that does not explain.
                let told =
                    kept.new.into_iter().filter(|one| is_settled || news::is_unexplained(one));
                let (entries, execs) = new.entry(kept.profile).or_default();
                entries.extend(told);
                execs.extend(lesson.execs.iter().cloned());
            }
            if !is_settled && let Err(error) = self.settle(&lesson, kept.profile, now).await {
                tracing::error!("a profile could not be looked at: {error}");
            }
        }
        for (id, (new, execs)) in new {
            match self.news(id, &new, &execs).await {
                Ok(found) => alerts.extend(found),
                Err(error) => tracing::error!(
                    "what is new in a profile could not be told (haechi profile news {}): {error}",
                    id.0
                ),
            }
        }
        alerts
    }

    /// Takes what is known of a workload for what it does, if that is enough.
    async fn settle(
        &mut self,
        lesson: &Lesson,
        id: ProfileId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.looked.get(&id).is_some_and(|at| now.duration_since(*at).abs() < LOOK) {
            return Ok(());
        }
        self.looked.insert(id, now);
        let profile = self.store.profile(id).await?;
        let quiet_min = self.quiet.0.load(Ordering::Relaxed);
        let rule = Rule { quiet_min, has_health_check: lesson.has_health_check };
        if profile.baseline_at.is_none() && Coverage::of(&profile, &rule).is_settled() {
            self.store.set_baseline(id, now).await?;
            self.looked.remove(&id);
            tracing::info!("{} is settled: what is new is told", profile.image_name);
        }
        Ok(())
    }

    /// That what is new in a settled container cannot be told any more: once for each reason, also if the monitor was away
    /// between. Whoever wants to stay unseen may have seen to it.
    async fn blind(&mut self, id: ProfileId, learned: &Learned) -> Result<Vec<Alert>, StoreError> {
        let Learned { run, image_name, .. } = learned;
        let gaps = run.gaps.iter().copied().filter(|gap| blind::hides_news(*gap));
        let is_untold = |gap: &Gap| !self.blind.contains(&(run.container.clone(), *gap));
        let mut first: Vec<Gap> = gaps.filter(is_untold).collect();
        if first.is_empty() {
            return Ok(Vec::new());
        }
        // What an earlier stretch of it had since the baseline was told then.
        let profile = self.store.profile(id).await?;
        let earlier = profile.runs.iter().filter(|one| {
            one.container == run.container
                && one.since != run.since
                && profile.baseline_at.is_some_and(|at| one.until > at)
        });
        let told: HashSet<Gap> = earlier.flat_map(|one| one.gaps.iter().copied()).collect();
        self.blind.extend(first.iter().map(|gap| (run.container.clone(), *gap)));
        first.retain(|gap| !told.contains(gap));
        let alert = |gap| {
            self.counts.alerts.fetch_add(1, Ordering::Relaxed);
            let said = blind::told(gap, &run.name);
            let what = texts::key(&gap);
            let entry = Entry {
                kind: Kind::Call,
                value: what.clone(),
                first_at: run.until,
                container: run.container.clone(),
                origin: String::new(),
                program: String::new(),
            };
            let tags = vec!["profile".into(), "blind".into(), what];
            let text = said.get(Lang::En).to_owned();
            let event = event(&entry, Did::Call(Call::default()), self.clock);
            of(&entry, Priority::Error, text, tags, &run.name, image_name, event)
        };
        Ok(first.into_iter().map(alert).collect())
    }

    /// What of these is new against a profile, which has them already.
    async fn news(
        &mut self,
        id: ProfileId,
        new: &[Entry],
        execs: &[Exec],
    ) -> Result<Vec<Alert>, StoreError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let profile = self.store.profile(id).await?;
        let key = |entry: &Entry| (entry.kind, entry.value.clone(), entry.origin.clone());
        let keys: HashSet<_> = new.iter().map(key).collect();
        let is_before = |entry: &&Entry| !keys.contains(&key(entry));
        let before = profile.entries.iter().filter(is_before);
        let found = match profile.baseline_at {
            Some(_) => news::found(profile.known(), profile.later()),
            None => news::found(before.chain(&profile.carried), new),
        };
        // Another file in a known folder is nothing new.
        let told = found.iter().map(|one| one.entry).filter(is_before);
        let last = profile.known().filter(is_before).chain(told);
        let quiet_since = last.map(|entry| entry.first_at).max();
        let mut alerts = Vec::new();
        for one in found.iter().filter(|one| !is_before(&one.entry)) {
            let entry = one.entry;
            let Some(alert) = alert(one, &profile, quiet_since, execs, self.clock) else {
                continue;
            };
            self.counts.alerts.fetch_add(1, Ordering::Relaxed);
            // What may be made up at will, as names of files, must not drown a program that was never there.
            let key = format!("{RULE} ({})", entry.kind.name());
            if self.throttle.passes(&key, &entry.container, Instant::now()) {
                alerts.push(redacted(alert));
            } else {
                self.counts.suppressed.fetch_add(1, Ordering::Relaxed);
                self.counts.unkept.add(&entry.container);
            }
        }
        Ok(alerts)
    }
}

/// A novelty as an alert, if it is urgent enough for one.
fn alert(
    new: &New<'_>,
    profile: &Profile,
    quiet_since: Option<Timestamp>,
    execs: &[Exec],
    clock: Clock,
) -> Option<Alert> {
    let (priority, entry) = (new.priority()?, new.entry);
    let of_it = |run: &&Run| run.container == entry.container;
    let run = profile.runs.iter().rev().find(of_it);
    let name = run.map(|run| run.name.clone()).unwrap_or_default();
    // What is learned of a new build is no quiet time.
    let update = profile.predecessor.as_ref().filter(|_| profile.baseline_at.is_none());
    let is_quiet = |at: &Timestamp| update.is_none() && entry.first_at.duration_since(*at) >= QUIET;
    let mut said = new.say(quiet_since.filter(is_quiet), Lang::En);
    if let Some(before) = update {
        let image = if before.image_name.is_empty() { &before.image } else { &before.image_name };
        said = format!("{said}; {}", texts::say(Lang::En, "news-updated", &[("image", image)]));
    }
    // That it came then does not say that it came from there.
    let since_exec = |exec: &&Exec| {
        let passed = entry.first_at.duration_since(exec.at);
        !passed.is_negative() && passed <= AFTER_EXEC
    };
    if let Some(exec) = execs.iter().rev().find(since_exec) {
        let command = [("command", exec.command.as_str())];
        said = format!("{said}; {}", texts::say(Lang::En, "news-exec", &command));
    }
    // Only what is known: neither the process nor its call is kept with a profile.
    let action = match entry.kind {
        Kind::Executed => Did::Exec(Box::new(haechi_core::event::Exec {
            path: entry.value.clone(),
            origin: origin(&entry.origin),
            ..haechi_core::event::Exec::default()
        })),
        _ => Did::Call(Call { text: entry.value.clone(), ..Call::default() }),
    };
    let call = match entry.kind {
        Kind::Call => entry.value.clone(),
        _ => String::new(),
    };
    let event = Event { call, ..event(entry, action, clock) };
    let tags = vec!["profile".into(), entry.kind.name().into()];
    Some(of(entry, priority, said, tags, &name, &profile.image_name, event))
}

/// An event of which neither the process nor its call is known.
fn event(entry: &Entry, action: Did, clock: Clock) -> Event {
    let since_start = entry.first_at.duration_since(clock.started).as_nanos();
    Event {
        at: u64::try_from(since_start).unwrap_or_default(),
        cgroup: 0,
        process: Process::default(),
        call: String::new(),
        result: 0,
        action,
    }
}

/// An alert about what a container with this name did.
fn of(
    entry: &Entry,
    priority: Priority,
    said: String,
    tags: Vec<String>,
    name: &str,
    image: &str,
    event: Event,
) -> Alert {
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: entry.first_at,
        rule: RULE.into(),
        priority,
        text: format!("{said} (container={})", haechi_core::text::visible(name)),
        tags,
        checks: Vec::new(),
        container: AlertContainer {
            id: entry.container.clone(),
            name: name.into(),
            image: image.into(),
            ..AlertContainer::default()
        },
        program: entry.program.clone(),
        command: String::new(),
        ancestors: Vec::new(),
        event,
    }
}

fn origin(name: &str) -> Origin {
    match name {
        "image" => Origin::Image,
        "changed" | "replaced" => Origin::Changed,
        "mounted" => Origin::Mounted,
        "memory" => Origin::Memory,
        _ => Origin::Unknown,
    }
}

#[cfg(test)]
mod tests;
