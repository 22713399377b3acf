//! Writes CycloneDX 1.6 JSON (<https://cyclonedx.org/docs/1.6/json/>).
//!
//! What the format has no field for is in properties that begin with `haechi:`, from which [`super::read`] makes the
//! same packages again. What kept the scan from being whole is stated, so that a document of half an image never
//! reads like one of a whole. Files of packages, secrets and malware are not in it.

use std::collections::{HashMap, HashSet};

use haechi_core::inventory::{Distro, Package, PackageKind, Part, Scan};
use haechi_core::vulnerability::Assessment;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{licenses, vulnerabilities};

/// The reference of the image in its document.
pub(super) const ROOT: &str = "haechi:image";

/// Writes a scan, and what is known to be wrong with its packages if that was looked up.
///
/// The same arguments give the same bytes; the serial number is made from the content.
pub fn cyclonedx(scan: &Scan, assessment: Option<&Assessment>, now: jiff::Timestamp) -> Value {
    let refs = references(&scan.packages);
    let mut components: Vec<Value> =
        scan.distro.as_ref().map(operating_system).into_iter().collect();
    components.extend(scan.packages.iter().zip(&refs).map(|(package, at)| component(package, at)));
    let mut depends: Vec<&str> = refs.iter().map(String::as_str).collect();
    if scan.distro.is_some() {
        depends.insert(0, OS);
    }
    let whole = scan.is_whole(Part::Packages);
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": now.to_string(),
            "tools": {"components": [{"type": "application", "name": "haechi", "version": env!("CARGO_PKG_VERSION")}]},
            "component": root(scan),
        },
        "components": components,
        "dependencies": [{"ref": ROOT, "dependsOn": depends}],
        "compositions": [{"aggregate": if whole { "complete" } else { "incomplete" }, "assemblies": [ROOT]}],
    });
    if let (Some(assessment), Some(map)) = (assessment, document.as_object_mut()) {
        let index = index(&scan.packages, &refs);
        map.insert("vulnerabilities".into(), vulnerabilities::all(assessment, &index));
        // A package that could not be decided must not look like one without vulnerabilities.
        let undecided: Vec<Value> = assessment
            .undecided
            .iter()
            .map(|u| {
                property("haechi:undecided", format!("{} {}: {}", u.name, u.version, u.detail))
            })
            .collect();
        if !undecided.is_empty() {
            map.insert("properties".into(), undecided.into());
        }
    }
    let serial = format!("urn:uuid:{}", uuid(&document));
    if let Some(map) = document.as_object_mut() {
        map.insert("serialNumber".into(), serial.into());
    }
    document
}

/// The reference of the distribution.
const OS: &str = "haechi:operating-system";

/// A UUID from the content of a document, in the form of version 5 (RFC 9562 §5.5) with SHA-256 in place of SHA-1.
pub(super) fn uuid(document: &Value) -> String {
    let digest = Sha256::digest(document.to_string().as_bytes());
    let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
    if let Some(byte) = bytes.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x50;
    }
    if let Some(byte) = bytes.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    let mut out = String::with_capacity(36);
    for (at, c) in crate::hash::hex(&bytes).chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(c);
    }
    out
}

/// A reference for each package: its purl, made unique.
fn references(packages: &[Package]) -> Vec<String> {
    let mut used: HashSet<String> = HashSet::new();
    let one = |(number, package): (usize, &Package)| {
        let purl = &package.purl;
        let unique = !purl.is_empty() && used.insert(purl.clone());
        if unique { purl.clone() } else { format!("haechi:package-{number}") }
    };
    packages.iter().enumerate().map(one).collect()
}

/// Which reference a package has, by purl and path, and by purl alone (with an empty path).
fn index<'a>(packages: &'a [Package], refs: &'a [String]) -> HashMap<(&'a str, &'a str), &'a str> {
    let mut index = HashMap::new();
    for (package, at) in packages.iter().zip(refs) {
        for path in [package.path.as_str(), ""] {
            index.entry((package.purl.as_str(), path)).or_insert(at.as_str());
        }
    }
    index
}

pub(super) fn property(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}

/// The image.
fn root(scan: &Scan) -> Value {
    let subject = &scan.subject;
    // Always there: by this a document of Haechi without packages is known to be complete.
    let mut properties = vec![property("haechi:subject", &subject.kind)];
    for (name, value) in [
        ("haechi:image-id", &subject.id),
        ("haechi:created", &subject.created_at),
        ("haechi:architecture", &subject.architecture),
        ("haechi:os", &subject.os),
    ] {
        if !value.is_empty() {
            properties.push(property(name, value));
        }
    }
    properties.extend(subject.tags.iter().map(|tag| property("haechi:tag", tag)));
    properties
        .extend(scan.layers.iter().map(|layer| property("haechi:layer-digest", &layer.digest)));
    properties.extend(scan.problems.iter().filter_map(|problem| {
        serde_json::to_string(problem).ok().map(|text| property("haechi:problem", text))
    }));
    let image = matches!(subject.kind.as_str(), "image" | "container" | "sbom");
    let mut out = Map::new();
    out.insert("bom-ref".into(), ROOT.into());
    out.insert("type".into(), if image { "container" } else { "platform" }.into());
    out.insert("name".into(), name(scan).into());
    for (key, value) in [("version", &subject.digest), ("purl", &purl(scan))] {
        if !value.is_empty() {
            out.insert(key.into(), value.as_str().into());
        }
    }
    out.insert("properties".into(), properties.into());
    out.into()
}

/// What the document is about, in a word that is never empty.
pub(super) fn name(scan: &Scan) -> String {
    let subject = &scan.subject;
    let names = [&subject.reference, &subject.id, &subject.digest, &subject.kind];
    names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_else(|| "image".into())
}

/// `pkg:oci` (purl specification, type oci); empty without a digest.
pub(super) fn purl(scan: &Scan) -> String {
    let subject = &scan.subject;
    if !subject.digest.starts_with("sha256:") {
        return String::new();
    }
    let reference = subject.tags.first().unwrap_or(&subject.reference);
    let reference = reference.split('@').next().unwrap_or_default();
    let (repository, tag) = match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, ""),
    };
    let last = repository.rsplit('/').next().unwrap_or_default().to_lowercase();
    let build = || {
        let mut purl = packageurl::PackageUrl::new("oci", last).ok()?;
        purl.with_version(subject.digest.clone()).ok()?;
        for (name, value) in
            [("arch", subject.architecture.as_str()), ("repository_url", repository), ("tag", tag)]
        {
            if !value.is_empty() {
                purl.add_qualifier(name, value.to_owned()).ok()?;
            }
        }
        Some(purl.to_string())
    };
    build().unwrap_or_default()
}

fn operating_system(distro: &Distro) -> Value {
    let mut properties = vec![property("haechi:distro-id", &distro.id)];
    let like = distro.like.join(" ");
    for (name, value) in [
        ("haechi:distro-codename", &distro.codename),
        ("haechi:distro-name", &distro.name),
        ("haechi:distro-like", &like),
    ] {
        if !value.is_empty() {
            properties.push(property(name, value));
        }
    }
    json!({"bom-ref": OS, "type": "operating-system", "name": distro.id, "version": distro.version, "properties": properties})
}

fn component(package: &Package, reference: &str) -> Value {
    // A program that no package manager knows is no library.
    let kind = if package.kind == PackageKind::Generic { "application" } else { "library" };
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("bom-ref", reference.into());
    put("type", kind.into());
    put("name", package.name.as_str().into());
    put("version", package.version.as_str().into());
    if !package.purl.is_empty() {
        put("purl", package.purl.as_str().into());
    }
    if let Some(cpe) = package.cpes.first() {
        put("cpe", cpe.as_str().into());
    }
    if !package.vendor.is_empty() {
        put("supplier", json!({"name": package.vendor}));
    }
    if !package.licenses.is_empty() {
        let all = package.licenses.iter().map(|text| match licenses::id(text) {
            Some(id) => json!({"license": {"id": id}}),
            None => json!({"license": {"name": text}}),
        });
        put("licenses", all.collect());
    }
    if !package.path.is_empty() {
        put("evidence", json!({"occurrences": [{"location": package.path}]}));
    }
    put("properties", properties(package).into());
    out.into()
}

/// What the format has no field for.
fn properties(package: &Package) -> Vec<Value> {
    let mut out = vec![property("haechi:kind", package.kind.name())];
    for (name, value) in [
        ("haechi:arch", &package.arch),
        ("haechi:path", &package.path),
        ("haechi:module", &package.module),
    ] {
        if !value.is_empty() {
            out.push(property(name, value));
        }
    }
    if let Some(source) = &package.source {
        out.push(property("haechi:source", &source.name));
        out.push(property("haechi:source-version", &source.version));
    }
    if let Some(layer) = package.layer {
        out.push(property("haechi:layer", layer.to_string()));
    }
    if package.declared_only {
        out.push(property("haechi:declared-only", "true"));
    }
    out.extend(package.cpes.iter().map(|cpe| property("haechi:cpe", cpe)));
    out.extend(package.licenses.iter().map(|license| property("haechi:license", license)));
    out
}
