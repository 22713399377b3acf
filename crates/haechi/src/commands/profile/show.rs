//! A profile for people, and as data.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use haechi_core::Lang;
use haechi_core::alert::Alert;
use haechi_core::profile::{Entry, Kind, Predecessor, Profile, Workload};
use haechi_core::report::profiles::{CurvePoint, PackageCounts, PackageState, ProfileLine};
use haechi_core::text::{Text, visible};
use haechi_profile::blind;
use haechi_profile::coverage::{Coverage, Part};
use haechi_profile::least::Least;
use haechi_profile::news;
use haechi_profile::texts::{self, duration};
use haechi_store::ProfileId;
use serde::Serialize;

use super::{Known, find};
use crate::setting::Setting;

/// Schema of what is shown as data.
const SCHEMA: &str = "haechi/profile-view/v1";
/// Columns of the curve.
const CURVE: u64 = 48;
/// Lines of a list before the rest is counted.
const LINES: usize = 12;
/// Heights of a column.
const HEIGHTS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A profile in the list.
#[derive(Serialize)]
pub(super) struct Row {
    number: i64,
    containers: BTreeSet<String>,
    image: String,
    image_id: String,
    command: Vec<String>,
    watched: u64,
    entries: usize,
    /// How many are new since it was settled; none if it never was while it was watched.
    news: Option<usize>,
    settled: bool,
    unsettled: BTreeSet<Part>,
    /// The build before, from which something was taken over.
    predecessor: Option<Predecessor>,
    /// What of it is in force ([`super::enforce::data`]).
    enforcement: serde_json::Value,
}

impl Row {
    pub(super) fn of(
        id: ProfileId,
        profile: &Profile,
        coverage: &Coverage,
        enforcement: serde_json::Value,
    ) -> Self {
        let parts = coverage.parts.iter().filter(|(_, part)| !part.unsettled.is_empty());
        Self {
            number: id.0,
            containers: find::container_names(profile),
            image: profile.image_name.clone(),
            image_id: profile.workload.image.clone(),
            command: profile.workload.command.clone(),
            watched: coverage.watched,
            entries: profile.known().count(),
            news: profile.baseline_at.map(|_| news::news(profile.known(), profile.later()).len()),
            settled: coverage.is_settled(),
            unsettled: parts.map(|(part, _)| *part).collect(),
            predecessor: profile.predecessor.clone(),
            enforcement,
        }
    }

    pub(super) fn line(&self, lang: Lang) -> String {
        let names: Vec<&str> = self.containers.iter().map(String::as_str).collect();
        let image = if self.image.is_empty() { short(&self.image_id) } else { &self.image };
        let state = match self.settled {
            true => texts::say(lang, "state-settled", &[]),
            false => {
                texts::say(lang, "state-open", &[("parts", &part_names(&self.unsettled, lang))])
            }
        };
        let values = [
            ("number", format!("{:>3}", self.number)),
            ("names", names.join(" ")),
            ("image", image.to_owned()),
            ("watched", duration(lang, self.watched)),
            ("entries", self.entries.to_string()),
            ("state", state),
        ];
        let line = texts::say(
            lang,
            "list-line",
            &values.each_ref().map(|(name, value)| (*name, value.as_str())),
        );
        match &self.predecessor {
            Some(before) => {
                let values = [("image", before.image_name.as_str()), ("id", short(&before.image))];
                format!("{line}  {}", texts::say(lang, "list-after", &values))
            }
            None => line,
        }
    }
}

/// Names of parts.
pub(super) fn part_names(parts: &BTreeSet<Part>, lang: Lang) -> String {
    let names = parts.iter().map(|part| texts::say(lang, &format!("part-{}", part.name()), &[]));
    names.collect::<Vec<_>>().join(", ")
}

fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// A profile with what follows from it.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    schema: &'static str,
    number: Option<i64>,
    workload: &'a Workload,
    image_name: &'a str,
    settled: bool,
    coverage: &'a Coverage,
    calls_allowed_today: Option<usize>,
    least: &'a Least,
    entries: BTreeMap<Kind, BTreeSet<&'a str>>,
    /// The build before, and what of the entries was taken over from it.
    predecessor: Option<&'a Predecessor>,
    carried: BTreeMap<Kind, BTreeSet<&'a str>>,
    /// Hours in which something new was seen, and how much was known at the end of each.
    curve: &'a [CurvePoint],
    /// Packages of its image by what was seen of them; none if no verification took it apart.
    packages: Option<&'a PackageCounts>,
    /// Why what is new cannot be told any more; empty if it can.
    blind: Vec<Text>,
    /// What was told while it was learned, of warning or more.
    alerts_while_learned: &'a [Alert],
    /// What of it is in force ([`super::enforce::data`]); none of a file.
    enforcement: Option<serde_json::Value>,
}

fn by_kind<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeMap<Kind, BTreeSet<&'a str>> {
    let mut found: BTreeMap<Kind, BTreeSet<&str>> = BTreeMap::new();
    for entry in entries {
        found.entry(entry.kind).or_default().insert(&entry.value);
    }
    found
}

pub(super) fn data<'a>(
    known: &'a Known,
    line: &'a ProfileLine,
    amid: &'a [Alert],
    enforcement: Option<serde_json::Value>,
) -> Data<'a> {
    Data {
        enforcement,
        curve: &line.curve,
        packages: line.packages.as_ref(),
        schema: SCHEMA,
        number: known.id.map(|id| id.0),
        workload: &known.profile.workload,
        image_name: &known.profile.image_name,
        settled: known.coverage.is_settled(),
        coverage: &known.coverage,
        calls_allowed_today: known.today.calls(),
        least: &known.least,
        entries: by_kind(known.profile.known()),
        predecessor: known.profile.predecessor.as_ref(),
        carried: by_kind(known.profile.carried.iter()),
        blind: blind::lines(&known.profile),
        alerts_while_learned: amid,
    }
}

/// Writes it for people.
pub(super) fn table(
    known: &Known,
    line: &ProfileLine,
    amid: &[String],
    is_all: bool,
    setting: &Setting,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let lang = setting.lang;
    let say = |key: &str, values: &[(&str, &str)]| texts::say(lang, key, values);
    let (profile, coverage) = (&known.profile, &known.coverage);
    let names: Vec<String> = find::container_names(profile).into_iter().collect();
    let image = format!("{} ({})", profile.image_name, short(&profile.workload.image));
    writeln!(out, "{}", visible(&format!("{}  {}", names.join(" "), image.trim())))?;
    writeln!(out, "  {}", visible(&profile.workload.command.join(" ")))?;
    let why = known.warn(&Part::ALL, true, setting)?;
    if why.is_empty() {
        writeln!(out, "{}", say("settled", &[]))?;
    }
    let blind = blind::lines(profile);
    blind.iter().try_for_each(|line| writeln!(out, "{}", line.get(lang)))?;
    why.iter().chain(amid).try_for_each(|line| writeln!(out, "{line}"))?;
    if let Some(before) = &profile.predecessor {
        writeln!(out, "{}", taken_over(before, profile, lang))?;
    }
    writeln!(out)?;

    let (runs, containers) = (coverage.runs.to_string(), coverage.containers.to_string());
    let times = [
        ("watched", duration(lang, coverage.watched)),
        ("observed", duration(lang, coverage.observed)),
        ("learned", duration(lang, coverage.learned_in)),
        ("quiet", duration(lang, coverage.quiet)),
        ("runs", runs),
        ("containers", containers),
    ];
    let times = times.each_ref().map(|(name, value)| (*name, value.as_str()));
    writeln!(out, "{}", say("show-times", &times))?;
    let points = line.columns(CURVE);
    let new = columns(points.iter().map(|point| point.new));
    let all = columns(points.iter().map(|point| point.total));
    writeln!(out, "{}", say("show-curve", &[("curve", &new)]))?;
    let values = [
        ("curve", all.as_str()),
        ("count", &line.curve.last().map_or(0, |point| point.total).to_string()),
    ];
    writeln!(out, "{}", say("show-known", &values))?;
    let phases: Vec<String> = coverage
        .phases
        .iter()
        .map(|phase| say(&format!("phase-{}", texts::key(phase)), &[]))
        .collect();
    writeln!(out, "{}", say("show-phases", &[("phases", &phases.join(", "))]))?;
    for (gap, seconds) in &coverage.gaps {
        let why = say(&format!("gap-{}", texts::key(gap)), &[]);
        let values = [("why", why.as_str()), ("time", &duration(lang, *seconds))];
        writeln!(out, "{}", say("show-gap", &values))?;
    }
    for kind in
        [Kind::Executed, Kind::Mapped, Kind::Listening, Kind::Peer, Kind::Written, Kind::Read]
    {
        let of = profile.known().filter(|entry| entry.kind == kind);
        let values: BTreeSet<&str> = of.map(|entry| entry.value.as_str()).collect();
        let lines = match kind {
            Kind::Written | Kind::Read if !is_all => folders(&values),
            _ => values.iter().map(|value| (*value).to_owned()).collect(),
        };
        section(
            &say(&format!("kind-{}", kind.name()), &[]),
            values.len(),
            &lines,
            is_all,
            lang,
            out,
        )?;
    }
    let carried = by_kind(profile.carried.iter()).into_iter();
    let carried: Vec<String> = carried
        .flat_map(|(kind, values)| {
            let name = say(&format!("kind-{}", kind.name()), &[]);
            values.into_iter().map(move |value| format!("{name}: {value}"))
        })
        .collect();
    if !carried.is_empty() {
        section(&say("show-carried", &[]), carried.len(), &carried, is_all, lang, out)?;
    }
    writeln!(out)?;
    for row in known.least.differences(&known.today, lang) {
        let line = format!("{}: {} -> {}", row.of, row.today, row.then);
        writeln!(out, "{}", visible(&line))?;
    }
    match &line.packages {
        None => writeln!(out, "{}", say("show-packages-unread", &[]))?,
        Some(counts) => {
            let count =
                |state: PackageState| counts.get(&state).copied().unwrap_or_default().to_string();
            let counts = PackageState::ALL.map(|state| (state.name(), count(state)));
            let counts = counts.each_ref().map(|(name, count)| (*name, count.as_str()));
            let said = say("packages-counted", &counts);
            writeln!(out, "{}", say("show-packages", &[("counts", &said)]))?;
        }
    }
    let made = &known.least.calls;
    let (seen, added) = (made.seen.len().to_string(), made.added.len().to_string());
    writeln!(out, "{}", say("show-calls", &[("seen", &seen), ("added", &added)]))?;
    if is_all {
        let seen: Vec<&str> = made.seen.iter().map(String::as_str).collect();
        writeln!(out, "  {}", seen.join(" "))?;
    }
    if !known.least.capabilities.refused.is_empty() {
        let names: Vec<&str> =
            known.least.capabilities.refused.iter().map(String::as_str).collect();
        writeln!(out, "{}", say("show-refused", &[("names", &names.join(" "))]))?;
    }
    Ok(())
}

/// Of which build it is the next, by what, and how much was taken over.
pub(super) fn taken_over(before: &Predecessor, profile: &Profile, lang: Lang) -> String {
    let by = texts::say(lang, &format!("kinship-{}", texts::key(&before.by)), &[]);
    let image = format!("{} ({})", before.image_name, short(&before.image));
    let count = profile.carried.len().to_string();
    texts::say(lang, "taken-over", &[("image", &image), ("by", &by), ("count", &count)])
}

fn section(
    title: &str,
    count: usize,
    lines: &[String],
    is_all: bool,
    lang: Lang,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "\n{title} ({count})")?;
    let most = if is_all { usize::MAX } else { LINES };
    for line in lines.iter().take(most) {
        writeln!(out, "  {}", visible(line))?;
    }
    let more = lines.len().saturating_sub(most);
    if more > 0 {
        writeln!(out, "  {}", texts::say(lang, "show-more", &[("count", &more.to_string())]))?;
    }
    Ok(())
}

/// Folders with how many files of them there are, those with the most first.
fn folders(paths: &BTreeSet<&str>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in paths {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *counts.entry(folder).or_default() += 1;
    }
    let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.into_iter().map(|(folder, count)| format!("{folder}/  {count}")).collect()
}

/// Numbers as a line of columns, the highest as high as a letter.
fn columns(counts: impl Iterator<Item = u64> + Clone) -> String {
    let most = counts.clone().max().unwrap_or_default().max(1);
    let top = HEIGHTS.len() as u64 - 1;
    let column = |count: u64| {
        let height = usize::try_from((count * top).div_ceil(most)).unwrap_or_default();
        HEIGHTS.get(height).copied().unwrap_or('█')
    };
    counts.map(column).collect()
}
