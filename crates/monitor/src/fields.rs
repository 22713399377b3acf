//! The fields that rules may name, as a table: one line for each. Names and meaning are Falco's
//! (<https://falco.org/docs/reference/rules/supported-fields/>); what is not here makes a rule say that it is missing.

use haechi_rules::{Arg, Catalog, Field, Kind};

use crate::arguments;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each is called")]
pub enum Id {
    EvtType,
    EvtDir,
    EvtTime,
    EvtNumber,
    EvtResult,
    EvtRawResult,
    EvtFailed,
    EvtArgs,
    EvtOpenRead,
    EvtOpenWrite,
    EvtOpenCreate,
    EvtHost,
    ProcName,
    ProcExe,
    ProcPath,
    ProcArgs,
    ProcArgc,
    ProcCommand,
    ProcCwd,
    ProcPid,
    ProcParentPid,
    ProcInnerPid,
    ProcSession,
    ProcSessionName,
    ProcTty,
    ProcDuration,
    ProcParentDuration,
    ProcUpper,
    ProcMemory,
    ProcParentName,
    ProcParentExe,
    ProcParentPath,
    ProcParentCommand,
    ProcAncestorName,
    ProcAncestorExe,
    ProcAncestorPath,
    ProcAncestorCommand,
    ProcAncestorPid,
    ThreadTid,
    ThreadEffective,
    ThreadPermitted,
    UserUid,
    UserName,
    UserLoginUid,
    UserLoginName,
    GroupGid,
    GroupName,
    FdNum,
    FdName,
    FdDirectory,
    FdFile,
    FdType,
    FdTypeChar,
    FdProtocol,
    FdFamily,
    FdConnected,
    FdIp,
    FdPort,
    FdClientIp,
    FdServerIp,
    FdClientPort,
    FdServerPort,
    FdLocalIp,
    FdRemoteIp,
    FdLocalPort,
    FdRemotePort,
    ContainerId,
    ContainerFullId,
    ContainerName,
    ContainerImage,
    ContainerRepository,
    ContainerTag,
    ContainerPrivileged,
    ContainerMounts,
    ContainerStarted,
    ContainerDuration,
    PodNamespace,
    PodName,
    AncestorFiles,
    Placed,
    Taken,
    Program,
    HostMounts,
    OriginOf,
    NetworkStreams,
    DnsName,
}

/// What a field takes in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A level of ancestry: 1 is the parent.
    Level,
    /// A level, or nothing for all ancestors.
    LevelOrAll,
}

/// The highest level of ancestry.
const LEVEL_MAX: u32 = 31;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Name in rules.
    pub name: &'static str,
    /// Which field.
    pub id: Id,
    /// Its values.
    pub kind: Kind,
    /// What it takes in brackets.
    pub takes: Takes,
}

const fn line(name: &'static str, id: Id, kind: Kind) -> Line {
    Line { name, id, kind, takes: Takes::Nothing }
}

const fn level(name: &'static str, id: Id, kind: Kind) -> Line {
    Line { name, id, kind, takes: Takes::Level }
}

/// All fields but the arguments of calls.
pub const FIELDS: &[Line] = &[
    line("evt.type", Id::EvtType, Kind::Text),
    line("syscall.type", Id::EvtType, Kind::Text),
    line("evt.dir", Id::EvtDir, Kind::Text),
    line("evt.rawtime", Id::EvtTime, Kind::Number),
    line("evt.num", Id::EvtNumber, Kind::Number),
    line("evt.res", Id::EvtResult, Kind::Text),
    line("evt.rawres", Id::EvtRawResult, Kind::Number),
    line("evt.failed", Id::EvtFailed, Kind::Bool),
    line("evt.args", Id::EvtArgs, Kind::Text),
    line("evt.is_open_read", Id::EvtOpenRead, Kind::Bool),
    line("evt.is_open_write", Id::EvtOpenWrite, Kind::Bool),
    line("evt.is_open_create", Id::EvtOpenCreate, Kind::Bool),
    line("evt.hostname", Id::EvtHost, Kind::Text),
    line("proc.name", Id::ProcName, Kind::Text),
    line("proc.exe", Id::ProcExe, Kind::Text),
    line("proc.exepath", Id::ProcPath, Kind::Text),
    line("proc.args", Id::ProcArgs, Kind::Text),
    line("proc.nargs", Id::ProcArgc, Kind::Number),
    line("proc.cmdline", Id::ProcCommand, Kind::Text),
    line("proc.cwd", Id::ProcCwd, Kind::Text),
    line("proc.pid", Id::ProcPid, Kind::Number),
    line("proc.ppid", Id::ProcParentPid, Kind::Number),
    line("proc.vpid", Id::ProcInnerPid, Kind::Number),
    line("proc.sid", Id::ProcSession, Kind::Number),
    line("proc.sname", Id::ProcSessionName, Kind::Text),
    line("proc.tty", Id::ProcTty, Kind::Number),
    line("proc.duration", Id::ProcDuration, Kind::Number),
    line("proc.ppid.duration", Id::ProcParentDuration, Kind::Number),
    line("proc.is_exe_upper_layer", Id::ProcUpper, Kind::Bool),
    line("proc.is_exe_from_memfd", Id::ProcMemory, Kind::Bool),
    line("proc.pname", Id::ProcParentName, Kind::Text),
    line("proc.pexe", Id::ProcParentExe, Kind::Text),
    line("proc.pexepath", Id::ProcParentPath, Kind::Text),
    line("proc.pcmdline", Id::ProcParentCommand, Kind::Text),
    Line {
        name: "proc.aname",
        id: Id::ProcAncestorName,
        kind: Kind::Text,
        takes: Takes::LevelOrAll,
    },
    level("proc.aexe", Id::ProcAncestorExe, Kind::Text),
    level("proc.aexepath", Id::ProcAncestorPath, Kind::Text),
    level("proc.acmdline", Id::ProcAncestorCommand, Kind::Text),
    level("proc.apid", Id::ProcAncestorPid, Kind::Number),
    line("thread.tid", Id::ThreadTid, Kind::Number),
    line("thread.cap_effective", Id::ThreadEffective, Kind::Text),
    line("thread.cap_permitted", Id::ThreadPermitted, Kind::Text),
    line("user.uid", Id::UserUid, Kind::Number),
    line("user.name", Id::UserName, Kind::Text),
    line("user.loginuid", Id::UserLoginUid, Kind::Number),
    line("user.loginname", Id::UserLoginName, Kind::Text),
    line("group.gid", Id::GroupGid, Kind::Number),
    line("group.name", Id::GroupName, Kind::Text),
    line("fd.num", Id::FdNum, Kind::Number),
    line("fd.name", Id::FdName, Kind::Text),
    line("fd.directory", Id::FdDirectory, Kind::Text),
    line("fd.filename", Id::FdFile, Kind::Text),
    line("fd.type", Id::FdType, Kind::Text),
    line("fd.typechar", Id::FdTypeChar, Kind::Text),
    line("fd.l4proto", Id::FdProtocol, Kind::Text),
    line("fd.sockfamily", Id::FdFamily, Kind::Text),
    line("fd.connected", Id::FdConnected, Kind::Bool),
    line("fd.ip", Id::FdIp, Kind::Ip),
    line("fd.net", Id::FdIp, Kind::Ip),
    line("fd.port", Id::FdPort, Kind::Number),
    line("fd.cip", Id::FdClientIp, Kind::Ip),
    line("fd.cnet", Id::FdClientIp, Kind::Ip),
    line("fd.sip", Id::FdServerIp, Kind::Ip),
    line("fd.snet", Id::FdServerIp, Kind::Ip),
    line("fd.lip", Id::FdLocalIp, Kind::Ip),
    line("fd.lnet", Id::FdLocalIp, Kind::Ip),
    line("fd.rip", Id::FdRemoteIp, Kind::Ip),
    line("fd.rnet", Id::FdRemoteIp, Kind::Ip),
    line("fd.cport", Id::FdClientPort, Kind::Number),
    line("fd.sport", Id::FdServerPort, Kind::Number),
    line("fd.lport", Id::FdLocalPort, Kind::Number),
    line("fd.rport", Id::FdRemotePort, Kind::Number),
    line("container.id", Id::ContainerId, Kind::Text),
    line("container.full_id", Id::ContainerFullId, Kind::Text),
    line("container.name", Id::ContainerName, Kind::Text),
    line("container.image", Id::ContainerImage, Kind::Text),
    line("container.image.repository", Id::ContainerRepository, Kind::Text),
    line("container.image.tag", Id::ContainerTag, Kind::Text),
    line("container.privileged", Id::ContainerPrivileged, Kind::Bool),
    line("container.mounts", Id::ContainerMounts, Kind::Text),
    line("container.start_ts", Id::ContainerStarted, Kind::Number),
    line("container.duration", Id::ContainerDuration, Kind::Number),
    line("k8s.ns.name", Id::PodNamespace, Kind::Text),
    line("k8s.pod.name", Id::PodName, Kind::Text),
    // Ours. A process chooses its own name, not that of its program's file: these have both, so that neither hides the
    // other. Who is excepted is excepted by the file (`proc.exepath`, and for ancestors the files of the image's programs).
    line("haechi.name", Id::ProcName, Kind::List),
    line("haechi.pname", Id::ProcParentName, Kind::List),
    line("haechi.ancestors_of_image", Id::AncestorFiles, Kind::List),
    // The name at which something new stands after the event: written to, moved or linked there, made. And the name from
    // which a file was moved, or to which a link was made. Without a folder if it cannot be told for sure which one it is.
    line("haechi.placed", Id::Placed, Kind::Text),
    line("haechi.taken", Id::Taken, Kind::Text),
    // What a program is by its content, and whether a process is out of its container.
    line("haechi.program", Id::Program, Kind::Text),
    line("haechi.host_mounts", Id::HostMounts, Kind::Bool),
    // Where the program's file is from: image, changed, mounted, memory, unknown.
    line("haechi.origin", Id::OriginOf, Kind::Text),
    // At the start of a program: standard input, output or error is a connection of the internet.
    line("haechi.network_streams", Id::NetworkStreams, Kind::Bool),
    // The name that a DNS question asks for.
    line("haechi.dns_name", Id::DnsName, Kind::Text),
];

/// Calls that the sensor tells. Of `clone` and `clone3` only those that make namespaces, of `kill` and its like no signal 0,
/// of `sendto`, `sendmsg` and `sendmmsg` DNS questions only (one that opens a connection is told as `connect`), of `fcntl`
/// what duplicates descriptors.
pub const CALLS: &[&str] = &[
    "accept",
    "accept4",
    "acct",
    "add_key",
    "bind",
    "bpf",
    "capset",
    "chmod",
    "chown",
    "chroot",
    "clock_settime",
    "clone",
    "clone3",
    "connect",
    "creat",
    "delete_module",
    "dup",
    "dup2",
    "dup3",
    "execve",
    "execveat",
    "fanotify_init",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "finit_module",
    "fsconfig",
    "fsetxattr",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "kill",
    "lchown",
    "left_group",
    "link",
    "linkat",
    "listen",
    "lsetxattr",
    "memfd_create",
    "memfd_secret",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open",
    "open_by_handle_at",
    "open_tree",
    "openat",
    "openat2",
    "other_entry",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pidfd_send_signal",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "procexit",
    "ptrace",
    "reboot",
    "rename",
    "renameat",
    "renameat2",
    "request_key",
    "rmdir",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setdomainname",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setsid",
    "settimeofday",
    "setuid",
    "setxattr",
    "setxattrat",
    "swapoff",
    "swapon",
    "symlink",
    "symlinkat",
    "syslog",
    "tgkill",
    "tkill",
    "truncate",
    "umount2",
    "unlink",
    "unlinkat",
    "unshare",
    "userfaultfd",
];

/// The number of `evt.arg` among the fields; the others are numbered as in the table.
pub const ARGUMENT: u16 = u16::MAX;

/// The table, as the rules ask for it.
pub struct Fields;

impl Catalog for Fields {
    fn field(&self, name: &str, arg: Option<&str>) -> Option<Field> {
        if name == "evt.arg" {
            let arg = arg.filter(|arg| arguments::is_known(arg))?;
            let arg = Some(Arg::Name(arg.into()));
            return Some(Field { id: ARGUMENT, arg, kind: Kind::Text });
        }
        let at = FIELDS.iter().position(|line| line.name == name)?;
        let line = FIELDS.get(at)?;
        let id = u16::try_from(at).ok()?;
        let level = || arg.and_then(|arg| arg.parse().ok()).filter(|&level| level <= LEVEL_MAX);
        match (line.takes, arg) {
            (Takes::Nothing, None) => Some(Field { id, arg: None, kind: line.kind }),
            (Takes::LevelOrAll, None) => Some(Field { id, arg: None, kind: Kind::List }),
            (Takes::Level | Takes::LevelOrAll, Some(_)) => {
                Some(Field { id, arg: Some(Arg::Index(level()?)), kind: line.kind })
            }
            _ => None,
        }
    }

    fn call(&self, name: &str) -> bool {
        CALLS.binary_search(&name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_given_once_and_calls_are_sorted() {
        let names: BTreeSet<&str> = FIELDS.iter().map(|line| line.name).collect();
        assert_eq!(names.len(), FIELDS.len());
        assert!(CALLS.is_sorted());
        assert!(Fields.field("evt.arg", Some("flags")).is_some());
        for (name, arg) in [
            ("evt.arg", Some("nothing")),
            ("proc.name", Some("1")),
            ("proc.aexe", None),
            ("proc.aname", Some("x")),
            ("proc.none", None),
        ] {
            assert_eq!(Fields.field(name, arg), None, "{name}");
        }
        assert_eq!(Fields.field("proc.aname", None).map(|field| field.kind), Some(Kind::List));
    }
}
