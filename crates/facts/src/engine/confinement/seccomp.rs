//! What a seccomp profile is worth: whether it denies what an engine's own profile denies.
//!
//! A profile that lets through what it does not name is only as good as its list, so the list must name what
//! leads out of a container. Keys are matched as Go matches them, in any case.

use serde_json::Value;

/// System calls that the engines' own profiles deny to a container without extra rights.
const DANGEROUS: [&str; 23] = [
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "fsmount",
    "fsopen",
    "init_module",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mount",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "reboot",
    "request_key",
    "setns",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
];

/// Whether an action lets a call through; what is not known or not said is taken to.
pub(in crate::engine) fn lets(action: &str) -> bool {
    !denies(action) && !matches!(action, "SCMP_ACT_TRACE" | "SCMP_ACT_NOTIFY")
}

fn denies(action: &str) -> bool {
    matches!(
        action,
        "SCMP_ACT_ERRNO"
            | "SCMP_ACT_KILL"
            | "SCMP_ACT_KILL_PROCESS"
            | "SCMP_ACT_KILL_THREAD"
            | "SCMP_ACT_TRAP"
    )
}

/// The default action of a profile; empty if it has none.
pub(in crate::engine) fn default_action(profile: &Value) -> &str {
    get(profile, "defaultAction").and_then(Value::as_str).unwrap_or_default()
}

/// `unconfined` if the profile lets through what matters, else `custom`.
pub(super) fn judge(profile: &Value) -> &'static str {
    if !lets(default_action(profile)) {
        return "custom";
    }
    let rules: Vec<&Value> =
        get(profile, "syscalls").and_then(Value::as_array).into_iter().flatten().collect();
    let action =
        |rule: &Value| get(rule, "action").and_then(Value::as_str).unwrap_or_default().to_owned();
    let denied = |call: &&str| {
        let mut about = rules.iter().filter(|rule| names(rule, call)).peekable();
        // A second rule that lets the same call through leaves open which one holds.
        about.peek().is_some() && about.all(|rule| denies(&action(rule)) && unconditional(rule))
    };
    if DANGEROUS.iter().all(denied) { "custom" } else { "unconfined" }
}

fn names(rule: &Value, call: &str) -> bool {
    let is_it = |name: &Value| name.as_str() == Some(call);
    get(rule, "names").and_then(Value::as_array).is_some_and(|names| names.iter().any(is_it))
        || get(rule, "name").is_some_and(is_it)
}

/// Whether a rule holds for all arguments, machines and rights.
fn unconditional(rule: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields
            .values()
            .all(|field| field.is_null() || field.as_array().is_some_and(Vec::is_empty)),
        _ => false,
    };
    ["args", "includes", "excludes"].iter().all(|key| get(rule, key).is_none_or(empty))
}

/// A field of an object, its name in any case.
fn get<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let fields = value.as_object()?;
    fields
        .get(key)
        .or_else(|| Some(fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_profile_that_lets_through_what_it_does_not_name_must_name_what_matters() {
        assert_eq!(judge(&json!({"defaultAction": "SCMP_ACT_ERRNO"})), "custom");
        for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "", "SCMP_ACT_X"] {
            assert_eq!(judge(&json!({"defaultAction": action})), "unconfined");
        }
        assert_eq!(judge(&json!({"DEFAULTACTION": "SCMP_ACT_ALLOW"})), "unconfined");
        let deny = |names: &[&str], more: Value| {
            let mut rule = json!({"names": names, "action": "SCMP_ACT_ERRNO"});
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
        };
        assert_eq!(judge(&deny(&["x"], json!({}))), "unconfined");
        let excludes = json!({"args": null, "includes": {}, "excludes": {"caps": []}});
        assert_eq!(judge(&deny(&DANGEROUS, excludes)), "custom");
        let conditional = json!({"excludes": {"caps": ["CAP_SYS_ADMIN"]}});
        assert_eq!(judge(&deny(&DANGEROUS, conditional)), "unconfined");
        let first = json!({"args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]});
        assert_eq!(judge(&deny(&DANGEROUS, first)), "unconfined");
        let mut both = deny(&DANGEROUS, json!({}));
        let more = json!({"name": "bpf", "action": "SCMP_ACT_ALLOW"});
        both["syscalls"].as_array_mut().unwrap().push(more);
        assert_eq!(judge(&both), "unconfined");
    }
}
