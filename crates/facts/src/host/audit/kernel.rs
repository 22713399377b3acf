//! Asking the kernel for its audit state and rules, over netlink.
//!
//! Nothing is set, and no process text is parsed. Every answer is waited for at most two seconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use audit_rules::{AUDIT_GET, AUDIT_LIST_RULES, StatusMessageBuffer};
use haechi_core::facts::AuditRule;
use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::loaded;

const TIMEOUT: Duration = Duration::from_secs(2);
/// The largest rule: 64 fields, each with a text of at most 4096 bytes.
const MESSAGE_MAX: usize = 1 << 19;
/// More rules than this are not read: the kernel looks at each of them at every system call.
const RULES_MAX: usize = 100_000;
/// `NLM_F_REQUEST | NLM_F_ACK`: an answer, or an error, in any case.
const FLAGS: u16 = 1 | 4;
const HEADER: usize = 16;

/// Why the kernel's audit is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The kernel was built or started without audit.
    #[error("this kernel has no audit")]
    NoAudit,
    /// This process may not ask.
    #[error("needs root (CAP_AUDIT_CONTROL), in the host's process namespace")]
    Permission,
    /// In a user namespace the kernel answers as if it had no audit.
    #[error("the kernel tells this only in the initial user namespace; run without user namespace")]
    Namespace,
    /// An answer that is not understood.
    #[error("an answer of the kernel's audit is not understood: {0}")]
    NotUnderstood(String),
    /// Anything else.
    #[error("asking the kernel's audit: {0}")]
    Io(io::Error),
}

/// A socket to the kernel's audit.
pub(super) struct Connection {
    socket: OwnedFd,
    initial_user: bool,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens it. `initial_user` tells whether this process is in the initial user namespace.
    pub(super) fn open(initial_user: bool) -> Result<Self, Error> {
        let error = |error| explain(error, initial_user);
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::AUDIT),
        )
        .map_err(error)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT)).map_err(error)?;
        set_socket_timeout(&socket, Timeout::Send, Some(TIMEOUT)).map_err(error)?;
        // Connected to the kernel (port 0), the socket takes messages from nobody else.
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(error)?;
        Ok(Self { socket, initial_user, sequence: 0, buffer: vec![0; MESSAGE_MAX] })
    }

    /// Whether audit is switched on.
    pub(super) fn enabled(&mut self) -> Result<bool, Error> {
        let mut enabled = None;
        self.ask(AUDIT_GET, |payload| {
            let status = StatusMessageBuffer::new_checked(payload)
                .map_err(|error| Error::NotUnderstood(error.to_string()))?;
            enabled = Some(status.enabled() != 0);
            Ok(())
        })?;
        enabled.ok_or_else(|| Error::NotUnderstood("no state".into()))
    }

    /// The loaded rules, in the kernel's order.
    pub(super) fn rules(&mut self) -> Result<Vec<AuditRule>, Error> {
        let mut rules = Vec::new();
        self.ask(AUDIT_LIST_RULES, |payload| {
            if rules.len() == RULES_MAX {
                return Err(Error::NotUnderstood(format!("more than {RULES_MAX} rules")));
            }
            // A rule that is left out could be one that switches others off, so all or nothing.
            rules.push(
                loaded::rule(payload)
                    .ok_or_else(|| Error::NotUnderstood(format!("rule {}", rules.len() + 1)))?,
            );
            Ok(())
        })?;
        Ok(rules)
    }

    /// Sends a question and gives each answer to `take`, up to the last one.
    fn ask(
        &mut self,
        kind: u16,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let initial_user = self.initial_user;
        self.sequence += 1;
        let sequence = self.sequence;
        let mut question = [0_u8; HEADER];
        let mut header = NetlinkBuffer::new(&mut question[..]);
        header.set_length(HEADER as u32);
        header.set_message_type(kind);
        header.set_flags(FLAGS);
        header.set_sequence_number(sequence);
        rustix::net::send(&self.socket, &question, SendFlags::empty())
            .map_err(|error| explain(error, initial_user))?;
        // The state is one answer and an acknowledgement; rules are any number of answers and an
        // end.
        let (mut acknowledged, mut answered) = (false, false);
        loop {
            let (received, length) =
                rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC)
                    .map_err(|error| explain(error, initial_user))?;
            let mut rest = self
                .buffer
                .get(..received)
                .filter(|_| received == length)
                .ok_or_else(|| Error::NotUnderstood(format!("{length} bytes")))?;
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest)
                    .map_err(|error| Error::NotUnderstood(error.to_string()))?;
                let next = (message.length() as usize).next_multiple_of(4);
                if message.sequence_number() == sequence {
                    match message.message_type() {
                        NLMSG_ERROR => {
                            let code = message.payload().first_chunk().copied();
                            match i32::from_ne_bytes(code.unwrap_or([0xff; 4])) {
                                0 => acknowledged = true,
                                code => {
                                    let error = Errno::from_raw_os_error(code.saturating_neg());
                                    return Err(explain(error, initial_user));
                                }
                            }
                        }
                        NLMSG_DONE => return Ok(()),
                        other if other == kind => {
                            take(message.payload())?;
                            answered = true;
                        }
                        _ => {}
                    }
                }
                rest = rest.get(next..).unwrap_or_default();
            }
            if kind == AUDIT_GET && acknowledged && answered {
                return Ok(());
            }
        }
    }
}

fn explain(error: Errno, initial_user: bool) -> Error {
    match error {
        Errno::PERM | Errno::ACCESS => Error::Permission,
        // Outside the initial user namespace the kernel says "refused" on purpose, as if there were
        // no audit.
        Errno::CONNREFUSED if !initial_user => Error::Namespace,
        Errno::CONNREFUSED | Errno::PROTONOSUPPORT => Error::NoAudit,
        other => Error::Io(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn auditctl(arguments: &[&str]) {
        let done = Command::new("auditctl").args(arguments).output().unwrap();
        assert!(done.status.success(), "auditctl {arguments:?}: {done:?}");
    }

    /// Takes the rule away again, also when the test fails.
    struct Rule(Vec<String>);

    impl Rule {
        fn add(arguments: &[&str]) -> Self {
            auditctl(arguments);
            let delete = arguments.iter().map(|word| match *word {
                "-w" => "-W".to_owned(),
                "-a" => "-d".to_owned(),
                other => other.to_owned(),
            });
            Self(delete.collect())
        }
    }

    impl Drop for Rule {
        fn drop(&mut self) {
            let _ = Command::new("auditctl").args(&self.0).output();
        }
    }

    // Needs root and a kernel with audit.
    #[test]
    fn rules_that_auditctl_loads_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (folder, file) = (dir.path().display().to_string(), file.display().to_string());
        let path = format!("path={file}");
        let _rules = [
            Rule::add(&["-w", &folder, "-p", "wa", "-k", "haechi-test"]),
            Rule::add(&["-w", &file, "-p", "rwxa"]),
            Rule::add(&["-a", "always,exit", "-F", &path, "-F", "perm=w", "-F", "uid>=9"]),
            Rule::add(&["-a", "always,exit", "-F", "arch=b64", "-S", "open", "-F", &path]),
            Rule::add(&["-a", "never,exit", "-F", "exe=/bin/true", "-F", &path]),
            Rule::add(&["-a", "always,exit", "-F", "arch=b64", "-F", &path, "-F", "perm=a"]),
            Rule::add(&["-a", "always,exit", "-F", "saddr_fam=2", "-S", "connect", "-k", "b"]),
        ];
        let mut connection = Connection::open(true).unwrap();
        let rules = connection.rules().unwrap();
        let ours: Vec<_> = rules
            .into_iter()
            .filter(|r| {
                r.text.as_deref().unwrap().contains(&folder)
                    || r.text.as_deref().unwrap().contains("saddr_fam")
            })
            .map(|r| {
                let text = r.text.unwrap().replace(&folder, "D");
                format!(
                    "{},{} {}|{} {} {} {text}",
                    r.action.unwrap(),
                    r.list.unwrap(),
                    r.path.unwrap().replace(&folder, "D"),
                    r.dir.unwrap().replace(&folder, "D"),
                    r.permissions.unwrap(),
                    r.limited.unwrap()
                )
            })
            .collect();
        let expected = [
            "always,exit |D wa false -w D -p wa -k haechi-test",
            "always,exit D/file| rwxa false -w D/file -p rwxa",
            "always,exit D/file| w true -a always,exit -S all -F path=D/file -F perm=w -F uid>=9",
            "always,exit D/file| rwxa true -a always,exit -S 2 -F arch=b64 -F path=D/file",
            "never,exit D/file| rwxa true -a never,exit -S all -F exe=/bin/true -F path=D/file",
            "always,exit D/file| a false -a always,exit -S all -F arch=b64 -F path=D/file \
             -F perm=a",
            "always,exit | rwxa true -a always,exit -S 42 -F saddr_fam=2 -k b",
        ];
        assert_eq!(ours, expected);
        let before = connection.enabled().unwrap();
        assert_eq!(Connection::open(true).unwrap().enabled().unwrap(), before);
    }

    #[test]
    fn a_refusal_is_not_taken_for_a_kernel_without_audit() {
        assert!(matches!(explain(Errno::CONNREFUSED, false), Error::Namespace));
        assert!(matches!(explain(Errno::CONNREFUSED, true), Error::NoAudit));
        assert!(matches!(explain(Errno::PROTONOSUPPORT, true), Error::NoAudit));
        assert!(matches!(explain(Errno::PERM, true), Error::Permission));
        assert!(matches!(explain(Errno::AGAIN, true), Error::Io(_)));
    }
}
