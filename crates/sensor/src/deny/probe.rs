//! A program that is none, in memory only, whose start shows whether starts are refused. Nothing of it ever runs.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

/// An empty file in memory.
pub(crate) struct Probe {
    file: OwnedFd,
    name: String,
}

impl Probe {
    /// Makes it, with a name that nothing else has.
    pub(crate) fn new() -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("haechi-probe-{}-{number}", process::id());
        // Kernels before 6.3 do not know the flag that says it may be started, and need none.
        let file = memfd_create(name.as_str(), MemfdFlags::CLOEXEC | MemfdFlags::EXEC)
            .or_else(|_| memfd_create(name.as_str(), MemfdFlags::CLOEXEC))
            .map_err(|error| format!("no file in memory to try it with: {error}"))?;
        Ok(Self { file, name: format!("memfd:{name}") })
    }

    /// The last part of its path, for the kernel.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tries to start it, and tells whether that was refused.
    pub(crate) fn is_refused(&self) -> Result<bool, String> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let mut command = Command::new(OsStr::new(&path));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Err(error) if is(&error, Errno::PERM) => Ok(true),
            // It is no program.
            Err(error) if is(&error, Errno::NOEXEC) => Ok(false),
            Err(error) => Err(format!("the start of an empty program: {error}")),
            // Where a shell runs what the kernel does not know: it has nothing to do.
            Ok(mut child) => child.wait().map(|_| false).map_err(|error| error.to_string()),
        }
    }
}

impl AsFd for Probe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn is(error: &std::io::Error, wanted: Errno) -> bool {
    error.raw_os_error() == Some(wanted.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_refuses_it_is_not_refused() {
        let probe = Probe::new().unwrap();
        assert_eq!(probe.is_refused(), Ok(false));
        assert_ne!(Probe::new().unwrap().name(), probe.name());
    }
}
