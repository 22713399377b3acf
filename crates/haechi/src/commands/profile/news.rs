//! `haechi profile news` and `haechi profile learn`: what is new against a settled profile, and that it is not any more.

use std::io::Write;

use haechi_core::Lang;
use haechi_core::profile::{Entry, Profile};
use haechi_profile::blind;
use haechi_profile::news::{self, New};
use haechi_profile::texts;
use jiff::Timestamp;

use super::{find, json, note, notes, store_failure};
use crate::args::ListFormat;
use crate::setting::Setting;
use crate::{exit, output};

/// What is new, the oldest first.
fn of(profile: &Profile) -> Vec<New<'_>> {
    news::found(profile.known(), profile.later())
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn line(new: &New<'_>, lang: Lang) -> String {
    let said = new.say(None, lang);
    texts::say(lang, "news-line", &[("at", &time(new.entry.first_at)), ("said", &said)])
}

pub(super) async fn list(
    target: &str,
    format: ListFormat,
    setting: &Setting,
) -> anyhow::Result<u8> {
    let (_, profile) = find::stored(target, setting).await?;
    let new = of(&profile);
    if let Some(before) = profile.predecessor.as_ref().filter(|_| !setting.quiet) {
        let said = super::show::taken_over(before, &profile, setting.lang);
        let _ = writeln!(std::io::stderr(), "{said}");
    }
    // Before anything that sounds as if all were seen.
    let blind = blind::lines(&profile);
    let blind: Vec<String> = blind.iter().map(|why| why.get(setting.lang).to_owned()).collect();
    notes(setting, &blind);
    match profile.baseline_at {
        None => note(setting, "news-no-baseline", &[]),
        Some(at) if new.is_empty() => note(setting, "news-none", &[("at", &time(at))]),
        Some(_) => {}
    }
    output::stdout(|out| match format {
        ListFormat::Json => {
            let entries: Vec<&Entry> = new.iter().map(|new| new.entry).collect();
            json(&entries, out)
        }
        ListFormat::Table => {
            new.iter().try_for_each(|new| Ok(writeln!(out, "{}", line(new, setting.lang))?))
        }
    })?;
    Ok(exit::CLEAN)
}

pub(super) async fn learn(target: &str, setting: &Setting) -> anyhow::Result<u8> {
    let (id, profile) = find::stored(target, setting).await?;
    if profile.baseline_at.is_none() {
        note(setting, "news-no-baseline", &[]);
        return Ok(exit::CLEAN);
    }
    let count = of(&profile).len().to_string();
    let store = crate::commands::store(setting).await?;
    store.set_baseline(id, Timestamp::now()).await.map_err(store_failure)?;
    note(setting, "news-learned", &[("count", &count)]);
    Ok(exit::CLEAN)
}
