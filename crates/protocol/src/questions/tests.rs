//! Tests of the table.

use std::collections::BTreeSet;

use super::*;
use crate::Refusal;

#[test]
fn no_two_questions_share_a_way_and_each_part_of_a_path_is_a_field() {
    let mut ways = BTreeSet::new();
    for route in routes() {
        assert!(ways.insert((route.method, route.path)), "{}", route.path);
        let mut schemas = schemars::SchemaGenerator::default();
        let _ = (route.question)(&mut schemas);
        let all = serde_json::to_value(schemas.definitions()).unwrap();
        for part in route.in_path() {
            let pointer = format!("/{}/properties/{part}", route.name);
            assert!(all.pointer(&pointer).is_some(), "{}: {part}", route.path);
        }
    }
}

#[test]
fn what_changes_something_needs_an_operator_except_for_what_is_ones_own() {
    let own = ["Login", "Logout", "ChangePassword", "AddToken", "RemoveToken"];
    for route in routes() {
        if route.method.changes() && !own.contains(&route.name) {
            assert!(route.role >= Some(Role::Operator), "{}", route.name);
        }
        assert_eq!(route.role.is_none(), route.name == "Login", "{}", route.name);
    }
}

#[test]
fn unknown_parts_are_refused() {
    let route = Ask::from(Overview::default()).route();
    assert!((route.read)(serde_json::json!({"benchmark": "x"})).is_ok());
    let unknown = (route.read)(serde_json::json!({"benchmarks": "x"}));
    assert_eq!(unknown, Err(Refusal::invalid("benchmarks", "unknown")));
    let wrong = (route.read)(serde_json::json!({"benchmark": 1}));
    assert_eq!(wrong, Err(Refusal::invalid("benchmark", "wrong")));
    let missing = (Ask::from(Login::default()).route().read)(serde_json::json!({"name": ""}));
    assert_eq!(missing, Err(Refusal::invalid("password", "missing")));
}
