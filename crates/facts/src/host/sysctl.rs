//! Kernel settings, from `ROOT/proc/sys`.
//!
//! Only those that checks ask for. A setting that this kernel does not have is left out; one that
//! cannot be read is left out, too, and is a gap of its own (`sysctls.NAME`). Settings of the
//! network are those of the network namespace of whoever reads them, so they count only where that
//! is the host's.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use haechi_core::finding::{Cause, SubjectKind};

use super::view::View;
use crate::gaps::Gaps;
use crate::root::Root;

/// The settings that checks ask for; a test compares this with the checks.
const NAMES: [&str; 37] = [
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.dmesg_restrict",
    "kernel.kexec_load_disabled",
    "kernel.kptr_restrict",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.randomize_va_space",
    "kernel.sysrq",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "net.core.bpf_jit_harden",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.all.accept_source_route",
    "net.ipv4.conf.all.log_martians",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.secure_redirects",
    "net.ipv4.conf.all.send_redirects",
    "net.ipv4.conf.default.accept_redirects",
    "net.ipv4.conf.default.accept_source_route",
    "net.ipv4.conf.default.log_martians",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.default.secure_redirects",
    "net.ipv4.conf.default.send_redirects",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.accept_redirects",
    "net.ipv6.conf.all.accept_source_route",
    "net.ipv6.conf.default.accept_redirects",
    "net.ipv6.conf.default.accept_source_route",
    "vm.unprivileged_userfaultfd",
];

/// Reads the settings; `None` if there is no `ROOT/proc/sys` at all.
pub(super) fn collect(root: &Root, view: &View, gaps: &Gaps) -> Option<BTreeMap<String, String>> {
    if !root.proc("sys/kernel").is_dir() {
        super::proc_gap(gaps, "sysctls");
        return None;
    }
    let mut settings = BTreeMap::new();
    for name in NAMES {
        let gap = |cause, detail: String| {
            gaps.record(SubjectKind::Host, &format!("sysctls.{name}"), cause, detail);
        };
        if name.starts_with("net.") && !view.host_network {
            gap(Cause::Permission, view.network_detail().into());
            continue;
        }
        match std::fs::read_to_string(root.proc(&format!("sys/{}", name.replace('.', "/")))) {
            Ok(value) => {
                settings.insert(name.to_owned(), value.trim().to_owned());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                gap(
                    Cause::Permission,
                    format!("/proc/sys: {name}: permission denied; run as root"),
                );
            }
            Err(error) => gap(Cause::Missing, format!("/proc/sys: {name}: {error}")),
        }
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn view(host_network: bool) -> View {
        View { host_network, ..View::default() }
    }

    #[test]
    fn reads_what_is_there_and_says_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let gaps = Gaps::default();
        assert_eq!(collect(&root, &view(true), &gaps), None);
        let all = dir.path().join("proc/sys/net/ipv4/conf/all");
        std::fs::create_dir_all(&all).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        std::fs::write(all.join("rp_filter"), "1\n").unwrap();
        std::fs::write(dir.path().join("proc/sys/kernel/kptr_restrict"), "2\n").unwrap();
        let settings = collect(&root, &view(true), &gaps).unwrap();
        assert_eq!(settings.len(), 2);
        assert_eq!(settings.get("net.ipv4.conf.all.rp_filter").unwrap(), "1");
        let recorded = gaps.into_sorted();
        assert_eq!(recorded.len(), 1, "a setting that the kernel lacks is no gap: {recorded:?}");
        assert_eq!(recorded[0].fact, "sysctls");
    }

    #[test]
    fn the_network_settings_of_another_namespace_are_not_the_host_s() {
        let gaps = Gaps::default();
        let settings = collect(&Root::new(Path::new("/")), &view(false), &gaps).unwrap();
        assert!(settings.contains_key("kernel.randomize_va_space"));
        assert!(!settings.keys().any(|name| name.starts_with("net.")));
        let facts: Vec<_> = gaps.into_sorted().into_iter().map(|gap| gap.fact).collect();
        assert!(facts.contains(&"sysctls.net.ipv4.conf.all.rp_filter".into()));
    }

    #[test]
    fn every_setting_that_a_check_names_is_collected() {
        let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checks");
        for entry in std::fs::read_dir(checks).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c)) {
                let known = ["kernel.", "net.ipv4.", "net.ipv6.", "net.core.", "fs.", "vm."];
                let setting = known.iter().any(|start| word.starts_with(start))
                    && word.contains('_')
                    && !word.ends_with('.');
                assert!(!setting || NAMES.contains(&word), "add {word} to NAMES");
            }
        }
    }
}
