//! What the site accepted: by its policy, and by people.
//!
//! Whether an exception is about a finding is `haechi-core`'s to say; findings show it at once (see [`crate::checklist`]).

use haechi_core::policy::Exception;
use haechi_protocol::{Accept, Done, ExceptionLine, List, ListExceptions, Refusal, Withdraw};
use haechi_store::{ExceptionKept, StoreError};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde_json::json;

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

/// An exception of the policy's file as pages show it.
pub(crate) fn line(exception: Exception, today: Date) -> ExceptionLine {
    ExceptionLine {
        number: None,
        expired: exception.expires < today,
        exception,
        accepted_at: None,
        withdrawn_at: None,
    }
}

/// An exception that is on record as pages show it.
pub(crate) fn kept(kept: ExceptionKept, today: Date) -> ExceptionLine {
    ExceptionLine {
        number: Some(kept.number),
        accepted_at: Some(kept.added),
        withdrawn_at: kept.withdrawn,
        ..line(kept.exception, today)
    }
}

/// Answers [`ListExceptions`]: those of people, the newest first, then those of the policy's file.
pub(crate) async fn list(
    desk: &Desk,
    _caller: &Caller,
    _question: &ListExceptions,
) -> Result<List<ExceptionLine>, Refusal> {
    let today = today();
    let all = desk.setup.store.exceptions_in(Timestamp::MIN, Timestamp::MAX).await;
    let stored = all.map_err(unavailable)?.into_iter().rev().filter(|one| one.withdrawn.is_none());
    let policy = of_policy(desk).into_iter().map(|exception| line(exception, today));
    let rows: Vec<_> = stored.map(|one| kept(one, today)).chain(policy).collect();
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
    tell(desk, caller, "Accepted", number, &exception).await;
    rank_anew(desk, caller).await;
    let accepted_at = Some(Timestamp::now());
    Ok(ExceptionLine { number: Some(number), accepted_at, ..line(exception, today) })
}

/// Says in the audit log which exception it was, with its number: the record of the question has only one of both.
async fn tell(desk: &Desk, caller: &Caller, action: &str, number: i64, exception: &Exception) {
    let about = json!({
        "number": number, "check": exception.check, "reason": exception.reason,
        "owner": exception.owner, "expires": exception.expires,
    });
    let (log, actor) = (desk.accounts.log(), caller.actor());
    let told = log.record(&actor, &caller.address, action, &exception.subject, "done", &about);
    if let Err(error) = told.await {
        tracing::error!("{action} {number} is not in the audit log: {error}");
    }
}

/// Asks for a verification: statuses follow at once, but what is at risk is ranked there.
async fn rank_anew(desk: &Desk, caller: &Caller) {
    if let Err(refusal) = desk.jobs.start("verify", "", &caller.name).await {
        tracing::warn!("no verification could be asked for: {refusal}");
    }
}

/// Answers [`Withdraw`].
pub(crate) async fn withdraw(
    desk: &Desk,
    caller: &Caller,
    question: &Withdraw,
) -> Result<Done, Refusal> {
    let known = desk.setup.store.exceptions().await.map_err(unavailable)?;
    match desk.setup.store.remove_exception(question.number).await {
        Ok(()) => {
            if let Some((number, exception)) = known.iter().find(|(id, _)| *id == question.number) {
                tell(desk, caller, "Withdrew", *number, exception).await;
            }
            rank_anew(desk, caller).await;
            Ok(Done {})
        }
        Err(StoreError::NoException(_)) => Err(Refusal::Missing),
        Err(error) => Err(unavailable(error)),
    }
}
