//! Against guessing and floods: waits that grow with wrong passwords, and buckets that fill slowly.
//!
//! Three things are counted: wrong passwords from an address, for an account from an address, and for an account from
//! addresses from which nobody ever logged in with it. The last wait is short: whoever attacks an account from elsewhere
//! slows strangers down, and does not keep its owner out. Nothing is kept over a start, and only so much at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Entries that are kept at most; one that was untouched for longest goes first.
const ENTRIES_MAX: usize = 20_000;
/// What is forgotten after so much quiet.
const FORGET: Duration = Duration::from_secs(30 * 60);
/// Bytes of an address that is none.
const ADDRESS_MAX: usize = 64;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(String),
    Both(String, String),
    Account(String),
}

impl Key {
    /// Wrong passwords without a wait, and the longest wait.
    const fn rule(&self) -> (u32, Duration) {
        match self {
            Self::Address(_) => (20, Duration::from_secs(15 * 60)),
            Self::Both(..) => (5, Duration::from_secs(15 * 60)),
            Self::Account(_) => (20, Duration::from_secs(30)),
        }
    }
}

#[derive(Default)]
struct Entry {
    wrong: u32,
    until: Duration,
    touched: Duration,
}

/// Wrong passwords.
#[derive(Default)]
pub struct Limits(Mutex<HashMap<Key, Entry>>);

/// An attempt that counts as wrong until it is known to be right.
#[derive(Debug)]
pub struct Attempt(Vec<Key>);

impl Limits {
    /// Begins an attempt, or says how many seconds to wait. An address is known if somebody logged in from there before.
    pub fn begin(
        &self,
        account: &str,
        address: &str,
        known: bool,
        now: Duration,
    ) -> Result<Attempt, u64> {
        let account = account.to_ascii_lowercase();
        let address = address.to_owned();
        let mut keys = vec![Key::Both(account.clone(), address.clone()), Key::Address(address)];
        if !known {
            keys.push(Key::Account(account));
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            if let Some(entry) = entries.get(key) {
                if now >= entry.touched + FORGET {
                    entries.remove(key);
                } else if now < entry.until {
                    return Err((entry.until - now).as_secs() + 1);
                }
            }
        }
        for key in &keys {
            if !entries.contains_key(key) {
                make_room(&mut entries, now);
            }
            let (free, longest) = key.rule();
            let entry = entries.entry(key.clone()).or_default();
            entry.wrong += 1;
            entry.touched = now;
            if entry.wrong > free {
                let seconds = 1u64.checked_shl(entry.wrong - free - 1).unwrap_or(u64::MAX);
                entry.until = now + Duration::from_secs(seconds).min(longest);
            }
        }
        Ok(Attempt(keys))
    }

    /// The attempt was right: what it counted is taken back, and this account from this address begins anew.
    pub fn right(&self, attempt: &Attempt) {
        self.untried(attempt);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in attempt.0.iter().filter(|key| matches!(key, Key::Both(..))) {
            entries.remove(key);
        }
    }

    /// No password was tried after all: what the attempt counted is taken back, and what was wrong before stays.
    pub fn untried(&self, attempt: &Attempt) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &attempt.0 {
            let Some(entry) = entries.get_mut(key) else { continue };
            entry.wrong = entry.wrong.saturating_sub(1);
            entry.until = Duration::ZERO;
            if entry.wrong == 0 {
                entries.remove(key);
            }
        }
    }
}

fn make_room(entries: &mut HashMap<Key, Entry>, now: Duration) {
    if entries.len() < ENTRIES_MAX {
        return;
    }
    entries.retain(|_, entry| now < entry.touched + FORGET);
    if entries.len() >= ENTRIES_MAX {
        let oldest = entries.iter().min_by_key(|(_, entry)| entry.touched);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            entries.remove(&oldest);
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which is one customer's.
pub fn place(address: &str) -> String {
    let Ok(ip) = address.parse::<IpAddr>() else {
        return address.chars().take(ADDRESS_MAX / 4).collect();
    };
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/64", a, b, c, d)
        }
    }
}

/// Buckets that hold so much and fill slowly; each thing that is done takes one out.
pub struct Buckets<K> {
    size: f64,
    per_second: f64,
    levels: HashMap<K, (f64, Duration)>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Full ones.
    pub fn new(size: f64, per_second: f64) -> Self {
        Self { size, per_second, levels: HashMap::new() }
    }

    /// Takes one out, or says in how many seconds there is one.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), u64> {
        let (size, rate) = (self.size, self.per_second);
        let full = |(level, at): (f64, Duration)| {
            (level + now.saturating_sub(at).as_secs_f64() * rate).min(size)
        };
        if self.levels.len() >= ENTRIES_MAX {
            self.levels.retain(|_, level| full(*level) < size);
        }
        let entry = self.levels.entry(key).or_insert((size, now));
        let level = full(*entry);
        if level < 1.0 {
            // Some seconds; the value is small and positive.
            let wait = Duration::try_from_secs_f64((1.0 - level) / rate).unwrap_or(FORGET);
            return Err(wait.as_secs() + 1);
        }
        *entry = (level - 1.0, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_grow_end_and_are_forgotten() {
        let limits = Limits::default();
        for _ in 0..5 {
            limits.begin("anna", "192.0.2.1", true, at(0)).unwrap();
        }
        let mut now = 0;
        let mut before = 0;
        for _ in 0..20 {
            limits.begin("Anna", "192.0.2.1", true, at(now)).unwrap();
            let wait = limits.begin("anna", "192.0.2.1", true, at(now)).unwrap_err();
            assert!(wait >= before && wait <= 15 * 60 + 1, "{wait} after {before}");
            before = wait;
            now += wait;
        }
        assert!(before > 10 * 60, "{before}");
        assert!(limits.begin("anna", "192.0.2.2", true, at(now)).is_ok(), "elsewhere nobody waits");
        limits.begin("anna", "192.0.2.1", true, at(now)).unwrap();
        assert!(limits.begin("anna", "192.0.2.1", true, at(now + 30 * 60)).is_ok(), "forgotten");
        assert!(limits.begin("anna", "192.0.2.1", true, at(now + 30 * 60)).is_ok());
    }

    #[test]
    fn who_is_attacked_from_everywhere_still_gets_in() {
        let limits = Limits::default();
        let mut waits = 0;
        for attack in 0..5_000u64 {
            let address = format!("198.51.{}.{}", attack / 256, attack % 256);
            waits += u64::from(limits.begin("anna", &address, false, at(attack / 100)).is_err());
        }
        assert!(waits > 4_000, "a flood is slowed down: {waits}");
        assert!(
            limits.begin("anna", "192.0.2.1", true, at(50)).is_ok(),
            "from where she always is"
        );
        let wait = limits.begin("anna", "192.0.2.9", false, at(50)).unwrap_err();
        assert!(wait <= 31, "from elsewhere after a while: {wait}");
        assert!(limits.begin("berta", "192.0.2.9", false, at(50)).is_ok(), "another account");
    }

    #[test]
    fn a_right_password_does_not_excuse_wrong_ones_for_others() {
        let limits = Limits::default();
        let mut refused = false;
        for round in 0..40 {
            refused |= limits.begin(&format!("victim-{round}"), "192.0.2.1", false, at(0)).is_err();
            if let Ok(own) = limits.begin("mallory", "192.0.2.1", true, at(0)) {
                limits.right(&own);
            }
        }
        assert!(refused, "one's own account does not reset the address");
    }

    #[test]
    fn what_was_not_tried_is_not_counted_and_excuses_nothing() {
        let limits = Limits::default();
        for _ in 0..100 {
            limits.untried(&limits.begin("anna", "192.0.2.1", false, at(0)).unwrap());
        }
        for _ in 0..6 {
            limits.begin("anna", "192.0.2.1", false, at(0)).unwrap();
        }
        assert_eq!(limits.begin("anna", "192.0.2.1", false, at(0)).unwrap_err(), 2);
        limits.untried(&limits.begin("anna", "192.0.2.1", false, at(2)).unwrap());
        limits.begin("anna", "192.0.2.1", false, at(2)).unwrap();
        assert_eq!(limits.begin("anna", "192.0.2.1", false, at(2)).unwrap_err(), 3, "it grows on");
    }

    #[test]
    fn memory_is_bounded_and_addresses_are_those_of_one_customer() {
        let limits = Limits::default();
        for n in 0..30_000u32 {
            let _ = limits.begin("anna", &format!("a{n}"), true, at(u64::from(n)));
        }
        assert!(limits.0.lock().unwrap().len() <= ENTRIES_MAX);
        assert_eq!(place("2001:db8:1:2:3:4:5:6"), place("2001:db8:1:2:ffff::1"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!(place("::ffff:192.0.2.1"), "192.0.2.1");
        assert!(place(&"가".repeat(4_000)).len() <= ADDRESS_MAX);
    }

    #[test]
    fn buckets_run_empty_and_fill_again() {
        let mut buckets = Buckets::new(2.0, 0.5);
        buckets.take("a", at(0)).unwrap();
        buckets.take("a", at(0)).unwrap();
        assert_eq!(buckets.take("a", at(0)), Err(3));
        buckets.take("b", at(0)).unwrap();
        buckets.take("a", at(2)).unwrap();
        assert!(buckets.take("a", at(2)).is_err());
    }
}
