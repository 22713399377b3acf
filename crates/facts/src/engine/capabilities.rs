//! Capabilities: their names, what an engine gives by default, and what a container ends up with.
//!
//! Knows sets only; where they come from is [`super::rights`]' business.

pub(super) use haechi_core::capability::from_bits;
use haechi_core::capability::{DEFAULT, NAMES};

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
    let all = || NAMES.iter().take(last + 1).copied();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        plain(list.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn capabilities_are_resolved_as_the_engine_does() {
        let all = NAMES.len() - 1;
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
