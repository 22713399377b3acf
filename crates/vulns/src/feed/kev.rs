//! CISA's catalogue of known exploited vulnerabilities
//! (<https://www.cisa.gov/known-exploited-vulnerabilities-catalog>, JSON).

use std::io::Read;

use haechi_core::vulnerability::Exploited;
use serde_json::Value;

use super::{FeedError, Item, Parcel, Sink, json, keyable};

/// Name of the feed and of its source.
pub const NAME: &str = "kev";

/// Reads the catalogue.
///
/// # Errors
/// It is not JSON, has no entry, or the sink ends it.
pub fn read(input: impl Read, out: &mut dyn Sink) -> Result<(), FeedError> {
    let mut seen = 0_u64;
    let members = json::each_of_array(input, "vulnerabilities", &mut |entry| {
        seen += 1;
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let (cve, added) = (text("cveID"), text("dateAdded"));
        if !cve.starts_with("CVE-") || !keyable(cve) {
            out.broken(&format!("entry {seen}"), "no `cveID`");
            return Ok(());
        }
        let ransomware = text("knownRansomwareCampaignUse").eq_ignore_ascii_case("known");
        let item =
            Item::Exploited(cve.to_owned(), Exploited { added: added.to_owned(), ransomware });
        out.take(Parcel { id: cve.to_owned(), modified: added.to_owned(), items: vec![item] })
    })?;
    if let Some(date) = members.get("dateReleased").and_then(Value::as_str) {
        out.dated(date);
    }
    match members.get("count").and_then(Value::as_u64) {
        _ if seen == 0 => Err(FeedError::Shape("no entry in it".to_owned())),
        Some(count) if count != seen => {
            Err(FeedError::Shape(format!("says that it has {count} entries, and has {seen}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::testing::Basket;

    #[test]
    fn entries_are_read_and_a_broken_one_is_named() {
        let json = r#"{"dateReleased": "2030-01-02T03:04:05.6Z", "count": 3, "vulnerabilities": [
            {"cveID": "CVE-2030-1", "dateAdded": "2030-01-01", "knownRansomwareCampaignUse": "Known"},
            {"cveID": 5}, {"cveID": "CVE-2030-2", "dateAdded": "2030-01-02", "knownRansomwareCampaignUse": "Unknown"}]}"#;
        let mut basket = Basket::default();
        read(json.as_bytes(), &mut basket).unwrap();
        let first = Exploited { added: "2030-01-01".into(), ransomware: true };
        assert_eq!(basket.parcels[0].items, [Item::Exploited("CVE-2030-1".into(), first)]);
        assert_eq!(basket.parcels.len(), 2);
        assert_eq!(basket.broken[0].0, "entry 2");
        assert_eq!(basket.dates, ["2030-01-02T03:04:05.6Z"]);
    }

    #[test]
    fn a_catalogue_with_missing_entries_is_refused() {
        let one = r#"{"cveID": "CVE-2030-1", "dateAdded": "2030-01-01"}"#;
        let json = format!(r#"{{"count": 2, "vulnerabilities": [{one}]}}"#);
        assert!(read(json.as_bytes(), &mut Basket::default()).is_err());
        assert!(
            read(&br#"{"count": 0, "vulnerabilities": []}"#[..], &mut Basket::default()).is_err()
        );
    }
}
