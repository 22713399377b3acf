//! Reads CycloneDX XML (<https://cyclonedx.org/docs/1.6/xml/>). No entities but the predefined ones, no DTD.
//!
//! Only what lies in `bom`, `metadata`, `components` and `component` is a component of the subject: tools,
//! pedigrees and services are not.

use haechi_core::inventory::Scan;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::component::Component;
use super::intake::Intake;
use super::{DEPTH_MAX, SbomError};

/// Deepest nesting of elements: each nested component takes two, and its own content six.
const ELEMENTS_MAX: usize = 2 * DEPTH_MAX + 16;

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Scan, SbomError> {
    let mut reader = Reader::from_str(text);
    let mut walk = Walk::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| broken(format!("byte {}: {error}", reader.error_position())))?;
        let done = match event {
            Event::Start(element) => walk.start(&element),
            Event::Empty(element) => walk.start(&element).and_then(|()| walk.end()),
            Event::End(_) => walk.end(),
            Event::Text(part) => {
                walk.text.push_str(&part.xml10_content());
                Ok(())
            }
            Event::CData(part) => {
                walk.text.push_str(&part.xml10_content());
                Ok(())
            }
            Event::GeneralRef(name) => walk.reference(&name),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => Ok(()),
        };
        done.map_err(|error| match error {
            SbomError::Broken(format, why) => {
                SbomError::Broken(format, format!("byte {}: {why}", reader.buffer_position()))
            }
            other => other,
        })?;
    }
    if let Some(open) = walk.path.last() {
        return Err(broken(format!("it ends inside <{open}>")));
    }
    let Some(version) = walk.version else {
        return Err(SbomError::Unknown("it is XML without <bom>".into()));
    };
    super::cyclonedx_json::check(&mut walk.intake, &version, walk.incomplete);
    Ok(walk.intake.finish())
}

fn broken(why: String) -> SbomError {
    SbomError::Broken("CycloneDX XML", why)
}

/// Where the reader is.
#[derive(Default)]
struct Walk {
    path: Vec<String>,
    text: String,
    /// Components that are open, each with the depth at which it began.
    open: Vec<(usize, Component)>,
    /// The name of the property that is open.
    property: String,
    version: Option<String>,
    incomplete: bool,
    intake: Intake,
}

impl Walk {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), SbomError> {
        if self.path.len() >= ELEMENTS_MAX {
            return Err(SbomError::Limit(format!("deeper than {ELEMENTS_MAX} elements")));
        }
        let local = element.local_name();
        let name: &str = local.as_ref();
        self.text.clear();
        if self.path.is_empty() {
            if name != "bom" {
                return Err(SbomError::Unknown(format!("its first element is <{name}>")));
            }
            let space = attribute(element, "xmlns")?;
            let space = if space.is_empty() { prefixed(element)? } else { space };
            self.version = Some(space.rsplit('/').next().unwrap_or_default().to_owned());
        }
        let parent = self.path.last().map(String::as_str).unwrap_or_default();
        if name == "component" && self.is_subject() && matches!(parent, "components" | "metadata") {
            let root = parent == "metadata";
            if !root {
                self.intake.count()?;
            }
            let kind = attribute(element, "type")?;
            let component = Component { root, kind, ..Component::default() };
            self.open.push((self.path.len(), component));
        }
        if name == "property" {
            self.property = attribute(element, "name")?;
        }
        self.path.push(name.to_owned());
        Ok(())
    }

    /// Whether the place is in the tree of components, not in a tool or a pedigree.
    fn is_subject(&self) -> bool {
        self.path
            .iter()
            .all(|name| matches!(name.as_str(), "bom" | "metadata" | "components" | "component"))
    }

    fn end(&mut self) -> Result<(), SbomError> {
        let value = std::mem::take(&mut self.text);
        let value = value.trim();
        if let Some((depth, component)) = self.open.last_mut() {
            let inner: Vec<&str> = self.path.iter().skip(*depth + 1).map(String::as_str).collect();
            match inner.as_slice() {
                ["name"] => set(&mut component.name, "name", value)?,
                ["group"] => set(&mut component.group, "group", value)?,
                ["version"] => set(&mut component.version, "version", value)?,
                ["purl"] => set(&mut component.purl, "purl", value)?,
                ["cpe"] => component.cpe(value.to_owned()),
                ["publisher"] if component.vendor.is_empty() => component.vendor = value.to_owned(),
                ["supplier", "name"] => component.vendor = value.to_owned(),
                ["licenses", "expression"] | ["licenses", "license", "id" | "name"] => {
                    component.license(value.to_owned());
                }
                ["properties", "property"] => {
                    component.property(std::mem::take(&mut self.property), value.to_owned());
                }
                ["evidence", "occurrences", "occurrence", "location"]
                    if component.path.is_empty() =>
                {
                    component.path = value.to_owned();
                }
                _ => {}
            }
        } else if self.path.last().is_some_and(|name| name == "aggregate")
            && value.starts_with("incomplete")
        {
            self.incomplete = true;
        }
        self.path.pop();
        if self.open.last().is_some_and(|(depth, _)| *depth == self.path.len())
            && let Some((_, component)) = self.open.pop()
        {
            self.intake.take(component);
        }
        Ok(())
    }

    /// `&amp;` and numbered characters; a document's own entities are refused.
    fn reference(&mut self, name: &quick_xml::events::BytesRef<'_>) -> Result<(), SbomError> {
        if let Some(c) = name.resolve_char_ref().map_err(|error| broken(error.to_string()))? {
            self.text.push(c);
            return Ok(());
        }
        let name = name.xml10_content();
        let text = quick_xml::escape::resolve_predefined_entity(&name)
            .ok_or_else(|| broken(format!("the entity &{name}; is not defined")))?;
        self.text.push_str(text);
        Ok(())
    }
}

/// Sets a field that may be there once.
fn set(field: &mut String, name: &str, value: &str) -> Result<(), SbomError> {
    if !field.is_empty() {
        return Err(broken(format!("<{name}> comes twice in one component")));
    }
    value.clone_into(field);
    Ok(())
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<String, SbomError> {
    // Looking for attributes that occur twice would take quadratic time.
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| broken(error.to_string()))?;
        let key: &str = attribute.key.as_ref();
        if key == name {
            return attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map(std::borrow::Cow::into_owned)
                .map_err(|error| broken(error.to_string()));
        }
    }
    Ok(String::new())
}

/// The namespace of an element with a prefix (`<cdx:bom xmlns:cdx="…">`).
fn prefixed(element: &BytesStart<'_>) -> Result<String, SbomError> {
    let name = element.name();
    let name: &str = name.as_ref();
    match name.split_once(':') {
        Some((prefix, _)) => attribute(element, &format!("xmlns:{prefix}")),
        None => Ok(String::new()),
    }
}
