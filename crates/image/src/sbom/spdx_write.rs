//! Writes SPDX 2.3 JSON (<https://spdx.github.io/spdx-spec/v2.3/>).
//!
//! Packages only, no files. What the format has no field for is in one annotation of each package, from which
//! [`super::read`] makes the same package again, and in annotations of the image.

use std::collections::BTreeMap;

use haechi_core::inventory::{Package, PackageKind, Scan, SourcePackage};
use serde_json::{Map, Value, json};

use super::cyclonedx::{name, purl, uuid};
use super::licenses::Extracted;
use super::spdx_json::{OWN_FACT, OWN_PACKAGE};

const ROOT: &str = "SPDXRef-Image";
const OS: &str = "SPDXRef-OperatingSystem";

/// Writes a scan. The same arguments give the same bytes; the namespace is made from the content.
pub fn spdx(scan: &Scan, now: jiff::Timestamp) -> Value {
    // The format has whole seconds only (§6.9).
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut extracted = Extracted::default();
    let mut packages = vec![root(scan, &now)];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)];
    if let Some(distro) = &scan.distro {
        let facts = [
            ("haechi:distro-id", distro.id.clone()),
            ("haechi:distro-codename", distro.codename.clone()),
            ("haechi:distro-name", distro.name.clone()),
            ("haechi:distro-like", distro.like.join(" ")),
        ];
        let label = if distro.id.is_empty() { "unknown" } else { &distro.id };
        let mut os = element(OS, label, &distro.version, "OPERATING-SYSTEM");
        let facts: Vec<Value> = facts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| annotation(&now, format!("{OWN_FACT}{key}={value}")))
            .collect();
        os.insert("annotations".into(), facts.into());
        packages.push(os.into());
        relationships.push(relationship(ROOT, "CONTAINS", OS));
    }
    let mut sources: BTreeMap<&SourcePackage, String> = BTreeMap::new();
    for (number, package) in scan.packages.iter().enumerate() {
        let id = identifier("Package", number, &package.name);
        packages.push(one(package, &id, &now, &mut extracted));
        relationships.push(relationship(ROOT, "CONTAINS", &id));
        if let Some(source) = &package.source {
            let next = sources.len();
            let from =
                sources.entry(source).or_insert_with(|| identifier("Source", next, &source.name));
            relationships.push(relationship(&id, "GENERATED_FROM", from));
        }
    }
    for (source, id) in &sources {
        packages.push(element(id, &source.name, &source.version, "SOURCE").into());
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name(scan),
        "creationInfo": {"created": now, "creators": [format!("Tool: haechi-{}", env!("CARGO_PKG_VERSION"))]},
        "packages": packages,
        "relationships": relationships,
    });
    let infos: Vec<Value> = extracted
        .0
        .iter()
        .map(|(id, text)| json!({"licenseId": id, "extractedText": text, "name": text}))
        .collect();
    let namespace = format!("https://spdx.org/spdxdocs/haechi-{}", uuid(&document));
    if let Some(map) = document.as_object_mut() {
        if !infos.is_empty() {
            map.insert("hasExtractedLicensingInfos".into(), infos.into());
        }
        map.insert("documentNamespace".into(), namespace.into());
    }
    document
}

/// An identifier of letters, digits, `.` and `-` (§7.2); the number makes it unique.
fn identifier(what: &str, number: usize, name: &str) -> String {
    let readable: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(60)
        .collect();
    format!("SPDXRef-{what}-{number}-{readable}")
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn annotation(now: &str, comment: String) -> Value {
    json!({
        "annotationDate": now,
        "annotationType": "OTHER",
        "annotator": format!("Tool: haechi-{}", env!("CARGO_PKG_VERSION")),
        "comment": comment,
    })
}

/// What every package must have.
fn element(id: &str, name: &str, version: &str, purpose: &str) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("SPDXID", id.into());
    put("name", if name.is_empty() { "unknown" } else { name }.into());
    if !version.is_empty() {
        put("versionInfo", version.into());
    }
    put("downloadLocation", "NOASSERTION".into());
    put("filesAnalyzed", false.into());
    put("licenseConcluded", "NOASSERTION".into());
    put("licenseDeclared", "NOASSERTION".into());
    put("copyrightText", "NOASSERTION".into());
    put("primaryPackagePurpose", purpose.into());
    out
}

fn root(scan: &Scan, now: &str) -> Value {
    let subject = &scan.subject;
    let image = matches!(subject.kind.as_str(), "image" | "container" | "sbom" | "");
    let purpose = if image { "CONTAINER" } else { "OTHER" };
    let mut out = element(ROOT, &name(scan), &subject.digest, purpose);
    let purl = purl(scan);
    if !purl.is_empty() {
        out.insert("externalRefs".into(), json!([reference("PACKAGE-MANAGER", "purl", &purl)]));
    }
    let mut facts: Vec<(&str, String)> = vec![
        // Always there: by this a document of Haechi without packages is known to be complete.
        ("haechi:subject", subject.kind.clone()),
        ("haechi:image-id", subject.id.clone()),
        ("haechi:created", subject.created_at.clone()),
        ("haechi:architecture", subject.architecture.clone()),
        ("haechi:os", subject.os.clone()),
    ];
    facts.extend(subject.tags.iter().map(|tag| ("haechi:tag", tag.clone())));
    facts.extend(scan.layers.iter().map(|layer| ("haechi:layer-digest", layer.digest.clone())));
    facts.extend(
        scan.problems
            .iter()
            .filter_map(|p| Some(("haechi:problem", serde_json::to_string(p).ok()?))),
    );
    let facts: Vec<Value> = facts
        .into_iter()
        .filter(|(key, value)| !value.is_empty() || *key == "haechi:subject")
        .map(|(key, value)| annotation(now, format!("{OWN_FACT}{key}={value}")))
        .collect();
    out.insert("annotations".into(), facts.into());
    out.into()
}

fn reference(category: &str, kind: &str, locator: &str) -> Value {
    json!({"referenceCategory": category, "referenceType": kind, "referenceLocator": locator})
}

fn one(package: &Package, id: &str, now: &str, extracted: &mut Extracted) -> Value {
    let purpose = if package.kind == PackageKind::Generic { "APPLICATION" } else { "LIBRARY" };
    let mut out = element(id, &package.name, &package.version, purpose);
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    let vendor = package.vendor.split_whitespace().collect::<Vec<_>>().join(" ");
    let supplier =
        if vendor.is_empty() { "NOASSERTION".into() } else { format!("Organization: {vendor}") };
    put("supplier", supplier.into());
    put("licenseDeclared", extracted.expression(&package.licenses).into());
    if !package.path.is_empty() {
        put("sourceInfo", format!("found in {}", package.path).into());
    }
    let mut references = Vec::new();
    if !package.purl.is_empty() {
        references.push(reference("PACKAGE-MANAGER", "purl", &package.purl));
    }
    references.extend(
        package
            .cpes
            .iter()
            .filter(|cpe| cpe.starts_with("cpe:2.3:") && !cpe.contains(char::is_whitespace))
            .map(|cpe| reference("SECURITY", "cpe23Type", cpe)),
    );
    if !references.is_empty() {
        put("externalRefs", references.into());
    }
    let whole = Package { files: Vec::new(), ..package.clone() };
    if let Ok(text) = serde_json::to_string(&whole) {
        put("annotations", json!([annotation(now, format!("{OWN_PACKAGE}{text}"))]));
    }
    out.into()
}
