//! Reading an engine's answers field by field.
//!
//! An answer is foreign: fields may be missing, of another type, or negative. [`Reader`] gives a value only
//! if it is there and of the right type; everything else becomes an absent fact and a gap that names the
//! field. A missing field takes a default only where the caller says that the engine leaves it out on
//! purpose. It does not interpret values.

use haechi_core::finding::{Cause, SubjectKind};
use jiff::Timestamp;
use serde_json::Value;

use crate::gaps::Gaps;

/// What a missing or null field means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Absent<T> {
    /// The engine always says it; without it nothing is known.
    Unknown,
    /// The engine leaves it out if it has this value.
    Means(T),
}

/// An answer about one subject.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    value: &'a Value,
    gaps: &'a Gaps,
    kind: SubjectKind,
    id: &'a str,
}

impl<'a> Reader<'a> {
    /// Reads `value`, which describes the subject `id`.
    pub(super) fn new(value: &'a Value, gaps: &'a Gaps, kind: SubjectKind, id: &'a str) -> Self {
        Self { value, gaps, kind, id }
    }

    /// The value at a dotted path; `None` if it is missing or null.
    pub(super) fn at(&self, path: &str) -> Option<&'a Value> {
        at(self.value, path)
    }

    /// Records that `fact` is not known.
    pub(super) fn gap(&self, fact: &str, cause: Cause, detail: impl Into<String>) {
        self.gaps.record_for(self.kind, self.id, fact, cause, detail);
    }

    fn read<T>(
        &self,
        path: &str,
        fact: &str,
        absent: Absent<T>,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let Some(found) = self.at(path) else {
            if let Absent::Means(value) = absent {
                return Some(value);
            }
            self.gap(fact, Cause::Missing, format!("the engine's answer has no {path}"));
            return None;
        };
        let value = convert(found);
        if value.is_none() {
            self.gap(fact, Cause::Missing, format!("{path} in the engine's answer is malformed"));
        }
        value
    }

    /// Yes or no.
    pub(super) fn bool(&self, path: &str, fact: &str, absent: Absent<bool>) -> Option<bool> {
        self.read(path, fact, absent, Value::as_bool)
    }

    /// A whole number.
    pub(super) fn int(&self, path: &str, fact: &str, absent: Absent<i64>) -> Option<i64> {
        self.read(path, fact, absent, int)
    }

    /// A text.
    pub(super) fn text(&self, path: &str, fact: &str, absent: Absent<&str>) -> Option<String> {
        let absent = match absent {
            Absent::Unknown => Absent::Unknown,
            Absent::Means(text) => Absent::Means(text.to_owned()),
        };
        self.read(path, fact, absent, |value| value.as_str().map(str::to_owned))
    }

    /// A list of texts; a null or missing list is an empty one, as Go writes it.
    pub(super) fn texts(&self, path: &str, fact: &str) -> Option<Vec<String>> {
        self.read(path, fact, Absent::Means(Vec::new()), texts)
    }

    /// A list of any values; a null or missing list is an empty one.
    pub(super) fn list(&self, path: &str, fact: &str) -> Option<&'a [Value]> {
        self.read(path, fact, Absent::Means(&[]), |value| value.as_array().map(Vec::as_slice))
    }

    /// Names and values that are both text; a null or missing map is an empty one.
    pub(super) fn map(&self, path: &str, fact: &str) -> Option<Vec<(String, String)>> {
        self.read(path, fact, Absent::Means(Vec::new()), |value| {
            let pair = |(name, value): (&String, &Value)| {
                value.as_str().map(|value| (name.clone(), value.to_owned()))
            };
            value.as_object()?.iter().map(pair).collect()
        })
    }

    /// The names of a map; a null or missing map has none.
    pub(super) fn keys(&self, path: &str, fact: &str) -> Option<Vec<String>> {
        self.read(path, fact, Absent::Means(Vec::new()), |value| {
            let mut keys: Vec<String> = value.as_object()?.keys().cloned().collect();
            keys.sort();
            Some(keys)
        })
    }

    /// A time; `Some(None)` if the engine says that there is none.
    pub(super) fn time(&self, path: &str, fact: &str) -> Option<Option<Timestamp>> {
        self.read(path, fact, Absent::Means(None), |value| time(value.as_str()?))
    }
}

/// The value at a dotted path; `None` if it is missing or null.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// The text at a dotted path; empty if there is none.
pub(super) fn text_at<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number, also where an engine writes it as text or as `1e9`.
pub(super) fn int(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    // Podman writes unlimited as 2^64-1: the largest number that a fact can hold says the same.
    if value.as_u64().is_some() {
        return Some(i64::MAX);
    }
    let float = value.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked: whole and within the range of i64"
    )]
    (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64)
}

/// A list of texts; a single text is a list of one.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text.to_owned()]);
    }
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A time as the engine writes it; `Some(None)` for empty and for Go's zero time.
#[expect(
    clippy::option_option,
    reason = "no time and no understandable time are different answers"
)]
pub(super) fn time(text: &str) -> Option<Option<Timestamp>> {
    if text.is_empty() || text.starts_with("0001-01-01T") {
        return Some(None);
    }
    text.parse().ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_and_malformed_fields_become_gaps_and_not_values() {
        let gaps = Gaps::default();
        let value = json!({"A": {"B": true, "N": "x", "L": [1], "Nul": null}, "T": "2020-01-02T03:04:05+09:00"});
        let reader = Reader::new(&value, &gaps, SubjectKind::Container, "c1");
        assert_eq!(reader.bool("A.B", "b", Absent::Unknown), Some(true));
        assert_eq!(reader.bool("A.C", "c", Absent::Unknown), None);
        assert_eq!(reader.bool("A.C", "c", Absent::Means(false)), Some(false));
        assert_eq!(reader.int("A.N", "n", Absent::Means(0)), None);
        assert_eq!(reader.texts("A.L", "l"), None);
        assert_eq!(reader.texts("A.Nul", "nul"), Some(vec![]));
        assert_eq!(reader.time("T", "t").unwrap().unwrap().to_string(), "2020-01-01T18:04:05Z");
        assert_eq!(reader.time("Zero", "t"), Some(None));
        let gaps = gaps.into_sorted();
        let facts: Vec<_> = gaps.iter().map(|gap| gap.fact.as_str()).collect();
        assert_eq!(facts, ["c", "l", "n"]);
        assert!(gaps.iter().all(|gap| gap.id == "c1"));
    }

    #[test]
    fn numbers_out_of_range_are_not_wrapped() {
        assert_eq!(int(&json!(u64::MAX)), Some(i64::MAX));
        assert_eq!(int(&json!(-5)), Some(-5));
        assert_eq!(int(&json!(1e3)), Some(1000));
        assert_eq!(int(&json!(1.5)), None);
        assert_eq!(int(&json!(1e300)), None);
        assert_eq!(int(&json!("7")), None);
        assert_eq!(time("yesterday"), None);
        assert_eq!(time("0001-01-01T00:00:00Z"), Some(None));
    }
}
