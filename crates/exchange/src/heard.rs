//! The kernel's audit records of system calls that a seccomp profile let through and had recorded (`SCMP_ACT_LOG`), or for which
//! it ended the process.
//!
//! They are read from the group that anybody with the right may listen to, beside an audit daemon and without one. Records say
//! which process, not which container: that of a process that is gone cannot be told any more, and is taken for the container's,
//! for such profiles are rare. Source: `include/uapi/linux/audit.h`, `seccomp(2)`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use haechi_profile::calls::COMPAT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use syscalls::{x86, x86_64};

/// `AUDIT_NLGRP_READLOG`, as a bit.
const GROUP: u32 = 1;
/// `AUDIT_SECCOMP`.
const SECCOMP: u16 = 1326;
/// Where the text begins: after `nlmsghdr`.
const TEXT: usize = 16;
/// `SECCOMP_RET_LOG`; `SECCOMP_RET_KILL_THREAD` and `SECCOMP_RET_KILL_PROCESS`, which is what becomes of a call by an entry
/// that a profile does not name.
const TOLD: [u32; 3] = [0x7ffc_0000, 0, 0x8000_0000];
/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386`.
const NATIVE: u32 = 0xc000_003e;
const COMPAT_ARCH: u32 = 0x4000_0003;
/// The longest record.
const MESSAGE_MAX: usize = 16 << 10;
/// How long it waits before it looks whether it is to end.
const WAIT_NS: i64 = 50_000_000;
/// The kernel writes records a moment after the call.
const LATE: std::time::Duration = std::time::Duration::from_millis(200);
/// Different calls and programs that are kept.
const HEARD_MAX: usize = 2000;

/// The runtime's last call before it starts the program, which is recorded as well: so it is known that records are heard, and that
/// silence is none because of another namespace, a full queue or a kernel that was told to keep quiet.
pub const PROOF: &str = "execve";

/// What was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// System calls with the programs that made them, by their paths in the container.
    pub calls: BTreeMap<String, BTreeSet<String>>,
    /// Whether records were lost.
    pub lost: bool,
    /// Whether any is heard at all.
    pub is_proven: bool,
}

/// Listens until it is asked to end.
#[derive(Debug)]
pub struct Listener {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

impl Listener {
    /// Begins to listen for calls of containers, by their full ids. An id may be empty until it is known ([`Target`]).
    ///
    /// # Errors
    /// This kernel tells no audit records, or this user may not hear them.
    pub fn begin(target: Target) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::AUDIT),
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || listen(&socket, &ended, &target));
        Ok(Self { end, thread })
    }

    /// Ends; what was heard.
    pub async fn end(self) -> Heard {
        tokio::time::sleep(LATE).await;
        self.end.store(true, Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        joined.ok().and_then(Result::ok).unwrap_or(Heard { lost: true, ..Heard::default() })
    }
}

/// The containers that are listened to: they are known only after listening began.
pub type Target = Vec<Arc<std::sync::OnceLock<String>>>;

fn listen(socket: &OwnedFd, end: &AtomicBool, target: &Target) -> Heard {
    let mut heard = Heard::default();
    let mut buffer = vec![0; MESSAGE_MAX];
    let wait = Timespec { tv_sec: 0, tv_nsec: WAIT_NS };
    while !end.load(Ordering::Relaxed) {
        let mut waited = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        let _ = poll(&mut waited, Some(&wait));
        loop {
            match rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((size, _)) => {
                    let record = parse(buffer.get(..size).unwrap_or_default());
                    let Some(record) = record.filter(|one| is_of(one.process, target)) else {
                        continue;
                    };
                    if record.call == PROOF {
                        heard.is_proven = true;
                        continue;
                    }
                    let is_new = !heard.calls.contains_key(&record.call);
                    if is_new && heard.calls.len() >= HEARD_MAX {
                        heard.lost = true;
                        continue;
                    }
                    let programs = heard.calls.entry(record.call).or_default();
                    if programs.len() < HEARD_MAX {
                        programs.insert(record.program);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => heard.lost = true,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    heard.lost = true;
                    return heard;
                }
            }
        }
    }
    heard
}

/// Whether a process is of the container, or gone.
fn is_of(process: u32, target: &Target) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup"));
    match groups {
        // One that is made just now has no id yet: whatever is recorded meanwhile is of another.
        Ok(groups) => target.iter().filter_map(|one| one.get()).any(|id| groups.contains(id)),
        Err(_) => true,
    }
}

/// A record.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    process: u32,
    call: String,
    program: String,
}

fn parse(message: &[u8]) -> Option<Record> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let text = String::from_utf8_lossy(message.get(TEXT..)?);
    if kind != SECCOMP {
        return None;
    }
    // The names of programs are quoted or hexadecimal, and never have a space: nobody can add a field.
    let field = |name: &str| {
        let mut words = text.split(|c: char| c.is_ascii_whitespace() || c == '\0');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str| field(name)?.parse::<u32>().ok();
    let hex = |name: &str| u32::from_str_radix(field(name)?.trim_start_matches("0x"), 16).ok();
    if !TOLD.contains(&hex("code")?) {
        return None;
    }
    let call = usize::try_from(number("syscall")?).ok()?;
    let unnamed = || format!("{call}");
    let name = match hex("arch")? {
        NATIVE => x86_64::Sysno::new(call).map_or_else(unnamed, |call| call.name().to_owned()),
        COMPAT_ARCH => {
            let name = x86::Sysno::new(call).map_or_else(unnamed, |call| call.name().to_owned());
            format!("{COMPAT}{name}")
        }
        _ => unnamed(),
    };
    Some(Record { process: number("pid")?, call: name, program: program(field("exe")?) })
}

/// A path is quoted, or written as hexadecimal digits if it has something unusual in it.
fn program(told: &str) -> String {
    if let Some(inner) = told.strip_prefix('"') {
        return inner.trim_end_matches('"').to_owned();
    }
    let digits = told.as_bytes().chunks(2).map(|pair| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    match digits.collect::<Option<Vec<u8>>>() {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => told.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, text: &str) -> Vec<u8> {
        let mut message = vec![0; TEXT];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.extend(text.as_bytes());
        message
    }

    fn record(arch: &str, call: u32, exe: &str, code: &str) -> Vec<u8> {
        let text = format!(
            "audit(1.2:3): auid=4294967295 uid=0 gid=0 ses=1 pid=15862 comm=\"x\" exe={exe} sig=0 \
             arch={arch} syscall={call} compat=0 ip=0x1 code={code}"
        );
        message(SECCOMP, &text)
    }

    #[test]
    fn records_name_the_call_and_the_program() {
        let told = parse(&record("c000003e", 161, "\"/bin/busybox\"", "0x7ffc0000")).unwrap();
        let expected =
            Record { process: 15862, call: "chroot".into(), program: "/bin/busybox".into() };
        assert_eq!(told, expected);
        let told = parse(&record("40000003", 61, "2F612062", "0x7ffc0000")).unwrap();
        assert_eq!((&*told.call, &*told.program), ("compat:chroot", "/a b"));
        let told = parse(&record("c000003e", 9999, "\"/x\"", "0x7ffc0000")).unwrap();
        assert_eq!(told.call, "9999");
        // Ended because of a call by an entry that the profile does not name.
        for code in ["0x0", "0x80000000"] {
            let told = parse(&record("40000003", 20, "\"/x\"", code)).unwrap();
            assert_eq!(told.call, "compat:getpid", "{code}");
        }
    }

    #[test]
    fn what_is_no_such_record_is_none() {
        assert_eq!(parse(&record("c000003e", 161, "\"/x\"", "0x50001")), None, "an error");
        assert_eq!(parse(&message(1300, "pid=1 syscall=1 arch=c000003e code=0x7ffc0000")), None);
        assert_eq!(parse(&message(SECCOMP, "pid=1")), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0xff; 20]), None);
    }
}
