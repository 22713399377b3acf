//! `haechi except`: accept failures for a while, with reason, owner and expiry.
//!
//! What is accepted here is kept in the store and counts like the exceptions of the policy. It is on record in the audit
//! log before it counts.

use haechi_core::policy::Exception;
use haechi_core::text::visible;

use haechi_desk::AuditLog;
use haechi_store::{Store, StoreError};
use serde_json::{Value, json};

use super::audit::user;
use super::store_failure;
use crate::args::Except;
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

pub async fn run(command: &Except, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    match command {
        Except::Add { check, subject, reason, owner, expires } => {
            let content = super::content(setting)?;
            if !content.checks().any(|known| known.id == *check) {
                return Err(Failure::UnknownCheck(check.clone()).into());
            }
            let exception = Exception {
                check: check.clone(),
                kind: None,
                subject: subject.clone(),
                reason: reason.clone(),
                owner: owner.clone(),
                expires: *expires,
            };
            let told =
                json!({ "check": check, "reason": reason, "owner": owner, "expires": expires });
            let work = store.add_exception(&exception);
            let number = deed(&store, setting, "Accept", subject, told, work).await?;
            let number = number.to_string();
            setting
                .note("exception-added", &[("number", &number), ("expires", &expires.to_string())]);
        }
        Except::List => {
            let exceptions = store.exceptions().await.map_err(store_failure)?;
            if exceptions.is_empty() {
                setting.note("exception-none", &[]);
            }
            output::stdout(|out| {
                for (number, e) in &exceptions {
                    let words =
                        [&e.check, &e.subject, &e.owner, &e.reason].map(|word| visible(word));
                    let [check, subject, owner, reason] = words;
                    writeln!(
                        out,
                        "{number:>4}  {}  {check}  {subject}  {owner}  {reason}",
                        e.expires
                    )?;
                }
                Ok(())
            })?;
        }
        Except::Remove { number } => {
            let (subject, work) = (number.to_string(), store.remove_exception(*number));
            deed(&store, setting, "Withdraw", &subject, json!({}), work).await?;
            setting.note("exception-removed", &[("number", &subject)]);
        }
    }
    Ok(exit::CLEAN)
}

/// Does something on record.
pub(super) async fn deed<T>(
    store: &Store,
    setting: &Setting,
    action: &str,
    subject: &str,
    told: Value,
    work: impl Future<Output = Result<T, StoreError>>,
) -> anyhow::Result<T> {
    let log = AuditLog::open(store.clone(), &setting.data_dir()).await?;
    let begun = log.begin(&user(), "", action, subject, &told).await.map_err(store_failure)?;
    let result = work.await;
    begun.end(if result.is_ok() { "done" } else { "failed" }).await;
    log.close().await;
    result.map_err(store_failure)
}
