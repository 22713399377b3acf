//! What a program is, from its content: a server under another name is still that server.
//!
//! Reads a program's file once and looks for texts that only that program has (`rules/programs.yaml`). It is asked about
//! programs that run; it does not say that a program is harmless, only that it is none of those that are listed.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aho_corasick::AhoCorasick;
use haechi_facts::hostile;
use serde::Deserialize;

/// Bytes of a program that are searched: the largest that is listed has some ten million.
const BYTES_MAX: u64 = 64 << 20;
/// Programs that are remembered.
const KNOWN_MAX: usize = 100_000;

/// A program and the texts by which it is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// What it is called in rules.
    program: String,
    /// All of these are in it.
    texts: Vec<String>,
}

/// A file that cannot change without this changing: its inode, size, and the time that nobody can set (`ctime`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Tells programs by their content.
#[derive(Debug)]
pub struct Identities {
    listed: Vec<Listed>,
    /// The texts of all, each once.
    texts: Vec<String>,
    search: AhoCorasick,
    known: HashMap<Key, Option<usize>>,
}

/// The list is broken. A test rules that out for ours.
#[derive(Debug, thiserror::Error)]
#[error("list of programs: {0}")]
pub struct BadList(String);

impl Identities {
    /// Our own list.
    ///
    /// # Errors
    /// It is broken.
    pub fn embedded() -> Result<Self, BadList> {
        Self::new(include_str!("../../../rules/programs.yaml"))
    }

    fn new(list: &str) -> Result<Self, BadList> {
        let listed: Vec<Listed> =
            serde_norway::from_str(list).map_err(|error| BadList(error.to_string()))?;
        let all = listed.iter().flat_map(|one| one.texts.iter().cloned());
        let texts: Vec<String> = all.collect::<BTreeSet<_>>().into_iter().collect();
        let search = AhoCorasick::new(&texts).map_err(|error| BadList(error.to_string()))?;
        Ok(Self { listed, texts, search, known: HashMap::new() })
    }

    /// What the program of a process is, an empty text if it is none of the list; `None` if it cannot be read.
    pub fn of(&mut self, proc: &Path, pid: u32) -> Option<&str> {
        let file = hostile::open_program(&proc.join(pid.to_string()).join("exe")).ok()?;
        match self.of_file(file)? {
            Some(at) => self.listed.get(at).map(|one| one.program.as_str()),
            None => Some(""),
        }
    }

    fn of_file(&mut self, file: File) -> Option<Option<usize>> {
        let meta = file.metadata().ok()?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        let key = Key { inode: meta.ino(), size: meta.size(), changed };
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        let found = self.search(file.take(BYTES_MAX))?;
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, found);
        Some(found)
    }

    /// Which program bytes are; `None` if they cannot be read.
    fn search(&self, bytes: impl Read) -> Option<Option<usize>> {
        let mut seen = BTreeSet::new();
        for found in self.search.stream_find_iter(bytes) {
            seen.extend(self.texts.get(found.ok()?.pattern().as_usize()));
        }
        Some(self.listed.iter().position(|one| one.texts.iter().all(|text| seen.contains(text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_of_a_program_must_be_there() {
        let list = "[{program: a, texts: [one, two]}, {program: b, texts: [two]}]";
        let found = Identities::new(list).unwrap();
        let name =
            |bytes: &[u8]| found.search(bytes).unwrap().map(|at| found.listed[at].program.clone());
        assert_eq!(name(b"..one..two").as_deref(), Some("a"));
        assert_eq!(name(b"..two..").as_deref(), Some("b"));
        assert_eq!(name(b"..one.."), None);
    }

    #[test]
    fn our_list_is_good_and_this_process_is_not_in_it() {
        let mut found = Identities::embedded().unwrap();
        assert!(found.listed.len() >= 5);
        // One that is in another would hide it, or be hidden by it.
        for one in &found.texts {
            assert!(!found.texts.iter().any(|other| other != one && other.contains(one.as_str())));
        }
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        for _ in 0..2 {
            // A unit test holds the list's own texts; what is asked about is another program.
            assert_eq!(found.of(Path::new("/proc"), child.id()), Some(""));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.of(Path::new("/proc"), child.id()), None);
    }
}
