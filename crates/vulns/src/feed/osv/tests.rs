//! Tests of the OSV format.

use proptest::prelude::*;

use super::*;
use crate::feed::testing::Basket;

fn one(json: &str) -> Basket {
    let mut basket = Basket::default();
    read(json.as_bytes(), "file.json", &mut basket).unwrap();
    basket
}

#[test]
fn an_advisory_of_a_language() {
    let basket = one(
        r#"{"id": "GHSA-1", "modified": "2030-01-01T00:00:00Z", "aliases": ["CVE-2030-1"], "related": ["CVE-2030-9"],
        "summary": "bad", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
        "database_specific": {"severity": "MODERATE", "cwe_ids": ["CWE-79"]},
        "affected": [{"package": {"ecosystem": "PyPI", "name": "A.b"}, "versions": ["1.0"],
          "ranges": [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]},
                     {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "1.5"}]}]},
          {"package": {"ecosystem": "npm", "name": "@x/y"},
           "ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"fixed": "1.2.0"}]}]}]}"#,
    );
    assert_eq!(basket.broken, []);
    let records = basket.records();
    let (ecosystem, name, py) = records[0];
    assert_eq!((ecosystem, name), ("PyPI", "A.b"));
    assert_eq!(py.ranges.len(), 1);
    assert_eq!(
        py.ranges[0].events,
        [Event::Introduced("0".into()), Event::LastAffected("1.5".into())]
    );
    assert_eq!((py.versions.as_slice(), py.feed.as_str()), (&["1.0".to_owned()][..], "osv/PyPI"));
    assert_eq!((py.aliases.as_slice(), py.covers.len()), (&["CVE-2030-1".to_owned()][..], 0));
    assert_eq!(py.rating, Some(Rating::Medium));
    assert_eq!(py.vectors, [("ghsa".to_owned(), "CVSS:3.1/AV:N".to_owned())]);
    assert!(records[1].2.ranges[0].semver);
    let Some(Item::Detail { bases, detail }) = basket.parcels[0].items.last() else {
        panic!("no detail")
    };
    assert_eq!(
        (bases.as_slice(), detail.cwes.as_slice()),
        (&["PyPI".to_owned(), "npm".to_owned()][..], &["CWE-79".to_owned()][..])
    );
}

#[test]
fn distributions_sum_up_or_rename() {
    let affected = |eco: &str| {
        format!(
            r#""affected": [{{"package": {{"ecosystem": "{eco}", "name": "p"}}, "versions": ["1", "2"],
            "ecosystem_specific": {{"rpm_modularity": "nodejs:18", "urgency": "end-of-life"}},
            "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "3"}}]}}]}}]"#
        )
    };
    let basket = one(&format!(
        r#"{{"id": "ALSA-1", "summary": "Important: p", "related": ["CVE-2030-1", "X"], {}}}"#,
        affected("AlmaLinux:9")
    ));
    let record = basket.records()[0].2;
    assert_eq!(
        (record.covers.as_slice(), record.aliases.len()),
        (&["CVE-2030-1".to_owned()][..], 0)
    );
    assert_eq!((record.module.as_str(), record.rating), ("nodejs:18", Some(Rating::High)));
    assert_eq!(record.versions.len(), 0);
    assert_eq!(record.statement, Statement::Affected(FixState::EndOfLife));
    let basket = one(&format!(
        r#"{{"id": "UBUNTU-CVE-2030-1", "upstream": ["CVE-2030-1"], "related": ["USN-1"], "withdrawn": "2030-01-01T00:00:00Z",
        "severity": [{{"type": "Ubuntu", "score": "low"}}], {}}}"#,
        affected("Ubuntu:22.04:LTS")
    ));
    let (ecosystem, _, record) = basket.records()[0];
    assert_eq!(ecosystem, "Ubuntu:22.04:LTS");
    assert_eq!(
        (record.aliases.as_slice(), record.covers.len()),
        (&["CVE-2030-1".to_owned()][..], 0)
    );
    assert_eq!((record.rating, record.withdrawn), (Some(Rating::Low), true));
}

#[test]
fn what_names_no_version_is_never_silently_nothing() {
    let package = r#""package": {"ecosystem": "npm", "name": "p"}"#;
    // A report of malice is about all versions.
    let basket = one(&format!(r#"{{"id": "MAL-1", "affected": [{{{package}}}]}}"#));
    let record = basket.records()[0].2;
    assert_eq!(record.ranges[0].events, [Event::Introduced("0".into())]);
    assert_eq!(record.rating, Some(Rating::Critical));
    for bad in [
        format!(r#"{{"id": "X-1", "affected": [{{{package}}}]}}"#),
        format!(
            r#"{{"id": "X-1", "affected": [{{{package}, "ranges": [{{"type": "NEW", "events": []}}]}}]}}"#
        ),
        format!(
            r#"{{"id": "X-1", "affected": [{{{package}, "ranges": [{{"type": "SEMVER", "events": [{{"since": "1"}}]}}]}}]}}"#
        ),
        r#"{"id": "X-1", "affected": [{"package": {"ecosystem": "npm"}}]}"#.to_owned(),
    ] {
        let basket = one(&bad);
        assert_eq!((basket.records().len(), basket.broken.len()), (0, 1), "{bad}");
        assert_eq!(basket.broken[0].0, "X-1");
    }
    let basket = one(r#"{"id": 5}"#);
    assert_eq!(basket.broken[0].0, "file.json");
    // About commits only: known by name.
    let basket = one(
        r#"{"id": "OSV-1", "affected": [{"package": {}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]}"#,
    );
    assert_eq!((basket.records().len(), basket.broken.len(), basket.parcels.len()), (0, 0, 1));
}

proptest! {
    #[test]
    fn no_reader_panics(at in 0_usize..2000, byte in any::<u8>(), cut in 0_usize..2000) {
        let samples: [&str; 5] = [
            r#"{"id":"X-1","modified":"2030","affected":[{"package":{"ecosystem":"npm","name":"p"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1"}]}]}]}"#,
            r#"{"zlib":{"CVE-2030-1":{"releases":{"bookworm":{"status":"resolved","fixed_version":"1","urgency":"low"}}}}}"#,
            r#"{"distroversion":"v3.20","packages":[{"pkg":{"name":"p","secfixes":{"1-r0":["CVE-2030-1 GHSA-1"]}}}]}"#,
            r#"{"totalResults":1,"vulnerabilities":[{"cveID":"CVE-2030-1","dateAdded":"2030-01-01","cve":{"id":"CVE-2030-1","configurations":[{"nodes":[{"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:b\\:c:d:1:p2:*:*:*:*:*:*"}]}]}]}}]}"#,
            "#model_version:v1,score_date:2030-01-01\ncve,epss,percentile\nCVE-2030-1,0.1,0.2\n",
        ];
        for sample in samples {
            let mut bytes = sample.as_bytes().to_vec();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(len - cut % len);
            let mut basket = Basket::default();
            let _ = super::super::shape::of(&bytes, std::io::empty());
            let _ = read(&bytes, "x", &mut basket);
            let _ = crate::feed::debian::read(bytes.as_slice(), &mut basket);
            if let Ok(owner) = crate::feed::secdb::owner(bytes.as_slice()) {
                let _ = crate::feed::secdb::read(bytes.as_slice(), &owner, &mut basket);
            }
            let _ = crate::feed::nvd::read(bytes.as_slice(), &mut basket);
            let _ = crate::feed::kev::read(bytes.as_slice(), &mut basket);
            let _ = crate::feed::epss::read(bytes.as_slice(), &mut basket);
        }
    }
}
