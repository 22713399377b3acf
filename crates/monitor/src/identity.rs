//! What a program is, from its content: a server under another name is still that server.
//!
//! Reads a program's file once and looks for texts that only that program has (`rules/programs.yaml`); of a loader, the
//! files that it has mapped. It is asked about programs that run, or ran a moment ago; it does not say that a program is
//! harmless, only that it is none of those that are listed.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use haechi_core::event::Exec;
use haechi_facts::hostile;
use serde::Deserialize;

/// What the loader of dynamic programs is called in the list: what it runs is what it has mapped.
pub const LOADER: &str = "loader";
/// Bytes of a program that are searched: the largest that is listed has some ten million.
const BYTES_MAX: u64 = 64 << 20;
/// Programs that are remembered.
const KNOWN_MAX: usize = 100_000;
/// Seconds after which a file that is changed once more has another time of change for sure.
const SETTLED: i64 = 2;
/// Processes of a container among which one is looked for that runs the same file.
const RUNNING_MAX: usize = 200;
/// Processes of a container in whose root a file is looked for: one of them is there still.
const OTHERS_MAX: usize = 4;
/// Words that were given to a loader which are taken for names of files.
const GIVEN_MAX: usize = 16;

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
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What a started program was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What its file is; empty if it is none of the list.
    pub file: String,
    /// What it runs: the same, but of a loader what that has loaded, if it is of the list.
    pub runs: String,
    /// Whether it is a loader that has loaded nothing yet: it has to be looked at again.
    pub loads: bool,
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

    /// What the program of a process (`/proc/PID`) is; `None` if it has ended. Whoever else is in its container (`others`)
    /// is asked for the file of one that has.
    ///
    /// # Errors
    /// It cannot be read, so that it may be anything.
    pub fn of(
        &mut self,
        process: &Path,
        exec: &Exec,
        others: impl Fn() -> Vec<u32>,
    ) -> io::Result<Option<Identity>> {
        let running = hostile::open_program(&process.join("exe"));
        let ended = running.as_ref().is_err_and(hostile::is_gone);
        let file = if ended { left(exec, &others()) } else { running.map(Some) };
        let Some(file) = file? else { return Ok(None) };
        let file = self.of_file(file)?;
        let mut found = Identity { runs: file.clone(), file, loads: false };
        if found.file != LOADER {
            return Ok(Some(found));
        }
        let mapped = if ended { given(exec, &others()) } else { mapped(process)? };
        // Itself is among them.
        found.loads = !ended && mapped.len() < 2;
        for file in mapped {
            let loaded = self.of_file(file)?;
            if !loaded.is_empty() && loaded != LOADER {
                found.runs = loaded;
            }
        }
        Ok(Some(found))
    }

    fn of_file(&mut self, file: File) -> io::Result<String> {
        let meta = file.metadata()?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        let key = Key { device: meta.dev(), inode: meta.ino(), size: meta.size(), changed };
        let found = match self.known.get(&key) {
            Some(known) => *known,
            None => {
                let found = self.search(file.take(BYTES_MAX))?;
                if self.known.len() >= KNOWN_MAX {
                    self.known.clear();
                }
                // What was written a moment ago may be written again before the clock of its file system moves on.
                if changed.0 + SETTLED < jiff::Timestamp::now().as_second() {
                    self.known.insert(key, found);
                }
                found
            }
        };
        let listed = found.and_then(|at| self.listed.get(at));
        Ok(listed.map(|one| one.program.clone()).unwrap_or_default())
    }

    /// Which program bytes are.
    fn search(&self, bytes: impl Read) -> io::Result<Option<usize>> {
        let mut seen = BTreeSet::new();
        for found in self.search.stream_find_iter(bytes) {
            seen.extend(self.texts.get(found?.pattern().as_usize()));
        }
        Ok(self.listed.iter().position(|one| one.texts.iter().all(|text| seen.contains(text))))
    }
}

/// What a process has mapped as code; nothing if it has ended meanwhile.
fn mapped(process: &Path) -> io::Result<Vec<File>> {
    match hostile::open_mapped(process) {
        Err(error) if hostile::is_gone(&error) => Ok(Vec::new()),
        other => other,
    }
}

/// The file that a program was started from which has ended: that of a process which it left behind (a daemon does so), or
/// as another process of its container sees it.
fn left(exec: &Exec, others: &[u32]) -> io::Result<Option<File>> {
    let runs_it = |exe: &PathBuf| {
        let path = std::fs::read_link(exe).unwrap_or_default();
        path.to_str().is_some_and(|path| path.trim_end_matches(" (deleted)") == exec.path)
    };
    let exe = |pid: &u32| PathBuf::from(format!("/proc/{pid}/exe"));
    if let Some(exe) = others.iter().take(RUNNING_MAX).map(exe).find(runs_it) {
        return hostile::open_program(&exe).map(Some);
    }
    let opened = others.iter().take(OTHERS_MAX).find_map(|pid| inside(*pid, &exec.path));
    let Some(file) = opened else { return Ok(None) };
    let same = file.metadata()?.mtime() == exec.modified;
    Ok(same.then_some(file))
}

/// The files that a loader which has ended was given by name.
fn given(exec: &Exec, others: &[u32]) -> Vec<File> {
    let names = exec.args.iter().skip(1).take(GIVEN_MAX).filter(|name| !name.starts_with("--"));
    let paths = names.map(|name| Path::new(&exec.cwd).join(name));
    let opened =
        |path: &Path| others.iter().take(OTHERS_MAX).find_map(|pid| inside(*pid, path.to_str()?));
    paths.filter_map(|path| opened(&path)).collect()
}

fn inside(pid: u32, path: &str) -> Option<File> {
    hostile::open_inside(&Path::new("/proc").join(pid.to_string()), path).ok()
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
    fn a_file_that_was_changed_is_looked_at_again() {
        let mut found = Identities::new("[{program: a, texts: [one]}]").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let mut is = || found.of_file(File::open(&path).unwrap()).unwrap();
        // As long as before, and in the same moment.
        for (text, program) in [("..one..", "a"), ("..two..", ""), ("..one..", "a")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(is(), program);
        }
        let old = File::open("/bin/sleep").unwrap();
        found.of_file(old).unwrap();
        assert_eq!(found.known.len(), 1, "only what has settled is remembered");
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
        let process = Path::new("/proc").join(child.id().to_string());
        let mut of = || found.of(&process, &Exec::default(), Vec::new).unwrap();
        let nothing = Identity { file: String::new(), runs: String::new(), loads: false };
        for _ in 0..2 {
            // A unit test holds the list's own texts; what is asked about is another program.
            assert_eq!(of(), Some(nothing.clone()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(of(), None);
    }

    #[test]
    fn what_a_loader_runs_is_what_counts_also_when_it_has_ended() {
        let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
        if !loader.exists() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        let bytes =
            [&std::fs::read("/bin/sleep").unwrap()[..], b"tinysshnoneauthd main_tinysshd.c"];
        std::fs::write(&agent, bytes.concat()).unwrap();
        let mut found = Identities::embedded().unwrap();
        let mut child = std::process::Command::new(loader)
            .arg("agent")
            .arg("60")
            .current_dir(&dir)
            .spawn()
            .unwrap();
        let process = Path::new("/proc").join(child.id().to_string());
        let file = std::fs::canonicalize(loader).unwrap();
        let exec = Exec {
            modified: std::fs::metadata(&file).unwrap().mtime(),
            path: file.to_str().unwrap().to_owned(),
            args: ["ld.so", "--inhibit-cache", "agent", "60"].map(str::to_owned).to_vec(),
            cwd: dir.path().to_str().unwrap().to_owned(),
            ..Exec::default()
        };
        let mut now = || found.of(&process, &exec, || vec![std::process::id()]).unwrap().unwrap();
        while now().loads {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let is = |runs: &str| Identity { file: LOADER.into(), runs: runs.into(), loads: false };
        assert_eq!(now(), is("tinysshd"));
        child.kill().unwrap();
        child.wait().unwrap();
        let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
        if device(dir.path()) == device(Path::new("/")) {
            assert_eq!(now(), is("tinysshd"), "by its name");
        }
        let none = Exec { modified: 1, ..exec.clone() };
        let of = found.of(&process, &none, || vec![std::process::id()]);
        assert_eq!(of.unwrap(), None, "another file has that name by now");
    }
}
