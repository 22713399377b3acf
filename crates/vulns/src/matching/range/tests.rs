//! Tests of range evaluation.

use super::*;

fn range(events: Vec<Event>) -> Range {
    Range { semver: false, events }
}

fn on(at: &str) -> Event {
    Event::Introduced(at.to_owned())
}

fn off(at: &str) -> Event {
    Event::Fixed(at.to_owned())
}

fn last(at: &str) -> Event {
    Event::LastAffected(at.to_owned())
}

fn record(ranges: Vec<Range>) -> Record {
    Record { id: "X-1".to_owned(), ranges, ..Record::default() }
}

fn affected(record: &Record, version: &str) -> bool {
    judge(record, Scheme::Semver, version) == Verdict::Affected
}

#[test]
fn events_switch_in_the_order_of_versions_not_of_the_feed() {
    let record = record(vec![range(vec![off("1.2.0"), on("2.0.0"), on("0"), last("2.3.0")])]);
    for (version, expected) in [
        ("0.0.1", true),
        ("1.1.9", true),
        ("1.2.0", false),
        ("1.9.0", false),
        ("2.0.0", true),
        ("2.3.0", true),
        ("2.3.1", false),
    ] {
        assert_eq!(affected(&record, version), expected, "{version}");
    }
}

#[test]
fn a_single_affected_version_and_an_empty_range() {
    let one = record(vec![range(vec![on("1.0.0"), last("1.0.0")])]);
    assert!(affected(&one, "1.0.0") && !affected(&one, "1.0.1") && !affected(&one, "0.9.0"));
    let none = record(vec![range(vec![on("0"), off("0")])]);
    assert!(!affected(&none, "1.0.0"));
}

#[test]
fn limits_end_a_range() {
    let limit = |at: &str| Event::Limit(at.to_owned());
    let record = record(vec![range(vec![on("0"), limit("2.0.0"), limit("3.0.0")])]);
    assert!(affected(&record, "2.5.0"), "below one of the limits is enough");
    assert!(!affected(&record, "3.0.0"));
    let endless = self::record(vec![range(vec![on("0"), limit("*")])]);
    assert!(affected(&endless, "99.0.0"));
}

#[test]
fn an_unreadable_version_is_never_unaffected() {
    let bad = record(vec![range(vec![on("1.0"), off("not a version")])]);
    assert!(matches!(judge(&bad, Scheme::Pep440, "1.5"), Verdict::Unreadable(_)));
    let good = range(vec![on("0"), off("2.0")]);
    let both = record(vec![range(vec![on("1.0"), off("not a version")]), good]);
    assert_eq!(judge(&both, Scheme::Pep440, "1.5"), Verdict::Affected);
    assert!(matches!(judge(&both, Scheme::Pep440, "3"), Verdict::Unreadable(_)));
    let installed = record(vec![range(vec![on("1.0"), off("2.0")])]);
    for (scheme, version) in
        [(Scheme::Pep440, "nightly!"), (Scheme::Semver, "(devel)"), (Scheme::Semver, "unknown")]
    {
        let verdict = judge(&installed, scheme, version);
        assert!(matches!(verdict, Verdict::Unreadable(_)), "{version}: {verdict:?}");
    }
}

#[test]
fn listed_versions_count_in_any_spelling() {
    let listed =
        Record { versions: vec!["1.0".to_owned(), "odd!".to_owned()], ..Record::default() };
    assert_eq!(judge(&listed, Scheme::Pep440, "1.0.0"), Verdict::Affected);
    assert_eq!(judge(&listed, Scheme::Pep440, "odd!"), Verdict::Affected);
    assert_eq!(judge(&listed, Scheme::Pep440, "1.1"), Verdict::NotAffected);
}

#[test]
fn statements_and_empty_records() {
    let mut record = Record::default();
    assert!(matches!(judge(&record, Scheme::Deb, "1"), Verdict::Unreadable(_)));
    record.statement = Statement::Affected(haechi_core::vulnerability::FixState::WillNotFix);
    assert_eq!(judge(&record, Scheme::Deb, "1"), Verdict::Affected);
    record.statement = Statement::NotAffected;
    record.ranges = vec![range(vec![on("0")])];
    assert_eq!(judge(&record, Scheme::Deb, "1"), Verdict::NotAffected);
    record.statement = Statement::None;
    record.withdrawn = true;
    assert_eq!(judge(&record, Scheme::Deb, "1"), Verdict::NotAffected);
    // Without `introduced` it begins at 0.
    let open = self::record(vec![range(vec![off("2.0.0")])]);
    assert!(affected(&open, "1.0.0") && !affected(&open, "2.0.0"));
}

#[test]
fn the_fix_is_the_least_that_every_record_accepts() {
    let a =
        record(vec![range(vec![on("0"), off("1.5.0")]), range(vec![on("2.0.0"), off("2.5.0")])]);
    let fixed = |records: &[&Record], version| fix(records, Scheme::Semver, version);
    assert_eq!(fixed(&[&a], "1.0.0").as_deref(), Some("1.5.0"));
    assert_eq!(fixed(&[&a], "2.1.0").as_deref(), Some("2.5.0"));
    let b = record(vec![range(vec![on("0"), off("1.7.0")])]);
    assert_eq!(fixed(&[&a, &b], "1.0.0").as_deref(), Some("1.7.0"));
    let never = record(vec![range(vec![on("0")])]);
    assert_eq!(fixed(&[&never], "1.0.0"), None);
    assert_eq!(fixed(&[&a, &never], "1.0.0").as_deref(), Some("1.5.0"));
}
