//! From the bytes of a record to what it says.
//!
//! Promises that every length and every tag is checked before it is believed, that no bytes make it panic, and that
//! what it does not understand is an error and no event. The layout is that of `struct head` in `bpf/record.h`.

mod first;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use haechi_core::event::{
    Action, Call, Endpoint, Event, Exec, Network, Open, Origin, PathCall, Process, Socket,
};

pub(crate) use first::first;

use crate::calls;
use crate::record::{Losses, Record, Seen};

/// Bytes of `struct head`.
const HEAD: usize = 184;
/// Texts that a record may have.
const TEXTS: usize = 8;

/// Flags of a record: `enum flag` in `bpf/record.h`.
const CUT: u8 = 1;
const ARGS_CUT: u8 = 2;
const COMPAT: u8 = 4;
const HOST_MOUNTS: u8 = 8;
const HELD: u8 = 16;
const RESOLVED: u8 = 32;
/// Where they are in the head.
const FLAGS: usize = 177;

/// File modes of the kernel (`FMODE_READ`, `FMODE_WRITE`, `FMODE_CREATED`).
const READ_MODE: u64 = 1;
const WRITE_MODE: u64 = 2;
const CREATED_MODE: u64 = 0x10_0000;

/// Address families and kinds of sockets (socket(2)).
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const AF_PACKET: u16 = 17;
const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const SOCK_RAW: u16 = 3;
const IPPROTO_ICMP: u16 = 1;
const IPPROTO_ICMPV6: u16 = 58;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are fewer or more bytes than the record says.
    #[error("a record of {got} bytes should have {expected}")]
    Length {
        /// Bytes that are there.
        got: usize,
        /// Bytes that should be.
        expected: usize,
    },
    /// The record is of a kind that does not exist.
    #[error("a record of unknown kind {0}")]
    Kind(u8),
    /// The record names a system call that the table does not have.
    #[error("a record of unknown system call {0}")]
    Call(u32),
}

/// Takes numbers off the front of bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self
            .0
            .split_at_checked(size)
            .ok_or(DecodeError::Length { got: self.0.len(), expected: size })?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (front, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Length { got: self.0.len(), expected: N })?;
        self.0 = rest;
        Ok(*front)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_ne_bytes)
    }
}

/// A record taken apart.
struct Raw<'a> {
    at: u64,
    group: u64,
    process: Process,
    result: i64,
    args: [u64; 6],
    call: u32,
    kind: u8,
    flags: u8,
    texts: [&'a [u8]; TEXTS],
}

/// Reads a record.
///
/// # Errors
///
/// If its length is not what it says, or its kind or system call is unknown.
pub fn record(bytes: &[u8]) -> Result<Record, DecodeError> {
    let raw = take_apart(bytes)?;
    let action = match raw.kind {
        1 => return Ok(made(&raw)),
        2 => return Ok(gone(&raw)),
        3 => exec(&raw),
        // The wait status is an int.
        4 => Action::Exit(i32::try_from(raw.result).unwrap_or(-1)),
        5 => open(&raw),
        6 => network(&raw),
        7 => Action::Path(PathCall {
            path: joined(&raw, 0),
            second: joined(&raw, 2),
            args: raw.args,
        }),
        8 => Action::Call(Call {
            args: raw.args,
            text: if raw.text(0).is_empty() { raw.text(1) } else { raw.text(0) },
            compat: raw.flags & COMPAT != 0,
        }),
        kind => return Err(DecodeError::Kind(kind)),
    };
    let call = if raw.kind == 4 {
        "procexit"
    } else {
        calls::name(raw.call).ok_or(DecodeError::Call(raw.call))?
    };
    Ok(Record::Event(Box::new(Seen {
        compat: raw.flags & COMPAT != 0,
        cut: raw.flags & (CUT | ARGS_CUT) != 0,
        event: Event {
            at: raw.at,
            cgroup: raw.group,
            process: raw.process,
            call: call.to_owned(),
            result: raw.result,
            action,
        },
    })))
}

/// When a record was made, in nanoseconds since the machine started.
pub(crate) fn at(bytes: &[u8]) -> u64 {
    Bytes(bytes).u64().unwrap_or_default()
}

/// Whether the kernel told where a record's paths led, and not only what was given.
pub(crate) fn is_resolved(bytes: &[u8]) -> bool {
    bytes.get(FLAGS).is_some_and(|flags| flags & RESOLVED != 0)
}

/// The two paths of a call as they were given, each with the folder that it starts from.
pub(crate) fn given_paths(bytes: &[u8]) -> [(String, String); 2] {
    let raw = take_apart(bytes);
    let pair = |index| raw.as_ref().map(|raw| (raw.text(index), raw.text(index + 1)));
    [0, 2].map(|index| pair(index).unwrap_or_default())
}

fn take_apart(bytes: &[u8]) -> Result<Raw<'_>, DecodeError> {
    let mut rest = Bytes(bytes);
    let at = rest.u64()?;
    let group = rest.u64()?;
    let mut process = Process { started: rest.u64()?, ..Process::default() };
    process.capabilities = rest.u64()?;
    process.permitted = rest.u64()?;
    let result = rest.array().map(i64::from_ne_bytes)?;
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = rest.u64()?;
    }
    process.pid = rest.u32()?;
    process.tid = rest.u32()?;
    process.inner_pid = rest.u32()?;
    process.parent = rest.u32()?;
    process.uid = rest.u32()?;
    process.euid = rest.u32()?;
    process.gid = rest.u32()?;
    process.login_uid = rest.u32()?;
    process.tty = rest.u32()?;
    process.session = rest.u32()?;
    let call = rest.u32()?;
    let size = usize::try_from(rest.u32()?).unwrap_or(usize::MAX);
    process.name = until_nul(&rest.array::<16>()?);
    let mut lengths = [0; TEXTS];
    for length in &mut lengths {
        *length = usize::from(rest.u16()?);
    }
    let kind = rest.u8()?;
    let flags = rest.u8()?;
    process.host_mounts = flags & HOST_MOUNTS != 0;
    rest.take(2)?;
    process.owner = rest.u32()?;
    // The ring gives records in multiples of eight bytes only as far as it likes; the head says how many count.
    if rest.0.len() != size || lengths.iter().sum::<usize>() != size {
        let expected = size.saturating_add(HEAD);
        return Err(DecodeError::Length { got: bytes.len(), expected });
    }
    let mut texts: [&[u8]; TEXTS] = [&[]; TEXTS];
    for (text, length) in texts.iter_mut().zip(lengths) {
        *text = rest.take(length)?;
    }
    Ok(Raw { at, group, process, result, args, call, kind, flags, texts })
}

impl Raw<'_> {
    fn bytes(&self, index: usize) -> &[u8] {
        self.texts.get(index).copied().unwrap_or_default()
    }

    fn text(&self, index: usize) -> String {
        String::from_utf8_lossy(self.bytes(index)).into_owned()
    }
}

fn until_nul(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A path as given, made absolute with the folder that it starts from, which follows it; where the kernel told where it
/// led, nothing follows.
fn joined(raw: &Raw<'_>, index: usize) -> String {
    absolute(raw.text(index), &raw.text(index + 1))
}

fn absolute(given: String, base: &str) -> String {
    if base.is_empty() {
        given
    } else if given.is_empty() {
        base.to_owned()
    } else {
        // The root that it starts from need not be the container's.
        let given = given.trim_start_matches('/');
        format!("{}/{given}", base.trim_end_matches('/'))
    }
}

fn made(raw: &Raw<'_>) -> Record {
    let [outer, ..] = raw.args;
    Record::New {
        cgroup: raw.group,
        container: crate::groups::container_id(&raw.text(0)).unwrap_or_default().to_owned(),
        path: raw.text(1),
        outer: (outer != 0).then_some(outer),
    }
}

fn gone(raw: &Raw<'_>) -> Record {
    let [container, sent, lost, ..] = raw.args;
    Record::Gone { cgroup: raw.group, container, losses: Losses { sent, lost } }
}

fn exec(raw: &Raw<'_>) -> Action {
    let [inode, modified, origin, streams, ..] = raw.args;
    let text = raw.bytes(3);
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    let args = text.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned());
    Action::Exec(Box::new(Exec {
        path: raw.text(0),
        file: raw.text(2),
        args: if text.is_empty() { Vec::new() } else { args.collect() },
        args_cut: raw.flags & ARGS_CUT != 0,
        cwd: raw.text(1),
        origin: origin_of(origin),
        before: raw.text(4),
        inode,
        modified: modified.cast_signed(),
        held: raw.flags & HELD != 0,
        network_streams: u8::try_from(streams & 7).unwrap_or_default(),
    }))
}

fn origin_of(number: u64) -> Origin {
    match number {
        1 => Origin::Image,
        2 => Origin::Changed,
        3 => Origin::Mounted,
        4 => Origin::Memory,
        _ => Origin::Unknown,
    }
}

fn open(raw: &Raw<'_>) -> Action {
    let [flags, mode, origin, ..] = raw.args;
    // What was opened is not known: it was refused, or closed again before it could be looked at.
    let unseen = mode == 0;
    // O_WRONLY and O_RDWR, as asked for.
    let access = flags & 3;
    Action::Open(Open {
        path: if unseen { joined(raw, 0) } else { raw.text(0) },
        // open(2) has no flag above the lower 32 bits.
        flags: u32::try_from(flags & 0xffff_ffff).unwrap_or_default(),
        write: if unseen { access != 0 } else { mode & WRITE_MODE != 0 },
        read: if unseen { access != 1 } else { mode & READ_MODE != 0 },
        created: mode & CREATED_MODE != 0,
        origin: origin_of(origin),
    })
}

fn network(raw: &Raw<'_>) -> Action {
    let [shape, ports, local @ .., _, _] = raw.args;
    let [_, _, _, _, remote @ ..] = raw.args;
    let [family, kind, protocol, _] = words(shape);
    let [local_port, remote_port, ..] = words(ports);
    let given = given(raw.bytes(0));
    // The kernel's own view of the other end is empty if a connect failed or a datagram names its receiver.
    let mut local = address(family, local).map(|ip| Endpoint { ip, port: local_port });
    let mut remote = address(family, remote)
        .map(|ip| Endpoint { ip, port: remote_port })
        .filter(|end| !end.ip.is_unspecified() || end.port != 0);
    let mut path = String::new();
    match given {
        Given::Address(end) if calls::name(raw.call) == Some("bind") => {
            if raw.result < 0 || local.is_none_or(|local| local.port == 0) {
                local = Some(end);
            }
        }
        Given::Address(end) if raw.result < 0 || remote.is_none() => remote = Some(end),
        // Where the kernel has the socket counts before the name that led there.
        Given::Path(given) if given.starts_with('@') => path = given,
        Given::Path(_) if !raw.bytes(2).is_empty() => path = raw.text(2),
        Given::Path(given) if given.starts_with('/') => path = given,
        Given::Path(given) => path = absolute(given, &raw.text(3)),
        Given::Address(_) | Given::Nothing => {}
    }
    Action::Network(Network {
        socket: socket(family, kind, protocol),
        local,
        remote,
        path,
        payload: raw.bytes(1).to_vec(),
    })
}

/// The four 16-bit numbers of a word, the lowest first.
fn words(word: u64) -> [u16; 4] {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    [[a, b], [c, d], [e, f], [g, h]].map(u16::from_le_bytes)
}

fn address(family: u16, [first, second]: [u64; 2]) -> Option<IpAddr> {
    let [a, b, c, d, e, f, g, h] = first.to_ne_bytes();
    let [i, j, k, l, m, n, o, p] = second.to_ne_bytes();
    match family {
        AF_INET => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        AF_INET6 => {
            Some(IpAddr::V6(Ipv6Addr::from([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])))
        }
        _ => None,
    }
}

fn socket(family: u16, kind: u16, protocol: u16) -> Socket {
    match (family, kind, protocol) {
        (AF_UNIX, ..) => Socket::Unix,
        (AF_NETLINK, ..) => Socket::Netlink,
        (AF_PACKET, ..) | (_, SOCK_RAW, _) => Socket::Raw,
        (AF_INET | AF_INET6, _, IPPROTO_ICMP | IPPROTO_ICMPV6) => Socket::Raw,
        (AF_INET | AF_INET6, SOCK_STREAM, IPPROTO_TCP) => Socket::Tcp,
        (AF_INET | AF_INET6, SOCK_DGRAM, IPPROTO_UDP) => Socket::Udp,
        _ => Socket::Other,
    }
}

/// An address as the process gave it.
enum Given {
    Nothing,
    Address(Endpoint),
    Path(String),
}

/// Reads a `sockaddr`: `sockaddr_in`, `sockaddr_in6`, `sockaddr_un`.
fn given(bytes: &[u8]) -> Given {
    let mut rest = Bytes(bytes);
    let Ok(family) = rest.u16() else { return Given::Nothing };
    if family == AF_UNIX {
        return match rest.0 {
            // An abstract name begins with NUL and has no end but its length.
            [0, name @ ..] if !name.is_empty() => {
                Given::Path(format!("@{}", String::from_utf8_lossy(name).replace('\0', "@")))
            }
            name => Given::Path(until_nul(name)),
        };
    }
    let end = |rest: &mut Bytes<'_>| -> Result<Option<Endpoint>, DecodeError> {
        let port = rest.array().map(u16::from_be_bytes)?;
        let ip = match family {
            AF_INET => IpAddr::from(rest.array::<4>()?),
            AF_INET6 => {
                // The flow.
                rest.take(4)?;
                IpAddr::from(rest.array::<16>()?)
            }
            _ => return Ok(None),
        };
        Ok(Some(Endpoint { ip, port }))
    };
    match end(&mut rest) {
        Ok(Some(end)) => Given::Address(end),
        Ok(None) | Err(_) => Given::Nothing,
    }
}

#[cfg(test)]
mod tests;
