//! Well-known programs, from the content file `programs.yaml`.
//!
//! A file is a program's by its name, and its version is what its bytes say; of a Go program, what its build
//! information says. A file of such a name that says nothing gives nothing: it may be another program.

use std::sync::LazyLock;

use haechi_core::inventory::{Package, PackageKind};
use regex::RegexSet;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::packages::go::Info;
use crate::reader::{Found, Meta, Unread};

/// Where version strings are looked for: the largest of these programs have 150 MiB.
const SEARCHED_MAX: usize = 256 << 20;
/// Strings that look like a version but have another beginning than the file's name says.
const CANDIDATES_MAX: usize = 10_000;
/// A compiled expression: these are small.
const REGEX_MAX: usize = 1 << 20;

/// One record of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    cpes: Vec<String>,
    #[serde(default)]
    files: String,
    #[serde(default)]
    text: bool,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    module: String,
    /// Checked by a test.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "only a test reads the examples"))]
    examples: Vec<Example>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "only a test reads the examples"))]
    not: Vec<Example>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "only a test reads the examples"))]
struct Example {
    file: String,
    bytes: String,
    #[serde(default)]
    version: String,
}

/// A record, compiled.
struct Program {
    record: Record,
    file: regex::Regex,
    versions: Vec<Regex>,
}

/// Records that are known by the name of a file, their names as one set (the same order), and Go programs.
#[derive(Default)]
struct Table {
    programs: Vec<Program>,
    names: RegexSet,
    text: Vec<Program>,
    paths: RegexSet,
    modules: Vec<Record>,
}

/// A test makes sure that the file is well-formed.
static TABLE: LazyLock<Table> = LazyLock::new(|| load().unwrap_or_default());

fn load() -> Result<Table, String> {
    let records: Vec<Record> = serde_norway::from_str(include_str!("../../../programs.yaml"))
        .map_err(|error| error.to_string())?;
    let mut table = Table::default();
    for record in records {
        if !record.module.is_empty() {
            table.modules.push(record);
            continue;
        }
        let compile =
            |text: &String| RegexBuilder::new(text).unicode(false).size_limit(REGEX_MAX).build();
        let versions = record.versions.iter().map(compile).collect::<Result<_, _>>();
        let program = Program {
            file: regex::Regex::new(&record.files).map_err(|error| error.to_string())?,
            versions: versions.map_err(|error| error.to_string())?,
            record,
        };
        if program.record.text { &mut table.text } else { &mut table.programs }.push(program);
    }
    let set = |programs: &[Program]| {
        RegexSet::new(programs.iter().map(|program| &program.record.files))
            .map_err(|error| error.to_string())
    };
    table.names = set(&table.programs)?;
    table.paths = set(&table.text)?;
    Ok(table)
}

impl Program {
    /// The version in a file of this name (or path).
    fn version(&self, file: &str, content: &[u8]) -> Option<String> {
        let names = self.file.captures(file)?;
        let start = names.name("v").map_or("", |group| group.as_str());
        let fits = |version: &str| {
            version
                .strip_prefix(start)
                .is_some_and(|rest| start.is_empty() || rest.starts_with('.'))
        };
        self.versions.iter().find_map(|pattern| {
            let mut at = 0;
            for _ in 0..CANDIDATES_MAX {
                // From the end of the version, not of the match: one string's last zero is the next one's first.
                let found = pattern.captures_at(content, at)?.get(1)?;
                let version = std::str::from_utf8(found.as_bytes()).ok()?;
                if fits(version) {
                    return Some(version.to_owned());
                }
                at = found.end();
            }
            None
        })
    }
}

/// Whether a program has this file name.
pub(super) fn wants(name: &str) -> bool {
    TABLE.names.is_match(name)
}

/// Whether a program has a text file of this path that says its version at the start.
pub(super) fn wants_text(meta: &Meta<'_>, head: &[u8]) -> bool {
    let programs = TABLE.paths.matches(meta.path);
    programs
        .into_iter()
        .filter_map(|index| TABLE.text.get(index))
        .any(|program| program.version(meta.path, head).is_some())
}

/// Adds the programs that a binary is.
pub(super) fn read(meta: &Meta<'_>, content: &[u8], go: Option<&Info>, found: &mut Found) {
    let searched = content.get(..SEARCHED_MAX).unwrap_or(content);
    let name = meta.name();
    for program in TABLE.names.matches(name).into_iter().filter_map(|at| TABLE.programs.get(at)) {
        if let Some(version) = program.version(name, searched) {
            found.packages.push(package(&program.record, &version, meta.path));
        }
    }
    if let Some((module, version)) = go.and_then(|info| info.main.as_ref())
        && let Some(version) = version.strip_prefix('v')
    {
        let records = TABLE.modules.iter().filter(|record| is_module(module, &record.module));
        found.packages.extend(records.map(|record| package(record, version, meta.path)));
    }
}

/// Adds the program that a text file is about.
pub(super) fn read_text(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    for program in &TABLE.text {
        if let Some(version) = program.version(meta.path, content) {
            found.packages.push(package(&program.record, &version, meta.path));
        }
    }
    Ok(())
}

/// `a/b` is `a/b` and `a/b/v2`.
fn is_module(module: &str, base: &str) -> bool {
    module.strip_prefix(base).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix("/v").is_some_and(|major| major.parse::<u32>().is_ok())
    })
}

fn package(record: &Record, version: &str, path: &str) -> Package {
    // In a CPE every other character is written with a backslash (NIST IR 7695).
    let mut escaped = String::new();
    for c in version.chars() {
        if !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    let mut package = Package::new(PackageKind::Generic, &record.name, version, path);
    package.cpes = record
        .cpes
        .iter()
        .map(|product| format!("cpe:2.3:a:{product}:{escaped}:*:*:*:*:*:*:*"))
        .collect();
    package
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_recognises_its_examples_and_nothing_else() {
        let table = load().unwrap();
        let programs: Vec<&Program> = table.programs.iter().chain(&table.text).collect();
        assert!(programs.len() >= 40, "only {}", programs.len());
        for program in programs {
            let name = &program.record.name;
            assert!(
                !program.record.examples.is_empty() && !program.record.not.is_empty(),
                "{name}"
            );
            for example in &program.record.examples {
                let version = program.version(&example.file, example.bytes.as_bytes());
                assert_eq!(version.as_deref(), Some(example.version.as_str()), "{name}");
            }
            for example in &program.record.not {
                assert_eq!(
                    program.version(&example.file, example.bytes.as_bytes()),
                    None,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn products_have_a_vendor() {
        let table = load().unwrap();
        let records = table.programs.iter().chain(&table.text).map(|program| &program.record);
        for record in records.chain(&table.modules) {
            for cpe in &record.cpes {
                assert_eq!(cpe.split(':').count(), 2, "{cpe}");
            }
        }
        let python = &table.programs[0].record;
        assert_eq!(
            package(python, "3.0+x", "p").cpes,
            ["cpe:2.3:a:python:python:3.0\\+x:*:*:*:*:*:*:*"]
        );
    }

    #[test]
    fn a_go_program_is_known_by_its_module() {
        assert!(is_module("github.com/traefik/traefik/v3", "github.com/traefik/traefik"));
        assert!(!is_module("github.com/hashicorp/vault-tool", "github.com/hashicorp/vault"));
        let info = |version: &str| Info {
            main: Some(("github.com/traefik/traefik/v3".to_owned(), version.to_owned())),
            ..Info::default()
        };
        let mut found = Found::default();
        let meta = Meta { path: "traefik", ..Meta::default() };
        read(&meta, b"", Some(&info("(devel)")), &mut found);
        assert!(found.packages.is_empty());
        read(&meta, b"", Some(&info("v3.0.1")), &mut found);
        assert_eq!(found.packages[0].version, "3.0.1");
    }
}
