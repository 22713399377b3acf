//! Secrets in files, environment variables, labels and build steps.
//!
//! One pass finds the keywords of all detectors (`detectors/*.yaml`); only around a keyword is an expression
//! tried, and only what stands its checks is a [`Hit`]. Work is linear in the content. It promises that no hit
//! shows a secret. Into zip and gzip files it looks one level deep and within limits (`packed.rs`); what else is
//! compressed is no candidate ([`is_candidate`]). A secret that has neither a form nor a name is not found. A
//! password that is known by its name alone is looked for in text only, and not in documentation and tests of
//! libraries. Keys that are published (`detectors/published.yaml`) are no secrets.

mod checks;
mod detector;
mod keyfiles;
mod packed;
mod places;
mod preview;
mod published;
mod readable;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use haechi_core::finding::Severity;
use haechi_core::text::Text;

use checks::Outcome;
pub use detector::BadDetectors;
use detector::{BEFORE, Detector, REACH_MAX};
pub use places::is_candidate;
pub(super) use places::is_documentation;
use places::{Place, names_secret};
use published::Published;

/// Bytes that two neighbouring windows of one file must share, so that no secret is lost between them.
pub const WINDOW_OVERLAP: usize = BEFORE + REACH_MAX + 64;

/// Hits of one detector in one content: after these it is known what the file is.
const HITS_MAX: usize = 100;

const FILES: [(&str, &str); 5] = [
    ("cloud.yaml", include_str!("../../detectors/cloud.yaml")),
    ("code.yaml", include_str!("../../detectors/code.yaml")),
    ("services.yaml", include_str!("../../detectors/services.yaml")),
    ("keys.yaml", include_str!("../../detectors/keys.yaml")),
    ("passwords.yaml", include_str!("../../detectors/passwords.yaml")),
];

/// A secret that was found, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Id of the detector.
    pub detector: String,
    /// Line in the content that was given, counted from 1; 0 if it has no lines.
    pub line: u32,
    /// At most 40 characters around it, with `…` for the secret; control characters are visible.
    pub preview: String,
    /// How bad it is.
    pub severity: Severity,
}

/// All detectors, compiled.
pub struct Detectors {
    list: Vec<Detector>,
    keywords: AhoCorasick,
    /// For each keyword the index of its detector.
    owners: Vec<usize>,
    /// Detectors without keywords, for the whole of certain files.
    unkeyed: Vec<usize>,
    published: Published,
}

/// A match that stood its checks.
struct Candidate<'a> {
    detector: &'a Detector,
    whole: Range<usize>,
    secret: Range<usize>,
    severity: Severity,
}

impl Detectors {
    /// Compiles the embedded detectors; takes some milliseconds.
    ///
    /// # Errors
    /// A detector is broken. A test rules that out.
    pub fn new() -> Result<Self, BadDetectors> {
        let list = detector::load(&FILES)?;
        let mut words = Vec::new();
        let mut owners = Vec::new();
        for (index, detector) in list.iter().enumerate() {
            for word in &detector.source.keywords {
                words.push(word.as_str());
                owners.push(index);
            }
        }
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)?;
        let unkeyed = list
            .iter()
            .enumerate()
            .filter(|(_, detector)| detector.source.keywords.is_empty())
            .map(|(index, _)| index)
            .collect();
        Ok(Self { list, keywords, owners, unkeyed, published: Published::load()? })
    }

    /// The embedded detectors, compiled once.
    ///
    /// # Errors
    /// As for [`Detectors::new`].
    pub fn embedded() -> Result<&'static Self, &'static BadDetectors> {
        static DETECTORS: LazyLock<Result<Detectors, BadDetectors>> = LazyLock::new(Detectors::new);
        DETECTORS.as_ref()
    }

    /// The title of a detector.
    pub fn title(&self, id: &str) -> Option<&Text> {
        let named = self.list.iter().find(|detector| detector.source.id == id);
        named.map(|detector| &detector.source.title)
    }

    /// Secrets in a file or in a window of one.
    pub fn scan(&self, path: &str, content: &[u8]) -> Vec<Hit> {
        if let Some(members) = packed::members(path, content) {
            let hits = members.into_iter().flat_map(|member| {
                let found = self.scan_plain(&format!("{path}/{}", member.name), &member.content);
                found.into_iter().map(move |hit| packed::inside(&member.name, hit))
            });
            // A key store that is a zip file is none that we know, so nothing else is to be seen here.
            return hits.take(HITS_MAX).collect();
        }
        self.scan_plain(path, content)
    }

    fn scan_plain(&self, path: &str, content: &[u8]) -> Vec<Hit> {
        let content = packed::utf8(content);
        let place = Place::of(path);
        let mut hits = keyfiles::scan(path, &content);
        if place != Place::Own {
            hits.iter_mut().for_each(|hit| hit.severity = Severity::Low);
        }
        let binary = memchr::memchr(0, &content).is_some();
        let found = self.find(path, &content, binary, !binary && place == Place::Own);
        hits.extend(show(&content, &found, place != Place::Own));
        hits
    }

    /// Secrets in an environment variable or label `name`, or in a build step (`name` is then what to call it).
    pub fn scan_value(&self, name: &str, value: &str) -> Vec<Hit> {
        let is_variable = !name.is_empty() && !name.contains(char::is_whitespace);
        let text = if is_variable { format!("{name}={value}") } else { value.to_owned() };
        // Build steps and variables are written as in a file of variables.
        let found = self.find(".env", text.as_bytes(), false, true);
        let mut hits = show(text.as_bytes(), &found, false);
        if hits.is_empty() && is_variable && names_secret(name) {
            let value = value.trim().as_bytes();
            if !checks::is_placeholder(value)
                && checks::Check::Password.decide(value, value) == Outcome::Yes
                && !value.iter().all(u8::is_ascii_digit)
            {
                hits.push(Hit {
                    detector: "named-secret".into(),
                    line: 1,
                    preview: preview::shown(name.as_bytes(), b"=", ""),
                    severity: Severity::High,
                });
            }
        }
        for hit in &mut hits {
            hit.line = 0;
        }
        hits
    }

    /// A value that changes when the detectors change; the same on every machine.
    pub fn fingerprint() -> u64 {
        let mut hash = Fnv::default();
        hash.write(env!("CARGO_PKG_VERSION").as_bytes());
        hash.write(&CODE_VERSION.to_le_bytes());
        for (name, content) in FILES.into_iter().chain([published::FILE]) {
            hash.write(name.as_bytes());
            hash.write(content.as_bytes());
        }
        hash.finish()
    }

    /// In binary content, only what can be text is searched for keywords.
    fn find<'a>(
        &'a self,
        path: &str,
        content: &[u8],
        binary: bool,
        generic: bool,
    ) -> Vec<Candidate<'a>> {
        let mut windows: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        let whole = 0..content.len();
        let wanted: Vec<bool> = self
            .list
            .iter()
            .map(|detector| (generic || !detector.source.generic) && detector.is_for(path))
            .collect();
        for index in &self.unkeyed {
            if wanted.get(*index) == Some(&true) {
                windows.entry(*index).or_default().push(0..content.len());
            }
        }
        let parts = if binary { readable::ranges(content) } else { Vec::from([whole]) };
        for part in parts {
            let Some(text) = content.get(part.clone()) else { continue };
            for hit in self.keywords.find_overlapping_iter(text) {
                let Some(owner) = self.owners.get(hit.pattern().as_usize()).copied() else {
                    continue;
                };
                if wanted.get(owner) != Some(&true) {
                    continue;
                }
                let Some(detector) = self.list.get(owner) else { continue };
                let start = (part.start + hit.start()).saturating_sub(BEFORE);
                let end = (part.start + hit.end() + detector.source.reach).min(content.len());
                let list = windows.entry(owner).or_default();
                // Windows that touch become one, so that each byte is looked at once for each detector.
                match list.last_mut() {
                    Some(last) if start <= last.end => last.end = last.end.max(end),
                    _ => list.push(start..end),
                }
            }
        }
        let mut found = Vec::new();
        for (index, list) in windows {
            let Some(detector) = self.list.get(index) else { continue };
            find_one(detector, &self.published, content, &list, &mut found);
        }
        found.sort_by_key(|one| (one.secret.start, one.secret.end));
        drop_doubles(found)
    }
}

/// Raised when the code of the detectors changes what they find.
const CODE_VERSION: u64 = 2;

fn find_one<'a>(
    detector: &'a Detector,
    published: &Published,
    content: &[u8],
    windows: &[Range<usize>],
    found: &mut Vec<Candidate<'a>>,
) {
    let mut count = 0;
    let is_program = places::is_program(content);
    for window in windows {
        let Some(text) = content.get(window.clone()) else { continue };
        for captures in detector.regex.captures_iter(text) {
            let (Some(whole), Some(secret)) = (captures.get(0), captures.name("secret")) else {
                continue;
            };
            if checks::is_placeholder(secret.as_bytes()) {
                continue;
            }
            // A merged window may be the whole file: checks see the neighbourhood only.
            let from = whole.start().saturating_sub(detector.source.reach);
            let to = (whole.end() + detector.source.reach).min(text.len());
            let near = text.get(from..to).unwrap_or_default();
            let outcome = detector.source.checks.iter().try_fold(Outcome::Yes, |worst, check| {
                // A key says in its own first line what it is; many keys side by side must not cost a
                // look at the neighbourhood each.
                let own = *check == checks::Check::PrivateKey;
                let seen = if own { whole.as_bytes() } else { near };
                match check.decide(secret.as_bytes(), seen) {
                    Outcome::No => None,
                    other => Some(worst.min(other)),
                }
            });
            let severity = match outcome {
                None | Some(Outcome::No) => continue,
                Some(_) if published.knows(secret.as_bytes()) => continue,
                // Keys in the code of a program are mostly those of its self-test.
                Some(_) if is_program && detector.source.id == "private-key" => Severity::Low,
                Some(Outcome::Weak) => detector.source.weak,
                Some(Outcome::Yes) => detector.source.severity,
            };
            let at = |range: Range<usize>| window.start + range.start..window.start + range.end;
            found.push(Candidate {
                detector,
                whole: at(whole.range()),
                secret: at(secret.range()),
                severity,
            });
            count += 1;
            if count >= HITS_MAX {
                return;
            }
        }
    }
}

/// Drops generic hits on the secret of a better one, and what two detectors see in the same place.
fn drop_doubles(found: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let mut kept: Vec<Candidate<'_>> = Vec::new();
    for one in found {
        match kept.last_mut() {
            Some(last) if one.secret.start < last.secret.end => {
                let better = last.detector.source.generic && !one.detector.source.generic;
                if better {
                    *last = one;
                } else if !one.detector.source.generic
                    && one.detector.source.id != last.detector.source.id
                    && one.secret != last.secret
                {
                    kept.push(one);
                }
            }
            _ => kept.push(one),
        }
    }
    kept
}

fn show(content: &[u8], found: &[Candidate<'_>], is_minor: bool) -> Vec<Hit> {
    let mut hits = Vec::with_capacity(found.len());
    let (mut line, mut counted, mut hidden) = (1_u32, 0_usize, 0_usize);
    for one in found {
        let between = content.get(counted..one.secret.start).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', between).count();
        line = line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        counted = counted.max(one.secret.start);
        // What stands before a secret may itself be one.
        let from = one.whole.start.max(hidden).min(one.secret.start);
        let before = content.get(from..one.secret.start).unwrap_or_default();
        let secret = content.get(one.secret.clone()).unwrap_or_default();
        let words = one.detector.source.keywords.iter();
        let prefix = words
            .filter(|word| secret.starts_with(word.as_bytes()) && word.len() * 3 <= secret.len())
            .map(String::as_str)
            .max_by_key(|word| word.len())
            .unwrap_or_default();
        hidden = hidden.max(one.secret.end);
        hits.push(Hit {
            detector: one.detector.source.id.clone(),
            line,
            preview: preview::shown(before, b"", prefix),
            severity: if is_minor { Severity::Low } else { one.severity },
        });
    }
    hits
}

/// FNV-1a: the same on every machine and with every compiler, which the standard hasher does not promise.
/// <https://datatracker.ietf.org/doc/draft-eastlake-fnv/>
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl std::hash::Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
