//! Tests of whole assessments against a database in memory.

use haechi_core::inventory::{AlteredFile, Change, Distro, PackageKind, SourcePackage};
use haechi_core::vulnerability::{Epss, Exploited, FixState, Rating};

use super::*;
use crate::advisory::{CpeRecord, Detail, Event, Range, Statement};

#[derive(Default)]
struct Memory {
    records: Vec<(&'static str, &'static str, Record)>,
    details: Vec<Detail>,
    products: Vec<CpeRecord>,
    exploited: Vec<&'static str>,
    old: Vec<&'static str>,
    /// Sources by ecosystem; one that is whole if there are none.
    sources: Vec<(&'static str, DataSource)>,
    known: Vec<&'static str>,
}

impl Lookup for Memory {
    fn records(&self, ecosystem: &str, name: &str) -> Result<Vec<Record>, LookupError> {
        let wanted = |entry: &&(&str, &str, Record)| entry.0 == ecosystem && entry.1 == name;
        Ok(self.records.iter().filter(wanted).map(|entry| entry.2.clone()).collect())
    }
    fn details(&self, id: &str, _: &[String]) -> Result<Vec<Detail>, LookupError> {
        Ok(self.details.iter().filter(|detail| detail.id == id).cloned().collect())
    }
    fn products(&self, vendor: &str, product: &str) -> Result<Vec<CpeRecord>, LookupError> {
        let wanted = |one: &&CpeRecord| one.vendor == vendor && one.product == product;
        Ok(self.products.iter().filter(wanted).cloned().collect())
    }
    fn exploited(&self, cve: &str) -> Result<Option<Exploited>, LookupError> {
        let day = || Exploited { added: "2024-01-01".into(), ransomware: false };
        Ok(self.exploited.contains(&cve).then(day))
    }
    fn epss(&self, _: &str) -> Result<Option<Epss>, LookupError> {
        Ok(None)
    }
    fn knows(&self, ecosystem: &str) -> bool {
        self.known.contains(&ecosystem) || self.records.iter().any(|entry| entry.0 == ecosystem)
    }
    fn ecosystems(&self, prefix: &str) -> Vec<String> {
        let names = self.records.iter().map(|entry| entry.0.to_owned());
        let names: BTreeSet<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.into_iter().collect()
    }
    fn sources_of(&self, ecosystem: &str) -> Vec<DataSource> {
        let own = self.sources.iter().filter(|(of, _)| *of == ecosystem);
        let own: Vec<DataSource> = own.map(|(_, source)| source.clone()).collect();
        if own.is_empty() { vec![source(ecosystem, self.old.contains(&ecosystem))] } else { own }
    }
    fn sources(&self) -> Vec<DataSource> {
        self.sources_of("nvd")
    }
}

fn source(name: &str, too_old: bool) -> DataSource {
    DataSource {
        name: name.into(),
        records: 1,
        broken: 0,
        fetched_at: "2026-01-01T00:00:00Z".into(),
        data_at: String::new(),
        too_old,
        completeness: Completeness::Plausible,
        shortfall: String::new(),
    }
}

fn partial(name: &str, completeness: Completeness) -> DataSource {
    let shortfall = "has 1 records, and a whole one has at least 9".to_owned();
    DataSource { completeness, shortfall, ..source(name, false) }
}

/// Affected from the beginning to before `fixed`.
fn record(id: &str, feed: &str, fixed: &str) -> Record {
    let mut events = vec![Event::Introduced("0".into())];
    if !fixed.is_empty() {
        events.push(Event::Fixed(fixed.into()));
    }
    let ranges = vec![Range { semver: false, events }];
    Record { id: id.into(), feed: feed.into(), ranges, ..Record::default() }
}

fn scan(id: &str, version: &str, packages: Vec<Package>) -> Scan {
    let distro = Distro { id: id.into(), version: version.into(), ..Distro::default() };
    Scan { distro: Some(distro), packages, ..Scan::default() }
}

fn package(kind: PackageKind, name: &str, version: &str, path: &str) -> Package {
    let mut package = Package::new(kind, name, version, path);
    package.purl = format!("pkg:{}/{name}@{version}", kind.name());
    package
}

fn openssl() -> Package {
    let mut package =
        package(PackageKind::Deb, "libssl3", "3.0.11-1~deb12u2", "var/lib/dpkg/status");
    package.source =
        Some(SourcePackage { name: "openssl".into(), version: "3.0.11-1~deb12u2".into() });
    package
}

fn decide(scan: &Scan, data: &Memory, options: &Options) -> Assessment {
    let now = "2026-06-01T12:00:00Z".parse().unwrap();
    assess(scan, data, options, now).unwrap()
}

fn run(scan: &Scan, data: &Memory) -> Assessment {
    decide(scan, data, &Options::default())
}

#[test]
fn a_source_package_decides_its_binaries() {
    let mut dsa = record("DSA-1-1", "osv/Debian", "3.0.15-1~deb12u1");
    dsa.covers = vec!["CVE-2024-0001".into()];
    let mut cve = record("CVE-2024-0001", "debian-tracker", "3.0.15-1~deb12u1");
    cve.rating = Some(Rating::Low);
    let data = Memory {
        records: vec![("Debian:12", "openssl", dsa), ("Debian:12", "openssl", cve)],
        details: vec![Detail {
            id: "CVE-2024-0001".into(),
            title: "A flaw".into(),
            vectors: vec![("nvd".into(), "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H".into())],
            ..Detail::default()
        }],
        exploited: vec!["CVE-2024-0001"],
        ..Memory::default()
    };
    let found = run(&scan("debian", "12", vec![openssl()]), &data);
    assert_eq!(found.vulnerabilities.len(), 1);
    let entry = &found.vulnerabilities[0];
    assert_eq!((entry.id.as_str(), entry.name.as_str()), ("CVE-2024-0001", "libssl3"));
    assert_eq!(entry.advisories, ["DSA-1-1"]);
    assert_eq!((entry.state, entry.fixed.as_str()), (FixState::Fixed, "3.0.15-1~deb12u1"));
    assert!(entry.command.ends_with("--only-upgrade libssl3"), "{}", entry.command);
    // The distribution's word before NVD's score, which stays beside it.
    assert_eq!((entry.rating, entry.rated_by.as_str()), (Rating::Low, "debian"));
    assert_eq!(entry.scores[0].score, 9.8);
    assert!(entry.exploited.is_some() && entry.rank > 60.0);
    assert_eq!(entry.title, "A flaw");
    assert!(found.undecided.is_empty());
}

#[test]
fn a_missing_feed_leaves_every_package_undecided() {
    let packages = vec![openssl(), package(PackageKind::Npm, "a", "1.0.0", "a/package.json")];
    let found = run(&scan("debian", "12", packages.clone()), &Memory::default());
    assert_eq!(found.undecided.len(), 2);
    assert!(found.undecided.iter().all(|one| one.cause == Cause::NeedsDatabase));
    assert!(found.undecided.iter().any(|one| one.detail.contains("`Debian:12`")));
    // A derivative is not taken for what it is like.
    let mut derived = scan("mydebian", "12", packages);
    derived.distro.as_mut().unwrap().like = vec!["debian".into()];
    let data = Memory { known: vec!["Debian:12", "npm"], ..Memory::default() };
    let found = run(&derived, &data);
    assert_eq!(found.undecided.len(), 1);
    assert!(found.undecided[0].detail.contains("mydebian"));
}

#[test]
fn old_data_finds_but_proves_nothing() {
    let data = Memory {
        records: vec![("npm", "bad", record("GHSA-1", "osv/npm", "2.0.0"))],
        old: vec!["npm"],
        ..Memory::default()
    };
    let packages = vec![
        package(PackageKind::Npm, "bad", "1.0.0", "a"),
        package(PackageKind::Npm, "good", "1.0.0", "b"),
    ];
    let found = run(&scan("debian", "12", packages), &data);
    assert_eq!(found.vulnerabilities.len(), 1);
    // Nor that there is nothing else wrong with what it finds.
    let names: Vec<&str> = found.undecided.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["bad", "good"]);
    assert!(found.undecided.iter().all(|one| one.cause == Cause::DataTooOld));
}

#[test]
fn a_part_of_a_feed_finds_but_proves_nothing() {
    let data = |sources| Memory {
        records: vec![("Debian:12", "openssl", record("CVE-2024-0001", "osv/Debian", ""))],
        sources,
        ..Memory::default()
    };
    let good = package(PackageKind::Deb, "good", "1.0", "status");
    let image = scan("debian", "12", vec![openssl(), good]);
    let osv = |completeness| ("Debian:12", partial("osv/Debian", completeness));
    let found = run(&image, &data(vec![osv(Completeness::Partial)]));
    assert_eq!((found.vulnerabilities.len(), found.undecided.len()), (1, 2));
    let why = found.undecided.iter().find(|one| one.name == "good").unwrap();
    assert_eq!(why.cause, Cause::NeedsDatabase);
    for part in ["`osv/Debian`", "1 records", "at least 9", "--complete"] {
        assert!(why.detail.contains(part), "{}", why.detail);
    }
    // Declared complete, or whole beside it: decided.
    let found = run(&image, &data(vec![osv(Completeness::Declared)]));
    assert_eq!((found.vulnerabilities.len(), found.undecided.len()), (1, 0));
    let tracker = |source| ("Debian:12", source);
    let whole = tracker(source("debian-tracker", false));
    let found = run(&image, &data(vec![osv(Completeness::Partial), whole]));
    assert_eq!(found.undecided, []);
    // Two parts are no whole.
    let part = tracker(partial("debian-tracker", Completeness::Partial));
    let found = run(&image, &data(vec![osv(Completeness::Partial), part]));
    assert_eq!(found.undecided.len(), 2);
    // Nor is one that is old.
    let old = tracker(source("debian-tracker", true));
    let found = run(&image, &data(vec![osv(Completeness::Partial), old]));
    assert!(found.undecided.iter().all(|one| one.cause == Cause::DataTooOld));
    assert_eq!(found.undecided.len(), 2);
}

#[test]
fn a_part_of_nvd_proves_nothing_about_programs() {
    let mut node = package(PackageKind::Generic, "node", "18.19.0", "usr/local/bin/node");
    node.cpes = vec!["cpe:2.3:a:nodejs:node.js:18.19.0:*:*:*:*:*:*:*".into()];
    let image = scan("debian", "12", vec![node]);
    let data = |completeness| Memory {
        sources: vec![("nvd", partial("nvd", completeness))],
        ..Memory::default()
    };
    assert_eq!(run(&image, &data(Completeness::Declared)).undecided, []);
    let undecided = run(&image, &data(Completeness::Partial)).undecided;
    assert!(undecided[0].detail.contains("`nvd`"), "{undecided:?}");
}

#[test]
fn what_is_set_aside_does_not_decide_on_a_part_of_a_feed() {
    let data = Memory {
        records: vec![("npm", "a", record("GHSA-1", "osv/npm", "2.0.0"))],
        sources: vec![("npm", partial("osv/npm", Completeness::Partial))],
        ..Memory::default()
    };
    let accepted = Accepted {
        id: "GHSA-1".into(),
        package: String::new(),
        reason: "not reachable".into(),
        expires: "2026-06-01".parse().unwrap(),
    };
    let options = Options { accepted: vec![accepted], ..Options::default() };
    let image = scan("debian", "12", vec![package(PackageKind::Npm, "a", "1.0.0", "a")]);
    let found = decide(&image, &data, &options);
    assert_eq!((found.suppressed.len(), found.undecided.len()), (1, 1));
}

#[test]
fn an_unreadable_version_names_the_advisory() {
    let data = Memory {
        records: vec![("PyPI", "thing", record("PYSEC-1", "osv/PyPI", "2.0"))],
        ..Memory::default()
    };
    let odd = package(PackageKind::Pypi, "Thing", "what ever", "x");
    let found = run(&scan("debian", "12", vec![odd]), &data);
    assert!(found.vulnerabilities.is_empty());
    assert_eq!(found.undecided[0].cause, Cause::Missing);
    assert!(found.undecided[0].detail.contains("PYSEC-1"), "{}", found.undecided[0].detail);
}

#[test]
fn the_distribution_answers_for_what_it_built() {
    let data = Memory {
        records: vec![("PyPI", "requests", record("GHSA-1", "osv/PyPI", "2.31.0"))],
        known: vec!["Debian:12"],
        ..Memory::default()
    };
    let path = "usr/lib/python3/dist-packages/requests-2.28.1.egg-info/PKG-INFO";
    let mut deb = package(PackageKind::Deb, "python3-requests", "2.28.1+dfsg-1", "status");
    deb.files = vec![path.into()];
    let python = package(PackageKind::Pypi, "requests", "2.28.1", path);
    let own = run(&scan("debian", "12", vec![deb.clone(), python.clone()]), &data);
    assert!(own.vulnerabilities.is_empty());
    assert_eq!(own.suppressed[0].1.by, "distribution package python3-requests");
    // What was put over it is not Debian's.
    let mut changed = scan("debian", "12", vec![deb.clone(), python.clone()]);
    changed.altered_files = vec![AlteredFile {
        path: format!("/{path}"),
        package: "python3-requests".into(),
        change: Change::Changed,
        layer: None,
    }];
    assert_eq!(run(&changed, &data).vulnerabilities.len(), 1);
    // Somebody else's package has no advisories of Debian: upstream's count.
    deb.vendor = "Vendor <support@example.com>".into();
    let foreign = run(&scan("debian", "12", vec![deb.clone(), python.clone()]), &data);
    assert_eq!(foreign.vulnerabilities.len(), 1);
    // And without Debian's feed nothing has answered.
    deb.vendor.clear();
    let data = Memory { known: Vec::new(), ..data };
    let unknown = run(&scan("debian", "12", vec![deb, python]), &data);
    assert_eq!(unknown.vulnerabilities.len(), 1);
}

#[test]
fn withdrawn_and_rejected_never_malicious_always() {
    let mut withdrawn = record("GHSA-w", "osv/npm", "");
    withdrawn.withdrawn = true;
    let data = Memory {
        records: vec![
            ("npm", "a", withdrawn),
            ("npm", "a", record("CVE-2024-0009", "osv/npm", "")),
            ("npm", "a", record("MAL-2024-1", "osv/npm", "")),
        ],
        details: vec![Detail { id: "CVE-2024-0009".into(), rejected: true, ..Detail::default() }],
        ..Memory::default()
    };
    let found =
        run(&scan("debian", "12", vec![package(PackageKind::Npm, "a", "1.0.0", "p")]), &data);
    assert_eq!(found.vulnerabilities.len(), 1);
    assert_eq!(found.vulnerabilities[0].id, "MAL-2024-1");
    assert_eq!(found.vulnerabilities[0].rating, Rating::Critical);
}

#[test]
fn red_hat_is_found_through_its_family() {
    let mut record = record("RHSA-1", "osv/Red Hat", "0:2.0-1.el9");
    record.covers = vec!["CVE-2024-0001".into(), "CVE-2024-0002".into()];
    let data = Memory {
        records: vec![("Red Hat:enterprise_linux:9::baseos", "curl", record)],
        ..Memory::default()
    };
    let packages = vec![package(PackageKind::Rpm, "curl", "1.0-1.el9", "rpmdb")];
    let found = run(&scan("rhel", "9.4", packages.clone()), &data);
    assert_eq!(found.vulnerabilities.len(), 2);
    assert_eq!(found.vulnerabilities[0].advisories, ["RHSA-1"]);
    let other = run(&scan("rhel", "8.9", packages), &data);
    assert_eq!(other.undecided.len(), 1);
}

#[test]
fn programs_are_matched_by_product() {
    let ranged = |id: &str, conditional| CpeRecord {
        id: id.into(),
        vendor: "nodejs".into(),
        product: "node.js".into(),
        start: Some(("18.0.0".into(), true)),
        end: Some(("18.20.1".into(), false)),
        conditional,
        ..CpeRecord::default()
    };
    let data = Memory {
        products: vec![ranged("CVE-2024-0001", false), ranged("CVE-2024-0002", true)],
        ..Memory::default()
    };
    let mut node = package(PackageKind::Generic, "node", "18.19.0", "usr/local/bin/node");
    let found = run(&scan("debian", "12", vec![node.clone()]), &data);
    assert_eq!(found.undecided.len(), 1, "without a product name it cannot be decided");
    node.cpes = vec!["cpe:2.3:a:nodejs:node.js:18.19.0:*:*:*:*:*:*:*".into()];
    let found = run(&scan("debian", "12", vec![node.clone()]), &data);
    let mut states: Vec<_> =
        found.vulnerabilities.iter().map(|one| (one.id.as_str(), one.state)).collect();
    states.sort();
    let (sure, unclear) = (FixState::Fixed, FixState::UnderInvestigation);
    assert_eq!(states, [("CVE-2024-0001", sure), ("CVE-2024-0002", unclear)]);
    node.version = "18.20.1".into();
    assert!(run(&scan("debian", "12", vec![node]), &data).vulnerabilities.is_empty());
}

#[test]
fn the_site_accepts_until_a_day_and_lock_files_count_on_request() {
    let data = Memory {
        records: vec![("npm", "a", record("GHSA-1", "osv/npm", "2.0.0"))],
        ..Memory::default()
    };
    let mut asked = package(PackageKind::Npm, "a", "1.0.0", "package-lock.json");
    let image = scan("debian", "12", vec![asked.clone()]);
    let accepted = |expires: &str| Options {
        accepted: vec![Accepted {
            id: "GHSA-1".into(),
            package: String::new(),
            reason: "not reachable".into(),
            expires: expires.parse().unwrap(),
        }],
        ..Options::default()
    };
    assert_eq!(decide(&image, &data, &accepted("2026-06-01")).suppressed[0].1.status, "accepted");
    assert_eq!(decide(&image, &data, &accepted("2026-05-31")).vulnerabilities.len(), 1);
    asked.declared_only = true;
    let image = scan("debian", "12", vec![asked]);
    assert_eq!(run(&image, &data).suppressed.len(), 1);
    let all = Options { declared: true, ..Options::default() };
    assert_eq!(decide(&image, &data, &all).vulnerabilities.len(), 1);
}

#[test]
fn a_state_of_the_distribution_stands_where_there_is_no_fix() {
    let mut record = record("CVE-2024-0001", "debian-tracker", "");
    record.statement = Statement::Affected(FixState::WillNotFix);
    let data = Memory { records: vec![("Debian:12", "openssl", record)], ..Memory::default() };
    let found = run(&scan("debian", "12", vec![openssl()]), &data);
    assert_eq!(found.vulnerabilities[0].state, FixState::WillNotFix);
    assert!(found.vulnerabilities[0].command.is_empty());
}

#[test]
fn a_java_package_without_group_is_undecided() {
    let data = Memory { known: vec!["Maven"], ..Memory::default() };
    let java = package(PackageKind::Maven, "log4j-core", "2.14.1", "app.jar");
    let found = run(&scan("debian", "12", vec![java]), &data);
    assert_eq!(found.undecided.len(), 1);
}
