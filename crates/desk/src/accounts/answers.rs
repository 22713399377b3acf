//! Answers to questions about accounts, tokens and the audit log.

use std::collections::BTreeMap;

use haechi_protocol::{
    AccountRow, AddAccount, AddToken, AuditRow, ChangeAccount, ChangePassword, Done, LIMIT_MAX,
    List, ListAccounts, ListAudit, ListTokens, LoggedIn, Login, Logout, Me, NewAccount, NewToken,
    Refusal, RemoveAccount, RemoveToken, Role, TokenRow, Who,
};

use super::{Caller, Proof, secret};
use crate::{Desk, unavailable};

impl Caller {
    /// What is told about whoever asks.
    pub(super) fn me(&self) -> Me {
        let (csrf, expires) = match &self.proof {
            Proof::Session { secret, expires } => (secret::csrf(secret), *expires),
            Proof::Token { expires, .. } => (String::new(), *expires),
            Proof::None => Default::default(),
        };
        let must_change_password = self.must_change;
        Me { name: self.name.clone(), role: self.role, csrf, must_change_password, expires }
    }

    /// The account to which lists are cut; none for an admin.
    fn only_own(&self) -> Option<i64> {
        (self.role < Role::Admin).then_some(self.account)
    }
}

fn whole<T>(rows: Vec<T>) -> List<T> {
    let total = Some(rows.len() as u64);
    List { rows, next: None, total }
}

/// Answers [`Login`].
pub(crate) async fn login(
    desk: &Desk,
    caller: &Caller,
    question: &Login,
) -> Result<LoggedIn, Refusal> {
    desk.accounts.login(&question.name, &question.password, &caller.address).await
}

/// Answers [`Who`].
pub(crate) async fn who(_: &Desk, caller: &Caller, _: &Who) -> Result<Me, Refusal> {
    Ok(caller.me())
}

/// Answers [`Logout`].
pub(crate) async fn logout(desk: &Desk, caller: &Caller, _: &Logout) -> Result<Done, Refusal> {
    let Proof::Session { secret, .. } = &caller.proof else { return Err(Refusal::Forbidden) };
    let hashed = secret::hashed(secret).ok_or(Refusal::Unauthenticated)?;
    desk.accounts.store.end_session(&hashed).await.map_err(unavailable)?;
    Ok(Done {})
}

/// Answers [`ChangePassword`].
pub(crate) async fn change_password(
    desk: &Desk,
    caller: &Caller,
    question: &ChangePassword,
) -> Result<Done, Refusal> {
    desk.accounts.choose_password(caller, &question.old, &question.new).await?;
    Ok(Done {})
}

/// Answers [`ListAudit`].
pub(crate) async fn list_audit(
    desk: &Desk,
    _: &Caller,
    question: &ListAudit,
) -> Result<List<AuditRow>, Refusal> {
    let limit = question.limit.clamp(1, LIMIT_MAX);
    let actor = question.actor.as_deref().filter(|actor| !actor.is_empty());
    // One more, to know whether there is a next page.
    let kept = desk.accounts.store.audit_page(actor, question.before, limit + 1).await;
    let mut kept = kept.map_err(unavailable)?;
    let more = kept.len() > limit as usize;
    kept.truncate(limit as usize);
    let rows: Vec<AuditRow> = kept
        .into_iter()
        .map(|kept| AuditRow {
            number: kept.record.number.cast_signed(),
            at: kept.record.at,
            actor: kept.record.actor,
            address: kept.record.address,
            action: kept.record.action,
            subject: kept.record.subject,
            outcome: kept.record.outcome,
            details: details(&kept.record.detail),
            hash: kept.hash.to_string(),
        })
        .collect();
    let next = rows.last().filter(|_| more).map(|row| row.number.to_string());
    Ok(List { rows, next, total: None })
}

/// Answers [`ListAccounts`].
pub(crate) async fn list(
    desk: &Desk,
    _: &Caller,
    _: &ListAccounts,
) -> Result<List<AccountRow>, Refusal> {
    Ok(whole(desk.accounts.accounts().await?))
}

/// Answers [`AddAccount`].
pub(crate) async fn add(
    desk: &Desk,
    _: &Caller,
    question: &AddAccount,
) -> Result<NewAccount, Refusal> {
    let role = question.role.0.ok_or(Refusal::invalid("role", "empty"))?;
    desk.accounts.add(&question.name, role).await
}

/// Answers [`ChangeAccount`].
pub(crate) async fn change(
    desk: &Desk,
    _: &Caller,
    question: &ChangeAccount,
) -> Result<AccountRow, Refusal> {
    desk.accounts.set(&question.name, question.role, question.locked).await
}

/// Answers [`RemoveAccount`].
pub(crate) async fn remove(
    desk: &Desk,
    _: &Caller,
    question: &RemoveAccount,
) -> Result<Done, Refusal> {
    desk.accounts.remove(&question.name).await?;
    Ok(Done {})
}

/// Answers [`ListTokens`].
pub(crate) async fn tokens(
    desk: &Desk,
    caller: &Caller,
    _: &ListTokens,
) -> Result<List<TokenRow>, Refusal> {
    Ok(whole(desk.accounts.tokens(caller.only_own()).await?))
}

/// Answers [`AddToken`].
pub(crate) async fn add_token(
    desk: &Desk,
    caller: &Caller,
    question: &AddToken,
) -> Result<NewToken, Refusal> {
    let scope = question.scope.0.ok_or(Refusal::invalid("scope", "empty"))?;
    desk.accounts.add_token(&caller.name, &question.name, scope, question.days).await
}

/// Answers [`RemoveToken`].
pub(crate) async fn remove_token(
    desk: &Desk,
    caller: &Caller,
    question: &RemoveToken,
) -> Result<Done, Refusal> {
    // A token may end itself, not what others work with.
    if matches!(caller.proof, Proof::Token { number, .. } if number != question.number) {
        return Err(Refusal::Forbidden);
    }
    desk.accounts.remove_token(question.number, caller.only_own()).await?;
    Ok(Done {})
}

/// The details of a record, by their names.
fn details(json: &str) -> BTreeMap<String, String> {
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    all.into_iter().map(|(name, value)| (name, text(value))).collect()
}
