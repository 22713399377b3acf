//! Reads VEX documents: OpenVEX and CycloneDX, both in JSON.
//!
//! A document with a statement that is not understood is refused as a whole, with its place: half of what somebody
//! meant to say must not count.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Product, Statement, Status};

/// The largest document that is read, in bytes. Distributions publish a few megabytes at most.
const BYTES_MAX: usize = 64 << 20;

/// Why a document is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Too large.
    #[error("it is larger than {BYTES_MAX} bytes")]
    TooLarge,
    /// No JSON.
    #[error("it is no JSON: {0}")]
    Json(String),
    /// Neither OpenVEX nor CycloneDX.
    #[error("it is neither OpenVEX nor CycloneDX with `vulnerabilities`")]
    Unknown,
    /// One statement is not understood.
    #[error("{place}: {reason}")]
    Statement {
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a document. The statements have no origin yet.
///
/// # Errors
/// It is no VEX document of these formats, or one of its statements is not understood.
pub fn read(bytes: &[u8]) -> Result<Vec<Statement>, Unread> {
    if bytes.len() > BYTES_MAX {
        return Err(Unread::TooLarge);
    }
    // serde_json ends at a depth of 128.
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| Unread::Json(error.to_string()))?;
    if document.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX") {
        let list = list(&document, "vulnerabilities").ok_or(Unread::Unknown)?;
        return cyclonedx(&document, list);
    }
    let context = document.get("@context").and_then(Value::as_str).unwrap_or_default();
    if context.starts_with("https://openvex.dev/ns") {
        let list = list(&document, "statements").ok_or(Unread::Unknown)?;
        return openvex(&document, list);
    }
    Err(Unread::Unknown)
}

fn list<'a>(value: &'a Value, key: &str) -> Option<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn wrong(place: &str, reason: impl Into<String>) -> Unread {
    Unread::Statement { place: place.to_owned(), reason: reason.into() }
}

/// The first of these that states a time.
fn time(place: &str, stated: &[&str]) -> Result<Option<Timestamp>, Unread> {
    match stated.iter().find(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| wrong(place, format!("`{text}` is no time")))
        }
    }
}

fn openvex(document: &Value, statements: &[Value]) -> Result<Vec<Statement>, Unread> {
    let mut out = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let place = format!("statements[{index}]");
        let mut ids = Vec::new();
        match statement.get("vulnerability") {
            // Version 0.0.1 has only a name.
            Some(Value::String(name)) => ids.push(name.clone()),
            Some(vulnerability) => {
                let aliases = list(vulnerability, "aliases").map(Vec::as_slice).unwrap_or_default();
                let aliases = aliases.iter().filter_map(Value::as_str);
                let names = [text(vulnerability, "name"), text(vulnerability, "@id")];
                ids.extend(
                    names.into_iter().chain(aliases).filter(|n| !n.is_empty()).map(str::to_owned),
                );
            }
            None => {}
        }
        if ids.is_empty() {
            return Err(wrong(&place, "it names no vulnerability"));
        }
        let status = match text(statement, "status") {
            "not_affected" => Status::NotAffected,
            "affected" => Status::Affected,
            "fixed" => Status::Fixed,
            "under_investigation" => Status::UnderInvestigation,
            other => return Err(wrong(&place, format!("`{other}` is no status"))),
        };
        let reason = said(&[
            text(statement, "justification"),
            text(statement, "impact_statement"),
            text(statement, "status_notes"),
        ]);
        if status == Status::NotAffected && reason.is_empty() {
            return Err(wrong(&place, "not_affected needs a justification or an impact_statement"));
        }
        let times = [
            text(statement, "last_updated"),
            text(statement, "timestamp"),
            text(document, "last_updated"),
            text(document, "timestamp"),
        ];
        let products = list(statement, "products").map(Vec::as_slice).unwrap_or_default();
        out.push(Statement {
            origin: String::new(),
            ids,
            products: products.iter().map(product).collect(),
            status,
            reason,
            at: time(&place, &times)?,
        });
    }
    Ok(out)
}

fn product(value: &Value) -> Product {
    let parts = list(value, "subcomponents").map(Vec::as_slice).unwrap_or_default();
    let mut product =
        Product { names: names(value), parts: parts.iter().flat_map(names).collect() };
    // Parts without a name that is understood narrow it to nothing, never to everything.
    if !parts.is_empty() && product.parts.is_empty() {
        product.names.clear();
    }
    product
}

/// The names of an OpenVEX component: a string (0.0.1), `@id`, identifiers, hashes.
fn names(value: &Value) -> Vec<String> {
    if let Some(name) = value.as_str() {
        return vec![name.to_owned()];
    }
    let mut out: Vec<String> = Vec::new();
    let identifier = value.get("identifiers").map(|all| text(all, "purl")).unwrap_or_default();
    out.extend(
        [text(value, "@id"), identifier].into_iter().filter(|n| !n.is_empty()).map(str::to_owned),
    );
    if let Some(sha256) = value.get("hashes").map(|all| text(all, "sha-256"))
        && !sha256.is_empty()
    {
        out.push(format!("sha256:{}", sha256.to_lowercase()));
    }
    out
}

fn cyclonedx(document: &Value, vulnerabilities: &[Value]) -> Result<Vec<Statement>, Unread> {
    let metadata = document.get("metadata").unwrap_or(&Value::Null);
    let root = metadata.get("component").unwrap_or(&Value::Null);
    let components = list(document, "components").map(Vec::as_slice).unwrap_or_default();
    let mut purls: HashMap<&str, &str> = HashMap::new();
    for component in components.iter().chain([root]) {
        let (reference, purl) = (text(component, "bom-ref"), text(component, "purl"));
        if !reference.is_empty() && !purl.is_empty() {
            purls.insert(reference, purl);
        }
    }
    let mut out = Vec::new();
    for (index, vulnerability) in vulnerabilities.iter().enumerate() {
        let place = format!("vulnerabilities[{index}]");
        // A list of what was found, without a word about whether it matters, is no VEX statement.
        let Some(analysis) = vulnerability.get("analysis") else { continue };
        let status = match text(analysis, "state") {
            "not_affected" | "false_positive" => Status::NotAffected,
            "resolved" | "resolved_with_pedigree" => Status::Fixed,
            "exploitable" => Status::Affected,
            "in_triage" => Status::UnderInvestigation,
            "" => continue,
            other => return Err(wrong(&place, format!("`{other}` is no state"))),
        };
        let references = list(vulnerability, "references").map(Vec::as_slice).unwrap_or_default();
        let ids: Vec<String> = std::iter::once(text(vulnerability, "id"))
            .chain(references.iter().map(|reference| text(reference, "id")))
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect();
        if ids.is_empty() {
            return Err(wrong(&place, "it names no vulnerability"));
        }
        let affects = list(vulnerability, "affects").map(Vec::as_slice).unwrap_or_default();
        let products = affects
            .iter()
            .map(|affected| {
                let reference = text(affected, "ref");
                // A BOM-Link names the component after `#`.
                let reference = match reference.strip_prefix("urn:cdx:") {
                    Some(link) => link.split_once('#').map_or("", |(_, component)| component),
                    None => reference,
                };
                let purl = purls.get(reference).copied().unwrap_or(reference);
                Product { names: vec![purl.to_owned()], parts: Vec::new() }
            })
            .collect();
        let times = [
            text(analysis, "lastUpdated"),
            text(analysis, "firstIssued"),
            text(vulnerability, "updated"),
            text(metadata, "timestamp"),
        ];
        let reason = said(&[text(analysis, "justification"), text(analysis, "detail")]);
        let reason = if reason.is_empty() { text(analysis, "state").to_owned() } else { reason };
        out.push(Statement {
            origin: String::new(),
            ids,
            products,
            status,
            reason,
            at: time(&place, &times)?,
        });
    }
    Ok(out)
}

/// What was said, joined.
fn said(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ")
}
