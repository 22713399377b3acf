//! How a question's parts come in: which are in the path, which in the query or the body, and what kind they are.
//!
//! It is read from the question's own schema, so that a new question needs nothing here.

use std::collections::BTreeMap;

use haechi_protocol::{Refusal, Route};
use percent_encoding::percent_decode_str;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// What a part of a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Boolean,
    Text,
}

/// The parts of a question.
#[derive(Debug, Clone)]
pub struct Shape {
    kinds: BTreeMap<String, Kind>,
    in_path: Vec<&'static str>,
}

impl Shape {
    /// The shape of a row of the table.
    pub fn of(route: &Route) -> Self {
        let mut schemas = SchemaSettings::draft2020_12().into_generator();
        let _ = (route.question)(&mut schemas);
        let properties = schemas
            .definitions()
            .get(route.name)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object);
        let kinds = properties.into_iter().flatten();
        let kinds = kinds.map(|(name, schema)| (name.clone(), kind(schema))).collect();
        Self { kinds, in_path: route.in_path().collect() }
    }

    /// Whether a part comes outside the path.
    pub fn has_more_than_path(&self) -> bool {
        self.kinds.len() > self.in_path.len()
    }

    /// Reads parts from the path: names with values that are decoded already.
    ///
    /// # Errors
    /// A value is not of its part's kind.
    pub fn path<'a>(
        &self,
        values: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Map<String, Value>, Refusal> {
        values.map(|(name, value)| Ok((name.to_owned(), self.value(name, value)?))).collect()
    }

    /// Reads parts from a query.
    ///
    /// # Errors
    /// A part is there twice or is in the path, or its value is not UTF-8 or not of its kind.
    pub fn query(&self, query: &str, found: &mut Map<String, Value>) -> Result<(), Refusal> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).ok_or_else(|| Refusal::invalid("query", "not-utf8"))?;
            let short: String = name.chars().take(64).collect();
            if !self.kinds.contains_key(&name) || self.in_path.contains(&name.as_str()) {
                return Err(Refusal::invalid(&short, "unknown"));
            }
            let value = decoded(value).ok_or_else(|| Refusal::invalid(&short, "not-utf8"))?;
            let value = self.value(&name, &value)?;
            if found.insert(name, value).is_some() {
                return Err(Refusal::invalid(&short, "twice"));
            }
        }
        Ok(())
    }

    /// Takes parts from a body.
    ///
    /// # Errors
    /// A part is in the path, too.
    pub fn body(
        &self,
        body: Map<String, Value>,
        found: &mut Map<String, Value>,
    ) -> Result<(), Refusal> {
        for (name, value) in body {
            if self.in_path.contains(&name.as_str()) {
                return Err(Refusal::invalid(&name, "unknown"));
            }
            if has_nul(&value) {
                return Err(Refusal::invalid(&name, "control"));
            }
            found.insert(name, value);
        }
        Ok(())
    }

    fn value(&self, name: &str, text: &str) -> Result<Value, Refusal> {
        let wrong = || Refusal::invalid(name, "wrong");
        match self.kinds.get(name).copied().unwrap_or(Kind::Text) {
            Kind::Integer => text.parse::<i64>().map(Value::from).map_err(|_| wrong()),
            Kind::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| wrong()),
            Kind::Text if text.contains('\0') => Err(Refusal::invalid(name, "control")),
            Kind::Text => Ok(Value::from(text)),
        }
    }
}

fn kind(schema: &Value) -> Kind {
    let types = schema.get("type");
    let has = |name: &str| match types {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(some)) => some.iter().any(|one| one == name),
        _ => false,
    };
    if has("integer") {
        Kind::Integer
    } else if has("boolean") {
        Kind::Boolean
    } else {
        Kind::Text
    }
}

/// A part of a query (`application/x-www-form-urlencoded`), if it is UTF-8.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use haechi_protocol::{Act, Ask, ListAlerts, ListContainers};
    use serde_json::json;

    use super::*;

    fn query(ask: impl Into<Ask>, query: &str) -> Result<Value, Refusal> {
        let mut found = Map::new();
        Shape::of(ask.into().route()).query(query, &mut found)?;
        Ok(Value::Object(found))
    }

    #[test]
    fn parts_get_the_kind_that_they_have() {
        let read = query(ListContainers::default(), "running=true&text=a%20b+%ED%95%B4&limit=7");
        assert_eq!(read, Ok(json!({"running": true, "text": "a b 해", "limit": 7})));
        let read = query(ListAlerts::default(), "before=-1&priority=critical&&");
        assert_eq!(read, Ok(json!({"before": -1, "priority": "critical"})));
    }

    #[test]
    fn what_is_no_part_or_no_value_is_refused() {
        for (text, name, problem) in [
            ("runing=true", "runing", "unknown"),
            ("running=yes", "running", "wrong"),
            ("limit=1e3", "limit", "wrong"),
            ("limit=", "limit", "wrong"),
            ("limit=99999999999999999999", "limit", "wrong"),
            ("text=%00", "text", "control"),
            ("text=%ff", "text", "not-utf8"),
            ("%ff=1", "query", "not-utf8"),
            ("text=a&text=b", "text", "twice"),
        ] {
            let read = query(ListContainers::default(), text);
            assert_eq!(read, Err(Refusal::invalid(name, problem)), "{text}");
        }
    }

    #[test]
    fn a_part_of_the_path_comes_from_nowhere_else() {
        let shape = Shape::of(Ask::from(Act::default()).route());
        assert!(shape.has_more_than_path());
        let mut found = Map::new();
        assert!(shape.query("id=1", &mut found).is_err());
        let body = |value: Value| value.as_object().cloned().unwrap_or_default();
        assert!(shape.body(body(json!({"id": "1"})), &mut found).is_err());
        assert!(shape.body(body(json!({"reason": ["\0"]})), &mut found).is_err());
        assert!(shape.body(body(json!({"reason": "a"})), &mut found).is_ok());
    }
}
