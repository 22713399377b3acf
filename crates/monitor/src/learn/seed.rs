//! What processes have loaded that began before they were watched: the kernel tells nothing of it any more.
//!
//! Promises programs and libraries by their paths inside the container, as `/proc` has them. Which of them were the image's it
//! does not know, nor scripts, nor what was read or ended before: that a start was not seen stays a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use haechi_core::profile::{Entry, Gap, Kind};
use haechi_profile::packages;
use jiff::Timestamp;

use super::{Learner, shortened};

/// Processes of one container that are looked at.
const PROCESSES_MAX: usize = 4096;
/// How deep groups below that of a container are looked for.
const DEPTH_MAX: usize = 8;
/// Bytes of a table of mappings that are read.
const MAPS_MAX: u64 = 8 << 20;
/// Of a file that has no name any more.
const DELETED: &str = " (deleted)";
/// How a ring of io_uring is mapped.
const RING: &str = " anon_inode:[io_uring]";
/// What has a path and is no file: memory.
const MEMORY: [&str; 4] = ["/memfd:", "/dev/", "/SYSV", "/anon_hugepage"];

/// What runs, and what that mapped as code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    pub programs: BTreeSet<String>,
    /// Libraries with one of the programs that have them.
    pub libraries: BTreeMap<String, String>,
    /// Whether one of them has a ring of io_uring: a thread of the kernel may do what is put into it, without any call.
    pub has_ring: bool,
}

impl Learner {
    /// Containers that ran before they were watched and of which nobody looked yet what they had loaded.
    pub(super) fn unseeded(&self) -> Vec<(u64, String)> {
        let fresh = self.known.iter().filter(|(_, known)| !known.is_seeded && !known.is_over);
        let placed = fresh.filter(|(_, known)| !known.path.is_empty());
        placed.map(|(group, known)| (*group, known.path.clone())).collect()
    }

    /// What a container has loaded that began before it was watched. Where it lay is not known: that is no other origin.
    pub(super) fn seed(&mut self, group: u64, loaded: Loaded, now: Timestamp) {
        let Some(known) = self.known.get_mut(&group) else { return };
        known.is_seeded = true;
        if loaded.has_ring {
            known.gaps.insert(Gap::IoUring);
        }
        let id = known.id.clone();
        let entry = |kind, value: String, program: String| Entry {
            kind,
            value: shortened(value),
            first_at: now,
            container: id.clone(),
            origin: String::new(),
            program: shortened(program),
        };
        let programs = loaded.programs.into_iter();
        // Without a program it is told apart from a script.
        known.fresh.extend(programs.map(|path| entry(Kind::Executed, path, String::new())));
        let libraries = loaded.libraries.into_iter();
        known.fresh.extend(libraries.map(|(path, by)| entry(Kind::Mapped, path, by)));
    }
}

/// What the processes of a control group, and of those below it, have loaded. `path` is below the root of its hierarchy.
pub(super) fn loaded(path: &str) -> Loaded {
    let root = Path::new("/sys/fs/cgroup");
    let path = path.trim_start_matches('/');
    // In the one hierarchy, or in one of the old ones.
    let places = ["", "unified", "pids", "memory", "systemd"].map(|one| root.join(one).join(path));
    let processes = places.iter().map(|place| processes(place)).find(|found| !found.is_empty());
    of(Path::new("/proc"), &processes.unwrap_or_default())
}

fn of(proc: &Path, processes: &BTreeSet<u32>) -> Loaded {
    let mut loaded = Loaded::default();
    for number in processes.iter().take(PROCESSES_MAX) {
        let process = proc.join(number.to_string());
        // It ended, or what runs is the runtime itself on its way into the container.
        let Some(program) = program(&process) else { continue };
        let mut maps = Vec::new();
        if let Ok(file) = fs::File::open(process.join("maps")) {
            let _ = file.take(MAPS_MAX).read_to_end(&mut maps);
        }
        let maps = String::from_utf8_lossy(&maps);
        loaded.has_ring |= maps.lines().any(|line| line.ends_with(RING));
        for library in maps.lines().filter_map(mapped) {
            // No call tells that the kernel maps a program and what starts it.
            if library != program && !packages::is_loader(&library) {
                loaded.libraries.entry(library).or_insert_with(|| program.clone());
            }
        }
        loaded.programs.insert(program);
    }
    loaded
}

/// Numbers of the processes of a group and of those below it.
fn processes(group: &Path) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut left: Vec<(PathBuf, usize)> = vec![(group.to_owned(), 0)];
    while let Some((folder, depth)) = left.pop() {
        let numbers = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        found.extend(numbers.lines().filter_map(|line| line.parse::<u32>().ok()));
        if depth < DEPTH_MAX && found.len() < PROCESSES_MAX {
            let inside = fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders = inside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(folders.map(|entry| (entry.path(), depth + 1)));
        }
    }
    found
}

/// The program of a process, if it is a file of its container, or was.
fn program(process: &Path) -> Option<String> {
    let link = process.join("exe");
    let path = fs::read_link(&link).ok()?.to_string_lossy().into_owned();
    if let Some(path) = path.strip_suffix(DELETED) {
        return is_file(path).then(|| path.to_owned());
    }
    let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let inside = fs::metadata(process.join("root").join(path.trim_start_matches('/'))).ok()?;
    (is_file(&path) && place(inside) == place(fs::metadata(&link).ok()?)).then_some(path)
}

/// The file of a line of `/proc/PID/maps` (proc(5)), if it is mapped as code.
fn mapped(line: &str) -> Option<String> {
    let (mut left, mut rights) = (line, "");
    for number in 0..5 {
        let (field, rest) = left.split_once(' ')?;
        if number == 1 {
            rights = field;
        }
        left = rest;
    }
    let path = left.trim_start();
    let path = path.strip_suffix(DELETED).unwrap_or(path).replace("\\012", "\n");
    (rights.contains('x') && is_file(&path)).then_some(path)
}

fn is_file(path: &str) -> bool {
    path.starts_with('/') && !MEMORY.iter().any(|memory| path.starts_with(memory))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn programs_and_libraries_are_told_and_what_the_kernel_maps_and_what_is_no_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let process = |number: &str| {
            let process = dir.path().join(number);
            fs::create_dir_all(process.join("root/usr/bin")).unwrap();
            process
        };
        // `exe` of the kernel leads to the file itself, wherever its path leads from here: a link to a real file stands for it.
        let real = std::env::current_exe().unwrap().canonicalize().unwrap();
        let name = real.to_string_lossy().into_owned();
        let one = process("7");
        fs::remove_dir_all(one.join("root")).unwrap();
        symlink("/", one.join("root")).unwrap();
        symlink(&real, one.join("exe")).unwrap();
        let line =
            |rights: &str, path: &str| format!("1000-2000 {rights} 00000000 08:01 42     {path}\n");
        let maps = [
            line("r-xp", &name),
            line("r-xp", "/lib/ld-linux-x86-64.so.2"),
            line("r-xp", "/lib/a b\\012c.so"),
            line("r-xp", "/lib/gone.so (deleted)"),
            line("r--p", "/lib/data"),
            line("r-xp", "[vdso]"),
            line("rwxp", "/memfd:x (deleted)"),
            "1000-2000 rwxp 00000000 00:00 0 \n".to_owned(),
            "odd\n".to_owned(),
        ];
        fs::write(one.join("maps"), maps.concat()).unwrap();
        // A program that is gone from its path counts; one that is not of the container does not.
        symlink("/usr/bin/old (deleted)", process("8").join("exe")).unwrap();
        symlink("/memfd:runc (deleted)", process("9").join("exe")).unwrap();
        symlink(&real, process("10").join("exe")).unwrap();
        let found = of(dir.path(), &[7, 8, 9, 10, 11].into());
        assert_eq!(found.programs, [name.clone(), "/usr/bin/old".to_owned()].into());
        let libraries =
            ["/lib/a b\nc.so", "/lib/gone.so"].map(|path| (path.to_owned(), name.clone()));
        assert_eq!(found.libraries, libraries.into());
        assert!(!found.has_ring);
        fs::write(one.join("maps"), line("rw-s", "anon_inode:[io_uring]")).unwrap();
        assert!(of(dir.path(), &[7].into()).has_ring);
    }

    #[test]
    fn processes_of_groups_below_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("cgroup.procs"), "1\n2\n").unwrap();
        fs::write(dir.path().join("below/cgroup.procs"), "3\nodd\n").unwrap();
        assert_eq!(processes(dir.path()), [1, 2, 3].into());
        assert!(processes(&dir.path().join("none")).is_empty());
    }
}
