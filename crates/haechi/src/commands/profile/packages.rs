//! Which packages of a workload's image run.

use std::collections::BTreeMap;
use std::io::Write;

use haechi_core::inventory::Part as ScanPart;
use haechi_core::text::visible;
use haechi_examine::engine;
use haechi_image::layer::Depth;
use haechi_profile::blind;
use haechi_profile::coverage::Part;
use haechi_profile::image;
use haechi_profile::packages::{self, PackageUse, State};
use haechi_profile::texts;
use serde::Serialize;

use super::{Known, find, json, notes};
use crate::args::{ListFormat, ProfilePackages};
use crate::commands::image::{api, engine_options};
use crate::commands::verify;
use crate::setting::Setting;
use crate::{exit, output};

/// Schema of what is shown as data.
const SCHEMA: &str = "haechi/package-use/v1";

#[derive(Serialize)]
struct View<'a> {
    schema: &'static str,
    image: &'a str,
    command: &'a [String],
    /// Whether programs and files are known well enough for "present only".
    settled: bool,
    /// Why some are not known, in sentences; empty if all are.
    not_known: &'a [String],
    counts: BTreeMap<State, usize>,
    packages: &'a [PackageUse],
}

pub(super) async fn run(args: &ProfilePackages, setting: &Setting) -> anyhow::Result<u8> {
    let known = Known::of(&args.source, setting).await?;
    let mut options = engine_options(&args.reading, setting)?;
    options.depth = Depth::Packages;
    let workload = &known.profile.workload;
    let scan = engine::image(&*api(setting)?, &workload.image, &options)
        .await
        .map_err(|error| anyhow::anyhow!("{}: {error}", visible(&workload.image)))?;
    let mut open = known.warn(&[Part::Programs, Part::Files], true, setting)?;
    if open.is_empty() {
        let snapshot = match &args.source.snapshot {
            Some(file) => verify::read(file)?,
            None => find::engine(setting).await?,
        };
        let running = image::running(&snapshot, &workload.image);
        let why = blind::open(&known.profile, &known.coverage, running.as_ref());
        open.extend(why.iter().map(|why| why.get(setting.lang).to_owned()));
    }
    let settled = open.is_empty();
    let is_whole = scan.is_whole(ScanPart::Packages);
    if !is_whole {
        notes(setting, &[texts::say(setting.lang, "packages-part", &[])]);
    }
    let mut found = packages::of(&scan.packages, &known.profile.entries, settled);
    found.sort_by(|a, b| (a.state, &a.name, &a.version).cmp(&(b.state, &b.name, &b.version)));
    let mut counts = BTreeMap::from(
        [State::Executed, State::Loaded, State::Present, State::Unknown].map(|state| (state, 0)),
    );
    for one in &found {
        *counts.entry(one.state).or_default() += 1;
    }
    let unknown = counts.get(&State::Unknown).copied().unwrap_or_default();
    if settled && unknown > 0 {
        let count = unknown.to_string();
        open.push(texts::say(setting.lang, "packages-open", &[("count", &count)]));
    }
    notes(setting, &open);
    let view = View {
        schema: SCHEMA,
        image: &workload.image,
        command: &workload.command,
        settled,
        not_known: &open,
        counts,
        packages: &found,
    };
    output::stdout(|out| match args.format {
        ListFormat::Json => json(&view, out),
        ListFormat::Table => table(&view, setting, out),
    })?;
    Ok(if is_whole { exit::CLEAN } else { exit::COULD_NOT_VERIFY })
}

fn table(view: &View<'_>, setting: &Setting, out: &mut dyn Write) -> anyhow::Result<()> {
    let lang = setting.lang;
    let name =
        |state: State| texts::say(lang, &format!("package-state-{}", texts::key(&state)), &[]);
    for one in view.packages {
        let state = name(one.state);
        let values = [
            ("state", format!("{state:<12}")),
            ("name", one.name.clone()),
            ("version", one.version.clone()),
            ("file", one.file.clone()),
        ];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        writeln!(out, "{}", texts::say(lang, "package-line", &values).trim_end())?;
    }
    let count = |state| view.counts.get(&state).copied().unwrap_or_default().to_string();
    let values = [
        ("executed", count(State::Executed)),
        ("loaded", count(State::Loaded)),
        ("present", count(State::Present)),
        ("unknown", count(State::Unknown)),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    Ok(writeln!(out, "{}", texts::say(lang, "packages-counted", &values))?)
}
