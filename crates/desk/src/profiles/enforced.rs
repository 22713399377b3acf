//! What of a profile is in force, who does it, and what was found, as it is on record.
//!
//! Sets nothing: that is done on the command line, by root.

use haechi_core::Lang;
use haechi_core::profile::Profile;
use haechi_core::text::Text;
use haechi_profile::allowed::Allowed;
use haechi_profile::enforced::{self, Doing, Found};
use haechi_protocol::{EnforcedRow, Refusal, RefusedRow};
use haechi_store::{ProfileId, Refused};
use jiff::Timestamp;

use crate::{Desk, unavailable};

/// Findings that a page has.
const FOUND: usize = 100;

/// All that there is to say of one profile.
pub(super) async fn of(
    desk: &Desk,
    number: ProfileId,
    profile: &Profile,
) -> Result<EnforcedRow, Refusal> {
    let store = &desk.setup.store;
    let all = store.enforced().await.map_err(unavailable)?;
    let one = all.into_iter().map(|one| one.enforcement).find(|one| one.profile == number);
    let guarded = store.guarded(number).await.map_err(unavailable)?;
    let guarded = guarded.filter(|one| one.is_current(Timestamp::now()));
    let mut found = store.refused(number).await.map_err(unavailable)?;
    found.sort_by_key(|one| std::cmp::Reverse(one.last_at));
    let more = found.len().saturating_sub(FOUND) as u64;
    found.truncate(FOUND);
    let allowed = Allowed::of(profile, one.as_ref().is_some_and(|one| one.with_files));
    let found = found.iter().map(|one| row(one, &allowed)).collect();
    let Some(one) = one else {
        return Ok(EnforcedRow { found, found_more: more, ..EnforcedRow::default() });
    };
    let by = guarded.as_ref().map(|one| Doing {
        mode: one.mode,
        tier: &one.tier,
        containers: one.containers,
        problem: &one.problem,
    });
    let [en, ko] = [Lang::En, Lang::Ko].map(|lang| enforced::doing(one.mode, by, lang));
    Ok(EnforcedRow {
        mode: Some(one.mode),
        files: one.with_files,
        since: Some(one.since),
        said: en.iter().zip(&ko).map(|(en, ko)| Text::new(en, ko)).collect(),
        actor: one.actor,
        found,
        found_more: more,
    })
}

fn row(one: &Refused, allowed: &Allowed) -> RefusedRow {
    let found = Found {
        mode: one.mode,
        because: &one.because,
        value: &one.value,
        origin: &one.origin,
        first_at: one.first_at,
        times: one.times,
        is_known: enforced::has(allowed, &one.because, &one.value, &one.origin),
    };
    let both = |say: fn(&Found<'_>, Lang) -> String| {
        Text::new(&say(&found, Lang::En), &say(&found, Lang::Ko))
    };
    RefusedRow {
        first_at: one.first_at,
        last_at: one.last_at,
        times: one.times,
        mode: one.mode,
        value: one.value.clone(),
        why: both(enforced::why),
        done: both(enforced::done),
    }
}
