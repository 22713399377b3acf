//! What processes of containers do, as the kernel saw it: the data that goes from the sensor to the monitor.
//!
//! An event says what happened and who did it; it judges nothing. Paths are as the container sees them, resolved by
//! the kernel where it could. What was cut says so. Numbers are those of the kernel's own interfaces (errno(3),
//! syscalls(2), capabilities(7)).

use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::AlertContainer;

/// Schema of an event as JSON.
pub const EVENT_SCHEMA: &str = "haechi/event/v1";

/// One thing that one process did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Nanoseconds since the machine started (`CLOCK_BOOTTIME`).
    pub at: u64,
    /// Id of the control group (version 2) that the process belongs to; names the container.
    pub cgroup: u64,
    /// Who.
    pub process: Process,
    /// The system call by which it was done (`openat`, `execve`), or `procexit` for an end.
    pub call: String,
    /// What the call returned; negative is an error number.
    pub result: i64,
    /// What.
    pub action: Action,
}

/// An event as it is shown: with the time of day and the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// [`EVENT_SCHEMA`].
    pub schema: String,
    /// When it happened.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What kind of event it is: the name of its action ([`Action::kind`]).
    #[serde(rename = "type")]
    pub kind: String,
    /// In which container.
    pub container: AlertContainer,
    /// What happened.
    pub event: Event,
}

impl EventLine {
    /// An event that happened at this time of day in this container.
    pub fn new(at: Timestamp, container: AlertContainer, event: Event) -> Self {
        let kind = event.action.kind().to_owned();
        Self { schema: EVENT_SCHEMA.to_owned(), at, kind, container, event }
    }
}

/// A process at the moment of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Id of the process (thread group) on the host.
    pub pid: u32,
    /// Id of the thread on the host.
    pub tid: u32,
    /// Id of the process as the container sees it; 0 if unknown.
    pub inner_pid: u32,
    /// Id of the parent on the host.
    pub parent: u32,
    /// When it was started, in nanoseconds since the machine started: with `pid`, its identity.
    pub started: u64,
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Real group.
    pub gid: u32,
    /// Login user (`/proc/PID/loginuid`); `u32::MAX` if there is none.
    pub login_uid: u32,
    /// Device number of the controlling terminal; 0 if there is none.
    pub tty: u32,
    /// Session leader.
    pub session: u32,
    /// Effective capabilities, a bit for each.
    pub capabilities: u64,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Name as the kernel keeps it, at most 15 bytes.
    pub name: String,
    /// Id on the host of the process that started the program that this one runs: itself, or the ancestor that it was
    /// forked from; 0 if unknown.
    #[serde(default)]
    pub owner: u32,
    /// Whether it has the host's mount namespace: a process of a container that does is out of it.
    #[serde(default)]
    pub host_mounts: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A program was started (execve(2)).
    Exec(Box<Exec>),
    /// A process ended; the value is its wait status.
    Exit(i32),
    /// A file was opened.
    Open(Open),
    /// A network call: connect, accept, bind, listen, a datagram sent.
    Network(Network),
    /// A file was deleted, renamed, linked, given another mode or owner, a folder made; a file system mounted.
    Path(PathCall),
    /// Any other call of interest: setuid, capset, setns, unshare, ptrace, bpf, init_module, memfd_create, kill …
    Call(Call),
}

impl Action {
    /// The name as in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Exit(_) => "exit",
            Self::Open(_) => "open",
            Self::Network(_) => "network",
            Self::Path(_) => "path",
            Self::Call(_) => "call",
        }
    }
}

/// A started program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exec {
    /// The program's file, resolved.
    pub path: String,
    /// What was given to the call; of a script, its path, while `path` is the interpreter's.
    pub file: String,
    /// Arguments, the first is the program's own name.
    pub args: Vec<String>,
    /// Whether arguments were cut: the kernel side reads so many bytes and no more.
    pub args_cut: bool,
    /// Working directory.
    pub cwd: String,
    /// Where the program's file is from.
    pub origin: Origin,
    /// Name of the process before.
    pub before: String,
    /// Inode of the file.
    pub inode: u64,
    /// When the file's content was changed, in seconds since 1970.
    pub modified: i64,
    /// Whether the kernel stopped it before its first instruction; somebody has to let it go on or end it.
    #[serde(default)]
    pub held: bool,
    /// Which of standard input (1), output (2) and error (4) are connections of the internet.
    #[serde(default)]
    pub network_streams: u8,
}

/// Where a file that runs is from.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Could not be told.
    #[default]
    Unknown,
    /// The image, unchanged.
    Image,
    /// The container's own layer: added or changed since the container was made.
    Changed,
    /// A volume, a bind mount or a memory file system.
    Mounted,
    /// Memory only (memfd_create(2)) or a deleted file.
    Memory,
}

/// An opened file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    /// The file, resolved; as given if the call failed.
    pub path: String,
    /// Flags of open(2).
    pub flags: u32,
    /// Whether it can be written through this descriptor.
    pub write: bool,
    /// Whether it can be read through this descriptor.
    pub read: bool,
    /// Whether the call made the file.
    pub created: bool,
    /// Where the file is from.
    pub origin: Origin,
}

/// A network call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// What kind of socket.
    pub socket: Socket,
    /// The container's end.
    pub local: Option<Endpoint>,
    /// The other end.
    pub remote: Option<Endpoint>,
    /// Path of a Unix socket: of a connection, where the other end is bound, whatever name led there; as given if that is
    /// not known; empty otherwise. An abstract name begins with `@`.
    pub path: String,
    /// First bytes of a datagram to port 53; empty otherwise.
    pub payload: Vec<u8>,
}

/// Kind of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Socket {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Unix.
    Unix,
    /// ICMP, raw and packet sockets.
    Raw,
    /// Netlink.
    Netlink,
    /// Anything else.
    Other,
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Port; 0 if the protocol has none.
    pub port: u16,
}

/// A call about one or two paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathCall {
    /// First path, absolute: where it led when the kernel acted on it; on kernels without probes, where it leads when the
    /// call returns; of a call that failed, as given.
    pub path: String,
    /// Second path (the new name, the link, the mount point), the same way; empty if there is none.
    pub second: String,
    /// The six arguments of the call.
    pub args: [u64; 6],
}

/// Any other call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// The six arguments of the call.
    pub args: [u64; 6],
    /// A string that belongs to it: the name of a memfd, of a module, of a file system.
    pub text: String,
    /// Whether it came by the 32-bit entry (`int 0x80`).
    pub compat: bool,
}
