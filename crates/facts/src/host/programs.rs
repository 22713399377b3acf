//! Names of the programs that run on the host itself.
//!
//! A process can choose its own name, so a name here is a hint and no proof. Whether a process
//! belongs to a container is told by its cgroup and by its pid namespace.

use std::collections::BTreeSet;
use std::fs;

use haechi_core::finding::{Cause, SubjectKind};

use super::view::{PID_DETAIL, View};
use crate::gaps::Gaps;
use crate::procs::{ProcessEntry, ProcessTable};
use crate::root::Root;

/// Distinct names of processes and of their programs, sorted.
pub(super) fn collect(
    root: &Root,
    table: &ProcessTable,
    view: &View,
    gaps: &Gaps,
) -> Option<Vec<String>> {
    if !view.host_processes || table.hidden() {
        gaps.record(SubjectKind::Host, "programs", Cause::Permission, PID_DETAIL);
        return None;
    }
    let namespace = |pid: i32| fs::read_link(root.proc(&format!("{pid}/ns/pid"))).ok();
    let host = namespace(1);
    let mut names = BTreeSet::new();
    for process in table.processes() {
        if process.kernel_thread || is_in_container(process) {
            continue;
        }
        let own = namespace(process.pid);
        if own.is_some() && host.is_some() && own != host {
            continue;
        }
        names.insert(process.name.clone());
        names.extend(process.exe_name().map(str::to_owned));
    }
    Some(names.into_iter().collect())
}

/// Whether a process is in the cgroup of a container: its path names one by a long hexadecimal id,
/// as all engines do, or is one of Kubernetes' or LXC's.
pub(super) fn is_in_container(process: &ProcessEntry) -> bool {
    process.cgroups.iter().flat_map(|path| path.split('/')).any(|part| {
        part.starts_with("kubepods")
            || part.starts_with("lxc.payload")
            || part.split(|c: char| !c.is_ascii_hexdigit()).any(|word| word.len() == 64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(cgroup: &str) -> ProcessEntry {
        ProcessEntry {
            pid: 9,
            ppid: 1,
            name: "x".into(),
            exe: None,
            cgroups: vec!["/".into(), cgroup.into()],
            uid_effective_host: 0,
            kernel_thread: false,
        }
    }

    #[test]
    fn containers_are_known_by_their_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        for (cgroup, expected) in [
            (format!("/docker/{id}"), true),
            (format!("/system.slice/docker-{id}.scope"), true),
            (format!("/machine.slice/libpod-{id}.scope/container"), true),
            (format!("/own-parent/{id}"), true),
            (format!("/../../docker/{id}"), true),
            ("/kubepods.slice/pod1/x".into(), true),
            ("/system.slice/docker.service".into(), false),
            ("/system.slice/containerd.service".into(), false),
            (format!("/x/{}", "ab".repeat(16)), false),
        ] {
            assert_eq!(is_in_container(&process(&cgroup)), expected, "{cgroup}");
        }
    }

    #[test]
    fn this_machine_s_programs_are_named() {
        let root = Root::new("/".as_ref());
        let table = ProcessTable::read(&root).unwrap();
        let view = View::look(&root, Some(&table));
        let gaps = Gaps::default();
        let names = collect(&root, &table, &view, &gaps).unwrap();
        let own = std::env::current_exe().unwrap();
        assert!(names.contains(&own.file_name().unwrap().to_string_lossy().into_owned()));
        assert!(!names.contains(&"kthreadd".into()));
        assert!(gaps.into_sorted().is_empty());
        let hidden = View { host_processes: false, ..view };
        assert_eq!(collect(&root, &table, &hidden, &gaps_of()), None);
    }

    fn gaps_of() -> Gaps {
        Gaps::default()
    }
}
