//! Sees that the engine or a watched file changed, and asks for a verification then; and at its time.
//!
//! It looks at names, sizes and times only. What changed and what it means, a verification finds out.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haechi_facts::engine::events::Events;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Desk, deeds};

/// Changes come in swarms: this long nothing more has to come.
const QUIET: Duration = Duration::from_secs(3);
/// But what changes without end is looked at after this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Least time between two verifications that nobody asked for.
const APART: Duration = Duration::from_secs(60);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Wait before the engine is listened to again.
const AGAIN: Duration = Duration::from_secs(5);
/// Files that decide how the engine runs, whether or not they are there now.
const FILES: [&str; 10] = [
    "/etc/docker/daemon.json",
    "/etc/default/docker",
    "/etc/sysconfig/docker",
    "/etc/containerd/config.toml",
    "/etc/docker",
    "/etc/audit/audit.rules",
    "/etc/group",
    "/etc/passwd",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
];

/// What does not change what is verified: looking, and what containers do in between.
const IDLE: [&str; 12] = [
    "exec_create",
    "exec_start",
    "exec_die",
    "exec_detach",
    "health_status",
    "attach",
    "detach",
    "resize",
    "top",
    "archive-path",
    "kill",
    "save",
];

/// Asks for verifications until dropped: at the start, at their time, and when something changed.
pub(crate) async fn watch(desk: &Desk) {
    let (told, mut changes) = mpsc::channel(1);
    let listening = listen(desk, told.clone());
    let looking = look(desk, told);
    let asking = async {
        let interval = Duration::from_secs(desk.setup.interval_minutes.saturating_mul(60));
        // The first one is never waited for.
        let known = desk.setup.store.history(None, 1).await;
        let mut due_now = !interval.is_zero() || known.is_ok_and(|known| known.is_empty());
        loop {
            let asked = Instant::now();
            if due_now && let Err(refusal) = desk.jobs.start("verify", "", "").await {
                tracing::warn!("no verification could be asked for: {refusal}");
            }
            due_now = true;
            let due = async {
                if interval.is_zero() {
                    std::future::pending().await
                } else {
                    sleep_until(asked + interval).await;
                }
            };
            tokio::select! {
                () = due => {}
                Some(()) = changes.recv() => {
                    let latest = Instant::now() + PATIENCE;
                    while let Ok(Some(())) =
                        tokio::time::timeout_at(latest.min(Instant::now() + QUIET), changes.recv()).await
                    {}
                    sleep_until(asked + APART).await;
                }
            }
        }
    };
    tokio::join!(listening, looking, asking);
}

/// Listens to the engine.
async fn listen(desk: &Desk, told: mpsc::Sender<()>) {
    let mut was_there = true;
    loop {
        let listening = async { deeds::engine(desk).ok()?.lasting().events(None).await.ok() };
        match listening.await {
            Some(mut events) => {
                // An engine that comes, or comes again, may be another one.
                if !was_there {
                    let _ = told.try_send(());
                }
                was_there = true;
                desk.heard.store(true, Ordering::Relaxed);
                until_it_ends(&mut events, &told).await;
                desk.heard.store(false, Ordering::Relaxed);
                let _ = told.try_send(());
            }
            None => was_there = false,
        }
        sleep(AGAIN).await;
    }
}

async fn until_it_ends(events: &mut Events, told: &mpsc::Sender<()>) {
    while let Some(Ok(event)) = events.next().await {
        if matters(&event) {
            // One that waits already stands for all.
            let _ = told.try_send(());
        }
    }
}

/// Whether an event of the engine can change what is verified.
fn matters(event: &Value) -> bool {
    let action = event.get("Action").and_then(Value::as_str).unwrap_or_default();
    let name = action.split(':').next().unwrap_or_default();
    !IDLE.contains(&name)
}

/// Looks at files.
async fn look(desk: &Desk, told: mpsc::Sender<()>) {
    let mut known = stamps(desk).await;
    loop {
        sleep(LOOK).await;
        let now = stamps(desk).await;
        let differs =
            |path: &String| known.get(path).is_some_and(|then| Some(then) != now.get(path));
        // A file that is watched from now on has not changed by that.
        if now.keys().any(differs) {
            let _ = told.try_send(());
        }
        known = now;
    }
}

type Stamp = Option<(u64, i64, i64, i64, u32, u32, u32)>;

/// What is looked at of each watched file.
async fn stamps(desk: &Desk) -> BTreeMap<String, Stamp> {
    let mut paths = desk.setup.store.file_subjects().await.unwrap_or_else(|error| {
        tracing::warn!("which files are to be watched is not known: {error}");
        Vec::new()
    });
    paths.extend(FILES.map(str::to_owned));
    paths.extend(desk.setup.watched.iter().map(|path| path.display().to_string()));
    let accepted = accepted(desk).await;
    let root = desk.setup.root.clone();
    let stamp = move |path: String| {
        let meta = std::fs::metadata(root.join(path.trim_start_matches('/'))).ok();
        let stamp = meta.map(|meta| {
            let times = (meta.mtime(), meta.ctime(), meta.ctime_nsec());
            (meta.size(), times.0, times.1, times.2, meta.mode(), meta.uid(), meta.gid())
        });
        (path, stamp)
    };
    let looked = tokio::task::spawn_blocking(move || paths.into_iter().map(stamp).collect()).await;
    let mut stamps: BTreeMap<String, Stamp> = looked.unwrap_or_default();
    stamps.insert("exceptions".into(), accepted);
    stamps
}

/// How many exceptions are in force, and which: one that was added or taken back on the command line, or ends.
async fn accepted(desk: &Desk) -> Stamp {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let all = desk.setup.store.exceptions().await.ok()?;
    let in_force = all.iter().filter(|(_, exception)| today <= exception.expires);
    let (count, sum) = in_force.fold((0, 0), |(count, sum), (id, _)| (count + 1, sum + id));
    Some((count, sum, 0, 0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::matters;

    #[test]
    fn looking_into_a_container_changes_nothing() {
        assert!(!matters(&json!({"Type": "container", "Action": "exec_start: sh -c true"})));
        assert!(!matters(&json!({"Type": "container", "Action": "health_status: healthy"})));
        assert!(matters(&json!({"Type": "container", "Action": "start"})));
        assert!(matters(&json!({"Type": "daemon", "Action": "reload"})));
        assert!(matters(&json!({"Action": "something new"})));
    }
}
