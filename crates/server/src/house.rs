//! What all requests share: how much is taken on, what was counted, and whether it is time to stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use haechi_protocol::Credential;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
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
    pub requests: Semaphore,
    /// Live streams.
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
            requests: Semaphore::new(limits.requests),
            streams: Streams(Crowd::new(limits.streams, limits.streams_per_session)),
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

/// Live streams by who follows them.
#[derive(Debug)]
pub struct Streams(pub Arc<Crowd<[u8; 32]>>);

impl Streams {
    /// A seat for one more stream of whoever has this secret.
    pub fn enter(&self, credential: &Credential) -> Option<Seat<[u8; 32]>> {
        let secret = match credential {
            Credential::None => "",
            Credential::Session { secret, .. } | Credential::Token(secret) => secret,
        };
        // Not the secret itself: this is kept as long as the stream goes on.
        self.0.enter(Sha256::digest(secret).into())
    }
}

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
}
