//! What is allowed follows from what was seen, and nothing more.

use std::collections::BTreeSet;

use haechi_core::profile::Kind;
use haechi_core::profile::Kind::{Argument as Value, Call, Capability, RefusedCall};
use serde_json::{Value as Json, json};

use super::{Made, make};
use crate::testing::profile;
use crate::today::Today;

fn made(entries: &[(Kind, &str)]) -> Made {
    make(&profile(entries), true)
}

/// Values that a call may have; `None` if any.
fn values(made: &Made, call: &str) -> Option<Vec<u64>> {
    let rules =
        made.filter.syscalls.iter().filter(|rule| rule.names.iter().any(|name| name == call));
    let rules: Vec<_> = rules.filter(|rule| rule.action == "SCMP_ACT_ALLOW").collect();
    assert!(!rules.is_empty(), "{call} is refused");
    let values: Vec<u64> =
        rules.iter().flat_map(|rule| &rule.args).map(|argument| argument.value_two).collect();
    (!values.is_empty()).then_some(values)
}

#[test]
fn what_was_seen_and_what_starting_needs_is_allowed() {
    let made = made(&[(Call, "openat"), (Call, "sendfile"), (RefusedCall, "mount")]);
    assert!(made.allowed.contains("sendfile") && made.allowed.contains("execve"));
    assert!(!made.allowed.contains("mount") && !made.allowed.contains("ptrace"));
    assert_eq!(made.added.get("capset").unwrap(), "runtime-rights");
    assert_eq!(made.added.get("exit_group").unwrap(), "program-end");
    assert!(!made.added.contains_key("openat"));
    assert_eq!(made.seen.len(), 2);
    let json = serde_json::to_value(&made.filter).unwrap();
    assert_eq!(json["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(json["defaultErrnoRet"], 1);
    assert_eq!(json["architectures"], json!(["SCMP_ARCH_X86_64"]));
    for rule in json["syscalls"].as_array().unwrap() {
        let names: Vec<&str> =
            rule["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        assert!(names.is_sorted() && !names.is_empty());
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
    let (last, _) = (json["syscalls"].as_array().unwrap().last().unwrap(), Json::Null);
    assert_eq!(last, &json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
}

#[test]
fn a_call_of_one_value_is_that_value() {
    let calls = [(Call, "socket"), (Call, "ioctl"), (Call, "prctl"), (Call, "personality")];
    let seen =
        [(Value, "socket 1"), (Value, "socket 2"), (Value, "prctl 15"), (Value, "ioctl 21505")];
    let made = made(&[&calls[..], &seen].concat());
    assert_eq!(values(&made, "socket").unwrap(), [1, 2]);
    assert_eq!(values(&made, "ioctl").unwrap(), [21_505]);
    // The runtime sets its rights down after the filter is in force.
    assert_eq!(values(&made, "prctl").unwrap(), [8, 15, 23, 24, 47]);
    // Nothing is known of its values.
    assert_eq!(values(&made, "personality"), None);
    let rule = made.filter.syscalls.iter().find(|rule| rule.names == ["ioctl"]).unwrap();
    assert_eq!(
        serde_json::to_value(&rule.args).unwrap(),
        json!([{"index": 1, "value": 0xffff_ffff_u32, "valueTwo": 21_505, "op": "SCMP_CMP_MASKED_EQ"}])
    );
    // What may be missing limits nothing.
    assert_eq!(values(&make(&profile(&[&calls[..], &seen].concat()), false), "socket"), None);
    assert_eq!(values(&make(&profile(&[]), true), "prctl").unwrap(), [8, 23, 24, 47]);
}

#[test]
fn new_namespaces_only_if_they_were_seen() {
    assert_eq!(values(&made(&[(Call, "clone")]), "clone").unwrap(), [0]);
    assert_eq!(values(&made(&[(Call, "clone3")]), "clone").unwrap(), [0]);
    let spaces = made(&[(Call, "clone"), (Value, "clone 268435456")]);
    assert_eq!(values(&spaces, "clone").unwrap(), [0, 0x1000_0000]);
    assert_eq!(values(&made(&[(Call, "clone"), (Capability, "SYS_ADMIN")]), "clone"), None);
    assert!(!made(&[(Call, "read")]).allowed.contains("clone"));
    // Whoever tries a new call and is refused is told that there is none.
    let tried = made(&[(RefusedCall, "openat2"), (RefusedCall, "ptrace")]);
    assert_eq!(tried.filter.syscalls.last().unwrap().names, ["clone3", "openat2"]);
}

#[test]
fn the_32_bit_entry_is_open_only_if_it_was_used() {
    let both = made(&[
        (Call, "read"),
        (Call, "compat:mmap2"),
        (Call, "compat:socket"),
        (Call, "socket"),
        (Value, "socket 2"),
    ]);
    assert_eq!(both.filter.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    assert!(both.has_compat);
    assert_eq!(values(&both, "mmap2"), None);
    assert_eq!(values(&both, "socket"), None, "values are known of one entry only");
    assert_eq!(values(&both, "sigreturn"), None);
    let native = made(&[(Call, "read")]);
    assert!(
        !native.filter.syscalls.iter().any(|rule| rule.names.contains(&"sigreturn".to_owned()))
    );
}

#[test]
fn names_that_nobody_knows_are_left_out() {
    let odd = made(&[
        (Call, "999"),
        (Call, "compat:1"),
        (Call, "read\"]}"),
        (Call, "mmap2"),
        (Value, "socket x"),
        (Value, "read 1"),
    ]);
    assert_eq!(odd.left_out.len(), 4);
    assert!(!serde_json::to_string(&odd.filter).unwrap().contains("]}\""));
    assert!(odd.limited.keys().all(|name| name == "prctl"));
}

/// Of a container that holds these and has this profile.
fn given(seccomp: Option<&str>, held: &[&str]) -> Today {
    let capabilities = Some(held.iter().map(|name| (*name).to_owned()).collect());
    Today { seccomp: seccomp.map(str::to_owned), capabilities, ..Today::default() }
}

#[test]
fn what_is_refused_today_stays_refused() {
    let seen = [
        (Call, "mount"),
        (Call, "read"),
        (Call, "clone"),
        (Call, "socket"),
        (Call, "personality"),
        (Call, "fsopen"),
        (Value, "clone 268435456"),
        (Value, "socket 2"),
        (Value, "socket 40"),
        (Capability, "SYS_ADMIN"),
    ];
    let known = profile(&seen);
    let whole = |today: &Today| make(&known, true).within(today);
    // Another container of the workload may do it, this one may not.
    let less = whole(&given(Some("default"), &["CHOWN"]));
    assert!(!less.allowed.contains("mount") && less.allowed.contains("read"));
    assert!(!less.filter.syscalls.iter().any(|rule| rule.names.contains(&"mount".into())));
    assert_eq!(less.withheld, ["fsopen", "mount"].map(String::from).into());
    assert_eq!(less.filter.syscalls.last().unwrap().names, ["clone3", "fsopen"]);
    assert_eq!(values(&less, "clone").unwrap(), [0]);
    assert_eq!(values(&less, "socket").unwrap(), [2]);
    assert_eq!(values(&less, "personality").unwrap(), super::PERSONALITIES);
    assert_eq!((less.limited["clone"], less.limited["socket"]), (1, 1));
    // Where its values are not known it is as in Docker's own profile.
    let open = make(&known, false).within(&given(Some("default"), &[]));
    let rule = open.filter.syscalls.iter().find(|rule| rule.names == ["socket"]).unwrap();
    assert_eq!((rule.args[0].op, rule.args[0].value), ("SCMP_CMP_NE", 40));
    // Who may do it today keeps it.
    for today in [given(Some("default"), &["SYS_ADMIN"]), given(Some("unconfined"), &[])] {
        let same = whole(&today);
        assert!(same.allowed.contains("mount") && same.withheld.is_empty(), "{today:?}");
        assert_eq!(values(&same, "clone").unwrap(), [0, 0x1000_0000]);
    }
    // What is not known today is said.
    for today in [given(Some("custom"), &["CHOWN"]), Today::default()] {
        let same = whole(&today);
        assert!(same.allowed.contains("mount") && same.withheld.is_empty(), "{today:?}");
        assert_eq!(same.beyond, ["fsopen", "mount"].map(String::from).into());
    }
}

#[test]
fn dockers_own_profile_refuses_nothing_that_starting_needs() {
    let made = make(&profile(&[]), true);
    let less = made.clone().within(&given(Some("default"), &[]));
    assert_eq!((made.allowed, made.added), (less.allowed, less.added));
}
