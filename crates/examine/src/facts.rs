//! What came out of an image becomes facts of the snapshot, for the checks to read.
//!
//! A part of the scan that is not whole leaves its fact with a gap, so that no check passes on half a list; a finding
//! that is there fails all the same.

use std::collections::BTreeSet;

use haechi_core::facts::{Gap, Image, ImageLayer, ImageScan, ImageVulnerability};
use haechi_core::finding::{Cause, SubjectKind};
use haechi_core::inventory::{Change, Part, ProblemKind, Scan};
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::{FixState, Vulnerability};
use jiff::Timestamp;

/// Longest list of one fact; the count of the rest is its last entry.
const LIST_MAX: usize = 2000;

/// Most vulnerabilities of one image that are kept; the largest images have some thousands.
const VULNERABILITIES_MAX: usize = 20_000;

/// Fills an image's facts, and gives the gaps that go with them.
pub fn fill(image: &mut Image, report: &ImageReport, now: Timestamp) -> Vec<Gap> {
    let scan = &report.scan;
    let id = image.id.clone().unwrap_or_default();
    let mut facts = facts(report, now);
    // What was never in a registry has no signature there; others are not asked for theirs yet.
    let local = image.digests.as_ref().is_some_and(Vec::is_empty);
    facts.signature = local.then(|| "none".to_owned());
    image.scan = Some(facts);
    let mut gaps = Vec::new();
    let mut gap = |fact: &str, cause: Cause, detail: String| {
        gaps.push(Gap {
            kind: SubjectKind::Image,
            id: id.clone(),
            fact: format!("scan.{fact}"),
            cause,
            detail,
        });
    };
    if !local {
        let detail = "this version of Haechi does not verify signatures in registries";
        gap("signature", Cause::NeedsImageScan, detail.into());
    }
    for part in Part::ALL {
        let Some(problem) = scan.problems.iter().find(|p| p.affects.contains(&part)) else {
            continue;
        };
        let cause = match problem.kind {
            ProblemKind::TimedOut => Cause::TimedOut,
            _ => Cause::Missing,
        };
        let detail = format!("{}: {}", problem.place, problem.detail);
        for fact in part_facts(part) {
            gap(fact, cause, detail.clone());
        }
    }
    let found = report.assessment.vulnerabilities.len();
    if found > VULNERABILITIES_MAX {
        gap(
            "vulnerabilities",
            Cause::Missing,
            format!("only {VULNERABILITIES_MAX} of {found} are kept"),
        );
    }
    if let Some(undecided) = report.assessment.undecided.first() {
        let more = match report.assessment.undecided.len() - 1 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let detail =
            format!("{} {}: {}{more}", undecided.name, undecided.version, undecided.detail);
        for fact in ["fixable", "vulnerabilities", "safety"] {
            gap(fact, undecided.cause, detail.clone());
        }
    }
    gaps
}

/// The facts that a part of the scan stands for.
fn part_facts(part: Part) -> &'static [&'static str] {
    match part {
        Part::Packages => &["packages", "fixable", "vulnerabilities", "safety"],
        Part::Files => &["setid_files", "world_writable", "unverified_packages"],
        Part::Secrets => &["secrets"],
        Part::Malware => &["malware"],
    }
}

fn facts(report: &ImageReport, now: Timestamp) -> ImageScan {
    let scan = &report.scan;
    let vulnerabilities = &report.assessment.vulnerabilities;
    ImageScan {
        packages: Some(names(scan)),
        fixable: Some(fixable(vulnerabilities)),
        setid_files: Some(limited(scan.setid_files.iter().map(|file| file.path.clone()))),
        secrets: Some(limited(scan.secrets.iter().map(|secret| {
            let gone =
                if secret.deleted { " (deleted by a later layer, still in the image)" } else { "" };
            format!("{} in {}{gone}", secret.detector, secret.place)
        }))),
        unverified_packages: Some(unverified(scan)),
        signature: None,
        malware: Some(limited(scan.malware.iter().map(|hit| {
            let gone =
                if hit.deleted { " (deleted by a later layer, still in the image)" } else { "" };
            format!("{} in {}{gone}", hit.rule, hit.path)
        }))),
        world_writable: Some(limited(scan.world_writable.iter().map(|file| file.path.clone()))),
        vulnerabilities: Some(
            vulnerabilities.iter().take(VULNERABILITIES_MAX).map(vulnerability).collect(),
        ),
        safety: Some(report.verdict.safety.name().to_owned()),
        layers: Some(
            scan.layers
                .iter()
                .map(|layer| ImageLayer {
                    digest: Some(layer.digest.clone()),
                    created_by: Some(layer.created_by.clone()),
                    size: Some(i64::try_from(layer.size).unwrap_or(i64::MAX)),
                })
                .collect(),
        ),
        distro: Some(
            scan.distro.as_ref().map(|d| format!("{} {}", d.id, d.version)).unwrap_or_default(),
        ),
        uid: Some(scan.subject.uid.unwrap_or(-1)),
        data_age_days: age(report, now),
    }
}

/// Names of packages, sorted; those that only a lock file names are not installed.
fn names(scan: &Scan) -> Vec<String> {
    let names: BTreeSet<&str> =
        scan.packages.iter().filter(|p| !p.declared_only).map(|p| p.name.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

fn fixable(vulnerabilities: &[Vulnerability]) -> Vec<String> {
    limited(
        vulnerabilities
            .iter()
            .filter(|v| v.state == FixState::Fixed)
            .map(|v| format!("{} in {} {}, fixed in {}", v.id, v.name, v.installed, v.fixed)),
    )
}

/// Packaged files that were changed, and sources that skip verification. Files that are missing were left out on purpose.
fn unverified(scan: &Scan) -> Vec<String> {
    let changed = scan.altered_files.iter().filter(|file| file.change == Change::Changed);
    let changed =
        changed.map(|file| format!("{} differs from package {}", file.path, file.package));
    let weak =
        scan.weak_sources.iter().map(|source| format!("{}: {}", source.path, source.setting));
    limited(changed.chain(weak))
}

fn vulnerability(vulnerability: &Vulnerability) -> ImageVulnerability {
    #[expect(clippy::cast_possible_truncation, reason = "0 to 100, and 0 to 1000")]
    let (rank, epss) = (
        vulnerability.rank.round() as i64,
        vulnerability.epss.map_or(-1, |epss| (epss.score * 1000.0).round() as i64),
    );
    ImageVulnerability {
        id: Some(vulnerability.id.clone()),
        package: Some(vulnerability.name.clone()),
        version: Some(vulnerability.installed.clone()),
        fixed: Some(vulnerability.fixed.clone()),
        command: Some(vulnerability.command.clone()),
        rating: Some(vulnerability.rating.name().to_owned()),
        rank: Some(rank),
        exploited: Some(vulnerability.exploited.is_some()),
        epss: Some(epss),
        layer: Some(vulnerability.layer.map_or(-1, i64::from)),
    }
}

/// Age in days of the oldest of the sources; absent without any.
fn age(report: &ImageReport, now: Timestamp) -> Option<i64> {
    let of =
        |source: &haechi_core::vulnerability::DataSource| source.of().parse::<Timestamp>().ok();
    let oldest = report.assessment.sources.iter().filter_map(of).min()?;
    Some(((now.as_second() - oldest.as_second()) / 86_400).max(0))
}

fn limited(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items: Vec<String> = items.collect();
    if items.len() > LIST_MAX {
        let more = items.len() - LIST_MAX;
        items.truncate(LIST_MAX);
        items.push(format!("and {more} more"));
    }
    items
}
