//! What is at risk, grouped by what mends it: findings by their check, vulnerabilities by their upgrade.
//!
//! A group has the rank of its worst member and is explained by that one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use haechi_core::finding::{Area, SubjectKind};
use haechi_core::report::fixes;
use haechi_core::risk::{RiskKept, RiskLine, Weight, danger, name, rank, sentence};
use haechi_core::text::Text;
use haechi_core::{Finding, Report};
use haechi_facts::engine::api::encode;

use super::{Holder, Place, Scene, Wrong};

/// Groups that are kept; nobody reads further.
const LINES_MAX: usize = 1000;
/// Commands that one group shows.
const COMMANDS_MAX: usize = 10;

/// All groups, the highest rank first; of one rank, what mends more.
pub(super) fn risks(scene: &Scene<'_>) -> Vec<RiskKept> {
    let mut all = findings(scene);
    all.extend(upgrades(scene));
    all.sort_by(|a, b| {
        let (a, b) = (&a.line, &b.line);
        b.rank.total_cmp(&a.rank).then(b.mends.cmp(&a.mends)).then(a.title.cmp(&b.title))
    });
    all.truncate(LINES_MAX);
    all
}

/// Failing findings of one check.
struct Failing<'a> {
    worst: &'a Finding,
    danger: f64,
    count: u64,
    /// What mends each of them.
    commands: BTreeSet<&'a str>,
}

impl<'a> Failing<'a> {
    fn of(worst: &'a Finding, danger: f64) -> Self {
        Self { worst, danger, count: 0, commands: BTreeSet::new() }
    }

    /// What mends all of them, a line each; nothing if that is not known of all or would be more than anybody copies: the
    /// item has the command of each.
    fn command(&self) -> String {
        let commands: Vec<&str> = self.commands.iter().copied().collect();
        match commands.len() {
            1..=COMMANDS_MAX if !self.commands.contains("") => commands.join("\n"),
            _ => String::new(),
        }
    }
}

fn findings(scene: &Scene<'_>) -> Vec<RiskKept> {
    let mut groups: BTreeMap<&str, Failing<'_>> = BTreeMap::new();
    for finding in scene.failing() {
        let danger = danger(&scene.weights_of_finding(finding));
        let group = groups.entry(&finding.check).or_insert_with(|| Failing::of(finding, danger));
        group.count += 1;
        group.commands.insert(finding.fix.as_deref().unwrap_or_default());
        if danger > group.danger {
            (group.worst, group.danger) = (finding, danger);
        }
    }
    let items = items(scene.known.reports);
    let line = |group: &Failing<'_>| {
        let finding = group.worst;
        let subject = name(&finding.subject.name);
        let more = group.count.saturating_sub(1).to_string();
        let key = if group.count == 1 { "title.finding" } else { "title.findings" };
        let title = by_language(&finding.title, |title| {
            sentence(key, &[("subject", &subject), ("title", title), ("more", &more)])
        });
        let (benchmark, item) = items.get(finding.check.as_str()).copied().unwrap_or_default();
        let link = match finding.subject.kind {
            SubjectKind::Container if group.count == 1 => container_link(&finding.subject.id),
            SubjectKind::Image if group.count == 1 => image_link(&finding.subject.id),
            _ => format!("/checklist/{}/{}", encode(benchmark), encode(item)),
        };
        RiskLine {
            since: None,
            rank: rank(group.danger),
            area: finding.area,
            title,
            link,
            factors: scene.weights_of_finding(finding).iter().map(Weight::told).collect(),
            remediation: finding.remediation.clone(),
            command: group.command(),
            mends: group.count,
        }
    };
    groups
        .iter()
        .map(|(check, group)| RiskKept {
            line: line(group),
            check: (*check).to_owned(),
            subjects: group.count,
        })
        .collect()
}

/// Vulnerabilities that one upgrade removes, or that have none.
struct Upgrade<'a, 'b> {
    package: &'b str,
    fixed: String,
    command: String,
    worst: (&'a Holder<'b>, &'a Wrong<'b>, Option<&'a Place<'b>>),
    danger: f64,
    images: BTreeSet<&'b str>,
    count: u64,
}

/// What vulnerabilities have in common: package and command; where there is no command, package and version; where there
/// is no fix, the image.
type Way = (String, String);

fn upgrades(scene: &Scene<'_>) -> Vec<RiskKept> {
    let mut groups: BTreeMap<Way, Upgrade<'_, '_>> = BTreeMap::new();
    for holder in &scene.images {
        let id = holder.image.id.as_deref().unwrap_or_default();
        let lines = holder.flaw_lines();
        let mut ways: Vec<(Way, String, String, Vec<usize>)> = Vec::new();
        for (fix, places) in fixes::grouped(&lines) {
            let fixed = fix.fixed.join(", ");
            let way = if fix.command.is_empty() { &fixed } else { &fix.command };
            ways.push(((fix.package.clone(), way.clone()), fixed, fix.command, places));
        }
        let without: Vec<usize> = lines
            .iter()
            .enumerate()
            .filter(|(_, flaw)| flaw.fixed.is_empty())
            .map(|(place, _)| place)
            .collect();
        if !without.is_empty() {
            // No package has an empty name, so this is no upgrade's key.
            ways.push(((String::new(), id.to_owned()), String::new(), String::new(), without));
        }
        for (key, fixed, command, places) in ways {
            let members = places.iter().filter_map(|place| holder.flaws.get(*place));
            let worst = members
                .map(|wrong| (wrong, scene.worst(holder, wrong)))
                .max_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b));
            let Some((wrong, (danger, place))) = worst else { continue };
            let worst = (holder, wrong, place);
            let group = groups.entry(key).or_insert_with(|| Upgrade {
                package: &wrong.from.name,
                fixed,
                command,
                worst,
                danger,
                images: BTreeSet::new(),
                count: 0,
            });
            group.images.insert(id);
            group.count += places.len() as u64;
            if danger > group.danger {
                (group.worst, group.danger) = (worst, danger);
            }
        }
    }
    groups.values().map(upgrade).collect()
}

fn upgrade(group: &Upgrade<'_, '_>) -> RiskKept {
    let (holder, wrong, place) = group.worst;
    let image = holder.image;
    let id = image.id.as_deref().unwrap_or_default();
    let subject = name(image.tags.iter().flatten().next().map_or(id, String::as_str));
    let (more, images) = (group.count.saturating_sub(1), group.images.len().saturating_sub(1));
    let key = match (more, images) {
        (0, _) => "title.flaw",
        _ if group.fixed.is_empty() => "title.unfixed",
        (_, 0) => "title.flaws",
        _ => "title.flaws.images",
    };
    let (package, fixed) = (name(group.package), name(&group.fixed));
    let title = sentence(
        key,
        &[
            ("id", &name(&wrong.from.id)),
            ("package", &package),
            ("subject", &subject),
            ("more", &more.to_string()),
            ("images", &images.to_string()),
        ],
    );
    let mut weights = wrong.flaw.weights();
    match place {
        Some(place) => {
            weights.push(place.usage(wrong).weight());
            weights.extend(place.exposure.weights());
        }
        None => weights.push(Weight::of_no_container()),
    }
    let (remediation, mends) = match group.fixed.is_empty() {
        true => (sentence("mend.none", &[]), 0),
        false => {
            (sentence("mend.upgrade", &[("package", &package), ("fixed", &fixed)]), group.count)
        }
    };
    let line = RiskLine {
        since: None,
        rank: rank(group.danger),
        area: Area::Image,
        title,
        link: image_link(id),
        factors: weights.iter().map(Weight::told).collect(),
        remediation,
        command: group.command.clone(),
        mends,
    };
    RiskKept { line, check: String::new(), subjects: group.images.len() as u64 }
}

impl<'a> Scene<'a> {
    /// The danger of a vulnerability where it is worst, and where that is.
    fn worst(&self, holder: &Holder<'_>, wrong: &Wrong<'_>) -> (f64, Option<&Place<'a>>) {
        let places = holder.containers.iter().filter_map(|place| self.containers.get(*place));
        places
            .map(|place| {
                (wrong.danger * place.usage(wrong).weight().times * place.times, Some(place))
            })
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .unwrap_or((wrong.danger * Weight::of_no_container().times, None))
    }
}

/// The first benchmark and item that each check belongs to.
fn items<'a>(reports: &[&'a Report]) -> HashMap<&'a str, (&'a str, &'a str)> {
    let mut items = HashMap::new();
    for report in reports {
        for item in &report.items {
            for finding in &item.findings {
                let place = (report.benchmark.as_str(), item.id.as_str());
                items.entry(finding.check.as_str()).or_insert(place);
            }
        }
    }
    items
}

/// A sentence around a text, each language in its own.
fn by_language(text: &Text, sentence: impl Fn(&str) -> Text) -> Text {
    Text { en: sentence(&text.en).en, ko: sentence(&text.ko).ko }
}

fn container_link(id: &str) -> String {
    format!("/containers/{}", encode(id))
}

fn image_link(id: &str) -> String {
    format!("/images/{}", encode(id))
}
