//! Round trips, documents of other tools in small, and hostile ones.

use haechi_core::inventory::{
    Distro, Package, PackageKind, Part, Problem, ProblemKind, Scan, ScanLayer, SourcePackage,
};
use haechi_core::vulnerability::{
    Assessment, FixState, Rating, Score, Suppressed, Undecided, Vulnerability,
};
use serde_json::{Value, json};

use super::*;

fn now() -> jiff::Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

fn package(kind: PackageKind, name: &str, version: &str) -> Package {
    Package::new(kind, name, version, "var/lib/x y")
}

/// A scan with everything that is hard to carry through another format.
fn odd() -> Scan {
    use PackageKind as K;
    let mut scan = Scan::default();
    scan.subject.kind = "image".into();
    scan.subject.reference = "registry.example:5000/팀/앱:1".into();
    scan.subject.digest = format!("sha256:{}", "a".repeat(64));
    scan.subject.tags = vec!["registry.example:5000/team/app:1".into()];
    scan.distro = Some(Distro {
        id: "rocky".into(),
        version: "9.4".into(),
        name: "Rocky Linux 9.4 (Blue Onyx)".into(),
        like: vec!["rhel".into(), "fedora".into()],
        ..Distro::default()
    });
    scan.layers = vec![
        ScanLayer { digest: "sha256:0".into(), ..ScanLayer::default() },
        ScanLayer { digest: "sha256:1".into(), ..ScanLayer::default() },
    ];
    let mut rpm = package(K::Rpm, "openssl-libs", "1:3.0.7-2.el9");
    rpm.arch = "x86_64".into();
    rpm.layer = Some(1);
    rpm.source = Some(SourcePackage { name: "openssl".into(), version: "1:3.0.7-2.el9".into() });
    rpm.licenses = vec!["GPLv2+ and (LGPLv3 or 공개)".into(), "MIT".into()];
    rpm.vendor = "Rocky <x@example.org>\nsecond line".into();
    rpm.module = "nodejs:18:9040020240101:rhel9".into();
    let mut program = package(K::Generic, "nginx", "1.2");
    program.cpes = vec!["cpe:2.3:a:nginx:nginx:1.2:*:*:*:*:*:*:*".into()];
    let mut declared = package(K::Npm, "@types/node", "1.0.0");
    declared.declared_only = true;
    scan.packages = vec![
        rpm,
        program,
        declared,
        package(K::Golang, "github.com/Azure/go/v2", "v2.0.0"),
        package(K::Maven, "org.a:b", "1"),
        package(K::Pypi, "Typing_Extensions", "4"),
        package(K::Composer, "Vendor/Name", "1"),
        package(K::Nuget, "Newtonsoft.Json", "1"),
        package(K::Gem, "한글", ""),
    ];
    let mut twin = package(K::Nuget, "Newtonsoft.Json", "1");
    twin.path = "another".into();
    scan.packages.push(twin);
    for package in &mut scan.packages {
        package.purl = crate::purl::of(package, scan.distro.as_ref());
    }
    scan.packages.sort();
    scan.problems = vec![Problem {
        kind: ProblemKind::Truncated,
        place: "sha256:1".into(),
        layer: Some(1),
        detail: "it ends".into(),
        affects: vec![Part::Packages],
    }];
    scan
}

fn again(document: &Value) -> Scan {
    read(document.to_string().as_bytes()).unwrap()
}

#[test]
fn what_is_written_reads_the_same() {
    let scan = odd();
    for document in [cyclonedx(&scan, None, now()), spdx(&scan, now())] {
        let read = again(&document);
        // SPDX and CycloneDX carry vendor and all; the order is that of scans.
        assert_eq!(read.packages, scan.packages);
        assert_eq!(read.distro, scan.distro);
        assert_eq!(read.subject.kind, "sbom");
        assert_eq!(read.subject.digest, scan.subject.digest);
        assert_eq!(read.layers.len(), 2);
        assert!(read.problems.contains(scan.problems.first().unwrap()), "{:?}", read.problems);
        assert!(!read.is_whole(Part::Packages) && !read.is_whole(Part::Secrets));
        // Once more: nothing is added each time.
        let twice = again(&cyclonedx(&read, None, now()));
        assert_eq!(twice.packages, scan.packages);
        assert_eq!(twice.problems.len(), again(&spdx(&read, now())).problems.len());
    }
}

#[test]
fn an_empty_scan_is_whole_and_stays_so() {
    let document = cyclonedx(&Scan::default(), None, now());
    assert_eq!(document["compositions"][0]["aggregate"], "complete");
    let read = again(&document);
    assert!(read.packages.is_empty());
    assert!(read.is_whole(Part::Packages), "{:?}", read.problems);
    assert!(again(&spdx(&Scan::default(), now())).is_whole(Part::Packages));
    // An empty document of another tool says nothing.
    assert!(
        !again(&json!({"bomFormat": "CycloneDX", "specVersion": "1.5"})).is_whole(Part::Packages)
    );
}

#[test]
fn references_and_identifiers_are_unique_and_valid() {
    let (cyclonedx, spdx) = (cyclonedx(&odd(), None, now()), spdx(&odd(), now()));
    let mut refs: Vec<&str> = cyclonedx["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["bom-ref"].as_str().unwrap())
        .collect();
    let count = refs.len();
    refs.sort_unstable();
    refs.dedup();
    assert_eq!(refs.len(), count);
    let serial = cyclonedx["serialNumber"].as_str().unwrap();
    assert!(serial.len() == 45 && serial.as_bytes()[23] == b'5', "{serial}");
    for package in spdx["packages"].as_array().unwrap() {
        let id = package["SPDXID"].as_str().unwrap().strip_prefix("SPDXRef-").unwrap();
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'), "{id}");
    }
    assert_eq!(spdx["hasExtractedLicensingInfos"].as_array().unwrap().len(), 1);
}

#[test]
fn vulnerabilities_name_their_package_and_why_they_do_not_count() {
    let scan = odd();
    let rpm = scan.packages.iter().find(|p| p.kind == PackageKind::Rpm).unwrap();
    let bad = vulnerability(rpm);
    let why = Suppressed {
        by: "vex a".into(),
        status: "not_affected".into(),
        reason: "component_not_present".into(),
    };
    let assessment = Assessment {
        vulnerabilities: vec![bad.clone()],
        suppressed: vec![(bad, why)],
        undecided: vec![Undecided {
            package: String::new(),
            name: "x".into(),
            version: "1".into(),
            cause: haechi_core::Cause::NeedsDatabase,
            detail: "no feed".into(),
        }],
        sources: vec![],
    };
    let document = cyclonedx(&scan, Some(&assessment), now());
    let first = &document["vulnerabilities"][0];
    assert_eq!(first["affects"][0]["ref"], rpm.purl.as_str());
    assert_eq!(first["ratings"][1]["method"], "CVSSv31");
    assert_eq!(first["cwes"], json!([79]));
    assert_eq!(first["advisories"].as_array().unwrap().len(), 1);
    assert_eq!(first["published"], "2024-01-02T00:00:00Z");
    assert_eq!(document["vulnerabilities"][1]["analysis"]["justification"], "code_not_present");
    assert_eq!(document["properties"][0]["name"], "haechi:undecided");
}

fn vulnerability(package: &Package) -> Vulnerability {
    Vulnerability {
        id: "CVE-2024-1".into(),
        aliases: vec!["GHSA-1".into()],
        advisories: vec!["RHSA-1".into()],
        package: package.purl.clone(),
        kind: package.kind,
        name: package.name.clone(),
        installed: package.version.clone(),
        path: package.path.clone(),
        layer: None,
        state: FixState::Fixed,
        fixed: "2".into(),
        command: "dnf update".into(),
        rating: Rating::Negligible,
        rated_by: String::new(),
        scores: vec![Score {
            by: "nvd".into(),
            version: "3.1".into(),
            vector: "CVSS:3.1/AV:N".into(),
            score: 9.8,
        }],
        exploited: None,
        epss: None,
        title: "a flaw".into(),
        description: String::new(),
        urls: vec!["https://example.org/a".into(), "not a url".into()],
        cwes: vec!["CWE-79".into(), "NVD-CWE-noinfo".into()],
        published: "2024-01-02".into(),
        source: "osv".into(),
        rank: 1.0,
    }
}

/// Name, version and source of each package.
fn brief(scan: &Scan) -> Vec<(PackageKind, &str, &str, &str, &str)> {
    let source = |p: &Package| p.source.clone().unwrap_or_default();
    scan.packages
        .iter()
        .map(|p| {
            (
                p.kind,
                p.name.as_str(),
                p.version.as_str(),
                source(p).name.leak() as &str,
                source(p).version.leak() as &str,
            )
        })
        .collect()
}

#[test]
fn cyclonedx_of_other_tools() {
    use PackageKind as K;
    let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {
      "tools": {"components": [{"type": "application", "name": "tool", "purl": "pkg:npm/tool@1"}]},
      "component": {"type": "container", "name": "img", "purl": "pkg:oci/img@sha256%3Aff"}},
    "components": [
      {"type": "operating-system", "name": "redhat", "version": "8.5"},
      {"type": "file", "name": "/etc/passwd"},
      {"type": "application", "name": "package-lock.json",
       "properties": [{"name": "aquasecurity:trivy:Class", "value": "lang-pkgs"}],
       "components": [{"type": "library", "name": "a", "group": "@s", "purl": "pkg:npm/%40s/a@1"}]},
      {"type": "library", "name": "bash", "purl": "pkg:rpm/redhat/bash@4.2-31.el7?arch=x86_64&epoch=2&distro=redhat-8.5&upstream=bash-4.2-31.el7.src.rpm"},
      {"type": "library", "name": "libssl", "purl": "pkg:rpm/redhat/libssl@1-1?distro=redhat-8.5", "properties": [
          {"name": "aquasecurity:trivy:SrcName", "value": "openssl"}, {"name": "aquasecurity:trivy:SrcVersion", "value": "3"},
          {"name": "aquasecurity:trivy:SrcRelease", "value": "4"}, {"name": "aquasecurity:trivy:SrcEpoch", "value": "1"}]},
      {"type": "library", "name": "github.com/Azure/x/v2", "purl": "pkg:golang/github.com/azure/x@v2.0.0#v2"},
      {"type": "library", "name": "Foo", "purl": "pkg:swift/github.com/a/Foo@1"},
      {"type": "library", "name": "broken", "purl": "pkg:npm"},
      {"type": "library", "name": "nothing"},
      {"type": "application", "name": "httpd", "version": "2.4", "cpe": "cpe:/a:apache:http_server:2.4",
       "pedigree": {"ancestors": [{"type": "library", "name": "old", "purl": "pkg:npm/old@1"}]}},
    ]});
    let scan = again(&document);
    assert_eq!(
        brief(&scan),
        [
            (K::Rpm, "bash", "2:4.2-31.el7", "bash", "2:4.2-31.el7"),
            (K::Rpm, "libssl", "1-1", "openssl", "1:3-4"),
            (K::Npm, "@s/a", "1", "", ""),
            (K::Golang, "github.com/Azure/x/v2", "v2.0.0", "", ""),
            (K::Generic, "httpd", "2.4", "", ""),
        ]
    );
    assert_eq!(scan.packages[4].cpes, ["cpe:2.3:a:apache:http_server:2.4:*:*:*:*:*:*:*"]);
    let distro = scan.distro.as_ref().unwrap();
    assert_eq!((distro.id.as_str(), distro.version.as_str()), ("rhel", "8.5"));
    assert_eq!(scan.subject.digest, "sha256:ff");
    let details: Vec<&str> = scan.problems.iter().map(|p| p.detail.as_str()).collect();
    assert_eq!(
        scan.problems.iter().filter(|p| p.kind == ProblemKind::Unsupported).count(),
        3,
        "{details:?}"
    );
    assert!(
        details
            .iter()
            .any(|d| d.contains("type swift") && d.contains("pkg:swift/github.com/a/Foo@1"))
    );
}

#[test]
fn cyclonedx_xml() {
    let xml = r#"<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.4">
      <metadata><tools><components><component type="library"><purl>pkg:npm/t@1</purl></component></components></tools>
        <component type="container"><name>a&amp;b</name></component></metadata>
      <components><component type="library"><name>musl</name><version>1</version>
        <licenses><license><id>MIT</id></license></licenses>
        <purl>pkg:apk/alpine/musl-utils@1.2-r0?arch=x86_64&amp;upstream=musl&amp;distro=alpine-3.17.2</purl>
        <pedigree><ancestors><component type="library"><purl>pkg:npm/o@1</purl></component></ancestors></pedigree>
        <properties><property name="syft:location:0:path">/lib/apk/db/installed</property></properties>
        <components><component type="library"><purl>pkg:gem/rack@2</purl></component></components>
      </component></components></bom>"#;
    let scan = read(xml.as_bytes()).unwrap();
    assert_eq!(
        brief(&scan),
        [
            (PackageKind::Apk, "musl-utils", "1.2-r0", "musl", "1.2-r0"),
            (PackageKind::Gem, "rack", "2", "", "")
        ]
    );
    assert_eq!(scan.packages[0].path, "lib/apk/db/installed");
    assert_eq!(scan.packages[0].licenses, ["MIT"]);
    assert_eq!(scan.distro.unwrap().version, "3.17.2");
    assert_eq!(scan.subject.reference, "a&b");
    for (bad, why) in [
        ("<bom><a>&evil;</a></bom>", "evil"),
        ("<bom><components>", "ends inside"),
        ("<html/>", "html"),
        (
            "<bom><components><component><purl>a</purl><purl>b</purl></component></components></bom>",
            "twice",
        ),
    ] {
        let error = read(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn spdx_of_other_tools() {
    let document = json!({"spdxVersion": "SPDX-2.3", "packages": [
        {"SPDXID": "SPDXRef-img", "name": "img", "primaryPackagePurpose": "CONTAINER", "externalRefs": [
            {"referenceType": "purl", "referenceLocator": "pkg:oci/img@sha256%3Aff"}]},
        {"SPDXID": "SPDXRef-1", "name": "libssl3", "supplier": "Organization: D", "licenseDeclared": "NOASSERTION", "externalRefs": [
            {"referenceType": "purl", "referenceLocator": "pkg:deb/debian/libssl3@3.0-1?distro=debian-12"}]},
        {"SPDXID": "SPDXRef-2", "name": "openssl", "versionInfo": "3.0-1", "primaryPackagePurpose": "SOURCE"},
        {"SPDXID": "SPDXRef-3", "name": "app", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:npm/app@1"}]}],
      "relationships": [
        {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-img"},
        {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-3"},
        {"spdxElementId": "SPDXRef-1", "relationshipType": "GENERATED_FROM", "relatedSpdxElement": "SPDXRef-2"}]});
    let scan = again(&document);
    let wanted = [
        (PackageKind::Deb, "libssl3", "3.0-1", "openssl", "3.0-1"),
        (PackageKind::Npm, "app", "1", "", ""),
    ];
    assert_eq!(brief(&scan), wanted);
    assert!(scan.is_whole(Part::Packages), "{:?}", scan.problems);
    let tags = "SPDXVersion: SPDX-2.2\n# c\nSPDXID: SPDXRef-DOCUMENT\nDocumentComment: <text>a\nPackageName: no\n</text>\n\
        PackageName: libssl3\nSPDXID: SPDXRef-1\nPackageComment: <text>one</text>\n\
        ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/libssl3@3.0-1?distro=debian-12\n\
        PackageName: openssl\nSPDXID: SPDXRef-2\nPackageVersion: 3.0-1\nPrimaryPackagePurpose: SOURCE\n\
        PackageName: app\nSPDXID: SPDXRef-3\nExternalRef: PACKAGE-MANAGER purl pkg:npm/app@1\n\
        Relationship: SPDXRef-1 GENERATED_FROM SPDXRef-2\n";
    let scan = read(tags.as_bytes()).unwrap();
    assert_eq!(brief(&scan), wanted);
    assert_eq!(scan.distro.unwrap().version, "12");
    let clair = json!({"spdxVersion": "SPDX-2.3", "packages": [
        {"SPDXID": "SPDXRef-1", "name": "rhel", "versionInfo": "8", "primaryPackagePurpose": "OPERATING-SYSTEM"},
        {"SPDXID": "SPDXRef-2", "name": "bash", "versionInfo": "1-1.el8", "packageFileName": "bdb:var/lib/rpm"},
        {"SPDXID": "SPDXRef-3", "name": "repo", "summary": "repository", "primaryPackagePurpose": "OTHER"}]});
    let scan = again(&clair);
    assert_eq!(brief(&scan), [(PackageKind::Rpm, "bash", "1-1.el8", "", "")]);
    assert!(scan.is_whole(Part::Packages), "{:?}", scan.problems);
    let error = read(b"SPDXVersion: SPDX-2.3\nA: <text>b").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn several_distributions_are_told() {
    let purl = |release: &str| json!({"type": "library", "name": "a", "purl": format!("pkg:deb/debian/a@1?distro={release}")});
    let with = |list: Vec<Value>| {
        again(&json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "components": list}))
    };
    assert!(with(vec![purl("debian-12"), purl("12.5")]).is_whole(Part::Packages));
    assert!(!with(vec![purl("debian-12"), purl("debian-11")]).is_whole(Part::Packages));
    let none = with(vec![json!({"type": "library", "name": "a", "purl": "pkg:deb/debian/a@1"})]);
    assert!(none.problems.iter().any(|p| p.kind == ProblemKind::UnknownDistro));
    assert_eq!(with(vec![purl("bookworm")]).distro.unwrap().codename, "bookworm");
}

#[test]
fn hostile_documents_end_in_an_error() {
    let deep = |depth: usize| {
        let (open, close) = (r#"{"components":["#.repeat(depth), "]}".repeat(depth));
        format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{open}{close}]}}"#)
    };
    assert!(read(deep(20).as_bytes()).is_ok());
    assert!(matches!(read(deep(50).as_bytes()), Err(SbomError::Limit(_))));
    assert!(read(deep(5000).as_bytes()).is_err());
    let many = format!(
        r#"{{"bomFormat":"CycloneDX","components":[{}{{}}]}}"#,
        "{},".repeat(COMPONENTS_MAX)
    );
    assert!(matches!(read(many.as_bytes()), Err(SbomError::Limit(_))));
    let many = format!(
        r#"{{"spdxVersion":"SPDX-2.3","packages":[{}{{}}]}}"#,
        "{},".repeat(COMPONENTS_MAX)
    );
    assert!(matches!(read(many.as_bytes()), Err(SbomError::Limit(_))));
    let many = "{},".repeat(70_000);
    let many =
        format!(r#"{{"bomFormat":"CycloneDX","components":[{{"properties":[{many}{{}}]}}]}}"#);
    assert!(read(many.as_bytes()).unwrap_err().to_string().contains("a list of more than"));
    for bad in [
        "",
        "{",
        "[]",
        "x",
        "{}",
        r#"{"bomFormat":"CycloneDX","components":[{"name":1}]}"#,
        r#"{"bomFormat":"CycloneDX","components":[{"purl":"pkg:npm/a@1","purl":"pkg:npm/b@1"}]}"#,
        r#"{"bomFormat":"CycloneDX","components":[],"components":[]}"#,
        r#"{"spdxVersion":"SPDX-2.3","packages":[],"packages":[]}"#,
        r#"{"@context":"https://spdx.org/rdf/3.0.1"}"#,
    ] {
        assert!(read(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(read(&[b'{', 0xff]).is_err());
}

#[test]
fn a_package_without_a_name_is_told() {
    let named_by_purl = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
        {"type": "library", "version": "1", "purl": "pkg:deb/debian/a@1", "properties": [{"name": "haechi:kind", "value": "deb"}]}
    ]});
    assert_eq!(again(&named_by_purl).packages.first().map(|p| p.name.as_str()), Some("a"));
    let nameless = json!({"spdxVersion": "SPDX-2.3", "creationInfo": {"creators": ["Tool: Claircore"]}, "packages": [
        {"SPDXID": "SPDXRef-a", "versionInfo": "1", "packageFileName": "bdb:var/lib/rpm", "filesAnalyzed": true, "primaryPackagePurpose": "APPLICATION"}
    ]});
    let scan = again(&nameless);
    assert!(scan.packages.is_empty() && !scan.is_whole(Part::Packages));
}

proptest::proptest! {
    #[test]
    fn any_bytes_end(bytes: Vec<u8>, purl in "pkg:[a-z]{1,6}/[ -~]{0,40}") {
        let _ = read(&bytes);
        let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"name": "n", "type": "library", "purl": purl}]});
        let scan = again(&document);
        // Whatever it is, it is a package or it is told.
        assert!(!scan.packages.is_empty() || !scan.is_whole(Part::Packages));
    }
}
