//! A component of any SBOM, as it is read: the fields that all formats have, and what properties of known tools add.
//!
//! It decides nothing; [`super::intake`] does.

use std::collections::BTreeMap;

/// Most CPE names of one component: tools that guess them give some dozen.
const CPES_MAX: usize = 64;

/// Most properties of known tools on one component: Syft gives about 40 with names that are read.
const PROPERTIES_MAX: usize = 256;

/// One component.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Component {
    /// CycloneDX type or SPDX purpose, in lower case with `-`: `library`, `container`, `operating-system`.
    pub kind: String,
    /// Whether the document as a whole is about it.
    pub root: bool,
    /// Name.
    pub name: String,
    /// Group (Maven's, npm's scope).
    pub group: String,
    /// Version.
    pub version: String,
    /// Package URL.
    pub purl: String,
    /// CPE names.
    pub cpes: Vec<String>,
    /// Licences, as stated.
    pub licenses: Vec<String>,
    /// Supplier.
    pub vendor: String,
    /// Where it was found.
    pub path: String,
    /// Properties whose names are known, each with its first value.
    pub properties: BTreeMap<String, String>,
    /// Properties of Haechi that come several times.
    pub repeated: Vec<(String, String)>,
}

/// Tools whose properties say more than the standard's fields.
const PREFIXES: [&str; 3] = ["haechi:", "aquasecurity:trivy:", "syft:"];

/// Properties that come several times, in an order that means something.
const REPEATED: [&str; 6] = [
    "haechi:layer-digest",
    "haechi:tag",
    "haechi:cpe",
    "haechi:license",
    "haechi:problem",
    "aquasecurity:trivy:DiffID",
];

impl Component {
    /// Takes a property if it is one of a known tool.
    pub fn property(&mut self, name: String, value: String) {
        if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name == "syft:cpe23" {
            return;
        }
        if REPEATED.contains(&name.as_str()) {
            self.repeated.push((name, value));
        } else if self.properties.len() < PROPERTIES_MAX {
            self.properties.entry(name).or_insert(value);
        }
    }

    /// Takes a CPE name.
    pub fn cpe(&mut self, cpe: String) {
        if !cpe.is_empty() && self.cpes.len() < CPES_MAX {
            self.cpes.push(cpe);
        }
    }

    /// Takes a licence; those that say nothing are left out.
    pub fn license(&mut self, license: String) {
        if !matches!(license.as_str(), "" | "NOASSERTION" | "NONE") {
            self.licenses.push(license);
        }
    }

    /// The first of these properties that is there and not empty.
    pub fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| {
            self.properties.get(*name).map(String::as_str).filter(|v| !v.is_empty())
        })
    }

    /// All values of a repeated property.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.repeated.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The name with its group, in the way of the kinds whose names have one part only.
    pub fn full_name(&self, between: &str) -> String {
        if self.group.is_empty() {
            self.name.clone()
        } else {
            format!("{}{between}{}", self.group, self.name)
        }
    }
}

/// Most elements of one list inside a component; the longest real ones are properties of an image, some hundred.
const ELEMENTS_MAX: usize = 65_536;

/// A short list. A longer one is an error, because a few bytes of JSON would each take a hundred in memory.
pub(super) struct Few<T>(pub Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Few<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T>(std::marker::PhantomData<T>);
        impl<'de, T: serde::Deserialize<'de>> serde::de::Visitor<'de> for List<T> {
            type Value = Few<T>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Few<T>, A::Error> {
                let mut out = Vec::new();
                while let Some(element) = list.next_element()? {
                    if out.len() >= ELEMENTS_MAX {
                        let limit =
                            format!("a list of more than {ELEMENTS_MAX} elements in one component");
                        return Err(serde::de::Error::custom(limit));
                    }
                    out.push(element);
                }
                Ok(Few(out))
            }
        }
        from.deserialize_seq(List(std::marker::PhantomData))
    }
}
