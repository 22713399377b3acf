//! `haechi profile apply` and `rollback`: a container is made again with the least privilege, and put back if that was too little.
//!
//! Nothing is done without `--yes`. Each exchange is on record in the audit log before it is made.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haechi_core::Lang;
use haechi_core::text::visible;
use haechi_desk::AuditLog;
use haechi_exchange::book::Book;
use haechi_exchange::carry::{Back, Outcome, carry};
use haechi_exchange::heard::Listener;
use haechi_exchange::plan::Past;
use haechi_exchange::rights::Rights;
use haechi_exchange::swap::{self, Failed, Trouble};
use haechi_exchange::trial::{self, How, Trial};
use haechi_exchange::watch::Fate;
use haechi_facts::engine::api::ApiError;
use haechi_profile::texts;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::subject::{Subject, connect, knows_stop, said};
use super::{note, pending, tried};
use crate::args::ProfileApply;
use crate::commands::audit::user;
use crate::commands::store_failure;
use crate::setting::Setting;
use crate::{exit, output};

/// Last lines of a container's log that are shown.
const LINES: usize = 10;

pub(super) async fn run(args: &ProfileApply, setting: &Setting) -> anyhow::Result<u8> {
    let subject = Subject::of(&args.of, setting).await?;
    super::notes(setting, &subject.unsettled);
    super::notes(setting, &super::amid::lines(&subject.known, setting).await?);
    super::notes(setting, &super::lacking(&subject.known.profile, setting.lang));
    if !args.of.unsettled && !knows_stop(&subject.known.profile) {
        return Err(said(setting, "apply-no-stop", &[("name", subject.name())]));
    }
    let rights = Rights::least(&subject.known.least);
    let plan = subject.instead(&rights, args.force, setting)?;
    subject.check(&plan, setting).await?;
    if !args.yes {
        show(&subject, &rights, setting).await?;
        let values = [("name", &*plan.past.name), ("old", &*plan.past.old_name())];
        note(setting, if args.next_start { "apply-would-next" } else { "apply-would" }, &values);
        return Ok(exit::COULD_NOT_VERIFY);
    }
    if args.next_start {
        return pending::ask(&subject, rights, args, setting).await;
    }
    let told = json!({"for": args.seconds, "settled": subject.unsettled.is_empty()});
    let store = subject.store.clone();
    let log = Log::begin(store, "ApplyProfile", subject.name(), told, setting).await?;
    let time = Duration::from_secs(args.seconds);
    let known = Arc::new(OnceLock::new());
    let ears = subject.engine.is_local().then(|| Listener::begin(vec![Arc::clone(&known)]).ok());
    let seconds = texts::duration(setting.lang, args.seconds);
    if plan.past.running {
        note(setting, "apply-began", &[("name", &plan.past.name), ("time", &seconds)]);
    }
    let outcome =
        carry(&subject.engine, &subject.book(), &plan, subject.ran(), time, &known, interrupted())
            .await;
    let killed = match ears.flatten() {
        Some(listener) => listener.end().await.calls,
        None => BTreeMap::new(),
    };
    match outcome {
        Outcome::Kept(_, fate) => {
            log.end("done").await;
            let values = [("name", &*plan.past.name), ("old", &*plan.past.old_name())];
            let mut lines = vec![line(setting.lang, "apply-fate", &fate)];
            lines.extend(kept(setting.lang, &rights));
            // It lives, and a process of it may have been ended all the same.
            if !killed.is_empty() {
                lines.push(texts::say(setting.lang, "apply-killed", &[]));
                lines.extend(tried::calls(&killed));
            }
            print(&lines)?;
            note(setting, "apply-done", &values);
            Ok(match fate {
                _ if !killed.is_empty() => exit::FINDINGS,
                Fate::Waits => exit::COULD_NOT_VERIFY,
                _ => exit::CLEAN,
            })
        }
        Outcome::Failed(why) => {
            log.end("failed").await;
            Err(failed(&why, &plan.past, setting))
        }
        Outcome::Back(back) => {
            log.end("failed").await;
            went_back(&subject, &plan.past, back, setting).await
        }
    }
}

/// Says why the old one was put back.
async fn went_back(
    subject: &Subject,
    past: &Past,
    back: Back,
    setting: &Setting,
) -> anyhow::Result<u8> {
    if let Some(left) = &back.left {
        return Err(not_back(past, left, setting));
    }
    let Some(fate) = back.fate else {
        note(setting, "apply-interrupted", &[("name", &past.name)]);
        return Ok(exit::COULD_NOT_VERIFY);
    };
    let lang = setting.lang;
    let mut lines = vec![line(lang, "apply-fate", &fate)];
    lines.extend(log(lang, &back.log));
    // At once: whoever waits for the reason has the container back already.
    print(&lines)?;
    note(setting, "apply-back", &[("name", &past.name)]);
    let trial = Trial { id: back.id, fate, stopped: None, log: Vec::new(), lived: back.lived };
    let lines = reasons(subject, &trial, setting).await?;
    print(&lines)?;
    Ok(exit::FINDINGS)
}

/// What it was that the new container did not live without, as far as it can be found.
async fn reasons(
    subject: &Subject,
    trial: &Trial,
    setting: &Setting,
) -> anyhow::Result<Vec<String>> {
    let lang = setting.lang;
    let (mut lines, _) = tried::told(subject, &[&trial.id], lang).await?;
    let known = &subject.known;
    let open = Rights::logging(&known.least.calls, &known.today);
    let Ok(plan) = subject.beside(&open, setting) else { return Ok(lines) };
    let time = trial.lived.saturating_add(Duration::from_secs(3));
    let name = format!("{}-log-haechi", subject.name());
    let (book, engine) = (subject.book(), &subject.engine);
    book.sweep(engine, subject.id()).await?;
    let how = How { name: &name, ran_before: subject.ran(), time, stops: false };
    let nothing = Arc::new(OnceLock::new());
    let found = tokio::select! {
        found = trial::listened(engine, &book, &plan, how, &nothing) => found,
        () = interrupted() => Err(ApiError::TimedOut(String::new()).into()),
    };
    match found {
        Ok((control, heard)) => {
            lines.extend(tried::recorded(lang, &heard).0);
            match control.fate.is_well() {
                true => lines.extend(tried::why(subject, trial, setting).await),
                false => lines.push(texts::say(lang, "try-says-nothing", &[])),
            }
        }
        Err(error) => {
            lines.push(texts::say(lang, "apply-no-reason", &[("why", &error.to_string())]))
        }
    }
    book.sweep(engine, subject.id()).await?;
    Ok(lines)
}

pub(super) async fn rollback(target: &str, setting: &Setting) -> anyhow::Result<u8> {
    let store = crate::commands::store(setting).await?;
    let forgotten = pending::forget(&store, target).await?;
    if forgotten > 0 {
        note(setting, "next-start-forgotten", &[("name", target)]);
    }
    let engine = connect(setting, 0)?;
    let is_id = |id: &str| target.len() >= 12 && id.starts_with(target);
    let book = Book::of(&store);
    let mut made = book.kept(&engine).await?;
    made.retain(|made| made.past.name == target || is_id(&made.id) || is_id(&made.past.id));
    // What a try left that was killed.
    let inspected = swap::inspect(&engine, target).await.ok();
    let id = inspected.as_ref().and_then(|one| one.get("Id")?.as_str()).unwrap_or_default();
    let swept = book.sweep(&engine, id).await?;
    if swept > 0 {
        note(setting, "try-swept", &[("count", &swept.to_string())]);
    }
    let Some(first) = made.first() else {
        if forgotten > 0 || swept > 0 {
            return Ok(exit::CLEAN);
        }
        return Err(said(setting, "rollback-nothing", &[("name", target)]));
    };
    let stop = swap::inspect(&engine, &first.id).await.map_or(0, |one| swap::stop_seconds(&one));
    let engine = connect(setting, stop)?;
    for made in &made {
        let log =
            Log::begin(store.clone(), "RollBack", &made.past.name, json!({}), setting).await?;
        let back = swap::put_back(&engine, &book, made).await;
        log.end(if back.is_ok() { "done" } else { "failed" }).await;
        if let Err(left) = back {
            return Err(not_back(&made.past, &left, setting));
        }
        note(setting, "rollback-done", &[("name", &made.past.name)]);
    }
    Ok(exit::CLEAN)
}

/// A deed on record.
pub(super) struct Log {
    log: AuditLog,
    action: &'static str,
    subject: String,
    number: u64,
}

impl Log {
    pub async fn begin(
        store: haechi_store::Store,
        action: &'static str,
        name: &str,
        told: Value,
        setting: &Setting,
    ) -> anyhow::Result<Self> {
        let log = AuditLog::open(store, &setting.data_dir()).await?;
        let begun = log.record(&user(), "", action, name, "begun", &told).await;
        let number = begun.map_err(store_failure)?;
        Ok(Self { log, action, subject: name.to_owned(), number })
    }

    pub async fn end(self, outcome: &str) {
        let told = json!({"begun": self.number});
        let done = self.log.record(&user(), "", self.action, &self.subject, outcome, &told).await;
        if let Err(error) = done {
            tracing::error!("how it ended is not on record: {error}");
        }
        self.log.close().await;
    }
}

/// What would be other than today, and what has to be known before.
async fn show(subject: &Subject, rights: &Rights, setting: &Setting) -> anyhow::Result<()> {
    let (lang, known) = (setting.lang, &subject.known);
    let mut least = known.least.clone();
    let mut spared = String::new();
    if !rights.kept.is_empty() {
        // The root stays as it is, and that is said in its own words.
        least.writable = None;
        spared = texts::say(lang, "remark-files", &[]);
    }
    let mut lines: Vec<String> = least
        .differences(&known.today, lang)
        .into_iter()
        .map(|row| visible(&format!("{}: {} -> {}", row.of, row.today, row.then)).into_owned())
        .collect();
    lines.extend(least.remarks(lang).into_iter().filter(|remark| *remark != spared));
    lines.extend(kept(lang, rights));
    lines.extend(changed(subject, lang).await?);
    print(&lines)
}

/// What does not go over to another container.
pub(super) async fn changed(subject: &Subject, lang: Lang) -> anyhow::Result<Option<String>> {
    let (count, some) = swap::changed(&subject.engine, &subject.inspected).await?;
    let some = visible(&some.join(" ")).into_owned();
    let values = [("count", &*count.to_string()), ("some", &*some)];
    Ok((count > 0).then(|| texts::say(lang, "apply-changed", &values)))
}

/// Why the root stays writable.
pub(super) fn kept(lang: Lang, rights: &Rights) -> Vec<String> {
    let kept = rights.kept.iter();
    kept.map(|path| texts::say(lang, "apply-kept", &[("path", path)])).collect()
}

/// A sentence about what became of a container.
pub(super) fn line(lang: Lang, key: &str, fate: &Fate) -> String {
    let mut values = vec![];
    let text;
    let count;
    match fate {
        Fate::Lives { health: Some(health) } => values.push(("health", health.as_str())),
        Fate::Ended { code, .. } => {
            text = code.to_string();
            values.push(("code", text.as_str()));
        }
        Fate::Restarts { count: times, code } => {
            (text, count) = (code.unwrap_or_default().to_string(), times.to_string());
            values.extend([("code", text.as_str()), ("count", count.as_str())]);
        }
        Fate::Unhealthy { said } | Fate::NotStarted { said } => values.push(("said", said)),
        _ => {}
    }
    let fate = texts::say(lang, fate.key(), &values);
    texts::say(lang, key, &[("fate", &fate)])
}

/// Last lines of a log.
pub(super) fn log(lang: Lang, lines: &[String]) -> Vec<String> {
    let mut said = Vec::new();
    if !lines.is_empty() {
        said.push(texts::say(lang, "last-lines", &[]));
        let last = lines.iter().skip(lines.len().saturating_sub(LINES));
        said.extend(last.map(|line| format!("  {}", visible(line))));
    }
    said
}

/// An exchange that failed, in words.
pub(super) fn failed(failed: &Failed, past: &Past, setting: &Setting) -> anyhow::Error {
    match &failed.left {
        Some(left) => not_back(past, left, setting),
        None => {
            let values = [("name", &*past.name), ("why", &*failed.why.to_string())];
            said(setting, "apply-failed", &values)
        }
    }
}

/// The old container could not be put back.
pub(super) fn not_back(past: &Past, left: &Trouble, setting: &Setting) -> anyhow::Error {
    said(setting, "apply-not-back", &[("name", &past.name), ("why", &left.to_string())])
}

/// Ends when somebody does not want to wait any more.
pub(super) async fn interrupted() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

fn print(lines: &[String]) -> anyhow::Result<()> {
    output::stdout(|out| Ok(lines.iter().try_for_each(|line| writeln!(out, "{line}"))?))
}
