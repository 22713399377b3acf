//! NVD's CVEs (API 2.0 pages, feed files 2.0, and single `cve` objects; <https://nvd.nist.gov/developers/vulnerabilities>).
//!
//! A CVE becomes a [`Detail`], and a [`CpeRecord`] for every vulnerable application in its configurations. Operating
//! systems and hardware are left out: a container has neither, and packages are decided by better feeds.

use std::io::Read;

use serde_json::Value;

use super::{FeedError, Item, MAX_URLS, Parcel, Sink, json, keyable, shorten};
use crate::advisory::{CpeRecord, Detail};

/// Name of the feed and of its source.
pub const NAME: &str = "nvd";
/// The name under which CISA's Vulnrichment adds scores (its organisation id at the CVE programme).
const CISA_ADP: &str = "134c704f-9b21-4f2e-9353-4a533a2d1e8c";

/// What a page says of the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Entries on this page.
    pub entries: u64,
    /// All entries that there are (`totalResults`).
    pub total: u64,
}

/// Reads a page or feed file: `{"vulnerabilities": [{"cve": …}]}`.
///
/// # Errors
/// It is not JSON or no NVD page, or the sink ends it.
pub fn read(input: impl Read, out: &mut dyn Sink) -> Result<Page, FeedError> {
    let mut entries = 0;
    let members = json::each_of_array(input, "vulnerabilities", &mut |element| {
        entries += 1;
        match element.get("cve") {
            Some(cve) => one(cve, out),
            None => {
                out.broken(&format!("entry {entries}"), "no `cve`");
                Ok(())
            }
        }
    })?;
    if let Some(moment) = members.get("timestamp").and_then(Value::as_str) {
        out.dated(moment);
    }
    let total = members.get("totalResults").and_then(Value::as_u64);
    if entries == 0 && total != Some(0) {
        return Err(FeedError::Shape("no CVE in it".to_owned()));
    }
    Ok(Page { entries, total: total.unwrap_or(entries) })
}

/// Reads one `cve` object.
///
/// # Errors
/// The sink ends it.
pub fn one(cve: &Value, out: &mut dyn Sink) -> Result<(), FeedError> {
    let text = |key: &str| cve.get(key).and_then(Value::as_str).unwrap_or_default();
    let id = text("id");
    if !id.starts_with("CVE-") || !keyable(id) {
        out.broken("a CVE", "no `id`");
        return Ok(());
    }
    let modified = text("lastModified");
    let detail = Detail {
        id: id.to_owned(),
        description: shorten(english(cve.get("descriptions"))),
        published: text("published").to_owned(),
        modified: modified.to_owned(),
        vectors: vectors(cve.get("metrics")),
        cwes: cwes(cve),
        urls: array(cve.get("references"))
            .filter_map(|r| r.get("url")?.as_str())
            .take(MAX_URLS)
            .map(str::to_owned)
            .collect(),
        rejected: text("vulnStatus") == "Rejected",
        ..Detail::default()
    };
    let mut items = Vec::new();
    if !detail.rejected {
        for configuration in array(cve.get("configurations")) {
            products(id, configuration, out, &mut items);
        }
    }
    items.push(Item::Detail { bases: Vec::new(), detail: Box::new(detail) });
    out.dated(modified);
    out.take(Parcel { id: id.to_owned(), modified: modified.to_owned(), items })
}

fn products(id: &str, configuration: &Value, out: &mut dyn Sink, items: &mut Vec<Item>) {
    let is =
        |value: &Value, key: &str, word: &str| value.get(key).and_then(Value::as_str) == Some(word);
    let nodes = || array(configuration.get("nodes"));
    let all_of = is(configuration, "operator", "AND") && nodes().nth(1).is_some();
    for node in nodes() {
        let negated = node.get("negate").and_then(Value::as_bool) == Some(true);
        let several = array(node.get("cpeMatch")).nth(1).is_some();
        let conditional = all_of || negated || (several && is(node, "operator", "AND"));
        for criteria in array(node.get("cpeMatch")) {
            if criteria.get("vulnerable").and_then(Value::as_bool) != Some(true) {
                continue;
            }
            let text = |key: &str| criteria.get(key).and_then(Value::as_str);
            match text("criteria").and_then(cpe) {
                None => out.broken(id, "a criteria that is no CPE 2.3"),
                Some(cpe) if cpe.part != "a" => {}
                Some(cpe) => {
                    let bound = |with: &str, without: &str| {
                        let own = text(with).map(|v| (v.to_owned(), true));
                        own.or_else(|| text(without).map(|v| (v.to_owned(), false)))
                    };
                    items.push(Item::Product(CpeRecord {
                        id: id.to_owned(),
                        vendor: cpe.vendor,
                        product: cpe.product,
                        version: cpe.version,
                        start: bound("versionStartIncluding", "versionStartExcluding"),
                        end: bound("versionEndIncluding", "versionEndExcluding"),
                        conditional,
                    }));
                }
            }
        }
    }
}

/// The parts of a CPE name that are used.
#[derive(Debug, PartialEq, Eq)]
struct Cpe {
    part: String,
    vendor: String,
    product: String,
    /// Empty for any.
    version: String,
}

/// Reads `cpe:2.3:a:vendor:product:version:update:…` (NISTIR 7695 §6.2); a backslash takes the meaning of the next character.
fn cpe(name: &str) -> Option<Cpe> {
    if name.len() > super::MAX_NAME {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => fields.push(String::new()),
            '\\' => fields.last_mut()?.push(chars.next()?),
            c => fields.last_mut()?.push(c),
        }
    }
    let mut fields = fields.into_iter();
    let (scheme, format) = (fields.next()?, fields.next()?);
    let (part, vendor, product) = (fields.next()?, fields.next()?, fields.next()?);
    if scheme != "cpe" || format != "2.3" || !keyable(&vendor) || !keyable(&product) {
        return None;
    }
    let version = fields.next().unwrap_or_default();
    let update = fields.next().unwrap_or_default();
    let version = match (version.as_str(), update.as_str()) {
        ("*" | "", _) => String::new(),
        (_, "*" | "-" | "") => version,
        // `7.2` with `p2` is written 7.2p2 (OpenSSH, ntp); other updates are pre-releases: 1.0-rc1.
        (v, u)
            if u.strip_prefix('p').is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            format!("{v}{u}")
        }
        (v, u) => format!("{v}-{u}"),
    };
    Some(Cpe { part, vendor, product, version })
}

fn vectors(metrics: Option<&Value>) -> Vec<(String, String)> {
    let groups = metrics.and_then(Value::as_object).into_iter().flatten();
    let mut all = Vec::new();
    for (_, group) in groups.filter(|(name, _)| name.starts_with("cvssMetric")) {
        for metric in array(Some(group)) {
            let vector =
                metric.get("cvssData").and_then(|d| d.get("vectorString")).and_then(Value::as_str);
            let by = match metric.get("source").and_then(Value::as_str).unwrap_or_default() {
                "nvd@nist.gov" => "nvd",
                CISA_ADP => "cisa-adp",
                "security-advisories@github.com" => "ghsa",
                "secalert@redhat.com" => "redhat",
                _ => "cna",
            };
            if let Some(vector) = vector {
                all.push((by.to_owned(), vector.to_owned()));
            }
        }
    }
    all
}

fn cwes(cve: &Value) -> Vec<String> {
    let weaknesses = array(cve.get("weaknesses"));
    let words = weaknesses
        .flat_map(|w| array(w.get("description")))
        .filter_map(|d| d.get("value")?.as_str());
    let mut list: Vec<String> =
        words.filter(|w| w.starts_with("CWE-")).take(50).map(str::to_owned).collect();
    list.sort();
    list.dedup();
    list
}

fn english(descriptions: Option<&Value>) -> &str {
    let is_english =
        |d: &&Value| d.get("lang").and_then(Value::as_str).is_some_and(|l| l.starts_with("en"));
    array(descriptions).find(is_english).and_then(|d| d.get("value")?.as_str()).unwrap_or_default()
}

fn array(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests;
