//! Programs that no package owns, by NVD's ranges for products (CPE 2.3, NIST IR 7695).
//!
//! NVD's ranges are for upstream's versions. A match that holds only together with another product (an AND
//! configuration) cannot be decided here: it is kept as under investigation.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use haechi_core::vulnerability::FixState;

use super::range::Verdict;
use crate::advisory::{CpeRecord, Event, Range, Record, Statement};
use crate::version::{Scheme, Unreadable, compare};

/// Vendor and product of a CPE 2.3 name, and its version if it has one.
pub fn parse_cpe(cpe: &str) -> Option<(String, String, String)> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut escaped = false;
    // Escaped colons belong to a part; the escapes themselves do not.
    for c in cpe.strip_prefix("cpe:2.3:")?.chars() {
        match c {
            _ if escaped => {
                part.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            ':' => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
    }
    parts.push(part);
    let mut parts = parts.into_iter().skip(1);
    let (vendor, product) = (parts.next()?, parts.next()?);
    let version = parts.next().filter(|v| !matches!(v.as_str(), "*" | "-")).unwrap_or_default();
    (!vendor.is_empty() && !product.is_empty()).then_some((vendor, product, version))
}

/// NVD's ranges as records, one for each CVE, each with its verdict.
pub fn judge(found: &[CpeRecord], version: &str) -> Vec<(Record, Verdict)> {
    let mut by_cve: BTreeMap<&str, Vec<&CpeRecord>> = BTreeMap::new();
    for record in found {
        by_cve.entry(&record.id).or_default().push(record);
    }
    by_cve
        .into_iter()
        .map(|(id, criteria)| {
            let mut record =
                Record { id: id.to_owned(), feed: "nvd".to_owned(), ..Record::default() };
            let (mut sure, mut maybe, mut unreadable) = (false, false, None);
            for one in criteria {
                match holds(one, version) {
                    Ok(true) => {
                        sure |= !one.conditional;
                        maybe = true;
                        if one.start.is_none() && one.end.is_none() {
                            record.versions.push(version.to_owned());
                        } else {
                            record.ranges.push(range(one));
                        }
                    }
                    Ok(false) => {}
                    Err(error) => unreadable = Some(error.to_string()),
                }
            }
            let verdict = match unreadable {
                _ if maybe => Verdict::Affected,
                Some(why) => Verdict::Unreadable(why),
                None => Verdict::NotAffected,
            };
            if !sure {
                record.statement = Statement::Affected(FixState::UnderInvestigation);
            }
            (record, verdict)
        })
        .collect()
}

fn holds(one: &CpeRecord, version: &str) -> Result<bool, Unreadable> {
    let order = |other: &str| compare(Scheme::Generic, version, other);
    if !one.version.is_empty() && !matches!(one.version.as_str(), "*" | "-") {
        return Ok(order(&one.version)? == Ordering::Equal);
    }
    let after = match &one.start {
        None => true,
        Some((start, itself)) => match order(start)? {
            Ordering::Equal => *itself,
            other => other == Ordering::Greater,
        },
    };
    let before = match &one.end {
        None => true,
        Some((end, itself)) => match order(end)? {
            Ordering::Equal => *itself,
            other => other == Ordering::Less,
        },
    };
    Ok(after && before)
}

/// The same in events, for the fix: an exclusive end is the first version that is not affected.
fn range(one: &CpeRecord) -> Range {
    let mut events = vec![Event::Introduced(
        one.start.as_ref().map_or_else(|| "0".to_owned(), |(start, _)| start.clone()),
    )];
    match &one.end {
        Some((end, true)) => events.push(Event::LastAffected(end.clone())),
        Some((end, false)) => events.push(Event::Fixed(end.clone())),
        None => {}
    }
    Range { semver: false, events }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpe_names_are_split_with_their_escapes() {
        let parsed = parse_cpe(r"cpe:2.3:a:nodejs:node.js:18.0.0:*:*:*:*:*:*:*");
        assert_eq!(parsed, Some(("nodejs".into(), "node.js".into(), "18.0.0".into())));
        let parsed = parse_cpe(r"cpe:2.3:a:a\:b:c\+\+:*:*:*:*:*:*:*:*");
        assert_eq!(parsed, Some(("a:b".into(), "c++".into(), String::new())));
        assert_eq!(parse_cpe("cpe:/a:old:form"), None);
        assert_eq!(parse_cpe("cpe:2.3:a:only"), None);
    }
}
