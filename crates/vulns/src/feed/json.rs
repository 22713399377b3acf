//! Large JSON documents, one member at a time.
//!
//! serde_json refuses nesting deeper than 128, so a member is bounded by its own length only, and that by the input's.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::FeedError;

/// Calls `each` for every element of the array `wanted` of the document, and returns its other members if they are
/// short (no arrays, no objects).
///
/// # Errors
/// It is not JSON or no object; or the error of `each`, which ends the reading.
pub fn each_of_array(
    input: impl Read,
    wanted: &str,
    each: &mut dyn FnMut(Value) -> Result<(), FeedError>,
) -> Result<Map<String, Value>, FeedError> {
    let mut failure = None;
    let mut rest = Map::new();
    let visitor = Document { wanted, each, failure: &mut failure, rest: &mut rest };
    let mut de =
        serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(1 << 16, input));
    let done = de.deserialize_map(visitor).and_then(|()| de.end());
    match (failure, done) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Ok(rest),
    }
}

/// Calls `each` for every member of the document.
///
/// # Errors
/// It is not JSON or no object; or the error of `each`, which ends the reading.
pub fn each_member(
    input: impl Read,
    each: &mut dyn FnMut(String, Value) -> Result<(), FeedError>,
) -> Result<(), FeedError> {
    let mut failure = None;
    let mut de =
        serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(1 << 16, input));
    let done = de.deserialize_map(Members { each, failure: &mut failure }).and_then(|()| de.end());
    match (failure, done) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Ok(()),
    }
}

struct Document<'a> {
    wanted: &'a str,
    each: &'a mut dyn FnMut(Value) -> Result<(), FeedError>,
    failure: &'a mut Option<FeedError>,
    rest: &'a mut Map<String, Value>,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", self.wanted)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == self.wanted {
                map.next_value_seed(Elements { each: self.each, failure: self.failure })?;
            } else if self.rest.len() < 100 {
                let value: Short = map.next_value()?;
                if let Some(value) = value.0 {
                    self.rest.insert(key, value);
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A value that is kept only if it is no array and no object.
struct Short(Option<Value>);

impl<'de> serde::Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ShortVisitor)
    }
}

struct ShortVisitor;

impl<'de> Visitor<'de> for ShortVisitor {
    type Value = Short;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Short, E> {
        Ok(Short(Some(Value::from(v))))
    }
    fn visit_bool<E: Error>(self, v: bool) -> Result<Short, E> {
        Ok(Short(Some(Value::from(v))))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Short, E> {
        Ok(Short(Some(Value::from(v))))
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Short, E> {
        Ok(Short(Some(Value::from(v))))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Short, E> {
        Ok(Short(Some(Value::from(v))))
    }
    fn visit_unit<E: Error>(self) -> Result<Short, E> {
        Ok(Short(None))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Short, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Short(None))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Short, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Short(None))
    }
}

struct Elements<'a> {
    each: &'a mut dyn FnMut(Value) -> Result<(), FeedError>,
    failure: &'a mut Option<FeedError>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<Value>()? {
            if let Err(error) = (self.each)(value) {
                *self.failure = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct Members<'a> {
    each: &'a mut dyn FnMut(String, Value) -> Result<(), FeedError>,
    failure: &'a mut Option<FeedError>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if let Err(error) = (self.each)(key, value) {
                *self.failure = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
