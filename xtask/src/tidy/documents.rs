//! Documents promise only commands and options that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use regex::Regex;

use super::Complaints;
use super::files::texts;

const XTASK: [&str; 6] = ["verify", "test", "lab", "bench", "vm", "tidy"];

pub(super) fn commands(program: &Path) -> Result<Complaints> {
    let mut complaints = Vec::new();
    let mut known: BTreeMap<Vec<String>, Option<String>> = BTreeMap::new();
    let mut help = |words: &[&str]| -> Option<String> {
        let key: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        known
            .entry(key)
            .or_insert_with(|| {
                let done = Command::new(program).args(words).arg("--help").output().ok()?;
                done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
            })
            .clone()
    };
    let call = Regex::new(r"(?:^|[\s`$(])haechi((?: +[a-z][a-z-]*){1,2})")?;
    let xtask = Regex::new(r"cargo xtask ([a-z]+)")?;
    let option = Regex::new(r"(?:^|\s)(--[a-z][a-z-]+)")?;
    // Plans and records of what was: commands there may be of another time.
    let documents = texts()?.into_iter().filter(|(name, _)| {
        name.ends_with(".md") && !["CHANGELOG.md", "SPECIFICATION.md"].contains(&name.as_str())
    });
    for (name, text) in documents {
        let mut said = BTreeSet::new();
        for code in code(&text) {
            for found in xtask.captures_iter(&code) {
                let word = found.get(1).map_or("", |word| word.as_str());
                if !XTASK.contains(&word) {
                    said.insert(format!("{name}: there is no `cargo xtask {word}`"));
                }
            }
            let calls: Vec<_> = call.captures_iter(&code).collect();
            let Some(found) = calls.first().and_then(|found| found.get(1)) else { continue };
            let words: Vec<&str> = found.as_str().split_whitespace().collect();
            // The second word may be a command of a command, or an argument.
            let shown = help(&words).or_else(|| help(words.get(..1).unwrap_or_default()));
            let Some(shown) = shown else {
                said.insert(format!("{name}: there is no `haechi {}`", words.join(" ")));
                continue;
            };
            for found in option.captures_iter(&code) {
                let word = found.get(1).map_or("", |word| word.as_str());
                if calls.len() == 1 && !shown.contains(word) {
                    said.insert(format!("{name}: `haechi {}` has no {word}", words.join(" ")));
                }
            }
        }
        complaints.extend(said);
    }
    Ok(complaints)
}

/// What stands in code spans and in blocks of code, line by line.
fn code(text: &str) -> Vec<String> {
    let mut code = Vec::new();
    let mut block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
        } else if block {
            // What stands behind a comment sign is prose.
            code.push(line.split(" #").next().unwrap_or_default().to_owned());
        } else {
            code.extend(line.split('`').skip(1).step_by(2).map(ToOwned::to_owned));
        }
    }
    code
}
