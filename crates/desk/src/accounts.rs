//! Accounts, sessions, tokens and the audit log: who asks, what it may ask, and what it did.
//!
//! The desk asks [`Accounts::admit`] who asks and whether they may, does what changes something within
//! [`Accounts::deed`], calls [`Accounts::tend`] once a minute, and at the end [`AuditLog::close`].
//!
//! Everything here is decided at the moment of asking and from the store: a role that was taken away, a lock, a removed
//! token counts for the next question. Nothing here knows HTTP. Secrets are kept as hashes, and are never logged.

mod admit;
mod answers;
mod audit;
mod clock;
mod first;
mod keys;
mod limits;
mod login;
mod manage;
mod password;
mod secret;
mod tokens;

use std::path::Path;
use std::sync::{Arc, Mutex};

use haechi_protocol::{Role, Scope};
use haechi_store::{Store, StoreError};

pub(crate) use answers::*;
pub use audit::{AuditLog, Begun, outcome};
use clock::Clock;
pub use keys::{HEAD_FILE, PUBLIC_FILE};
use limits::{Buckets, Limits};
use password::Passwords;

/// Changes that an account may make at once, and then each second: what is recorded must not fill the disk.
const CHANGES: (f64, f64) = (300.0, 2.0);

/// Keeps accounts, sessions and tokens.
pub struct Accounts {
    store: Store,
    clock: Arc<Clock>,
    passwords: Passwords,
    limits: Limits,
    changes: Mutex<Buckets<i64>>,
    log: AuditLog,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Number of the account; 0 before a login.
    pub account: i64,
    /// Name of the account; empty before a login.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What the token may be used for; absent with a session.
    pub scope: Option<Scope>,
    /// From which address.
    pub address: String,
    /// Whether the password has to be changed before anything else.
    pub(crate) must_change: bool,
    /// What proved who asks.
    pub(crate) proof: Proof,
}

/// What proved who asks.
#[derive(Clone, Default)]
pub(crate) enum Proof {
    /// Nothing.
    #[default]
    None,
    /// A session: its secret and end.
    Session { secret: String, expires: jiff::Timestamp },
    /// A token: its number, name and end.
    Token { number: i64, name: String, expires: jiff::Timestamp },
}

impl std::fmt::Debug for Proof {
    /// Names the kind; a secret is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Session { .. } => "Session(…)",
            Self::Token { .. } => "Token(…)",
        })
    }
}

impl Caller {
    /// Who asks, as the audit log says it: an account, or `token NAME of ACCOUNT`; empty before a login.
    pub fn actor(&self) -> String {
        match &self.proof {
            Proof::Token { name, .. } => format!("token {name} of {}", self.name),
            _ => self.name.clone(),
        }
    }
}

impl Accounts {
    /// Opens what is kept. The folder holds the keys of the audit log, made if there was never one.
    ///
    /// # Errors
    /// The store cannot be used, or the keys do not belong to the log.
    pub async fn open(store: Store, data_dir: &Path) -> anyhow::Result<Self> {
        Self::with(store, data_dir, Clock::of_system(), Passwords::new()?).await
    }

    async fn with(
        store: Store,
        data_dir: &Path,
        clock: Clock,
        passwords: Passwords,
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(clock);
        let newest = store.audit_page(None, None, 1).await?;
        let log = AuditLog::with(store.clone(), data_dir, Arc::clone(&clock)).await?;
        let accounts = Self {
            store,
            clock,
            passwords,
            limits: Limits::default(),
            changes: Mutex::new(Buckets::new(CHANGES.0, CHANGES.1)),
            log,
        };
        // Something was done later than now: the clock was set back while nobody ran. How long a session was unused
        // cannot be said any more.
        let now = accounts.clock.now();
        if newest.iter().any(|kept| kept.record.at > now) {
            accounts.store.end_sessions(None, now).await?;
        }
        Ok(accounts)
    }

    /// The audit log.
    pub fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Records what somebody did, or Haechi by itself; details are JSON. See [`AuditLog::record`].
    ///
    /// # Errors
    /// It is not recorded.
    pub async fn record(
        &self,
        actor: &str,
        address: &str,
        action: &str,
        subject: &str,
        outcome: &str,
        detail: &str,
    ) -> Result<u64, StoreError> {
        let detail = serde_json::from_str(detail).unwrap_or_else(|_| detail.into());
        self.log.record(actor, address, action, subject, outcome, &detail).await
    }

    /// What has to be done now and then, about once a minute: ends sessions that have run out, tells of refusals that were
    /// not recorded one by one, and signs the log. What fails is told in the desk's own log and tried again next time.
    pub async fn tend(&self) {
        if let Err(error) = self.end_sessions().await {
            tracing::warn!("sessions that have run out could not be ended: {error}");
        }
        self.log.tend().await;
    }
}

#[cfg(test)]
mod tests;
