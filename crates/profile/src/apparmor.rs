//! An AppArmor profile with the files, capabilities and networks that were seen.
//!
//! It stands alone: nothing is included from the host. Names that a profile cannot have are left out, which refuses them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use haechi_core::profile::{Kind, Profile};
use haechi_core::text::visible;

use crate::least::Least;

/// From so many files of a folder on, all of it may be read.
const MANY: usize = 8;
/// Families of sockets that AppArmor knows by a name.
const FAMILIES: [(u64, &str); 6] =
    [(1, "unix"), (2, "inet"), (10, "inet6"), (16, "netlink"), (17, "packet"), (40, "vsock")];
/// What the runtime and every program need: devices, and what the kernel tells a process about itself.
const ALWAYS: &str = "  # The runtime, and what every program is told about itself.
  signal (receive) peer=unconfined,
  /dev/{null,zero,full,random,urandom,tty,console,ptmx} rw,
  /dev/pts/{,**} rw,
  /dev/shm/{,**} rwk,
  @{PROC}/@{pid}/{,**} r,
  @{PROC}/@{pid}/fd/* rw,
  @{PROC}/{cpuinfo,meminfo,stat,uptime,loadavg,filesystems,mounts,version} r,
  @{PROC}/sys/{kernel,net,vm}/{,**} r,
  /sys/devices/system/cpu/{,**} r,
  /sys/fs/cgroup/{,**} r,
  deny @{PROC}/{sysrq-trigger,kcore,mem,kmem} rwklx,
  deny mount,
";

/// A profile, and what is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The profile, for `apparmor_parser`.
    pub text: String,
    /// Paths that it cannot name.
    pub left_out: BTreeSet<String>,
}

/// Makes the profile of this name (see [`crate::fragment::slug`]).
pub fn make(profile: &Profile, least: &Least, name: &str) -> Made {
    let mut left_out = BTreeSet::new();
    let mut rights: BTreeMap<String, BTreeSet<char>> = BTreeMap::new();
    let mut read: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in profile.known() {
        let path = entry.value.as_str();
        let letters = match entry.kind {
            Kind::Executed => "rmix",
            Kind::Mapped => "rm",
            Kind::Read => "r",
            Kind::Written => "rwkl",
            _ => continue,
        };
        if is_told(path) {
            continue;
        }
        let Some(quoted) = quote(path).filter(|quoted| !quoted.is_empty()) else {
            left_out.insert(path.to_owned());
            continue;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match (entry.kind, quote(folder)) {
            (Kind::Read, _) => read.entry(folder).or_default().push(quoted),
            // What is written there next has another name.
            (Kind::Written, Some(folder)) if !folder.is_empty() => {
                rights.entry(format!("{folder}/{{,**}}")).or_default().extend(letters.chars());
            }
            _ => rights.entry(quoted).or_default().extend(letters.chars()),
        }
    }
    for (folder, files) in read {
        let whole = quote(folder).filter(|folder| files.len() >= MANY && !folder.is_empty());
        let whole = whole.map(|folder| vec![format!("{folder}/{{,**}}")]);
        // What was read may be a folder: its name ends with a stroke then.
        let each = || files.iter().map(|file| format!("{file}{{,/}}")).collect();
        for path in whole.unwrap_or_else(each) {
            rights.entry(path).or_default().insert('r');
        }
    }

    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = writeln!(text, "abi <abi/3.0>,\n@{{PROC}}=/proc/\n@{{pid}}=[0-9]* self thread-self\n");
    let _ = writeln!(text, "profile haechi-{name} flags=(attach_disconnected,mediate_deleted) {{");
    text.push_str(ALWAYS);
    let _ = writeln!(text, "  signal (send, receive) peer=haechi-{name},");
    let _ = writeln!(text, "  ptrace (read, readby) peer=haechi-{name},\n");
    match &least.capabilities.used {
        None => text.push_str("  capability,\n"),
        Some(used) => used.iter().for_each(|name| {
            let _ = writeln!(text, "  capability {},", name.to_ascii_lowercase());
        }),
    }
    text.push_str(&networks(profile, least));
    text.push('\n');
    for (path, letters) in &rights {
        let letters = letters.iter().filter(|c| !"ix".contains(**c)).collect::<String>()
            + if letters.contains(&'x') { "ix" } else { "" };
        let _ = writeln!(text, "  \"{path}\" {letters},");
    }
    text.push_str("}\n");
    Made { text, left_out }
}

/// Families of sockets, if the calls say which.
fn networks(profile: &Profile, least: &Least) -> String {
    let calls = |name: &str| least.calls.seen.contains(name) || least.calls.has_compat;
    if !["socket", "socketpair"].into_iter().any(calls) {
        return String::new();
    }
    let is_known = |name| !calls(name) || least.calls.limited.contains_key(name);
    let values: BTreeSet<u64> = profile
        .known()
        .filter(|entry| entry.kind == Kind::Argument)
        .filter_map(|entry| {
            entry.value.strip_prefix("socket ").or(entry.value.strip_prefix("socketpair "))
        })
        .filter_map(|value| value.parse().ok())
        .collect();
    let known = |value: &u64| FAMILIES.iter().find(|(family, _)| family == value);
    let names: Option<Vec<_>> = values.iter().map(known).collect();
    match names {
        Some(names) if is_known("socket") && is_known("socketpair") && !names.is_empty() => {
            names.iter().map(|(_, name)| format!("  network {name},\n")).collect()
        }
        _ => "  network,\n".to_owned(),
    }
}

/// Whether it is in a folder of the kernel, which has its own rules above.
fn is_told(path: &str) -> bool {
    ["/proc", "/sys", "/dev"].into_iter().any(|top| crate::writable::is_below(path, top))
}

/// A path between quotes; its letters that mean something there mean themselves. `None` if it cannot be one.
fn quote(path: &str) -> Option<String> {
    if visible(path) != path || !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let special = |c: char| "\\\"*?[]{}^,@".contains(c);
    Some(path.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::coverage::{Coverage, Rule};
    use crate::testing::profile;
    use crate::today::Today;

    fn made(profile: &Profile) -> Made {
        let rule = Rule { quiet_min: 3600, has_health_check: false };
        let least = Least::of(profile, &Coverage::of(profile, &rule), &Today::default());
        make(profile, &least, "web")
    }

    /// What AppArmor's own compiler says about a profile.
    fn parsed(text: &str) -> String {
        let mut parser = Command::new("apparmor_parser")
            .args(["--skip-kernel-load", "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("apparmor_parser (Debian package apparmor)");
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let done = parser.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if done.status.success() { String::new() } else { format!("{said}\n{text}") }
    }

    #[test]
    fn a_profile_names_what_was_seen_and_compiles() {
        let many: Vec<String> = (0..9).map(|at| format!("/usr/share/a/{at}")).collect();
        let mut entries = vec![
            (Kind::Executed, "/usr/sbin/nginx"),
            (Kind::Mapped, "/usr/lib/libc.so.6"),
            (Kind::Read, "/etc/nginx/nginx.conf"),
            (Kind::Read, "/etc/nginx/nginx.conf"),
            (Kind::Written, "/run/nginx.pid"),
            (Kind::Written, "/proc/self/oom_score_adj"),
            (Kind::Capability, "NET_BIND_SERVICE"),
            (Kind::Call, "socket"),
            (Kind::Argument, "socket 1"),
            (Kind::Argument, "socket 2"),
        ];
        entries.extend(many.iter().map(|path| (Kind::Read, path.as_str())));
        let found = made(&profile(&entries));
        for line in [
            "profile haechi-web flags=(attach_disconnected,mediate_deleted) {",
            "  capability net_bind_service,",
            "  network unix,",
            "  network inet,",
            "  \"/usr/sbin/nginx\" mrix,",
            "  \"/usr/lib/libc.so.6\" mr,",
            "  \"/etc/nginx/nginx.conf{,/}\" r,",
            "  \"/run/{,**}\" klrw,",
            "  \"/usr/share/a/{,**}\" r,",
        ] {
            assert!(found.text.lines().any(|one| one == line), "{line}:\n{}", found.text);
        }
        assert!(!found.text.contains("oom_score_adj") && !found.text.contains("inet6"));
        assert_eq!(parsed(&found.text), "");
    }

    #[test]
    fn hostile_names_are_names_or_left_out() {
        let odd = [
            "/a b/\"c\"",
            "/x*[y]?{z}^,@{PROC}",
            "/back\\slash",
            "/웹/서버",
            "/# no comment",
            "/a\" rwx, capability sys_admin, \"/b",
        ];
        let mut entries: Vec<(Kind, &str)> =
            odd.iter().map(|path| (Kind::Executed, *path)).collect();
        entries.extend(odd.iter().map(|path| (Kind::Written, *path)));
        let lost = ["", "/a\nb", "/a\u{202e}b", "relative", "/x\0y"];
        entries.extend(lost.iter().map(|path| (Kind::Executed, *path)));
        entries.extend(lost.iter().map(|path| (Kind::Read, *path)));
        let found = made(&profile(&entries));
        assert_eq!(parsed(&found.text), "");
        assert_eq!(found.left_out.len(), lost.len());
        assert!(!found.text.contains("capability sys_admin,\n"), "{}", found.text);
    }

    #[test]
    fn what_is_not_known_is_allowed() {
        let mut known = profile(&[(Kind::Call, "socket")]);
        assert!(made(&known).text.contains("  network,\n"));
        known.entries.clear();
        assert!(!made(&known).text.contains("network"));
        known.runs[0].gaps.insert(haechi_core::profile::Gap::Capabilities);
        let found = made(&known);
        assert!(found.text.contains("  capability,\n"));
        assert_eq!(parsed(&found.text), "");
    }
}
