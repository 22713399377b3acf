//! `haechi except`: accept failures for a while, with reason, owner and expiry.
//!
//! What is accepted here is kept in the store and counts like the exceptions of the policy.

use haechi_core::policy::Exception;
use haechi_core::text::visible;

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
            let number = store.add_exception(&exception).await.map_err(store_failure)?;
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
            store.remove_exception(*number).await.map_err(store_failure)?;
            setting.note("exception-removed", &[("number", &number.to_string())]);
        }
    }
    Ok(exit::CLEAN)
}
