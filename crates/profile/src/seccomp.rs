//! A seccomp profile in the format of Docker and the OCI, from the system calls that were seen.
//!
//! What was not seen is refused (`EPERM`), and so is a new namespace by `clone` unless one was seen. `clone3`, whose flags no
//! filter can look at, is answered as if the kernel had none (`ENOSYS`): the C library uses `clone` then. Only calls of 64-bit
//! and 32-bit x86 are known here. What is refused today stays refused ([`Made::within`]).

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::profile::{Kind, Profile};
use serde::Serialize;

use crate::calls::{self, COMPAT};
use crate::texts;
use crate::today::Today;

/// Not permitted.
const EPERM: u32 = 1;
/// There is no such call.
const ENOSYS: u32 = 38;

/// Kinds of processes that Docker's own profile lets a program ask for (`personality`).
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// The family of sockets that it refuses to everybody (vsock).
const FAMILY_REFUSED: u64 = 40;

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
    /// Which bits are looked at; with `SCMP_CMP_NE` what it must not be.
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
    /// Calls that were seen of other containers of the workload, and are refused today: they stay so.
    pub withheld: BTreeSet<String>,
    /// Calls that are allowed, and that Docker's own profile would refuse, while it is not known what is refused today.
    pub beyond: BTreeSet<String>,
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
        let Some((_, mask)) = calls::argument(&name) else { continue };
        let values: BTreeSet<u64> = values.into_iter().map(|value| value & mask).collect();
        syscalls.extend(values.into_iter().filter_map(|value| one(&name, value)));
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
    let (withheld, beyond, has_compat) = (BTreeSet::new(), BTreeSet::new(), !compat.is_empty());
    Made { filter, seen, allowed, added, left_out, withheld, beyond, limited, has_compat }
}

impl Made {
    /// What has to be known before it is used.
    pub fn remarks(&self, lang: Lang) -> Vec<String> {
        let all = [
            ("remark-left-out", &self.left_out),
            ("remark-calls-withheld", &self.withheld),
            ("remark-calls-beyond", &self.beyond),
        ];
        all.into_iter().filter_map(|(key, names)| texts::named(lang, key, names)).collect()
    }

    /// The same without what is refused today. If that is not known, what Docker's own profile would refuse is named.
    pub fn within(mut self, today: &Today) -> Self {
        if ["unconfined", "off"].map(Some).contains(&today.seccomp.as_deref()) {
            return self;
        }
        let given = calls::docker_of_both(today.held());
        let is_more = |name: &&String| !given.contains(name.as_str());
        if today.seccomp.as_deref() != Some("default") {
            self.beyond = self.allowed.iter().filter(is_more).cloned().collect();
            return self;
        }
        self.withheld = self.seen.iter().filter(is_more).cloned().collect();
        self.allowed.retain(|name| !is_more(&name));
        self.added.retain(|name, _| !is_more(&name));
        self.limited.retain(|name, _| !is_more(&name));
        let may_have_spaces = today.held().any(|name| name == "SYS_ADMIN");
        let mut rules = Vec::new();
        for mut rule in std::mem::take(&mut self.filter.syscalls) {
            if rule.action != "SCMP_ACT_ALLOW" {
                // A program takes it better if a new call is missing than if it is refused.
                rule.names.extend(self.withheld.iter().filter(|name| calls::is_new(name)).cloned());
                rule.names.sort();
                rules.push(rule);
                continue;
            }
            rule.names.retain(|name| !is_more(&name));
            let any = rule.args.is_empty();
            let mut of = |name: &str| any && take(&mut rule.names, name);
            let spaces = !may_have_spaces && of("clone");
            let (personality, socket) = (of("personality"), of("socket"));
            let is_given = |name: &str, value: u64| match name {
                "clone" => may_have_spaces || value == 0,
                "personality" => PERSONALITIES.contains(&value),
                "socket" => value != FAMILY_REFUSED,
                _ => true,
            };
            let is_refused = rule
                .args
                .iter()
                .any(|argument| rule.names.iter().any(|name| !is_given(name, argument.value_two)));
            if !rule.names.is_empty() && !is_refused {
                rules.push(rule);
            }
            rules.extend(spaces.then(|| one("clone", 0)).flatten());
            let values = PERSONALITIES.into_iter().filter(|_| personality);
            rules.extend(values.filter_map(|value| one("personality", value)));
            let other =
                Argument { index: 0, value: FAMILY_REFUSED, value_two: 0, op: "SCMP_CMP_NE" };
            rules.extend(socket.then(|| allow(vec!["socket".to_owned()], vec![other])));
        }
        for name in self.limited.keys().cloned().collect::<Vec<_>>() {
            let count = rules.iter().filter(|rule| rule.names.contains(&name)).count();
            self.limited.insert(name, count);
        }
        self.filter.syscalls = rules;
        self
    }
}

/// Takes a name out.
fn take(names: &mut Vec<String>, name: &str) -> bool {
    let before = names.len();
    names.retain(|one| one != name);
    names.len() < before
}

/// A rule that allows a call with one value.
fn one(name: &str, value: u64) -> Option<Syscalls> {
    let (index, mask) = calls::argument(name)?;
    let one = Argument { index, value: mask, value_two: value & mask, op: "SCMP_CMP_MASKED_EQ" };
    Some(allow(vec![name.to_owned()], vec![one]))
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
