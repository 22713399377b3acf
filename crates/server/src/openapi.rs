//! The API's document (OpenAPI 3.1), made from the table of questions and the types of their answers.
#![expect(clippy::indexing_slicing, reason = "parts of objects that are made here")]

use std::collections::BTreeMap;

use haechi_protocol::{Me, Method, Route, routes};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::in_query;
use crate::problem::{MEDIA_TYPE, Problem};
use crate::{metrics, visitor};

/// Where definitions are in the document.
const SCHEMAS: &str = "/components/schemas";

/// The document.
pub fn document() -> Value {
    let settings =
        |settings: &mut SchemaSettings| settings.definitions_path = format!("{SCHEMAS}/").into();
    let asked = SchemaSettings::draft2020_12().with(settings).into_generator();
    let told = SchemaSettings::draft2020_12().for_serialize().with(settings).into_generator();
    let mut book = Book { asked, told };
    let problem = book.told.subschema_for::<Problem>().to_value();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes() {
        let path = paths.entry(route.path).or_default();
        path.insert(route.method.name().to_lowercase(), book.operation(route));
    }
    for (path, operation) in book.others() {
        paths.entry(path).or_default().insert("get".to_owned(), operation);
    }
    let (mut asked, mut told) = (book.asked, book.told);
    let mut schemas = told.take_definitions(true);
    // A question is written out where it is asked: its parts come in different places.
    let questions: Vec<_> = routes().iter().map(|route| route.name).collect();
    for (name, schema) in asked.take_definitions(true) {
        if !questions.contains(&name.as_str()) {
            schemas.entry(name).or_insert(schema);
        }
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Haechi",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Is this container environment safe?",
            "description": "All that the dashboard shows and does. A browser's session changes something only with \
                the token that GET /api/v1/session tells; programs use an API token.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "Why there is no answer.",
                    "content": {MEDIA_TYPE: {"schema": problem}},
                },
            },
            "securitySchemes": {
                "session": {
                    "type": "apiKey", "in": "cookie", "name": visitor::COOKIE_NAME,
                    "description": "A browser's session: POST /api/v1/session opens it.",
                },
                "csrf": {
                    "type": "apiKey", "in": "header", "name": "X-Haechi-CSRF",
                    "description": "The session's token against forged requests.",
                },
                "token": {"type": "http", "scheme": "bearer", "description": "An API token."},
            },
        },
    })
}

/// Generators of schemas: what is asked may leave out what has a default, what is told has all.
struct Book {
    asked: SchemaGenerator,
    told: SchemaGenerator,
}

impl Book {
    fn operation(&mut self, route: &Route) -> Value {
        let _ = (route.question)(&mut self.asked);
        let question = self.asked.definitions().get(route.name).cloned().unwrap_or_default();
        let in_path: Vec<_> = route.in_path().collect();
        let (parameters, body) = parts(&question, &in_path, in_query(route.method));
        let about = route.about.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut operation = json!({
            "operationId": route.name,
            "summary": about,
            "tags": [route.path.split('/').nth(3).unwrap_or_default()],
            "security": security(route),
            "responses": self.responses(route),
        });
        if let Some(role) = route.role {
            operation["description"] = json!(format!("Needs the role `{}`.", role.name()));
            operation["x-role"] = json!(role.name());
        }
        if !parameters.is_empty() {
            operation["parameters"] = Value::Array(parameters);
        }
        if let Some(schema) = body {
            operation["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        operation
    }

    fn responses(&mut self, route: &Route) -> Value {
        let opens = route.name == "Login";
        let answer = match opens {
            // The secret is in the cookie alone.
            true => self.told.subschema_for::<Me>(),
            false => (route.answer)(&mut self.told),
        };
        let mut done = json!({
            "description": "The answer.",
            "content": {"application/json": {"schema": answer.to_value()}},
        });
        if opens || route.name == "Logout" {
            done["headers"] = json!({"Set-Cookie": {"schema": {"type": "string"}}});
        }
        let refusals = [400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 503];
        let conflict = route.method.changes().then_some(409);
        responses(done, refusals.into_iter().chain(conflict))
    }

    /// Ways that are no questions.
    fn others(&mut self) -> [(&'static str, Value); 4] {
        let get = |name: &str, about: &str, security: Value, content: Value, refusals: &[u16]| {
            let done = json!({"description": "The answer.", "content": content});
            let all = [405, 408, 413, 421, 503].iter().chain(refusals).copied();
            json!({
                "operationId": name,
                "summary": about,
                "tags": ["server"],
                "security": security,
                "responses": responses(done, all),
            })
        };
        let login = json!([{"session": []}, {"token": []}]);
        let mut health = get(
            "Health",
            "Says whether the desk answers.",
            json!([]),
            json!({"text/plain": {"schema": {"type": "string", "const": "ok\n"}}}),
            &[],
        );
        health["responses"]["503"] = json!({
            "description": "The desk does not answer, or there is too much to do.",
            "content": {
                "text/plain": {"schema": {"type": "string", "const": "degraded\n"}},
                MEDIA_TYPE: {"schema": {"$ref": format!("#{SCHEMAS}/Problem")}},
            },
        });
        let mut stream = get(
            "Stream",
            "Tells news as they come (server-sent events).",
            login.clone(),
            json!({"text/event-stream": {"schema": {"type": "string"}}}),
            &[401, 403, 422, 429],
        );
        stream["parameters"] = json!([
            {
                "name": "after", "in": "query", "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
                "description": "The place to go on from, as GET /api/v1/news tells it.",
            },
            {
                "name": "Last-Event-ID", "in": "header",
                "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
                "description": "The same; a browser that comes back sends it.",
            },
        ]);
        [
            ("/healthz", health),
            ("/events/stream", stream),
            (
                "/metrics",
                get(
                    "Metrics",
                    "Counts, for Prometheus.",
                    login.clone(),
                    json!({metrics::MEDIA_TYPE: {"schema": {"type": "string"}}}),
                    &[401, 403, 429],
                ),
            ),
            (
                "/api/v1/openapi.json",
                get(
                    "Document",
                    "This document.",
                    login,
                    json!({"application/json": {"schema": {"type": "object"}}}),
                    &[401, 403, 429],
                ),
            ),
        ]
    }
}

fn responses(done: Value, refusals: impl Iterator<Item = u16>) -> Value {
    let problem = || json!({"$ref": "#/components/responses/Problem"});
    let mut all: Map<String, Value> =
        refusals.map(|status| (status.to_string(), problem())).collect();
    all.insert("200".to_owned(), done);
    all.sort_keys();
    Value::Object(all)
}

fn security(route: &Route) -> Value {
    match (route.role, route.method) {
        (None, _) => json!([]),
        (Some(_), Method::Get) => json!([{"session": []}, {"token": []}]),
        (Some(_), _) => json!([{"session": [], "csrf": []}, {"token": []}]),
    }
}

/// Parameters, and the schema of the body if there is one.
fn parts(question: &Value, in_path: &[&str], in_query: bool) -> (Vec<Value>, Option<Value>) {
    let required: Vec<&str> = question
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut parameters = Vec::new();
    let mut body = Map::new();
    for (name, schema) in
        question.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let place = match in_path.contains(&name.as_str()) {
            true => "path",
            false if in_query => "query",
            false => {
                body.insert(name.clone(), schema.clone());
                continue;
            }
        };
        let mut schema = schema.clone();
        let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        parameters.push(json!({
            "name": name,
            "in": place,
            "required": place == "path" || required.contains(&name.as_str()),
            "description": about.unwrap_or_default(),
            "schema": not_null(schema),
        }));
    }
    if body.is_empty() {
        return (parameters, None);
    }
    let required: Vec<_> = required.into_iter().filter(|name| body.contains_key(*name)).collect();
    let schema = json!({
        "type": "object",
        "properties": body,
        "required": required,
        "additionalProperties": false,
    });
    (parameters, Some(schema))
}

/// The same without `null`, which no path and no query can say: what is not given is left out.
fn not_null(mut schema: Value) -> Value {
    let is_null = |one: &Value| one == "null" || one.get("type").is_some_and(|kind| kind == "null");
    let Some(map) = schema.as_object_mut() else {
        return schema;
    };
    for word in ["type", "anyOf", "enum"] {
        if let Some(Value::Array(some)) = map.get_mut(word) {
            some.retain(|one| !is_null(one) && !one.is_null());
            if let ("type" | "anyOf", [one]) = (word, some.as_slice()) {
                let one = one.clone();
                map.remove(word);
                match one {
                    Value::Object(only) => map.extend(only),
                    kind => drop(map.insert("type".to_owned(), kind)),
                }
            }
        }
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
    schema
}

#[cfg(test)]
mod tests {
    use haechi_protocol::{DAYS_MAX, LIMIT_MAX, PASSWORD_MAX, PASSWORD_MIN, TEXT_MAX, TEXT_MIN};

    use super::*;

    #[test]
    fn what_is_asked_and_told_by_the_same_name_is_the_same() {
        let (mut asked, mut told) = (
            SchemaSettings::draft2020_12().into_generator(),
            SchemaSettings::draft2020_12().for_serialize().into_generator(),
        );
        for route in routes() {
            let _ = (route.question)(&mut asked);
            let _ = (route.answer)(&mut told);
        }
        for (name, schema) in asked.definitions() {
            if let Some(other) = told.definitions().get(name) {
                assert_eq!(schema, other, "{name}");
            }
        }
    }

    #[test]
    fn the_document_says_what_is_too_little_and_too_much() {
        let document = document();
        let mut said = BTreeMap::new();
        for operation in document["paths"].as_object().unwrap().values().flat_map(|path| {
            path.as_object().unwrap().values().filter(|one| one["operationId"] != "Stream")
        }) {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let body = body["properties"].as_object().into_iter().flatten();
            let query = operation["parameters"].as_array().into_iter().flatten();
            let query = query.map(|one| (one["name"].as_str().unwrap(), &one["schema"]));
            for (name, schema) in body.map(|(name, schema)| (name.as_str(), schema)).chain(query) {
                let says = |word: &str| schema.get(word).and_then(Value::as_u64);
                let bounds = match name {
                    "limit" | "before" | "days" => (says("minimum"), says("maximum")),
                    _ => (says("minLength"), says("maxLength")),
                };
                let name = match (name, operation["operationId"].as_str()) {
                    ("text", Some("Search")) => "sought",
                    _ => name,
                };
                let before = said.insert(name, bounds).unwrap_or(bounds);
                assert_eq!(before, bounds, "{name} is not the same everywhere");
            }
        }
        let letters = |count: usize| u64::try_from(count).ok();
        for (name, bounds) in [
            ("limit", (Some(1), Some(LIMIT_MAX.into()))),
            ("before", (Some(1), None)),
            ("after", (Some(1), None)),
            ("text", (None, letters(TEXT_MAX))),
            ("sought", (letters(TEXT_MIN), letters(TEXT_MAX))),
            ("password", (Some(1), None)),
            ("old", (Some(1), None)),
            ("new", (letters(PASSWORD_MIN), letters(PASSWORD_MAX))),
            ("days", (Some(1), Some(DAYS_MAX.into()))),
        ] {
            assert_eq!(said.get(name), Some(&bounds), "{name}");
        }
    }

    #[test]
    fn the_limits_of_the_document_are_those_that_the_desk_checks() {
        let desk = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../desk/src");
        let range = |name: &str, of: &str, from: usize, to: usize| {
            format!("const {name}: std::ops::RangeInclusive<{of}> = {from}..={to};")
        };
        for (file, line) in [
            ("search.rs", format!("const TEXT_MIN: usize = {TEXT_MIN};")),
            ("containers.rs", format!("const TEXT_MAX: usize = {TEXT_MAX};")),
            ("checklist.rs", format!("const TEXT_MAX: usize = {TEXT_MAX};")),
            ("accounts/password.rs", range("LENGTH", "usize", PASSWORD_MIN, PASSWORD_MAX)),
            ("accounts/tokens.rs", range("DAYS", "u16", 1, DAYS_MAX.into())),
        ] {
            let text = std::fs::read_to_string(desk.join(file)).unwrap();
            assert!(text.contains(&line), "{file} does not have: {line}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Array(some) => some.iter().for_each(|one| walk(one, found)),
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        found.push(to.clone());
                    }
                    map.values().for_each(|one| walk(one, found));
                }
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        walk(&document, &mut found);
        assert!(found.len() > 100);
        for to in found {
            assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
        }
    }
}
