//! Reads CycloneDX JSON (<https://cyclonedx.org/docs/1.6/json/>), component by component, nested ones too.
//!
//! Nothing of a component is kept but what a package needs. A key that comes twice is an error, because programs
//! differ in which of the two they take.

use std::cell::RefCell;
use std::fmt;

use haechi_core::inventory::{ProblemKind, Scan};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::component::{Component, Few};
use super::intake::Intake;
use super::{DEPTH_MAX, SbomError};

/// Versions whose components are all read alike; 1.7 added nothing to what is read.
const VERSIONS: [&str; 7] = ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Scan, SbomError> {
    let state = RefCell::new(State::default());
    let mut json = serde_json::Deserializer::from_str(text);
    let result = Document(&state).deserialize(&mut json).and_then(|()| json.end());
    let State { mut intake, limit, version, incomplete } = state.into_inner();
    if let Some(limit) = limit {
        return Err(limit);
    }
    result.map_err(|error| SbomError::Broken("CycloneDX JSON", error.to_string()))?;
    check(&mut intake, &version, incomplete);
    Ok(intake.finish())
}

/// What the document says of itself.
pub(super) fn check(intake: &mut Intake, version: &str, incomplete: bool) {
    if !VERSIONS.contains(&version) {
        let version: String = version.chars().take(40).collect();
        let detail = format!("CycloneDX version {version:?} is unknown; it was read as 1.6");
        intake.problem(ProblemKind::Unsupported, detail);
    }
    if incomplete && !intake.is_doubtful() {
        let detail = "the document says that it is incomplete (compositions)".to_owned();
        intake.problem(ProblemKind::Absent, detail);
    }
}

/// What is collected on the way. Visitors share it, because serde hands none through.
#[derive(Default)]
struct State {
    intake: Intake,
    limit: Option<SbomError>,
    version: String,
    incomplete: bool,
}

/// A text; `null` is none.
#[derive(Default)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<String>::deserialize(from)?.unwrap_or_default()))
    }
}

/// An element of `compositions`.
#[derive(Deserialize)]
struct Composition {
    #[serde(default)]
    aggregate: Text,
}

/// A named object.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Text,
}

/// An element of `properties`.
#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    value: Text,
}

/// An element of `licenses`.
#[derive(Deserialize)]
struct Choice {
    license: Option<License>,
    #[serde(default)]
    expression: Text,
}

#[derive(Deserialize)]
struct License {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    name: Text,
}

/// `evidence`.
#[derive(Deserialize)]
struct Evidence {
    occurrences: Option<Few<Occurrence>>,
}

#[derive(Deserialize)]
struct Occurrence {
    #[serde(default)]
    location: Text,
}

/// Refuses a key that came before.
fn once<E: Error>(seen: &mut Vec<String>, key: &str) -> Result<(), E> {
    if seen.iter().any(|known| known == key) {
        return Err(E::custom(format!("the key {key:?} comes twice")));
    }
    seen.push(key.to_owned());
    Ok(())
}

/// The document.
struct Document<'s>(&'s RefCell<State>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a CycloneDX document")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "specVersion" | "metadata" | "components" | "compositions" => {
                    once(&mut seen, &key)?
                }
                _ => {}
            }
            match key.as_str() {
                "specVersion" => self.0.borrow_mut().version = map.next_value::<Text>()?.0,
                "metadata" => map.next_value_seed(Metadata(self.0))?,
                "components" => map.next_value_seed(List { state: self.0, depth: 0 })?,
                "compositions" => {
                    let all = map.next_value::<Option<Few<Composition>>>()?.unwrap_or_default();
                    self.0.borrow_mut().incomplete =
                        all.0.iter().any(|c| c.aggregate.0.starts_with("incomplete"));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// `metadata`: only the component that the document is about.
struct Metadata<'s>(&'s RefCell<State>);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("metadata")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "component" {
                once(&mut seen, &key)?;
                map.next_value_seed(One { state: self.0, depth: 0, root: true })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A list of components; `null` is an empty one.
struct List<'s> {
    state: &'s RefCell<State>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of components")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(One { state: self.state, depth: self.depth, root: false })?
            .is_some()
        {}
        Ok(())
    }
}

/// One component.
struct One<'s> {
    state: &'s RefCell<State>,
    depth: usize,
    root: bool,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a component")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut counted = if self.root { Ok(()) } else { self.state.borrow_mut().intake.count() };
        if self.depth > DEPTH_MAX {
            counted = Err(SbomError::Limit(format!("components nested deeper than {DEPTH_MAX}")));
        }
        if let Err(limit) = counted {
            let error = Error::custom(limit.to_string());
            self.state.borrow_mut().limit = Some(limit);
            return Err(error);
        }
        let mut component = Component { root: self.root, ..Component::default() };
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let key = key.as_str();
            match key {
                "type" | "name" | "group" | "version" | "purl" | "cpe" | "publisher"
                | "supplier" | "licenses" | "evidence" | "properties" | "components" => {
                    once(&mut seen, key)?
                }
                _ => {}
            }
            let mut text = || map.next_value::<Text>().map(|text| text.0);
            match key {
                "type" => component.kind = text()?,
                "name" => component.name = text()?,
                "group" => component.group = text()?,
                "version" => component.version = text()?,
                "purl" => component.purl = text()?,
                "cpe" => component.cpe(text()?),
                "publisher" => {
                    let publisher = text()?;
                    if component.vendor.is_empty() {
                        component.vendor = publisher;
                    }
                }
                "supplier" => {
                    if let Some(supplier) = map.next_value::<Option<Named>>()? {
                        component.vendor = supplier.name.0;
                    }
                }
                "licenses" => {
                    for choice in map.next_value::<Option<Few<Choice>>>()?.unwrap_or_default() {
                        component.license(choice.expression.0);
                        if let Some(License { id, name }) = choice.license {
                            component.license(if id.0.is_empty() { name.0 } else { id.0 });
                        }
                    }
                }
                "evidence" => {
                    let evidence = map.next_value::<Option<Evidence>>()?;
                    let first = evidence
                        .and_then(|e| e.occurrences)
                        .and_then(|list| list.into_iter().next());
                    component.path =
                        first.map(|occurrence| occurrence.location.0).unwrap_or_default();
                }
                "properties" => {
                    for property in map.next_value::<Option<Few<Property>>>()?.unwrap_or_default() {
                        component.property(property.name.0, property.value.0);
                    }
                }
                "components" => {
                    map.next_value_seed(List { state: self.state, depth: self.depth + 1 })?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.state.borrow_mut().intake.take(component);
        Ok(())
    }
}
