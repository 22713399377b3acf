//! Debian's security tracker (<https://security-tracker.debian.org/tracker/data/json>).
//!
//! `{source package: {CVE: {releases: {codename: {status, fixed_version, urgency, nodsa_reason}}}}}`. Packages are
//! source packages. Its ecosystems are those of OSV (`Debian:12`); sid is `Debian:unstable`.

use std::collections::BTreeSet;
use std::io::Read;

use haechi_core::vulnerability::{FixState, Rating};
use serde_json::Value;

use super::{FeedError, Item, Parcel, Sink, json, keyable, rating, shorten};
use crate::advisory::{Detail, Event, Range, Record, Statement};

/// Name of the feed and of its source.
pub const NAME: &str = "debian-tracker";

/// Releases by codename (<https://www.debian.org/releases/>), numbered as OSV does.
const RELEASES: &[(&str, &str)] = &[
    ("sid", "unstable"),
    ("duke", "15"),
    ("forky", "14"),
    ("trixie", "13"),
    ("bookworm", "12"),
    ("bullseye", "11"),
    ("buster", "10"),
    ("stretch", "9"),
    ("jessie", "8"),
    ("wheezy", "7"),
    ("squeeze", "6.0"),
    ("lenny", "5.0"),
    ("etch", "4.0"),
    ("sarge", "3.1"),
    ("woody", "3.0"),
    ("potato", "2.2"),
    ("slink", "2.1"),
    ("hamm", "2.0"),
    ("bo", "1.3"),
    ("rex", "1.2"),
    ("buzz", "1.1"),
];

/// Reads the tracker's JSON.
///
/// # Errors
/// It is not JSON, holds nothing, or the sink ends it.
pub fn read(input: impl Read, out: &mut dyn Sink) -> Result<(), FeedError> {
    let mut unknown = BTreeSet::new();
    let mut packages = 0_u64;
    json::each_member(input, &mut |package, entries| {
        packages += 1;
        let Value::Object(entries) = entries else {
            out.broken(&package, "no object");
            return Ok(());
        };
        for (id, entry) in entries {
            one(&package, &id, &entry, &mut unknown, out)?;
        }
        Ok(())
    })?;
    if packages == 0 {
        return Err(FeedError::Shape("no package in it".to_owned()));
    }
    Ok(())
}

fn one(
    package: &str,
    id: &str,
    entry: &Value,
    unknown: &mut BTreeSet<String>,
    out: &mut dyn Sink,
) -> Result<(), FeedError> {
    if !keyable(package) || !keyable(id) {
        out.broken(id, "a name that cannot be kept");
        return Ok(());
    }
    let Some(releases) = entry.get("releases").and_then(Value::as_object) else {
        out.broken(&format!("{package} {id}"), "no `releases`");
        return Ok(());
    };
    let mut items = Vec::new();
    for (codename, said) in releases {
        let Some((_, number)) = RELEASES.iter().find(|(name, _)| name == codename) else {
            // Once for each name: a new release would else drown all other notes.
            if unknown.len() < 100 && unknown.insert(codename.clone()) {
                out.broken(&format!("{package} {id}"), &format!("unknown release `{codename}`"));
            }
            continue;
        };
        match release(id, said) {
            Ok(record) => items.push(Item::Record {
                ecosystem: format!("Debian:{number}"),
                name: package.to_owned(),
                record: Box::new(record),
            }),
            Err(why) => out.broken(&format!("{package} {id} {codename}"), &why),
        }
    }
    let detail = Detail {
        id: id.to_owned(),
        description: shorten(entry.get("description").and_then(Value::as_str).unwrap_or_default()),
        urls: vec![format!("https://security-tracker.debian.org/tracker/{id}")],
        ..Detail::default()
    };
    items.push(Item::Detail { bases: Vec::new(), detail: Box::new(detail) });
    out.take(Parcel { id: id.to_owned(), modified: String::new(), items })
}

fn release(id: &str, said: &Value) -> Result<Record, String> {
    let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
    let urgency = text("urgency");
    let mut events = vec![Event::Introduced("0".to_owned())];
    let statement = match text("status") {
        "resolved" => match text("fixed_version") {
            "" => return Err("resolved without a version".to_owned()),
            "0" => Statement::NotAffected,
            version => {
                events.push(Event::Fixed(version.to_owned()));
                Statement::None
            }
        },
        "open" => Statement::Affected(match (urgency, text("nodsa_reason")) {
            ("end-of-life", _) => FixState::EndOfLife,
            (_, "ignored") => FixState::WillNotFix,
            (_, "postponed") => FixState::Deferred,
            _ => FixState::Affected,
        }),
        "undetermined" => Statement::Affected(FixState::UnderInvestigation),
        other => return Err(format!("unknown status `{other}`")),
    };
    let ranges = match statement {
        Statement::NotAffected => Vec::new(),
        _ => vec![Range { semver: false, events }],
    };
    let rating = rating(urgency);
    Ok(Record {
        id: id.to_owned(),
        feed: NAME.to_owned(),
        ranges,
        statement,
        rating: rating.filter(|r| *r > Rating::Unknown),
        ..Record::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::testing::Basket;

    fn records(json: &str) -> Basket {
        let mut basket = Basket::default();
        read(json.as_bytes(), &mut basket).unwrap();
        basket
    }

    #[test]
    fn each_state_is_what_the_tracker_means() {
        let basket = records(
            r#"{"zlib": {"CVE-2030-1": {"description": "d", "releases": {
                "bookworm": {"status": "resolved", "fixed_version": "1:1.2-3", "urgency": "medium**"},
                "bullseye": {"status": "resolved", "fixed_version": "0", "urgency": "low"},
                "sid": {"status": "open", "urgency": "unimportant"},
                "buster": {"status": "open", "urgency": "end-of-life"},
                "trixie": {"status": "open", "nodsa_reason": "ignored", "urgency": "not yet assigned"},
                "forky": {"status": "open", "nodsa_reason": "postponed"},
                "stretch": {"status": "undetermined"}}}}}"#,
        );
        assert_eq!(basket.broken, []);
        let of = |eco: &str| basket.records().into_iter().find(|r| r.0 == eco).unwrap().2.clone();
        let open = vec![Event::Introduced("0".into())];
        let fixed = vec![Event::Introduced("0".into()), Event::Fixed("1:1.2-3".into())];
        assert_eq!(of("Debian:12").ranges[0].events, fixed);
        assert_eq!(of("Debian:12").rating, Some(Rating::Medium));
        assert_eq!(of("Debian:11").statement, Statement::NotAffected);
        assert_eq!(of("Debian:11").ranges, []);
        assert_eq!(of("Debian:unstable").statement, Statement::Affected(FixState::Affected));
        assert_eq!(of("Debian:unstable").rating, Some(Rating::Negligible));
        assert_eq!(of("Debian:10").statement, Statement::Affected(FixState::EndOfLife));
        assert_eq!(of("Debian:13").statement, Statement::Affected(FixState::WillNotFix));
        assert_eq!(of("Debian:13").rating, None);
        assert_eq!(of("Debian:14").statement, Statement::Affected(FixState::Deferred));
        assert_eq!(of("Debian:9").statement, Statement::Affected(FixState::UnderInvestigation));
        assert_eq!(of("Debian:9").ranges[0].events, open);
    }

    #[test]
    fn what_is_not_understood_is_named_and_the_rest_is_kept() {
        let basket = records(
            r#"{"a": {"CVE-2030-1": {"releases": {"bookworm": {"status": "perhaps"},
                                                   "marsian": {"status": "open"},
                                                   "sid": {"status": "open"}}},
                      "CVE-2030-2": {"releases": {"marsian": {"status": "open"}}},
                      "CVE-2030-3": 7}, "b": []}"#,
        );
        assert_eq!(basket.records().len(), 1);
        let names: Vec<&str> = basket.broken.iter().map(|b| b.0.as_str()).collect();
        assert_eq!(names.len(), 4, "{:?}", basket.broken);
        assert!(
            names.contains(&"a CVE-2030-1 bookworm")
                && names.contains(&"a CVE-2030-3")
                && names.contains(&"b")
        );
    }

    #[test]
    fn a_cut_file_and_an_empty_one_are_errors() {
        for bad in [r#"{"a": {"CVE-2030-1": {"releases": {"#, "{}", "[]"] {
            assert!(read(bad.as_bytes(), &mut Basket::default()).is_err(), "{bad}");
        }
    }
}
