//! A seccomp profile in the format of Docker and the OCI, from the system calls that were seen.
//!
//! What was not seen is refused (`EPERM`), and so is a new namespace by `clone` unless one was seen. `clone3`, whose flags no
//! filter can look at, is answered as if the kernel had none (`ENOSYS`): the C library uses `clone` then. Only calls of 64-bit
//! and 32-bit x86 are known here.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::profile::{Kind, Profile};
use serde::Serialize;

use crate::calls::{self, COMPAT};

/// Not permitted.
const EPERM: u32 = 1;
/// There is no such call.
const ENOSYS: u32 = 38;

/// A profile as Docker, containerd and Podman read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// What happens to any other call.
    pub default_action: &'static str,
    /// With which error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Entries of the kernel that can be used at all.
    pub architectures: Vec<&'static str>,
    /// Rules; a call is allowed if one allows it.
    pub syscalls: Vec<Syscalls>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscalls {
    /// Calls, sorted.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: &'static str,
    /// With which error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// For which arguments; all must fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
}

/// What an argument has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Which, from 0.
    pub index: u32,
    /// Which bits are looked at.
    pub value: u64,
    /// What they have to be.
    pub value_two: u64,
    /// How it is compared.
    pub op: &'static str,
}

/// A profile, and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The profile.
    pub filter: Filter,
    /// Calls that were seen, of the 64-bit entry.
    pub seen: BTreeSet<String>,
    /// Calls that are allowed, of the 64-bit entry.
    pub allowed: BTreeSet<String>,
    /// Calls that are allowed although they were not seen: key of the reason.
    pub added: BTreeMap<String, String>,
    /// Calls that were seen and have no name here: they are refused.
    pub left_out: BTreeSet<String>,
    /// Calls of which only some arguments are allowed, and how many.
    pub limited: BTreeMap<String, usize>,
    /// Whether the 32-bit entry is used.
    pub has_compat: bool,
}

/// Makes a profile. Arguments are only looked at if `knows_calls`: else a value may be missing.
pub fn make(profile: &Profile, knows_calls: bool) -> Made {
    let of = |kind| profile.known().filter(move |e| e.kind == kind).map(|e| e.value.as_str());
    let (mut seen, mut compat, mut left_out) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for name in of(Kind::Call) {
        match name.strip_prefix(COMPAT) {
            Some(name) if calls::is_compat(name) => compat.insert(name.to_owned()),
            None if calls::is_native(name) => seen.insert(name.to_owned()),
            _ => left_out.insert(name.to_owned()),
        };
    }
    let asked = of(Kind::RefusedCall).filter(|name| calls::is_new(name) && !seen.contains(*name));
    let mut missing: BTreeSet<String> = asked.map(str::to_owned).collect();

    let mut values = values(of(Kind::Argument));
    let spaces = values.remove("clone");
    // A filter rule is for both entries, and arguments are known of one.
    values.retain(|name, _| knows_calls && seen.contains(name) && !compat.contains(name));
    let mut whole: BTreeSet<String> = seen.union(&compat).cloned().collect();
    let mut added = BTreeMap::new();
    for need in calls::needed() {
        for name in &need.calls {
            if (calls::is_native(name) || !compat.is_empty()) && whole.insert(name.clone()) {
                added.insert(name.clone(), need.why.clone());
            }
        }
        for (name, needed) in &need.arguments {
            if whole.insert(name.clone()) {
                added.insert(name.clone(), need.why.clone());
                values.entry(name.clone()).or_default().extend(needed);
            } else if let Some(values) = values.get_mut(name) {
                values.extend(needed);
            }
        }
    }
    if whole.remove("clone3") {
        // Its flags lie in memory, where no filter can read them.
        whole.insert("clone".into());
    }
    missing.insert("clone3".into());
    // Without that capability a new namespace would have been refused, by the kernel or by Docker's own profile.
    let may_have_spaces = || of(Kind::Capability).any(|name| name == "SYS_ADMIN");
    if whole.contains("clone") && (spaces.is_some() || !may_have_spaces()) {
        let mut spaces = spaces.unwrap_or_default();
        spaces.insert(0);
        values.insert("clone".into(), spaces);
    }

    let limited: BTreeMap<String, usize> =
        values.iter().map(|(name, values)| (name.clone(), values.len())).collect();
    whole.retain(|name| !limited.contains_key(name));
    let allowed = whole.iter().chain(limited.keys()).filter(|name| calls::is_native(name));
    let allowed = allowed.cloned().collect();
    let mut syscalls = vec![allow(whole.into_iter().collect(), Vec::new())];
    for (name, values) in values {
        let Some((index, mask)) = calls::argument(&name) else { continue };
        let values: BTreeSet<u64> = values.into_iter().map(|value| value & mask).collect();
        syscalls.extend(values.into_iter().map(|value| {
            let one = Argument { index, value: mask, value_two: value, op: "SCMP_CMP_MASKED_EQ" };
            allow(vec![name.clone()], vec![one])
        }));
    }
    syscalls.push(Syscalls {
        names: missing.into_iter().collect(),
        action: "SCMP_ACT_ERRNO",
        errno_ret: Some(ENOSYS),
        args: Vec::new(),
    });
    let mut architectures = vec!["SCMP_ARCH_X86_64"];
    architectures.extend((!compat.is_empty()).then_some("SCMP_ARCH_X86"));
    let filter = Filter {
        default_action: "SCMP_ACT_ERRNO",
        default_errno_ret: Some(EPERM),
        architectures,
        syscalls,
    };
    Made { filter, seen, allowed, added, left_out, limited, has_compat: !compat.is_empty() }
}

fn allow(names: Vec<String>, args: Vec<Argument>) -> Syscalls {
    Syscalls { names, action: "SCMP_ACT_ALLOW", errno_ret: None, args }
}

/// Values by call, of `CALL VALUE`.
fn values<'a>(entries: impl Iterator<Item = &'a str>) -> BTreeMap<String, BTreeSet<u64>> {
    let mut values: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for entry in entries {
        let known = entry
            .split_once(' ')
            .and_then(|(name, value)| Some((name, value.parse().ok()?)))
            .filter(|(name, _)| calls::argument(name).is_some());
        if let Some((name, value)) = known {
            values.entry(name.to_owned()).or_default().insert(value);
        }
    }
    values
}

#[cfg(test)]
mod tests;
