//! Reads SPDX 2.2 and 2.3 JSON (<https://spdx.github.io/spdx-spec/v2.3/>), and joins the packages of either
//! serialisation by their relationships.
//!
//! Files and snippets are no packages and are skipped.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use haechi_core::inventory::{Package, ProblemKind, Scan, SourcePackage};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::component::{Component, Few};
use super::intake::{Intake, is_matched};
use super::{COMPONENTS_MAX, SbomError};

/// Most relationships that are kept; a package has about three.
const RELATIONSHIPS_MAX: usize = 4 * COMPONENTS_MAX;

/// Begins a comment in which Haechi states a package completely.
pub(super) const OWN_PACKAGE: &str = "haechi:package ";

/// Begins a comment in which Haechi states a fact about the scan as a whole (`haechi:tag=…`).
pub(super) const OWN_FACT: &str = "haechi:fact ";

/// A package of an SPDX document.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub id: String,
    pub component: Component,
    /// The package as Haechi stated it.
    pub own: Option<Box<Package>>,
    /// `sourceInfo`.
    pub source_info: String,
}

/// What is collected from a document.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub intake: Intake,
    pub elements: Vec<Element>,
    generated: Vec<(String, String)>,
    described: HashSet<String>,
    relationships: usize,
    limit: Option<SbomError>,
}

impl Collected {
    /// Takes a package.
    pub fn element(&mut self, element: Element) -> Result<(), SbomError> {
        self.intake.count()?;
        self.elements.push(element);
        Ok(())
    }

    /// Takes a relationship, if it is one that matters.
    pub fn relationship(&mut self, from: &str, kind: &str, to: &str) -> Result<(), SbomError> {
        match kind {
            "GENERATED_FROM" => self.generated.push((from.to_owned(), to.to_owned())),
            "GENERATES" => self.generated.push((to.to_owned(), from.to_owned())),
            "DESCRIBES" if from == "SPDXRef-DOCUMENT" => {
                self.described.insert(to.to_owned());
            }
            "DESCRIBED_BY" if to == "SPDXRef-DOCUMENT" => {
                self.described.insert(from.to_owned());
            }
            _ => return Ok(()),
        }
        self.relationships += 1;
        if self.relationships > RELATIONSHIPS_MAX {
            return Err(SbomError::Limit(format!("more than {RELATIONSHIPS_MAX} relationships")));
        }
        Ok(())
    }

    /// The scan.
    pub fn finish(mut self, version: &str) -> Scan {
        if !matches!(version, "SPDX-2.1" | "SPDX-2.2" | "SPDX-2.3") {
            let version: String = version.chars().take(40).collect();
            let detail = format!("the version {version:?} is unknown; it was read as SPDX-2.3");
            self.intake.problem(ProblemKind::Unsupported, detail);
        }
        // A package that others are built from, and that says it is source, is not installed itself.
        let origins: HashSet<&str> = self.generated.iter().map(|(_, to)| to.as_str()).collect();
        let sources: HashMap<String, SourcePackage> = self
            .elements
            .iter()
            .filter(|element| origins.contains(element.id.as_str()))
            .map(|Element { id, component, .. }| {
                let source = SourcePackage {
                    name: component.name.clone(),
                    version: component.version.clone(),
                };
                (id.clone(), source)
            })
            .collect();
        let mut taken = HashMap::new();
        for Element { id, mut component, own, source_info } in self.elements {
            if component.kind == "source" && sources.contains_key(&id) {
                continue;
            }
            let number = match own {
                Some(package) => Some(self.intake.own(*package)),
                None => {
                    // Several packages may be described, and then they are the content, not the container.
                    component.root = self.described.contains(&id) && !is_matched(&component.purl);
                    self.intake.take(component)
                }
            };
            if let Some(number) = number {
                if let Some(source) = trivy_source(&source_info) {
                    self.intake.built_from(number, source);
                }
                taken.insert(id, number);
            }
        }
        for (from, to) in &self.generated {
            if let (Some(number), Some(source)) = (taken.get(from), sources.get(to)) {
                self.intake.built_from(*number, source.clone());
            }
        }
        self.intake.finish()
    }
}

/// Trivy's words for the source package: `built package from: bash 4.2.46-31.el7`.
fn trivy_source(info: &str) -> Option<SourcePackage> {
    let (name, version) = info.strip_prefix("built package from: ")?.trim().split_once(' ')?;
    Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
}

/// `Organization: name (address)` without the word before.
pub(super) fn vendor(text: &str) -> String {
    let name = ["Organization: ", "Person: "]
        .iter()
        .find_map(|word| text.strip_prefix(word))
        .unwrap_or(text);
    if name == "NOASSERTION" { String::new() } else { name.to_owned() }
}

/// What a purpose or, in SPDX 2.2, the identifier says about the kind of a package.
pub(super) fn kind(purpose: &str, id: &str) -> String {
    match id {
        _ if !purpose.is_empty() => purpose.to_lowercase().replace('_', "-"),
        id if id.starts_with("SPDXRef-OperatingSystem-") => "operating-system".into(),
        id if id.starts_with("SPDXRef-ContainerImage-") => "container".into(),
        // Trivy's lock files and package databases, on which packages hang.
        id if id.starts_with("SPDXRef-Application-") => "file".into(),
        _ => String::new(),
    }
}

/// Takes an external reference (§7.21).
pub(super) fn reference(component: &mut Component, kind: &str, locator: String) {
    match kind {
        // The specification allows several; one that is matched is wanted.
        "purl" if component.purl.is_empty() || !is_matched(&component.purl) => {
            component.purl = locator
        }
        "cpe23Type" | "cpe22Type" => component.cpe(locator),
        // Clair says in these what os-release says.
        "did" => component.property("haechi:distro-id".into(), locator),
        "version_id" => component.property("syft:distro:versionID".into(), locator),
        "pretty_name" => component.property("haechi:distro-name".into(), locator),
        _ => {}
    }
}

/// Clair gives no purls, but the database that a package is from; and it lists repositories among packages.
fn clair(component: &mut Component, database: &str, summary: &str) {
    if component.kind == "other" && summary == "repository" {
        component.kind = "other-repository".into();
        return;
    }
    let path = ["bdb:", "sqlite:", "ndb:"].iter().find_map(|prefix| database.strip_prefix(prefix));
    let (kind, path) = match path {
        Some(path) if path.contains("rpm") => ("rpm", path),
        _ if database.ends_with("lib/apk/db/installed") => ("apk", database),
        _ if database.contains("var/lib/dpkg/status") => ("deb", database),
        _ => return,
    };
    component.property("haechi:kind".into(), kind.into());
    component.property("haechi:path".into(), path.into());
}

/// Takes a comment or attribution in which a tool states more.
pub(super) fn comment(element: &mut Element, text: &str) {
    if let Some(json) = text.strip_prefix(OWN_PACKAGE) {
        element.own = serde_json::from_str(json).ok();
    } else if let Some(fact) = text.strip_prefix(OWN_FACT) {
        if let Some((name, value)) = fact.split_once('=') {
            element.component.property(name.to_owned(), value.to_owned());
        }
    } else if let Some((name, value)) = text.split_once(": ")
        && matches!(
            name,
            "LayerDiffID" | "DiffID" | "ImageID" | "Class" | "Modularitylabel" | "FilePath"
        )
    {
        element.component.property(format!("aquasecurity:trivy:{name}"), value.to_owned());
    }
}

/// Reads a document.
pub(super) fn read(text: &str, version: &str) -> Result<Scan, SbomError> {
    let state = RefCell::new(Collected::default());
    let mut json = serde_json::Deserializer::from_str(text);
    let result = Document(&state).deserialize(&mut json).and_then(|()| json.end());
    let mut collected = state.into_inner();
    if let Some(limit) = collected.limit.take() {
        return Err(limit);
    }
    result.map_err(|error| SbomError::Broken("SPDX JSON", error.to_string()))?;
    Ok(collected.finish(version))
}

/// A package in JSON.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonPackage {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: Option<String>,
    supplier: Option<String>,
    license_declared: Option<String>,
    license_concluded: Option<String>,
    primary_package_purpose: Option<String>,
    source_info: Option<String>,
    package_file_name: Option<String>,
    summary: Option<String>,
    external_refs: Option<Few<JsonReference>>,
    annotations: Option<Few<JsonAnnotation>>,
    attribution_texts: Option<Few<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonReference {
    reference_type: String,
    reference_locator: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonAnnotation {
    comment: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonRelationship {
    spdx_element_id: String,
    related_spdx_element: String,
    relationship_type: String,
}

impl From<JsonPackage> for Element {
    fn from(json: JsonPackage) -> Self {
        let mut component = Component {
            kind: kind(&json.primary_package_purpose.unwrap_or_default(), &json.id),
            name: json.name,
            version: json.version_info.unwrap_or_default(),
            vendor: vendor(&json.supplier.unwrap_or_default()),
            ..Component::default()
        };
        let stated =
            |license: Option<String>| license.filter(|l| l != "NOASSERTION").unwrap_or_default();
        let declared = stated(json.license_declared);
        component.license(if declared.is_empty() {
            stated(json.license_concluded)
        } else {
            declared
        });
        for JsonReference { reference_type, reference_locator } in
            json.external_refs.unwrap_or_default()
        {
            reference(&mut component, &reference_type, reference_locator);
        }
        if component.purl.is_empty() && component.kind != "source" {
            clair(
                &mut component,
                &json.package_file_name.unwrap_or_default(),
                &json.summary.unwrap_or_default(),
            );
        }
        let mut element = Self {
            id: json.id,
            component,
            own: None,
            source_info: json.source_info.unwrap_or_default(),
        };
        let comments = json.annotations.unwrap_or_default().into_iter().map(|a| a.comment);
        for text in comments.chain(json.attribution_texts.unwrap_or_default()) {
            comment(&mut element, &text);
        }
        element
    }
}

/// The document.
struct Document<'s>(&'s RefCell<Collected>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an SPDX document")
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut packages, mut relationships) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "packages" => std::mem::replace(&mut packages, true),
                "relationships" => std::mem::replace(&mut relationships, true),
                _ => false,
            };
            if twice {
                return Err(Error::custom(format!("the key {key:?} comes twice")));
            }
            match key.as_str() {
                "packages" => map.next_value_seed(Each(self.0, |state, json: JsonPackage| {
                    state.element(json.into())
                }))?,
                "relationships" => {
                    map.next_value_seed(Each(self.0, |state, json: JsonRelationship| {
                        state.relationship(
                            &json.spdx_element_id,
                            &json.relationship_type,
                            &json.related_spdx_element,
                        )
                    }))?
                }
                "documentDescribes" => map.next_value_seed(Each(self.0, |state, id: String| {
                    state.relationship("SPDXRef-DOCUMENT", "DESCRIBES", &id)
                }))?,
                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A list of which each element is taken at once.
struct Each<'s, T>(&'s RefCell<Collected>, fn(&mut Collected, T) -> Result<(), SbomError>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Each<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<'_, T> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<T>()? {
            let mut state = self.0.borrow_mut();
            if let Err(limit) = (self.1)(&mut state, element) {
                let error = Error::custom(limit.to_string());
                state.limit = Some(limit);
                return Err(error);
            }
        }
        Ok(())
    }
}
