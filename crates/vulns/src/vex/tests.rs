//! Tests of VEX, in and out.

use haechi_core::inventory::PackageKind;
use haechi_core::vulnerability::{Assessment, FixState, Rating};
use serde_json::json;

use super::*;

fn entry() -> Vulnerability {
    Vulnerability {
        id: "CVE-2024-0001".into(),
        aliases: vec!["GHSA-a".into()],
        advisories: Vec::new(),
        package: "pkg:deb/debian/curl@7.88?arch=amd64".into(),
        kind: PackageKind::Deb,
        name: "curl".into(),
        installed: "7.88".into(),
        path: "status".into(),
        layer: None,
        state: FixState::Fixed,
        fixed: "7.89".into(),
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

fn scan() -> Scan {
    let mut scan = Scan::default();
    scan.subject.reference = "registry.example.com:5000/team/app:1.0".into();
    scan.subject.digest = "sha256:aa".into();
    scan
}

fn document(product: serde_json::Value, status: &str, at: &str) -> Vec<Statement> {
    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "timestamp": at,
        "statements": [{"vulnerability": {"name": "GHSA-a"}, "products": [product], "status": status,
            "justification": "vulnerable_code_not_present"}],
    });
    read(document.to_string().as_bytes()).unwrap()
}

const DAY: &str = "2026-01-01T00:00:00Z";

#[test]
fn a_statement_counts_only_for_its_product() {
    let counts =
        |product| verdict(&document(product, "not_affected", DAY), &scan(), &entry()).is_some();
    for yes in [
        json!({"@id": "pkg:deb/debian/curl"}),
        json!({"@id": "pkg:deb/debian/curl@7.88"}),
        json!({"@id": "pkg:oci/app@sha256%3Aaa"}),
        json!({"@id": "pkg:oci/app"}),
        json!({"@id": "pkg:oci/app?repository_url=registry.example.com:5000/team/app"}),
        json!({"@id": "registry.example.com:5000/team/app:1.0"}),
        json!({"@id": "x", "hashes": {"sha-256": "AA"}}),
        json!({"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/curl"}]}),
    ] {
        assert!(counts(yes.clone()), "{yes}");
    }
    for no in [
        json!({"@id": ""}),
        json!({}),
        json!({"@id": "pkg:deb/debian/curl@7.87"}),
        json!({"@id": "pkg:oci/app@sha256%3Abb"}),
        json!({"@id": "pkg:oci/other"}),
        json!({"@id": "pkg:oci/app?repository_url=evil.example.com/app"}),
        json!({"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/wget"}]}),
        json!({"@id": "pkg:oci/app", "subcomponents": [{}]}),
    ] {
        assert!(!counts(no.clone()), "{no}");
    }
}

#[test]
fn the_latest_statement_wins() {
    let product = json!({"@id": "pkg:deb/debian/curl"});
    let mut all = document(product.clone(), "affected", "2026-02-01T00:00:00Z");
    all.extend(document(product.clone(), "not_affected", DAY));
    assert_eq!(verdict(&all, &scan(), &entry()), None);
    all.extend(document(product, "fixed", "2026-03-01T00:00:00Z"));
    assert_eq!(verdict(&all, &scan(), &entry()).unwrap().status, "fixed");
}

#[test]
fn cyclonedx_refers_to_components() {
    let bom = json!({
        "bomFormat": "CycloneDX", "metadata": {"timestamp": DAY},
        "components": [{"bom-ref": "c1", "purl": "pkg:deb/debian/curl@7.88"}],
        "vulnerabilities": [
            {"id": "CVE-2024-0001", "analysis": {"state": "false_positive"}, "affects": [{"ref": "urn:cdx:x/1#c1"}]},
            {"id": "CVE-2024-0002"},
        ],
    });
    let all = read(bom.to_string().as_bytes()).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(verdict(&all, &scan(), &entry()).unwrap().status, "not_affected");
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    assert_eq!(read(b"{}"), Err(Unread::Unknown));
    assert!(matches!(read(b"nonsense"), Err(Unread::Json(_))));
    let product = json!([{"@id": "pkg:deb/debian/curl"}]);
    for statement in [
        json!({"vulnerability": {"name": "CVE-2024-0001"}, "products": product, "status": "fine"}),
        json!({"vulnerability": {"name": "CVE-2024-0001"}, "products": product, "status": "not_affected"}),
        json!({"products": product, "status": "fixed"}),
        json!({"vulnerability": {"name": "C"}, "products": product, "status": "fixed", "timestamp": "soon"}),
    ] {
        let document = json!({"@context": "https://openvex.dev/ns", "statements": [statement]});
        let error = read(document.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("statements[0]"), "{error}");
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    let suppressed = Suppressed {
        by: "vex a.json".into(),
        status: "not_affected".into(),
        reason: "not there".into(),
    };
    let open = Vulnerability { id: "CVE-2024-0002".into(), aliases: Vec::new(), ..entry() };
    let assessment = Assessment {
        vulnerabilities: vec![open.clone()],
        suppressed: vec![(entry(), suppressed)],
        ..Assessment::default()
    };
    let now = DAY.parse().unwrap();
    let text = openvex(&scan(), &assessment, "me", now).to_string();
    assert_eq!(text, openvex(&scan(), &assessment, "me", now).to_string());
    let cyclone = cyclonedx(&assessment, now).to_string();
    for text in [text, cyclone] {
        let all = read(text.as_bytes()).unwrap();
        assert_eq!(all.len(), 2);
        assert!(verdict(&all, &scan(), &entry()).is_some());
        assert!(verdict(&all, &scan(), &open).is_none());
    }
}
