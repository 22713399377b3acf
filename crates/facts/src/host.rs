//! The machine: kernel, accounts, services, audit rules, mounts, files.
//!
//! Everything is read from files below one root, from /proc and from the kernel over netlink. What
//! depends on namespaces is collected only where it is known to be the host's, and of a host that
//! the engine is not on nothing is collected at all.

mod accounts;
mod audit;
mod backups;
mod environment;
mod files;
mod glob;
mod listeners;
mod mounts;
mod os;
mod pam;
mod programs;
mod sshd;
mod sysctl;
mod units;
mod view;

use haechi_core::facts::{DataRootMount, File, Gap, Host, Snapshot};
use haechi_core::finding::{Cause, SubjectKind};
use tokio::task::JoinHandle;

use self::files::Wanted;
use self::view::View;
use crate::procs::ProcessTable;
use crate::{Options, gaps::Gaps, root::Root};

/// Why kernel and process facts are missing, and how to mend it.
const PROC_DETAIL: &str = "mount the host's /proc at ROOT/proc";

/// Collects the facts of the machine.
pub async fn collect(options: &Options, root: &Root, gaps: &Gaps, snapshot: &mut Snapshot) {
    if snapshot.engine.local == Some(false) {
        let endpoint = snapshot.engine.endpoint.as_deref().unwrap_or("unknown address");
        let detail = format!("the engine is on another host ({endpoint}); run Haechi there");
        gaps.record(SubjectKind::Host, "", Cause::Unreachable, detail.clone());
        gaps.record(SubjectKind::File, "", Cause::Unreachable, detail);
        return;
    }
    let wanted = Wanted::new(&snapshot.engine);
    let data_root = snapshot.engine.data_root.clone();
    let at = root.clone();
    let processes = start(move |gaps| from_processes(&at, wanted, data_root.as_deref(), gaps));
    let at = root.clone();
    let configuration = start(move |gaps| from_files(&at, gaps));
    let backups = backups::collect(root, &options.backups, options.now);
    let (backups, processes, configuration) = tokio::join!(
        backups,
        finish(processes, gaps, "processes and files"),
        finish(configuration, gaps, "configuration"),
    );
    let processes = processes.unwrap_or_default();
    if processes.data_root_mount.is_some() {
        snapshot.engine.data_root_mount = processes.data_root_mount;
    }
    snapshot.files = processes.files;
    let configuration = configuration.unwrap_or_default();
    snapshot.host = Host {
        root: Some(options.root.display().to_string()),
        backups: Some(backups),
        accounts: configuration.accounts,
        groups: configuration.groups,
        pam: configuration.pam,
        content_trust: configuration.content_trust,
        os: configuration.os,
        kernel: configuration.kernel,
        lsm: configuration.lsm,
        apparmor: configuration.apparmor,
        selinux: configuration.selinux,
        ..processes.host
    };
}

/// What needs the processes, or only makes sense beside them.
#[derive(Default)]
struct Processes {
    host: Host,
    files: Option<Vec<File>>,
    data_root_mount: Option<DataRootMount>,
}

fn from_processes(
    root: &Root,
    mut wanted: Wanted,
    data_root: Option<&str>,
    gaps: &Gaps,
) -> Processes {
    let table = ProcessTable::read(root).ok();
    let view = View::look(root, table.as_ref());
    let mut host = Host {
        hostname: os::hostname(root, &view, gaps),
        sysctls: sysctl::collect(root, &view, gaps),
        audit: Some(audit::collect(root, &view, gaps)),
        units: units::collect(root, gaps),
        sshd: sshd::collect(root, table.as_ref(), &view, gaps),
        ..Host::default()
    };
    match &table {
        Some(table) if view.proc => {
            host.listeners = listeners::collect(root, table, &view, gaps);
            host.programs = programs::collect(root, table, &view, gaps);
            for process in table.processes() {
                let runs = process.name == "containerd" && !programs::is_in_container(process);
                if let (true, Some(path)) = (runs && view.host_processes, &process.exe) {
                    wanted.add("containerd-binary", path);
                }
            }
        }
        _ => {
            proc_gap(gaps, "listeners");
            proc_gap(gaps, "programs");
        }
    }
    let mounts = mounts::collect(root, &view, gaps);
    let data_root_mount = data_root.and_then(|path| match &mounts {
        Some(mounts) => mounts.data_root(root, path, gaps),
        None => {
            let detail = "the host's mounts could not be read; see the gap of host.mounts";
            gaps.record(SubjectKind::Engine, "data_root_mount", Cause::Missing, detail);
            None
        }
    });
    host.mounts = mounts.map(|mounts| mounts.facts());
    wanted.units(host.units.as_deref());
    let files = Some(files::collect(root, &wanted, view.initial_user, gaps));
    Processes { host, files, data_root_mount }
}

/// What is only in files.
fn from_files(root: &Root, gaps: &Gaps) -> Host {
    let accounts = accounts::accounts(root, gaps);
    let modules = os::modules(root, gaps);
    // The units' own gap is recorded beside the processes.
    let unrecorded = Gaps::default();
    let units = units::collect(root, &unrecorded);
    if units.is_none() {
        let detail = "the engine's units could not be read; see the gap of host.units";
        gaps.record(SubjectKind::Host, "content_trust", Cause::Missing, detail);
    }
    Host {
        groups: accounts::groups(root, accounts.as_deref(), gaps),
        accounts,
        pam: pam::collect(root, gaps),
        content_trust: units.and_then(|units| environment::collect(root, &units, gaps)),
        os: os::os(root, gaps),
        kernel: os::kernel(root, gaps),
        lsm: modules.lsm,
        apparmor: modules.apparmor,
        selinux: modules.selinux,
        ..Host::default()
    }
}

/// Records that a fact needs a process file system that is not there.
fn proc_gap(gaps: &Gaps, fact: &str) {
    gaps.record(SubjectKind::Host, fact, Cause::Missing, PROC_DETAIL);
}

/// Starts a part on a thread where it may block.
fn start<T: Send + 'static>(
    work: impl FnOnce(&Gaps) -> T + Send + 'static,
) -> JoinHandle<(T, Vec<Gap>)> {
    tokio::task::spawn_blocking(move || {
        let gaps = Gaps::default();
        (work(&gaps), gaps.into_sorted())
    })
}

/// Takes a part's facts and gaps; a part that broke off is a gap itself, and all of its facts stay
/// absent.
async fn finish<T>(part: JoinHandle<(T, Vec<Gap>)>, gaps: &Gaps, what: &str) -> Option<T> {
    match part.await {
        Ok((facts, recorded)) => {
            for gap in recorded {
                gaps.record_for(gap.kind, &gap.id, &gap.fact, gap.cause, gap.detail);
            }
            Some(facts)
        }
        Err(error) => {
            let detail = format!("collecting {what} broke off: {error}");
            gaps.record(SubjectKind::Host, "", Cause::Missing, detail.clone());
            gaps.record(SubjectKind::File, "", Cause::Missing, detail);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Duration;

    fn options(root: &Path) -> Options {
        Options {
            root: root.to_owned(),
            endpoint: None,
            timeout: Duration::from_secs(600),
            now: jiff::Timestamp::now(),
            backups: Vec::new(),
            unlock_key_salt: [0; 32],
        }
    }

    async fn collected(root: &Path, local: Option<bool>) -> (Snapshot, Vec<Gap>) {
        let options = options(root);
        let gaps = Gaps::default();
        let mut snapshot = Snapshot::default();
        snapshot.engine.local = local;
        snapshot.engine.endpoint = Some("tcp://far:2376".into());
        snapshot.engine.data_root = Some("/var/lib/docker".into());
        collect(&options, &Root::new(root), &gaps, &mut snapshot).await;
        (snapshot, gaps.into_sorted())
    }

    #[tokio::test]
    async fn nothing_of_this_host_is_said_for_an_engine_on_another() {
        let (snapshot, gaps) = collected(Path::new("/"), Some(false)).await;
        assert_eq!(snapshot.host, Host::default());
        assert_eq!(snapshot.files, None);
        let shown: Vec<_> = gaps.iter().map(|gap| (gap.kind, gap.cause)).collect();
        assert_eq!(
            shown,
            [(SubjectKind::Host, Cause::Unreachable), (SubjectKind::File, Cause::Unreachable)]
        );
        assert!(gaps[0].detail.contains("tcp://far:2376"));
    }

    // Needs root and a running engine.
    #[tokio::test]
    async fn this_machine_is_collected_whole() {
        let (snapshot, gaps) = collected(Path::new("/"), Some(true)).await;
        let host = serde_json::to_value(&snapshot.host).unwrap();
        for fact in [
            "hostname",
            "kernel",
            "os",
            "root",
            "sysctls",
            "accounts",
            "groups",
            "sshd",
            "pam",
            "listeners",
            "audit",
            "content_trust",
            "units",
            "mounts",
            "programs",
            "backups",
            "apparmor",
            "selinux",
        ] {
            let gap = gaps.iter().any(|gap| gap.fact == fact);
            assert!(!host[fact].is_null() || gap, "{fact}: neither a value nor a gap");
        }
        assert!(snapshot.host.audit.unwrap().loaded.is_some());
        assert!(snapshot.engine.data_root_mount.unwrap().separate.is_some());
        assert!(snapshot.files.unwrap().len() > 15);
        println!("{gaps:#?}");
    }

    #[tokio::test]
    async fn an_empty_root_claims_nothing_that_it_did_not_see() {
        let dir = tempfile::tempdir().unwrap();
        let (snapshot, gaps) = collected(dir.path(), None).await;
        let host = snapshot.host;
        assert_eq!(host.accounts, None);
        assert_eq!(host.sysctls, None);
        assert_eq!(host.listeners, None);
        assert_eq!(host.programs, None);
        assert_eq!(host.mounts, None);
        assert_eq!(host.hostname, None);
        assert_eq!(host.audit.as_ref().and_then(|audit| audit.enabled), None);
        assert_eq!(host.sshd.as_ref().and_then(|sshd| sshd.installed), None);
        assert_eq!(snapshot.engine.data_root_mount, None);
        for fact in
            ["accounts", "audit.loaded", "groups", "kernel", "listeners", "mounts", "sysctls"]
        {
            assert!(gaps.iter().any(|gap| gap.fact == fact), "{fact}");
        }
    }
}
