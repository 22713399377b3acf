//! Tests of the policy.

use super::*;
use crate::finding::SubjectKind;

#[test]
fn the_template_is_the_defaults() {
    let loaded = Loaded::parse("policy.toml", TEMPLATE).expect("template is valid");
    assert_eq!(loaded.policy, Policy::default());
}

#[test]
fn errors_name_their_place() {
    let errors = Loaded::parse("p.toml", "[swarm]\nneeded = true\nmanager = 3\n").unwrap_err();
    assert!(
        errors[0].to_string().starts_with("p.toml:3:1: unknown field `manager`"),
        "{}",
        errors[0]
    );
    let errors = Loaded::parse("p.toml", "[limits]\ncontainers_max = \"many\"\n").unwrap_err();
    assert!(errors[0].to_string().starts_with("p.toml:2:18:"), "{}", errors[0]);
    let errors =
        Loaded::parse("p.toml", "[limits]\ncontainers_max = 0\n[swarm]\nmanagers_max = 1\n")
            .unwrap_err();
    assert_eq!(errors.len(), 2);
}

#[test]
fn keys_that_the_file_sets_are_not_defaults() {
    let loaded = Loaded::parse("p.toml", "[swarm]\nneeded = true\n").unwrap();
    assert!(!loaded.is_default("swarm.needed"));
    assert!(!loaded.is_default("swarm"));
    assert!(loaded.is_default("swarm.managers_max"));
    assert!(Loaded::defaults().is_default("swarm.needed"));
}

#[test]
fn patterns_match_in_linear_time() {
    assert!(matches_pattern("web-*", "web-1"));
    assert!(matches_pattern("*", ""));
    assert!(matches_pattern("웹?버", "웹서버"));
    assert!(!matches_pattern("web", "web-1"));
    assert!(!matches_pattern("a*b", "a-b-c"));
    assert!(!matches_pattern(&"*a".repeat(50), &"a".repeat(49)));
    assert!(!matches_pattern(&format!("{}b", "a*".repeat(30)), &"a".repeat(5000)));
}

#[test]
fn exceptions_end_on_their_day() {
    let toml = "[[exceptions]]\ncheck = \"c\"\nsubject = \"web*\"\nreason = \"r\"\nowner = \"o\"\nexpires = \"2026-12-31\"\n";
    let policy = Loaded::parse("p.toml", toml).unwrap().policy;
    let subject = Subject { kind: SubjectKind::Container, name: "web1".into(), id: "x".into() };
    let day = |d: &str| d.parse::<Date>().unwrap();
    assert!(policy.exception("c", &subject, day("2026-12-31")).is_some());
    assert!(policy.exception("c", &subject, day("2027-01-01")).is_none());
    assert!(policy.exception("d", &subject, day("2026-12-31")).is_none());
}
