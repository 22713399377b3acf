//! Which artifact a Java archive is.
//!
//! 1. Every Maven project inside (`pom.properties`, `pom.xml`) is a package.
//! 2. The archive itself is one more if none of them is it: by its name, or if there are none. Its version is
//!    `Implementation-Version` (for Jenkins `Plugin-Version`), else that of its name (`artifact-1.2.3.jar`), else
//!    `Bundle-Version` or `Specification-Version`. Its artifact is that of its name if the name has a version, else
//!    `Implementation-Title` or `Short-Name` if it is one word, else the name.
//! 3. Its group is what the manifest says (`Group-Id`, `group#artifact;version` in the title, `Implementation-Vendor-Id`,
//!    a `Bundle-SymbolicName` or `Automatic-Module-Name` that ends in the artifact), but first what `java-names.yaml`
//!    knows of the artifact or the bundle.
//! 4. Without a group it is named by its artifact alone, which no advisory does, so this is said.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A group, an artifact, a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Artifact {
    pub group: Option<String>,
    pub name: String,
    pub version: String,
}

impl Artifact {
    pub fn full_name(&self) -> String {
        self.group
            .as_ref()
            .map_or_else(|| self.name.clone(), |group| format!("{group}:{}", self.name))
    }
}

/// Names that archives without a Maven project have.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    /// Artifact, or its beginning with `*`, to group.
    artifacts: BTreeMap<String, String>,
    /// `Bundle-SymbolicName` to `group:artifact`.
    bundles: BTreeMap<String, String>,
}

/// The content file; a test reads it strictly.
static NAMES: LazyLock<Names> = LazyLock::new(|| {
    serde_norway::from_str(include_str!("../../../java-names.yaml")).unwrap_or_default()
});

/// What an archive has that tells what it is.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// File name without its extension.
    stem: &'a str,
    /// The main section.
    pub manifest: BTreeMap<String, String>,
    /// Maven projects.
    pub poms: Vec<Artifact>,
    /// A `pom.xml` whose version is elsewhere.
    pub unclear_pom: bool,
    pub has_classes: bool,
    pub has_archives: bool,
}

/// The main section of a manifest: names in lower case, with long lines joined
/// (<https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html>).
pub(super) fn main_section(text: &str) -> BTreeMap<String, String> {
    let mut section: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix(' ') {
            if let Some(value) = section.get_mut(&last) {
                value.push_str(rest);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            section.insert(last.clone(), value.trim().to_owned());
        }
    }
    section
}

impl<'a> Parts<'a> {
    pub fn new(path: &'a str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        Self { stem, ..Self::default() }
    }

    /// The packages, and what cannot be told.
    pub fn identify(&self) -> (Vec<Artifact>, Option<String>) {
        let mut artifacts = self.poms.clone();
        artifacts
            .sort_by(|a, b| (&a.group, &a.name, &a.version).cmp(&(&b.group, &b.name, &b.version)));
        artifacts.dedup();
        let mut note = artifacts.iter().find(|it| it.group.is_none()).map(no_group);
        if self.is_among(&artifacts) {
            return (artifacts, note);
        }
        match self.own() {
            Some(own) => {
                if own.group.is_none() {
                    note = Some(no_group(&own));
                }
                artifacts.push(own);
            }
            // An application (it has archives, or a main class) is not a library that was forgotten.
            None if artifacts.is_empty() && self.is_library() => {
                note = Some("a Java library that does not say which it is".to_owned());
            }
            None => {}
        }
        (artifacts, note)
    }

    fn is_library(&self) -> bool {
        let main = ["main-class", "start-class", "launcher-agent-class"];
        self.unclear_pom
            || (self.has_classes
                && !self.has_archives
                && !main.iter().any(|key| self.manifest.contains_key(*key)))
    }

    /// Whether one of these is the archive itself: by its name, or because it is the only one and the name says
    /// no version.
    fn is_among(&self, artifacts: &[Artifact]) -> bool {
        let named = artifacts.iter().any(|artifact| {
            self.stem.strip_prefix(&artifact.name).is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix(['-', '_', '.'])
                        .is_some_and(|rest| rest.starts_with(&artifact.version))
            }) || self.stem.ends_with(&format!(".{}-{}", artifact.name, artifact.version))
        });
        named || (!artifacts.is_empty() && name_and_version(self.stem).is_none())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.manifest.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn version(&self, key: &str) -> Option<&str> {
        let value = self.get(key)?.split_whitespace().next()?;
        let number = value.strip_prefix('v').unwrap_or(value);
        number.starts_with(|c: char| c.is_ascii_digit()).then_some(number)
    }

    /// The archive by its manifest and name.
    fn own(&self) -> Option<Artifact> {
        let title = self.get("implementation-title").or_else(|| self.get("short-name"));
        // Gradle's plugins write `group#artifact;version`.
        if let Some((group, rest)) = title.and_then(|title| title.split_once('#'))
            && let Some((name, version)) = rest.split_once(';')
        {
            return Some(Artifact {
                group: Some(group.to_owned()),
                name: name.to_owned(),
                version: version.to_owned(),
            });
        }
        let by_name = name_and_version(self.stem);
        let version = self
            .version("implementation-version")
            .or_else(|| self.version("plugin-version"))
            .or(by_name.map(|(_, version)| version))
            .or_else(|| self.version("bundle-version"))
            .or_else(|| self.version("specification-version"))?
            .to_owned();
        let bundle =
            self.get("bundle-symbolicname").and_then(|name| name.split(';').next()).map(str::trim);
        if let Some((group, name)) = bundle
            .and_then(|bundle| NAMES.bundles.get(bundle))
            .and_then(|full| full.split_once(':'))
        {
            return Some(Artifact {
                group: Some(group.to_owned()),
                name: name.to_owned(),
                version,
            });
        }
        let name = match (by_name, title) {
            (Some((name, _)), _) => name,
            (None, Some(title)) if is_artifact(title) => title,
            _ => self.stem,
        };
        let group = known_group(name).or_else(|| self.group(name, bundle));
        Some(Artifact { group, name: name.to_owned(), version })
    }

    fn group(&self, artifact: &str, bundle: Option<&str>) -> Option<String> {
        let stated = ["group-id", "implementation-vendor-id"]
            .into_iter()
            .find_map(|key| self.get(key).filter(|value| is_group(value)));
        let module = self.get("automatic-module-name");
        stated
            .or_else(|| {
                bundle.into_iter().chain(module).find_map(|name| {
                    let group = name.strip_suffix(artifact)?.strip_suffix('.')?;
                    is_group(group).then_some(group)
                })
            })
            .map(str::to_owned)
    }
}

fn no_group(artifact: &Artifact) -> String {
    format!(
        "{} {}: a Java library whose group is unknown, so no advisory can be found",
        artifact.name, artifact.version
    )
}

fn known_group(artifact: &str) -> Option<String> {
    NAMES.artifacts.get(artifact).cloned().or_else(|| {
        NAMES.artifacts.iter().find_map(|(pattern, group)| {
            artifact.starts_with(pattern.strip_suffix('*')?).then(|| group.clone())
        })
    })
}

/// `org.apache.commons`: no words, and a dot.
fn is_group(text: &str) -> bool {
    text.contains('.') && is_artifact(text)
}

fn is_artifact(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Words that are part of a version: `2.0-beta-9`, `31.1-jre`.
const QUALIFIERS: [&str; 18] = [
    "alpha",
    "beta",
    "rc",
    "cr",
    "m",
    "b",
    "snapshot",
    "jre",
    "android",
    "final",
    "ga",
    "incubating",
    "build",
    "redhat",
    "sp",
    "release",
    "pre",
    "v",
];

/// `artifact-1.2.3-classifier` taken apart; `log4j-1.2-api-2.17.1` is `log4j-1.2-api` and `2.17.1`.
pub(super) fn name_and_version(stem: &str) -> Option<(&str, &str)> {
    let is_word = |part: &str| {
        let word: String = part.chars().take_while(char::is_ascii_alphabetic).collect();
        !word.is_empty() && !QUALIFIERS.contains(&word.to_ascii_lowercase().as_str())
    };
    let number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let mut result = None;
    for (at, _) in stem.match_indices(['-', '_']).take(64) {
        let (Some(name), Some(rest)) = (stem.get(..at), stem.get(at + 1..)) else { continue };
        if !number(rest) || name.is_empty() {
            continue;
        }
        // Up to the first word that is no qualifier: a classifier, or the name goes on.
        let mut end = rest.len();
        let mut start = 0;
        for part in rest.split('-') {
            if is_word(part) {
                end = start - 1;
                break;
            }
            start += part.len() + 1;
        }
        result = Some((name, rest.get(..end)?));
        let goes_on = rest
            .get(end..)
            .is_some_and(|tail| tail.split('-').any(|part| number(part) && part.contains('.')));
        if !goes_on {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_file_is_well_formed() {
        let names: Names =
            serde_norway::from_str(include_str!("../../../java-names.yaml")).unwrap();
        assert!(names.artifacts.values().all(|group| is_artifact(group)));
        assert!(names.bundles.values().all(|full| full.contains(':')));
    }

    #[test]
    fn names_are_taken_apart() {
        for (stem, expected) in [
            ("log4j-core-2.0-beta9", Some(("log4j-core", "2.0-beta9"))),
            ("commons-lang3-3.12.0", Some(("commons-lang3", "3.12.0"))),
            ("log4j-1.2-api-2.17.1", Some(("log4j-1.2-api", "2.17.1"))),
            ("guava-31.1-jre", Some(("guava", "31.1-jre"))),
            ("scala-library_2.13-1.4.0", Some(("scala-library", "2.13-1.4.0"))),
            ("netty-epoll-4.1.100.Final-linux-x86_64", Some(("netty-epoll", "4.1.100.Final"))),
            ("app", None),
            ("-1.0", None),
        ] {
            assert_eq!(name_and_version(stem), expected, "{stem}");
        }
    }

    #[test]
    fn a_long_line_is_joined_and_later_sections_are_not_read() {
        let section = main_section("A: one\r\n two\r\nB: x\r\n\r\nName: C\r\nB: y\r\n");
        assert_eq!(section["a"], "onetwo");
        assert_eq!(section["b"], "x");
    }
}
