//! Keeps alerts and actions, and only then shows them: what was shown is in the store, unless it says that it is not.
//!
//! It has a queue of its own, so that a slow disk or a slow terminal holds nobody else up.

use std::collections::HashMap;

use haechi_core::alert::Alert;
use haechi_core::event::Event;
use haechi_core::response::Action;
use haechi_outputs::Outputs;
use haechi_store::{ActionId, AlertId, Store};
use tokio::sync::mpsc;

use super::Shown;

/// What waits to be kept.
pub(super) const WAITING: usize = 16_384;
/// Alerts of one transaction.
const AT_ONCE: usize = 512;

/// What is to be kept.
pub(super) enum Keep {
    /// An alert, with the action that answers it, and the action's number here.
    Alert(Box<Alert>, Option<(u64, Box<Action>)>),
    /// What became of an action.
    Action(u64, Box<Action>),
    /// Nothing is kept of it: it is only shown.
    Event(Box<Event>),
}

/// Keeps and shows until nobody sends any more; how many could not be kept.
pub(super) async fn write(
    store: Option<Store>,
    mut coming: mpsc::Receiver<Keep>,
    mut known: HashMap<u64, ActionId>,
    mut show: Box<dyn FnMut(Shown<'_>) + Send>,
    outputs: Outputs,
) -> u64 {
    let mut lost = 0;
    let mut batch = Vec::with_capacity(AT_ONCE);
    while coming.recv_many(&mut batch, AT_ONCE).await > 0 {
        let (alerts, actions): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|keep| matches!(keep, Keep::Alert(..)));
        let mut begun = Vec::new();
        let alerts: Vec<Alert> = alerts
            .into_iter()
            .filter_map(|keep| match keep {
                Keep::Alert(alert, action) => {
                    begun.push(action);
                    Some(*alert)
                }
                Keep::Action(..) | Keep::Event(_) => None,
            })
            .collect();
        let ids = keep_alerts(store.as_ref(), &alerts, &mut lost).await;
        for (at, (alert, action)) in alerts.iter().zip(begun).enumerate() {
            let kept = ids.get(at).copied();
            show(Shown::Alert(alert, kept.is_some() || store.is_none()));
            outputs.alert(alert);
            let (Some((number, action)), Some(store)) = (action, &store) else { continue };
            match store.add_action(kept, &action).await {
                Ok(id) => drop(known.insert(number, id)),
                Err(error) => {
                    lost += 1;
                    tracing::error!("an action could not be kept: {error}");
                }
            }
        }
        for keep in actions {
            let (number, action) = match keep {
                Keep::Action(number, action) => (number, action),
                Keep::Event(event) => {
                    show(Shown::Event(&event));
                    continue;
                }
                Keep::Alert(..) => continue,
            };
            if let (Some(store), Some(id)) = (&store, known.get(&number))
                && let Err(error) = store.set_action(*id, &action).await
            {
                lost += 1;
                tracing::error!("an action could not be kept: {error}");
            }
            show(Shown::Action(&action));
            outputs.action(&action);
        }
    }
    let dropped = outputs.close().await;
    if dropped > 0 {
        tracing::warn!("{dropped} messages to the outside were dropped");
    }
    lost
}

async fn keep_alerts(store: Option<&Store>, alerts: &[Alert], lost: &mut u64) -> Vec<AlertId> {
    let Some(store) = store else { return Vec::new() };
    match store.add_alerts(alerts).await {
        Ok(ids) => ids,
        Err(error) => {
            *lost += alerts.len() as u64;
            tracing::error!("{} alerts could not be kept: {error}", alerts.len());
            Vec::new()
        }
    }
}
