//! Facts of the machine: kernel, accounts, services, audit rules, mounts, files.
//!
//! Filled by `haechi-facts`' host collector from files below one root, from /proc and from netlink.

use std::collections::BTreeMap;

use super::facts;

facts! {
    /// The machine that runs the engine.
    pub struct Host {
        /// Its host name.
        pub hostname: String,
        /// Kernel release, as `uname -r`.
        pub kernel: String,
        /// Distribution, from os-release.
        pub os: Os,
        /// The directory that the host's files were read below; `/` on the host itself.
        pub root: String,
        /// Kernel settings by sysctl name (`kernel.randomize_va_space`), as text; only those that checks ask for,
        /// and only those that this kernel has.
        pub sysctls: BTreeMap<String, String>,
        /// Active kernel security modules (`/sys/kernel/security/lsm`).
        pub lsm: Vec<String>,
        /// Whether AppArmor is enabled in the kernel.
        pub apparmor: bool,
        /// SELinux: `disabled`, `permissive` or `enforcing`.
        pub selinux: String,
        /// Accounts of /etc/passwd with the state of their password.
        pub accounts: Vec<Account>,
        /// Groups of /etc/group with all members, primary members included.
        pub groups: Vec<Group>,
        /// The host's ssh server.
        pub sshd: Sshd,
        /// Password rules of PAM.
        pub pam: Pam,
        /// Listening TCP and UDP sockets of the host's network namespace.
        pub listeners: Vec<Listener>,
        /// Kernel audit.
        pub audit: Audit,
        /// Where content trust could be switched on for people and services.
        pub content_trust: Vec<EnvSetting>,
        /// Systemd units of the engine and of containerd.
        pub units: Vec<Unit>,
        /// Mounts, from mountinfo of process 1.
        pub mounts: Vec<Mount>,
        /// Distinct names of programs that run on the host outside containers, sorted.
        pub programs: Vec<String>,
        /// Installed packages with a known vulnerability that has a fix; absent without a vulnerability database.
        pub vulnerable_packages: Vec<String>,
        /// Backups that the policy declares, as found.
        pub backups: Vec<Backup>,
    }

    /// Distribution of the host.
    pub struct Os {
        /// `ID` of os-release, as `debian`.
        pub id: String,
        /// `VERSION_ID`, as `12`; empty if the distribution has none.
        pub version: String,
        /// `PRETTY_NAME`.
        pub name: String,
    }

    /// An account of /etc/passwd.
    pub struct Account {
        /// Login name.
        pub name: String,
        /// User id.
        pub uid: i64,
        /// Primary group id.
        pub gid: i64,
        /// Login shell.
        pub shell: String,
        /// `empty` (no password asked), `set`, `locked`, or `unknown` where /etc/shadow has no line for it.
        pub password: String,
    }

    /// A group of /etc/group.
    pub struct Group {
        /// Name.
        pub name: String,
        /// Group id.
        pub gid: i64,
        /// Members, listed ones and those whose primary group it is, sorted.
        pub members: Vec<String>,
    }

    /// The host's ssh server, as its configuration files say with the server's own defaults filled in.
    pub struct Sshd {
        /// Whether the server program exists on this host.
        pub installed: bool,
        /// Whether it runs now.
        pub running: bool,
        /// `PermitRootLogin`: `yes`, `no`, `prohibit-password` or `forced-commands-only`.
        pub permit_root_login: String,
        /// `PasswordAuthentication` or keyboard-interactive log-in is possible.
        pub password_authentication: bool,
        /// `PermitEmptyPasswords`.
        pub permit_empty_passwords: bool,
        /// The files it was read from.
        pub files: Vec<String>,
        /// `Match` blocks that change one of these, as written.
        pub match_overrides: Vec<String>,
    }

    /// Password rules of PAM (/etc/pam.d).
    pub struct Pam {
        /// Services whose stack lets an account with an empty password in (`nullok`), sorted.
        pub nullok: Vec<String>,
        /// Services that slow down guessing (`pam_faillock`, `pam_tally2`), sorted.
        pub lockout: Vec<String>,
    }

    /// A listening socket.
    pub struct Listener {
        /// `tcp` or `udp`.
        pub protocol: String,
        /// Local address: an IP address; `0.0.0.0` and `::` mean every interface.
        pub address: String,
        /// Local port.
        pub port: i64,
        /// Process id of an owner; 0 if the owner is the kernel or not visible.
        pub pid: i64,
        /// Name of the owning program; empty if not visible.
        pub program: String,
    }

    /// Kernel audit: state, rules that are loaded and rules on disk.
    pub struct Audit {
        /// Whether the kernel's audit is switched on (`enabled` 1 or 2).
        pub enabled: bool,
        /// Rules that the kernel has loaded, from netlink, in order.
        pub loaded: Vec<AuditRule>,
        /// Rules in /etc/audit/audit.rules and /etc/audit/rules.d/*.rules, in order.
        pub on_disk: Vec<AuditRule>,
    }

    /// One audit rule, in a form that says what it covers.
    pub struct AuditRule {
        /// `always` or `never`.
        pub action: String,
        /// Filter list: `exit`, `task`, `user`, `exclude`, `filesystem`, `io_uring`.
        pub list: String,
        /// The single path it watches; empty if none.
        pub path: String,
        /// The directory that it watches with everything below; empty if none.
        pub dir: String,
        /// Watched accesses: letters of `rwxa`; all four if the rule names none.
        pub permissions: String,
        /// Conditions besides path and permission (user, exit code, architecture with some system calls …):
        /// such a rule covers only part of what happens.
        pub limited: bool,
        /// The rule as text.
        pub text: String,
        /// Where it was read: `kernel` or `FILE:LINE`.
        pub source: String,
    }

    /// An environment setting and where it was found.
    pub struct EnvSetting {
        /// Name, as `DOCKER_CONTENT_TRUST`.
        pub name: String,
        /// Value.
        pub value: String,
        /// `login` (for everybody who logs in), `service` (for one unit) or `caller` (only who called Haechi).
        pub scope: String,
        /// File, unit or `environment`.
        pub source: String,
    }

    /// A systemd unit.
    pub struct Unit {
        /// Name, as `docker.service`.
        pub name: String,
        /// Path of the unit file in force.
        pub path: String,
        /// Drop-in files, in order.
        pub drop_ins: Vec<String>,
        /// `EnvironmentFile=` paths.
        pub environment_files: Vec<String>,
        /// The effective `ExecStart=`.
        pub exec_start: String,
    }

    /// One line of mountinfo.
    pub struct Mount {
        /// Where it is mounted.
        pub mount_point: String,
        /// The directory of the file system that is mounted there; not `/` for a bind mount of a folder.
        pub root: String,
        /// Device as `major:minor`.
        pub device: String,
        /// File-system type.
        pub fs_type: String,
        /// Source as the kernel names it.
        pub source: String,
        /// Mount options.
        pub options: String,
    }

    /// A backup that the policy declares, as found on the host.
    pub struct Backup {
        /// The volume pattern that it is for.
        pub volume: String,
        /// Where it was looked for: the path or command of the policy.
        pub source: String,
        /// Age of the newest file or of the time that the command printed, in hours; -1 if there is none.
        pub age_hours: i64,
        /// The age that the policy allows, in hours.
        pub max_age_hours: i64,
        /// What was found, in words.
        pub detail: String,
    }

    /// A file or directory that the engine relies on, or that auditing should watch.
    pub struct File {
        /// What it is to the engine: a closed list, see `haechi-facts`' `files.rs` (`docker-service`, `daemon-json` …).
        pub role: String,
        /// The path that was looked at.
        pub path: String,
        /// The path with all links resolved; empty if it does not exist.
        pub real_path: String,
        /// Whether the path itself is a link (and not only a folder on the way to it).
        pub link: bool,
        /// Whether it exists.
        pub exists: bool,
        /// `file`, `directory`, `socket`, `other`; empty if it does not exist.
        pub kind: String,
        /// Owner; the number as text where the host has no name for it.
        pub owner: String,
        /// Group; the number as text where the host has no name for it.
        pub group: String,
        /// Owner id.
        pub uid: i64,
        /// Group id.
        pub gid: i64,
        /// Permission bits, set-id bits included.
        pub mode: i64,
        /// The same in octal, as `0644`.
        pub mode_text: String,
        /// Whether an access control list gives someone more than the mode shows.
        pub acl: bool,
    }
}
