//! Files that processes of a container use: their programs, what they have mapped and what they hold open.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::engine::container_ids;
use crate::hostile;
use crate::root::Root;

/// Processes of one container that are looked at: most run the same few programs.
const PROCESSES_MAX: usize = 50;
/// Descriptors of one process that are looked at.
const OPEN_MAX: usize = 256;
/// Bytes of a list of maps that are read: some ten thousand maps.
const MAPS_MAX: u64 = 1 << 20;
/// What the kernel appends to the path of a file that was replaced; what runs is what was there before.
const REPLACED: &str = " (deleted)";

/// Paths, as the container sees them, of files that these processes of a container use. A process that is not in the
/// container any more is left out, and so is what may not be seen: that a file is not among them proves nothing.
pub fn files(
    root: &Root,
    container: &str,
    pids: impl IntoIterator<Item = i64>,
) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for pid in pids.into_iter().take(PROCESSES_MAX) {
        let folder = root.proc(&pid.to_string());
        let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        // The number may be another process's by now.
        if !groups.lines().flat_map(container_ids).any(|id| id == container) {
            continue;
        }
        files.extend(link(&folder.join("exe")));
        let open = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        files.extend(open.take(OPEN_MAX).filter_map(|entry| link(&entry.path())));
        match hostile::read_memory(&folder.join("maps"), MAPS_MAX) {
            Ok(maps) => {
                files.extend(String::from_utf8_lossy(&maps).lines().filter_map(mapped));
            }
            // It lets nobody read; the others of this container may do the same.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => break,
            Err(_) => {}
        }
    }
    files
}

/// Where a link leads, if that is a file's path.
fn link(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    file(target.to_str()?)
}

/// The file of a line of maps (proc_pid_maps(5)).
fn mapped(line: &str) -> Option<String> {
    file(line.get(line.find('/')?..)?)
}

fn file(path: &str) -> Option<String> {
    let path = path.strip_suffix(REPLACED).unwrap_or(path);
    let other = ["/dev/", "/proc/", "/sys/", "/memfd:"];
    let is_file = path.starts_with('/') && !other.iter().any(|folder| path.starts_with(folder));
    is_file.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_of_processes_that_are_still_in_the_container_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        for (pid, group) in [(7, format!("0::/docker/{id}\n")), (8, "0::/user.slice\n".to_owned())]
        {
            let proc = dir.path().join(format!("proc/{pid}"));
            fs::create_dir_all(proc.join("fd")).unwrap();
            fs::write(proc.join("cgroup"), group).unwrap();
            symlink(format!("/usr/bin/program{pid} (deleted)"), proc.join("exe")).unwrap();
            symlink("/srv/app.jar", proc.join("fd/4")).unwrap();
            symlink("socket:[7]", proc.join("fd/5")).unwrap();
            symlink("/dev/null", proc.join("fd/0")).unwrap();
            let maps = "00400000-00500000 r-xp 00000000 fe:01 17   /usr/lib/libssl.so.3\n\
                        00600000-00700000 rw-p 00000000 00:00 0   [heap]\n\
                        00800000-00900000 rw-s 00000000 00:01 9   /memfd:x (deleted)\n";
            fs::write(proc.join("maps"), maps).unwrap();
        }
        let root = Root::new(dir.path());
        let seen: Vec<String> = files(&root, &id, [7, 8, 9]).into_iter().collect();
        assert_eq!(seen, ["/srv/app.jar", "/usr/bin/program7", "/usr/lib/libssl.so.3"]);
    }
}
