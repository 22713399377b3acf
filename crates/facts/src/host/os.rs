//! Host name, kernel, distribution and security modules.
//!
//! The host name is the kernel's where this process has the host's, else that of /etc/hostname.
//! What a distribution is worth is not judged.

use haechi_core::facts::Os;
use haechi_core::finding::{Cause, SubjectKind};

use super::environment::assignment;
use super::view::View;
use crate::gaps::Gaps;
use crate::root::Root;

/// The host's name.
pub(super) fn hostname(root: &Root, view: &View, gaps: &Gaps) -> Option<String> {
    if view.host_name {
        return Some(rustix::system::uname().nodename().to_string_lossy().into_owned());
    }
    let text = gaps.keep(SubjectKind::Host, "hostname", root.read_text("/etc/hostname"))?;
    let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    if name.is_none() {
        gaps.record(SubjectKind::Host, "hostname", Cause::Missing, "/etc/hostname is empty");
    }
    name.map(str::to_owned)
}

/// The kernel's release.
pub(super) fn kernel(root: &Root, gaps: &Gaps) -> Option<String> {
    let release = std::fs::read_to_string(root.proc("sys/kernel/osrelease")).ok();
    if release.is_none() {
        super::proc_gap(gaps, "kernel");
    }
    release.map(|text| text.trim().to_owned())
}

/// The distribution, with the defaults of os-release(5).
pub(super) fn os(root: &Root, gaps: &Gaps) -> Option<Os> {
    let text = match root.read_text("/etc/os-release") {
        Err(error) if error.is_not_found() => root.read_text("/usr/lib/os-release"),
        other => other,
    };
    let text = gaps.keep(SubjectKind::Host, "os", text)?;
    let get = |wanted: &str| {
        text.lines()
            .filter_map(assignment)
            .filter(|(name, _)| name == wanted)
            .map(|(_, v)| v)
            .next_back()
    };
    Some(Os {
        id: Some(get("ID").unwrap_or_else(|| "linux".into())),
        version: Some(get("VERSION_ID").unwrap_or_default()),
        name: Some(get("PRETTY_NAME").unwrap_or_else(|| "Linux".into())),
    })
}

/// Security modules of the kernel.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Modules {
    pub lsm: Option<Vec<String>>,
    pub apparmor: Option<bool>,
    pub selinux: Option<String>,
}

/// Which security modules are active. Without securityfs the list is a gap, and AppArmor and
/// SELinux are asked for by their own files.
pub(super) fn modules(root: &Root, gaps: &Gaps) -> Modules {
    if root.metadata("/sys/kernel").is_err() {
        for fact in ["lsm", "apparmor", "selinux"] {
            let detail = "mount the host's /sys at ROOT/sys";
            gaps.record(SubjectKind::Host, fact, Cause::Missing, detail);
        }
        return Modules::default();
    }
    let lsm: Option<Vec<String>> = match root.read_text("/sys/kernel/security/lsm") {
        Ok(text) => Some(text.trim().split(',').map(|name| name.trim().to_owned()).collect()),
        Err(error) if error.is_not_found() => {
            let detail = "/sys/kernel/security/lsm is not there; mount securityfs";
            gaps.record(SubjectKind::Host, "lsm", Cause::Missing, detail);
            None
        }
        Err(error) => gaps.keep(SubjectKind::Host, "lsm", Err(error)),
    };
    let active = |name: &str| lsm.as_ref().map(|list| list.iter().any(|module| module == name));
    let apparmor = match root.read_text("/sys/module/apparmor/parameters/enabled") {
        Ok(text) => Some(text.trim().eq_ignore_ascii_case("y")),
        Err(error) if error.is_not_found() => Some(false),
        Err(error) => {
            active("apparmor").or_else(|| gaps.keep(SubjectKind::Host, "apparmor", Err(error)))
        }
    };
    let selinux = match root.read_text("/sys/fs/selinux/enforce") {
        Ok(text) if text.trim() == "1" => Some("enforcing".to_owned()),
        Ok(_) => Some("permissive".to_owned()),
        Err(error) if error.is_not_found() && active("selinux") != Some(true) => {
            Some("disabled".to_owned())
        }
        // It is in the kernel but its files are not mounted here, so its mode cannot be told.
        Err(error) => gaps.keep(SubjectKind::Host, "selinux", Err(error)),
    };
    Modules { lsm, apparmor, selinux }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn os_release_is_read_with_quotes_and_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let gaps = Gaps::default();
        assert_eq!(os(&root, &gaps), None);
        fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
        fs::write(
            dir.path().join("usr/lib/os-release"),
            "# c\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian \"12\"'\nnonsense\n",
        )
        .unwrap();
        let seen = os(&root, &gaps).unwrap();
        assert_eq!(seen.id.as_deref(), Some("debian"));
        assert_eq!(seen.version.as_deref(), Some("12"));
        assert_eq!(seen.name.as_deref(), Some("Debian \"12\""));
        fs::write(dir.path().join("usr/lib/os-release"), "").unwrap();
        let seen = os(&root, &gaps).unwrap();
        assert_eq!(seen.name.as_deref(), Some("Linux"));
        assert_eq!(seen.version.as_deref(), Some(""));
    }

    #[test]
    fn the_host_name_comes_from_the_file_when_ours_is_not_the_host_s() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/hostname"), "# name\n web-1 \n").unwrap();
        let view = View::default();
        let gaps = Gaps::default();
        assert_eq!(hostname(&root, &view, &gaps).as_deref(), Some("web-1"));
        fs::write(dir.path().join("etc/hostname"), "\n").unwrap();
        assert_eq!(hostname(&root, &view, &gaps), None);
        assert_eq!(gaps.into_sorted().len(), 1);
    }

    #[test]
    fn security_modules_fall_back_and_do_not_guess() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let gaps = Gaps::default();
        assert_eq!(modules(&root, &gaps), Modules::default());
        assert_eq!(gaps.into_sorted().len(), 3);

        let gaps = Gaps::default();
        let sys = dir.path().join("sys");
        fs::create_dir_all(sys.join("kernel/security")).unwrap();
        fs::create_dir_all(sys.join("module/apparmor/parameters")).unwrap();
        fs::write(sys.join("module/apparmor/parameters/enabled"), "Y\n").unwrap();
        let seen = modules(&root, &gaps);
        assert_eq!(seen.lsm, None);
        assert_eq!(seen.apparmor, Some(true));
        assert_eq!(seen.selinux.as_deref(), Some("disabled"));

        fs::write(sys.join("kernel/security/lsm"), "capability,yama,selinux").unwrap();
        let seen = modules(&root, &gaps);
        assert_eq!(seen.selinux, None, "in the kernel, mode not visible");
        fs::create_dir_all(sys.join("fs/selinux")).unwrap();
        fs::write(sys.join("fs/selinux/enforce"), "0").unwrap();
        assert_eq!(modules(&root, &gaps).selinux.as_deref(), Some("permissive"));
        let facts: Vec<_> = gaps.into_sorted().into_iter().map(|gap| gap.fact).collect();
        assert_eq!(facts, ["lsm", "selinux"]);
    }
}
