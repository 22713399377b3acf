//! The host's own packages, and the engine's parts, against the vulnerability database.
//!
//! Only package databases of the host are read, in the same worker as an image's. An engine that a distribution packages
//! is decided by that distribution's data, any other by the data of its Go modules.

use haechi_core::facts::{Gap, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use haechi_core::inventory::{Package, PackageKind, Part, Scan};
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::{FixState, Vulnerability};
use haechi_image::open::{self, Options, ScanError};

use crate::Examiner;

/// Packages of distributions and of Docker's own repository that are the engine.
const ENGINE_PACKAGES: [&str; 10] = [
    "docker.io",
    "docker-ce",
    "docker-ce-cli",
    "docker-engine",
    "moby-engine",
    "docker",
    "containerd",
    "containerd.io",
    "runc",
    "podman",
];

/// Components of the engine and the Go modules that they are built from.
const MODULES: [(&str, &str); 4] = [
    ("Engine", "github.com/docker/docker"),
    ("containerd", "github.com/containerd/containerd"),
    ("runc", "github.com/opencontainers/runc"),
    ("Podman Engine", "github.com/containers/podman"),
];

/// Oldest major release of Docker Engine that upstream still mended in 2026.
const UPSTREAM_MAJOR_MIN: i64 = 28;

/// Fills `host.vulnerable_packages`, `engine.vulnerabilities` and `engine.supported`.
///
/// # Errors
/// The worker cannot be started.
pub async fn fill(
    snapshot: &mut Snapshot,
    root: &std::path::Path,
    examiner: &Examiner,
    options: &Options,
) -> Result<(), ScanError> {
    let scan = open::databases(root, options).await?;
    let mut gap = |kind, fact: &str, cause, detail: String| {
        snapshot.gaps.push(Gap { kind, id: String::new(), fact: fact.into(), cause, detail });
    };
    let report = match examiner.judge(scan.clone(), Vec::new()) {
        Ok(report) => report,
        Err(error) => {
            gap(SubjectKind::Host, "vulnerable_packages", Cause::NeedsDatabase, error.to_string());
            return Ok(());
        }
    };
    if let Some((cause, detail)) = doubt(&report) {
        gap(SubjectKind::Host, "vulnerable_packages", cause, detail);
    } else if scan.packages.is_empty() {
        gap(
            SubjectKind::Host,
            "vulnerable_packages",
            Cause::Missing,
            "no package database was found".into(),
        );
    }
    let with_fix = |v: &&Vulnerability| v.state == FixState::Fixed;
    let vulnerable: Vec<String> =
        report.assessment.vulnerabilities.iter().filter(with_fix).map(line).collect();
    // With a doubt, an empty list would look like a clean one; what is found counts all the same.
    snapshot.host.vulnerable_packages = Some(vulnerable);
    engine(snapshot, &scan, &report, examiner);
    snapshot.gaps.sort();
    Ok(())
}

/// Why the list of vulnerabilities may not be whole.
fn doubt(report: &ImageReport) -> Option<(Cause, String)> {
    let problem = report.scan.problems.iter().find(|p| p.affects.contains(&Part::Packages));
    if let Some(problem) = problem {
        return Some((Cause::Missing, format!("{}: {}", problem.place, problem.detail)));
    }
    let undecided = report.assessment.undecided.first()?;
    Some((undecided.cause, format!("{}: {}", undecided.name, undecided.detail)))
}

fn line(vulnerability: &Vulnerability) -> String {
    let v = vulnerability;
    if v.fixed.is_empty() {
        format!("{} in {} {}", v.id, v.name, v.installed)
    } else {
        format!("{} in {} {}, fixed in {}", v.id, v.name, v.installed, v.fixed)
    }
}

fn engine(snapshot: &mut Snapshot, host: &Scan, report: &ImageReport, examiner: &Examiner) {
    let Some(components) = snapshot.engine.components.clone() else { return };
    let is_engine = |name: &str| ENGINE_PACKAGES.contains(&name);
    let packaged: Vec<&Package> =
        host.packages.iter().filter(|p| p.kind.is_distribution() && is_engine(&p.name)).collect();
    let mut found: Vec<String>;
    let mut doubts: Vec<(Cause, String)> = Vec::new();
    let local = snapshot.engine.local.unwrap_or(false);
    if local && !packaged.is_empty() {
        found = report
            .assessment
            .vulnerabilities
            .iter()
            .filter(|v| is_engine(&v.name))
            .map(line)
            .collect();
        let undecided = report.assessment.undecided.iter().find(|u| is_engine(&u.name));
        doubts.extend(undecided.map(|u| (u.cause, format!("{}: {}", u.name, u.detail))));
    } else {
        found = Vec::new();
    }
    // Docker's own packages are in no distribution's data, so their modules are looked up.
    let by_distro = |component: &str| {
        let names: &[&str] = match component {
            "Engine" => &["docker.io", "moby-engine", "docker"],
            "containerd" => &["containerd"],
            "runc" => &["runc"],
            _ => &["podman"],
        };
        local && packaged.iter().any(|p| names.contains(&p.name.as_str()))
    };
    let mut scan = Scan { schema: host.schema.clone(), ..Scan::default() };
    for (component, module) in MODULES {
        if let Some(version) = components.get(component)
            && !by_distro(component)
        {
            let version = version.split(['+', '~']).next().unwrap_or_default();
            let version = format!("v{}", version.trim_start_matches('v'));
            scan.packages.push(Package::new(PackageKind::Golang, module, version, "engine"));
        }
    }
    if !scan.packages.is_empty() {
        match examiner.judge(scan, Vec::new()) {
            Ok(report) => {
                found.extend(report.assessment.vulnerabilities.iter().map(line));
                doubts.extend(doubt(&report));
            }
            Err(error) => doubts.push((Cause::NeedsDatabase, error.to_string())),
        }
    }
    found.sort();
    found.dedup();
    snapshot.engine.vulnerabilities = Some(found);
    let docker = snapshot.engine.kind.as_deref() == Some("docker");
    let packaged = by_distro(if docker { "Engine" } else { "Podman Engine" });
    snapshot.engine.supported = supported(packaged, docker, snapshot.engine.version_major);
    if let Some((cause, detail)) = doubts.into_iter().next() {
        snapshot.gaps.push(Gap {
            kind: SubjectKind::Engine,
            id: String::new(),
            fact: "vulnerabilities".into(),
            cause,
            detail,
        });
    }
}

/// Whether somebody still mends the engine. A distribution maintains what it packages; upstream's Docker Engine is told
/// by its release; of anything else it is not known.
fn supported(packaged: bool, docker: bool, major: Option<i64>) -> Option<bool> {
    match (packaged, docker) {
        (true, _) => Some(true),
        (false, true) => major.map(|major| major >= UPSTREAM_MAJOR_MIN),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::supported;

    #[test]
    fn only_what_is_known_to_be_mended_is_supported() {
        assert_eq!(supported(true, true, Some(20)), Some(true));
        assert_eq!(supported(false, true, Some(23)), Some(false));
        assert_eq!(supported(false, true, Some(28)), Some(true));
        assert_eq!(supported(false, true, None), None);
        assert_eq!(supported(false, false, Some(5)), None);
    }
}
