//! What a container may do: capabilities, user, and the security settings in force.
//!
//! For a container that runs here the kernel's word counts over the configuration's, and of two answers the
//! weaker protection is told. Host-wide defaults are the engine's; checks decide what is enough.

use haechi_core::facts::{Container, ContainerSecurity, Effective};
use haechi_core::finding::Cause;
use serde_json::Value;

use super::containers::{Surroundings, unseen};
use super::json::{Reader, text_at};
use super::processes::Group;
use crate::root::Root;

/// All capabilities in the order of their bits.
const CAPABILITIES: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
];

/// What the engine gives a container by default.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
];

/// Characters of a security option that are shown; a seccomp profile has 15,000.
const OPTION_MAX: usize = 200;

/// Capability names in the form of the facts: upper case, without `CAP_`, sorted.
pub(super) fn capabilities(names: Vec<String>) -> Vec<String> {
    let plain = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
    };
    let mut names: Vec<String> = names.into_iter().map(plain).collect();
    names.sort();
    names.dedup();
    names
}

/// Security options as given, with a seccomp profile's text left out.
pub(super) fn shown_options(options: &[String]) -> Vec<String> {
    let shown = |option: &String| match setting(option, "seccomp") {
        Some(profile) if profile.contains('{') => "seccomp=custom profile".to_owned(),
        _ => option.chars().take(OPTION_MAX).collect(),
    };
    options.iter().map(shown).collect()
}

/// The value of `name=value`, or `name:value` as old engines have it.
fn setting<'o>(option: &'o str, name: &str) -> Option<&'o str> {
    option.trim().strip_prefix(name)?.strip_prefix(['=', ':'])
}

/// What the kernel says of a container's first process.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kernel {
    bounding: u64,
    seccomp: Option<u64>,
    no_new_privileges: Option<bool>,
}

impl Kernel {
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
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
    container.security = Some(security(around, reader, group, kernel.as_ref(), container));
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
        Some(resolve(given.privileged?, add, drop, last_capability(around)))
    };
    let (found, source) = match kernel {
        Some(kernel) => (Some(from_bits(kernel.bounding)), "kernel"),
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
        reader.gap("effective.capabilities", cause, detail);
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
            let detail = format!("user {user:?} of a stopped container cannot be resolved to an id");
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
    last.unwrap_or(CAPABILITIES.len() - 1)
}

/// Defaults, added and dropped capabilities as the engine resolves them.
fn resolve(privileged: bool, add: &[String], drop: &[String], last: usize) -> Vec<String> {
    let has = |list: &[String], name: &str| list.iter().any(|item| item == name);
    let all = || CAPABILITIES.iter().take(last + 1).copied();
    let mut names: Vec<String> = if privileged {
        all().map(str::to_owned).collect()
    } else if has(add, "ALL") {
        all().filter(|name| !has(drop, name)).map(str::to_owned).collect()
    } else if has(drop, "ALL") {
        add.to_vec()
    } else {
        let kept = DEFAULT.into_iter().filter(|name| !has(drop, name)).map(str::to_owned);
        kept.chain(add.iter().cloned()).collect()
    };
    names.sort();
    names.dedup();
    names
}

/// Names of a set of bits; a capability newer than this program gets its number.
fn from_bits(bits: u64) -> Vec<String> {
    let name = |bit: usize| match CAPABILITIES.get(bit) {
        Some(name) => (*name).to_owned(),
        None => format!("CAP_{bit}"),
    };
    let mut names: Vec<String> =
        (0..64).filter(|bit| bits >> bit & 1 == 1).map(name).collect();
    names.sort();
    names
}

fn security(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    kernel: Option<&Kernel>,
    container: &Container,
) -> ContainerSecurity {
    let privileged = container.host_config.as_ref().and_then(|given| given.privileged);
    // The shown options have lost a profile's text, so they are read again.
    let options = reader.at("HostConfig.SecurityOpt").map_or(Some(Vec::new()), super::json::texts);
    let (Some(privileged), Some(options)) = (privileged, options) else {
        reader.gap("security", Cause::Missing, "the engine's answer lacks its security options");
        return ContainerSecurity::default();
    };
    ContainerSecurity {
        no_new_privileges: no_new_privileges(around, reader, kernel, &options),
        seccomp: seccomp(around, reader, kernel, privileged, &options),
        apparmor: apparmor(around, reader, group, privileged, &options),
        selinux: Some(selinux(around, reader, container, privileged, &options)),
        system_paths_unconfined: Some(system_paths_unconfined(reader, privileged, &options)),
    }
}

fn no_new_privileges(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    kernel: Option<&Kernel>,
    options: &[String],
) -> Option<bool> {
    // The process's own word: what is not in force there is not in force.
    if kernel.and_then(|kernel| kernel.no_new_privileges) == Some(false) {
        return Some(false);
    }
    let own = options.iter().rev().find_map(|option| {
        let rest = option.trim().strip_prefix("no-new-privileges")?;
        Some(matches!(rest.trim_start_matches(['=', ':']), "" | "true" | "1" | "t" | "T" | "TRUE" | "True"))
    });
    let default = || {
        if super::info::podman(around.engine) {
            return Some(false);
        }
        around.engine.config.as_ref()?.no_new_privileges.as_ref()?.value
    };
    let found = own.or_else(default);
    if found.is_none() {
        let detail = "whether the daemon sets it for all containers is not known";
        reader.gap("security.no_new_privileges", Cause::Missing, detail);
    }
    found
}

fn seccomp(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    kernel: Option<&Kernel>,
    privileged: bool,
    options: &[String],
) -> Option<String> {
    let own = options.iter().rev().find_map(|option| setting(option, "seccomp"));
    let daemon = around.engine.seccomp.as_ref();
    let unfiltered = kernel.is_some_and(|kernel| kernel.seccomp == Some(0));
    let found = match own {
        _ if daemon.and_then(|daemon| daemon.enabled) == Some(false) => "off",
        _ if privileged || unfiltered => "unconfined",
        Some("unconfined") => "unconfined",
        Some("builtin" | "default") => "default",
        Some(profile) if allows_everything(profile) => "unconfined",
        Some(_) => "custom",
        None => match daemon.and_then(|daemon| daemon.profile.as_deref()) {
            Some("unconfined") => "unconfined",
            Some(_) => "default",
            None => {
                let detail = "the engine's default profile is not known";
                reader.gap("security.seccomp", Cause::Missing, detail);
                return None;
            }
        },
    };
    Some(found.to_owned())
}

/// Whether a profile lets every system call through.
fn allows_everything(profile: &str) -> bool {
    let Ok(profile) = serde_json::from_str::<Value>(profile) else { return false };
    let lets = |action: &str| matches!(action, "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG");
    let rules = profile.get("syscalls").and_then(Value::as_array);
    lets(text_at(&profile, "defaultAction"))
        && rules.is_none_or(|rules| rules.iter().all(|rule| lets(text_at(rule, "action"))))
}

fn apparmor(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    privileged: bool,
    options: &[String],
) -> Option<String> {
    let Some(engine) = around.engine.apparmor else {
        let detail = "whether the engine uses AppArmor is not known";
        reader.gap("security.apparmor", Cause::Missing, detail);
        return None;
    };
    if !engine {
        return Some(String::new());
    }
    let own = options.iter().rev().find_map(|option| setting(option, "apparmor"));
    let configured = match (own, text_at_reader(reader, "AppArmorProfile")) {
        (Some("unconfined"), _) => "unconfined",
        (None, _) if privileged => "unconfined",
        (Some(profile), "") => profile,
        // Filled in at the first start.
        (None, "") => "docker-default",
        (_, profile) => profile,
    };
    let read = |group: &Group<'_>| {
        let path = |rest: &str| around.scene.root.proc(&format!("{}/attr/{rest}", group.first.pid));
        let read = |rest| std::fs::read_to_string(path(rest)).ok();
        read("apparmor/current").or_else(|| read("current"))
    };
    let kernel = group.and_then(read);
    Some(match kernel.as_deref().map(|text| text.trim_end_matches(['\0', '\n'])) {
        None | Some("") => configured.to_owned(),
        // In complain mode a profile only writes a log.
        Some(label) => match label.split_once(" (") {
            Some((profile, "enforce)" | "kill)")) => profile.to_owned(),
            _ => "unconfined".to_owned(),
        },
    })
}

fn text_at_reader<'a>(reader: Reader<'a>, path: &str) -> &'a str {
    reader.at(path).and_then(Value::as_str).unwrap_or_default()
}

fn selinux(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    container: &Container,
    privileged: bool,
    options: &[String],
) -> String {
    let labels: Vec<&str> = options.iter().filter_map(|option| setting(option, "label")).collect();
    let runs = container.state.as_ref().and_then(|state| state.running) == Some(true);
    // A running container without a label on an engine that labels is not confined.
    let unlabelled = around.engine.selinux == Some(true)
        && runs
        && reader.at("ProcessLabel").is_some()
        && text_at_reader(reader, "ProcessLabel").is_empty();
    if privileged || unlabelled || labels.contains(&"disable") {
        "disabled".into()
    } else if labels.is_empty() {
        "default".into()
    } else {
        labels.join(",")
    }
}

fn system_paths_unconfined(reader: Reader<'_>, privileged: bool, options: &[String]) -> bool {
    // The `docker` command turns the option into empty lists.
    let emptied = |path: &str| {
        reader.at(path).and_then(Value::as_array).is_some_and(Vec::is_empty)
    };
    options.iter().any(|option| setting(option, "systempaths") == Some("unconfined"))
        || (!privileged
            && (emptied("HostConfig.MaskedPaths") || emptied("HostConfig.ReadonlyPaths")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        capabilities(list.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn capabilities_are_resolved_as_the_engine_does() {
        let all = CAPABILITIES.len() - 1;
        assert_eq!(resolve(false, &[], &[], all), DEFAULT);
        assert_eq!(resolve(true, &[], &names(&["ALL"]), all).len(), 41);
        assert_eq!(resolve(false, &names(&["cap_net_admin"]), &names(&["all"]), all), ["NET_ADMIN"]);
        let most = resolve(false, &names(&["ALL"]), &names(&["SYS_ADMIN"]), all);
        assert!(most.len() == 40 && !most.contains(&"SYS_ADMIN".to_owned()));
        let less = resolve(false, &names(&["SYS_TIME"]), &names(&["NET_RAW"]), all);
        assert!(less.contains(&"SYS_TIME".to_owned()) && !less.contains(&"NET_RAW".to_owned()));
        assert_eq!(resolve(true, &[], &[], 37).len(), 38);
    }

    #[test]
    fn bits_become_names() {
        assert_eq!(from_bits(0xa804_25fb), DEFAULT);
        assert_eq!(from_bits(1 << 63), ["CAP_63"]);
        assert!(from_bits(0).is_empty());
        assert_eq!(from_bits(u64::MAX).len(), 64);
        let status = "Name:\tx\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let kernel = Kernel::parse(status).unwrap();
        assert_eq!((kernel.seccomp, kernel.no_new_privileges), (Some(2), Some(false)));
        assert_eq!(Kernel::parse("Name: x"), None);
    }

    #[test]
    fn a_profile_that_lets_everything_through_is_no_profile() {
        assert!(allows_everything(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#));
        assert!(allows_everything(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["x"], "action": "SCMP_ACT_LOG"}]}"#
        ));
        assert!(!allows_everything(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ERRNO"}]}"#
        ));
        assert!(!allows_everything(r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#));
        assert!(!allows_everything("/etc/profile.json"));
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

    #[test]
    fn a_profile_s_text_is_not_shown() {
        let options = ["seccomp={\"defaultAction\":\"x\"}".to_owned(), "apparmor=mine".to_owned()];
        assert_eq!(shown_options(&options), ["seccomp=custom profile", "apparmor=mine"]);
    }
}
