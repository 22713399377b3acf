//! Reads Syft's own JSON (<https://github.com/anchore/syft/tree/main/schema/json>), schemas 1 to 16.

use haechi_core::inventory::{Distro, Scan};
use serde::Deserialize;

use super::component::{Component, Few};
use super::intake::Intake;
use super::{COMPONENTS_MAX, SbomError};

#[derive(Deserialize)]
struct Document {
    artifacts: Artifacts,
    #[serde(default)]
    source: Source,
    #[serde(default)]
    distro: Release,
}

/// What Syft knows of `os-release`; older schemas have `name` and `version` only.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Release {
    id: String,
    name: String,
    version: String,
    #[serde(rename = "versionID")]
    version_id: String,
    #[serde(rename = "versionCodename")]
    codename: String,
    #[serde(rename = "prettyName")]
    pretty_name: String,
}

/// The image; newer schemas call `target` `metadata`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    name: String,
    target: Option<Target>,
    metadata: Option<Target>,
}

/// A folder is a text here; an image is an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Target {
    Image(Image),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Image {
    user_input: String,
    #[serde(rename = "imageID")]
    image_id: String,
    manifest_digest: String,
    tags: Option<Few<String>>,
    architecture: String,
    layers: Option<Few<Layer>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Layer {
    digest: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Artifact {
    name: String,
    version: String,
    #[serde(rename = "type")]
    kind: String,
    purl: String,
    locations: Option<Few<Location>>,
    licenses: Option<Few<License>>,
    cpes: Option<Few<Cpe>>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Location {
    path: String,
    #[serde(rename = "layerID")]
    layer: String,
}

/// A text in old schemas.
#[derive(Deserialize)]
#[serde(untagged)]
enum License {
    Text(String),
    Object { value: String },
}

/// A text in old schemas.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cpe {
    Text(String),
    Object { cpe: String },
}

/// What the package manager says besides; other kinds of packages have other shapes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Metadata {
    Known(Record),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Record {
    source: Option<String>,
    source_version: Option<String>,
    origin_package: Option<String>,
    source_rpm: Option<String>,
    maintainer: Option<String>,
    vendor: Option<String>,
    modularity_label: Option<String>,
}

/// The list of artifacts, each made a component at once.
struct Artifacts(Vec<Component>);

impl<'de> Deserialize<'de> for Artifacts {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> serde::de::Visitor<'de> for List {
            type Value = Artifacts;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list of artifacts")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Artifacts, A::Error> {
                let mut out = Vec::new();
                while let Some(artifact) = list.next_element::<Artifact>()? {
                    if out.len() >= COMPONENTS_MAX {
                        let limit = format!("more than {COMPONENTS_MAX} artifacts");
                        return Err(serde::de::Error::custom(limit));
                    }
                    out.push(component(artifact));
                }
                Ok(Artifacts(out))
            }
        }
        from.deserialize_seq(List)
    }
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Scan, SbomError> {
    let document: Document = serde_json::from_str(text)
        .map_err(|error| SbomError::Broken("Syft JSON", error.to_string()))?;
    let mut intake = Intake::default();
    let Source { name, target, metadata } = document.source;
    intake.subject_mut().reference = name;
    if let Some(Target::Image(image)) = metadata.or(target) {
        for layer in image.layers.unwrap_or_default() {
            intake.layer(&layer.digest);
        }
        let subject = intake.subject_mut();
        subject.reference = image.user_input;
        subject.id = image.image_id;
        subject.digest = image.manifest_digest;
        subject.tags = image.tags.unwrap_or_default().0;
        subject.architecture = image.architecture;
    }
    let Release { id, name, version, version_id, codename, pretty_name } = document.distro;
    let (id, name) = if id.is_empty() { (name, pretty_name) } else { (id, pretty_name) };
    let version = if version_id.is_empty() { version } else { version_id };
    if !id.is_empty() {
        intake.distribution(Distro { id, version, codename, name, like: Vec::new() });
    }
    for component in document.artifacts.0 {
        intake.count()?;
        intake.take(component);
    }
    Ok(intake.finish())
}

fn component(artifact: Artifact) -> Component {
    let mut component = Component {
        kind: "library".into(),
        name: artifact.name,
        version: artifact.version,
        purl: artifact.purl,
        ..Component::default()
    };
    if component.purl.is_empty() {
        component.property("syft:package:type".into(), artifact.kind);
    }
    if let Some(location) = artifact.locations.and_then(|list| list.into_iter().next()) {
        component.path = location.path;
        component.property("syft:location:0:layerID".into(), location.layer);
    }
    for license in artifact.licenses.unwrap_or_default() {
        component.license(match license {
            License::Text(text) | License::Object { value: text } => text,
        });
    }
    for cpe in artifact.cpes.unwrap_or_default() {
        component.cpe(match cpe {
            Cpe::Text(text) | Cpe::Object { cpe: text } => text,
        });
    }
    if let Some(Metadata::Known(record)) = artifact.metadata {
        component.vendor = record.vendor.or(record.maintainer).unwrap_or_default();
        for (name, value) in [
            ("syft:metadata:source", record.source),
            ("syft:metadata:sourceVersion", record.source_version),
            ("syft:metadata:originPackage", record.origin_package),
            ("syft:metadata:sourceRpm", record.source_rpm),
            ("syft:metadata:modularityLabel", record.modularity_label),
        ] {
            component.property(name.into(), value.unwrap_or_default());
        }
    }
    component
}
