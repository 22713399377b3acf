//! What is at risk is told in order, by what mends it, and what is not known is not claimed.

use haechi_core::inventory::{Package, PackageKind, Scan, ScanSubject};
use haechi_core::report::{HostLine, Item, REPORT_SCHEMA, Summary};
use haechi_core::risk::Reach;
use haechi_core::score::Score;
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, Safety, Verdict};
use haechi_core::vulnerability::{Assessment, FixState, Rating, Score as Cvss};
use haechi_core::{Area, Subject, Text};
use serde_json::{Value, json};

use super::*;

const IMAGE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn snapshot(containers: Value) -> Snapshot {
    let all = json!({
        "schema": "haechi/snapshot/v1",
        "haechi_version": "0",
        "taken_at": "2026-07-28T12:00:00Z",
        "took_ms": 1,
        "engine": {"data_root": "/var/lib/docker", "listeners": [
            {"protocol": "unix", "address": "/run/docker.sock", "port": 0},
            {"protocol": "tcp", "address": "0.0.0.0", "port": 2375}]},
        "images": [{"id": IMAGE, "tags": ["web:1"], "size": 5}],
        "networks": [{"name": "lan", "driver": "macvlan"}, {"name": "app", "driver": "bridge"}],
        "containers": containers,
    });
    serde_json::from_value(all).unwrap()
}

fn container(id: &str, more: Value) -> Value {
    let mut one = json!({
        "id": id, "name": id, "image_ref": "web:1", "image_id": IMAGE,
        "state": {"status": "running", "running": true},
        "host_config": {"privileged": false, "network_mode": "app"},
        "effective": {"capabilities": ["CHOWN"], "uid": 0, "runs_as_root": true},
        "host_namespaces": [], "mounts": [], "ports": [], "networks": [{"name": "app"}],
        "alerts": [],
    });
    for (key, value) in more.as_object().unwrap() {
        one[key] = value.clone();
    }
    one
}

fn flaw(id: &str, package: &str, score: f64, fixed: &str) -> Vulnerability {
    Vulnerability {
        id: id.into(),
        aliases: vec![],
        advisories: vec![],
        package: format!("pkg:deb/{package}"),
        kind: PackageKind::Deb,
        name: package.into(),
        installed: "1".into(),
        path: "var/lib/dpkg/status".into(),
        layer: None,
        state: if fixed.is_empty() { FixState::Affected } else { FixState::Fixed },
        fixed: fixed.into(),
        command: if fixed.is_empty() {
            String::new()
        } else {
            format!("apt-get install {package}")
        },
        rating: Rating::of_score(score),
        rated_by: String::new(),
        scores: vec![Cvss {
            by: "nvd".into(),
            version: "3.1".into(),
            vector: String::new(),
            score,
        }],
        exploited: None,
        epss: None,
        title: String::new(),
        description: String::new(),
        urls: vec![],
        cwes: vec![],
        published: String::new(),
        source: String::new(),
        rank: 0.0,
    }
}

fn image_report(flaws: Vec<Vulnerability>) -> ImageReport {
    let package = |name: &str, file: &str| Package {
        files: vec![file.into()],
        ..Package::new(PackageKind::Deb, name, "1", "var/lib/dpkg/status")
    };
    ImageReport {
        schema: IMAGE_REPORT_SCHEMA.into(),
        haechi_version: "0".into(),
        taken_at: "2026-07-28T12:00:00Z".into(),
        scan: Scan {
            subject: ScanSubject {
                id: IMAGE.into(),
                reference: "old-name".into(),
                ..ScanSubject::default()
            },
            packages: vec![package("openssl", "lib/libssl.so.3"), package("vim", "usr/bin/vim")],
            ..Scan::default()
        },
        assessment: Assessment { vulnerabilities: flaws, ..Assessment::default() },
        verdict: Verdict { safety: Safety::Unsafe, reasons: vec![], more: 0 },
        containers: vec![],
        seen: Default::default(),
    }
}

fn finding(
    check: &str,
    severity: Severity,
    status: Status,
    kind: SubjectKind,
    id: &str,
) -> Finding {
    Finding {
        check: check.into(),
        title: Text::new("Do it", "한다"),
        area: Area::Instance,
        severity,
        status,
        subject: Subject { kind, name: id.into(), id: id.into() },
        evidence: vec![],
        cause: None,
        reason: None,
        accepted: None,
        remediation: Text::new("Mend it", "고친다"),
        fix: None,
        policy_defaults: vec![],
    }
}

fn verified(findings: Vec<Finding>) -> Report {
    let text = || Text::new("x", "x");
    let items = vec![
        Item::new("1.1".into(), text(), text(), findings.clone()),
        Item::new("1.2".into(), text(), text(), findings),
    ];
    Report {
        schema: REPORT_SCHEMA.into(),
        haechi_version: "0".into(),
        benchmark: "cis".into(),
        benchmark_title: "CIS".into(),
        host: HostLine::default(),
        taken_at: "2026-07-28T12:00:00Z".into(),
        collect_ms: 0,
        evaluate_ms: 0,
        policy: "defaults".into(),
        policy_defaults: vec![],
        summary: Summary::of(&items),
        score: Score::default(),
        movement: None,
        gaps: vec![],
        images: vec![],
        profiles: vec![],
        items,
    }
}

fn made(
    containers: Value,
    findings: Vec<Finding>,
    images: &[ImageReport],
    earlier: &[ImageReport],
    files: &[(&str, &str)],
) -> Inventory {
    watched(containers, findings, images, earlier, files, false)
}

fn watched(
    containers: Value,
    findings: Vec<Finding>,
    images: &[ImageReport],
    earlier: &[ImageReport],
    files: &[(&str, &str)],
    is_settled: bool,
) -> Inventory {
    let entry = |file: &str| Entry {
        kind: haechi_core::profile::Kind::Read,
        value: file.to_owned(),
        first_at: jiff::Timestamp::UNIX_EPOCH,
        container: String::new(),
        origin: String::new(),
        program: String::new(),
    };
    let seen = files
        .iter()
        .map(|(id, file)| ((*id).to_owned(), Seen { entries: vec![entry(file)], is_settled }))
        .collect();
    inventory(&Known {
        snapshot: &snapshot(containers),
        reports: &[&verified(findings)],
        policy: &Policy::default(),
        images,
        earlier,
        seen: &seen,
    })
    .unwrap()
}

#[test]
fn code_in_use_in_an_open_container_comes_before_a_worse_flaw_that_is_not() {
    let open = json!({"ports": [{"host_address": "0.0.0.0", "host_port": 80}]});
    let reports =
        [image_report(vec![flaw("CVE-1", "vim", 9.8, "2"), flaw("CVE-2", "openssl", 7.5, "2")])];
    let used = [("a", "/usr/lib/libssl.so.3")];
    let all = made(json!([container("a", open)]), vec![], &reports, &[], &used);
    let first = &all.risks[0].line;
    assert!(first.title.en.contains("CVE-2"), "{:?}", first.title);
    assert_eq!(first.command, "apt-get install openssl");
    assert!(first.factors.iter().any(|f| f.factor == "executed" && f.times > 1.0));
    // Of the other it is said that it is not known.
    let second = &all.risks[1].line;
    assert!(second.factors.iter().any(|f| f.factor == "executed" && f.times == 1.0));
    assert_eq!(all.containers[0].used, BTreeSet::from(["openssl 1".to_owned()]));
    assert_eq!(all.containers[0].rank, first.rank);
    assert_eq!(all.images[0].rank, first.rank);
}

#[test]
fn an_image_without_a_container_counts_less_and_a_kept_report_counts_as_a_new_one() {
    let reports = [image_report(vec![flaw("CVE-1", "vim", 9.8, "")])];
    let alone = made(json!([]), vec![], &reports, &[], &[]);
    let run = made(json!([container("a", json!({}))]), vec![], &reports, &[], &[]);
    assert!(run.images[0].rank > alone.images[0].rank && alone.images[0].rank > 0.0);
    assert_eq!(alone.risks[0].line.mends, 0, "there is no fix");
    // Images were not read this time: what is known of them stays known.
    let again = made(json!([container("a", json!({}))]), vec![], &[], &reports, &[]);
    assert_eq!(again.images[0].rank, run.images[0].rank);
    assert_eq!(again.images[0].line.name, "web:1", "named as it is now");
    assert_eq!(again.images[0].line.containers, ["a"]);
    assert_eq!(again.containers[0].safety, Some(Safety::Unsafe));
    // Never read: nothing is claimed.
    let never = made(json!([container("a", json!({}))]), vec![], &[], &[], &[]);
    assert_eq!((never.containers[0].safety, never.images[0].line.safety), (None, None));
    assert_eq!(never.images[0].line.ratings, None);
}

#[test]
fn findings_are_one_line_for_each_check_and_the_worst_container_explains_it() {
    let privileged = json!({"host_config": {"privileged": true, "network_mode": "app"}});
    let containers = json!([container("a", json!({})), container("b", privileged)]);
    let of = |check: &str, id: &str, status| {
        finding(check, Severity::High, status, SubjectKind::Container, id)
    };
    let findings = vec![
        of("x", "a", Status::Fail),
        of("x", "b", Status::Fail),
        of("y", "a", Status::Unverified),
        of("z", "a", Status::Pass),
        finding("tls", Severity::Critical, Status::Fail, SubjectKind::Engine, "engine"),
    ];
    let all = made(containers, findings, &[], &[], &[]);
    assert_eq!(all.risks.len(), 2, "what is not failing is no risk");
    let tls = all.risks.iter().find(|risk| risk.check == "tls").unwrap();
    let named: Vec<&str> = tls.line.factors.iter().map(|f| f.factor.as_str()).collect();
    assert_eq!(named, ["severity", "all-containers", "engine-reachable"]);
    assert_eq!(tls.line.link, "/checklist/cis/1.1");
    let x = all.risks.iter().find(|risk| risk.check == "x").unwrap();
    assert_eq!((x.line.mends, x.subjects), (2, 2), "each once, though two items have it");
    assert!(x.line.title.en.starts_with("b and 1 more"), "{:?}", x.line.title);
    assert!(x.line.title.ko.contains("한다") && x.line.title.en.contains("Do it"));
    assert!(x.line.factors.iter().any(|factor| factor.factor == "privileged"));
    let (a, b) = (&all.containers[0], &all.containers[1]);
    assert!(b.rank > a.rank);
    assert_eq!((a.counts.fail, a.counts.unverified, a.counts.pass), (1, 1, 1));
    assert_eq!(a.failing, BTreeMap::from([(Severity::High, 1)]));
}

#[test]
fn a_line_has_the_commands_of_all_that_it_mends_or_none() {
    let of = |fixes: &[Option<String>]| {
        let findings = fixes.iter().enumerate().map(|(n, fix)| Finding {
            fix: fix.clone(),
            ..finding("x", Severity::Low, Status::Fail, SubjectKind::Container, &n.to_string())
        });
        let all = made(json!([]), findings.collect(), &[], &[], &[]);
        all.risks[0].line.command.clone()
    };
    let fix = |n: usize| Some(format!("docker update {n}"));
    assert_eq!(of(&[fix(1), fix(2), fix(1)]), "docker update 1\ndocker update 2");
    assert_eq!(of(&[fix(1), None]), "", "one of them would stay");
    assert_eq!(of(&(0..11).map(fix).collect::<Vec<_>>()), "");
}

#[test]
fn what_was_watched_for_long_and_never_used_comes_last() {
    let reports =
        [image_report(vec![flaw("CVE-1", "vim", 9.8, "2"), flaw("CVE-2", "openssl", 5.0, "2")])];
    let used = [("a", "/usr/lib/libssl.so.3")];
    let all = watched(json!([container("a", json!({}))]), vec![], &reports, &[], &used, true);
    assert_eq!(all.containers[0].used, BTreeSet::from(["openssl 1".to_owned()]));
    assert_eq!(all.containers[0].idle, BTreeSet::from(["vim 1".to_owned()]));
    let factor = |at: usize| {
        all.risks[at].line.factors.iter().find(|f| f.factor == "executed").map(|f| f.times)
    };
    assert!(all.risks[0].line.title.en.contains("CVE-2"));
    assert_eq!((factor(0), factor(1)), (Some(2.0), Some(0.25)));
}

#[test]
fn what_is_not_listed_keeps_what_was_kept() {
    for gone in ["containers", "images"] {
        let mut all = serde_json::to_value(snapshot(json!([]))).unwrap();
        all.as_object_mut().unwrap().remove(gone);
        let snapshot: Snapshot = serde_json::from_value(all).unwrap();
        let known = Known {
            snapshot: &snapshot,
            reports: &[&verified(vec![])],
            policy: &Policy::default(),
            images: &[],
            earlier: &[],
            seen: &HashMap::new(),
        };
        assert_eq!(inventory(&known).map(|all| all.risks.len()), None, "{gone}");
    }
}

#[test]
fn who_reaches_a_container_is_told_by_ports_and_networks() {
    let port = |address: &str| json!([{"host_address": address, "host_port": 80}]);
    let joined =
        |to: &str| json!({"host_config": {"network_mode": format!("container:{to}")}, "ports": []});
    let all = [
        (json!({"ports": port("0.0.0.0")}), Some(Reach::Everybody)),
        (json!({"ports": port("::")}), Some(Reach::Everybody)),
        (json!({"ports": port("")}), Some(Reach::Everybody)),
        (json!({"ports": port("192.0.2.7")}), Some(Reach::Addresses)),
        (json!({"ports": port("127.0.0.1")}), Some(Reach::Host)),
        (json!({}), Some(Reach::Containers)),
        (json!({"networks": [{"name": "app"}, {"name": "lan"}]}), Some(Reach::Addresses)),
        (json!({"host_config": {"network_mode": "none"}}), Some(Reach::None)),
        (json!({"host_namespaces": ["network"]}), Some(Reach::Everybody)),
        (json!({"ports": null}), None),
        (joined("open"), Some(Reach::Everybody)),
        (joined("gone"), None),
        // Whoever joins itself is not followed for ever.
        (joined("c"), None),
    ];
    for (more, expected) in all {
        let open = container("open", json!({"ports": port("0.0.0.0")}));
        let snapshot = snapshot(json!([container("c", more.clone()), open]));
        let one = &snapshot.containers.as_ref().unwrap()[0];
        let exposure = exposure(one, &snapshot, &Policy::default());
        assert_eq!(exposure.reach, expected, "{more}");
    }
}

#[test]
fn what_a_container_may_do_is_told_and_what_is_not_known_is_not() {
    let bind = |path: &str, writable: bool| {
        json!({"kind": "bind", "host_path": path, "host_paths": [path], "writable": writable,
               "engine_sockets": if path == "/run" { json!(["/run/docker.sock"]) } else { json!([]) }})
    };
    let of = |more: Value| {
        let snapshot = snapshot(json!([container("c", more)]));
        exposure(&snapshot.containers.as_ref().unwrap()[0], &snapshot, &Policy::default())
    };
    let mounts = json!([
        bind("/etc", true),
        bind("/root", false),
        bind("/run", true),
        bind("/srv", true),
        bind("/etc/localtime", false),
        bind("/var/lib/docker/x", true)
    ]);
    let seen = of(json!({"mounts": mounts}));
    assert_eq!(seen.sockets, Some(vec!["/run/docker.sock".to_owned()]));
    let writes = seen.writes.unwrap();
    assert!(
        writes.contains(&"/etc".to_owned()) && writes.contains(&"/var/lib/docker/x".to_owned())
    );
    assert!(!writes.contains(&"/srv".to_owned()));
    assert_eq!(seen.reads, Some(vec!["/root".to_owned()]));
    let alert =
        |at: &str, priority: &str| json!({"at": at, "rule": "r", "priority": priority, "count": 9});
    let alerts = json!([
        alert("2026-07-28T11:00:00Z", "critical"),
        alert("2026-07-27T11:00:00Z", "critical"),
        alert("2026-07-28T01:00:00Z", "warning"),
        alert("2026-07-28T01:00:00Z", "notice")
    ]);
    let recent = of(json!({"alerts": alerts})).alerts.unwrap();
    assert_eq!((recent.critical, recent.warning), (1, 1));
    let stopped = json!({"state": {"status": "exited", "running": false}});
    assert_eq!(of(stopped).root, Some(true), "by its configuration");
    let bare = json!({"effective": null, "host_config": null, "mounts": null, "alerts": null,
                      "state": null, "host_namespaces": null, "ports": null});
    assert_eq!(of(bare), Exposure::default());
}

#[test]
fn names_that_mislead_are_shown_as_they_are_and_links_stay_links() {
    let name = "<b>\u{202e}웹/../x?\n";
    let one = finding("x", Severity::Low, Status::Fail, SubjectKind::Container, name);
    let all = made(json!([container(name, json!({}))]), vec![one], &[], &[], &[]);
    let line = &all.risks[0].line;
    assert!(line.title.en.contains("<b>\\u{202e}웹/../x?\\u{a}"), "{:?}", line.title);
    assert!(!line.link.trim_start_matches("/containers/").contains(['/', '?', '\n', '<']));
}
