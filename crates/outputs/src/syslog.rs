//! Syslog: RFC 5424 messages over a Unix datagram socket, UDP (RFC 5426), or TCP with octet counting (RFC 6587, 3.4.1).
//!
//! A server that is away is tried again until it is back; by UDP that is known only where somebody refuses. Falco's
//! priorities are syslog's severities. A message is one line: what could break it is made visible. There is no TLS: a
//! local relay has that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haechi_core::alert::{AlertContainer, Priority, headline};
use haechi_core::response::Outcome;
use haechi_core::text::visible;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::sync::{mpsc, watch};

use crate::metrics::{Metrics, Way};
use crate::trouble::Trouble;
use crate::{Message, OutputError, WAIT_FIRST, Waiting, again};

/// Longest message: what every receiver should take over UDP (RFC 5426, 3.2), and over the others (RFC 5424, 6.1).
const DATAGRAM_MAX: usize = 2048;
const STREAM_MAX: usize = 8192;
/// How long connecting and sending may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Security messages (RFC 5424, table 1).
const FACILITY: u8 = 10;
/// Longest host name in a header (RFC 5424, 6).
const HOST_MAX: usize = 255;

/// Where a syslog server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A datagram socket of this host.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Udp(String),
    /// `HOST:PORT`.
    Tcp(String),
}

impl std::str::FromStr for SyslogAddress {
    type Err = OutputError;

    /// `unix:///dev/log`, `udp://HOST:PORT` or `tcp://HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, OutputError> {
        let wrong = || OutputError::Syslog(text.to_owned());
        let (kind, rest) = text.split_once("://").ok_or_else(wrong)?;
        let port = rest.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let has_port = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0));
        match kind {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "udp" if has_port => Ok(Self::Udp(rest.to_owned())),
            "tcp" if has_port => Ok(Self::Tcp(rest.to_owned())),
            _ => Err(wrong()),
        }
    }
}

/// A syslog server.
#[derive(Debug, Clone)]
pub struct Syslog {
    /// Where it is.
    pub address: SyslogAddress,
    /// Facility, 0 to 23; 10 is security.
    pub facility: u8,
    /// Name of this host in the messages.
    pub host: String,
}

impl Syslog {
    /// A server, with the facility of security messages, and this host's name.
    pub fn new(address: SyslogAddress) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { address, facility: FACILITY, host }
    }

    pub(crate) fn check(&self) -> Result<(), OutputError> {
        if self.facility > 23 { Err(OutputError::Facility(self.facility)) } else { Ok(()) }
    }
}

/// Sends what waits until there is nothing more to come.
pub(crate) async fn run(
    config: Syslog,
    queue: mpsc::Receiver<Arc<Message>>,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<bool>,
) {
    let mut waiting = Waiting::new(queue, metrics, Way::Syslog);
    let is_udp = matches!(config.address, SyslogAddress::Udp(_));
    let mut connection = None;
    let mut trouble = Trouble::new(if is_udp { 2 } else { 1 });
    // By UDP it is known from the next message that nobody took this one.
    let mut unsure: Option<String> = None;
    while let Some(message) = waiting.next().await {
        let line = line(&config, &message);
        let mut wait = WAIT_FIRST;
        while let Err(error) = send(&config.address, &mut connection, &line).await {
            connection = None;
            if let Some(tries) = trouble.failed(Instant::now()) {
                tracing::warn!(%error, tries, "the syslog server does not take messages; trying again");
            }
            again(&mut wait, &mut ended).await;
            if let Some(before) = &unsure {
                // Whether it went out is told by what comes after it.
                let _ = send(&config.address, &mut connection, before).await;
            }
        }
        if let Some(tries) = trouble.worked() {
            tracing::warn!(tries, "the syslog server takes messages again");
        }
        unsure = is_udp.then_some(line);
        waiting.sent();
    }
}

enum Connection {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

async fn connect(address: &SyslogAddress) -> std::io::Result<Connection> {
    Ok(match address {
        SyslogAddress::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Connection::Unix(socket)
        }
        SyslogAddress::Udp(to) => {
            let to = tokio::net::lookup_host(to.as_str()).await?.next();
            let to = to.ok_or_else(|| std::io::Error::other("the name has no address"))?;
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(to).await?;
            Connection::Udp(socket)
        }
        SyslogAddress::Tcp(to) => Connection::Tcp(TcpStream::connect(to.as_str()).await?),
    })
}

async fn send(
    address: &SyslogAddress,
    connection: &mut Option<Connection>,
    line: &str,
) -> std::io::Result<()> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    if let Some(Connection::Tcp(stream)) = connection
        && is_closed(stream)
    {
        *connection = None;
    }
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let made = tokio::time::timeout(PATIENCE, connect(address)).await.map_err(late)??;
            connection.insert(made)
        }
    };
    let sending = async {
        match connection {
            Connection::Unix(socket) => {
                socket.send(cut(line, STREAM_MAX).as_bytes()).await.map(drop)
            }
            Connection::Udp(socket) => {
                socket.send(cut(line, DATAGRAM_MAX).as_bytes()).await.map(drop)
            }
            Connection::Tcp(stream) => {
                let line = cut(line, STREAM_MAX);
                stream.write_all(format!("{} {line}", line.len()).as_bytes()).await
            }
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.map_err(late)?
}

/// Whether the server closed the connection: a message written after that would be lost without an error.
fn is_closed(stream: &TcpStream) -> bool {
    let mut bytes = [0; 64];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return true,
            // Servers do not answer; whatever it was is of no interest.
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// The message as one line (RFC 5424, 6).
pub(crate) fn line(config: &Syslog, message: &Message) -> String {
    let (severity, at, kind, text) = match message {
        Message::Alert(alert) => {
            let mut text = alert.headline();
            if !alert.checks.is_empty() {
                text.push_str(&format!(" checks={}", alert.checks.join(",")));
            }
            (severity(alert.priority), alert.at, "alert", of(&alert.container, text))
        }
        Message::Action(action) => {
            let detail = match &action.outcome {
                Outcome::Failed(why) => format!(" ({why})"),
                Outcome::Withheld(why) => format!(" ({why:?})").to_lowercase(),
                _ => String::new(),
            };
            let severity = match action.outcome {
                Outcome::Failed(_) => 3,
                Outcome::Withheld(_) => 4,
                _ => 5,
            };
            let (response, outcome) = (action.response.name(), action.outcome.name());
            let cause = headline(&action.rule, &action.cause);
            let text = format!("{response} {outcome}{detail}: {cause}");
            (severity, action.at, "action", of(&action.container, text))
        }
    };
    let host: String = config.host.chars().filter(char::is_ascii_graphic).take(HOST_MAX).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let number = u16::from(config.facility) * 8 + severity;
    let id = std::process::id();
    // At most six digits of a second (RFC 5424, 6.2.3). The mark says that what follows is UTF-8.
    let at = at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    format!("<{number}>1 {at} {host} haechi {id} {kind} - \u{feff}{}", visible(&text))
}

fn of(container: &AlertContainer, text: String) -> String {
    let short = container.id.get(..12).unwrap_or(&container.id);
    let mut text =
        format!("{text} container={} id={short} image={}", container.name, container.image);
    if !container.pod.is_empty() {
        text.push_str(&format!(" pod={}/{}", container.namespace, container.pod));
    }
    text
}

/// Falco's priorities are syslog's severities, in the same order.
fn severity(priority: Priority) -> u16 {
    match priority {
        Priority::Emergency => 0,
        Priority::Alert => 1,
        Priority::Critical => 2,
        Priority::Error => 3,
        Priority::Warning => 4,
        Priority::Notice => 5,
        Priority::Informational => 6,
        Priority::Debug => 7,
    }
}

fn cut(line: &str, max: usize) -> &str {
    line.get(..line.floor_char_boundary(max)).unwrap_or(line)
}
