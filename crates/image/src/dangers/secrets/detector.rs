//! The format of a detector (`detectors/*.yaml`) and its compiled form.
//!
//! A detector is data: keywords, one expression around them, and checks of the text that it finds. It promises
//! that a detector which cannot find anything (no group `secret`, no keyword, an expression that does not
//! compile) is refused with its name. It does not scan.

use haechi_core::finding::Severity;
use haechi_core::text::Text;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::checks::Check;
use super::places::is_library;

/// Bytes before a keyword that an expression may look at: names, quotes and blanks before a value.
pub(super) const BEFORE: usize = 128;
/// Bytes after a keyword, unless the detector says otherwise: a long token and what stands around it.
const REACH: usize = 512;
/// The longest `reach`: the text form of an RSA key of 16384 bits has 12.6 kB.
pub(super) const REACH_MAX: usize = 16 << 10;
/// Memory of one compiled expression: the embedded ones need far less.
const EXPRESSION_BYTES_MAX: usize = 4 << 20;

/// Why a file of detectors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadDetectors {
    /// The file is no list of detectors.
    #[error("{file}: {error}")]
    Syntax {
        /// File.
        file: &'static str,
        /// What the YAML reader says, with line and column.
        error: serde_norway::Error,
    },
    /// A detector cannot work.
    #[error("detector {id}: {cause}")]
    Detector {
        /// Its id.
        id: String,
        /// Why.
        cause: String,
    },
    /// The keywords cannot be searched.
    #[error("keywords of the detectors: {0}")]
    Keywords(#[from] aho_corasick::BuildError),
}

/// A detector as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub id: String,
    pub title: Text,
    pub severity: Severity,
    /// Severity of what only looks half as a secret: encrypted, wrong checksum.
    #[serde(default = "low")]
    pub weak: Severity,
    /// Texts (in any case of letters) of which one is near every secret; may be absent if `files` are few.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Names of files that it is for: `*.ext`, `name`, or the end of a path `etc/name`. Absent: all.
    #[serde(default)]
    pub files: Vec<String>,
    /// Whether it is for installed libraries, for all but those, or (absent) for all files.
    #[serde(default)]
    pub libraries: Option<Libraries>,
    /// Expression with a group `secret`.
    pub regex: String,
    /// Bytes after the keyword that the expression looks at.
    #[serde(default = "reach")]
    pub reach: usize,
    /// What must be true of the group `secret`.
    #[serde(default, with = "serde_norway::with::singleton_map_recursive")]
    pub checks: Vec<Check>,
    /// Whether it knows a secret only by its name: gives way to others, and is for text only.
    #[serde(default)]
    pub generic: bool,
    /// Texts that must be found. `<kind:n>` stands for n made-up characters.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub matches: Vec<Example>,
    /// Texts that must not be found.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub misses: Vec<Example>,
}

/// What a detector has to do with libraries that a package manager installed: their code is public, and what looks like
/// a password in it is mostly a default, a name or a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Libraries {
    /// It is for these alone.
    Only,
    /// It is for all but these.
    Never,
}

/// One example: a text, or a text in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
pub(super) enum Example {
    /// In a file without a telling name.
    Text(String),
    /// In this file.
    File {
        /// Path.
        path: String,
        /// Content.
        text: String,
    },
}

fn low() -> Severity {
    Severity::Low
}

fn reach() -> usize {
    REACH
}

/// A detector ready to use.
pub(super) struct Detector {
    pub source: Source,
    pub regex: Regex,
}

impl Detector {
    fn compile(source: Source) -> Result<Self, BadDetectors> {
        let bad = |cause: String| BadDetectors::Detector { id: source.id.clone(), cause };
        if source.keywords.is_empty() && source.files.is_empty() {
            return Err(bad("has neither keywords nor files".into()));
        }
        if source.keywords.iter().any(|word| word.len() < 2) {
            return Err(bad("has a keyword of less than two bytes".into()));
        }
        if source.reach > REACH_MAX {
            return Err(bad(format!("reach is over {REACH_MAX}")));
        }
        let regex = RegexBuilder::new(&source.regex)
            .unicode(false)
            .size_limit(EXPRESSION_BYTES_MAX)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        if !regex.capture_names().flatten().any(|name| name == "secret") {
            return Err(bad("its expression has no group `secret`".into()));
        }
        Ok(Self { source, regex })
    }

    /// Whether it is for the file `path`.
    pub fn is_for(&self, path: &str) -> bool {
        match self.source.libraries {
            Some(Libraries::Only) if !is_library(path) => return false,
            Some(Libraries::Never) if is_library(path) => return false,
            _ => {}
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        self.source.files.is_empty()
            || self.source.files.iter().any(|pattern| {
                if let Some(end) = pattern.strip_prefix('*') {
                    name.ends_with(end)
                } else if pattern.contains('/') {
                    path.strip_suffix(pattern.as_str())
                        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
                } else {
                    name == pattern
                }
            })
    }
}

/// Compiles files of detectors: name and content.
///
/// # Errors
/// A file is no list of detectors, or a detector cannot work.
pub(super) fn load(files: &[(&'static str, &str)]) -> Result<Vec<Detector>, BadDetectors> {
    let mut detectors = Vec::new();
    for &(file, yaml) in files {
        let sources: Vec<Source> =
            serde_norway::from_str(yaml).map_err(|error| BadDetectors::Syntax { file, error })?;
        for source in sources {
            detectors.push(Detector::compile(source)?);
        }
    }
    Ok(detectors)
}
