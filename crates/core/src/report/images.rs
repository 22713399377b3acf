//! Images in short: an [`ImageLine`] for each, with what to mend first, by fix and by layer.
//!
//! Pure, from the facts of a snapshot ([`lines`]) or from the report about one image ([`ImageLine::of_report`]).
//! Lists are cut to what a page can hold, and say how many there were; counts are always of all. What was not read is
//! among the problems, and where vulnerabilities are unknown there is no count.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Snapshot;
use crate::facts::{Gap, Image, ImageVulnerability};
use crate::finding::SubjectKind;
use crate::inventory::Part;
use crate::report::fixes::{FixLine, fixes};
use crate::report::profiles::PackageState;
use crate::verdict::{ImageReport, Safety};
use crate::vulnerability::{Assessment, Rating, Vulnerability};

/// Vulnerabilities, fixes and problems of one image that are listed: with 100 images a page stays below a few megabytes.
pub const FLAWS_MAX: usize = 50;
/// Fixes that are listed.
pub const FIXES_MAX: usize = 50;
/// Problems that are listed.
pub const PROBLEMS_MAX: usize = 5;
/// Layers that are listed; engines refuse more than 127.
pub const LAYERS_MAX: usize = 128;
/// Letters of one build step.
const STEP_MAX: usize = 400;

/// How many vulnerabilities have each rating; a rating that none has is absent.
pub type Ratings = BTreeMap<Rating, u64>;

/// One image in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageLine {
    /// Id; empty if it has none.
    pub id: String,
    /// Its first reference, or its id.
    pub name: String,
    /// References, sorted.
    pub tags: Vec<String>,
    /// What is thought of it; absent if it was not scanned.
    pub safety: Option<Safety>,
    /// Distribution; empty if it says none or was not scanned.
    pub distro: String,
    /// Bytes; -1 if unknown.
    pub size: i64,
    /// Days since it was made; -1 if unknown.
    pub age_days: i64,
    /// Age of the vulnerability data in days; -1 if there is none.
    pub data_age_days: i64,
    /// Names of the containers that run it, sorted.
    pub containers: Vec<String>,
    /// Vulnerabilities by rating; absent if they are unknown.
    pub ratings: Option<Ratings>,
    /// Whether there may be vulnerabilities that are not counted: something was not read or not decided.
    #[serde(default)]
    pub undecided: bool,
    /// Vulnerabilities that have a fix.
    pub fixable: u64,
    /// Vulnerabilities that are known to be exploited.
    pub exploited: u64,
    /// Secrets; -1 if unknown.
    pub secrets: i64,
    /// Malware; -1 if unknown.
    pub malware: i64,
    /// What to upgrade, what removes most first; at most [`FIXES_MAX`].
    pub fixes: Vec<FixLine>,
    /// Fixes left out.
    pub fixes_more: u64,
    /// The most urgent vulnerabilities; at most [`FLAWS_MAX`].
    pub flaws: Vec<FlawLine>,
    /// Vulnerabilities left out.
    pub flaws_more: u64,
    /// Layers, base first.
    pub layers: Vec<LayerLine>,
    /// Layers left out.
    pub layers_more: u64,
    /// What could not be read or decided, at most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
    /// Problems left out.
    pub problems_more: u64,
}

/// One vulnerability in one package, in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlawLine {
    /// Its id.
    pub id: String,
    /// Package.
    pub package: String,
    /// Installed version.
    pub installed: String,
    /// The version that fixes it; empty if there is none.
    pub fixed: String,
    /// The command that gets there; empty if there is none.
    pub command: String,
    /// How bad it is.
    pub rating: Rating,
    /// Whether it is known to be exploited.
    pub exploited: bool,
    /// Probability that it is exploited within 30 days, 0 to 1; absent if unknown.
    pub epss: Option<f64>,
    /// The layer that brought the package, from 0; absent if unknown.
    pub layer: Option<u32>,
    /// What was seen of the package in the containers of the image; absent if none of them was watched.
    #[serde(default)]
    pub seen: Option<PackageState>,
}

/// One layer in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerLine {
    /// The build step that made it, perhaps cut; empty if unknown.
    pub created_by: String,
    /// Bytes; -1 if unknown.
    pub size: i64,
    /// Packages that it brought; -1 if unknown.
    pub packages: i64,
    /// Vulnerabilities that it brought.
    pub ratings: Ratings,
    /// Secrets that it brought.
    pub secrets: u64,
}

impl ImageLine {
    /// Whether it was read.
    pub fn scanned(&self) -> bool {
        self.safety.is_some()
    }

    /// Vulnerabilities of all ratings; none if they are unknown.
    pub fn total(&self) -> Option<u64> {
        self.ratings.as_ref().map(|ratings| ratings.values().sum())
    }

    /// In short, what the report about one image says.
    pub fn of_report(report: &ImageReport) -> Self {
        let (scan, assessment) = (&report.scan, &report.assessment);
        let line = |flaw| FlawLine { seen: report.seen_of(flaw), ..FlawLine::from(flaw) };
        let flaws: Vec<FlawLine> = assessment.vulnerabilities.iter().map(line).collect();
        let mut layers: Vec<LayerLine> = scan
            .layers
            .iter()
            .map(|layer| LayerLine {
                created_by: short(&layer.created_by),
                size: count(layer.size),
                ..LayerLine::default()
            })
            .collect();
        for place in scan.packages.iter().filter_map(|package| package.layer) {
            if let Some(layer) = at(&mut layers, place) {
                layer.packages += 1;
            }
        }
        for place in scan.secrets.iter().filter_map(|secret| secret.layer) {
            if let Some(layer) = at(&mut layers, place) {
                layer.secrets += 1;
            }
        }
        let problems = scan
            .problems
            .iter()
            .filter(|problem| !problem.affects.is_empty())
            .map(|problem| format!("{}: {}", problem.place, problem.detail))
            .chain(undecided(assessment));
        let subject = &scan.subject;
        let moment = |time: &str| time.parse::<jiff::Timestamp>().ok();
        let days = |from: jiff::Timestamp| {
            moment(&report.taken_at).map(|now| (now.as_second() - from.as_second()).max(0) / 86_400)
        };
        let oldest = assessment.sources.iter().filter_map(|source| moment(source.of())).min();
        let mut line = Self {
            id: subject.id.clone(),
            name: subject.reference.clone(),
            tags: subject.tags.clone(),
            safety: Some(report.verdict.safety),
            distro: scan.distro.as_ref().map(distro_name).unwrap_or_default(),
            // A folder has no size as an image has; an SBOM may state one.
            size: match subject.kind.as_str() {
                "rootfs" | "sbom" if subject.size == 0 => -1,
                _ => count(subject.size),
            },
            age_days: moment(&subject.created_at).and_then(days).unwrap_or(-1),
            data_age_days: oldest.and_then(days).unwrap_or(-1),
            containers: report.containers.clone(),
            secrets: count(scan.secrets.len() as u64),
            malware: count(scan.malware.len() as u64),
            layers,
            ..Self::default()
        };
        line.fill(flaws, problems.collect());
        line.undecided = !assessment.undecided.is_empty() || !scan.is_whole(Part::Packages);
        if assessment.sources.is_empty() && assessment.vulnerabilities.is_empty() {
            // Nothing was matched, so there is no count, not even zero.
            line.ratings = None;
        }
        line
    }

    /// In short, what the facts of an image say.
    pub fn of_image(image: &Image, gaps: &[Gap], containers: Vec<String>) -> Self {
        let id = image.id.clone().unwrap_or_default();
        let tags = image.tags.clone().unwrap_or_default();
        let scan = image.scan.as_ref();
        let known = |list: Option<&Vec<String>>| list.map_or(-1, |list| count(list.len() as u64));
        let safety = scan.map(|scan| match scan.safety.as_deref() {
            Some("safe") => Safety::Safe,
            Some("unsafe") => Safety::Unsafe,
            _ => Safety::Undecided,
        });
        let layers = scan.and_then(|scan| scan.layers.as_ref()).map(|layers| {
            let layers = layers.iter().map(|layer| LayerLine {
                created_by: short(layer.created_by.as_deref().unwrap_or_default()),
                size: layer.size.unwrap_or(-1),
                packages: -1,
                ..LayerLine::default()
            });
            layers.collect()
        });
        let mut line = Self {
            name: tags.first().unwrap_or(&id).clone(),
            tags,
            safety,
            distro: scan.and_then(|scan| scan.distro.clone()).unwrap_or_default(),
            size: image.size.unwrap_or(-1),
            age_days: image.age_days.unwrap_or(-1),
            data_age_days: scan.and_then(|scan| scan.data_age_days).unwrap_or(-1),
            containers,
            secrets: known(scan.and_then(|scan| scan.secrets.as_ref())),
            malware: known(scan.and_then(|scan| scan.malware.as_ref())),
            layers: layers.unwrap_or_default(),
            ..Self::default()
        };
        let problems: BTreeSet<String> = gaps
            .iter()
            .filter(|gap| gap.kind == SubjectKind::Image && (gap.id.is_empty() || gap.id == id))
            .filter(|gap| gap.fact == "scan" || gap.fact.starts_with("scan."))
            .map(|gap| gap.detail.clone())
            .collect();
        let flaws = scan.and_then(|scan| scan.vulnerabilities.as_ref());
        let unknown = flaws.is_none();
        line.undecided = gaps.iter().any(|gap| {
            let about = gap.kind == SubjectKind::Image && (gap.id.is_empty() || gap.id == id);
            about && (gap.fact == "scan" || gap.fact == "scan.vulnerabilities")
        });
        let flaws = flaws.into_iter().flatten().map(FlawLine::from).collect();
        line.id = id;
        line.fill(flaws, problems.into_iter().collect());
        if unknown {
            line.ratings = None;
        }
        line
    }

    /// Counts, groups and cuts.
    fn fill(&mut self, mut flaws: Vec<FlawLine>, problems: Vec<String>) {
        let mut ratings = Ratings::new();
        for flaw in &flaws {
            *ratings.entry(flaw.rating).or_default() += 1;
            self.fixable += u64::from(!flaw.fixed.is_empty());
            self.exploited += u64::from(flaw.exploited);
            if let Some(layer) = flaw.layer.and_then(|place| at(&mut self.layers, place)) {
                *layer.ratings.entry(flaw.rating).or_default() += 1;
            }
        }
        self.ratings = Some(ratings);
        self.fixes = fixes(&flaws);
        self.fixes_more = cut(&mut self.fixes, FIXES_MAX);
        self.flaws_more = cut(&mut flaws, FLAWS_MAX);
        self.flaws = flaws;
        self.layers_more = cut(&mut self.layers, LAYERS_MAX);
        self.problems = problems;
        self.problems_more = cut(&mut self.problems, PROBLEMS_MAX);
    }
}

impl From<&Vulnerability> for FlawLine {
    fn from(flaw: &Vulnerability) -> Self {
        Self {
            id: flaw.id.clone(),
            package: flaw.name.clone(),
            installed: flaw.installed.clone(),
            fixed: flaw.fixed.clone(),
            command: flaw.command.clone(),
            rating: flaw.rating,
            exploited: flaw.exploited.is_some(),
            epss: flaw.epss.map(|epss| epss.score),
            layer: flaw.layer,
            seen: None,
        }
    }
}

impl From<&ImageVulnerability> for FlawLine {
    fn from(flaw: &ImageVulnerability) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let rating =
            Rating::WORST_FIRST.into_iter().find(|r| Some(r.name()) == flaw.rating.as_deref());
        Self {
            id: text(&flaw.id),
            package: text(&flaw.package),
            installed: text(&flaw.version),
            fixed: text(&flaw.fixed),
            command: text(&flaw.command),
            rating: rating.unwrap_or_default(),
            exploited: flaw.exploited.unwrap_or_default(),
            epss: flaw
                .epss
                .and_then(|thousandths| i32::try_from(thousandths).ok())
                .filter(|thousandths| *thousandths >= 0)
                .map(|thousandths| f64::from(thousandths) / 1000.0),
            layer: flaw.layer.and_then(|layer| u32::try_from(layer).ok()),
            seen: None,
        }
    }
}

/// All images of a snapshot, worst first; none if no image was scanned.
pub fn lines(snapshot: &Snapshot) -> Vec<ImageLine> {
    let images = snapshot.images.as_deref().unwrap_or_default();
    if images.iter().all(|image| image.scan.is_none()) {
        return Vec::new();
    }
    let mut by_image: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in snapshot.containers.iter().flatten() {
        if let (Some(image), Some(name)) = (&container.image_id, &container.name) {
            by_image.entry(image).or_default().insert(name);
        }
    }
    let mut lines: Vec<ImageLine> = images
        .iter()
        .map(|image| {
            let id = image.id.as_deref().unwrap_or_default();
            let mut names = by_image.get(id).cloned().unwrap_or_default();
            names.extend(image.used_by.iter().flatten().map(String::as_str));
            let names = names.into_iter().map(str::to_owned).collect();
            ImageLine::of_image(image, &snapshot.gaps, names)
        })
        .collect();
    sort(&mut lines);
    lines
}

/// Puts the worst first: unsafe, not scanned, undecided, safe; then those with most of the worst vulnerabilities.
pub fn sort(lines: &mut [ImageLine]) {
    lines.sort_by_cached_key(|line| {
        let place = match line.safety {
            Some(Safety::Unsafe) => 0,
            None => 1,
            Some(Safety::Undecided) => 2,
            Some(Safety::Safe) => 3,
        };
        let ratings = line.ratings.clone().unwrap_or_default();
        let worst = Rating::WORST_FIRST.map(|rating| ratings.get(&rating).copied().unwrap_or(0));
        (place, std::cmp::Reverse((line.exploited, worst)), line.name.clone())
    });
}

/// What could not be decided, by its cause in words.
fn undecided(assessment: &Assessment) -> Vec<String> {
    let mut by_detail: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in &assessment.undecided {
        let name = format!("{} {}", one.name, one.version).trim().to_owned();
        by_detail.entry(&one.detail).or_default().push(name);
    }
    let lines = by_detail.into_iter().map(|(detail, names)| {
        let first = names.first().map_or("", String::as_str);
        match names.len() {
            1 => format!("{first}: {detail}"),
            all => format!("{first} and {} more: {detail}", all.saturating_sub(1)),
        }
    });
    lines.collect()
}

fn distro_name(distro: &crate::inventory::Distro) -> String {
    match distro.name.as_str() {
        "" => format!("{} {}", distro.id, distro.version).trim().to_owned(),
        name => name.to_owned(),
    }
}

fn at(layers: &mut [LayerLine], place: u32) -> Option<&mut LayerLine> {
    usize::try_from(place).ok().and_then(|place| layers.get_mut(place))
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn short(step: &str) -> String {
    let mut letters = step.chars();
    let mut out: String = letters.by_ref().take(STEP_MAX).collect();
    if letters.next().is_some() {
        out.push('…');
    }
    out
}

/// Cuts a list, and says how many were cut off.
fn cut<T>(list: &mut Vec<T>, most: usize) -> u64 {
    let more = list.len().saturating_sub(most) as u64;
    list.truncate(most);
    more
}

#[cfg(test)]
mod tests;
