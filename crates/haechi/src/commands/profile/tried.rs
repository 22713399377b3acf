//! `haechi profile try`: what the least privilege would refuse, found without giving it to the container that is used.
//!
//! Promises that nothing is called clean of which no source told: each says what it saw, and what it could not see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haechi_core::Lang;
use haechi_core::profile::{Entry, Kind, Profile};
use haechi_core::text::visible;
use haechi_exchange::carry::{Outcome, back, carry};
use haechi_exchange::heard::{Heard, Listener};
use haechi_exchange::plan::Past;
use haechi_exchange::rights::Rights;
use haechi_exchange::trial::{self, Difference, How, Part, Trial};
use haechi_exchange::watch::Fate;
use haechi_profile::calls::docker;
use haechi_profile::texts;
use serde_json::{Value, json};

use super::apply::Log;
use super::beyond::{self, Beyond};
use super::subject::{Subject, said};
use super::{apply, note};
use crate::args::ProfileTry;
use crate::setting::Setting;
use crate::{exit, output};

/// How long it is waited for what the monitor keeps.
pub(super) const KEPT: Duration = Duration::from_secs(7);
/// A trial that finds which kind of rights was missing is watched so much longer than the one that failed.
const LONGER: Duration = Duration::from_secs(3);
/// Lines that only the one with the least privilege said, of which so many are shown.
const DIFFERENCES: usize = 10;

pub(super) async fn run(args: &ProfileTry, setting: &Setting) -> anyhow::Result<u8> {
    let subject = Subject::of(&args.of, setting).await?;
    super::notes(setting, &subject.unsettled);
    super::notes(setting, &super::amid::lines(&subject.known, setting).await?);
    super::notes(setting, &super::lacking(&subject.known.profile, setting.lang));
    let time = Duration::from_secs(args.seconds);
    if args.watch {
        return watched(&subject, setting).await;
    }
    if args.restart {
        return restarted(args, &subject, time, setting).await;
    }
    let book = subject.book();
    let swept = book.sweep(&subject.engine, subject.id()).await?;
    if swept > 0 {
        note(setting, "try-swept", &[("count", &swept.to_string())]);
    }
    let (store, detail) = (subject.store.clone(), json!({"for": args.seconds, "beside": true}));
    let log = Log::begin(store, "TryProfile", subject.name(), detail, setting).await?;
    let done = tokio::select! {
        done = beside(&subject, time, setting) => done,
        () = apply::interrupted() => Err(said(setting, "try-interrupted", &[])),
    };
    log.end(if done.is_ok() { "done" } else { "failed" }).await;
    if done.is_err() {
        book.sweep(&subject.engine, subject.id()).await?;
    }
    done
}

/// What the monitor saw of the container that is used.
async fn watched(subject: &Subject, setting: &Setting) -> anyhow::Result<u8> {
    let profile = stored(subject).await?;
    let found = Beyond::of(&subject.known, &profile, None);
    let watched = profile.runs.iter().any(|run| run.container == subject.id());
    let lines = found.lines(setting.lang);
    output::stdout(|out| {
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        Ok(())
    })?;
    if !watched {
        return Err(said(setting, "try-not-watched", &[("name", subject.name())]));
    }
    if lines.is_empty() {
        note(setting, "try-watch-clean", &[]);
    }
    Ok(if lines.is_empty() { exit::CLEAN } else { exit::FINDINGS })
}

/// The profile as it is on record now.
async fn stored(subject: &Subject) -> anyhow::Result<Profile> {
    let workload = &subject.known.profile.workload;
    let all = subject.store.workloads().await.map_err(super::store_failure)?;
    match all.iter().find(|(_, profile)| profile.workload == *workload) {
        Some((id, _)) => Ok(subject.store.profile(*id).await.map_err(super::store_failure)?),
        None => Ok(Profile::default()),
    }
}

async fn beside(subject: &Subject, time: Duration, setting: &Setting) -> anyhow::Result<u8> {
    let least = Rights::least(&subject.known.least);
    let open = Rights::logging(&subject.known.least.calls, &subject.known.today);
    let (plan, control) = (subject.beside(&least, setting)?, subject.beside(&open, setting)?);
    let seconds = texts::duration(setting.lang, time.as_secs());
    note(setting, "try-began", &[("name", subject.name()), ("time", &seconds)]);
    let (book, ran_before) = (subject.book(), subject.ran());
    let names = ["try", "log"].map(|end| format!("{}-{end}-haechi", subject.name()));
    let [tried, logged] = &names;
    let how = |name| How { name, ran_before, time, stops: true };
    let known = Arc::new(OnceLock::new());
    let (trial, control) = tokio::join!(
        trial::run(&subject.engine, &book, &plan, how(tried), &known),
        trial::listened(&subject.engine, &book, &control, how(logged), &known),
    );
    let (trial, (control, heard)) = (trial?, control?);
    let mut lines = vec![apply::line(setting.lang, "try-with", &trial.fate)];
    lines.extend(apply::log(setting.lang, &trial.log));
    lines.push(apply::line(setting.lang, "try-without", &control.fate));
    if !control.fate.is_well() {
        lines.extend(apply::log(setting.lang, &control.log));
    }
    let is_comparable = control.fate.is_well();
    if !trial.fate.is_well() && is_comparable {
        lines.extend(why(subject, &trial, setting).await);
    }
    let difference = Difference::of(&trial, &control);
    lines.extend(differs(&difference, &trial, &control, setting.lang));
    let (recorded, calls) = recorded(setting.lang, &heard);
    lines.extend(recorded);
    let (told, monitor) = told(subject, &[&trial.id, &control.id], setting.lang).await?;
    lines.extend(told);
    lines.extend(apply::kept(setting.lang, &least));
    output::stdout(|out| Ok(lines.iter().try_for_each(|line| writeln!(out, "{line}"))?))?;
    if !is_comparable && !trial.fate.is_well() {
        note(setting, "try-says-nothing", &[]);
        return Ok(exit::COULD_NOT_VERIFY);
    }
    let spares_volumes = writes_elsewhere(&subject.inspected);
    let told = Told { lives: trial.fate.is_well(), calls, monitor, difference, spares_volumes };
    Ok(told.say(setting))
}

/// Whether a container may write to a folder or volume of which a copy gets no more than to read.
fn writes_elsewhere(inspected: &Value) -> bool {
    let mounts = inspected.pointer("/Mounts").and_then(Value::as_array);
    let is = |mount: &Value, key: &str, what: Value| mount.get(key) == Some(&what);
    mounts
        .into_iter()
        .flatten()
        .any(|mount| !is(mount, "RW", json!(false)) && !is(mount, "Type", json!("tmpfs")))
}

/// How the two differ in what they said and how they ended.
fn differs(found: &Difference, least: &Trial, today: &Trial, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    if least.stopped != today.stopped && least.fate.is_well() && today.fate.is_well() {
        let code =
            |one: &Trial| one.stopped.map_or_else(|| "?".to_owned(), |code| code.to_string());
        let values = [("least", &*code(least)), ("today", &*code(today))];
        lines.push(texts::say(lang, "try-stop", &values));
    }
    if !found.lines.is_empty() && least.fate.is_well() {
        lines.push(texts::say(lang, "try-differs", &[]));
        let some = found.lines.iter().take(DIFFERENCES);
        lines.extend(some.map(|line| visible(&format!("  {line}")).into_owned()));
    }
    lines
}

/// What each source told.
struct Told {
    /// Whether the one with the least privilege lived.
    lives: bool,
    /// Whether calls beyond the profile were recorded, if records came through.
    calls: Option<bool>,
    /// Whether anything beyond it was seen by the monitor, if that watched without a gap.
    monitor: Option<bool>,
    /// How the two differed.
    difference: Difference,
    /// Whether there are folders that it could only read, and that are written otherwise.
    spares_volumes: bool,
}

impl Told {
    /// What is the last word: something was refused, nothing, or nobody could tell. It is nothing only if every kind of rights was
    /// heard, and both said the same and ended alike: a failure that no source knows shows there.
    fn verdict(&self) -> u8 {
        let found = [self.calls, self.monitor].contains(&Some(true));
        let differs = self.difference.is_refused || self.difference.is_other_end;
        match self.unheard().is_empty() {
            _ if !self.lives || found || differs => exit::FINDINGS,
            true => exit::CLEAN,
            false => exit::COULD_NOT_VERIFY,
        }
    }

    /// What is not known, by the keys of the texts.
    fn unheard(&self) -> Vec<&'static str> {
        // The monitor sees calls as well; of the rest the audit records know nothing.
        let calls = self.calls.or(self.monitor).is_none();
        let unheard = [
            (calls, "unheard-calls"),
            (self.monitor.is_none(), "unheard-rights"),
            (!self.difference.lines.is_empty(), "unheard-output"),
            (self.spares_volumes, "unheard-volumes"),
        ];
        unheard.into_iter().filter(|(is, _)| *is).map(|(_, key)| key).collect()
    }

    fn say(&self, setting: &Setting) -> u8 {
        let verdict = self.verdict();
        let unheard = self.unheard();
        let unheard: Vec<String> =
            unheard.iter().map(|key| texts::say(setting.lang, key, &[])).collect();
        match verdict {
            exit::FINDINGS => note(setting, "try-refused", &[]),
            exit::CLEAN => note(setting, "try-clean", &[]),
            _ => note(setting, "try-unknown", &[("what", &unheard.join(", "))]),
        }
        verdict
    }
}

/// Which kind of rights it is that a container did not live without.
pub(super) async fn why(subject: &Subject, failed: &Trial, setting: &Setting) -> Vec<String> {
    let known = &subject.known;
    let least = Rights::least(&known.least);
    let open = Rights::logging(&known.least.calls, &known.today);
    let time = failed.lived.saturating_add(LONGER);
    let mut lines = Vec::new();
    for part in Part::ALL {
        let Some(rights) = part.alone(&least, &open) else { continue };
        let Ok(plan) = subject.beside(&rights, setting) else { continue };
        let name = format!("{}-part-haechi", subject.name());
        let once = OnceLock::new();
        let how = How { name: &name, ran_before: subject.ran(), time, stops: false };
        let trial = trial::run(&subject.engine, &subject.book(), &plan, how, &once).await;
        if let Ok(trial) = trial
            && !trial.fate.is_well()
        {
            let what = texts::say(setting.lang, part.key(), &[]);
            lines.push(texts::say(setting.lang, "try-part", &[("what", &what)]));
        }
    }
    if lines.is_empty() {
        lines.push(texts::say(setting.lang, "try-no-part", &[]));
    }
    lines
}

/// What the kernel recorded, in lines; whether there is something, if that is known.
pub(super) fn recorded(lang: Lang, heard: &Result<Heard, String>) -> (Vec<String>, Option<bool>) {
    match heard {
        Err(why) => (vec![texts::say(lang, "heard-not", &[("why", why)])], None),
        Ok(heard) if heard.calls.is_empty() && (heard.lost || !heard.is_proven) => {
            let why =
                texts::say(lang, if heard.lost { "heard-lost" } else { "heard-nothing" }, &[]);
            (vec![texts::say(lang, "heard-not", &[("why", &why)])], None)
        }
        Ok(heard) if heard.calls.is_empty() => {
            (vec![texts::say(lang, "heard-clean", &[])], Some(false))
        }
        Ok(heard) => {
            let mut lines = vec![texts::say(lang, "heard-calls", &[])];
            lines.extend(calls(&heard.calls));
            if heard.lost {
                lines.push(texts::say(lang, "heard-part", &[]));
            }
            (lines, Some(true))
        }
    }
}

/// System calls with the programs that made them, in lines.
pub(super) fn calls(heard: &BTreeMap<String, BTreeSet<String>>) -> impl Iterator<Item = String> {
    heard.iter().map(|(call, programs)| {
        let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
        visible(&format!("  {call}  {}", programs.join(" "))).into_owned()
    })
}

/// What the monitor saw of containers that were tried, in lines; whether there is something, if it watched.
pub(super) async fn told(
    subject: &Subject,
    ids: &[&str],
    lang: Lang,
) -> anyhow::Result<(Vec<String>, Option<bool>)> {
    let is_theirs = |one: &str| ids.contains(&one);
    // Whoever keeps it does so by and by; without a monitor of the one that is used there is nobody to wait for.
    let before = stored(subject).await?;
    let is_watching = before.runs.iter().any(|run| {
        let since = jiff::Timestamp::now().duration_since(run.until);
        since < jiff::SignedDuration::from_mins(3)
    });
    if is_watching {
        tokio::time::sleep(KEPT).await;
    }
    let profile = stored(subject).await?;
    let was_seen = |id: &&str| profile.runs.iter().any(|run| run.container == **id);
    if !ids.iter().any(was_seen) {
        return Ok((vec![texts::say(lang, "told-not", &[])], None));
    }
    let mut runs = profile.runs.iter().filter(|run| is_theirs(&run.container));
    let is_whole = ids.iter().all(was_seen) && runs.all(|run| run.gaps.is_empty());
    let found = Beyond::of(&subject.known, &profile, Some(&is_theirs));
    // Something is on record of whoever used it first: of what others used, nobody can tell whether these did.
    let is_others = |one: &str| !is_theirs(one);
    let of_trial = |entry: &&Entry| profile.trials.contains(&entry.container);
    let later = profile.later().chain(profile.learned().filter(of_trial));
    let later = Profile { entries: later.cloned().collect(), ..Profile::default() };
    let mut others = Beyond::of(&subject.known, &later, Some(&is_others)).lines(lang);
    others.extend(refused(subject, &later, &is_others, lang));
    let mut lines = found.lines(lang);
    lines.extend(refused(subject, &profile, &is_theirs, lang));
    let is_found = !lines.is_empty();
    if is_found {
        lines.insert(0, texts::say(lang, "told-beyond", &[]));
    }
    let is_clear = others.is_empty();
    if !is_clear {
        lines.push(texts::say(lang, "told-others", &[]));
        lines.append(&mut others);
    }
    if lines.is_empty() {
        lines.push(texts::say(lang, if is_whole { "told-clean" } else { "told-part" }, &[]));
    }
    let known = is_found.then_some(true).or((is_whole && is_clear).then_some(false));
    Ok((lines, known))
}

/// What was refused to these, and is not today, in lines.
fn refused(
    subject: &Subject,
    profile: &Profile,
    is_meant: beyond::IsMeant<'_>,
    lang: Lang,
) -> Vec<String> {
    let (least, today) = (&subject.known.least, &subject.known.today);
    // What is not given today either was refused before.
    let given = (today.seccomp.as_deref() == Some("default"))
        .then(|| docker(today.capabilities.iter().flatten().map(String::as_str)));
    let is_given = |call: &str| given.as_ref().is_none_or(|given| given.contains(call));
    let theirs = profile.entries.iter().filter(|entry| is_meant(&entry.container));
    theirs
        .filter(|entry| match entry.kind {
            Kind::RefusedCall => {
                !least.calls.allowed.contains(&entry.value) && is_given(&entry.value)
            }
            Kind::RefusedCapability => {
                today.capabilities.as_ref().is_none_or(|held| held.contains(&entry.value))
            }
            _ => false,
        })
        .map(|entry| beyond::line(entry, lang))
        .collect()
}

async fn restarted(
    args: &ProfileTry,
    subject: &Subject,
    time: Duration,
    setting: &Setting,
) -> anyhow::Result<u8> {
    let open = Rights::logging(&subject.known.least.calls, &subject.known.today);
    let plan = subject.instead(&open, false, setting)?;
    subject.check(&plan, setting).await?;
    if !plan.past.running {
        return Err(said(setting, "try-not-running", &[("name", subject.name())]));
    }
    if !args.yes {
        let changed = apply::changed(subject, setting.lang).await?;
        output::stdout(|out| Ok(changed.iter().try_for_each(|line| writeln!(out, "{line}"))?))?;
        note(setting, "try-restart-would", &[("name", subject.name())]);
        return Ok(exit::COULD_NOT_VERIFY);
    }
    let (store, detail) = (subject.store.clone(), json!({"for": args.seconds}));
    let log = Log::begin(store, "TryProfile", subject.name(), detail, setting).await?;
    let known = Arc::new(OnceLock::new());
    let listener = match subject.engine.is_local() {
        true => Listener::begin(vec![Arc::clone(&known)]).map_err(|error| error.to_string()),
        false => Err(texts::say(setting.lang, "heard-elsewhere", &[])),
    };
    let (engine, book) = (&subject.engine, subject.book());
    let outcome =
        carry(engine, &book, &plan, subject.ran(), time, &known, apply::interrupted()).await;
    // Its stop is listened to as well.
    let back = match outcome {
        Outcome::Kept(made, fate) => Ok(back(engine, &book, &made, Some(fate), time).await),
        Outcome::Back(back) => Ok(back),
        Outcome::Failed(failed) => Err(failed),
    };
    let heard = match listener {
        Ok(listener) => Ok(listener.end().await),
        Err(why) => Err(why),
    };
    let back = match back {
        Ok(back) => back,
        Err(failed) => {
            log.end("failed").await;
            return Err(apply::failed(&failed, &plan.past, setting));
        }
    };
    log.end(if back.left.is_none() { "done" } else { "failed" }).await;
    if let Some(left) = &back.left {
        return Err(apply::not_back(&plan.past, left, setting));
    }
    let fate = back.fate.clone().unwrap_or(Fate::Lives { health: None });
    let mut lines = vec![apply::line(setting.lang, "try-without", &fate)];
    if !fate.is_well() {
        lines.extend(apply::log(setting.lang, &back.log));
    }
    let (recorded, calls) = recorded(setting.lang, &heard);
    lines.extend(recorded);
    let (told, monitor) = told(subject, &[&back.id], setting.lang).await?;
    lines.extend(told);
    let Past { name, .. } = &plan.past;
    output::stdout(|out| Ok(lines.iter().try_for_each(|line| writeln!(out, "{line}"))?))?;
    note(setting, "try-back", &[("name", name)]);
    if !fate.is_well() {
        note(setting, "try-says-nothing", &[]);
        return Ok(exit::COULD_NOT_VERIFY);
    }
    let difference = Difference::default();
    let told = Told { lives: true, calls, monitor, difference, spares_volumes: false };
    Ok(told.say(setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(calls: Option<bool>, monitor: Option<bool>) -> Told {
        let difference = Difference::default();
        Told { lives: true, calls, monitor, difference, spares_volumes: false }
    }

    #[test]
    fn nothing_is_said_to_be_refused_only_if_every_source_was_heard() {
        assert_eq!(told(Some(false), Some(false)).verdict(), exit::CLEAN);
        assert_eq!(told(None, Some(false)).verdict(), exit::CLEAN, "the monitor sees calls too");
        let deaf = told(Some(false), None);
        assert_eq!(deaf.verdict(), exit::COULD_NOT_VERIFY);
        assert_eq!(deaf.unheard(), ["unheard-rights"]);
        assert_eq!(told(None, None).unheard(), ["unheard-calls", "unheard-rights"]);
        for (calls, monitor) in [(Some(true), None), (None, Some(true)), (Some(true), Some(false))]
        {
            assert_eq!(told(calls, monitor).verdict(), exit::FINDINGS);
        }
    }

    #[test]
    fn what_is_written_to_volumes_is_not_tried_beside_and_so_not_clean() {
        let spared = Told { spares_volumes: true, ..told(Some(false), Some(false)) };
        assert_eq!(spared.verdict(), exit::COULD_NOT_VERIFY);
        assert_eq!(spared.unheard(), ["unheard-volumes"]);
        let mounts = |mount: Value| writes_elsewhere(&json!({"Mounts": [mount]}));
        assert!(mounts(json!({"Type": "volume", "RW": true})));
        assert!(mounts(json!({"Type": "bind"})));
        assert!(!mounts(json!({"Type": "bind", "RW": false})));
        assert!(!mounts(json!({"Type": "tmpfs", "RW": true})));
        assert!(!writes_elsewhere(&json!({})));
    }

    #[test]
    fn what_only_the_least_copy_says_is_never_passed_over() {
        let mut differs = told(Some(false), Some(false));
        differs.difference.lines = vec!["worker gave up".into()];
        assert_eq!(differs.verdict(), exit::COULD_NOT_VERIFY);
        assert_eq!(differs.unheard(), ["unheard-output"]);
        differs.difference.is_refused = true;
        assert_eq!(differs.verdict(), exit::FINDINGS);
        let mut ends = told(Some(false), Some(false));
        ends.difference.is_other_end = true;
        assert_eq!(ends.verdict(), exit::FINDINGS);
    }
}
