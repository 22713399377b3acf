//! What the site accepted: by its policy, and by people.
//!
//! Whether an exception is about a finding is `haechi-core`'s to say; findings show it at once (see [`crate::checklist`]).

use haechi_core::policy::Exception;
use haechi_protocol::{Accept, Done, ExceptionLine, List, ListExceptions, Refusal, Withdraw};
use haechi_store::StoreError;
use jiff::ToSpan;
use jiff::civil::Date;

use crate::accounts::Caller;
use crate::checklist::today;
use crate::{Desk, unavailable};

/// Characters of a subject's pattern: the longest path there is.
const SUBJECT_MAX: usize = 4096;
/// Characters of a reason.
const REASON_MAX: usize = 1000;

/// The exceptions of the policy's file. A file that cannot be read accepts nothing: then more shows as failing, not less.
pub(crate) fn of_policy(desk: &Desk) -> Vec<Exception> {
    match (desk.setup.policy)() {
        Ok(loaded) => loaded.policy.exceptions,
        Err(error) => {
            tracing::warn!("the exceptions of the policy are not known: {error:#}");
            Vec::new()
        }
    }
}

/// An exception as pages show it.
pub(crate) fn line(number: Option<i64>, exception: Exception, today: Date) -> ExceptionLine {
    ExceptionLine { number, expired: exception.expires < today, exception }
}

/// Answers [`ListExceptions`]: those of people, the newest first, then those of the policy's file.
pub(crate) async fn list(
    desk: &Desk,
    _caller: &Caller,
    _question: &ListExceptions,
) -> Result<List<ExceptionLine>, Refusal> {
    let today = today();
    let stored = desk.setup.store.exceptions().await.map_err(unavailable)?;
    let stored = stored.into_iter().rev().map(|(number, exception)| (Some(number), exception));
    let policy = of_policy(desk).into_iter().map(|exception| (None, exception));
    let rows: Vec<_> =
        stored.chain(policy).map(|(number, exception)| line(number, exception, today)).collect();
    let total = u64::try_from(rows.len()).ok();
    Ok(List { rows, next: None, total })
}

/// Answers [`Accept`].
pub(crate) async fn accept(
    desk: &Desk,
    caller: &Caller,
    question: &Accept,
) -> Result<ExceptionLine, Refusal> {
    let today = today();
    if desk.setup.content.check(&question.check).is_none() {
        return Err(Refusal::invalid("check", "unknown"));
    }
    for (name, text, most) in
        [("subject", &question.subject, SUBJECT_MAX), ("reason", &question.reason, REASON_MAX)]
    {
        if text.trim().is_empty() {
            return Err(Refusal::invalid(name, "empty"));
        }
        if text.chars().count() > most {
            return Err(Refusal::invalid(name, "too-long"));
        }
    }
    if question.expires < today {
        return Err(Refusal::invalid("expires", "in-the-past"));
    }
    if question.expires > today.saturating_add(1.year()) {
        return Err(Refusal::invalid("expires", "more-than-a-year"));
    }
    let exception = Exception {
        check: question.check.clone(),
        kind: question.kind,
        subject: question.subject.clone(),
        reason: question.reason.trim().to_owned(),
        owner: caller.name.clone(),
        expires: question.expires,
    };
    let same = |known: &Exception| {
        let key = |one: &Exception| (one.check.clone(), one.kind, one.subject.clone(), one.expires);
        key(known) == key(&exception)
    };
    let known = desk.setup.store.exceptions().await.map_err(unavailable)?;
    if known.iter().any(|(_, known)| same(known)) {
        return Err(Refusal::Conflict);
    }
    let number = desk.setup.store.add_exception(&exception).await.map_err(unavailable)?;
    Ok(line(Some(number), exception, today))
}

/// Answers [`Withdraw`].
pub(crate) async fn withdraw(
    desk: &Desk,
    _caller: &Caller,
    question: &Withdraw,
) -> Result<Done, Refusal> {
    match desk.setup.store.remove_exception(question.number).await {
        Ok(()) => Ok(Done {}),
        Err(StoreError::NoException(_)) => Err(Refusal::Missing),
        Err(error) => Err(unavailable(error)),
    }
}
