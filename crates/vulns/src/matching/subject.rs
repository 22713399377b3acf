//! Under which names and with which version a package is looked up, and whether a record is about this build of it.

use haechi_core::inventory::{Package, PackageKind};

use super::ecosystem::Names;
use crate::advisory::{Event, Record};

/// A name to look up, with the version to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What to look a package up as, best first; empty if it states no version.
pub fn subjects(package: &Package, names: Names) -> Vec<Subject> {
    let binary = Subject { name: package.name.clone(), version: package.version.clone() };
    let mut out = match package.kind {
        PackageKind::Golang => go(package),
        PackageKind::Deb | PackageKind::Apk | PackageKind::Rpm => match names {
            Names::Binary => vec![binary],
            Names::Source => vec![source(package)],
            Names::Both => {
                let source = source(package);
                if source.name == binary.name { vec![binary] } else { vec![binary, source] }
            }
        },
        _ => vec![binary],
    };
    out.retain(|subject| !subject.version.is_empty() && !subject.name.is_empty());
    out
}

/// The source package.
fn source(package: &Package) -> Subject {
    let (name, version) = match &package.source {
        Some(source) if !source.name.is_empty() => {
            let version =
                if source.version.is_empty() { &package.version } else { &source.version };
            (source.name.clone(), version.as_str())
        }
        _ => (package.name.clone(), package.version.as_str()),
    };
    let version = match package.kind {
        PackageKind::Deb => without_rebuild(version).to_owned(),
        PackageKind::Rpm => with_epoch(version, &package.version),
        _ => version.to_owned(),
    };
    Subject { name, version }
}

/// Without the `+b2` of a binary-only rebuild, which source versions never have (Debian Developer's Reference §5.10.2.1).
fn without_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((rest, n)) if !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => version,
    }
}

/// The name of a source rpm has no epoch; the binary's is taken, because both are the same in all but odd packages.
fn with_epoch(version: &str, binary: &str) -> String {
    match binary.split_once(':') {
        Some((epoch, _)) if !version.contains(':') => format!("{epoch}:{version}"),
        _ => version.to_owned(),
    }
}

/// Go's advisories have versions without `v`. The standard library is `stdlib` with the version of the toolchain;
/// flaws of the `go` command itself (`toolchain`) count only where that command is.
fn go(package: &Package) -> Vec<Subject> {
    if !matches!(package.name.as_str(), "stdlib" | "toolchain") {
        let version = package.version.strip_prefix('v').unwrap_or(&package.version);
        return vec![Subject { name: package.name.clone(), version: version.to_owned() }];
    }
    let version = go_release(&package.version);
    let mut out = vec![Subject { name: package.name.clone(), version: version.clone() }];
    let path = package.path.as_str();
    if package.name == "stdlib" && (path.ends_with("/bin/go") || path.contains("/pkg/tool/")) {
        out.push(Subject { name: "toolchain".to_owned(), version });
    }
    out
}

/// A release of Go as a semantic version: `go1.21rc2` is `1.21.0-rc.2`; what follows a space is a build's remark.
fn go_release(version: &str) -> String {
    let version = version.split(' ').next().unwrap_or_default();
    let version = version.strip_prefix("go").or(version.strip_prefix('v')).unwrap_or(version);
    for mark in ["rc", "beta"] {
        if let Some((release, number)) = version.split_once(mark)
            && !release.ends_with(['-', '.'])
        {
            let zero = if release.matches('.').count() < 2 { ".0" } else { "" };
            return format!("{release}{zero}-{mark}.{number}");
        }
    }
    version.to_owned()
}

/// Builds of one name that are not of one line: comparing their versions says nothing.
const LINES: [&str; 3] = [".module", ".ksplice", "_fips"];

/// Whether a record is about this build: its architecture, module, and line of builds.
pub fn is_about(record: &Record, package: &Package) -> bool {
    let arch = package.arch.as_str();
    if !record.arches.is_empty() && !arch.is_empty() && !record.arches.iter().any(|a| a == arch) {
        return false;
    }
    if package.kind != PackageKind::Rpm {
        return true;
    }
    if !record.module.is_empty() {
        // `nodejs:18` against `nodejs:18:9040020240101:rhel9`; without a stream, the module's name alone.
        let rest = package.module.strip_prefix(record.module.as_str());
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
            return false;
        }
    }
    let fixes = || {
        record.ranges.iter().flat_map(|range| &range.events).filter_map(|event| match event {
            Event::Fixed(at) => Some(at.as_str()),
            _ => None,
        })
    };
    if fixes().next().is_none() {
        return true;
    }
    LINES.iter().all(|line| {
        let here =
            package.version.contains(line) || (*line == ".module" && !package.module.is_empty());
        fixes().any(|at| at.contains(line) == here)
    })
}

#[cfg(test)]
mod tests {
    use haechi_core::inventory::SourcePackage;

    use super::*;

    #[test]
    fn rebuilds_keep_their_source_version() {
        let mut package = Package::new(PackageKind::Deb, "libssl3", "3.0.11-1+b2", "p");
        assert_eq!(subjects(&package, Names::Source)[0].version, "3.0.11-1");
        package.source = Some(SourcePackage { name: "openssl".into(), version: String::new() });
        assert_eq!(subjects(&package, Names::Source)[0].name, "openssl");
        assert_eq!(subjects(&package, Names::Source)[0].version, "3.0.11-1");
        package.version = "1.0+bar".into();
        assert_eq!(subjects(&package, Names::Source)[0].version, "1.0+bar");
    }

    #[test]
    fn rpm_sources_take_the_epoch_of_the_binary() {
        let mut package = Package::new(PackageKind::Rpm, "openssl-libs", "1:3.0.7-2.el9", "p");
        package.source =
            Some(SourcePackage { name: "openssl".into(), version: "3.0.7-2.el9".into() });
        let found = subjects(&package, Names::Both);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].version, "1:3.0.7-2.el9");
    }

    #[test]
    fn go_releases_become_semantic_versions() {
        assert_eq!(go_release("go1.21rc2"), "1.21.0-rc.2");
        assert_eq!(go_release("go1.22.3 X:boringcrypto"), "1.22.3");
        assert_eq!(go_release("v1.20.1"), "1.20.1");
        let library = Package::new(PackageKind::Golang, "stdlib", "go1.22.3", "usr/bin/app");
        assert_eq!(subjects(&library, Names::Binary).len(), 1);
        let compiler =
            Package::new(PackageKind::Golang, "stdlib", "go1.22.3", "usr/local/go/bin/go");
        assert_eq!(subjects(&compiler, Names::Binary)[1].name, "toolchain");
    }

    #[test]
    fn modules_and_lines_are_kept_apart() {
        let mut package = Package::new(PackageKind::Rpm, "nodejs", "1:16.20.2-1.module_el8", "p");
        package.module = "nodejs:16:8090:abc".into();
        let mut record = Record { module: "nodejs:18".into(), ..Record::default() };
        assert!(!is_about(&record, &package));
        record.module = "nodejs:16".into();
        assert!(is_about(&record, &package));
        record.module = "nodejs:1".into();
        assert!(!is_about(&record, &package));
        record.module.clear();
        record.ranges = vec![crate::advisory::Range {
            semver: false,
            events: vec![Event::Fixed("1:20.0.0-1.el8".into())],
        }];
        assert!(
            !is_about(&record, &package),
            "a fix outside of modules says nothing about a module"
        );
        record.arches = vec!["s390x".into()];
        package.arch = "x86_64".into();
        assert!(!is_about(&record, &package));
    }
}
