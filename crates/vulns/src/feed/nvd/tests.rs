//! Tests of NVD's format.

use super::*;
use crate::feed::testing::Basket;

const PAGE: &str = r#"{"totalResults": 2, "timestamp": "2030-01-05T00:00:00.000", "vulnerabilities": [{"cve": {
    "id": "CVE-2030-1", "published": "2030-01-01T00:00:00.000", "lastModified": "2030-01-02T00:00:00.000",
    "vulnStatus": "Analyzed",
    "descriptions": [{"lang": "es", "value": "mal"}, {"lang": "en", "value": "bad"}],
    "metrics": {"cvssMetricV31": [{"source": "nvd@nist.gov", "cvssData": {"vectorString": "CVSS:3.1/AV:N"}}],
                "cvssMetricV2": [{"source": "someone@example.org", "cvssData": {"vectorString": "AV:N/AC:L"}}]},
    "weaknesses": [{"description": [{"lang": "en", "value": "CWE-79"}, {"lang": "en", "value": "NVD-CWE-noinfo"}]}],
    "references": [{"url": "https://example.org/1"}],
    "configurations": [
      {"nodes": [{"operator": "OR", "negate": false, "cpeMatch": [
        {"vulnerable": true, "criteria": "cpe:2.3:a:a\\:b:tool:*:*:*:*:*:*:*:*", "versionStartIncluding": "1.0", "versionEndExcluding": "1.5"},
        {"vulnerable": true, "criteria": "cpe:2.3:a:a:ssh:7.2:p2:*:*:*:*:*:*"},
        {"vulnerable": false, "criteria": "cpe:2.3:a:a:safe:1:*:*:*:*:*:*:*"},
        {"vulnerable": true, "criteria": "cpe:2.3:o:a:os:1:*:*:*:*:*:*:*"},
        {"vulnerable": true, "criteria": "nonsense"}]}]},
      {"operator": "AND", "nodes": [
        {"operator": "OR", "cpeMatch": [{"vulnerable": true, "criteria": "cpe:2.3:a:a:pair:*:*:*:*:*:*:*:*", "versionEndIncluding": "2"}]},
        {"operator": "OR", "cpeMatch": [{"vulnerable": false, "criteria": "cpe:2.3:o:a:os:-:*:*:*:*:*:*:*"}]}]}]}},
  {"cve": {"id": "CVE-2030-2", "vulnStatus": "Rejected", "lastModified": "2030-01-03T00:00:00.000"}}, {"x": 1}]}"#;

#[test]
fn a_page_becomes_details_and_products() {
    let mut basket = Basket::default();
    let page = read(PAGE.as_bytes(), &mut basket).unwrap();
    assert_eq!(page, Page { entries: 3, total: 2 });
    let items = &basket.parcels[0].items;
    let Item::Product(tool) = &items[0] else { panic!("{items:?}") };
    assert_eq!(
        (tool.vendor.as_str(), tool.product.as_str(), tool.version.as_str()),
        ("a:b", "tool", "")
    );
    assert_eq!(tool.start, Some(("1.0".into(), true)));
    assert_eq!(tool.end, Some(("1.5".into(), false)));
    assert!(!tool.conditional);
    let Item::Product(ssh) = &items[1] else { panic!("{items:?}") };
    assert_eq!(ssh.version, "7.2p2");
    let Item::Product(pair) = &items[2] else { panic!("{items:?}") };
    assert_eq!((pair.product.as_str(), pair.conditional), ("pair", true));
    assert_eq!(pair.end, Some(("2".into(), true)));
    let Item::Detail { detail, .. } = &items[3] else { panic!("{items:?}") };
    assert_eq!(detail.description, "bad");
    assert_eq!(detail.cwes, ["CWE-79"]);
    assert!(detail.vectors.contains(&("nvd".into(), "CVSS:3.1/AV:N".into())));
    assert!(detail.vectors.contains(&("cna".into(), "AV:N/AC:L".into())));
    let Item::Detail { detail, .. } = &basket.parcels[1].items[0] else { panic!("no detail") };
    assert!(detail.rejected);
    assert_eq!(basket.broken.len(), 2, "{:?}", basket.broken);
    assert!(basket.dates.contains(&"2030-01-05T00:00:00.000".to_owned()));
}

#[test]
fn an_empty_page_must_say_so() {
    assert!(read(&br#"{"vulnerabilities": []}"#[..], &mut Basket::default()).is_err());
    assert!(
        read(&br#"{"totalResults": 0, "vulnerabilities": []}"#[..], &mut Basket::default()).is_ok()
    );
}
