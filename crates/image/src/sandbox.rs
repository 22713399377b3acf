//! Shuts the worker in: no file system (Landlock), no system calls but those that reading needs (seccomp), limited
//! memory, processor time and descriptors. Done once, before the first byte of an image is read.
//!
//! A kernel without Landlock (before 5.13) still gets the rest. It promises nothing against faults of the kernel.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Most memory: the largest file that is read whole is a package database of 512 MiB.
const MEMORY_MAX: u64 = 3 << 30;
/// Most open descriptors: the three standard ones and a path of folders.
const FILES_MAX: u64 = 128;

/// Shuts this process in. `folder` stays readable.
///
/// # Errors
/// A limit could not be set: the worker must not begin then.
pub fn enter(seconds: u64, folder: Option<&OwnedFd>) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::As, MEMORY_MAX),
        (Resource::Cpu, seconds.max(1)),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, FILES_MAX),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    landlock(folder).map_err(|error| io::Error::other(format!("Landlock: {error}")))?;
    let program =
        filter(folder.is_some()).map_err(|error| io::Error::other(format!("seccomp: {error}")))?;
    seccompiler::apply_filter(&program)
        .map_err(|error| io::Error::other(format!("seccomp: {error}")))
}

fn landlock(folder: Option<&OwnedFd>) -> Result<(), landlock::RulesetError> {
    let abi = ABI::V6;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(landlock::AccessNet::from_all(abi))?
        .scope(landlock::Scope::from_all(abi))?
        .create()?;
    if let Some(folder) = folder {
        rules = rules.add_rule(PathBeneath::new(folder.as_fd(), AccessFs::from_read(abi)))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// The system calls that reading, computing and threads need; any other fails with EPERM.
fn filter(folder: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut calls = vec![
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_fcntl,
        libc::SYS_fstat,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_lseek,
        libc::SYS_madvise,
        libc::SYS_membarrier,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_nanosleep,
        libc::SYS_pread64,
        libc::SYS_prlimit64,
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_restart_syscall,
        libc::SYS_rseq,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        libc::SYS_sigaltstack,
        libc::SYS_tgkill,
        libc::SYS_write,
        libc::SYS_writev,
    ];
    if folder {
        // Only a folder is walked; a kernel without Landlock still opens nothing else for the other inputs.
        calls.extend([
            libc::SYS_fgetxattr,
            libc::SYS_getdents64,
            libc::SYS_newfstatat,
            libc::SYS_openat2,
            libc::SYS_readlinkat,
            libc::SYS_statx,
        ]);
    }
    calls.sort_unstable();
    let rules: BTreeMap<_, _> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?.try_into()
}
