//! Forgets, now and then, what the policy does not want to be kept any longer. What a verification needs of containers that
//! exist stays; while the engine does not say which ones exist, that is what it needs of all.

use std::time::{Duration, Instant};

use haechi_core::policy::MonitorPolicy;
use haechi_store::{Forget, Store};
use jiff::{SignedDuration, Timestamp};

use super::act::Actor;

/// How often: what is kept is limited by days.
const OFTEN: Duration = Duration::from_secs(3600);

/// Forgets.
pub(super) struct Forgetter {
    store: Store,
    days: i64,
    rows: u32,
    last: Option<Instant>,
}

impl Forgetter {
    pub fn new(store: Store, policy: &MonitorPolicy) -> Self {
        let mut forgetter = Self { store, days: 0, rows: 0, last: None };
        forgetter.use_policy(policy);
        forgetter
    }

    /// Other limits from the next time on, which is soon.
    pub fn use_policy(&mut self, policy: &MonitorPolicy) {
        self.days = policy.keep_days;
        self.rows = u32::try_from(policy.keep_rows).unwrap_or(u32::MAX);
        self.last = None;
    }

    /// Forgets if it is time; `watched` are the containers that run. Nobody waits for it.
    pub fn beat(&mut self, actor: &Actor, watched: impl Fn() -> Vec<String>) {
        if self.last.is_some_and(|last| last.elapsed() < OFTEN) {
            return;
        }
        self.last = Some(Instant::now());
        let (actor, store, watched) = (actor.clone(), self.store.clone(), watched());
        let (older_than, rows) = (oldest(self.days, Timestamp::now()), self.rows);
        tokio::spawn(async move {
            let present = actor.containers().await;
            let present = present.map(|all| all.into_iter().chain(watched).collect());
            match store.prune_monitor(&Forget { older_than, rows, present }).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!("{rows} rows of what was kept are too old or too many"),
                Err(error) => tracing::warn!("{error}"),
            }
        });
    }
}

/// The moment so many days ago; 0 is the beginning of time.
fn oldest(days: i64, now: Timestamp) -> Timestamp {
    match SignedDuration::try_from_hours(days.saturating_mul(24)) {
        Some(kept) if days > 0 => now.checked_sub(kept).unwrap_or(Timestamp::MIN),
        _ => Timestamp::MIN,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use haechi_core::activity::{Activity, ExecCall};
    use haechi_store::ActivityFilter;

    use super::*;
    use crate::hands::{Hands, groups};

    #[test]
    fn days_are_counted_from_now() {
        let now: Timestamp = "2026-04-30T12:00:00Z".parse().unwrap();
        assert_eq!(oldest(30, now), "2026-03-31T12:00:00Z".parse().unwrap());
        for never in [0, i64::MAX] {
            assert_eq!(oldest(never, now), Timestamp::MIN);
        }
    }

    #[tokio::test]
    async fn what_is_too_old_is_gone_after_a_beat() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let exec = |days: i64| Activity {
            at: Timestamp::now() - SignedDuration::from_hours(24 * days),
            kind: "container".into(),
            action: "exec_start".into(),
            id: "a".repeat(64),
            name: "web".into(),
            image: String::new(),
            details: Vec::new(),
            exec: Some(ExecCall {
                id: days.to_string(),
                privileged: Some(false),
                ..ExecCall::default()
            }),
        };
        store.add_activity(&[exec(1), exec(89), exec(91)]).await.unwrap();
        let actor = Actor {
            hands: Hands::new(groups()),
            engine: Arc::new(|| None),
            cuts: Arc::new(Mutex::default()),
        };
        let mut forgetter = Forgetter::new(store.clone(), &MonitorPolicy::default());
        let left = |count: usize| {
            let store = store.clone();
            async move {
                let filter = ActivityFilter { limit: 9, ..ActivityFilter::default() };
                while store.activity(&filter).await.unwrap().len() != count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        forgetter.beat(&actor, Vec::new);
        left(2).await;
        // Not again at once, but at once when the policy changes.
        forgetter.beat(&actor, Vec::new);
        forgetter.use_policy(&MonitorPolicy { keep_days: 2, ..MonitorPolicy::default() });
        forgetter.beat(&actor, Vec::new);
        left(1).await;
    }
}
