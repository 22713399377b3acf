//! Keeping accounts: what an admin does on a page, and root on the command line.

use haechi_protocol::{AccountRow, NewAccount, Refusal, Role};
use haechi_store::{AccountKept, Change, Changed};

use super::first::FIRST;
use super::{Accounts, Caller, Proof, limits, password, secret};
use crate::unavailable;

/// Characters of an account's name.
const NAME: std::ops::RangeInclusive<usize> = 2..=32;
/// Names that the audit log uses for others.
const RESERVED: [&str; 2] = ["haechi", "token"];

/// Whether an account may have this name. Letters are those of ASCII, so that no two names look alike.
pub(super) fn is_name(name: &str) -> bool {
    NAME.contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

impl Accounts {
    /// Makes the first account, if there is none: `admin`, with a password that is told this once and has to be changed.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn first(&self) -> Result<Option<String>, Refusal> {
        if !self.accounts().await?.is_empty() {
            return Ok(None);
        }
        match self.add(FIRST, Role::Admin).await {
            Ok(made) => Ok(Some(made.password)),
            Err(Refusal::Conflict) => Ok(None), // another process was faster
            Err(other) => Err(other),
        }
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, Refusal> {
        let all = self.store.accounts().await.map_err(unavailable)?;
        all.into_iter().map(row).collect()
    }

    /// Makes an account with a password that has to be changed.
    ///
    /// # Errors
    /// The name cannot be one, or is taken.
    pub async fn add(&self, name: &str, role: Role) -> Result<NewAccount, Refusal> {
        if !is_name(name) {
            return Err(Refusal::invalid("name", "not-a-name"));
        }
        let password = password::make().map_err(unavailable)?;
        let kept = self.passwords.kept(&password).await?;
        let added = self.store.add_account(name, role.name(), &kept).await.map_err(unavailable)?;
        let account = row(added.ok_or(Refusal::Conflict)?)?;
        Ok(NewAccount { account, password })
    }

    /// Gives an account another role, locks or unlocks it. It counts for the next question that it asks.
    ///
    /// # Errors
    /// There is no such account, or it is the last admin who can log in.
    pub async fn set(
        &self,
        name: &str,
        role: Option<Role>,
        locked: Option<bool>,
    ) -> Result<AccountRow, Refusal> {
        let role = role.map(Role::name);
        self.changed(name, Change::Set { role, locked }).await.and_then(row)
    }

    /// Removes an account with its sessions and tokens.
    ///
    /// # Errors
    /// As [`Accounts::set`].
    pub async fn remove(&self, name: &str) -> Result<(), Refusal> {
        self.changed(name, Change::Remove).await?;
        self.other_password(name);
        Ok(())
    }

    /// Gives an account a new password that has to be changed, and ends its sessions. Its tokens work again when it is
    /// changed.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn reset(&self, name: &str) -> Result<String, Refusal> {
        let password = password::make().map_err(unavailable)?;
        let kept = self.passwords.kept(&password).await?;
        self.changed(name, Change::Reset { password: &kept }).await?;
        self.other_password(name);
        Ok(password)
    }

    async fn changed(&self, name: &str, change: Change<'_>) -> Result<AccountKept, Refusal> {
        match self.store.change_account(name, change).await.map_err(unavailable)? {
            Changed::Done(account) => Ok(account),
            Changed::Missing => Err(Refusal::Missing),
            Changed::LastAdmin => Err(Refusal::Conflict),
        }
    }

    /// Changes the password of whoever asks, and ends the other sessions of the account.
    ///
    /// # Errors
    /// The old one is wrong, or the new one may not be chosen.
    pub(super) async fn choose_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
    ) -> Result<(), Refusal> {
        let Proof::Session { secret: session, .. } = &caller.proof else {
            return Err(Refusal::Forbidden);
        };
        password::judge(new, &caller.name)?;
        if old == new {
            return Err(Refusal::invalid("new", "password-same"));
        }
        let place = limits::place(&caller.address);
        let attempt = self.limits.begin(&caller.name, &place, true, self.clock.passed());
        let attempt = attempt.map_err(|retry_s| Refusal::TooMany { retry_s })?;
        let account = self.store.account(&caller.name).await.map_err(unavailable)?;
        let account = account.filter(|account| account.id == caller.account);
        let turn = self.passwords.turn(true).await;
        let turn = turn.inspect_err(|_| self.limits.untried(&attempt))?;
        if !self.passwords.fits(turn, account.as_ref(), old).await? {
            return Err(Refusal::invalid("old", "password-wrong"));
        }
        self.limits.right(&attempt);
        let account = account.ok_or(Refusal::Unauthenticated)?;
        let kept = self.passwords.kept(new).await?;
        let keep = secret::hashed(session).ok_or(Refusal::Unauthenticated)?;
        let done = self.store.change_password(&account, &kept, &keep).await.map_err(unavailable)?;
        if !done {
            return Err(Refusal::Conflict);
        }
        self.other_password(&caller.name);
        Ok(())
    }
}

fn row(account: AccountKept) -> Result<AccountRow, Refusal> {
    Ok(AccountRow {
        role: account.role.parse().map_err(unavailable)?,
        name: account.name,
        locked: account.locked,
        last_login: account.last_login,
    })
}
