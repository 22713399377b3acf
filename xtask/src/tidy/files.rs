//! Each file by itself: its first line, its length, its ends of lines, and words that must not be in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::Regex;

use super::Complaints;
use crate::run::repository;

/// A longer file has more than one thing in it.
const LINES_MAX: usize = 500;
/// Files that may be longer, and why.
const LONGER: [(&str, &str); 0] = [];
const TEXT: [&str; 13] =
    ["rs", "md", "yaml", "toml", "html", "css", "js", "sql", "sh", "c", "h", "svg", "txt"];

/// Every file of the clone that is not built, with its path in it.
pub(super) fn all() -> Result<Vec<(String, PathBuf)>> {
    let root = repository()?;
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.strip_prefix(&root)?.display().to_string();
            // Build output, the history and the report that `cargo xtask verify` writes are nobody's text.
            if ["target", ".git", "haechi-report.html"].contains(&name.as_str()) {
                continue;
            }
            if path.symlink_metadata()?.is_dir() {
                folders.push(path);
            } else {
                found.push((name, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Files of text, with their path and what is in them.
pub(super) fn texts() -> Result<Vec<(String, String)>> {
    let is_text = |path: &Path| {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        TEXT.contains(&ending) || path.ends_with(".ci/run")
    };
    all()?
        .into_iter()
        .filter(|(_, path)| is_text(path))
        .map(|(name, path)| {
            Ok((name, fs::read_to_string(&path).context(path.display().to_string())?))
        })
        .collect()
}

pub(super) fn complaints() -> Result<Complaints> {
    let mut complaints = Vec::new();
    // Written in parts, so that this file is not one of those it looks for.
    let left = Regex::new(&format!(r"\b({}|{})\b", concat!("TO", "DO"), concat!("FIX", "ME")))?;
    let machine = Regex::new(&format!("/({}|{})/", concat!("wo", "rk"), concat!("fa", "rm")))?;
    let skipped = concat!("#[", "ignore");
    for (name, text) in texts()? {
        let mut complain =
            |line: usize, what: &str| complaints.push(format!("{name}:{line}: {what}"));
        let is_rust = name.ends_with(".rs");
        if is_rust && !text.starts_with("//!") {
            complain(1, "does not open with `//!`: what is it for?");
        }
        let lines = text.lines().count();
        if is_rust && lines > LINES_MAX && !LONGER.iter().any(|(file, _)| *file == name) {
            complain(lines, &format!("more than {LINES_MAX} lines"));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            complain(lines, "the last line does not end");
        }
        for (number, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                complain(number + 1, "trailing space");
            }
            if left.is_match(line) {
                complain(number + 1, "something is left to do");
            }
            if machine.is_match(line) {
                complain(number + 1, "a path of somebody's machine");
            }
            if is_rust && line.contains(skipped) {
                complain(number + 1, "a test that is not run");
            }
        }
    }
    for (file, reason) in LONGER {
        let path = repository()?.join(file);
        let lines = fs::read_to_string(path).map_or(0, |text| text.lines().count());
        if lines <= LINES_MAX {
            complaints.push(format!("{file}: short enough now; it needs no exception ({reason})"));
        }
    }
    Ok(complaints)
}
