//! May they? Decided for each question from what the store says now.

use std::sync::PoisonError;

use haechi_protocol::{Ask, Credential, Refusal, Role, Route, Scope};
use haechi_store::{AccountKept, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Accounts, Caller, Proof, outcome, secret};
use crate::unavailable;

/// How long a session lasts without a question.
pub(super) const IDLE: SignedDuration = SignedDuration::from_mins(30);
/// How long a session lasts at most.
pub(super) const SESSION: SignedDuration = SignedDuration::from_hours(12);
/// How exactly it is kept when a session or token was used.
const EXACT: SignedDuration = SignedDuration::from_mins(1);
/// What may be asked before the password was changed.
const BEFORE_CHANGE: [&str; 3] = ["Who", "Logout", "ChangePassword"];
/// What a token may not ask, whatever its scope: what it did would outlive it, or it would be what it is not.
const NOT_BY_TOKEN: [&str; 6] =
    ["Logout", "ChangePassword", "AddToken", "AddAccount", "ChangeAccount", "RemoveAccount"];
/// Parts of questions that are secret.
const SECRET_PARTS: [&str; 3] = ["password", "old", "new"];

impl Accounts {
    /// Who asks, if they may ask this.
    ///
    /// # Errors
    /// They may not, or it cannot be found out.
    pub async fn admit(
        &self,
        credential: &Credential,
        address: &str,
        route: &Route,
    ) -> Result<Caller, Refusal> {
        let anybody = Caller {
            account: 0,
            name: String::new(),
            role: Role::Viewer,
            scope: None,
            address: address.to_owned(),
            must_change: false,
            proof: Proof::None,
        };
        let Some(least) = route.role else { return Ok(anybody) };
        let caller = self.known(credential, anybody, route).await?;
        let allowed = self.allowed(&caller, credential, route, least);
        if let Err(refusal) = &allowed {
            let outcome = outcome::<()>(&Err(refusal.clone()));
            let (account, actor) = (caller.account, caller.actor());
            self.log.refused(account, &actor, address, route.name, "", &outcome).await;
        }
        allowed.map(|()| caller)
    }

    /// Does what somebody asked for who may, on record if it changes something: nothing is done that is not on record
    /// before. To be driven to its end, whether or not somebody still waits for the answer.
    ///
    /// # Errors
    /// Those of the work, or it cannot be recorded and is not done.
    pub async fn deed<T>(
        &self,
        caller: &Caller,
        ask: &Ask,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let route = ask.route();
        // A login is recorded where it is known whose it is.
        if !route.method.changes() || route.role.is_none() {
            return work.await;
        }
        let (subject, detail) = told(ask, route);
        let (actor, address) = (caller.actor(), caller.address.as_str());
        let begun = self.log.begin(&actor, address, route.name, &subject, &detail).await;
        let begun = begun.map_err(unavailable)?;
        let result = work.await;
        begun.end(&outcome(&result)).await;
        result
    }

    /// Whose the secret is.
    async fn known(
        &self,
        credential: &Credential,
        caller: Caller,
        route: &Route,
    ) -> Result<Caller, Refusal> {
        let (account, scope, proof) = match credential {
            Credential::None => return Err(Refusal::Unauthenticated),
            Credential::Session { secret, .. } => {
                let (account, proof) = self.session(secret, route).await?;
                (account, None, proof)
            }
            Credential::Token(secret) => {
                let (account, scope, proof) = self.token(secret).await?;
                (account, Some(scope), proof)
            }
        };
        if account.locked {
            return Err(Refusal::Unauthenticated);
        }
        let role = account.role.parse().map_err(unavailable)?;
        Ok(Caller {
            account: account.id,
            name: account.name,
            role,
            scope,
            must_change: account.must_change,
            proof,
            ..caller
        })
    }

    async fn session(&self, secret: &str, route: &Route) -> Result<(AccountKept, Proof), Refusal> {
        if secret.starts_with(secret::TOKEN) {
            return Err(Refusal::Unauthenticated);
        }
        let hashed = secret::hashed(secret).ok_or(Refusal::Unauthenticated)?;
        let found = self.store.session(&hashed).await.map_err(unavailable)?;
        let (session, account) = found.ok_or(Refusal::Unauthenticated)?;
        let now = self.clock.now();
        let unused = now.duration_since(session.used);
        // Used in the future: the clock was set back over a start, so nobody knows for how long it was not used.
        if now >= session.expires || unused >= IDLE || unused < -EXACT {
            self.store.end_session(&hashed).await.map_err(unavailable)?;
            return Err(Refusal::Unauthenticated);
        }
        // A page that only waits for news does not show that somebody is there.
        if unused >= EXACT && route.name != "News" {
            heed(self.store.session_used(&hashed, now).await);
        }
        Ok((account, Proof::Session { secret: secret.to_owned(), expires: session.expires }))
    }

    async fn token(&self, secret: &str) -> Result<(AccountKept, Scope, Proof), Refusal> {
        if !secret.starts_with(secret::TOKEN) {
            return Err(Refusal::Unauthenticated);
        }
        let hashed = secret::hashed(secret).ok_or(Refusal::Unauthenticated)?;
        let found = self.store.token(&hashed).await.map_err(unavailable)?;
        let (token, account) = found.ok_or(Refusal::Unauthenticated)?;
        let now = self.clock.now();
        if now >= token.expires {
            return Err(Refusal::Unauthenticated);
        }
        if token.used.is_none_or(|used| now.duration_since(used).abs() >= EXACT) {
            heed(self.store.token_used(token.id, now).await);
        }
        let scope = super::tokens::scope(&token.scope).map_err(unavailable)?;
        Ok((
            account,
            scope,
            Proof::Token { number: token.id, name: token.name, expires: token.expires },
        ))
    }

    fn allowed(
        &self,
        caller: &Caller,
        credential: &Credential,
        route: &Route,
        least: Role,
    ) -> Result<(), Refusal> {
        let changes = route.method.changes();
        let allowed = match (&caller.proof, credential) {
            (Proof::Session { secret, .. }, Credential::Session { csrf, .. }) => {
                !changes || secret::same(&secret::csrf(secret), csrf)
            }
            (Proof::Token { .. }, Credential::Token(_)) => {
                let in_scope = !changes || caller.scope == Some(Scope::Write);
                in_scope && !NOT_BY_TOKEN.contains(&route.name)
            }
            _ => false,
        };
        // A token changes no password, so it waits until somebody did.
        let by_token = matches!(caller.proof, Proof::Token { .. });
        let in_time = !caller.must_change || !by_token && BEFORE_CHANGE.contains(&route.name);
        if !allowed || !in_time || caller.role < least {
            return Err(Refusal::Forbidden);
        }
        if changes {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = changes.take(caller.account, self.clock.passed());
            taken.map_err(|retry_s| Refusal::TooMany { retry_s })?;
        }
        Ok(())
    }

    /// Ends the sessions that have run out.
    pub(super) async fn end_sessions(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let idle = now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
        self.store.end_sessions(Some(idle), now).await
    }
}

/// What is only noted does not keep anybody from reading: the disk may be full.
fn heed(noted: Result<(), StoreError>) {
    if let Err(error) = noted {
        tracing::warn!("{error}");
    }
}

/// What a question is about, and its parts without secrets.
fn told(ask: &Ask, route: &Route) -> (String, Value) {
    let value = serde_json::to_value(ask).unwrap_or_default();
    let parts = value.as_object().and_then(|all| all.values().next()).and_then(Value::as_object);
    let mut parts = parts.cloned().unwrap_or_default();
    parts.retain(|name, value| !SECRET_PARTS.contains(&name.as_str()) && !value.is_null());
    let text = |name: &str| match parts.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let in_path: Vec<String> = route.in_path().filter_map(text).collect();
    let subject = if in_path.is_empty() {
        text("subject").or_else(|| text("name")).unwrap_or_default()
    } else {
        in_path.join(" ")
    };
    (subject, json!(parts))
}

#[cfg(test)]
mod tests {
    use haechi_protocol::{Accept, Act, ChangePassword};

    use super::*;

    #[test]
    fn what_is_recorded_of_a_question_has_its_subject_and_no_secret() {
        let told = |ask: Ask| told(&ask, ask.route());
        let change = ChangePassword { old: "old secret".into(), new: "new secret".into() };
        assert_eq!(told(change.into()), (String::new(), json!({})));
        let act = Act { id: "c0ffee".into(), reason: "왜".into(), ..Act::default() };
        let (subject, detail) = told(act.into());
        assert_eq!((subject.as_str(), &detail["reason"]), ("c0ffee", &json!("왜")));
        let accept = Accept { check: "c".into(), subject: "db".into(), ..Accept::default() };
        assert_eq!(told(accept.into()).0, "db");
    }

    #[test]
    fn names_of_questions_are_those_of_the_table() {
        let routes = haechi_protocol::routes();
        for name in BEFORE_CHANGE.iter().chain(&NOT_BY_TOKEN).chain(&["News"]) {
            assert!(routes.iter().any(|route| route.name == *name), "{name}");
        }
    }
}
