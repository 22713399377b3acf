//! Goes through a log and finds what somebody did to it. Reads each record once and keeps none.

use ed25519_dalek::VerifyingKey;
use serde::Serialize;

use crate::swap::{Found, Suspects};
use crate::{BROKEN, Checkpoint, EVERY, Hash, Kept};

/// Faults that are listed; what comes after them is counted.
const FAULTS_MAX: usize = 100;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// What the record says is not what was hashed, or the record before it was written anew.
    Changed,
    /// The records are missing; later ones are there.
    Removed,
    /// The record stood elsewhere, or stands behind a newer one, or is there twice.
    Reordered,
    /// A checkpoint has another hash for the last of the records: one of them was written anew with all after it.
    Rewritten,
    /// The records are missing at the end: a checkpoint has the last of them.
    Truncated,
    /// The checkpoint for the record was not signed with this key.
    Forged,
    /// So many records have no checkpoint that one was removed.
    Unsigned,
    /// The record says that those before it may have been cut off or written anew.
    Broken,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Changed,
        Self::Removed,
        Self::Reordered,
        Self::Rewritten,
        Self::Truncated,
        Self::Forged,
        Self::Unsigned,
        Self::Broken,
    ];

    /// The name as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Rewritten => "rewritten",
            Self::Truncated => "truncated",
            Self::Forged => "forged",
            Self::Unsigned => "unsigned",
            Self::Broken => "broken",
        }
    }
}

/// Something wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Number of the first record that it concerns.
    pub first: u64,
    /// Number of the last one.
    pub last: u64,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Records that were read.
    pub records: u64,
    /// Number of the last one.
    pub last: u64,
    /// Up to which number a checkpoint vouches for them; what is after it could be removed without being missed.
    pub signed: u64,
    /// Checkpoints that were looked at.
    pub checkpoints: u64,
    /// What is wrong, by the first record that it concerns.
    pub faults: Vec<Fault>,
    /// Faults that are not listed.
    pub faults_more: u64,
}

impl Verdict {
    /// Whether nothing is wrong. That says nothing about records after [`Verdict::signed`].
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, first: u64, last: u64, wrong: Wrong) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { first, last, wrong });
        } else {
            self.faults_more += 1;
        }
    }

    /// Calls records that changed places so, and forgets that those beside them do not fit.
    fn tell_apart(&mut self, suspects: &Suspects) {
        for (number, found) in suspects.found() {
            let at = |fault: &Fault| fault.first == number && fault.wrong == Wrong::Changed;
            match found {
                Found::Moved => self
                    .faults
                    .iter_mut()
                    .filter(|fault| at(fault))
                    .for_each(|fault| fault.wrong = Wrong::Reordered),
                Found::Neighbour => self.faults.retain(|fault| !at(fault)),
            }
        }
        self.faults.sort_by_key(|fault| fault.first);
    }
}

/// Goes through the records in the order in which they are kept, with all checkpoints that there are: those kept beside
/// the log and those kept elsewhere.
///
/// # Errors
/// Those of the records themselves: they could not be read.
pub fn check<E>(
    records: impl IntoIterator<Item = Result<Kept, E>>,
    checkpoints: &[Checkpoint],
    key: &VerifyingKey,
) -> Result<Verdict, E> {
    let mut verdict = Verdict { checkpoints: checkpoints.len() as u64, ..Verdict::default() };
    let mut points: Vec<&Checkpoint> = Vec::new();
    for point in checkpoints {
        if point.is_signed_by(key) {
            points.push(point);
        } else {
            verdict.fault(point.number, point.number, Wrong::Forged);
        }
    }
    points.sort_by_key(|point| point.number);
    let mut waiting = points.into_iter().peekable();
    let mut before = Hash::NONE;
    let mut suspects = Suspects::default();
    // The last record that any checkpoint is for, whether it fits or not.
    let mut pointed = 0;
    for kept in records {
        let kept = kept?;
        let Kept { record, hash } = &kept;
        let (number, hash) = (record.number, *hash);
        verdict.records += 1;
        if number <= verdict.last {
            verdict.fault(number, number, Wrong::Reordered);
            continue;
        }
        if number > verdict.last + 1 {
            // Nothing is known of the hash before; the chain is followed from here.
            verdict.fault(verdict.last + 1, number - 1, Wrong::Removed);
        } else if record.hash(before) != hash {
            verdict.fault(number, number, Wrong::Changed);
            suspects.add(kept, before);
        } else if BROKEN == (&*record.actor, &*record.action, &*record.outcome) {
            verdict.fault(number, number, Wrong::Broken);
        }
        before = hash;
        verdict.last = number;
        while let Some(point) = waiting.next_if(|point| point.number <= number) {
            if point.number == number && point.hash == hash {
                verdict.signed = number;
            } else if point.number == number {
                verdict.fault(verdict.signed + 1, number, Wrong::Rewritten);
            }
            // One for a record that is missing before this one was told as removed.
            pointed = point.number;
        }
        if number == pointed + EVERY + 1 {
            verdict.fault(pointed + 1, number, Wrong::Unsigned);
        }
    }
    for point in waiting {
        // A record that is not at the end but out of its place was told as reordered; the checkpoint has it all the same.
        if point.number > verdict.last {
            verdict.fault(verdict.last + 1, point.number, Wrong::Truncated);
        }
    }
    verdict.tell_apart(&suspects);
    Ok(verdict)
}

#[cfg(test)]
mod tests {

    use std::convert::Infallible;

    use ed25519_dalek::SigningKey;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::Record;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn log(length: u64) -> Vec<Kept> {
        let mut before = Hash::NONE;
        (1..=length)
            .map(|number| {
                let record = Record {
                    number,
                    at: Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap())
                        .unwrap(),
                    actor: "민지".into(),
                    address: "192.0.2.1".into(),
                    action: "Accept".into(),
                    subject: format!("container-{number}"),
                    outcome: "done".into(),
                    detail: "{}".into(),
                };
                before = record.hash(before);
                Kept { record, hash: before }
            })
            .collect()
    }

    fn point(log: &[Kept], number: usize) -> Checkpoint {
        let kept = &log[number - 1];
        Checkpoint::sign(kept.record.number, kept.hash, Timestamp::UNIX_EPOCH, &key())
    }

    fn found(log: &[Kept], points: &[Checkpoint]) -> Verdict {
        let records = log.iter().cloned().map(Ok::<_, Infallible>);
        check(records, points, &key().verifying_key()).unwrap()
    }

    fn all(verdict: &Verdict) -> Vec<(u64, u64, Wrong)> {
        verdict.faults.iter().map(|fault| (fault.first, fault.last, fault.wrong)).collect()
    }

    #[test]
    fn a_whole_log_is_whole() {
        let log = log(10);
        let verdict = found(&log, &[point(&log, 4), point(&log, 9)]);
        assert!(verdict.is_whole(), "{verdict:?}");
        assert_eq!((verdict.records, verdict.last, verdict.signed), (10, 10, 9));
        assert!(found(&[], &[]).is_whole());
    }

    /// Gives all records numbers without gaps and hashes that fit.
    fn chained_anew(log: &mut [Kept]) {
        let mut before = Hash::NONE;
        for (kept, number) in log.iter_mut().zip(1..) {
            kept.record.number = number;
            kept.hash = kept.record.hash(before);
            before = kept.hash;
        }
    }

    #[test]
    fn each_kind_of_change_is_found_and_named() {
        use Wrong::{Changed, Forged, Removed, Reordered, Rewritten, Truncated};
        let whole = log(10);
        let points = [point(&whole, 4), point(&whole, 10)];
        let mut changed = whole.clone();
        changed[4].record.subject.push('x');
        assert_eq!(all(&found(&changed, &points)), [(5, 5, Changed)]);
        let mut moved = whole.clone();
        let letter = moved[4].record.action.pop().unwrap();
        moved[4].record.subject.insert(0, letter);
        assert_eq!(all(&found(&moved, &points)), [(5, 5, Changed)]);
        let mut own_hash = whole.clone();
        own_hash[4].record.subject.push('x');
        own_hash[4].hash = own_hash[4].record.hash(own_hash[3].hash);
        assert_eq!(all(&found(&own_hash, &points)), [(6, 6, Changed)], "it or the one before it");
        let mut removed = whole.clone();
        removed.drain(4..6);
        assert_eq!(all(&found(&removed, &points)), [(5, 6, Removed)]);
        let mut first = whole.clone();
        first.remove(0);
        assert_eq!(all(&found(&first, &points)), [(1, 1, Removed)]);
        let mut lines = whole.clone();
        lines.swap(4, 5);
        assert_eq!(all(&found(&lines, &points)), [(5, 5, Removed), (5, 5, Reordered)]);
        let mut twice = whole.clone();
        twice.insert(5, whole[4].clone());
        assert_eq!(all(&found(&twice, &points)), [(5, 5, Reordered)]);
        assert_eq!(all(&found(&whole[..8], &points)), [(9, 10, Truncated)]);
        assert_eq!(all(&found(&[], &points)), [(1, 4, Truncated), (1, 10, Truncated)]);
        let mut rewritten = whole.clone();
        rewritten[5].record.actor = "nobody".into();
        chained_anew(&mut rewritten);
        assert_eq!(all(&found(&rewritten, &points)), [(5, 10, Rewritten)]);
        let mut closed = whole.clone();
        closed.remove(4);
        chained_anew(&mut closed);
        assert_eq!(all(&found(&closed, &points)), [(10, 10, Truncated)]);
        let mut forged = points[1].clone();
        forged.number = 9;
        forged.hash = whole[8].hash;
        assert_eq!(all(&found(&whole[..9], &[forged])), [(9, 9, Forged)]);
        let other = SigningKey::from_bytes(&[8; 32]);
        let foreign = Checkpoint::sign(10, whole[9].hash, Timestamp::UNIX_EPOCH, &other);
        assert_eq!(all(&found(&whole, &[foreign])), [(10, 10, Forged)]);
    }

    #[test]
    fn records_that_changed_places_are_told_from_changed_ones() {
        let whole = log(40);
        let points = [point(&whole, 40)];
        for (a, b) in [(4, 5), (4, 6), (0, 39), (11, 30), (0, 1)] {
            let mut log = whole.clone();
            log.swap(a, b);
            let (one, other) = (log[a].record.number, log[b].record.number);
            log[a].record.number = other;
            log[b].record.number = one;
            let faults = all(&found(&log, &points));
            let (a, b) = (a as u64 + 1, b as u64 + 1);
            let mut wanted = vec![(a, a, Wrong::Reordered), (b, b, Wrong::Reordered)];
            if b == 40 {
                wanted.insert(1, (1, 40, Wrong::Rewritten));
            }
            assert_eq!(faults, wanted, "{a} and {b}");
        }
    }

    #[test]
    fn removed_checkpoints_are_missed() {
        let whole = log(350);
        let points: Vec<Checkpoint> =
            [100, 160, 260, 350].iter().map(|number| point(&whole, *number)).collect();
        assert!(found(&whole, &points).is_whole());
        let faults = all(&found(&whole, &[&points[..1], &points[2..]].concat()));
        assert_eq!(faults, [(101, 201, Wrong::Unsigned)]);
        let verdict = found(&whole, &points[..2]);
        assert_eq!(all(&verdict), [(161, 261, Wrong::Unsigned)]);
        assert_eq!(verdict.signed, 160);
        assert_eq!(all(&found(&whole, &[])), [(1, 101, Wrong::Unsigned)]);
    }

    proptest! {
        #[test]
        fn no_single_change_of_a_signed_log_goes_unnoticed(at in 0usize..20, what in 0u8..6, length in 1usize..20) {
            let whole = log(length as u64);
            let points = [point(&whole, length)];
            let mut other = whole.clone();
            let at = at % length;
            match what {
                0 => { other.remove(at); }
                1 => other[at].record.outcome.push('!'),
                2 => other[at].record.at = Timestamp::UNIX_EPOCH,
                3 => other.truncate(at),
                4 => other[at].hash.0[at] ^= 1,
                _ => other.swap(at, length - 1),
            }
            prop_assert_eq!(found(&other, &points).is_whole(), other == whole);
        }
    }
}
