//! Capabilities: their names, what an engine gives by default, and what a container ends up with.
//!
//! Knows sets and names only; where they come from is [`super::rights`]' business.

/// All capabilities in the order of their bits.
pub(super) const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What the engine gives a container by default.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Capability names in the form of the facts: upper case, without `CAP_`, sorted.
pub(super) fn plain(names: Vec<String>) -> Vec<String> {
    let plain = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
    };
    let mut names: Vec<String> = names.into_iter().map(plain).collect();
    names.sort();
    names.dedup();
    names
}

/// Defaults, added and dropped capabilities as the engine resolves them.
pub(super) fn resolve(
    privileged: bool,
    add: &[String],
    drop: &[String],
    last: usize,
) -> Vec<String> {
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
pub(super) fn from_bits(bits: u64) -> Vec<String> {
    let name = |bit: usize| match CAPABILITIES.get(bit) {
        Some(name) => (*name).to_owned(),
        None => format!("CAP_{bit}"),
    };
    let mut names: Vec<String> = (0..64).filter(|bit| bits >> bit & 1 == 1).map(name).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        plain(list.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn capabilities_are_resolved_as_the_engine_does() {
        let all = CAPABILITIES.len() - 1;
        assert_eq!(resolve(false, &[], &[], all), DEFAULT);
        assert_eq!(resolve(true, &[], &names(&["ALL"]), all).len(), 41);
        assert_eq!(
            resolve(false, &names(&["cap_net_admin"]), &names(&["all"]), all),
            ["NET_ADMIN"]
        );
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
    }
}
