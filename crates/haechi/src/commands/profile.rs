//! `haechi profile`: what workloads were seen to do, and what follows from it.
//!
//! Nothing is changed in an engine but by `try`, `apply` and `rollback`: else what follows are files and options for people to
//! use. What is not known well enough is refused unless asked for, and then says so at its top.

mod amid;
mod apply;
mod beyond;
mod enforce;
pub(super) mod find;
mod forget;
mod news;
mod packages;
pub mod pending;
mod show;
mod subject;
mod tried;
mod vex;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use haechi_core::Lang;
use haechi_core::facts::Snapshot;
use haechi_core::profile::{Entry, PROFILE_SCHEMA, Phase, Profile};
use haechi_profile::coverage::{Coverage, Part};
use haechi_profile::fragment::{self, Format, Names};
use haechi_profile::image;
use haechi_profile::least::Least;
use haechi_profile::texts;
use haechi_profile::today::Today;
use haechi_store::{Learned, ProfileId};
use jiff::{SignedDuration, Timestamp};

use super::store_failure;
use crate::args::{self, ListFormat, ProfileFile, ProfileSource, RunFormat};
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

/// A larger file is no profile.
const SIZE_MAX: u64 = 64 << 20;
/// Nor has one more stretches of time or entries.
const PIECES_MAX: usize = 200_000;
/// Nor did a container ever have more processes: no kernel has (`PID_MAX_LIMIT`).
const TASKS_MAX: u64 = 1 << 22;
/// Clocks of two hosts are never further apart.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

pub async fn run(command: &args::Profile, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        args::Profile::List { format } => list(*format, setting).await,
        args::Profile::Show(args) => {
            let known = Known::of(&args.source, setting).await?;
            let amid = amid::alerts(&known, setting).await?;
            let mut lines = amid::lines(&known, setting).await?;
            lines.extend(enforce::line(known.id, setting).await?);
            let packages = super::profiled::counts(&known, setting).await;
            let enforcement = enforce::data(known.id, setting).await?.pop();
            let number = known.id.map_or(0, |id| id.0);
            let (profile, coverage, today) = (&known.profile, &known.coverage, &known.today);
            let line = haechi_profile::picture::line(number, profile, coverage, today, packages);
            output::stdout(|out| match args.format {
                ListFormat::Json => json(&show::data(&known, &line, &amid, enforcement), out),
                ListFormat::Table => show::table(&known, &line, &lines, args.all, setting, out),
            })?;
            Ok(exit::CLEAN)
        }
        args::Profile::Packages(args) => packages::run(args, setting).await,
        args::Profile::Vex(args) => vex::run(args, setting).await,
        args::Profile::Seccomp(args) => seccomp(args, setting).await,
        args::Profile::Run(args) => fragment(args, setting).await,
        args::Profile::Apparmor(args) => apparmor(args, setting).await,
        args::Profile::Try(args) => tried::run(args, setting).await,
        args::Profile::Apply(args) => apply::run(args, setting).await,
        args::Profile::Rollback { target } => apply::rollback(target, setting).await,
        args::Profile::Export { target, output } => {
            let (_, mut profile) = find::stored(target, setting).await?;
            let trials = std::mem::take(&mut profile.trials);
            profile.runs.retain(|run| !trials.contains(&run.container));
            write(output.as_deref(), setting, |out| json(&profile, out))
        }
        args::Profile::Import { file } => import(file, setting).await,
        args::Profile::News { target, format } => news::list(target, *format, setting).await,
        args::Profile::Learn { target } => news::learn(target, setting).await,
        args::Profile::Forget { target, yes } => forget::run(target, *yes, setting).await,
        args::Profile::Enforce(args) => enforce::run(args, setting).await,
    }
}

/// A workload with everything that is known about it.
pub(super) struct Known {
    pub profile: Profile,
    pub coverage: Coverage,
    today: Today,
    least: Least,
    names: Names,
    id: Option<ProfileId>,
    /// Ids of the containers of its image that run now; none if that is not known, or they are another host's.
    pub running: Option<BTreeSet<String>>,
}

impl Known {
    async fn of(source: &ProfileSource, setting: &Setting) -> anyhow::Result<Self> {
        let (id, profile) = match (&source.file, &source.target) {
            (Some(file), _) => (None, read(file)?),
            (None, target) => {
                let (id, profile) =
                    find::stored(target.as_deref().unwrap_or_default(), setting).await?;
                (Some(id), profile)
            }
        };
        let snapshot = find::snapshot(source.snapshot.as_deref(), setting).await?;
        let today = find::today(&profile, &snapshot, setting);
        // A snapshot of a file says nothing about now.
        let is_now = id.is_some() && source.snapshot.is_none();
        let image = &profile.workload.image;
        let running = if is_now { image::running(&snapshot, image) } else { None };
        Ok(Self { running, ..Self::with(id, profile, today, setting)? })
    }

    /// What follows from a profile for a container that is given this today.
    fn with(
        id: Option<ProfileId>,
        profile: Profile,
        today: Today,
        setting: &Setting,
    ) -> anyhow::Result<Self> {
        let rule = find::rule(&today, setting)?;
        let coverage = Coverage::of(&profile, &rule);
        let least = Least::of(&profile, &coverage, &today);
        let names = Names::of(&profile, &find::container_name(&profile, &today));
        Ok(Self { profile, coverage, today, least, names, id, running: None })
    }

    /// Refuses what needs these parts, unless they are known well enough or it is asked for all the same; the lines that say
    /// that they are not.
    fn warn(
        &self,
        parts: &[Part],
        is_asked: bool,
        setting: &Setting,
    ) -> anyhow::Result<Vec<String>> {
        let lines = self.unsettled(parts, setting);
        if is_asked || lines.is_empty() {
            return Ok(lines);
        }
        Err(refused(lines, "unsettled-ask", setting))
    }

    /// Refuses what needs these parts until they are known well enough: there is no asking for it all the same.
    fn demand(&self, parts: &[Part], setting: &Setting) -> anyhow::Result<()> {
        match self.unsettled(parts, setting) {
            lines if lines.is_empty() => Ok(()),
            lines => Err(refused(lines, "unsettled-wait", setting)),
        }
    }

    fn unsettled(&self, parts: &[Part], setting: &Setting) -> Vec<String> {
        let why = self.coverage.unsettled(parts);
        if why.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![texts::say(setting.lang, "unsettled", &[])];
        lines.extend(why.iter().map(|(why, parts)| {
            format!("  {}: {}", show::part_names(parts, setting.lang), why.say(setting.lang))
        }));
        lines
    }
}

/// What a file that is made from a profile does not have, in lines.
fn lacking(profile: &Profile, lang: Lang) -> Vec<String> {
    let new = match profile.baseline_at {
        Some(_) => haechi_profile::news::found(profile.known(), profile.later()).len(),
        None => 0,
    };
    let mut lines = Vec::new();
    if new > 0 {
        lines.push(texts::say(lang, "lacks-news", &[("count", &new.to_string())]));
    }
    if !profile.runs.iter().any(|run| run.phases.contains(&Phase::Stop)) {
        lines.push(texts::say(lang, "lacks-stop", &[]));
    }
    lines
}

fn refused(mut lines: Vec<String>, key: &str, setting: &Setting) -> anyhow::Error {
    lines.push(texts::say(setting.lang, key, &[]));
    Failure::Said(lines.join("\n")).into()
}

/// A sentence on stderr, unless quiet.
fn note(setting: &Setting, key: &str, values: &[(&str, &str)]) {
    if !setting.quiet {
        let _ = writeln!(std::io::stderr(), "{}", texts::say(setting.lang, key, values));
    }
}

fn notes(setting: &Setting, lines: &[String]) {
    if !setting.quiet {
        let _ = lines.iter().try_for_each(|line| writeln!(std::io::stderr(), "{line}"));
    }
}

fn json(value: &impl serde::Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Writes to a file or stdout.
fn write(
    file: Option<&Path>,
    setting: &Setting,
    content: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<u8> {
    match file {
        None => output::stdout(content)?,
        Some(path) => {
            output::file(path, content)?;
            note(setting, "file-written", &[("path", &path.display().to_string())]);
        }
    }
    Ok(exit::CLEAN)
}

async fn list(format: ListFormat, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let mut rows = Vec::new();
    let workloads = store.workloads().await.map_err(store_failure)?;
    let snapshot =
        if workloads.is_empty() { Snapshot::default() } else { find::engine(setting).await? };
    for (id, _) in workloads {
        let profile = store.profile(id).await.map_err(store_failure)?;
        let rule = find::rule(&find::given(&profile, &snapshot).unwrap_or_default(), setting)?;
        let coverage = Coverage::of(&profile, &rule);
        let enforcement = enforce::data([id], setting).await?.pop().unwrap_or_default();
        rows.push(show::Row::of(id, &profile, &coverage, enforcement));
    }
    let in_force = enforce::all(setting).await?;
    if rows.is_empty() && format == ListFormat::Table {
        note(setting, "list-none", &[]);
    }
    output::stdout(|out| match format {
        ListFormat::Json => json(&rows, out),
        ListFormat::Table => {
            rows.iter().try_for_each(|row| writeln!(out, "{}", row.line(setting.lang)))?;
            in_force.iter().try_for_each(|line| Ok(writeln!(out, "{line}")?))
        }
    })?;
    Ok(exit::CLEAN)
}

async fn seccomp(args: &ProfileFile, setting: &Setting) -> anyhow::Result<u8> {
    let known = Known::of(&args.source, setting).await?;
    notes(setting, &known.warn(&[Part::Calls], args.unsettled, setting)?);
    notes(setting, &amid::lines(&known, setting).await?);
    let made = &known.least.calls;
    let count = |number: usize| number.to_string();
    let today = known.today.calls();
    let today = today.map_or_else(|| texts::say(setting.lang, "unknown", &[]), count);
    let values = [
        ("today", today),
        ("allowed", count(made.allowed.len())),
        ("added", count(made.added.len())),
    ];
    note(setting, "calls-counted", &values.each_ref().map(|(name, value)| (*name, value.as_str())));
    notes(setting, &made.remarks(setting.lang));
    notes(setting, &lacking(&known.profile, setting.lang));
    write(args.output.as_deref(), setting, |out| json(&made.filter, out))
}

/// Parts that have to be known. What is not known at all is left as it is: that takes nothing away.
fn needed(least: &Least) -> Vec<Part> {
    let mut parts = vec![Part::Calls];
    parts.extend(least.capabilities.used.is_some().then_some(Part::Capabilities));
    parts.extend(least.writable.is_some().then_some(Part::Files));
    parts
}

async fn fragment(args: &args::ProfileRun, setting: &Setting) -> anyhow::Result<u8> {
    let known = Known::of(&args.file.source, setting).await?;
    let least = &known.least;
    let mut remarks = known.warn(&needed(least), args.file.unsettled, setting)?;
    remarks.extend(amid::lines(&known, setting).await?);
    let lang = setting.lang;
    remarks.extend(lacking(&known.profile, lang));
    remarks.extend(
        least
            .differences(&known.today, lang)
            .into_iter()
            .map(|row| format!("{}: {} -> {}", row.of, row.today, row.then)),
    );
    remarks.extend(least.remarks(lang));
    remarks.push(texts::say(lang, "remark-seccomp-file", &[("file", &known.names.seccomp)]));
    remarks.push(texts::say(lang, "remark-options", &[]));
    let format = match args.format {
        RunFormat::Docker => Format::Docker,
        RunFormat::Compose => Format::Compose,
        RunFormat::Kubernetes => Format::Kubernetes,
    };
    if format == Format::Kubernetes {
        remarks.push(texts::say(lang, "remark-kubernetes", &[]));
        if least.has_low_port && least.capabilities.used.is_some() {
            remarks.push(texts::say(lang, "remark-ports", &[]));
        }
    }
    let text = fragment::write(least, &known.names, format, &remarks);
    write(args.file.output.as_deref(), setting, |out| Ok(out.write_all(text.as_bytes())?))
}

async fn apparmor(args: &ProfileFile, setting: &Setting) -> anyhow::Result<u8> {
    let known = Known::of(&args.source, setting).await?;
    let parts = [Part::Calls, Part::Capabilities, Part::Programs, Part::Files];
    let mut remarks = known.warn(&parts, args.unsettled, setting)?;
    remarks.extend(amid::lines(&known, setting).await?);
    let made = haechi_profile::apparmor::make(&known.profile, &known.least, &known.names.service);
    remarks.extend(
        made.left_out
            .iter()
            .map(|path| texts::say(setting.lang, "apparmor-left-out", &[("path", path)])),
    );
    let mut text = String::new();
    for remark in remarks {
        text.push_str(&format!("# {remark}\n"));
    }
    text.push_str(&made.text);
    write(args.output.as_deref(), setting, |out| Ok(out.write_all(text.as_bytes())?))
}

/// Reads a profile that was exported. It decides what a container may do: only whoever runs Haechi or root may change it.
fn read(path: &Path) -> anyhow::Result<Profile> {
    let invalid = |why: String| Failure::file(path, std::io::Error::other(why));
    let text = crate::setting::read_trusted(path, SIZE_MAX)?;
    let profile: Profile =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    match odd(&profile, Timestamp::now()) {
        Some(why) => Err(invalid(why).into()),
        None => Ok(profile),
    }
}

/// Why this is no profile that Haechi ever made.
fn odd(profile: &Profile, now: Timestamp) -> Option<String> {
    let latest = now.saturating_add(AHEAD_MAX).unwrap_or(Timestamp::MAX);
    if profile.schema != PROFILE_SCHEMA {
        Some(format!("its format is not {PROFILE_SCHEMA}"))
    } else if profile.runs.len() > PIECES_MAX || profile.entries.len() > PIECES_MAX {
        Some(format!("more than {PIECES_MAX} entries"))
    } else if profile.runs.iter().any(|run| run.until > latest)
        || profile.entries.iter().any(|entry| entry.first_at > latest)
    {
        Some("it tells of times that are yet to come".to_owned())
    } else if profile.runs.iter().any(|run| run.until < run.since) {
        Some("a stretch of time ends before it begins".to_owned())
    } else if profile.runs.iter().any(|run| run.tasks_max > TASKS_MAX) {
        Some(format!("more than {TASKS_MAX} processes: no kernel has so many"))
    } else {
        None
    }
}

async fn import(file: &Path, setting: &Setting) -> anyhow::Result<u8> {
    let profile = read(file)?;
    let store = super::store(setting).await?;
    // What was new there has not been learned, and is new here when it is seen.
    let mut entries: Vec<Entry> = profile.known().cloned().collect();
    let counts = [profile.runs.len().to_string(), entries.len().to_string()];
    // Entries belong to the workload and not to a run: they are told with any.
    let learned: Vec<Learned> = profile
        .runs
        .into_iter()
        .map(|run| Learned {
            workload: profile.workload.clone(),
            image_name: profile.image_name.clone(),
            run,
            entries: std::mem::take(&mut entries),
        })
        .collect();
    store.learn(&learned).await.map_err(store_failure)?;
    let [runs, entries] = &counts;
    note(setting, "imported", &[("runs", runs), ("entries", entries)]);
    Ok(exit::CLEAN)
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::Run;

    use super::*;

    #[test]
    fn what_no_kernel_ever_told_is_refused() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let run = Run {
            container: "a".into(),
            name: "a".into(),
            since: now,
            until: now,
            phases: [].into(),
            gaps: [].into(),
            tasks_max: 5,
            memory_max: 0,
        };
        let of = |run: Run| {
            let profile =
                Profile { schema: PROFILE_SCHEMA.into(), runs: vec![run], ..Profile::default() };
            odd(&profile, now)
        };
        assert_eq!(of(run.clone()), None);
        let later = |hours| now.saturating_add(SignedDuration::from_hours(hours)).unwrap();
        assert!(of(Run { since: later(1), ..run.clone() }).unwrap().contains("before it begins"));
        assert!(of(Run { tasks_max: u64::MAX, ..run.clone() }).unwrap().contains("processes"));
        assert!(of(Run { until: later(25), ..run }).unwrap().contains("yet to come"));
        assert!(odd(&Profile::default(), now).unwrap().contains("format"));
    }

    #[test]
    fn what_is_not_in_a_file_is_said() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let entry = Entry {
            kind: haechi_core::profile::Kind::Executed,
            value: "/bin/x".into(),
            first_at: at(9),
            container: "a".into(),
            origin: "image".into(),
            program: String::new(),
        };
        let mut profile =
            Profile { baseline_at: Some(at(5)), entries: vec![entry], ..Profile::default() };
        let lines = lacking(&profile, Lang::En);
        assert!(lines[0].contains('1') && lines[0].contains("profile news"), "{lines:?}");
        assert!(lines[1].contains("stop") && lines.len() == 2, "{lines:?}");
        profile.baseline_at = None;
        assert_eq!(lacking(&profile, Lang::Ko).len(), 1);
    }
}
