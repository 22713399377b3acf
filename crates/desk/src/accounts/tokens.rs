//! API tokens: a secret that works without a login, until a day, for reading or for everything that its account may.

use haechi_protocol::{NewToken, Refusal, Scope, TokenRow};
use haechi_store::TokenKept;
use jiff::SignedDuration;

use super::{Accounts, secret};
use crate::unavailable;

/// Characters of a token's name.
const NAME: std::ops::RangeInclusive<usize> = 1..=64;
/// Days until it ends.
const DAYS: std::ops::RangeInclusive<u16> = 1..=365;
/// Tokens of one account.
const TOKENS_MAX: u32 = 50;

/// Whether a token may have this name: letters of any script, digits, `.`, `_`, `-`. It has no spaces, so that
/// `token NAME of ACCOUNT` in the audit log means one thing.
fn is_name(name: &str) -> bool {
    NAME.contains(&name.chars().count())
        && name.chars().all(|c| c.is_alphanumeric() || ['.', '_', '-'].contains(&c))
}

/// A scope as it is kept.
const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
    }
}

/// A scope that was kept.
pub(super) fn scope(name: &str) -> Result<Scope, String> {
    let found = [Scope::Read, Scope::Write].into_iter().find(|scope| scope_name(*scope) == name);
    found.ok_or_else(|| format!("{name:?} is no scope"))
}

impl Accounts {
    /// Tokens of one account, or of all; the newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn tokens(&self, account: Option<i64>) -> Result<Vec<TokenRow>, Refusal> {
        let all = self.store.tokens(account).await.map_err(unavailable)?;
        all.into_iter().map(row).collect()
    }

    /// Makes a token of an account.
    ///
    /// # Errors
    /// There is no such account, it has too many, or a part is wrong.
    pub async fn add_token(
        &self,
        account: &str,
        name: &str,
        scope: Scope,
        days: u16,
    ) -> Result<NewToken, Refusal> {
        if !is_name(name) {
            return Err(Refusal::invalid("name", "not-a-token-name"));
        }
        if !DAYS.contains(&days) {
            return Err(Refusal::invalid("days", "not-1-to-365"));
        }
        let owner = self.store.account(account).await.map_err(unavailable)?;
        let owner = owner.ok_or(Refusal::Missing)?;
        let secret = format!("{}{}", secret::TOKEN, secret::new().map_err(unavailable)?);
        let hashed = secret::hashed(&secret).ok_or(Refusal::Unavailable)?;
        let lasts = SignedDuration::from_hours(24 * i64::from(days));
        let mut token = TokenKept {
            id: 0,
            account: owner.name,
            name: name.to_owned(),
            scope: scope_name(scope).to_owned(),
            expires: self.clock.now().saturating_add(lasts).map_err(unavailable)?,
            used: None,
        };
        let added = self.store.add_token(owner.id, &hashed, &token, TOKENS_MAX).await;
        token.id =
            added.map_err(unavailable)?.ok_or(Refusal::invalid("name", "too-many-tokens"))?;
        Ok(NewToken { token: row(token)?, secret })
    }

    /// Removes a token, of this account only if one is given.
    ///
    /// # Errors
    /// There is no such token.
    pub async fn remove_token(&self, number: i64, account: Option<i64>) -> Result<(), Refusal> {
        let removed = self.store.remove_token(number, account).await.map_err(unavailable)?;
        if removed { Ok(()) } else { Err(Refusal::Missing) }
    }
}

fn row(token: TokenKept) -> Result<TokenRow, Refusal> {
    Ok(TokenRow {
        number: token.id,
        account: token.account,
        name: token.name,
        scope: scope(&token.scope).map_err(unavailable)?,
        expires: token.expires,
        used: token.used,
    })
}
