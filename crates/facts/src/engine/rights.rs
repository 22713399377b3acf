//! What a container may do: capabilities and users in the end, and what keeps it in.
//!
//! For a container that runs here the kernel's word counts over the configuration's, and of two answers the
//! weaker protection is told. Host-wide defaults are the engine's; checks decide what is enough.

use haechi_core::facts::{Container, Effective};
use haechi_core::finding::Cause;

use super::capabilities;
use super::containers::{Surroundings, unseen};
use super::json::Reader;
use super::processes::Group;
use crate::root::Root;

/// What the kernel says of a container's processes; of each the weakest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kernel {
    bounding: u64,
    /// 0 if no filter is in force.
    pub(super) seccomp: Option<u64>,
    /// Whether its programs cannot gain rights.
    pub(super) no_new_privileges: Option<bool>,
}

impl Kernel {
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        Some(Self {
            bounding: u64::from_str_radix(field("CapBnd")?, 16).ok()?,
            seccomp: field("Seccomp").and_then(|value| value.parse().ok()),
            no_new_privileges: field("NoNewPrivs").map(|value| value == "1"),
        })
    }

    /// Both processes as one: what one of them may do, the container may do.
    fn join(self, other: Self) -> Self {
        let weaker = |a: Option<bool>, b: Option<bool>| match (a, b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (a, b) => a.or(b),
        };
        Self {
            bounding: self.bounding | other.bounding,
            seccomp: self.seccomp.into_iter().chain(other.seccomp).min(),
            no_new_privileges: weaker(self.no_new_privileges, other.no_new_privileges),
        }
    }
}

/// Fills the effective rights and the security settings.
pub(super) fn fill(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    container: &mut Container,
) {
    let root = around.scene.root;
    let kernel = group.and_then(|group| {
        let read = |pid: i32| {
            let path = root.proc(&format!("{pid}/status"));
            Kernel::parse(&std::fs::read_to_string(path).ok()?)
        };
        let others = group.all.iter().filter(|process| process.pid != group.first.pid);
        let first = read(group.first.pid)?;
        // One that has ended meanwhile tells nothing.
        Some(others.filter_map(|process| read(process.pid)).fold(first, Kernel::join))
    });
    container.effective = Some(effective(around, reader, group, kernel.as_ref(), container));
    container.security =
        Some(super::confinement::security(around, reader, group, kernel.as_ref(), container));
}

fn effective(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    kernel: Option<&Kernel>,
    container: &Container,
) -> Effective {
    let runs = container.state.as_ref().and_then(|state| state.running);
    let given = container.host_config.as_ref();
    let configured = || {
        let given = given?;
        let (add, drop) = (given.cap_add.as_ref()?, given.cap_drop.as_ref()?);
        let names = capabilities::resolve(given.privileged?, add, drop, last_capability(around));
        let podman = super::info::podman(around.engine) && given.privileged == Some(false);
        Some(if kernel.is_some() && podman { without_dockers(names, add) } else { names })
    };
    let (found, source) = match kernel {
        // A process may have given up what the next one that is executed gets again.
        Some(kernel) => {
            let bounding = capabilities::from_bits(kernel.bounding);
            (configured().map(|configured| union(bounding, configured)), "kernel")
        }
        // A running container here whose rights the kernel would tell, but not to this user.
        None if around.daemon.local && runs != Some(false) => (None, ""),
        None => (configured(), "configuration"),
    };
    if found.is_none() {
        let (cause, detail) = match (runs, around.daemon.local) {
            _ if kernel.is_some() => {
                (Cause::Missing, "its capabilities are not in the engine's answer".to_owned())
            }
            (Some(false), _) | (_, false) => {
                (Cause::Missing, "its capabilities are not in the engine's answer".to_owned())
            }
            _ => unseen(around),
        };
        for fact in ["effective.capabilities", "effective.source"] {
            reader.gap(fact, cause, detail.clone());
        }
    }
    let (uid, runs_as_root) = users(around, reader, group, container);
    Effective {
        source: found.is_some().then(|| source.to_owned()),
        capabilities: found,
        uid,
        runs_as_root,
    }
}

/// Names that are in one of the sets.
fn union(mut names: Vec<String>, more: Vec<String>) -> Vec<String> {
    names.extend(more);
    names.sort();
    names.dedup();
    names
}

/// The set without what Docker gives by default and Podman does not; if Podman was told to, the kernel shows it.
fn without_dockers(mut names: Vec<String>, add: &[String]) -> Vec<String> {
    let asked = |name: &String| add.iter().any(|added| added == name || added == "ALL");
    names.retain(|name| {
        asked(name) || !["AUDIT_WRITE", "MKNOD", "NET_RAW"].contains(&name.as_str())
    });
    names
}

/// User id of the first process, and whether any process is root inside.
fn users(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    container: &Container,
) -> (Option<i64>, Option<bool>) {
    let gap = |(cause, detail): (Cause, String)| {
        for fact in ["effective.uid", "effective.runs_as_root"] {
            reader.gap(fact, cause, detail.clone());
        }
        (None, None)
    };
    if let (Some(group), Some(groups)) = (group, &around.groups) {
        let (first, all) = groups.uids(group);
        let Some(first) = first else { return gap(unseen(around)) };
        let root = if all.contains(&Some(0)) {
            Some(true)
        } else {
            // One process whose user is not visible could be root.
            (!all.contains(&None) && groups.complete()).then_some(false)
        };
        if root.is_none() {
            let (cause, detail) = unseen(around);
            reader.gap("effective.runs_as_root", cause, detail);
        }
        return (Some(first), root);
    }
    if container.state.as_ref().and_then(|state| state.running) != Some(false) {
        return gap(unseen(around));
    }
    let Some(user) = container.config.as_ref().and_then(|config| config.user.as_deref()) else {
        return gap((Cause::Missing, "its user is not in the engine's answer".into()));
    };
    match configured_uid(user) {
        Some(uid) => (Some(uid), Some(uid == 0)),
        None => {
            let detail =
                format!("user {user:?} of a stopped container cannot be resolved to an id");
            reader.gap("effective.runs_as_root", Cause::NotObserved, detail);
            (Some(-1), None)
        }
    }
}

/// The user id that a configured user means, if it says so by itself.
fn configured_uid(user: &str) -> Option<i64> {
    match user.split(':').next().unwrap_or_default() {
        "" | "root" => Some(0),
        number => number.parse::<u32>().ok().map(i64::from),
    }
}

/// The newest capability that this kernel knows; all that this program knows, for another machine.
fn last_capability(around: &Surroundings<'_>) -> usize {
    let read = |root: &Root| {
        let text = std::fs::read_to_string(root.proc("sys/kernel/cap_last_cap")).ok()?;
        text.trim().parse::<usize>().ok()
    };
    let last = around.daemon.local.then(|| read(around.scene.root)).flatten();
    last.unwrap_or(haechi_core::capability::NAMES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_word_is_read() {
        let status = "Name:\tx\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let kernel = Kernel::parse(status).unwrap();
        assert_eq!((kernel.seccomp, kernel.no_new_privileges), (Some(2), Some(false)));
        assert_eq!(Kernel::parse("Name: x"), None);
    }

    #[test]
    fn the_weakest_process_counts() {
        let of = |bounding, seccomp, no_new_privileges| Kernel {
            bounding,
            seccomp: Some(seccomp),
            no_new_privileges: Some(no_new_privileges),
        };
        // The first process gave everything up, and somebody executed a privileged one.
        assert_eq!(of(0, 2, true).join(of(6, 0, false)), of(6, 0, false));
        assert_eq!(of(5, 2, true).join(Kernel::default()), of(5, 2, true));
    }

    #[test]
    fn a_dropped_bounding_set_does_not_hide_what_is_configured() {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let all = union(capabilities::from_bits(0), names(&["SYS_ADMIN", "CHOWN"]));
        assert_eq!(all, ["CHOWN", "SYS_ADMIN"]);
        let less = without_dockers(names(&["CHOWN", "MKNOD", "NET_RAW"]), &names(&["MKNOD"]));
        assert_eq!(less, ["CHOWN", "MKNOD"]);
    }

    #[test]
    fn users_are_resolved_only_where_they_say_their_id() {
        assert_eq!(configured_uid(""), Some(0));
        assert_eq!(configured_uid("root:www"), Some(0));
        assert_eq!(configured_uid("00"), Some(0));
        assert_eq!(configured_uid("1000:1000"), Some(1000));
        assert_eq!(configured_uid("www"), None);
        assert_eq!(configured_uid("-1"), None);
    }
}
