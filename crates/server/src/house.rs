//! What all requests share: how much is taken on, what was counted, and whether it is time to stop.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use haechi_protocol::Credential;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::order::Limits;

/// What all requests share.
#[derive(Debug)]
pub struct House {
    /// Names that a browser may call the server by.
    pub hosts: Vec<String>,
    /// How much is taken on.
    pub limits: Limits,
    /// Places for requests that are being answered.
    pub requests: Places,
    /// Live streams, and programs that wait for news.
    pub streams: Streams,
    /// What was counted.
    pub metrics: Metrics,
    /// Cancelled when it is time to stop.
    pub stop: CancellationToken,
}

impl House {
    /// A house that is empty yet.
    pub fn new(hosts: Vec<String>, limits: Limits, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            hosts,
            limits,
            requests: Places::new(limits.requests, (limits.requests / 4).max(1)),
            streams: Streams {
                sessions: Crowd::new(limits.streams, limits.streams_per_session),
                accounts: Crowd::new(limits.streams, limits.streams_per_account),
            },
            metrics: Metrics::default(),
            stop,
        })
    }
}

/// How many are there, altogether and of each kind.
#[derive(Debug)]
pub struct Crowd<K> {
    all: usize,
    each: usize,
    inside: Mutex<HashMap<K, usize>>,
}

impl<K: Clone + Eq + std::hash::Hash> Crowd<K> {
    /// At most so many altogether, and so many of each kind.
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, inside: Mutex::default() })
    }

    /// A seat for one more; `None` if there is none.
    pub fn enter(self: &Arc<Self>, kind: K) -> Option<Seat<K>> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.values().sum::<usize>() >= self.all {
            return None;
        }
        let count = inside.entry(kind.clone()).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Seat(Arc::clone(self), kind))
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// A seat, free again when it is dropped.
#[derive(Debug)]
pub struct Seat<K: Eq + std::hash::Hash>(Arc<Crowd<K>>, K);

impl<K: Eq + std::hash::Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.1);
            }
        }
    }
}

/// Somebody who has this secret. Not the secret itself: this is kept as long as a request goes on.
fn holder(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The secret that was sent, if any.
fn secret(credential: &Credential) -> &str {
    match credential {
        Credential::None => "",
        Credential::Session { secret, .. } | Credential::Token(secret) => secret,
    }
}

/// Live streams by who follows them.
#[derive(Debug)]
pub struct Streams {
    sessions: Arc<Crowd<[u8; 32]>>,
    accounts: Arc<Crowd<String>>,
}

/// A seat among the live streams.
#[derive(Debug)]
pub struct Following(
    #[expect(dead_code, reason = "held, not read")] (Seat<[u8; 32]>, Seat<String>),
);

impl Streams {
    /// A seat for one more stream of whoever has this secret and is called that; `None` if there is none.
    pub fn enter(&self, credential: &Credential, account: &str) -> Option<Following> {
        let session = self.sessions.enter(holder(secret(credential)))?;
        Some(Following((session, self.accounts.enter(account.to_owned())?)))
    }
}

/// Places for requests that are being answered: so many altogether, and so many of whoever has the same secret, so that
/// nobody leaves the others without one.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    each: usize,
    holders: Mutex<HashMap<[u8; 32], Weak<Semaphore>>>,
}

impl Places {
    /// At most so many altogether, and so many of each.
    pub fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, holders: Mutex::default() }
    }

    /// A place, once there is one; whoever sends no secret counts by address. `None` never comes: nobody closes them.
    pub async fn enter(&self, credential: &Credential, address: Option<IpAddr>) -> Option<Place> {
        let holder = match (credential, address) {
            (Credential::None, Some(address)) => holder(&address.to_string()),
            _ => holder(secret(credential)),
        };
        let own = self.of(holder);
        // Its own first: who waits for that holds nothing that others need.
        let permit = Arc::clone(&own).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place(permit, all))
    }

    fn of(&self, holder: [u8; 32]) -> Arc<Semaphore> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = holders.get(&holder).and_then(Weak::upgrade) {
            return known;
        }
        holders.retain(|_, semaphore| semaphore.strong_count() > 0);
        let new = Arc::new(Semaphore::new(self.each));
        holders.insert(holder, Arc::downgrade(&new));
        new
    }
}

/// A place for a request, free again when it is dropped.
#[derive(Debug)]
pub struct Place(
    #[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit,
    #[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_it_is_left() {
        let crowd = Crowd::new(3, 2);
        let first = crowd.enter("a");
        let second = crowd.enter("a");
        assert!(first.is_some() && second.is_some());
        assert!(crowd.enter("a").is_none(), "two of a kind");
        let third = crowd.enter("b");
        assert!(third.is_some());
        assert!(crowd.enter("c").is_none(), "three altogether");
        drop(first);
        assert!(crowd.enter("c").is_some());
        drop((second, third));
        assert_eq!(crowd.count(), 0);
        assert!(crowd.inside.lock().is_ok_and(|inside| inside.is_empty()));
    }

    #[tokio::test]
    async fn who_takes_all_places_of_its_own_leaves_others_theirs() {
        let places = Places::new(3, 2);
        let of = |secret: &str| Credential::Token(secret.to_owned());
        let mut soon = std::task::Context::from_waker(std::task::Waker::noop());
        let first = places.enter(&of("a"), None).await;
        let _second = places.enter(&of("a"), None).await;
        let greedy = of("a");
        let mut third = std::pin::pin!(places.enter(&greedy, None));
        assert!(third.as_mut().poll(&mut soon).is_pending(), "two of a kind");
        let other = places.enter(&of("b"), None).await;
        let last = of("c");
        let mut fourth = std::pin::pin!(places.enter(&last, None));
        assert!(fourth.as_mut().poll(&mut soon).is_pending(), "three altogether");
        drop((first, other));
        assert!(third.await.is_some() && fourth.await.is_some());
        // Nobody is remembered who is gone.
        let _one = places.of([0; 32]);
        assert!(places.holders.lock().is_ok_and(|holders| holders.len() <= 2));
    }

    #[test]
    fn an_account_has_so_many_streams_whatever_it_is_logged_in_by() {
        let limits = Limits { streams_per_account: 3, streams_per_session: 2, ..Limits::default() };
        let house = House::new(Vec::new(), limits, CancellationToken::new());
        let enter = |secret: &str, name: &str| {
            house.streams.enter(&Credential::Token(secret.to_owned()), name)
        };
        let (one, two, three) = (enter("1", "eve"), enter("1", "eve"), enter("2", "eve"));
        assert!(one.is_some() && two.is_some() && three.is_some());
        assert!(enter("2", "eve").is_none() && enter("3", "eve").is_none());
        assert!(enter("4", "adam").is_some());
        drop(one);
        assert!(enter("3", "eve").is_some());
        drop((two, three));
        assert_eq!((house.streams.sessions.count(), house.streams.accounts.count()), (0, 0));
    }
}
