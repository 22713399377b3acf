//! OSV advisories (Open Source Vulnerability format 1.x, <https://ossf.github.io/osv-schema/>).
//!
//! One JSON document becomes one [`Parcel`]. Git ranges are left out: no package manager records commits. An entry
//! about a package that names neither range nor version is refused as broken, never taken for "not affected".

use haechi_core::vulnerability::{FixState, Rating};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{FeedError, Item, MAX_URLS, Parcel, Sink, base, keyable, rating, shorten};
use crate::advisory::{Detail, Event, Range, Record, Statement};

/// Distributions: their advisories sum up CVEs, and their version lists only repeat what the ranges say.
const DISTRIBUTIONS: &[&str] = &[
    "AlmaLinux",
    "Alpaquita",
    "Alpine",
    "Azure Linux",
    "BellSoft Hardened Containers",
    "Chainguard",
    "Debian",
    "Echo",
    "Mageia",
    "MinimOS",
    "Photon OS",
    "Red Hat",
    "Rocky Linux",
    "Root",
    "SUSE",
    "Ubuntu",
    "Wolfi",
    "openEuler",
    "openSUSE",
];

#[derive(Deserialize)]
struct Document {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    modified: String,
    #[serde(default, deserialize_with = "lenient")]
    published: String,
    #[serde(default)]
    withdrawn: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    aliases: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    related: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    upstream: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    summary: String,
    #[serde(default, deserialize_with = "lenient")]
    details: String,
    #[serde(default, deserialize_with = "lenient")]
    severity: Vec<Severity>,
    #[serde(default, deserialize_with = "lenient")]
    affected: Vec<Affected>,
    #[serde(default, deserialize_with = "lenient")]
    references: Vec<Reference>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct Severity {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default, deserialize_with = "lenient")]
    url: String,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(default)]
    package: Option<Package>,
    #[serde(default, deserialize_with = "lenient")]
    severity: Vec<Severity>,
    #[serde(default, deserialize_with = "lenient")]
    ranges: Vec<RawRange>,
    #[serde(default, deserialize_with = "lenient")]
    versions: Vec<String>,
    #[serde(default)]
    ecosystem_specific: Value,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize, Default)]
struct Package {
    #[serde(default, deserialize_with = "lenient")]
    ecosystem: String,
    #[serde(default, deserialize_with = "lenient")]
    name: String,
}

#[derive(Deserialize)]
struct RawRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    events: Vec<serde_json::Map<String, Value>>,
}

/// `null` is what is left out: some exporters write it.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Reads one document into a sink. What is wrong with it is reported under its id, or `name` if it has none.
///
/// # Errors
/// The sink cannot keep it.
pub fn read(json: &[u8], name: &str, out: &mut dyn Sink) -> Result<(), FeedError> {
    match parse(json) {
        Ok((parcel, notes)) => {
            for note in notes {
                out.broken(&parcel.id, &note);
            }
            out.dated(&parcel.modified);
            out.take(parcel)
        }
        Err(why) => {
            out.broken(name, &why);
            Ok(())
        }
    }
}

/// One document as a parcel, and what of it was not understood.
///
/// # Errors
/// It is no OSV document: why.
pub fn parse(json: &[u8]) -> Result<(Parcel, Vec<String>), String> {
    let doc: Document = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if !keyable(&doc.id) {
        return Err("its id is empty, too long or has a NUL".to_owned());
    }
    let mut notes = Vec::new();
    let mut items = Vec::new();
    let mut bases: Vec<String> = Vec::new();
    let names = Names::of(&doc);
    let word = word_of(&doc);
    let (vectors, rated) = severities(&doc.severity, &doc.id);
    let rated = rated.or(word);
    for affected in &doc.affected {
        let Some(package) = &affected.package else { continue };
        // Seen in exports: an entry about a repository, with an empty package.
        if package.ecosystem.is_empty() && package.name.is_empty() {
            continue;
        }
        if !keyable(&package.ecosystem) || !keyable(&package.name) {
            notes.push("a package without name or ecosystem".to_owned());
            continue;
        }
        let of = base(&package.ecosystem);
        if !bases.iter().any(|b| b == of) {
            bases.push(of.to_owned());
        }
        match record(&doc, affected, &names, of) {
            Ok(Some(mut record)) => {
                record.vectors.extend(vectors.iter().cloned());
                record.rating = record.rating.or(rated);
                let (ecosystem, name) = (package.ecosystem.clone(), package.name.clone());
                items.push(Item::Record { ecosystem, name, record: Box::new(record) });
            }
            Ok(None) => {}
            Err(why) => notes.push(format!("{} in {}: {why}", package.name, package.ecosystem)),
        }
    }
    let detail = Detail {
        id: doc.id.clone(),
        aliases: names.aliases,
        title: shorten(&doc.summary),
        description: shorten(&doc.details),
        published: doc.published,
        modified: doc.modified.clone(),
        vectors,
        rating: rated,
        cwes: cwes(&doc.database_specific),
        urls: doc
            .references
            .into_iter()
            .map(|r| r.url)
            .filter(|u| !u.is_empty())
            .take(MAX_URLS)
            .collect(),
        rejected: false,
    };
    items.push(Item::Detail { bases, detail: Box::new(detail) });
    Ok((Parcel { id: doc.id, modified: doc.modified, items }, notes))
}

/// The other names of a document, sorted by what they mean.
struct Names {
    aliases: Vec<String>,
    covers: Vec<String>,
}

impl Names {
    fn of(doc: &Document) -> Self {
        let mut aliases: Vec<String> = Vec::new();
        let mut covers: Vec<String> = Vec::new();
        // A distribution's advisory of its own (DSA-…, ALSA-…) is not one vulnerability with other names, but sums up.
        let sums_up = !doc.id.contains("CVE-")
            && doc
                .affected
                .iter()
                .filter_map(|a| a.package.as_ref())
                .any(|p| is_distribution(&p.ecosystem));
        for name in &doc.aliases {
            if sums_up && name.starts_with("CVE-") {
                covers.push(name.clone())
            } else {
                aliases.push(name.clone())
            }
        }
        for name in &doc.upstream {
            // `UBUNTU-CVE-2021-3782` is the distribution's name of the very same vulnerability.
            let same =
                doc.id.strip_suffix(name.as_str()).is_some_and(|prefix| prefix.ends_with('-'));
            if same { aliases.push(name.clone()) } else { covers.push(name.clone()) }
        }
        if sums_up {
            covers.extend(doc.related.iter().filter(|name| name.starts_with("CVE-")).cloned());
        }
        for list in [&mut aliases, &mut covers] {
            list.retain(|name| keyable(name) && *name != doc.id);
            list.sort();
            list.dedup();
        }
        Self { aliases, covers }
    }
}

fn is_distribution(ecosystem: &str) -> bool {
    DISTRIBUTIONS.contains(&base(ecosystem))
}

/// The record of one `affected` entry; `None` if it is about commits only.
fn record(
    doc: &Document,
    affected: &Affected,
    names: &Names,
    of: &str,
) -> Result<Option<Record>, String> {
    let mut ranges = Vec::new();
    let mut git = false;
    for raw in &affected.ranges {
        let semver = match raw.kind.as_str() {
            "SEMVER" => true,
            "ECOSYSTEM" => false,
            "GIT" => {
                git = true;
                continue;
            }
            other => return Err(format!("a range of the unknown type `{other}`")),
        };
        let events = raw
            .events
            .iter()
            .flatten()
            .map(|(key, value)| event(key, value))
            .collect::<Result<_, _>>()?;
        ranges.push(Range { semver, events });
    }
    ranges.retain(|r| !r.events.is_empty());
    if ranges.is_empty() && affected.versions.is_empty() {
        match (git, doc.id.starts_with("MAL-")) {
            // A report of malice without versions is about all of them.
            (_, true) => ranges
                .push(Range { semver: false, events: vec![Event::Introduced("0".to_owned())] }),
            (true, false) => return Ok(None),
            (false, false) => return Err("neither ranges nor versions".to_owned()),
        }
    }
    let specific = &affected.ecosystem_specific;
    let urgency =
        text(specific, "urgency").or_else(|| text(&affected.database_specific, "urgency"));
    let (mut vectors, mut rated) = severities(&affected.severity, &doc.id);
    vectors.dedup();
    rated = rated
        .or_else(|| urgency.and_then(rating))
        .or_else(|| text(specific, "severity").and_then(rating))
        .or_else(|| text(&affected.database_specific, "severity").and_then(rating));
    if doc.id.starts_with("MAL-") {
        rated = Some(Rating::Critical);
    }
    let statement = match urgency {
        Some("end-of-life") => Statement::Affected(FixState::EndOfLife),
        _ => Statement::None,
    };
    // The exporter lists every version it knows inside the ranges; with a distribution's total order that adds
    // nothing, and it is nine tenths of the bytes.
    let versions = if is_distribution(of) && !ranges.is_empty() {
        Vec::new()
    } else {
        affected.versions.clone()
    };
    Ok(Some(Record {
        id: doc.id.clone(),
        aliases: names.aliases.clone(),
        covers: names.covers.clone(),
        feed: format!("osv/{of}"),
        ranges,
        versions,
        statement,
        rating: rated,
        vectors,
        module: text(specific, "rpm_modularity").unwrap_or_default().to_owned(),
        arches: if is_distribution(of) { texts(specific, "arch") } else { Vec::new() },
        withdrawn: doc.withdrawn.as_ref().is_some_and(|w| !w.is_null()),
    }))
}

fn event(key: &str, value: &Value) -> Result<Event, String> {
    let version =
        value.as_str().ok_or_else(|| format!("an event `{key}` that is no text"))?.to_owned();
    Ok(match key {
        "introduced" => Event::Introduced(version),
        "fixed" => Event::Fixed(version),
        "last_affected" => Event::LastAffected(version),
        "limit" => Event::Limit(version),
        other => return Err(format!("an unknown event `{other}`")),
    })
}

/// CVSS vectors, each with who gave it, and a severity in words if there is one.
fn severities(list: &[Severity], id: &str) -> (Vec<(String, String)>, Option<Rating>) {
    let by = giver(id);
    let vectors = list
        .iter()
        .filter(|s| s.kind.starts_with("CVSS"))
        .map(|s| (by.clone(), s.score.clone()))
        .collect();
    let word = list.iter().filter(|s| !s.kind.starts_with("CVSS")).find_map(|s| rating(&s.score));
    (vectors, word)
}

/// Who is behind an id: `ghsa` of `GHSA-…`.
fn giver(id: &str) -> String {
    let prefix = id.split('-').next().unwrap_or_default();
    // A CVE in OSV form is NVD's, with NVD's vectors.
    if prefix == "CVE" { "nvd".to_owned() } else { prefix.to_ascii_lowercase() }
}

/// The severity in words of a whole document.
fn word_of(doc: &Document) -> Option<Rating> {
    text(&doc.database_specific, "severity").and_then(rating).or_else(|| {
        // AlmaLinux and Rocky write `Important: httpd security update`.
        doc.summary.split_once(':').and_then(|(word, _)| rating(word))
    })
}

fn cwes(specific: &Value) -> Vec<String> {
    let list = texts(specific, "cwe_ids");
    if list.is_empty() { texts(specific, "cwes") } else { list }
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn texts(object: &Value, key: &str) -> Vec<String> {
    let list = object.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).take(100).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
