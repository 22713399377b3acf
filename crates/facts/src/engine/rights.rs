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

/// What the kernel says of a container's first process.
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
        let path = root.proc(&format!("{}/status", group.first.pid));
        Kernel::parse(&std::fs::read_to_string(path).ok()?)
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
        Some(capabilities::resolve(given.privileged?, add, drop, last_capability(around)))
    };
    let (found, source) = match kernel {
        Some(kernel) => (Some(capabilities::from_bits(kernel.bounding)), "kernel"),
        // A running container here whose rights the kernel would tell, but not to this user.
        None if around.daemon.local && runs != Some(false) => (None, ""),
        None => (configured(), "configuration"),
    };
    if found.is_none() {
        let (cause, detail) = match (runs, around.daemon.local) {
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
    last.unwrap_or(capabilities::CAPABILITIES.len() - 1)
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
    fn users_are_resolved_only_where_they_say_their_id() {
        assert_eq!(configured_uid(""), Some(0));
        assert_eq!(configured_uid("root:www"), Some(0));
        assert_eq!(configured_uid("00"), Some(0));
        assert_eq!(configured_uid("1000:1000"), Some(1000));
        assert_eq!(configured_uid("www"), None);
        assert_eq!(configured_uid("-1"), None);
    }
}
