//! The rule of all facts: what is absent has a gap that says why.

use haechi_core::facts::{Gap, Snapshot};
use serde_json::Value;

/// Facts that are absent without a gap that says why: there must be none.
pub(super) fn unexplained(snapshot: &Snapshot) -> Vec<String> {
    let schema = serde_json::to_value(schemars::schema_for!(Snapshot)).unwrap();
    let value = serde_json::to_value(snapshot).unwrap();
    let mut missing = Vec::new();
    let lists = [
        ("container", "containers", "id"),
        ("image", "images", "id"),
        ("network", "networks", "id"),
        ("volume", "volumes", "name"),
        ("service", "services", "id"),
    ];
    for (kind, list, key) in lists {
        let shape = &schema["$defs"][capitalised(kind)];
        match value[list].as_array() {
            None => {
                if !is_explained(&snapshot.gaps, kind, "", "") {
                    missing.push(list.to_owned());
                }
            }
            Some(items) => {
                for item in items {
                    let id = item[key].as_str().unwrap_or_default();
                    walk(&schema, shape, item, &snapshot.gaps, (kind, id), "", &mut missing);
                }
            }
        }
    }
    for kind in ["engine", "swarm"] {
        let shape = &schema["$defs"][capitalised(kind)];
        walk(&schema, shape, &value[kind], &snapshot.gaps, (kind, ""), "", &mut missing);
    }
    missing
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

fn is_explained(gaps: &[Gap], kind: &str, id: &str, fact: &str) -> bool {
    gaps.iter().any(|gap| {
        gap.kind.name() == kind
            && (gap.id == id || gap.id.is_empty())
            && (gap.fact.is_empty()
                || gap.fact == fact
                || fact.starts_with(&format!("{}.", gap.fact)))
    })
}

fn walk(
    schema: &Value,
    shape: &Value,
    value: &Value,
    gaps: &[Gap],
    subject: (&str, &str),
    path: &str,
    missing: &mut Vec<String>,
) {
    let shape = resolve(schema, shape);
    for (name, field) in shape["properties"].as_object().into_iter().flatten() {
        let fact = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // Filled by the monitor, a look at the registry, the image module and the vulnerability database.
        let others = [
            "execs",
            "alerts",
            "lost",
            "watches",
            "behaviour",
            "registry_digest",
            "scan",
            "vulnerabilities",
            "supported",
        ];
        if others.contains(&name.as_str()) {
            continue;
        }
        let Some(found) = value.get(name).filter(|found| !found.is_null()) else {
            if !is_explained(gaps, subject.0, subject.1, &fact) {
                missing.push(format!("{} {}: {fact}", subject.0, subject.1));
            }
            continue;
        };
        let field = resolve(schema, field);
        match found {
            Value::Object(_) => walk(schema, &field, found, gaps, subject, &fact, missing),
            Value::Array(items) => {
                for item in items {
                    walk(schema, &field["items"], item, gaps, subject, &fact, missing);
                }
            }
            _ => {}
        }
    }
}

/// Follows references and takes the non-null part of an optional field.
fn resolve(schema: &Value, shape: &Value) -> Value {
    if let Some(name) = shape["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return schema["$defs"][name].clone();
    }
    let parts = shape["anyOf"].as_array().or_else(|| shape["allOf"].as_array());
    match parts.and_then(|parts| parts.iter().find(|part| part["type"] != "null")) {
        Some(part) => resolve(schema, part),
        None => shape.clone(),
    }
}
