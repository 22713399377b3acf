//! The audit log, as the desk and the commands write it: what is done is on record before it is done.
//!
//! A deed has two records, `begun` and what came of it: if Haechi is killed between them, the first one stays. If the first
//! cannot be written, nothing is done. Refusals are recorded as well, but not each one of a flood: some one by one, the
//! rest as numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use haechi_audit::{BROKEN, Checkpoint, Hash, Record};
use haechi_core::text::visible;
use haechi_protocol::Refusal;
use haechi_store::{Store, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::clock::Clock;
use super::keys::{self, Head};
use super::limits::Buckets;

/// Bytes of each text of a record; what is longer is cut.
const TEXT_MAX: usize = 256;
/// Bytes of each text in a record's details.
const DETAIL_TEXT_MAX: usize = 1_024;
/// Bytes of a record's details.
const DETAIL_MAX: usize = 8 << 10;
/// Refusals of an account, and of all callers without one, that are recorded one by one: at once, and then each second.
const REFUSALS: (f64, f64) = (20.0, 1.0 / 60.0);
/// How often those that were not recorded are told as numbers.
const SUMMARY: Duration = Duration::from_secs(10 * 60);
/// Whoever does what nobody asked for.
const HAECHI: &str = "haechi";

/// Writes the audit log.
pub struct AuditLog {
    store: Store,
    dir: PathBuf,
    key: SigningKey,
    clock: Arc<Clock>,
    flood: Mutex<Flood>,
}

/// Refusals.
struct Flood {
    /// By account; 0 for all who have none.
    each: Buckets<i64>,
    /// Action and outcome of those that are not recorded, with their number.
    counted: BTreeMap<(String, String), u64>,
    since: Duration,
}

/// Something that was begun.
pub struct Begun<'a> {
    log: &'a AuditLog,
    record: Record,
}

impl AuditLog {
    /// Opens the log of a store; its keys are in this folder, and are made if there was never one.
    ///
    /// # Errors
    /// The store cannot be used, or the keys do not belong to the log.
    pub async fn open(store: Store, dir: &Path) -> anyhow::Result<Self> {
        Self::with(store, dir, Arc::new(Clock::of_system())).await
    }

    pub(super) async fn with(store: Store, dir: &Path, clock: Arc<Clock>) -> anyhow::Result<Self> {
        let newest = store.newest_checkpoint().await?;
        let key = keys::open(dir, newest.is_some())?;
        let (size, rate) = REFUSALS;
        let flood = Mutex::new(Flood {
            each: Buckets::new(size, rate),
            counted: BTreeMap::new(),
            since: Duration::ZERO,
        });
        let log = Self { store, dir: dir.to_owned(), key, clock, flood };
        if let Some(why) = log.head_wrong().await? {
            // It would be overwritten by and by: it is put aside, and the log itself says so from here on.
            tracing::error!(
                "{}: the audit log may have been cut or written anew: {why}",
                dir.display()
            );
            match keys::head(dir) {
                Head::Missing => {}
                Head::Unreadable => keys::put_unreadable_aside(dir)?,
                Head::There(head) => keys::put_head_aside(dir, head.number)?,
            }
            let (actor, action, outcome) = BROKEN;
            log.record(actor, "", action, "", outcome, &why).await?;
        }
        if let Some(newest) = newest {
            keys::write_head(dir, &newest)?; // killed between the two
        }
        Ok(log)
    }

    /// The folder of the data.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Why the newest checkpoint outside of the database does not fit the log; nothing if it does.
    async fn head_wrong(&self) -> Result<Option<Value>, StoreError> {
        let head = match keys::head(&self.dir) {
            // Of one checkpoint it may be that Haechi was killed before it wrote the file.
            Head::Missing if self.store.checkpoints().await?.len() < 2 => return Ok(None),
            Head::Missing => return Ok(Some(json!({ "head": "missing" }))),
            Head::Unreadable => return Ok(Some(json!({ "head": "unreadable" }))),
            Head::There(head) => head,
        };
        let kept = self.store.audit_after(head.number.saturating_sub(1), 1).await?;
        let is_there =
            kept.iter().any(|kept| kept.record.number == head.number && kept.hash == head.hash);
        let fits = is_there && head.is_signed_by(&self.key.verifying_key());
        Ok((!fits).then(|| json!({ "head": "does not fit", "checkpoint": head.number })))
    }

    /// Records what somebody did; its number. Texts are made visible and cut, so that a name can be given as it came.
    ///
    /// # Errors
    /// It is not recorded. What it would have told must not be done.
    pub async fn record(
        &self,
        actor: &str,
        address: &str,
        action: &str,
        subject: &str,
        outcome: &str,
        detail: &Value,
    ) -> Result<u64, StoreError> {
        self.add(self.written(actor, address, action, subject, outcome, detail)).await
    }

    /// Records that something is about to be done. It must not be done if this fails.
    ///
    /// # Errors
    /// It is not recorded.
    pub async fn begin(
        &self,
        actor: &str,
        address: &str,
        action: &str,
        subject: &str,
        detail: &Value,
    ) -> Result<Begun<'_>, StoreError> {
        let record = self.written(actor, address, action, subject, "begun", detail);
        let number = self.add(record.clone()).await?;
        let detail = json!({ "begun": number }).to_string();
        Ok(Begun { log: self, record: Record { detail, ..record } })
    }

    /// Records a refusal of an account (0: of somebody without one), or counts it if there are too many of it.
    pub async fn refused(
        &self,
        account: i64,
        actor: &str,
        address: &str,
        action: &str,
        subject: &str,
        outcome: &str,
    ) {
        let is_one_of_many = {
            let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.clock.passed();
            let is_one = flood.each.take(account, now).is_err();
            if is_one {
                if flood.counted.is_empty() {
                    flood.since = now;
                }
                *flood.counted.entry((action.to_owned(), outcome.to_owned())).or_default() += 1;
            }
            is_one
        };
        if is_one_of_many {
            return;
        }
        if let Err(error) = self.record(actor, address, action, subject, outcome, &json!({})).await
        {
            tracing::error!("a refusal is not on record: {error}");
        }
    }

    /// Signs what is new, and tells of refusals that were counted if it is time. About once a minute.
    pub async fn tend(&self) {
        let due = {
            let flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            !flood.counted.is_empty() && self.clock.passed() >= flood.since + SUMMARY
        };
        if due {
            self.tell_counted().await;
        }
        if let Err(error) = self.sign().await {
            tracing::error!("the audit log could not be signed: {error}");
        }
    }

    /// The same at the end: what was counted is told whatever the time.
    pub async fn close(&self) {
        self.tell_counted().await;
        if let Err(error) = self.sign().await {
            tracing::error!("the audit log could not be signed: {error}");
        }
    }

    /// Signs the newest record, if it is not signed yet.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn sign(&self) -> Result<(), StoreError> {
        self.store.sign_audit(&|number, hash| self.checkpoint(number, hash)).await?;
        // Written again if it could not be when it was new: a missing one counts as removed.
        if let Some(newest) = self.store.newest_checkpoint().await? {
            self.write_head(&newest);
        }
        Ok(())
    }

    async fn tell_counted(&self) {
        let counted = {
            let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut flood.counted)
        };
        if counted.is_empty() {
            return;
        }
        let told: Vec<Value> = counted
            .iter()
            .map(|((action, outcome), times)| json!({ "action": action, "outcome": outcome, "times": times }))
            .collect();
        let told = json!({ "refused": told });
        if let Err(error) = self.record(HAECHI, "", "Refusals", "", "counted", &told).await {
            tracing::error!("refusals are not on record: {error}");
        }
    }

    fn written(
        &self,
        actor: &str,
        address: &str,
        action: &str,
        subject: &str,
        outcome: &str,
        detail: &Value,
    ) -> Record {
        let text = |raw: &str| shown(raw, TEXT_MAX);
        let mut told = detail.clone();
        make_visible(&mut told);
        let mut detail = told.to_string();
        if detail.len() > DETAIL_MAX {
            detail = json!({ "cut": shown(&detail, DETAIL_MAX / 4) }).to_string();
        }
        Record {
            number: 0,
            at: self.clock.wall(),
            actor: text(actor),
            address: text(address),
            action: text(action),
            subject: text(subject),
            outcome: text(outcome),
            detail,
        }
    }

    async fn add(&self, record: Record) -> Result<u64, StoreError> {
        let (kept, point) =
            self.store.add_audit(record, &|number, hash| self.checkpoint(number, hash)).await?;
        if let Some(point) = point {
            self.write_head(&point);
        }
        Ok(kept.record.number)
    }

    fn checkpoint(&self, number: u64, hash: Hash) -> Checkpoint {
        // The store keeps nanoseconds of 64 bits; the signature is over what is kept.
        let at = i64::try_from(self.clock.wall().as_nanosecond()).unwrap_or_default();
        let at = Timestamp::from_nanosecond(at.into()).unwrap_or_default();
        Checkpoint::sign(number, hash, at, &self.key)
    }

    fn write_head(&self, point: &Checkpoint) {
        if let Err(error) = keys::write_head(&self.dir, point) {
            tracing::error!("{}/{}: {error}", self.dir.display(), keys::HEAD_FILE);
        }
    }
}

impl Begun<'_> {
    /// Records what came of it. It was done already, so that this fails is only told in the desk's own log.
    pub async fn end(self, outcome: &str) {
        let record =
            Record { outcome: shown(outcome, TEXT_MAX), at: self.log.clock.wall(), ..self.record };
        if let Err(error) = self.log.add(record).await {
            tracing::error!("what came of something is not on record: {error}");
        }
    }
}

/// What came of something, as the log says it: `done`, or the name of the refusal.
pub fn outcome<T>(result: &Result<T, Refusal>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(refusal) => serde_json::to_value(refusal)
            .ok()
            .and_then(|value| Some(value.get("error")?.as_str()?.to_owned()))
            .unwrap_or_else(|| "refused".to_owned()),
    }
}

/// A text without what could mislead, at most so many bytes long.
fn shown(raw: &str, most: usize) -> String {
    if raw.len() <= most {
        let shown = visible(raw);
        if shown.len() <= most {
            return shown.into_owned();
        }
    }
    let cut = raw.get(..raw.floor_char_boundary(most)).unwrap_or_default();
    let shown = visible(cut);
    let end = shown.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", shown.get(..end).unwrap_or_default())
}

fn make_visible(value: &mut Value) {
    match value {
        Value::String(text) => *text = shown(text, DETAIL_TEXT_MAX),
        Value::Array(all) => all.iter_mut().for_each(make_visible),
        Value::Object(all) => all.values_mut().for_each(make_visible),
        _ => {}
    }
}
