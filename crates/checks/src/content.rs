//! Loads checks and benchmarks: the embedded ones, and those that a site adds or overrides.
//!
//! Texts come in from the caller (this crate reads no file); every error names the file and the place in it.
//! A check is compiled when it is first needed, so a verification pays only for its own benchmark.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use cel::Env;

use crate::benchmark::Benchmark;
use crate::check::{Check, Compiled};
use crate::coverage::Coverage;
use crate::functions;

/// A larger file is not content.
const SIZE_MAX: usize = 4 << 20;

/// A content file: its name in errors, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name in errors, usually the path.
    pub name: String,
    /// YAML.
    pub yaml: String,
}

/// What is wrong with a content file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct ContentError {
    /// The file.
    pub file: String,
    /// What is wrong, with its place.
    pub message: String,
}

const CHECKS: &[(&str, &str)] = &[
    ("checks/host.yaml", include_str!("../../../checks/host.yaml")),
    ("checks/engine.yaml", include_str!("../../../checks/engine.yaml")),
    ("checks/files.yaml", include_str!("../../../checks/files.yaml")),
    ("checks/audit.yaml", include_str!("../../../checks/audit.yaml")),
    ("checks/swarm.yaml", include_str!("../../../checks/swarm.yaml")),
    ("checks/network.yaml", include_str!("../../../checks/network.yaml")),
    ("checks/image.yaml", include_str!("../../../checks/image.yaml")),
    ("checks/container.yaml", include_str!("../../../checks/container.yaml")),
    ("checks/operations.yaml", include_str!("../../../checks/operations.yaml")),
];

const BENCHMARKS: &[(&str, &str)] = &[
    (
        "benchmarks/cis-docker-1.13.0.yaml",
        include_str!("../../../benchmarks/cis-docker-1.13.0.yaml"),
    ),
    ("benchmarks/cis-docker-1.6.0.yaml", include_str!("../../../benchmarks/cis-docker-1.6.0.yaml")),
    ("benchmarks/nist-sp-800-190.yaml", include_str!("../../../benchmarks/nist-sp-800-190.yaml")),
    ("benchmarks/haechi-runtime.yaml", include_str!("../../../benchmarks/haechi-runtime.yaml")),
];

const COVERAGE: (&str, &str) =
    ("benchmarks/coverage.yaml", include_str!("../../../benchmarks/coverage.yaml"));

/// All checks and benchmarks.
pub struct Content {
    env: Arc<Env>,
    checks: BTreeMap<String, Loaded>,
    benchmarks: Vec<Benchmark>,
}

struct Loaded {
    file: String,
    check: Check,
    compiled: OnceLock<Result<Compiled, Vec<String>>>,
}

impl Content {
    /// The embedded content.
    ///
    /// # Errors
    /// The embedded files are broken: a mistake of Haechi's, caught by its tests.
    pub fn embedded() -> Result<Self, Vec<ContentError>> {
        Self::with_site(&[], &[])
    }

    /// The embedded content with a site's own files; a check or benchmark with a known id replaces the embedded one.
    ///
    /// # Errors
    /// Every file that cannot be understood, every id that appears twice in the same set, every item without a known check.
    pub fn with_site(checks: &[Source], benchmarks: &[Source]) -> Result<Self, Vec<ContentError>> {
        let mut content =
            Self { env: functions::environment(), checks: BTreeMap::new(), benchmarks: Vec::new() };
        let mut errors = Vec::new();
        let mut add = |sources: &[(&str, &str)]| {
            let mut seen = BTreeSet::new();
            for (name, yaml) in sources {
                match parse::<Vec<Check>>(name, yaml) {
                    Ok(list) => content.add(name, list, &mut seen, &mut errors),
                    Err(error) => errors.push(error),
                }
            }
        };
        add(CHECKS);
        add(&borrowed(checks));
        for (name, yaml) in BENCHMARKS.iter().copied().chain(borrowed(benchmarks)) {
            match parse::<Benchmark>(name, yaml) {
                Ok(benchmark) => {
                    errors.extend(content.complaints(name, &benchmark));
                    content.benchmarks.retain(|known| known.id != benchmark.id);
                    content.benchmarks.push(benchmark);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(content) } else { Err(errors) }
    }

    /// Only the checks of some files, for testing them.
    ///
    /// # Errors
    /// As [`Content::with_site`].
    pub fn of_checks(sources: &[Source]) -> Result<Self, Vec<ContentError>> {
        let mut content =
            Self { env: functions::environment(), checks: BTreeMap::new(), benchmarks: Vec::new() };
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, yaml) in borrowed(sources) {
            match parse::<Vec<Check>>(name, yaml) {
                Ok(list) => content.add(name, list, &mut seen, &mut errors),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(content) } else { Err(errors) }
    }

    fn add(
        &mut self,
        file: &str,
        list: Vec<Check>,
        seen: &mut BTreeSet<String>,
        errors: &mut Vec<ContentError>,
    ) {
        for check in list {
            if !seen.insert(check.id.clone()) {
                errors.push(error(file, format!("check `{}` appears twice", check.id)));
            }
            let loaded = Loaded { file: file.to_owned(), check, compiled: OnceLock::new() };
            self.checks.insert(loaded.check.id.clone(), loaded);
        }
    }

    fn complaints(&self, file: &str, benchmark: &Benchmark) -> Vec<ContentError> {
        let mut complaints = Vec::new();
        let mut seen = BTreeSet::new();
        for (_, item) in benchmark.items() {
            if !seen.insert(&item.id) {
                complaints.push(error(file, format!("item {} appears twice", item.id)));
            }
            if item.checks.is_empty() {
                complaints.push(error(file, format!("item {} has no check", item.id)));
            }
            for id in item.checks.iter().filter(|id| !self.checks.contains_key(*id)) {
                complaints.push(error(file, format!("item {}: there is no check `{id}`", item.id)));
            }
        }
        complaints
    }

    /// All checks, sorted by id.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.values().map(|loaded| &loaded.check)
    }

    /// A check by id.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.get(id).map(|loaded| &loaded.check)
    }

    /// All benchmarks, embedded ones first.
    pub fn benchmarks(&self) -> &[Benchmark] {
        &self.benchmarks
    }

    /// A benchmark by id.
    pub fn benchmark(&self, id: &str) -> Option<&Benchmark> {
        self.benchmarks.iter().find(|benchmark| benchmark.id == id)
    }

    /// Which items older tools decide.
    ///
    /// # Errors
    /// The embedded file is broken.
    pub fn coverage() -> Result<Coverage, ContentError> {
        parse(COVERAGE.0, COVERAGE.1)
    }

    /// Compiles the checks of one benchmark; needs no facts, so it can be done while they are collected.
    ///
    /// # Errors
    /// Every check that does not compile.
    pub fn compile(&self, benchmark: &Benchmark) -> Result<(), Vec<ContentError>> {
        let ids: BTreeSet<&String> = benchmark.items().flat_map(|(_, item)| &item.checks).collect();
        self.compile_each(ids.into_iter().filter_map(|id| self.checks.get(id)))
    }

    /// Compiles all checks.
    ///
    /// # Errors
    /// Every check that does not compile.
    pub fn compile_all(&self) -> Result<(), Vec<ContentError>> {
        self.compile_each(self.checks.values())
    }

    fn compile_each<'a>(
        &'a self,
        loaded: impl Iterator<Item = &'a Loaded>,
    ) -> Result<(), Vec<ContentError>> {
        let errors: Vec<_> = loaded
            .filter_map(|loaded| self.compiled_of(loaded).as_ref().err().map(|e| (loaded, e)))
            .flat_map(|(loaded, complaints)| {
                complaints.iter().map(move |complaint| {
                    error(&loaded.file, format!("check `{}`: {complaint}", loaded.check.id))
                })
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn compiled_of<'a>(&self, loaded: &'a Loaded) -> &'a Result<Compiled, Vec<String>> {
        loaded.compiled.get_or_init(|| Compiled::new(loaded.check.clone(), &self.env))
    }

    /// A compiled check; an error if it does not exist or does not compile.
    pub(crate) fn compiled(&self, id: &str) -> Result<&Compiled, ContentError> {
        let loaded =
            self.checks.get(id).ok_or_else(|| error(id, "there is no such check".into()))?;
        self.compiled_of(loaded).as_ref().map_err(|complaints| {
            error(&loaded.file, format!("check `{id}`: {}", complaints.join("; ")))
        })
    }

    pub(crate) fn env(&self) -> &Arc<Env> {
        &self.env
    }
}

fn borrowed(sources: &[Source]) -> Vec<(&str, &str)> {
    sources.iter().map(|source| (source.name.as_str(), source.yaml.as_str())).collect()
}

fn parse<T: serde::de::DeserializeOwned>(file: &str, yaml: &str) -> Result<T, ContentError> {
    if yaml.len() > SIZE_MAX {
        return Err(error(file, format!("{} bytes are too many (limit {SIZE_MAX})", yaml.len())));
    }
    serde_norway::from_str(yaml).map_err(|e| error(file, e.to_string()))
}

fn error(file: &str, message: String) -> ContentError {
    ContentError { file: file.to_owned(), message }
}
