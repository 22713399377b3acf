//! VEX: what somebody says about a vulnerability in a product. In from OpenVEX 0.2
//! (<https://github.com/openvex/spec>) and CycloneDX (<https://cyclonedx.org/capabilities/vex/>), out to both.
//!
//! A statement counts only for a product that it names: this image (by digest, reference or `pkg:oci` purl), perhaps
//! narrowed to packages in it, or a package by its purl. A statement without a product counts for nothing. Of several
//! that apply, the latest wins. Who wrote a document is not verified here: whoever passes it in trusts it.

mod purl;
mod read;
mod write;

use haechi_core::inventory::Scan;
use haechi_core::vulnerability::{Suppressed, Vulnerability};
use jiff::Timestamp;

pub use purl::Purl;
pub use read::{Unread, read};
pub use write::{IDLE, Use, cyclonedx, cyclonedx_vulnerabilities, openvex, openvex_of_use};

/// The status of a product with respect to a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The flaw cannot be used there.
    NotAffected,
    /// It is, and something is to be done.
    Affected,
    /// The product has the fix.
    Fixed,
    /// Not clear yet.
    UnderInvestigation,
}

/// A product that a statement is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// All names that it has: purls, image references, digests. Any of them is enough.
    pub names: Vec<String>,
    /// Names of packages inside to which the statement is narrowed; empty means all of it.
    pub parts: Vec<String>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Where it is from, for the reason that is shown; set by the caller (a file's name).
    pub origin: String,
    /// Names of the vulnerability.
    pub ids: Vec<String>,
    /// The products.
    pub products: Vec<Product>,
    /// The status.
    pub status: Status,
    /// Why: a justification of the format, the author's words, or both.
    pub reason: String,
    /// When it was made; absent counts as the oldest.
    pub at: Option<Timestamp>,
}

/// What the statements say about one vulnerability of one scan: the reason to suppress it, if they do.
pub fn verdict(statements: &[Statement], scan: &Scan, entry: &Vulnerability) -> Option<Suppressed> {
    let applies = |statement: &&Statement| {
        let named = |id: &String| {
            *id == entry.id || entry.aliases.contains(id) || entry.advisories.contains(id)
        };
        statement.ids.iter().any(named)
            && statement.products.iter().any(|product| is_about(product, scan, entry))
    };
    // `max_by_key` takes the last of equals: what was given later wins.
    let latest = statements.iter().filter(applies).max_by_key(|statement| statement.at)?;
    let status = match latest.status {
        Status::NotAffected => "not_affected",
        Status::Fixed => "fixed",
        Status::Affected | Status::UnderInvestigation => return None,
    };
    Some(Suppressed {
        by: format!("vex {}", latest.origin).trim_end().to_owned(),
        status: status.to_owned(),
        reason: latest.reason.clone(),
    })
}

fn is_about(product: &Product, scan: &Scan, entry: &Vulnerability) -> bool {
    let is_package = |name: &String| match (Purl::parse(name), Purl::parse(&entry.package)) {
        (Some(wanted), Some(package)) => wanted.matches(&package),
        _ => false,
    };
    let all_parts = product.parts.is_empty();
    if all_parts && product.names.iter().any(is_package) {
        return true;
    }
    product.names.iter().any(|name| is_image(name, scan))
        && (all_parts || product.parts.iter().any(is_package))
}

/// Whether a name is this image's.
fn is_image(name: &str, scan: &Scan) -> bool {
    let subject = &scan.subject;
    let tags = || subject.tags.iter().chain([&subject.reference]).filter(|tag| !tag.is_empty());
    let is_digest = |digest: &str| {
        !digest.is_empty()
            && (digest == subject.digest
                || digest == subject.id
                || tags().any(|tag| tag.split_once('@').is_some_and(|(_, d)| d == digest)))
    };
    if let Some(purl) = Purl::parse(name) {
        if purl.kind != "oci" || purl.name.is_empty() {
            return false;
        }
        // The digest names the bytes; without one, every version of that repository is meant.
        if !purl.version.is_empty() {
            return is_digest(&purl.version);
        }
        return match purl.qualifier("repository_url") {
            Some(url) => tags().any(|tag| repository(tag) == repository(url)),
            None => tags().any(|tag| {
                repository(tag).rsplit('/').next().is_some_and(|last| last == purl.name)
            }),
        };
    }
    match name.split_once('@') {
        Some((_, digest)) => is_digest(digest),
        None => is_digest(name) || tags().any(|tag| tag == name),
    }
}

/// A reference without tag and digest, and without Docker Hub's default parts.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let end = match (name.rfind(':'), name.rfind('/')) {
        // A colon before the last slash belongs to a port.
        (Some(colon), slash) if slash.is_none_or(|slash| slash < colon) => colon,
        _ => name.len(),
    };
    let name = name.get(..end).unwrap_or(name);
    let name =
        name.strip_prefix("index.docker.io/").or(name.strip_prefix("docker.io/")).unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests;
