//! `haechi profile enforce`: what containers of a workload may start and write, and nothing else.
//!
//! Sets it on record, and says what is in force, whether anybody does it and with what limits, and what was found. A
//! monitor does it: nothing is refused here.

use std::collections::BTreeMap;
use std::time::Duration;

use haechi_core::Lang;
use haechi_core::allowance::Mode;
use haechi_profile::allowed::Allowed;
use haechi_profile::coverage::Part;
use haechi_profile::enforced::{self, Doing, Found};
use haechi_profile::texts;
use haechi_store::{Enforcement, Guarded, ProfileId, Refused, Store};
use jiff::Timestamp;
use serde_json::json;

use super::{Known, find, json, note, store_failure};
use crate::args::{EnforceMode, ListFormat, ProfileEnforce, ProfileSource};
use crate::commands::audit::user;
use crate::commands::except::deed;
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

/// Findings of a kind that are shown before the rest is counted.
const SHOWN: usize = 20;
/// How long it is waited for a monitor to take up a change, and how often it is looked.
const TAKES_UP: u32 = 20;
const LOOK: Duration = Duration::from_millis(200);

/// All that there is to say of one workload.
struct State {
    id: ProfileId,
    image: String,
    allowed: Allowed,
    enforcement: Option<Enforcement>,
    /// What a monitor says that it does now.
    guarded: Option<Guarded>,
    found: Vec<Refused>,
}

pub(super) async fn run(args: &ProfileEnforce, setting: &Setting) -> anyhow::Result<u8> {
    let Some(target) = &args.target else {
        let lines = all(setting).await?;
        if lines.is_empty() {
            note(setting, "enforce-none", &[]);
        }
        let store = crate::commands::store(setting).await?;
        let enforced = store.enforced().await.map_err(store_failure)?;
        output::stdout(|out| match args.format {
            ListFormat::Json => {
                let rows: Vec<_> = enforced.iter().map(|one| in_force(&one.enforcement)).collect();
                json(&rows, out)
            }
            ListFormat::Table => lines.iter().try_for_each(|line| Ok(writeln!(out, "{line}")?)),
        })?;
        return Ok(exit::CLEAN);
    };
    if let Some(mode) = args.mode {
        set(target, mode, args, setting).await?;
    }
    let state = State::of(target, setting).await?;
    output::stdout(|out| match args.format {
        ListFormat::Json => json(&state.data(), out),
        ListFormat::Table => state
            .lines(args.all, setting.lang)
            .iter()
            .try_for_each(|line| Ok(writeln!(out, "{line}")?)),
    })?;
    Ok(exit::CLEAN)
}

/// What is in force for each profile, who does it, and how much was found, as data.
pub(super) async fn data(
    ids: impl IntoIterator<Item = ProfileId>,
    setting: &Setting,
) -> anyhow::Result<Vec<serde_json::Value>> {
    let store = crate::commands::store(setting).await?;
    let enforced = store.enforced().await.map_err(store_failure)?;
    let mut rows = Vec::new();
    for id in ids {
        let one = enforced.iter().map(|one| &one.enforcement).find(|one| one.profile == id);
        let guarded = store.guarded(id).await.map_err(store_failure)?.filter(is_fresh);
        let found = store.refused(id).await.map_err(store_failure)?;
        let count = |mode| found.iter().filter(|one| one.mode == mode).count();
        rows.push(json!({
            "mode": one.map_or("off", |one| one.mode.name()),
            "files": one.is_some_and(|one| one.with_files),
            "since": one.map(|one| one.since),
            "actor": one.map(|one| &one.actor),
            "monitor": guarded.as_ref().filter(|_| one.is_some()).map(done_by),
            "would_be_refused": count(Mode::DryRun),
            "refused": count(Mode::Deny),
        }));
    }
    Ok(rows)
}

/// A line for everything that is in force.
pub(super) async fn all(setting: &Setting) -> anyhow::Result<Vec<String>> {
    let store = crate::commands::store(setting).await?;
    let mut lines = Vec::new();
    for one in store.enforced().await.map_err(store_failure)? {
        let id = one.enforcement.profile;
        let workloads = store.workloads().await.map_err(store_failure)?;
        let found = workloads.into_iter().find(|(known, _)| *known == id);
        let image = found.map(|(_, profile)| profile.image_name).unwrap_or_default();
        lines.push(said(&one.enforcement, &image, setting.lang));
        lines.extend(doer(&store, &one.enforcement, setting.lang).await?);
    }
    Ok(lines)
}

/// The same of one profile; none if nothing is in force.
pub(super) async fn line(id: Option<ProfileId>, setting: &Setting) -> anyhow::Result<Vec<String>> {
    let Some(id) = id else { return Ok(Vec::new()) };
    let store = crate::commands::store(setting).await?;
    let enforced = store.enforced().await.map_err(store_failure)?;
    let Some(one) = enforced.into_iter().find(|one| one.enforcement.profile == id) else {
        return Ok(Vec::new());
    };
    let image = store.profile(id).await.map_err(store_failure)?.image_name;
    let mut lines = vec![said(&one.enforcement, &image, setting.lang)];
    lines.extend(doer(&store, &one.enforcement, setting.lang).await?);
    Ok(lines)
}

async fn doer(store: &Store, of: &Enforcement, lang: Lang) -> anyhow::Result<Vec<String>> {
    let guarded = store.guarded(of.profile).await.map_err(store_failure)?;
    Ok(doing(of, guarded.filter(is_fresh).as_ref(), lang))
}

async fn set(
    target: &str,
    mode: EnforceMode,
    args: &ProfileEnforce,
    setting: &Setting,
) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Said(texts::say(setting.lang, "enforce-root", &[])).into());
    }
    let state = State::of(target, setting).await?;
    let mode = match mode {
        EnforceMode::Off => None,
        EnforceMode::DryRun => Some(Mode::DryRun),
        EnforceMode::Deny => Some(Mode::Deny),
    };
    let store = crate::commands::store(setting).await?;
    if mode.is_some() {
        let source = ProfileSource { target: Some(target.to_owned()), file: None, snapshot: None };
        let known = Known::of(&source, setting).await?;
        let parts: &[Part] =
            if args.files { &[Part::Programs, Part::Files] } else { &[Part::Programs] };
        known.demand(parts, setting)?;
        super::notes(setting, &super::amid::lines(&known, setting).await?);
        if mode == Some(Mode::Deny) && !args.at_once {
            state.may_deny(target, args.files, args.all, setting.lang)?;
        }
        if known.profile.baseline_at.is_none() {
            store.set_baseline(state.id, Timestamp::now()).await.map_err(store_failure)?;
        }
    }
    let name = mode.map_or("off", Mode::name);
    let told = json!({
        "profile": state.id.0, "mode": name, "files": args.files, "at_once": args.at_once
    });
    let (now, actor) = (Timestamp::now(), user());
    let work = store.enforce(state.id, mode, args.files, &actor, now);
    deed(&store, setting, "EnforceProfile", &state.image, told, work).await?;
    let said = texts::say(setting.lang, &format!("enforce-mode-{name}"), &[]);
    let id = state.id.0.to_string();
    note(setting, "enforce-set", &[("image", &state.image), ("id", &id), ("mode", &said)]);
    // It says who does it, and that is known as soon as somebody took it up.
    for _ in 0..if mode.is_some() { TAKES_UP } else { 0 } {
        let guarded = store.guarded(state.id).await.map_err(store_failure)?;
        if guarded.is_some_and(|one| one.at > now && (Some(one.mode) == mode || one.since > now)) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

impl State {
    async fn of(target: &str, setting: &Setting) -> anyhow::Result<Self> {
        let (id, profile) = find::stored(target, setting).await?;
        let store = crate::commands::store(setting).await?;
        let enforced = store.enforced().await.map_err(store_failure)?;
        let enforcement = enforced.into_iter().map(|one| one.enforcement);
        let enforcement = enforcement.into_iter().find(|one| one.profile == id);
        let with_files = enforcement.as_ref().is_some_and(|one| one.with_files);
        let guarded = store.guarded(id).await.map_err(store_failure)?;
        let names = [profile.image_name.as_str(), profile.workload.image.as_str()];
        let image = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned();
        Ok(Self {
            id,
            image,
            allowed: Allowed::of(&profile, with_files),
            enforcement,
            guarded: guarded.filter(is_fresh),
            found: store.refused(id).await.map_err(store_failure)?,
        })
    }

    /// What was found, with whether the profile has it by now.
    fn found<'a>(&self, one: &'a Refused) -> Found<'a> {
        Found {
            mode: one.mode,
            because: &one.because,
            value: &one.value,
            origin: &one.origin,
            first_at: one.first_at,
            times: one.times,
            is_known: enforced::has(&self.allowed, &one.because, &one.value, &one.origin),
        }
    }

    /// Refuses what was not tried, or what was tried and would go wrong.
    fn may_deny(
        &self,
        target: &str,
        with_files: bool,
        is_all: bool,
        lang: Lang,
    ) -> anyhow::Result<()> {
        let is_tried = self.enforcement.as_ref().is_some_and(|one| {
            let watched = |guarded: &Guarded| {
                guarded.containers > 0 && guarded.at > one.since && !guarded.tier.is_empty()
            };
            // What is refused already needs no other dry run.
            one.mode == Mode::Deny || self.guarded.as_ref().is_some_and(watched)
        });
        let is_wide = self.enforcement.as_ref().is_some_and(|one| one.with_files >= with_files);
        if !is_tried || !is_wide {
            let said = texts::say(lang, "enforce-needs-dry-run", &[("target", target)]);
            return Err(Failure::Said(said).into());
        }
        let found = self.found.iter().map(|one| self.found(one));
        let open: Vec<Found<'_>> =
            found.filter(|one| one.mode == Mode::DryRun && !one.is_known).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut lines = vec![texts::say(lang, "enforce-still-refused", &[])];
        lines.extend(shown(&open, is_all, lang).into_iter().map(|line| format!("  {line}")));
        lines.push(texts::say(lang, "enforce-ask", &[("target", target)]));
        Err(Failure::Said(lines.join("\n")).into())
    }

    fn lines(&self, is_all: bool, lang: Lang) -> Vec<String> {
        let mut lines = match &self.enforcement {
            None => {
                let id = self.id.0.to_string();
                vec![texts::say(lang, "enforce-off", &[("image", &self.image), ("id", &id)])]
            }
            Some(one) => {
                let mut lines = vec![said(one, &self.image, lang)];
                lines.extend(doing(one, self.guarded.as_ref(), lang));
                let left_out = self.allowed.left_out.iter();
                let say = |path: &String| texts::say(lang, "enforce-left-out", &[("path", path)]);
                lines.extend(first(left_out.map(say).collect(), is_all, lang));
                lines
            }
        };
        let found: Vec<Found<'_>> = self.found.iter().map(|one| self.found(one)).collect();
        lines.extend(shown(&found, is_all, lang));
        if self.found.is_empty() && self.enforcement.is_some() && self.guarded.is_some() {
            lines.push(texts::say(lang, "enforce-found-none", &[]));
        }
        lines
    }

    fn data(&self) -> serde_json::Value {
        let found: Vec<_> = self
            .found
            .iter()
            .map(|one| {
                json!({
                    "mode": one.mode, "because": one.because, "value": one.value,
                    "origin": one.origin, "container": one.container, "first_at": one.first_at,
                    "last_at": one.last_at, "times": one.times,
                    "known": self.found(one).is_known,
                })
            })
            .collect();
        json!({
            "profile": self.id.0, "image": self.image,
            "in_force": self.enforcement.as_ref().map(in_force),
            "monitor": self.guarded.as_ref().map(done_by),
            "programs": self.allowed.allowance.programs.keys().collect::<Vec<_>>(),
            "left_out": self.allowed.left_out, "found": found,
        })
    }
}

fn in_force(one: &Enforcement) -> serde_json::Value {
    json!({
        "profile": one.profile.0, "mode": one.mode, "files": one.with_files, "since": one.since,
        "actor": one.actor,
    })
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn is_fresh(guarded: &Guarded) -> bool {
    guarded.is_current(Timestamp::now())
}

fn done_by(one: &Guarded) -> serde_json::Value {
    json!({
        "mode": one.mode, "files": one.with_files, "tier": one.tier, "containers": one.containers,
        "problem": one.problem, "since": one.since, "at": one.at,
    })
}

/// What was found, of each kind the first, and how many more there are.
fn shown(found: &[Found<'_>], is_all: bool, lang: Lang) -> Vec<String> {
    let mut kinds: BTreeMap<(Mode, &str), Vec<String>> = BTreeMap::new();
    for one in found {
        let of_kind = kinds.entry((one.mode, one.because)).or_default();
        of_kind.push(enforced::line(one, lang));
    }
    kinds.into_values().flat_map(|lines| first(lines, is_all, lang)).collect()
}

/// The first lines, and how many more there are.
fn first(mut lines: Vec<String>, is_all: bool, lang: Lang) -> Vec<String> {
    let more = if is_all { 0 } else { lines.len().saturating_sub(SHOWN) };
    if more > 0 {
        lines.truncate(SHOWN);
        lines.push(texts::say(lang, "enforce-more", &[("count", &more.to_string())]));
    }
    lines
}

/// What is in force.
fn said(one: &Enforcement, image: &str, lang: Lang) -> String {
    let mode = texts::say(lang, &format!("enforce-mode-{}", one.mode.name()), &[]);
    let what = if one.with_files { "enforce-what-files" } else { "enforce-what-programs" };
    let (id, at) = (one.profile.0.to_string(), time(one.since));
    let what = texts::say(lang, what, &[]);
    let values = [
        ("image", image),
        ("id", &id),
        ("mode", &mode),
        ("at", &at),
        ("actor", &one.actor),
        ("what", &what),
    ];
    texts::say(lang, "enforce-line", &values)
}

/// Who does it, and how well.
fn doing(of: &Enforcement, guarded: Option<&Guarded>, lang: Lang) -> Vec<String> {
    let by = guarded.map(|one| Doing {
        mode: one.mode,
        tier: &one.tier,
        containers: one.containers,
        problem: &one.problem,
    });
    enforced::doing(of.mode, by, lang)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_the_first_are_shown_and_the_rest_is_counted() {
        let one = |because, value| Found {
            mode: Mode::DryRun,
            because,
            value,
            origin: "image",
            first_at: Timestamp::UNIX_EPOCH,
            times: 1,
            is_known: false,
        };
        let many = vec![one("not-allowed", "/bin/a"); SHOWN + 7];
        let found = [many.as_slice(), &[one("written", "/etc/x")]].concat();
        for lang in [Lang::En, Lang::Ko] {
            let lines = shown(&found, false, lang);
            assert_eq!(lines.len(), SHOWN + 2, "{lines:?}");
            assert!(lines[SHOWN].contains('7') && lines[SHOWN].contains("--all"), "{lines:?}");
            assert!(lines[SHOWN + 1].contains("/etc/x"), "{lines:?}");
            assert_eq!(shown(&found, true, lang).len(), found.len());
        }
    }
}
