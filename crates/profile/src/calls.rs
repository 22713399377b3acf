//! System calls by name: which there are, what the runtime and every program need, and what Docker's own profile allows.
//!
//! Data of `data/calls.yaml`, which says how it was found. It judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;
use syscalls::{x86, x86_64};

/// Before calls of the 32-bit entry in a profile.
pub const COMPAT: &str = "compat:";
/// Bits of `clone` and `unshare` that ask for new namespaces.
pub const NEW_SPACES: u64 = 0x7e02_0000;
/// Calls of this number and later ones are known to be missing on kernels in use: who calls them knows what to do then.
const NEW: u32 = 424;

static DATA: LazyLock<Data> = LazyLock::new(|| {
    serde_norway::from_str(include_str!("../data/calls.yaml")).unwrap_or_default()
});

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    runtime: Vec<Needed>,
    program: Vec<Needed>,
    docker: Docker,
}

/// Calls that are needed for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Needed {
    /// Key of the reason, `need-…` in the texts.
    pub why: String,
    /// Their names.
    pub calls: Vec<String>,
    /// Calls of which only these values are needed.
    #[serde(default)]
    pub arguments: BTreeMap<String, Vec<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    always: BTreeSet<String>,
    capabilities: BTreeMap<String, BTreeSet<String>>,
}

/// What is needed in every container: of the runtime, and of any program.
pub(crate) fn needed() -> impl Iterator<Item = &'static Needed> {
    DATA.runtime.iter().chain(&DATA.program)
}

/// Whether every container makes this call, because the runtime or any program does: whenever that is seen first, it says
/// nothing about what the container does. The runtime puts the filter in force with `seccomp`, and counts as the container at
/// times.
pub fn is_everybodys(name: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<&'static str>> =
        LazyLock::new(|| needed().flat_map(|need| &need.calls).map(String::as_str).collect());
    NAMES.contains(name) || name == "seccomp"
}

/// What Docker's profile allows a container with these capabilities (without `CAP_`), calls of the 64-bit entry only.
pub fn docker<'a>(capabilities: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'static str> {
    docker_of_both(capabilities).into_iter().filter(|name| is_native(name)).collect()
}

/// The same, calls of the 32-bit entry too.
pub(crate) fn docker_of_both<'a>(
    capabilities: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<&'static str> {
    let held = capabilities.into_iter().filter_map(|name| DATA.docker.capabilities.get(name));
    DATA.docker.always.iter().chain(held.flatten()).map(String::as_str).collect()
}

/// All calls of the 64-bit entry.
pub fn native() -> BTreeSet<&'static str> {
    x86_64::Sysno::iter().map(|call| call.name()).collect()
}

/// Whether there is such a call at the 64-bit entry.
pub fn is_native(name: &str) -> bool {
    name.parse::<x86_64::Sysno>().is_ok()
}

/// Whether there is such a call at the 32-bit entry.
pub(crate) fn is_compat(name: &str) -> bool {
    name.parse::<x86::Sysno>().is_ok()
}

/// Whether programs know that kernels may lack it.
pub(crate) fn is_new(name: &str) -> bool {
    name.parse::<x86_64::Sysno>()
        .is_ok_and(|call| u32::try_from(call.id()).is_ok_and(|id| id >= NEW))
}

/// Which argument of a call says what it may do, from 0, and which bits of it.
pub(crate) fn argument(name: &str) -> Option<(u32, u64)> {
    Some(match name {
        "clone" => (0, NEW_SPACES),
        "ioctl" => (1, 0xffff_ffff),
        "bpf" | "keyctl" | "personality" | "prctl" | "ptrace" | "socket" | "socketpair"
        | "unshare" => (0, 0xffff_ffff),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_of_calls_that_there_are() {
        let mut names = 0;
        let all = needed().flat_map(|need| need.calls.iter().chain(need.arguments.keys()));
        for name in
            all.chain(&DATA.docker.always).chain(DATA.docker.capabilities.values().flatten())
        {
            // Two that only other processors have.
            assert!(
                is_native(name) || is_compat(name) || ["send", "recv"].contains(&&**name),
                "{name}"
            );
            names += 1;
        }
        assert!(names > 400, "{names}");
        for need in needed() {
            for lang in [haechi_core::Lang::En, haechi_core::Lang::Ko] {
                let key = format!("need-{}", need.why);
                assert_ne!(crate::texts::say(lang, &key, &[]), key);
            }
        }
    }

    #[test]
    fn docker_allows_more_with_capabilities() {
        let plain = docker([]);
        assert!(plain.contains("openat") && !plain.contains("mount") && !plain.contains("chroot"));
        assert!(docker(["SYS_CHROOT"]).contains("chroot"));
        let admin = docker(["SYS_ADMIN", "NOBODY"]);
        assert!(admin.contains("mount") && admin.is_superset(&plain));
        assert!((280..330).contains(&plain.len()), "{}", plain.len());
    }
}
