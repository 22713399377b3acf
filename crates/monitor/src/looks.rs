//! Looks at the content of started programs in a thread of its own, so that nobody waits for a disk.
//!
//! What cannot be looked at is counted: a container with a program that may be anything proves nothing by silence.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use haechi_core::event::{Action, Event};

use crate::hands::Hands;
use crate::identity::{Identities, Identity};
use crate::judge::{Counts, Order};

/// Programs that may wait for a look.
pub const LOOKS: usize = 10_000;
/// How long a loader is left alone before it is looked at again; twice as long each time, until it has loaded something.
const AGAIN: Duration = Duration::from_millis(1);
/// It is looked at no more seldom than this.
const AGAIN_MAX: Duration = Duration::from_secs(4);
/// How long the thread waits if nothing is due.
const PATIENCE: Duration = Duration::from_secs(60);

/// A started program that should be looked at.
#[derive(Debug)]
pub struct Look {
    /// Its start.
    pub event: Box<Event>,
    /// Full id of its container.
    pub container: String,
    /// Path of its container's control group.
    pub group: String,
}

/// Looks at programs until nobody asks any more.
pub fn look(
    asked: &mpsc::Receiver<Look>,
    orders: &mpsc::Sender<Order>,
    hands: &Hands,
    counts: &Arc<Counts>,
) {
    let mut identities = match Identities::embedded() {
        Ok(identities) => identities,
        Err(error) => {
            tracing::error!("{error}");
            return;
        }
    };
    // By the moment at which they are due, with a number because two may be at the same.
    let mut later: BTreeMap<(Instant, u64), (Duration, Look)> = BTreeMap::new();
    let mut number = 0;
    loop {
        let now = Instant::now();
        let due = later.first_key_value().map(|((at, _), _)| at.saturating_duration_since(now));
        let (wait, look) = match due {
            Some(Duration::ZERO) => match later.pop_first() {
                Some((_, due)) => due,
                None => continue,
            },
            due => match asked.recv_timeout(due.unwrap_or(PATIENCE)) {
                Ok(look) => (AGAIN, look),
                Err(mpsc::RecvTimeoutError::Timeout) => continue,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            },
        };
        let Some(found) = one(&mut identities, &look, hands, counts) else { continue };
        let first = wait == AGAIN;
        // What a loader has not loaded yet is told when it has; that it is one is told at once.
        if (first || !found.loads)
            && orders.send(Order::Identified(look.event.clone(), found.clone())).is_err()
        {
            return;
        }
        if found.loads && later.len() < LOOKS {
            number += 1;
            later.insert((now + wait, number), ((wait * 2).min(AGAIN_MAX), look));
        } else if found.loads {
            counts.not_looked_at(&look.container);
        }
    }
}

fn one(
    identities: &mut Identities,
    look: &Look,
    hands: &Hands,
    counts: &Counts,
) -> Option<Box<Identity>> {
    let Action::Exec(exec) = &look.event.action else { return None };
    let process = Path::new("/proc").join(look.event.process.pid.to_string());
    match identities.of(&process, exec, || hands.processes(&look.group)) {
        Ok(found) => found.map(Box::new),
        Err(error) => {
            tracing::debug!("{} cannot be looked at: {error}", exec.path);
            counts.not_looked_at(&look.container);
            None
        }
    }
}
