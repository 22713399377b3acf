//! What changed between two verifications: new, fixed and changed findings, with evidence before and after.
//!
//! A finding is recognised again by its check and its subject's kind and name: a container that was made
//! anew under the same name is the same subject to the people who run it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Area, Cause, Severity, Status, SubjectKind};

/// The part of a finding that is kept with every verification, without texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Id of the check.
    pub check: String,
    /// Kind of the subject.
    pub kind: SubjectKind,
    /// Name of the subject.
    pub name: String,
    /// Id of the subject.
    pub id: String,
    /// Area of the check.
    pub area: Area,
    /// Severity of the check.
    pub severity: Severity,
    /// What was decided.
    pub status: Status,
    /// Why it could not be verified.
    pub cause: Option<Cause>,
    /// What was seen.
    pub seen: Vec<String>,
}

/// How a finding changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Open now, and was not: it fails or cannot be verified any more.
    New,
    /// Was open, and is not any more (mended, accepted, or the subject is gone).
    Fixed,
    /// Open before and now, with another status or other evidence.
    Changed,
}

/// One changed finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// How it changed.
    pub change: Change,
    /// As it was; absent if there was no such finding.
    pub before: Option<Kept>,
    /// As it is; absent if there is no such finding any more.
    pub after: Option<Kept>,
}

/// Compares two verifications. Sorted by change, severity (worst first), check and subject.
pub fn diff(before: &[Kept], after: &[Kept]) -> Vec<Difference> {
    type Key<'a> = (&'a str, SubjectKind, &'a str);
    fn key(kept: &Kept) -> Key<'_> {
        (&kept.check, kept.kind, &kept.name)
    }
    let mut pairs: BTreeMap<Key<'_>, (Option<&Kept>, Option<&Kept>)> = BTreeMap::new();
    for kept in before {
        pairs.entry(key(kept)).or_default().0 = Some(kept);
    }
    for kept in after {
        pairs.entry(key(kept)).or_default().1 = Some(kept);
    }
    let is_open = |kept: Option<&Kept>| {
        kept.is_some_and(|k| matches!(k.status, Status::Fail | Status::Unverified))
    };
    let mut differences: Vec<Difference> = pairs
        .into_values()
        .filter_map(|(was, is)| {
            let change = match (is_open(was), is_open(is)) {
                (false, true) => Change::New,
                (true, false) => Change::Fixed,
                (true, true) => {
                    let same = was.zip(is).is_some_and(|(a, b)| {
                        a.status == b.status && a.seen == b.seen && a.cause == b.cause
                    });
                    if same {
                        return None;
                    }
                    Change::Changed
                }
                (false, false) => return None,
            };
            Some(Difference { change, before: was.cloned(), after: is.cloned() })
        })
        .collect();
    differences.sort_by_key(|d| {
        let kept = d.after.as_ref().or(d.before.as_ref());
        (
            d.change,
            std::cmp::Reverse(kept.map(|k| k.severity)),
            kept.map(|k| (k.check.clone(), k.kind, k.name.clone())),
        )
    });
    differences
}
