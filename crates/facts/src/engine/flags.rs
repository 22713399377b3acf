//! The daemon's command line, as dockerd's own parser (Go's pflag) reads it.
//!
//! Gives each option's values by the name that daemon.json uses. It must know which options take no value,
//! because `--icc --debug` are two options and `--bip --debug` would be one.

use std::collections::HashMap;

/// Options of dockerd that are yes or no; alone they mean yes, another value needs `=`.
const BOOLEAN: [&str; 30] = [
    "allow-direct-routing",
    "bridge-accept-fwmark",
    "cri-containerd",
    "debug",
    "disable-legacy-registry",
    "enable-cors",
    "experimental",
    "help",
    "icc",
    "init",
    "install-service",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "live-restore",
    "no-new-privileges",
    "raw-logs",
    "register-service",
    "rootless",
    "run-service",
    "selinux-enabled",
    "tls",
    "tlsverify",
    "unregister-service",
    "userland-proxy",
    "validate",
    "version",
];

/// Options whose name in daemon.json differs.
const FILE_NAMES: [(&str, &str); 14] = [
    ("authorization-plugin", "authorization-plugins"),
    ("cluster-store-opt", "cluster-store-opts"),
    ("default-address-pool", "default-address-pools"),
    ("default-ulimit", "default-ulimits"),
    ("dns-opt", "dns-opts"),
    ("exec-opt", "exec-opts"),
    ("graph", "data-root"),
    ("host", "hosts"),
    ("insecure-registry", "insecure-registries"),
    ("label", "labels"),
    ("log-opt", "log-opts"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
    ("storage-opt", "storage-opts"),
];

/// One-letter options and their long names.
const SHORT: [(char, &str); 11] = [
    ('D', "debug"),
    ('G', "group"),
    ('H', "host"),
    ('b', "bridge"),
    ('e', "exec-driver"),
    ('g', "graph"),
    ('h', "help"),
    ('l', "log-level"),
    ('p', "pidfile"),
    ('s', "storage-driver"),
    ('v', "version"),
];

/// The options of a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Flags(HashMap<String, Vec<String>>);

impl Flags {
    /// Understands a command line, the program's name included.
    pub(super) fn parse(arguments: &[String]) -> Self {
        let mut flags = Self::default();
        let mut rest = arguments.iter().skip(1).peekable();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                break;
            }
            if let Some(long) = argument.strip_prefix("--") {
                match long.split_once('=') {
                    Some((name, value)) => flags.add(name, value),
                    None if BOOLEAN.contains(&long) => flags.add(long, "true"),
                    None => flags.add(long, rest.next().map_or("", String::as_str)),
                }
            } else if let Some(letters) = argument.strip_prefix('-') {
                flags.add_short(letters, &mut rest);
            }
        }
        flags
    }

    fn add(&mut self, name: &str, value: &str) {
        let file_name = FILE_NAMES.iter().find(|(flag, _)| *flag == name).map_or(name, |(_, n)| n);
        self.0.entry(file_name.to_owned()).or_default().push(value.to_owned());
    }

    /// `-D`, `-H unix://`, `-Hunix://`, `-l=debug`, `-DH unix://`.
    fn add_short<'a>(&mut self, letters: &str, rest: &mut impl Iterator<Item = &'a String>) {
        for (at, letter) in letters.char_indices() {
            let Some((_, name)) = SHORT.iter().find(|(short, _)| *short == letter) else { return };
            let after = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            if BOOLEAN.contains(name) {
                match after.strip_prefix('=') {
                    Some(value) => return self.add(name, value),
                    None => self.add(name, "true"),
                }
            } else {
                let value = match after.strip_prefix('=').unwrap_or(after) {
                    "" => rest.next().map_or("", String::as_str),
                    value => value,
                };
                return self.add(name, value);
            }
        }
    }

    /// All values of an option, by its name in daemon.json; `None` if it is not given.
    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        self.0.get(name).cloned()
    }

    /// The value in force, which is the last one.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.last().cloned()
    }

    /// Yes or no as Go reads it; `Some(None)` if the value is neither, with which no daemon would start.
    pub(super) fn bool(&self, name: &str) -> Option<Option<bool>> {
        Some(match self.text(name)?.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Flags {
        Flags::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_as_dockerd_reads_them() {
        let flags = parse(
            "dockerd -DH fd:// -Htcp://0.0.0.0:1 --icc=false --iptables --log-opt a=b --log-opt=c=d \
             -l=warn --default-ulimit nofile=1:2 --label --icc=true --tlsverify=0 false",
        );
        assert_eq!(flags.list("hosts").unwrap(), ["fd://", "tcp://0.0.0.0:1"]);
        assert_eq!(flags.bool("icc"), Some(Some(false)), "--icc=true is the label's value");
        assert_eq!(flags.bool("iptables"), Some(Some(true)));
        assert_eq!(flags.bool("debug"), Some(Some(true)));
        assert_eq!(flags.list("log-opts").unwrap(), ["a=b", "c=d"]);
        assert_eq!(flags.text("log-level").as_deref(), Some("warn"));
        assert_eq!(flags.list("default-ulimits").unwrap(), ["nofile=1:2"]);
        assert_eq!(flags.bool("tlsverify"), Some(Some(false)));
        assert_eq!(flags.bool("tls"), None);
        assert_eq!(parse("dockerd --icc=maybe").bool("icc"), Some(None));
        assert_eq!(parse("dockerd -- --icc=false").bool("icc"), None);
    }

    #[test]
    fn a_value_that_stands_apart_does_not_belong_to_a_yes_or_no_option() {
        // Go's parser reads this as `--icc` and a stray word.
        assert_eq!(parse("dockerd --icc false").bool("icc"), Some(Some(true)));
    }

    proptest! {
        #[test]
        fn any_command_line_is_survived(arguments in proptest::collection::vec("\\PC{0,12}", 0..12)) {
            let _ = Flags::parse(&arguments);
        }

        #[test]
        fn an_option_is_found_wherever_it_stands(
            before in proptest::collection::vec("--(debug|ipv6|mtu=[0-9]{1,3})", 0..6),
            after in proptest::collection::vec("(-D|--bip=x|--dns 1)", 0..6),
        ) {
            let line = format!("dockerd {} --icc=false {}", before.join(" "), after.join(" "));
            prop_assert_eq!(parse(&line).bool("icc"), Some(Some(false)));
        }
    }
}
