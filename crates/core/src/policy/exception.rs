//! A failure that the site accepts, and whether it accepts this one. Who made it and where it is kept does not matter here.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matches_pattern;
use crate::finding::{Accepted, Subject, SubjectKind};

/// A failure that the site accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Id of the check.
    pub check: String,
    /// Kind of the subject; any if not given.
    #[serde(default)]
    pub kind: Option<SubjectKind>,
    /// Pattern of the subject's name (`*` and `?`).
    pub subject: String,
    /// Why it is accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it counts, as `2026-12-31`.
    #[schemars(with = "String")]
    pub expires: Date,
}

/// Which of these exceptions accepts a failing check on `today`: the first one that fits.
pub fn accepted<'a>(
    exceptions: impl IntoIterator<Item = &'a Exception>,
    check: &str,
    subject: &Subject,
    today: Date,
) -> Option<Accepted> {
    let exception = exceptions.into_iter().find(|e| {
        e.check == check
            && e.kind.is_none_or(|kind| kind == subject.kind)
            && today <= e.expires
            && matches_pattern(&e.subject, &subject.name)
    })?;
    Some(Accepted {
        reason: exception.reason.clone(),
        owner: exception.owner.clone(),
        expires: exception.expires,
    })
}
