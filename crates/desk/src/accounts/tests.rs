//! What is promised about accounts, on a real store with a clock that the test moves.

mod log;
mod sessions;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use haechi_protocol::{
    AddAccount, AddToken, Ask, Credential, ListAudit, LoggedIn, Logout, Overview, Refusal, Role,
    Route, Verify,
};
use haechi_store::Store;
use jiff::Timestamp;
use tempfile::TempDir;

use super::clock::Clock;
use super::password::Passwords;
use super::*;

const HOME: &str = "192.0.2.7";
const PASSWORD: &str = "the owner chose this one";

/// The machine's clock, and what really passes.
#[derive(Clone, Default)]
struct Hands {
    wall: Arc<AtomicI64>,
    passed: Arc<AtomicI64>,
}

impl Hands {
    fn clock(&self) -> Clock {
        let (wall, passed) = (Arc::clone(&self.wall), Arc::clone(&self.passed));
        Clock::new(
            move || Timestamp::from_second(1_800_000_000 + wall.load(Ordering::SeqCst)).unwrap(),
            move || Duration::from_secs(passed.load(Ordering::SeqCst).try_into().unwrap()),
        )
    }

    /// Time passes.
    fn pass(&self, seconds: i64) {
        self.wall.fetch_add(seconds, Ordering::SeqCst);
        self.passed.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Somebody sets the clock.
    fn set(&self, by: i64) {
        self.wall.fetch_add(by, Ordering::SeqCst);
    }
}

struct Place {
    dir: TempDir,
    hands: Hands,
    store: Store,
    accounts: Accounts,
}

impl Place {
    /// With an admin, and an account of each role that has its name and chose its password.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hands = Hands::default();
        let store = Store::open(&dir.path().join("data")).await.unwrap();
        let accounts = opened(&dir, &hands, &store).await.unwrap();
        let place = Self { dir, hands, store, accounts };
        assert!(place.accounts.first().await.unwrap().is_some());
        for role in Role::ALL {
            if role != Role::Admin {
                place.accounts.add(role.name(), role).await.unwrap();
            }
            place.choose(role.name()).await;
        }
        place
    }

    /// Gives an account the password of these tests, as if its owner had chosen it.
    async fn choose(&self, name: &str) {
        let account = self.store.account(name).await.unwrap().unwrap();
        let kept = self.accounts.passwords.kept(PASSWORD).await.unwrap();
        assert!(self.store.change_password(&account, &kept, &[0; 32]).await.unwrap());
    }

    /// The same data, opened by another process.
    async fn again(&mut self) {
        self.accounts = opened(&self.dir, &self.hands, &self.store).await.unwrap();
    }

    async fn login(&self, name: &str) -> Credential {
        session(&self.accounts.login(name, PASSWORD, HOME).await.unwrap())
    }

    async fn ask(&self, credential: &Credential, ask: impl Into<Ask>) -> Result<Caller, Refusal> {
        self.accounts.admit(credential, HOME, route(ask)).await
    }

    /// Outcomes of an action in the audit log, the oldest first.
    async fn outcomes(&self, action: &str) -> Vec<String> {
        let all = self.store.audit_after(0, 10_000).await.unwrap();
        let of = all.into_iter().filter(|kept| kept.record.action == action);
        of.map(|kept| kept.record.outcome).collect()
    }
}

async fn opened(dir: &TempDir, hands: &Hands, store: &Store) -> anyhow::Result<Accounts> {
    let passwords = Passwords::costing((8, 1, 1))?;
    Accounts::with(store.clone(), &dir.path().join("data"), hands.clock(), passwords).await
}

fn session(logged_in: &LoggedIn) -> Credential {
    Credential::Session { secret: logged_in.secret.clone(), csrf: logged_in.me.csrf.clone() }
}

fn route(ask: impl Into<Ask>) -> &'static Route {
    ask.into().route()
}
