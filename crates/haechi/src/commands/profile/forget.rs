//! `haechi profile forget`: a workload's profile, its baseline and what of it is in force are removed.
//!
//! Promises that nothing is forgotten while containers are held to it, or unasked. Alerts stay, and so does what was made from
//! it. Containers that are watched now are learned from their next start on: what they used before is not told again.

use haechi_core::text::visible;
use haechi_profile::texts;
use serde_json::json;

use super::{find, note, store_failure};
use crate::commands::except::deed;
use crate::exit;
use crate::failure::Failure;
use crate::setting::Setting;

pub(super) async fn run(target: &str, yes: bool, setting: &Setting) -> anyhow::Result<u8> {
    let (id, profile) = find::stored(target, setting).await?;
    let names: Vec<String> = find::container_names(&profile).into_iter().collect();
    let (names, number) = (visible(&names.join(" ")).into_owned(), id.0.to_string());
    let image = visible(&profile.image_name).into_owned();
    let said = |key: &str| {
        let values = [
            ("names", names.as_str()),
            ("image", &image),
            ("id", &number),
            ("count", &profile.entries.len().to_string()),
            ("target", target),
        ];
        texts::say(setting.lang, key, &values)
    };
    let store = crate::commands::store(setting).await?;
    let enforced = store.enforced().await.map_err(store_failure)?;
    let is_denied = enforced.iter().any(|one| {
        one.enforcement.profile == id && one.enforcement.mode == haechi_core::allowance::Mode::Deny
    });
    if is_denied {
        return Err(Failure::Said(said("forget-denied")).into());
    }
    if !yes {
        return Err(Failure::Said(said("forget-ask")).into());
    }
    let told = json!({
        "profile": id.0, "containers": names, "entries": profile.entries.len(),
        "baseline_at": profile.baseline_at,
    });
    let work = store.forget_profile(id);
    if !deed(&store, setting, "ForgetProfile", &profile.image_name, told, work).await? {
        // Somebody denies since then.
        return Err(Failure::Said(said("forget-denied")).into());
    }
    let values = [("names", names.as_str()), ("image", &image), ("id", &number)];
    note(setting, "forget-done", &values);
    Ok(exit::CLEAN)
}
