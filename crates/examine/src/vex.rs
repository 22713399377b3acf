//! OpenVEX of what runs: what was seen of each vulnerable package of an image, from file to layer to package.
//!
//! Promises that nothing is said to be not affected unless everything that its containers use was watched for long enough
//! ([`haechi_profile::image`]), it is known which files the package has, and none of them was used. That a package runs says
//! nothing about whether its vulnerable code does: such a statement stays as the feeds have it, with what was seen.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::inventory::Part;
use haechi_core::profile::Profile;
use haechi_core::text::visible;
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::Vulnerability;
use haechi_profile::coverage::Coverage;
use haechi_profile::image::ImageUse;
use haechi_profile::packages::{self, PackageUse, State};
use haechi_profile::texts::duration;
pub use haechi_vulns::vex::IDLE;
use haechi_vulns::vex::{Use, openvex_of_use};
use jiff::Timestamp;
use serde_json::Value;

/// Commands that a statement names.
const COMMANDS: usize = 5;
/// Letters of a name that somebody else chose.
const NAME: usize = 300;

/// A workload of the image, with how well it is known.
pub type Workload<'a> = (&'a Profile, &'a Coverage);

/// The statements. `running` are the ids of the containers of the image that run; `None`: they are not known.
pub fn openvex(
    report: &ImageReport,
    workloads: &[Workload<'_>],
    running: Option<&BTreeSet<String>>,
    author: &str,
    now: Timestamp,
) -> Value {
    let all = ImageUse::of(workloads.iter().copied(), running);
    let uses = all.packages(&report.scan.packages, report.is_whole(Part::Packages));
    let states = packages::states(&uses);
    let mut by_place: BTreeMap<(&str, &str), &PackageUse> = BTreeMap::new();
    for one in &uses {
        let known = by_place.entry((&one.name, &one.version)).or_insert(one);
        if one.state < known.state {
            *known = one;
        }
    }
    let watched = watched(workloads);
    let open: Vec<&str> = all.open.iter().map(|why| why.get(Lang::En)).collect();
    let seen = |flaw: &Vulnerability| {
        let place = format!("{} {}", flaw.name, flaw.installed);
        let package = by_place.get(&(flaw.name.as_str(), flaw.installed.as_str()));
        match (states.get(&place), package) {
            (Some(State::Executed), Some(package)) => {
                Use::Runs(format!("Executed: {}. {watched}", used(package)))
            }
            (Some(State::Loaded), Some(package)) => {
                Use::Runs(format!("Mapped as code or read: {}. {watched}", used(package)))
            }
            (Some(State::Present), Some(_)) => Use::Idle(format!(
                "No file of the package was executed, mapped as code or read. {watched} Nothing of programs and files \
                 could be missed in that time."
            )),
            _ if !report.is_whole(Part::Packages) => {
                Use::Unknown("The image could not be read to its end.".to_owned())
            }
            _ if open.is_empty() => Use::Unknown(format!(
                "Nothing of it was seen in use, but it is not known which files it has. {watched}"
            )),
            _ => Use::Unknown(format!(
                "Not watched well enough to say that it is not used: {} {watched}",
                open.join(" ")
            )),
        }
    };
    openvex_of_use(&report.scan, &report.assessment, seen, author, now)
}

/// The file that says most, who used it, and since when that is known.
fn used(package: &PackageUse) -> String {
    let mut said = name(&package.file);
    if let Some(layer) = package.layer {
        said.push_str(&format!(" (layer {})", u64::from(layer) + 1));
    }
    if !package.by.is_empty() && package.by != package.file {
        said.push_str(&format!(" by {}", name(&package.by)));
    }
    if let Some(at) = package.first_at {
        said.push_str(&format!(", first seen {}", moment(at)));
    }
    said
}

/// What was watched, since when, for how long.
fn watched(workloads: &[Workload<'_>]) -> String {
    let runs = || workloads.iter().flat_map(|(profile, _)| &profile.runs);
    let (Some(since), Some(until)) =
        (runs().map(|run| run.since).min(), runs().map(|run| run.until).max())
    else {
        return "No container of it was watched.".to_owned();
    };
    let commands: Vec<String> = workloads
        .iter()
        .take(COMMANDS)
        .map(|(profile, coverage)| {
            let command = profile.workload.command.join(" ");
            format!("`{}` for {}", name(&command), duration(Lang::En, coverage.watched))
        })
        .collect();
    let more = match workloads.len().saturating_sub(COMMANDS) {
        0 => String::new(),
        more => format!(" and {more} more commands"),
    };
    let containers: BTreeSet<&str> = runs().map(|run| run.container.as_str()).collect();
    format!(
        "Watched from {} until {} in {} container(s): {}{more}.",
        moment(since),
        moment(until),
        containers.len(),
        commands.join(", ")
    )
}

/// A name that somebody else chose.
fn name(raw: &str) -> String {
    let shown = visible(raw);
    match shown.char_indices().nth(NAME) {
        None => shown.into_owned(),
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
