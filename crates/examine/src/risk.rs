//! What is at risk on a host: the facts of containers, findings and reports about images, ranked by the formula of
//! [`haechi_core::risk`] (`docs/risk.md`) and grouped by what mends them.
//!
//! Pure. Where something is not known, that is not known in the result; nothing here is decided anew.

mod exposure;
mod lines;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use haechi_core::facts::{Container, Image};
use haechi_core::finding::{Status, SubjectKind};
use haechi_core::inventory::Package;
use haechi_core::profile::Entry;
use haechi_core::report::Counts;
use haechi_core::report::images::{FlawLine, ImageLine};
use haechi_core::risk::{
    ContainerKept, Exposure, Flaw, ImageKept, Inventory, Usage, Weight, danger, rank,
};
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::Vulnerability;
use haechi_core::{Finding, Policy, Report, Severity, Snapshot};

use haechi_profile::packages::{self, State};
use haechi_profile::today::Today;

use crate::mark;

pub use exposure::of as exposure;

/// What a verification knows.
pub struct Known<'a> {
    /// The facts.
    pub snapshot: &'a Snapshot,
    /// What was decided from them, by each benchmark. A finding of several counts once.
    pub reports: &'a [&'a Report],
    /// What counts as sensitive.
    pub policy: &'a Policy,
    /// Reports about images that were made now.
    pub images: &'a [ImageReport],
    /// The last reports about images that were not read now.
    pub earlier: &'a [ImageReport],
    /// What containers were seen to use, by their id.
    pub seen: &'a HashMap<String, Seen>,
}

/// What a container was seen to use: now, or in all its profile.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Programs that were executed, files that were mapped or read.
    pub entries: Vec<Entry>,
    /// Whether that was watched well enough to say of a package that it is not used.
    pub is_settled: bool,
}

/// An image with what is wrong in it.
struct Holder<'a> {
    image: &'a Image,
    report: Option<&'a ImageReport>,
    flaws: Vec<Wrong<'a>>,
    /// Containers made from it, as places in the list of all.
    containers: Vec<usize>,
    /// Packages in which something is wrong.
    packages: Vec<&'a Package>,
}

/// A vulnerability with the part of its danger that is the same in every container.
struct Wrong<'a> {
    from: &'a Vulnerability,
    flaw: Flaw,
    place: String,
    danger: f64,
}

/// A container with what its place adds to whatever is wrong.
struct Place<'a> {
    facts: &'a Container,
    exposure: Exposure,
    /// Product of its factors.
    times: f64,
    usage: BTreeMap<String, Usage>,
    counts: Counts,
    failing: BTreeMap<Severity, u64>,
    /// Of the worst thing in it.
    danger: f64,
}

impl Place<'_> {
    fn usage(&self, wrong: &Wrong<'_>) -> Usage {
        self.usage.get(&wrong.place).copied().unwrap_or_default()
    }

    /// Packages that are used so, as `NAME VERSION`.
    fn packages(&self, usage: Usage) -> impl Iterator<Item = String> {
        self.usage.iter().filter(move |(_, is)| **is == usage).map(|(place, _)| place.clone())
    }
}

/// Everything that is known of images and containers, brought together.
struct Scene<'a> {
    known: &'a Known<'a>,
    images: Vec<Holder<'a>>,
    containers: Vec<Place<'a>>,
    by_container: HashMap<&'a str, usize>,
    by_image: HashMap<&'a str, usize>,
    /// Findings, each once.
    findings: Vec<&'a Finding>,
    /// Where the engine takes calls from the network.
    engine_address: Option<String>,
}

/// The inventory of a verification; `None` if containers or images could not be listed: then what was kept stays.
pub fn inventory(known: &Known<'_>) -> Option<Inventory> {
    known.snapshot.containers.as_ref()?;
    known.snapshot.images.as_ref()?;
    let mut scene = Scene::new(known);
    scene.count_findings();
    let images = scene.rank_flaws();
    let risks = lines::risks(&scene);
    let safety: HashMap<&str, _> =
        images.iter().map(|image| (image.line.id.as_str(), image.line.safety)).collect();
    let containers = scene.containers.iter().map(|place| {
        let facts = place.facts;
        let image_id = facts.image_id.clone().unwrap_or_default();
        ContainerKept {
            id: facts.id.clone().unwrap_or_default(),
            name: facts.name.clone().unwrap_or_default(),
            image: facts.image_ref.clone().unwrap_or_default(),
            safety: safety.get(image_id.as_str()).copied().flatten(),
            image_id,
            state: facts.state.as_ref().and_then(|s| s.status.clone()).unwrap_or_default(),
            rank: rank(place.danger),
            counts: place.counts,
            failing: place.failing.clone(),
            exposure: place.exposure.clone(),
            used: place.packages(Usage::Used).collect(),
            idle: place.packages(Usage::Idle).collect(),
            given: Today::of(facts).kept(),
        }
    });
    let containers = containers.collect();
    Some(Inventory { containers, images, risks })
}

impl<'a> Scene<'a> {
    fn new(known: &'a Known<'a>) -> Self {
        let snapshot = known.snapshot;
        // A report that was made now is better than an earlier one.
        let reports: HashMap<&str, &ImageReport> = known
            .earlier
            .iter()
            .chain(known.images)
            .map(|report| (report.scan.subject.id.as_str(), report))
            .collect();
        let mut images: Vec<Holder<'a>> = Vec::new();
        let mut by_image: HashMap<&'a str, usize> = HashMap::new();
        for image in snapshot.images.iter().flatten() {
            let id = image.id.as_deref().unwrap_or_default();
            if id.is_empty() || by_image.contains_key(id) {
                continue;
            }
            by_image.insert(id, images.len());
            images.push(Holder::new(image, reports.get(id).copied()));
        }
        let mut containers: Vec<Place<'a>> = Vec::new();
        let mut by_container: HashMap<&'a str, usize> = HashMap::new();
        for facts in snapshot.containers.iter().flatten() {
            let id = facts.id.as_deref().unwrap_or_default();
            if id.is_empty() || by_container.contains_key(id) {
                continue;
            }
            let exposure = exposure::of(facts, snapshot, known.policy);
            let image = facts.image_id.as_deref().and_then(|id| by_image.get(id)).copied();
            let holder = image.and_then(|place| images.get_mut(place));
            let mut usage = BTreeMap::new();
            if let Some(holder) = holder {
                holder.containers.push(containers.len());
                usage = known.seen.get(id).map(|seen| holder.usage(seen)).unwrap_or_default();
            }
            by_container.insert(id, containers.len());
            containers.push(Place {
                facts,
                times: danger(&exposure.weights()),
                exposure,
                usage,
                counts: Counts::default(),
                failing: BTreeMap::new(),
                danger: 0.0,
            });
        }
        let engine_address = exposure::engine_address(snapshot);
        let all =
            known.reports.iter().flat_map(|report| &report.items).flat_map(|item| &item.findings);
        let mut seen = HashSet::new();
        let findings = all.filter(|finding| seen.insert(finding.key())).collect();
        Self { known, images, containers, by_container, by_image, findings, engine_address }
    }

    /// Findings that fail, each once.
    fn failing(&self) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().copied().filter(|finding| finding.status == Status::Fail)
    }

    /// Findings of each container, and the worst of them.
    fn count_findings(&mut self) {
        for finding in &self.findings {
            if finding.subject.kind != SubjectKind::Container {
                continue;
            }
            let place = self.by_container.get(finding.subject.id.as_str()).copied();
            let Some(place) = place.and_then(|place| self.containers.get_mut(place)) else {
                continue;
            };
            place.counts.add(finding.status);
            if finding.status == Status::Fail {
                *place.failing.entry(finding.severity).or_default() += 1;
                let severity = Weight::of_severity(finding.severity).times;
                place.danger = place.danger.max(severity * place.times);
            }
        }
    }

    /// Ranks images, and containers by what is wrong in their images.
    fn rank_flaws(&mut self) -> Vec<ImageKept> {
        let mut by_finding: HashMap<&str, f64> = HashMap::new();
        for finding in self.failing() {
            if finding.subject.kind == SubjectKind::Image {
                let danger = self.weights_of_finding(finding).iter().map(|w| w.times).product();
                let worst = by_finding.entry(&finding.subject.id).or_default();
                *worst = worst.max(danger);
            }
        }
        let mut kept = Vec::with_capacity(self.images.len());
        for holder in &self.images {
            let id = holder.image.id.as_deref().unwrap_or_default();
            let mut worst = by_finding.get(id).copied().unwrap_or_default();
            for wrong in &holder.flaws {
                if holder.containers.is_empty() {
                    worst = worst.max(wrong.danger * Weight::of_no_container().times);
                }
                for place in &holder.containers {
                    let Some(place) = self.containers.get_mut(*place) else { continue };
                    let usage = place.usage(wrong).weight().times;
                    let danger = wrong.danger * usage * place.times;
                    place.danger = place.danger.max(danger);
                    worst = worst.max(danger);
                }
            }
            let places = holder.containers.iter().filter_map(|place| self.containers.get(*place));
            let used = places.clone().flat_map(|place| place.packages(Usage::Used)).collect();
            let names = places.filter_map(|place| place.facts.name.clone()).collect();
            let line = holder.line(names, self.known.snapshot);
            let marked = line.tags.iter().any(|tag| tag.ends_with(mark::SUFFIX));
            kept.push(ImageKept { rank: rank(worst), marked, used, line });
        }
        kept
    }

    /// The factors of a failing finding.
    fn weights_of_finding(&self, finding: &Finding) -> Vec<Weight> {
        let mut weights = vec![Weight::of_severity(finding.severity)];
        let id = finding.subject.id.as_str();
        match finding.subject.kind {
            SubjectKind::Container => {
                let place = self.by_container.get(id).and_then(|place| self.containers.get(*place));
                weights.extend(place.map(|p| p.exposure.weights()).unwrap_or_default());
            }
            SubjectKind::Image => {
                let image = self.by_image.get(id).and_then(|image| self.images.get(*image));
                weights.extend(match image.map(|image| self.worst_place(image)) {
                    Some(Some(place)) => place.exposure.weights(),
                    Some(None) => vec![Weight::of_no_container()],
                    None => Vec::new(),
                });
            }
            SubjectKind::Host | SubjectKind::Engine | SubjectKind::File | SubjectKind::Swarm => {
                weights.push(Weight::of_all_containers());
                if let (SubjectKind::Engine, Some(at)) =
                    (finding.subject.kind, &self.engine_address)
                {
                    weights.push(Weight::of_engine_in_network(at));
                }
            }
            SubjectKind::Service | SubjectKind::Network | SubjectKind::Volume => {}
        }
        weights
    }

    /// The container of an image where whatever is wrong is worst.
    fn worst_place(&self, image: &Holder<'_>) -> Option<&Place<'a>> {
        let places = image.containers.iter().filter_map(|place| self.containers.get(*place));
        places.max_by(|a, b| a.times.total_cmp(&b.times))
    }
}

impl<'a> Holder<'a> {
    fn new(image: &'a Image, report: Option<&'a ImageReport>) -> Self {
        let flaws: Vec<Wrong<'a>> = report
            .into_iter()
            .flat_map(|report| &report.assessment.vulnerabilities)
            .map(|from| {
                let flaw = Flaw::from(from);
                let place = format!("{} {}", from.name, from.installed);
                Wrong { from, flaw, place, danger: danger(&flaw.weights()) }
            })
            .collect();
        let wrong: BTreeSet<(&str, &str)> =
            flaws.iter().map(|w| (w.from.name.as_str(), w.from.installed.as_str())).collect();
        let packages = report.into_iter().flat_map(|report| &report.scan.packages);
        let packages = packages
            .filter(|package| wrong.contains(&(package.name.as_str(), package.version.as_str())))
            .collect();
        Self { image, report, flaws, containers: Vec::new(), packages }
    }

    /// How the packages in which something is wrong are used. Of several of one name and version all have to be idle.
    fn usage(&self, seen: &Seen) -> BTreeMap<String, Usage> {
        let mut usage = BTreeMap::new();
        for one in packages::of(self.packages.iter().copied(), &seen.entries, seen.is_settled) {
            let is = match one.state {
                State::Executed | State::Loaded => Usage::Used,
                State::Present => Usage::Idle,
                State::Unknown => Usage::Unknown,
            };
            let known = usage.entry(format!("{} {}", one.name, one.version)).or_insert(is);
            *known = is.max(*known);
        }
        usage
    }

    /// In short, as it is now: an earlier report knows neither its names nor its containers of today.
    fn line(&self, containers: BTreeSet<String>, snapshot: &Snapshot) -> ImageLine {
        let containers: Vec<String> = containers.into_iter().collect();
        let now = ImageLine::of_image(self.image, &snapshot.gaps, containers);
        match self.report {
            None => now,
            Some(report) => ImageLine {
                id: now.id,
                name: now.name,
                tags: now.tags,
                age_days: now.age_days,
                containers: now.containers,
                ..ImageLine::of_report(report)
            },
        }
    }

    fn flaw_lines(&self) -> Vec<FlawLine> {
        self.flaws.iter().map(|wrong| FlawLine::from(wrong.from)).collect()
    }
}

#[cfg(test)]
mod tests;
