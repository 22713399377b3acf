//! What a file is, found in its content: names can be anything.
//!
//! Only as much is read as is needed: of JSON, keys up to the first that tells.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One OSV advisory.
    Osv,
    /// One CVE of NVD (the `cve` object).
    NvdObject,
    /// A page or feed file of NVD 2.0.
    NvdPage,
    /// CISA's catalogue.
    Kev,
    /// Alpine's security database, or one in its form.
    Secdb,
    /// Debian's security tracker.
    Tracker,
    /// EPSS scores, with the day that it says they are of (empty if none).
    Epss(String),
    /// A zip archive.
    Zip,
    /// A tar archive.
    Tar,
    /// None of these.
    Unknown,
}

/// Most keys that are looked at: every known document tells within a few dozen.
const MAX_KEYS: usize = 64;

/// Finds out what decompressed bytes are. `head` is the beginning (512 bytes are enough), `rest` what follows.
pub fn of(head: &[u8], rest: impl Read) -> Shape {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Shape::Zip;
    }
    // POSIX.1-1988 ustar: the magic at 257.
    if head.get(257..262) == Some(b"ustar") {
        return Shape::Tar;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.first() == Some(&b'{') {
        return of_json(std::io::Cursor::new(text).chain(rest));
    }
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim().to_ascii_lowercase();
    if line.starts_with("#model_version") {
        return Shape::Epss(super::epss::date(&line).unwrap_or_default().to_owned());
    }
    if line == "cve,epss" || line.starts_with("cve,epss,percentile") {
        return Shape::Epss(String::new());
    }
    Shape::Unknown
}

/// Finds out what a JSON document is.
pub fn of_json(input: impl Read) -> Shape {
    let mut clues = Clues::default();
    let mut de = serde_json::Deserializer::from_reader(std::io::BufReader::new(input));
    // It ends in an error as soon as the shape is known; so does a broken document, whose reader will say so.
    let _ = de.deserialize_map(Keys(&mut clues));
    clues.shape()
}

#[derive(Default)]
struct Clues {
    found: Option<Shape>,
    keys: usize,
    id: bool,
    osv: bool,
    weak_osv: bool,
    nvd: bool,
}

impl Clues {
    fn shape(self) -> Shape {
        match self.found {
            Some(shape) => shape,
            None if self.id && (self.osv || self.weak_osv) => Shape::Osv,
            None if self.id && self.nvd => Shape::NvdObject,
            None => Shape::Unknown,
        }
    }

    fn decide(&mut self) {
        if self.id && self.nvd {
            self.found = Some(Shape::NvdObject);
        } else if self.id && self.osv {
            self.found = Some(Shape::Osv);
        }
    }
}

struct Keys<'a>(&'a mut Clues);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let clues = self.0;
        while let Some(key) = map.next_key::<String>()? {
            clues.keys += 1;
            match key.as_str() {
                "id" => {
                    clues.id = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "schema_version" | "affected" => {
                    clues.osv = true;
                    // Its value may be the longest part of the document: it is left unread if this decides.
                    clues.decide();
                    if clues.found.is_none() {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                "modified" => {
                    clues.weak_osv = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "sourceIdentifier" | "vulnStatus" | "lastModified" => {
                    clues.nvd = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "catalogVersion" | "dateReleased" => clues.found = Some(Shape::Kev),
                "resultsPerPage" => clues.found = Some(Shape::NvdPage),
                "vulnerabilities" => {
                    clues.found = Some(match map.next_value_seed(First)? {
                        Some(first) if first.get("cve").is_some() => Shape::NvdPage,
                        Some(first) if first.get("cveID").is_some() => Shape::Kev,
                        _ => Shape::Unknown,
                    });
                }
                "packages" => {
                    clues.found = Some(match map.next_value_seed(First)? {
                        Some(first) if first.get("pkg").is_some() => Shape::Secdb,
                        _ => Shape::Unknown,
                    });
                }
                _ if clues.keys == 1 => {
                    if is_tracker(&map.next_value()?) {
                        clues.found = Some(Shape::Tracker);
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            clues.decide_unless_found();
            if clues.found.is_some() || clues.keys >= MAX_KEYS {
                return Err(A::Error::custom("enough seen"));
            }
        }
        Ok(())
    }
}

impl Clues {
    fn decide_unless_found(&mut self) {
        if self.found.is_none() {
            self.decide();
        }
    }
}

/// `{CVE: {releases: …}}`
fn is_tracker(value: &Value) -> bool {
    let first = value.as_object().and_then(|o| o.iter().next());
    first.is_some_and(|(id, entry)| {
        (id.starts_with("CVE-") || id.starts_with("TEMP-"))
            && entry.get("releases").is_some_and(Value::is_object)
    })
}

/// The first element of an array; nothing if it is empty or no array.
struct First;

impl<'de> DeserializeSeed<'de> for First {
    type Value = Option<Value>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        // Wrapped, because the visitor ends early, which a deserializer of JSON takes for an error.
        let mut found = None;
        match d.deserialize_any(FirstVisitor(&mut found)) {
            Ok(()) => Ok(found),
            Err(error) if found.is_none() => Err(error),
            Err(_) => Ok(found),
        }
    }
}

struct FirstVisitor<'a>(&'a mut Option<Value>);

impl<'de> Visitor<'de> for FirstVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or object")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        *self.0 = seq.next_element()?;
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        of(text.as_bytes(), std::io::empty())
    }

    #[test]
    fn each_feed_is_known_by_its_content() {
        for (text, expected) in [
            (r#"{"schema_version": "1.6", "id": "X-1", "affected": []}"#, Shape::Osv),
            (r#"{"id": "X-1", "modified": "2030"}"#, Shape::Osv),
            (r#"{"id": "CVE-1", "sourceIdentifier": "x"}"#, Shape::NvdObject),
            (
                r#"{"format": "NVD_CVE", "vulnerabilities": [{"cve": {"id": "CVE-1"}}, {"x": 1}]}"#,
                Shape::NvdPage,
            ),
            (r#"{"title": "x", "vulnerabilities": [{"cveID": "CVE-1"}]}"#, Shape::Kev),
            (r#"{"reponame": "main", "packages": [{"pkg": {}}]}"#, Shape::Secdb),
            (r#"{"zlib": {"CVE-1": {"releases": {}}}}"#, Shape::Tracker),
            ("#model_version:v1,score_date:2030-01-01\ncve,epss", Shape::Epss("2030-01-01".into())),
            ("cve,epss,percentile\n", Shape::Epss(String::new())),
            ("PK\x03\x04 …", Shape::Zip),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn other_things_are_not() {
        for text in [
            "",
            "{}",
            "[]",
            "{",
            "x",
            r#"{"packages": {"": {}}}"#,
            r#"{"vulnerabilities": []}"#,
            r#"{"id": 1}"#,
            r#"{"bomFormat": "CycloneDX", "vulnerabilities": [{"id": "CVE-1"}]}"#,
            r#"{"dataType": "CVE_RECORD", "containers": {}}"#,
            "CVE,CVSS3,EPSS\n",
        ] {
            assert_eq!(shape(text), Shape::Unknown, "{text}");
        }
    }
}
