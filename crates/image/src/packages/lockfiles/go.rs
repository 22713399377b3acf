//! `go.mod` (<https://go.dev/ref/mod#go-mod-file>): required modules with what replaces them, and as `stdlib` the
//! version of Go that it names. A module replaced by a folder keeps its own version: what is in the folder is unknown.

use std::collections::HashMap;

use super::{Lock, text};
use crate::reader::Unread;

/// Module and version; no version stands for every one.
type Replaced = (String, Option<String>);

/// Reads `go.mod`.
pub(super) fn go_mod(content: &[u8], lock: &mut Lock) -> Result<(), Unread> {
    let text = text(content);
    let mut required: Vec<(String, String)> = Vec::new();
    let mut replaced: HashMap<Replaced, (String, String)> = HashMap::new();
    let (mut go, mut toolchain) = (None, None);
    let mut block: Option<&str> = None;
    let mut any = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        let mut words: Vec<&str> =
            line.split_whitespace().map(|word| word.trim_matches(['"', '`'])).collect();
        let verb = match (block, words.as_slice()) {
            (_, []) => continue,
            (Some(_), [")"]) => {
                block = None;
                continue;
            }
            (Some(verb), _) => verb,
            (None, [verb, "("]) => {
                block = Some(*verb);
                continue;
            }
            (None, _) => words.remove(0),
        };
        match (verb, words.as_slice()) {
            ("require", [module, version]) => {
                required.push(((*module).to_owned(), (*version).to_owned()));
            }
            ("replace", [module, "=>", with, version]) => {
                let key = ((*module).to_owned(), None);
                replaced.insert(key, ((*with).to_owned(), (*version).to_owned()));
            }
            ("replace", [module, old, "=>", with, version]) => {
                let key = ((*module).to_owned(), Some((*old).to_owned()));
                replaced.insert(key, ((*with).to_owned(), (*version).to_owned()));
            }
            ("go", [version]) => go = Some((*version).to_owned()),
            ("toolchain", [name]) => toolchain = name.strip_prefix("go").map(str::to_owned),
            ("require" | "go" | "toolchain", _) => {
                lock.tell(&format!("line {}: {verb} is not understood", number + 1));
            }
            ("module" | "replace" | "exclude" | "retract" | "tool" | "godebug" | "ignore", _) => {}
            _ => return Err(Unread(format!("line {}: unknown directive", number + 1))),
        }
        any = true;
    }
    if !any {
        return Err(Unread("it has no directive".to_owned()));
    }
    for (module, version) in required {
        let with = replaced
            .get(&(module.clone(), Some(version.clone())))
            .or_else(|| replaced.get(&(module.clone(), None)));
        match with {
            Some((module, version)) => lock.add(module, version),
            None => lock.add(&module, &version),
        }
    }
    if let Some(version) = toolchain.or(go) {
        // A toolchain may have a name of its own: `go1.22.1-custom`.
        let version = version.split(['-', '+']).next().unwrap_or_default();
        lock.add("stdlib", &format!("v{version}"));
    }
    Ok(())
}
