//! Arguments of system calls by the names that rules use (`evt.arg.flags`), as a table: one line for each argument.
//!
//! Names are Falco's. What an argument points to in memory is only there where the kernel side read it.

use std::borrow::Cow;

use haechi_core::event::{Action, Event};

use crate::flags;

/// Where an argument comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// The number at this place.
    Number(usize),
    /// The number at this place, as a signed 32-bit one (a descriptor, a user id of -1).
    Signed(usize),
    /// Bits at this place.
    Bits(usize, &'static [(u64, &'static str)]),
    /// One of several values at this place.
    Value(usize, &'static [(u64, &'static str)]),
    /// Flags of open(2).
    Open,
    /// The first path.
    Path,
    /// The second path.
    Second,
    /// What the call returned.
    Result,
    /// The string that belongs to the call.
    Text,
    /// Addresses of a network call.
    Tuple,
    /// The program's file as it was given.
    File,
}

/// Calls, name of the argument, and where it is.
const TABLE: &[(&[&str], &str, From)] = &[
    (&["open", "openat", "openat2", "creat"], "fd", From::Result),
    (&["open", "openat", "openat2", "creat"], "name", From::Path),
    (&["open", "openat", "openat2", "creat"], "path", From::Path),
    (&["open", "openat", "openat2", "creat"], "flags", From::Open),
    // Of what was made with the rights of its owner: see `S_ISUID` in `bpf/calls.h`.
    (&["open", "openat", "openat2", "creat"], "mode", From::Bits(0, flags::MODE)),
    (&["execve", "execveat"], "filename", From::File),
    (&["execve", "execveat"], "path", From::File),
    (&["connect", "accept", "accept4", "bind", "sendto", "listen"], "tuple", From::Tuple),
    (&["connect", "bind", "sendto"], "addr", From::Tuple),
    (&["accept", "accept4"], "fd", From::Result),
    (&["unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"], "path", From::Path),
    (&["unlink", "unlinkat"], "name", From::Path),
    (&["unlinkat"], "flags", From::Number(2)),
    (&["rename", "renameat", "renameat2", "link", "linkat"], "oldpath", From::Path),
    (&["rename", "renameat", "renameat2", "link", "linkat"], "newpath", From::Second),
    (&["symlink", "symlinkat"], "target", From::Path),
    (&["symlink", "symlinkat"], "linkpath", From::Second),
    (
        &["chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat"],
        "filename",
        From::Path,
    ),
    (
        &["chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat"],
        "path",
        From::Path,
    ),
    (&["chmod", "fchmod"], "mode", From::Bits(1, flags::MODE)),
    (&["fchmodat", "fchmodat2"], "mode", From::Bits(2, flags::MODE)),
    (&["chown", "lchown", "fchown"], "uid", From::Signed(1)),
    (&["chown", "lchown", "fchown"], "gid", From::Signed(2)),
    (&["fchownat"], "uid", From::Signed(2)),
    (&["fchownat"], "gid", From::Signed(3)),
    (&["mount"], "dev", From::Path),
    (&["mount"], "dir", From::Second),
    (&["mount"], "flags", From::Bits(3, flags::MOUNT)),
    (&["umount", "umount2"], "name", From::Path),
    (&["chroot", "pivot_root"], "path", From::Path),
    (&["setuid", "setfsuid"], "uid", From::Signed(0)),
    (&["setgid", "setfsgid"], "gid", From::Signed(0)),
    (&["setreuid", "setresuid"], "ruid", From::Signed(0)),
    (&["setreuid", "setresuid"], "euid", From::Signed(1)),
    (&["setresuid"], "suid", From::Signed(2)),
    (&["setregid", "setresgid"], "rgid", From::Signed(0)),
    (&["setregid", "setresgid"], "egid", From::Signed(1)),
    (&["setresgid"], "sgid", From::Signed(2)),
    (&["ptrace"], "request", From::Value(0, flags::PTRACE)),
    (&["ptrace"], "pid", From::Signed(1)),
    (&["setns"], "fd", From::Signed(0)),
    (&["setns"], "nstype", From::Bits(1, flags::CLONE)),
    (&["unshare"], "flags", From::Bits(0, flags::CLONE)),
    (&["bpf"], "cmd", From::Value(0, flags::BPF)),
    (&["memfd_create"], "name", From::Text),
    (&["memfd_create"], "flags", From::Number(1)),
    (&["init_module", "finit_module", "delete_module"], "name", From::Text),
    (&["finit_module"], "fd", From::Signed(0)),
    (&["kill", "tkill"], "pid", From::Signed(0)),
    (&["kill", "tkill"], "sig", From::Number(1)),
    (&["tgkill"], "pid", From::Signed(0)),
    (&["tgkill"], "sig", From::Number(2)),
    (&["dup", "dup2", "dup3", "fcntl"], "oldfd", From::Signed(0)),
    (&["dup2", "dup3"], "newfd", From::Signed(1)),
    (&["process_vm_writev", "process_vm_readv"], "pid", From::Signed(0)),
    (&["mknod", "mknodat", "truncate", "open_tree"], "path", From::Path),
    (&["setxattr", "lsetxattr", "fsetxattr", "setxattrat"], "path", From::Path),
    (&["setxattr", "lsetxattr", "fsetxattr", "setxattrat"], "name", From::Second),
    (&["mknod"], "mode", From::Bits(1, flags::MODE)),
    (&["mknodat"], "mode", From::Bits(2, flags::MODE)),
    (&["move_mount"], "oldpath", From::Path),
    (&["move_mount"], "newpath", From::Second),
    (&["clone"], "flags", From::Bits(0, flags::CLONE)),
    (&["fsopen", "add_key", "request_key"], "name", From::Text),
    (&["pidfd_getfd"], "fd", From::Signed(1)),
];

/// Whether any call has an argument of this name.
pub fn is_known(name: &str) -> bool {
    matches!(name, "res" | "fd") || TABLE.iter().any(|(_, argument, _)| *argument == name)
}

/// The argument of this name of an event.
pub fn argument<'a>(event: &'a Event, name: &str) -> Option<Cow<'a, str>> {
    let call = event.call.as_str();
    if name == "res" {
        return Some(flags::result(event.result).into());
    }
    let (.., from) =
        TABLE.iter().find(|(calls, argument, _)| *argument == name && calls.contains(&call))?;
    from.of(event)
}

/// All arguments of an event, as `name=value`, with blanks between them.
pub fn all(event: &Event) -> String {
    let call = event.call.as_str();
    let own = TABLE.iter().filter(|(calls, ..)| calls.contains(&call));
    let words = own.filter_map(|(_, name, from)| Some(format!("{name}={}", from.of(event)?)));
    words.collect::<Vec<_>>().join(" ")
}

impl From {
    fn of(self, event: &Event) -> Option<Cow<'_, str>> {
        let numbers = match &event.action {
            Action::Path(path) => Some(&path.args),
            Action::Call(call) => Some(&call.args),
            _ => None,
        };
        let number = |at: usize| numbers.and_then(|numbers| numbers.get(at)).copied();
        Some(match self {
            Self::Number(at) => number(at)?.to_string().into(),
            #[expect(clippy::cast_possible_truncation, reason = "the kernel takes 32 bits of it")]
            Self::Signed(at) => (number(at)? as u32).cast_signed().to_string().into(),
            Self::Bits(at, names) => flags::bits(number(at)?, names).into(),
            Self::Value(at, names) => flags::value(number(at)?, names).into(),
            Self::Result => event.result.to_string().into(),
            Self::Open => match &event.action {
                Action::Open(open) => flags::open(open.flags.into()).into(),
                _ => return None,
            },
            Self::Path => match &event.action {
                Action::Path(call) => call.path.as_str().into(),
                Action::Open(open) => open.path.as_str().into(),
                _ => return None,
            },
            Self::Second => match &event.action {
                Action::Path(call) => call.second.as_str().into(),
                _ => return None,
            },
            Self::Text => match &event.action {
                Action::Call(call) => call.text.as_str().into(),
                _ => return None,
            },
            Self::File => match &event.action {
                Action::Exec(exec) => exec.file.as_str().into(),
                _ => return None,
            },
            Self::Tuple => match &event.action {
                Action::Network(network) => crate::view::tuple(network).into(),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::event::{Call, Open, Process};

    use super::*;

    fn event(call: &str, result: i64, action: Action) -> Event {
        Event { at: 0, cgroup: 0, process: Process::default(), call: call.into(), result, action }
    }

    #[test]
    fn arguments_have_falcos_names() {
        let open = Open { path: "/etc/shadow".into(), flags: 0x241, ..Open::default() };
        let event_of_open = event("openat", 3, Action::Open(open));
        assert_eq!(argument(&event_of_open, "flags").as_deref(), Some("O_CREAT|O_TRUNC|O_WRONLY"));
        assert_eq!(argument(&event_of_open, "uid"), None);
        assert_eq!(
            all(&event_of_open),
            "fd=3 name=/etc/shadow path=/etc/shadow flags=O_CREAT|O_TRUNC|O_WRONLY"
        );
        let args = [u64::from(u32::MAX), 0, 0, 0, 0, 0];
        let setuid = event("setuid", -1, Action::Call(Call { args, ..Call::default() }));
        assert_eq!(argument(&setuid, "uid").as_deref(), Some("-1"));
        assert_eq!(argument(&setuid, "res").as_deref(), Some("EPERM"));
    }

    #[test]
    fn no_call_has_two_arguments_of_one_name() {
        for (at, (calls, name, _)) in TABLE.iter().enumerate() {
            for (others, other, _) in TABLE.iter().skip(at + 1) {
                let both = calls.iter().any(|call| others.contains(call));
                assert!(!(both && name == other), "{name} of {calls:?}");
            }
        }
    }
}
