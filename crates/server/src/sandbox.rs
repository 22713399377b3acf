//! Shuts the web server in before it hears the first request: another user, no capability, no file, no new
//! connection, no other program (Landlock, seccomp), limited memory and descriptors. Then tries what must fail.
//!
//! A kernel without Landlock (before 5.13) still gets the rest: no call is left that opens or connects. It promises
//! nothing against faults of the kernel.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope,
};
use rustix::fs::{Gid, Uid};
use rustix::net::{SendAncillaryBuffer, SendFlags, SocketAddrUnix};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Most memory: a thousand connections and some dozens of the largest answers.
const MEMORY_MAX: u64 = 4 << 30;
/// Open descriptors beside the connections.
const FILES_BESIDE: u64 = 64;

/// Shuts this process in for good. The size of files is not limited: stderr may be one, and a line of the log beyond the
/// limit would end the process (SIGXFSZ); others cannot be opened. To be called before it has a second thread.
///
/// # Errors
/// A wall could not be set up, or does not hold: the web server must not begin then.
pub fn enter(user: Option<(u32, u32)>, connections: usize) -> io::Result<()> {
    let files = FILES_BESIDE.saturating_add(connections as u64);
    for (resource, limit) in
        [(Resource::As, MEMORY_MAX), (Resource::Core, 0), (Resource::Nofile, files)]
    {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    become_nobody(user).map_err(|error| said("rights", error))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    landlock().map_err(|error| said("Landlock", error))?;
    for program in filters().map_err(|error| said("seccomp", error))? {
        seccompiler::apply_filter(&program).map_err(|error| said("seccomp", error))?;
    }
    match prove().into_iter().find(|(_, refused)| !refused) {
        Some((what, _)) => Err(said("the sandbox does not hold", what)),
        None => Ok(()),
    }
}

fn said(what: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}

/// Gives up user, groups, capabilities, and the way to get others.
fn become_nobody(user: Option<(u32, u32)>) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        for capability in (0..64).filter_map(|bit| CapabilitySet::from_bits(1 << bit)) {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // Newer than the kernel.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    if let Some((uid, gid)) = user {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets)?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

fn landlock() -> Result<(), landlock::RulesetError> {
    let abi = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(())
}

/// Calls that serving and threads need, whatever their arguments. What Landlock forbids is not among them either.
const CALLS: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // Answered by the filter after this one: its arguments cannot be looked at.
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_futex,
    libc::SYS_getpeername,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The filters; every one of them has to allow a call. What is not allowed fails with EPERM.
fn filters() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let always = |&call: &i64| (call, Vec::new());
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(always).collect();
    let this = u64::from(std::process::id());
    let executable = Op::MaskedEq(u64::from(libc::PROT_EXEC.cast_unsigned()));
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let unix = u64::from(libc::AF_UNIX.cast_unsigned());
    // What SOCK_NONBLOCK and SOCK_CLOEXEC leave of a socket's type.
    let (kind, stream) = (Op::MaskedEq(0xf), u64::from(libc::SOCK_STREAM.cast_unsigned()));
    for (call, arguments) in [
        // Threads, no processes.
        (libc::SYS_clone, vec![(0, Len::Dword, Op::MaskedEq(thread), thread)]),
        // Data, no code.
        (libc::SYS_mmap, vec![(2, Len::Dword, executable.clone(), 0)]),
        (libc::SYS_mprotect, vec![(2, Len::Dword, executable, 0)]),
        // Itself alone: an abort, and the size of a stack.
        (libc::SYS_tgkill, vec![(0, Len::Dword, Op::Eq, this)]),
        (libc::SYS_prlimit64, vec![(0, Len::Dword, Op::Eq, 0)]),
        // A pair for signals. Only one of streams leads nowhere else: datagrams are sent to any address.
        (libc::SYS_socketpair, vec![(0, Len::Dword, Op::Eq, unix), (1, Len::Dword, kind, stream)]),
        // To the other end, not to an address; that of sendmsg cannot be looked at.
        (libc::SYS_sendto, vec![(4, Len::Qword, Op::Eq, 0)]),
    ] {
        let conditions = arguments
            .into_iter()
            .map(|(argument, length, op, value)| SeccompCondition::new(argument, length, op, value))
            .collect::<Result<_, _>>()?;
        allowed.insert(call, vec![SeccompRule::new(conditions)?]);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = |number: i32| SeccompAction::Errno(number.cast_unsigned());
    // Without clone3 the C library takes clone, whose arguments can be looked at.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([
        SeccompFilter::new(clone3, SeccompAction::Allow, errno(libc::ENOSYS), arch)?.try_into()?,
        SeccompFilter::new(allowed, errno(libc::EPERM), SeccompAction::Allow, arch)?.try_into()?,
    ])
}

/// Tries what must fail in here: each with whether it was refused.
pub fn prove() -> Vec<(&'static str, bool)> {
    fn refused<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }
    let this = rustix::process::getpid();
    vec![
        ("read a file", refused(std::fs::read("/etc/passwd"))),
        ("list a folder", refused(std::fs::read_dir("/").map(|_| ()))),
        ("make a file", refused(std::fs::write("/tmp/haechi", b""))),
        ("look at a file", refused(std::fs::metadata("/etc/passwd"))),
        ("connect to an address", refused(TcpStream::connect(("127.0.0.1", 9)))),
        ("listen on an address", refused(TcpListener::bind(("127.0.0.1", 0)))),
        ("send a datagram", refused(UdpSocket::bind(("127.0.0.1", 0)))),
        ("make a pair for datagrams", refused(UnixDatagram::pair())),
        ("send to an address", refused(send_to_address())),
        ("send a message to an address", refused(send_message())),
        ("connect to an engine", refused(UnixStream::connect("/var/run/docker.sock"))),
        ("start a program", refused(Command::new("/bin/true").spawn())),
        (
            "signal another process",
            refused(
                rustix::process::kill_process(
                    rustix::process::Pid::INIT,
                    rustix::process::Signal::CONT,
                )
                .map_err(Into::into),
            ),
        ),
        (
            "open another process",
            refused(
                rustix::process::pidfd_open(this, rustix::process::PidfdFlags::empty())
                    .map_err(Into::into),
            ),
        ),
        (
            "become root again",
            refused(rustix::thread::set_thread_uid(Uid::ROOT).map_err(Into::into)),
        ),
        (
            "raise a limit",
            refused(
                setrlimit(
                    Resource::Nofile,
                    Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) },
                )
                .map_err(Into::into),
            ),
        ),
    ]
}

/// A pair as the signals have it, and an address: what is sent there must be refused before anybody looks at it.
fn send_to_address() -> io::Result<usize> {
    let (socket, _other) = UnixStream::pair()?;
    let address = SocketAddrUnix::new("/run/systemd/journal/socket")?;
    Ok(rustix::net::sendto(&socket, b"x", SendFlags::NOSIGNAL, &address)?)
}

fn send_message() -> io::Result<usize> {
    let (socket, _other) = UnixStream::pair()?;
    let address = SocketAddrUnix::new("/run/systemd/journal/socket")?;
    let (text, mut nothing) = ([IoSlice::new(b"x")], SendAncillaryBuffer::default());
    let flags = SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg_addr(&socket, &address, &text, &mut nothing, flags)?)
}
