//! `haechi profile apply --next-start`: a container is made again when somebody starts it next, by the monitor that hears it.
//!
//! Promises that at most one monitor of a data directory does it, that it is done once, and that nothing is asked for which nobody
//! would do. A start that no monitor heard is not made up for: it is done at the one after.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haechi_exchange::book::Book;
use haechi_exchange::carry::{Outcome, carry};
use haechi_exchange::plan::Plan;
use haechi_exchange::rights::Rights;
use haechi_exchange::swap;
use haechi_profile::texts;
use haechi_store::{Exchange, Store};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::apply::{self, Log};
use super::subject::{Subject, connect, said};
use super::{note, notes};
use crate::args::ProfileApply;
use crate::commands::audit::user;
use crate::commands::store_failure;
use crate::exit;
use crate::failure::Failure;
use crate::setting::Setting;

/// Held by the monitor that does it.
const LOCK: &str = "exchanges.lock";
/// How long it waits before it asks again for an engine, or for the lock.
const AGAIN: Duration = Duration::from_secs(2);

/// What is to be done, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    rights: Rights,
    /// Seconds for which it is watched.
    seconds: u64,
    /// Whether a container of Compose is taken all the same.
    force: bool,
    /// Seconds for which it had run when it was asked for.
    ran: i64,
}

/// Asks for it.
pub(super) async fn ask(
    subject: &Subject,
    rights: Rights,
    args: &ProfileApply,
    setting: &Setting,
) -> anyhow::Result<u8> {
    if hold(&setting.data_dir())?.is_some() {
        return Err(said(setting, "next-start-no-monitor", &[("name", subject.name())]));
    }
    let told = json!({"for": args.seconds, "next_start": true});
    let log =
        Log::begin(subject.store.clone(), "ApplyProfile", subject.name(), told, setting).await?;
    let ran = subject.ran().as_secs();
    let asked = Asked { rights, seconds: args.seconds, force: args.force, ran };
    let exchange = Exchange {
        container: subject.id().to_owned(),
        name: subject.name().to_owned(),
        body: serde_json::to_string(&asked)?,
        asked_by: user(),
    };
    let kept = subject.store.ask_exchange(&exchange, Timestamp::now()).await;
    log.end(if kept.is_ok() { "done" } else { "failed" }).await;
    kept.map_err(store_failure)?;
    note(setting, "next-start-asked", &[("name", subject.name())]);
    Ok(exit::CLEAN)
}

/// Forgets what was asked for containers of this name or id; how many.
pub(super) async fn forget(store: &Store, target: &str) -> anyhow::Result<usize> {
    let all = store.exchanges().await.map_err(store_failure)?;
    let mut count = 0;
    for one in all.iter().filter(|one| one.name == target || one.container.starts_with(target)) {
        count += usize::from(
            store.take_exchange(&one.container).await.map_err(store_failure)?.is_some(),
        );
    }
    Ok(count)
}

/// The lock, if nobody else holds it.
fn hold(dir: &Path) -> anyhow::Result<Option<File>> {
    let path = dir.join(LOCK);
    let failed = |error: std::io::Error| Failure::file(&path, error);
    let mut options = File::options();
    let options = options.create(true).write(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into()).into()),
    }
}

/// Does what is asked for when its container starts, until the monitor ends; what was begun then is taken back first.
pub async fn serve(store: Store, setting: Arc<Setting>, mut end: watch::Receiver<bool>) {
    let lock = tokio::select! {
        lock = lock(&setting) => lock,
        () = over(&mut end) => return,
    };
    listen(&store, &setting, end, lock).await;
}

/// Ends when the monitor does.
async fn over(end: &mut watch::Receiver<bool>) {
    let _ = end.wait_for(|end| *end).await;
}

/// The lock, when nobody else holds it any more.
async fn lock(setting: &Setting) -> File {
    loop {
        // Another monitor does it; or this folder cannot be written, which others say.
        if let Ok(Some(lock)) = hold(&setting.data_dir()) {
            return lock;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen(store: &Store, setting: &Setting, mut end: watch::Receiver<bool>, _lock: File) {
    let until = end.clone();
    loop {
        let events = async {
            match connect(setting, 0) {
                Ok(engine) => engine.events(None).await.ok(),
                Err(_) => None,
            }
        };
        if let Some(mut events) = events.await {
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = over(&mut end) => return,
                };
                let Some(Ok(event)) = event else { break };
                let word = |path: &str| event.pointer(path).and_then(Value::as_str);
                if (word("/Type"), word("/Action")) != (Some("container"), Some("start")) {
                    continue;
                }
                match store.take_exchange(word("/Actor/ID").unwrap_or_default()).await {
                    Ok(None) => {}
                    Ok(Some(taken)) => {
                        let done = exchange(&taken, store.clone(), setting, until.clone()).await;
                        if let Err(error) = done {
                            setting.complain(&error);
                        }
                    }
                    Err(error) => tracing::error!("what is to be done cannot be read: {error}"),
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = over(&mut end) => return,
        }
    }
}

/// Does it; what came of it is told as by `apply`.
async fn exchange(
    taken: &Exchange,
    store: Store,
    setting: &Setting,
    mut end: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let asked: Asked = serde_json::from_str(&taken.body)?;
    let engine = connect(setting, 0)?;
    let inspected = swap::inspect(&engine, &taken.container).await?;
    let engine = connect(setting, swap::stop_seconds(&inspected))?;
    let image = swap::image_of(&engine, &inspected).await;
    let plan = Plan::instead(&inspected, &image, &asked.rights, asked.force);
    let plan =
        plan.map_err(|why| said(setting, why.key(), &[("name", &taken.name), ("by", "")]))?;
    let joined = swap::joined(&engine, &plan.past).await?;
    if !joined.is_empty() {
        let values = [("name", &*taken.name), ("names", &joined.join(" "))];
        return Err(said(setting, "refused-joined", &values));
    }
    let told = json!({"asked_by": taken.asked_by, "for": asked.seconds});
    let book = Book::of(&store);
    let log = Log::begin(store, "ApplyProfile", &taken.name, told, setting).await?;
    let ran = SignedDuration::from_secs(asked.ran);
    let time = Duration::from_secs(asked.seconds);
    let known = OnceLock::new();
    let outcome = carry(&engine, &book, &plan, ran, time, &known, over(&mut end)).await;
    let past = &plan.past;
    match outcome {
        Outcome::Kept(_, fate) => {
            log.end("done").await;
            notes(setting, &[apply::line(setting.lang, "apply-fate", &fate)]);
            note(setting, "apply-done", &[("name", &past.name), ("old", &past.old_name())]);
        }
        Outcome::Failed(why) => {
            log.end("failed").await;
            return Err(apply::failed(&why, past, setting));
        }
        Outcome::Back(back) => {
            log.end("failed").await;
            if let Some(left) = &back.left {
                return Err(apply::not_back(past, left, setting));
            }
            if let Some(fate) = &back.fate {
                let mut lines = vec![apply::line(setting.lang, "apply-fate", fate)];
                lines.extend(apply::log(setting.lang, &back.log));
                notes(setting, &lines);
            }
            notes(setting, &[texts::say(setting.lang, "rollback-done", &[("name", &past.name)])]);
        }
    }
    Ok(())
}
