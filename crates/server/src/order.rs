//! What the web server is started with, and how its parent starts it.
//!
//! Two descriptors cross over, as the standard ones: stdin is the line to the desk, whose first message is the
//! [`Order`]; stdout is the listener. Nothing else is inherited but stderr, for the log.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// The name of the hidden command.
pub const COMMAND: &str = "serve-web";
/// Longest order: a chain of certificates and some names.
const ORDER_MAX: u32 = 1 << 20;

/// What the web server is told once, at its start.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    /// The chain of certificates, PEM, its own first.
    pub certificate: String,
    /// The key of the first one, PEM (PKCS #8, PKCS #1 or SEC 1).
    pub key: String,
    /// Who it becomes: user and group; `None` stays who it is, for a parent that is nobody special.
    pub user: Option<(u32, u32)>,
    /// Names that a browser may call it by, without a port. IP addresses are taken anyway: no foreign name is in them.
    pub hosts: Vec<String>,
    /// How much it takes on.
    pub limits: Limits,
    /// What it logs, as `warn` or `haechi=debug,warn`.
    pub log: String,
}

/// How much the web server takes on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Connections from one address; from one /64 network for IPv6.
    pub connections_per_address: usize,
    /// Requests that are being answered; more wait for up to 5 s. A session or token has a quarter of them.
    pub requests: usize,
    /// Live streams.
    pub streams: usize,
    /// Live streams of one session or token.
    pub streams_per_session: usize,
    /// Live streams of one account, whatever it is logged in by.
    pub streams_per_account: usize,
}

impl Default for Limits {
    /// For ten browsers with room to spare, behind one address.
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 128,
            requests: 64,
            streams: 64,
            streams_per_session: 8,
            streams_per_account: 16,
        }
    }
}

impl Order {
    /// What is logged, as a filter. Protocols warn of whatever a client does wrong, as often as it likes: only their
    /// errors are told, unless `log` names them.
    pub fn log_filter(&self) -> String {
        format!("h2=error,hyper=error,rustls=error,{}", self.log)
    }

    /// The command that starts a web server, and the desk's end of the line. Spawn it and drop it: the desk only
    /// learns that the web server has ended once nobody else holds the other end.
    ///
    /// # Errors
    /// No pair of sockets can be made, or the order is too long for them.
    pub fn prepare(
        &self,
        program: &Path,
        listener: &TcpListener,
    ) -> io::Result<(Command, UnixStream)> {
        let (mut line, theirs) = UnixStream::pair()?;
        let bytes = serde_json::to_vec(self)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        // Fits into the socket's buffer or fails: nobody reads yet.
        line.set_nonblocking(true)?;
        line.write_all(&length.to_le_bytes())?;
        line.write_all(&bytes)?;
        let mut command = Command::new(program);
        command
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(listener.try_clone()?)));
        Ok((command, line))
    }

    /// Reads the order, and not a byte beyond it.
    pub(crate) fn receive(line: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        line.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > ORDER_MAX {
            return Err(io::Error::other("the order is too long"));
        }
        let mut bytes = Vec::new();
        line.take(length.into()).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for Order {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("user", &self.user)
            .field("hosts", &self.hosts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
