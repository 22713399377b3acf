//! From the bytes of what was used first to what it says: `FIRST` in `bpf/record.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use haechi_core::event::Origin;
use haechi_core::profile::Kind;

use super::{
    AF_INET, AF_INET6, AF_UNIX, DecodeError, Raw, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, absolute,
    joined, origin_of, take_apart,
};
use crate::used::First;

/// `FIRST` in `bpf/record.h`.
const FIRST: u8 = 100;

/// Reads what was used first, and which process did it, with its parent.
///
/// # Errors
///
/// If its length is not what it says, or it is something else.
pub(crate) fn first(bytes: &[u8]) -> Result<(First, [u32; 2]), DecodeError> {
    let raw = take_apart(bytes)?;
    if raw.kind != FIRST {
        return Err(DecodeError::Kind(raw.kind));
    }
    let [zeroth, ..] = raw.args;
    // `enum use` in `bpf/record.h`.
    let (kind, value) = match raw.call {
        1 => (Kind::Executed, raw.text(0)),
        2 => (Kind::Mapped, raw.text(0)),
        3 => (Kind::Read, raw.text(0)),
        4 => (Kind::Written, plain(&joined(&raw, 0))),
        5 => (Kind::Peer, peer(&raw)),
        6 => (Kind::Listening, listening(&raw)),
        7 => (Kind::Argument, argument(&raw)),
        use_of => return Err(DecodeError::Call(use_of)),
    };
    let is_file = matches!(kind, Kind::Executed | Kind::Mapped | Kind::Read | Kind::Written);
    let script = match kind {
        Kind::Executed if raw.text(1).starts_with('/') => raw.text(1),
        Kind::Executed if !raw.text(1).is_empty() => plain(&absolute(raw.text(1), &raw.text(2))),
        _ => String::new(),
    };
    let first = First {
        at: raw.at,
        group: raw.group,
        kind,
        value,
        script,
        origin: if is_file { origin_of(zeroth) } else { Origin::Unknown },
        program: raw.text(3),
    };
    Ok((first, [raw.process.pid, raw.process.parent]))
}

/// A path without `.`, `..` and doubled slashes, by its text alone: links in it are not followed.
fn plain(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn family_of(raw: &Raw<'_>) -> (u16, &'static str) {
    let [family, kind, ..] = raw.args;
    let family = u16::try_from(family).unwrap_or_default();
    let stream = u64::from(SOCK_STREAM);
    let name = match (family, kind) {
        (AF_UNIX, _) => "unix",
        (_, kind) if kind == stream => "tcp",
        (_, kind) if kind == u64::from(SOCK_DGRAM) => "udp",
        (_, kind) if kind == u64::from(SOCK_RAW) => "raw",
        _ => "other",
    };
    (family, name)
}

fn peer(raw: &Raw<'_>) -> String {
    let (family, name) = family_of(raw);
    let [_, _, port, low, high, _] = raw.args;
    let port = u16::try_from(port).unwrap_or_default();
    let [low, high] = [low.to_ne_bytes(), high.to_ne_bytes()];
    let address = match family {
        AF_INET => {
            let [a, b, c, d, ..] = low;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        AF_INET6 => {
            let mut all = [0; 16];
            for (to, from) in all.iter_mut().zip(low.into_iter().chain(high)) {
                *to = from;
            }
            IpAddr::V6(Ipv6Addr::from(all)).to_canonical()
        }
        _ => return format!("{name} {}", socket_name(raw.bytes(0))),
    };
    format!("{name} {}", SocketAddr::new(address, port))
}

/// Name of a Unix socket (unix(7)); an abstract one begins with `@`.
fn socket_name(bytes: &[u8]) -> String {
    let (mark, rest) = match bytes.split_first() {
        Some((0, rest)) => ("@", rest),
        _ => ("", bytes),
    };
    let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    format!("{mark}{}", String::from_utf8_lossy(text))
}

fn listening(raw: &Raw<'_>) -> String {
    let [_, _, port, ..] = raw.args;
    format!("{} {port}", family_of(raw).1)
}

fn argument(raw: &Raw<'_>) -> String {
    let [number, value, ..] = raw.args;
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    format!("{} {value}", crate::used::call_name(number).unwrap_or_else(|| number.to_string()))
}
