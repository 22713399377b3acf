//! The kernel's process connector: which processes started programs and ended, by netlink, without BPF.
//!
//! It tells ids only; what they are has to be read from `/proc` while they are there. Needs root in the host's own
//! namespaces. Source: `include/uapi/linux/cn_proc.h`, `connector.h`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `CN_IDX_PROC` and `CN_VAL_PROC`: the group of the process connector.
const GROUP: u32 = 1;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// `NLMSG_DONE`: connector messages come as this type.
const DONE: u16 = 3;
/// `PROC_EVENT_EXEC` and `PROC_EVENT_EXIT`.
const EXEC: u32 = 2;
const EXIT: u32 = 0x8000_0000;
/// Where the event begins: after `nlmsghdr` (16 bytes) and `cn_msg` (20 bytes).
const EVENT: usize = 36;
/// Where its data begins: after what, processor and time.
const DATA: usize = EVENT + 16;
/// A message is below a hundred bytes.
const MESSAGE_MAX: usize = 4096;
/// Messages taken in one go.
const BATCH: usize = 4096;

/// What a process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It started a program.
    Exec(u32),
    /// It ended, with this wait status.
    Exit(u32, i32),
    /// Messages were lost.
    Lost,
}

/// A listener.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
}

impl Connector {
    /// Begins to listen.
    ///
    /// # Errors
    /// This kernel has no process connector, or this user may not listen.
    pub fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::CONNECTOR),
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        let mut message = Vec::new();
        let size = u32::try_from(EVENT + 4).unwrap_or_default();
        message.extend(size.to_ne_bytes());
        message.extend(DONE.to_ne_bytes());
        message.extend([0; 10]);
        for word in [GROUP, GROUP, 0, 0] {
            message.extend(word.to_ne_bytes());
        }
        message.extend(4_u16.to_ne_bytes());
        message.extend(0_u16.to_ne_bytes());
        message.extend(LISTEN.to_ne_bytes());
        rustix::net::send(&socket, &message, SendFlags::empty())?;
        Ok(Self { socket })
    }

    /// What happened, in order; waits for it no longer than `timeout` (below a second).
    ///
    /// # Errors
    /// The socket cannot be read.
    pub fn next(&self, timeout: Duration) -> io::Result<Vec<Happened>> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        let mut waited = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        match poll(&mut waited, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut found = Vec::new();
        let mut buffer = [0; MESSAGE_MAX];
        while found.len() < BATCH {
            match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((size, _)) => found.extend(parse(buffer.get(..size).unwrap_or_default())),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => found.push(Happened::Lost),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}

fn parse(message: &[u8]) -> Option<Happened> {
    let word = |at: usize| {
        let bytes = message.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let process = word(DATA + 4)?;
    match word(EVENT)? {
        EXEC => Some(Happened::Exec(process)),
        // Threads end as well; only the last one is the process's end.
        EXIT if word(DATA)? == process => {
            Some(Happened::Exit(process, word(DATA + 8)?.cast_signed()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn cut_messages_are_nothing() {
        let mut message = vec![0; DATA + 16];
        message[EVENT..EVENT + 4].copy_from_slice(&EXEC.to_ne_bytes());
        message[DATA + 4..DATA + 8].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(parse(&message), Some(Happened::Exec(7)));
        for size in 0..DATA + 8 {
            assert_eq!(parse(&message[..size]), None);
        }
    }

    #[test]
    fn a_program_that_starts_and_ends_is_told() {
        let connector = Connector::open().unwrap();
        let mut child = Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        let mut seen = Vec::new();
        while !seen.contains(&Happened::Exit(child.id(), 0)) {
            assert!(Instant::now() < end, "{seen:?}");
            seen.extend(connector.next(Duration::from_millis(100)).unwrap());
        }
        assert!(seen.contains(&Happened::Exec(child.id())));
    }
}
