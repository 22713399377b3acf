//! Opening a session. Whether name, password or lock was the cause of a refusal is not told, in words or in time.

use haechi_protocol::{LoggedIn, Refusal};
use haechi_store::SessionKept;
use serde_json::json;

use super::admit::SESSION;
use super::{Accounts, Caller, Proof, limits, manage, outcome, secret};
use crate::unavailable;

/// The question's name, as recorded.
const ACTION: &str = "Login";

impl Accounts {
    /// Opens a session.
    ///
    /// # Errors
    /// Name or password are wrong, or there were too many attempts, or it cannot be recorded.
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        address: &str,
    ) -> Result<LoggedIn, Refusal> {
        let result = self.logged_in(name, password, address).await;
        if let Err(refusal @ (Refusal::WrongPassword | Refusal::TooMany { .. })) = &result {
            let outcome = outcome::<()>(&Err(refusal.clone()));
            self.log.refused(0, "", address, ACTION, name, &outcome).await;
        }
        result
    }

    async fn logged_in(
        &self,
        name: &str,
        password: &str,
        address: &str,
    ) -> Result<LoggedIn, Refusal> {
        let place = limits::place(address);
        // What cannot be a name is nobody's, and counted as one.
        let name = if manage::is_name(name) { name } else { "" };
        let account = self.store.account(name).await.map_err(unavailable)?;
        let known = match &account {
            Some(account) => {
                self.store.knows_address(account.id, &place).await.map_err(unavailable)?
            }
            None => false,
        };
        let attempt = self.limits.begin(name, &place, known, self.clock.passed());
        let attempt = attempt.map_err(|retry_s| Refusal::TooMany { retry_s })?;
        let turn = self.passwords.turn(known).await;
        let turn = turn.inspect_err(|_| self.limits.untried(&attempt))?;
        let fits = self.passwords.fits(turn, account.as_ref(), password).await?;
        let account = account.filter(|account| fits && !account.locked);
        let account = account.ok_or(Refusal::WrongPassword)?;
        self.limits.right(&attempt);

        let secret = secret::new().map_err(unavailable)?;
        let hashed = secret::hashed(&secret).ok_or(Refusal::Unavailable)?;
        let begun = self.clock.now();
        let expires = begun.saturating_add(SESSION).map_err(unavailable)?;
        let session = SessionKept { begun, used: begun, expires };
        // On record first: a session that nobody knows of is worse than a record of none.
        let recorded =
            self.log.record(&account.name, address, ACTION, "", "done", &json!({})).await;
        recorded.map_err(unavailable)?;
        let opened = self.store.open_session(&account, &place, &hashed, &session).await;
        if !opened.map_err(unavailable)? {
            return Err(Refusal::WrongPassword); // changed or locked meanwhile
        }
        let caller = Caller {
            account: account.id,
            role: account.role.parse().map_err(unavailable)?,
            name: account.name,
            scope: None,
            address: address.to_owned(),
            must_change: account.must_change,
            proof: Proof::Session { secret: secret.clone(), expires },
        };
        Ok(LoggedIn { secret, me: caller.me() })
    }
}
