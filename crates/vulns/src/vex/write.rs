//! Writes what was decided as VEX: OpenVEX 0.2, and the `vulnerabilities` of CycloneDX 1.6.
//!
//! The same assessment, author and time give the same bytes. What could not be decided has no place in VEX and is not
//! in it: a VEX document alone proves nothing about packages that it does not name.

use haechi_core::inventory::Scan;
use haechi_core::vulnerability::{Assessment, FixState, Rating, Suppressed, Vulnerability};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What was seen of the package that has a vulnerability, where its image runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// It runs: how that was seen.
    Runs(String),
    /// Nothing of it runs: how that is known.
    Idle(String),
    /// Whether it runs is not known: why.
    Unknown(String),
}

/// OpenVEX.
pub fn openvex(scan: &Scan, assessment: &Assessment, author: &str, now: Timestamp) -> Value {
    let image = image(scan);
    let open = assessment.vulnerabilities.iter().map(|entry| statement(&image, entry, None));
    let closed =
        assessment.suppressed.iter().map(|(entry, why)| statement(&image, entry, Some(why)));
    document(open.chain(closed).collect(), author, now)
}

/// OpenVEX with what was seen of each package that is open. Of an image that is known by no digest and no id nothing is said to
/// be not affected: another one may have its name tomorrow.
pub fn openvex_of_use(
    scan: &Scan,
    assessment: &Assessment,
    seen: impl Fn(&Vulnerability) -> Use,
    author: &str,
    now: Timestamp,
) -> Value {
    let image = content(scan);
    let open = assessment.vulnerabilities.iter().map(|entry| {
        let mut said = statement(&image, entry, None);
        if let Value::Object(fields) = &mut said {
            tell(fields, seen(entry), !image.is_empty());
        }
        said
    });
    let closed =
        assessment.suppressed.iter().map(|(entry, why)| statement(&image, entry, Some(why)));
    document(open.chain(closed).collect(), author, now)
}

/// Why something that never runs is not affected, in the words of OpenVEX.
pub const IDLE: &str = "vulnerable_code_not_in_execute_path";

/// Adds to a statement what was seen.
fn tell(fields: &mut Map<String, Value>, seen: Use, is_one_image: bool) {
    let mut add = |key: &str, value: &str| fields.insert(key.to_owned(), value.into());
    match seen {
        Use::Runs(how) => {
            add("status_notes", &how);
        }
        Use::Idle(how) if is_one_image => {
            add("status", "not_affected");
            add("justification", IDLE);
            add("impact_statement", &how);
            fields.remove("action_statement");
        }
        Use::Idle(why) | Use::Unknown(why) => {
            add("status", "under_investigation");
            add("status_notes", &why);
            fields.remove("action_statement");
        }
    }
}

fn document(statements: Vec<Value>, author: &str, now: Timestamp) -> Value {
    let mut document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "author": author,
        "timestamp": now.to_string(),
        "version": 1,
        "tooling": "Haechi",
        "statements": statements,
    });
    let digest = Sha256::digest(document.to_string());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    if let Value::Object(fields) = &mut document {
        fields.insert("@id".to_owned(), format!("urn:haechi:vex:{hex}").into());
    }
    document
}

/// The name of the image: its purl with digest if a registry knows it, else its reference or id.
fn image(scan: &Scan) -> String {
    let subject = &scan.subject;
    let reference = subject.reference.as_str();
    if subject.digest.is_empty() {
        return if reference.is_empty() { subject.id.clone() } else { reference.to_owned() };
    }
    let repository = super::repository(reference);
    let name = repository.rsplit('/').next().unwrap_or_default().to_lowercase();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return subject.digest.clone();
    }
    let digest = subject.digest.replace(':', "%3A");
    format!("pkg:oci/{name}@{digest}")
}

/// The name of these very bytes: a purl with the digest of the image, or with its id; empty if it has neither.
fn content(scan: &Scan) -> String {
    let subject = &scan.subject;
    let named = image(scan);
    let purl = match (subject.digest.is_empty(), subject.id.is_empty()) {
        (false, _) => named,
        (true, true) => return String::new(),
        (true, false) => {
            let by_id = haechi_core::inventory::ScanSubject {
                digest: subject.id.clone(),
                reference: subject.reference.clone(),
                tags: subject.tags.clone(),
                ..Default::default()
            };
            image(&Scan { subject: by_id, ..Scan::default() })
        }
    };
    // A digest of several platforms names them all.
    let arch = subject.architecture.split('/').next().unwrap_or_default();
    let is_plain = !arch.is_empty() && arch.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if purl.starts_with("pkg:") && is_plain { format!("{purl}?arch={arch}") } else { purl }
}

fn statement(image: &str, entry: &Vulnerability, why: Option<&Suppressed>) -> Value {
    let mut out = Map::new();
    out.insert("vulnerability".to_owned(), json!({"name": entry.id, "aliases": entry.aliases}));
    let product = match (image.is_empty(), entry.package.is_empty()) {
        (false, false) => json!({"@id": image, "subcomponents": [{"@id": entry.package}]}),
        (true, _) => json!({"@id": entry.package}),
        // Without a purl the package can only be told by its name.
        (false, true) => json!({"@id": image, "subcomponents": [{"@id": entry.name}]}),
    };
    out.insert("products".to_owned(), json!([product]));
    let mut add = |key: &str, value: String| out.insert(key.to_owned(), value.into());
    match why {
        Some(why) if why.status == "not_affected" => {
            add("status", "not_affected".to_owned());
            add("impact_statement", format!("{} ({})", why.reason, why.by));
        }
        Some(why) if why.status == "fixed" => {
            add("status", "fixed".to_owned());
            add("status_notes", format!("{} ({})", why.reason, why.by));
        }
        Some(why) => {
            add("status", "affected".to_owned());
            add("action_statement", format!("Accepted: {} ({})", why.reason, why.by));
        }
        None if entry.state == FixState::UnderInvestigation => {
            add("status", "under_investigation".to_owned());
        }
        None => {
            add("status", "affected".to_owned());
            let action = if entry.fixed.is_empty() {
                "No fixed version is known.".to_owned()
            } else {
                format!("Update {} to {} or newer.", entry.name, entry.fixed)
            };
            add("action_statement", action);
        }
    }
    Value::Object(out)
}

/// A CycloneDX document that holds only vulnerabilities; they name packages by purl.
pub fn cyclonedx(assessment: &Assessment, now: Timestamp) -> Value {
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": now.to_string()},
        "vulnerabilities": cyclonedx_vulnerabilities(assessment),
    })
}

/// The `vulnerabilities` of a CycloneDX document whose components have their purls as `bom-ref`.
pub fn cyclonedx_vulnerabilities(assessment: &Assessment) -> Value {
    let open = assessment.vulnerabilities.iter().map(|entry| vulnerability(entry, None));
    let closed = assessment.suppressed.iter().map(|(entry, why)| vulnerability(entry, Some(why)));
    Value::Array(open.chain(closed).collect())
}

fn vulnerability(entry: &Vulnerability, why: Option<&Suppressed>) -> Value {
    let analysis = match why {
        Some(why) => {
            let state = match why.status.as_str() {
                "not_affected" => "not_affected",
                "fixed" => "resolved",
                _ => "exploitable",
            };
            json!({"state": state, "detail": format!("{} ({})", why.reason, why.by)})
        }
        None if entry.state == FixState::UnderInvestigation => json!({"state": "in_triage"}),
        None => json!({"state": "exploitable"}),
    };
    let ratings: Vec<Value> = entry
        .scores
        .iter()
        .map(|score| {
            let method = match score.version.as_str() {
                "4.0" => "CVSSv4",
                "3.1" => "CVSSv31",
                "3.0" => "CVSSv3",
                _ => "CVSSv2",
            };
            json!({"source": {"name": score.by}, "method": method, "score": score.score, "vector": score.vector})
        })
        .chain(std::iter::once(json!({
            "source": {"name": entry.rated_by},
            "severity": match entry.rating { Rating::Negligible => "info", other => other.name() },
        })))
        .collect();
    let references: Vec<Value> = entry
        .aliases
        .iter()
        .map(|id| json!({"id": id, "source": {"name": id.split('-').next().unwrap_or_default()}}))
        .collect();
    let cwes: Vec<u32> = entry
        .cwes
        .iter()
        .filter_map(|cwe| cwe.strip_prefix("CWE-").and_then(|number| number.parse().ok()))
        .collect();
    let package = if entry.package.is_empty() { &entry.name } else { &entry.package };
    let mut out = json!({
        "id": entry.id,
        "references": references,
        "ratings": ratings,
        "cwes": cwes,
        "analysis": analysis,
        "affects": [{"ref": package}],
    });
    if let Value::Object(fields) = &mut out {
        let detail = if entry.title.is_empty() { &entry.description } else { &entry.title };
        if !detail.is_empty() {
            fields.insert("description".to_owned(), detail.clone().into());
        }
        if entry.published.contains('T') {
            fields.insert("published".to_owned(), entry.published.clone().into());
        }
        if !entry.fixed.is_empty() {
            let advice = format!("Update {} to {} or newer.", entry.name, entry.fixed);
            fields.insert("recommendation".to_owned(), advice.into());
        }
    }
    out
}
