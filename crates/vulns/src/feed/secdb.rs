//! Alpine's security database (<https://secdb.alpinelinux.org>), and those of Wolfi and Chainguard in its form.
//!
//! `{distroversion, reponame, packages: [{pkg: {name, secfixes: {version: [ids]}}}]}`. It lists fixes only: what is
//! open is not in it. Packages are origin packages.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::{Map, Value};

use super::{FeedError, Item, Parcel, Sink, json, keyable};
use crate::advisory::{Event, Range, Record, Statement};

/// Whose database it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the feed and of its source: `alpine-secdb/v3.20`, `wolfi-secdb`.
    pub source: String,
    /// The ecosystem as OSV writes it: `Alpine:v3.20`, `Wolfi`.
    pub ecosystem: String,
}

impl Owner {
    /// From the short members of the document.
    ///
    /// # Errors
    /// They name no distribution that is known.
    pub fn of(members: &Map<String, Value>) -> Result<Self, FeedError> {
        let text = |key: &str| members.get(key).and_then(Value::as_str).unwrap_or_default();
        let (url, release) = (text("urlprefix").to_ascii_lowercase(), text("distroversion"));
        let plain = |name: &str, ecosystem: &str| Self {
            source: name.to_owned(),
            ecosystem: ecosystem.to_owned(),
        };
        if url.contains("wolfi") {
            return Ok(plain("wolfi-secdb", "Wolfi"));
        }
        if url.contains("cgr.dev") || url.contains("chainguard") {
            return Ok(plain("chainguard-secdb", "Chainguard"));
        }
        let sane = release == "edge"
            || release.strip_prefix('v').is_some_and(|n| {
                n.len() < 16 && !n.is_empty() && n.chars().all(|c| c.is_ascii_digit() || c == '.')
            });
        if sane {
            return Ok(plain(&format!("alpine-secdb/{release}"), &format!("Alpine:{release}")));
        }
        Err(FeedError::Shape(format!("names no release that is known: distroversion `{release}`")))
    }
}

/// Reads one file. It must be told whose it is first ([`owner`]), for the release may stand behind the packages.
///
/// # Errors
/// It is not JSON, or the sink ends it.
pub fn read(input: impl Read, owner: &Owner, out: &mut dyn Sink) -> Result<(), FeedError> {
    json::each_of_array(input, "packages", &mut |element| {
        let Some(package) = element.get("pkg") else {
            out.broken("a package", "no `pkg`");
            return Ok(());
        };
        let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
        let fixes = package.get("secfixes").and_then(Value::as_object);
        let (true, Some(fixes)) = (keyable(name), fixes) else {
            out.broken(
                if name.is_empty() { "a package" } else { name },
                "no usable `name` or no `secfixes`",
            );
            return Ok(());
        };
        let items = items(name, fixes, owner, out);
        out.take(Parcel { id: name.to_owned(), modified: String::new(), items })
    })?;
    Ok(())
}

/// Whose file it is.
///
/// # Errors
/// It is not JSON, or nobody's that is known.
pub fn owner(input: impl Read) -> Result<Owner, FeedError> {
    Owner::of(&json::each_of_array(input, "", &mut |_| Ok(()))?)
}

fn items(name: &str, fixes: &Map<String, Value>, owner: &Owner, out: &mut dyn Sink) -> Vec<Item> {
    // By vulnerability: the same one may be fixed twice, when the first fix was not complete.
    let mut all: BTreeMap<String, (Vec<String>, Vec<&str>)> = BTreeMap::new();
    for (version, ids) in fixes {
        let Some(ids) = ids.as_array() else {
            // Seen in the feed for `null`: a version without ids.
            if !ids.is_null() {
                out.broken(&format!("{name} {version}"), "no list of ids");
            }
            continue;
        };
        for id in ids {
            let mut names = id.as_str().map(names).unwrap_or_default();
            if names.is_empty() {
                out.broken(&format!("{name} {version}"), "an id that is none");
                continue;
            }
            let first = names.remove(0);
            let entry = all.entry(first).or_default();
            entry.0.append(&mut names);
            entry.1.push(version);
        }
    }
    let mut items = Vec::new();
    for (id, (aliases, mut versions)) in all {
        // `0`: never affected. If there is a fix as well, it was affected.
        if versions.iter().any(|v| *v != "0") {
            versions.retain(|v| *v != "0");
        }
        let never = versions.iter().all(|v| *v == "0");
        let range = |v: &&str| Range {
            semver: false,
            events: vec![Event::Introduced("0".to_owned()), Event::Fixed((*v).to_owned())],
        };
        let record = Record {
            id,
            aliases,
            feed: owner.source.clone(),
            ranges: if never { Vec::new() } else { versions.iter().map(range).collect() },
            statement: if never { Statement::NotAffected } else { Statement::None },
            ..Record::default()
        };
        items.push(Item::Record {
            ecosystem: owner.ecosystem.clone(),
            name: name.to_owned(),
            record: Box::new(record),
        });
    }
    items
}

/// The names in one string (`CVE-2019-1 GHSA-…`), the CVE first.
fn names(text: &str) -> Vec<String> {
    let is_name = |w: &&str| {
        keyable(w)
            && w.contains('-')
            && w.starts_with(|c: char| c.is_ascii_uppercase())
            && w.contains(|c: char| c.is_ascii_digit())
    };
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | ';'));
    let mut names: Vec<String> = words.filter(is_name).map(str::to_owned).collect();
    names.sort_by_key(|n| !n.starts_with("CVE-"));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::testing::Basket;

    const HEAD: &str =
        r#""distroversion": "v3.20", "reponame": "main", "urlprefix": "https://x/alpine""#;

    #[test]
    fn fixes_become_ranges_and_zero_means_never() {
        let json = format!(
            r#"{{"packages": [{{"pkg": {{"name": "zlib", "secfixes": {{
                "0": ["CVE-2030-1", "CVE-2030-3"], "1.2-r1": ["CVE-2030-2 GHSA-aaaa-1", "CVE-2030-3"],
                "1.3-r0": ["CVE-2030-3"], "9": null, "8": ["?"]}}}}}}, {{"pkg": {{}}}}], {HEAD}}}"#
        );
        let owner = owner(json.as_bytes()).unwrap();
        assert_eq!(
            owner,
            Owner { source: "alpine-secdb/v3.20".into(), ecosystem: "Alpine:v3.20".into() }
        );
        let mut basket = Basket::default();
        read(json.as_bytes(), &owner, &mut basket).unwrap();
        let records = basket.records();
        assert_eq!(
            records.iter().map(|r| (r.0, r.1, r.2.id.as_str())).collect::<Vec<_>>(),
            [
                ("Alpine:v3.20", "zlib", "CVE-2030-1"),
                ("Alpine:v3.20", "zlib", "CVE-2030-2"),
                ("Alpine:v3.20", "zlib", "CVE-2030-3"),
            ]
        );
        assert_eq!(records[0].2.statement, Statement::NotAffected);
        assert_eq!(records[1].2.aliases, ["GHSA-aaaa-1"]);
        // Fixed twice, and `0` does not undo it.
        assert_eq!(records[2].2.ranges.len(), 2);
        assert_eq!(records[2].2.statement, Statement::None);
        assert_eq!(basket.broken.len(), 2, "{:?}", basket.broken);
    }

    #[test]
    fn whose_it_is_must_be_known() {
        let wolfi = r#"{"apkurl": "", "urlprefix": "https://packages.wolfi.dev", "packages": []}"#;
        assert_eq!(owner(wolfi.as_bytes()).unwrap().ecosystem, "Wolfi");
        for bad in [r#"{"distroversion": "../..", "packages": []}"#, r#"{"packages": []}"#, "{"] {
            assert!(owner(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
