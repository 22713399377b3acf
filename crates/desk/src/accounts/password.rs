//! Passwords: what one has to be, how it is kept (argon2id), and that checking one cannot be used to fill memory.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use haechi_protocol::Refusal;
use haechi_store::AccountKept;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::secret;
use crate::unavailable;

/// Characters of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;
/// Memory (KiB), passes and lanes of argon2id, after OWASP's Password Storage Cheat Sheet.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Passwords that are checked at once.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// How many wait for their turn: of those from known addresses, and of strangers.
const WAITING: usize = 16;
/// Letters of a password that is made: none that are taken for others. Each is worth 5 bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters in a group, and groups.
const GROUPS: (usize, usize) = (4, 5);

/// Long passwords that are tried first, without what is around their letters and digits.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passw0rd",
    "p4ssword",
    "welcome",
    "letmein",
    "iloveyou",
    "qwerty",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertyuiopasdfghjkl",
    "qwerasdfzxcv",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "q1w2e3r4",
    "q1w2e3r4t5",
    "1qaz2wsx",
    "1qaz2wsx3edc",
    "qazwsxedc",
    "zaq12wsx",
    "admin",
    "administrator",
    "root",
    "haechi",
    "docker",
    "container",
    "changeme",
    "changemenow",
    "correcthorsebatterystaple",
    "trustno1",
    "sunshine",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "superman",
    "princess",
    "abcdefghijkl",
    "abcdefgh",
    "abcabcabcabc",
    "default",
    "secret",
    "security",
    "dashboard",
    "비밀번호",
    "관리자",
    "해치",
    "tkfkdgo",
    "dkssudgktpdy",
    "qlalfqjsgh",
];

/// Checks passwords.
pub struct Passwords {
    argon: Argon2<'static>,
    /// What is checked when there is no such account: the same work.
    nobody: String,
    all: Arc<Semaphore>,
    /// Of those, what is for addresses that nobody knows: a flood leaves room for the others.
    strangers: Arc<Semaphore>,
    pub(super) waiting: Semaphore,
    strangers_waiting: Semaphore,
}

/// Leave to check one password.
pub struct Turn(#[expect(dead_code, reason = "held, not read")] Vec<OwnedSemaphorePermit>);

impl Passwords {
    /// With the cost of today.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub fn new() -> anyhow::Result<Self> {
        Self::costing(COST)
    }

    /// With this memory, these passes and lanes.
    pub(super) fn costing((memory, passes, lanes): (u32, u32, u32)) -> anyhow::Result<Self> {
        let params = Params::new(memory, passes, lanes, None)
            .map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon, &secret::new()?)?;
        let semaphore = |size| Arc::new(Semaphore::new(size));
        Ok(Self {
            argon,
            nobody,
            all: semaphore(AT_ONCE),
            strangers: semaphore(AT_ONCE / 2),
            waiting: Semaphore::new(WAITING),
            strangers_waiting: Semaphore::new(WAITING),
        })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Too many wait, or it took too long.
    pub async fn turn(&self, known: bool) -> Result<Turn, Refusal> {
        let retry = || Refusal::TooMany { retry_s: WAIT.as_secs() };
        let waiting = if known { &self.waiting } else { &self.strangers_waiting };
        let _waiting = waiting.try_acquire().map_err(|_| retry())?;
        let turns = async {
            let mut turns = Vec::new();
            if !known {
                turns.push(self.strangers.clone().acquire_owned().await.map_err(|_| retry())?);
            }
            turns.push(self.all.clone().acquire_owned().await.map_err(|_| retry())?);
            Ok(Turn(turns))
        };
        tokio::time::timeout(WAIT, turns).await.map_err(|_| retry())?
    }

    /// Whether a password is that of an account. Takes as long without an account.
    ///
    /// # Errors
    /// The thread ended.
    pub async fn fits(
        &self,
        turn: Turn,
        account: Option<&AccountKept>,
        password: &str,
    ) -> Result<bool, Refusal> {
        let kept = account.map_or_else(|| self.nobody.clone(), |account| account.password.clone());
        let (argon, password) = (self.argon.clone(), password.to_owned());
        let fits = tokio::task::spawn_blocking(move || {
            let _turn = turn; // until the work is done, even if nobody waits for it any more
            let kept = PasswordHash::new(&kept).ok();
            kept.is_some_and(|kept| argon.verify_password(password.as_bytes(), &kept).is_ok())
        });
        Ok(fits.await.map_err(unavailable)? && account.is_some())
    }

    /// A password as it is kept.
    ///
    /// # Errors
    /// The kernel has no random bytes, or the thread ended.
    pub async fn kept(&self, password: &str) -> Result<String, Refusal> {
        let (argon, password) = (self.argon.clone(), password.to_owned());
        let turn = self.turn(true).await?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash(&argon, &password)
        })
        .await
        .map_err(unavailable)?
        .map_err(unavailable)
    }
}

fn hash(argon: &Argon2<'_>, password: &str) -> anyhow::Result<String> {
    let salt = SaltString::encode_b64(&secret::random::<16>()?)
        .map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    let hash = argon.hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| anyhow::anyhow!("argon2: {error}"))?.to_string())
}

/// A password that nobody can guess, in groups that can be typed.
///
/// # Errors
/// The kernel has no random bytes.
pub fn make() -> std::io::Result<String> {
    let bytes = secret::random::<{ GROUPS.0 * GROUPS.1 }>()?;
    let groups: Vec<String> = bytes
        .chunks(GROUPS.0)
        .map(|group| {
            // 256 is a multiple of 32: each letter is as likely.
            let letters = group.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
            letters.map(|letter| char::from(*letter)).collect()
        })
        .collect();
    Ok(groups.join("-"))
}

/// Whether a password may be chosen for an account.
///
/// # Errors
/// It is too short, too long, the account's name, or one that is tried first.
pub fn judge(password: &str, name: &str) -> Result<(), Refusal> {
    let refuse = |problem| Err(Refusal::invalid("new", problem));
    let length = password.chars().count();
    if length < *LENGTH.start() {
        return refuse("password-short");
    }
    if length > *LENGTH.end() {
        return refuse("password-long");
    }
    let lower = password.to_lowercase();
    let name = name.to_lowercase();
    // A name with few letters around it is guessed as soon as the name.
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
    if lower.contains(&name) && letters(&lower.replace(&name, "")) < *LENGTH.start() / 2 {
        return refuse("password-name");
    }
    let inner = lower.trim_matches(|c: char| !c.is_alphabetic());
    let digits_too = lower.trim_matches(|c: char| !c.is_alphanumeric());
    let different: std::collections::BTreeSet<char> = lower.chars().collect();
    let twice = |word: &str| {
        COMMON.iter().any(|common| {
            !word.is_empty() && word.replace(common, "").chars().all(|c| !c.is_alphabetic())
        })
    };
    if different.len() < 5 || inner.is_empty() || twice(inner) || COMMON.contains(&digits_too) {
        return refuse("password-common");
    }
    Ok(())
}

#[cfg(test)]
mod tests {

    use super::*;

    fn problem(password: &str) -> Option<String> {
        match judge(password, "minji") {
            Ok(()) => None,
            Err(Refusal::Invalid { field }) => Some(field.problem),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn short_long_common_and_ones_own_name_are_refused() {
        for (password, expected) in [
            ("elevenchars", "password-short"),
            ("가나다라마바사아자차카", "password-short"),
            ("minjiminji12", "password-name"),
            ("MINJI-2026-11", "password-name"),
            ("Password1234", "password-common"),
            ("passwordpassword", "password-common"),
            ("123456789012", "password-common"),
            ("qwertyuiop12", "password-common"),
            ("1q2w3e4r5t6y", "password-common"),
            ("aaaaaaaaaaaaaaaa", "password-common"),
            ("비밀번호1234567890", "password-common"),
        ] {
            assert_eq!(problem(password).as_deref(), Some(expected), "{password}");
        }
        assert_eq!(problem(&"가".repeat(257)).as_deref(), Some("password-long"));
        for good in [
            "correct horse wins a battery",
            "해치가 지키는 컨테이너 둘",
            "minji has a long one, 27 letters",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for _ in 0..20 {
            assert_eq!(problem(&make().unwrap()), None);
        }
    }

    #[tokio::test]
    async fn hashes_are_argon2id_with_the_cost_that_is_advised() {
        let kept = Passwords::new().unwrap().kept("a password of the test").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
    }

    #[tokio::test]
    async fn strangers_leave_a_turn_and_places_to_wait_for_the_others_and_only_so_many_wait() {
        let passwords = Arc::new(Passwords::costing((8, 1, 1)).unwrap());
        let wait = |known| {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move { passwords.turn(known).await.is_ok() })
        };
        let stranger = passwords.turn(false).await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| wait(false)).collect();
        while passwords.strangers_waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.turn(false).await, Err(Refusal::TooMany { .. })));
        let known = passwords.turn(true).await.unwrap();
        waiting.extend((0..WAITING).map(|_| wait(true)));
        while passwords.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.turn(true).await, Err(Refusal::TooMany { .. })));
        drop((stranger, known));
        for turn in waiting {
            assert!(turn.await.unwrap());
        }
    }
}
