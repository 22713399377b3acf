//! Tells records that changed places from records that say something else.
//!
//! A record's hash is over its number and over the hash before it, so one that was given another number fits neither;
//! but it still fits its old number. Only the first few records that do not fit are looked at: that is a help for
//! people, and what is not found here stays what it was called, changed.

use crate::{Hash, Kept};

/// Records that are compared with each other.
const SUSPECTS_MAX: usize = 16;

/// A record that does not fit where it stands.
struct Suspect {
    kept: Kept,
    before: Hash,
}

/// What a record that does not fit turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It stood elsewhere.
    Moved,
    /// It stands where it stood; a record before it moved.
    Neighbour,
}

/// The first records that do not fit.
#[derive(Default)]
pub struct Suspects(Vec<Suspect>);

impl Suspects {
    /// Keeps a record that does not fit after this hash.
    pub fn add(&mut self, kept: Kept, before: Hash) {
        if self.0.len() < SUSPECTS_MAX {
            self.0.push(Suspect { kept, before });
        }
    }

    /// What they turned out to be, by number; only those for which that is certain.
    pub fn found(&self) -> Vec<(u64, Found)> {
        // The hash that stood before a record may stand before another one now, or be that of another suspect.
        let hashes: Vec<Hash> =
            self.0.iter().flat_map(|suspect| [suspect.before, suspect.kept.hash]).collect();
        let fits = |kept: &Kept, number: u64| {
            let mut record = kept.record.clone();
            record.number = number;
            hashes.iter().any(|before| record.hash(*before) == kept.hash)
        };
        let others = || self.0.iter().map(|suspect| suspect.kept.record.number);
        let mut found = Vec::new();
        for Suspect { kept, .. } in &self.0 {
            let number = kept.record.number;
            if others().any(|other| other != number && fits(kept, other)) {
                found.push((number, Found::Moved));
            } else if fits(kept, number) {
                found.push((number, Found::Neighbour));
            }
        }
        // A record whose predecessor was written anew fits an old hash as well; it is a neighbour only of one that moved.
        if !found.iter().any(|(_, what)| *what == Found::Moved) {
            found.clear();
        }
        found
    }
}
