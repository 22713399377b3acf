//! Tests of statements about what runs: none of them says that something is not affected without grounds.

use haechi_core::inventory::{Package, PackageKind, Problem, ProblemKind, Scan, ScanSubject};
use haechi_core::policy::Images;
use haechi_core::profile::{Entry, Gap, Kind, Phase, Profile, Run, Workload as Of};
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, Verdict};
use haechi_core::vulnerability::{Assessment, FixState, Rating, Suppressed};
use haechi_profile::coverage::Rule;
use haechi_vulns::vex::{read, verdict};

use super::*;

const ID: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000aa";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn entry(kind: Kind, value: &str) -> Entry {
    Entry {
        kind,
        value: value.into(),
        first_at: at(5),
        container: "c1".into(),
        origin: "image".into(),
        program: "/usr/sbin/\u{1b}[31mserver".into(),
    }
}

fn profile(entries: &[(Kind, &str)]) -> Profile {
    Profile {
        workload: Of { image: ID.into(), command: vec!["server".into()] },
        runs: vec![Run {
            container: "c1".into(),
            name: "web".into(),
            since: at(0),
            until: at(1_000_000),
            phases: [Phase::Start, Phase::Run].into(),
            gaps: [].into(),
            tasks_max: 1,
            memory_max: 1,
        }],
        entries: entries.iter().map(|(kind, value)| entry(*kind, value)).collect(),
        ..Profile::default()
    }
}

fn flaw(package: &str) -> Vulnerability {
    Vulnerability {
        id: format!("CVE-2024-{package}"),
        aliases: Vec::new(),
        advisories: Vec::new(),
        package: format!("pkg:deb/debian/{package}@1?arch=amd64"),
        kind: PackageKind::Deb,
        name: package.into(),
        installed: "1".into(),
        path: "status".into(),
        layer: Some(0),
        state: FixState::Fixed,
        fixed: "2".into(),
        command: String::new(),
        rating: Rating::High,
        rated_by: "debian".into(),
        scores: Vec::new(),
        exploited: None,
        epss: None,
        title: String::new(),
        description: String::new(),
        urls: Vec::new(),
        cwes: Vec::new(),
        published: String::new(),
        source: "debian-tracker".into(),
        rank: 1.0,
    }
}

fn report() -> ImageReport {
    let package = |name: &str, files: &[&str]| Package {
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        layer: Some(2),
        ..Package::new(PackageKind::Deb, name, "1", "var/lib/dpkg/status")
    };
    let scan = Scan {
        subject: ScanSubject {
            id: ID.into(),
            reference: "registry.example.com/shop/web:1".into(),
            architecture: "amd64".into(),
            ..ScanSubject::default()
        },
        packages: vec![
            package("server", &["usr/sbin/server"]),
            package("libz", &["usr/lib/libz.so.1"]),
            package("perl", &["usr/bin/perl"]),
            package("listless", &[]),
        ],
        ..Scan::default()
    };
    let names = ["server", "libz", "perl", "listless", "absent"];
    let assessment =
        Assessment { vulnerabilities: names.map(flaw).into(), ..Assessment::default() };
    let verdict = Verdict::of(&scan, &assessment, &Images::default());
    ImageReport {
        schema: IMAGE_REPORT_SCHEMA.into(),
        haechi_version: "0".into(),
        taken_at: at(0).to_string(),
        scan,
        assessment,
        verdict,
        containers: Vec::new(),
        seen: Default::default(),
    }
}

/// The document for one workload, and the status of each vulnerability.
fn said(
    report: &ImageReport,
    profiles: &[Profile],
    running: Option<&[&str]>,
) -> (Value, Vec<String>) {
    let rule = Rule { quiet_min: 3600, has_health_check: false };
    let covered: Vec<Coverage> = profiles.iter().map(|one| Coverage::of(one, &rule)).collect();
    let workloads: Vec<Workload<'_>> = profiles.iter().zip(&covered).collect();
    let running = running.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let document = openvex(report, &workloads, running.as_ref(), "somebody", at(2_000_000));
    let statements = document["statements"].as_array().unwrap();
    let status = statements.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect();
    (document, status)
}

fn settled() -> Profile {
    profile(&[(Kind::Executed, "/usr/sbin/server"), (Kind::Mapped, "/usr/lib/libz.so.1")])
}

const ALL: [&str; 5] =
    ["affected", "affected", "not_affected", "under_investigation", "under_investigation"];
const NONE: [&str; 5] =
    ["affected", "affected", "under_investigation", "under_investigation", "under_investigation"];

#[test]
fn only_what_was_watched_well_enough_is_not_affected() {
    let report = report();
    assert_eq!(said(&report, &[settled()], Some(&["c1"])).1, ALL);
    // Another container of the image runs, or nobody knows which do.
    assert_eq!(said(&report, &[settled()], Some(&["c1", "c2"])).1, NONE);
    assert_eq!(said(&report, &[settled()], None).1, NONE);
    // Another command of the image was not watched well enough.
    let mut other = settled();
    other.workload.command = vec!["perl".into()];
    other.runs[0].until = at(5);
    assert_eq!(said(&report, &[settled(), other], Some(&["c1"])).1, NONE);
    // Something of files could be missed, in all that was watched; or the start was never seen.
    for change in [
        |run: &mut Run| run.gaps = [Gap::Files].into(),
        |run: &mut Run| run.gaps = [Gap::Lost].into(),
        |run: &mut Run| run.gaps = [Gap::IoUring].into(),
        |run: &mut Run| run.phases = [Phase::Run].into(),
        |run: &mut Run| run.until = at(3599),
    ] {
        let mut open = settled();
        change(&mut open.runs[0]);
        assert_eq!(said(&report, &[open], Some(&["c1"])).1, NONE);
    }
    // The image could not be read to its end; nothing was watched at all.
    let mut part = report.clone();
    part.scan.problems.push(Problem {
        kind: ProblemKind::Corrupt,
        place: "layer".into(),
        layer: None,
        detail: "broken".into(),
        affects: vec![Part::Packages],
    });
    assert_eq!(said(&part, &[settled()], Some(&["c1"])).1, NONE);
    let (_, none) = said(&report, &[], Some(&[]));
    assert_eq!(none, ["under_investigation"; 5]);
    // Nothing that names this image and no other.
    let mut nameless = report;
    nameless.scan.subject.id.clear();
    assert!(!said(&nameless, &[settled()], Some(&["c1"])).1.contains(&"not_affected".into()));
}

#[test]
fn the_document_is_openvex_and_says_its_grounds() {
    let (document, _) = said(&report(), &[settled()], Some(&["c1"]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert_eq!(document["@context"], "https://openvex.dev/ns/v0.2.0");
    assert!(text(&document["@id"]).starts_with("urn:haechi:vex:"));
    assert_eq!((text(&document["author"]).as_str(), &document["version"]), ("somebody", &1.into()));
    assert!(text(&document["timestamp"]).parse::<Timestamp>().is_ok());
    for one in document["statements"].as_array().unwrap() {
        let known = ["vulnerability", "products", "status", "justification", "impact_statement"];
        let more = ["status_notes", "action_statement"];
        let fields: Vec<&String> = one.as_object().unwrap().keys().collect();
        assert!(fields.iter().all(|f| known.contains(&f.as_str()) || more.contains(&f.as_str())));
        assert!(one["vulnerability"]["name"].is_string());
        let product = &one["products"][0];
        assert_eq!(product["@id"], format!("pkg:oci/web@{}?arch=amd64", ID.replace(':', "%3A")));
        assert!(text(&product["subcomponents"][0]["@id"]).starts_with("pkg:deb/debian/"));
        // What the standard asks for with each status, and only there.
        let status = text(&one["status"]);
        assert_eq!(one["justification"].is_string(), status == "not_affected");
        assert_eq!(one["impact_statement"].is_string(), status == "not_affected");
        assert_eq!(one["action_statement"].is_string(), status == "affected");
        assert!(status == "not_affected" || one["status_notes"].is_string());
    }
    let of = |place: usize, field: &str| text(&document["statements"][place][field]);
    assert_eq!(of(2, "justification"), "vulnerable_code_not_in_execute_path");
    let grounds = "Watched from 2023-11-14T22:13:20Z until 2023-11-26T12:00:00Z in 1 container(s): `server` for 11 d 13 h.";
    assert!(of(2, "impact_statement").contains(grounds), "{}", of(2, "impact_statement"));
    let how = of(0, "status_notes");
    assert!(how.starts_with("Executed: /usr/sbin/server (layer 3) by /usr/sbin/\\u{1b}"), "{how}");
    assert!(how.contains("first seen 2023-11-14T22:13:25Z"), "{how}");
    assert!(of(3, "status_notes").contains("not known which files"));
}

#[test]
fn what_is_written_suppresses_in_this_image_what_does_not_run_and_nothing_else() {
    let report = report();
    let (document, _) = said(&report, &[settled()], Some(&["c1"]));
    let statements = read(document.to_string().as_bytes()).unwrap();
    let suppressed = |scan: &Scan| -> Vec<Option<Suppressed>> {
        let flaws = &report.assessment.vulnerabilities;
        flaws.iter().map(|flaw| verdict(&statements, scan, flaw)).collect()
    };
    let here = suppressed(&report.scan);
    assert_eq!(
        here.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, false, true, false, false]
    );
    assert!(here[2].as_ref().unwrap().reason.contains("Watched from"));
    // The next build has the same name.
    let mut next = report.scan.clone();
    next.subject.id = ID.replace("aa", "ab");
    assert!(suppressed(&next).iter().all(Option::is_none));
}
