//! Sockets of a process's network namespace, from the kernel's socket tables.
//!
//! Only TCP and UDP. A line that is not understood is an error: leaving it out would hide a
//! listener.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::root::{Root, RootError, RootErrorKind};

/// A socket that takes connections or datagrams from anybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListeningSocket {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Local address; an IPv4 address that was mapped into IPv6 is given as IPv4.
    pub address: IpAddr,
    /// Local port.
    pub port: u16,
    /// The socket's inode, by which [`super::ProcessTable::socket_inodes`] finds its owner.
    pub inode: u64,
}

/// TCP sockets that listen and UDP sockets that are not connected, in the network namespace of a
/// process, sorted.
///
/// # Errors
/// The process has gone, `ROOT/proc` is none, or a table could not be understood: an empty list
/// would be a claim.
pub fn listening_sockets(root: &Root, pid: i32) -> Result<Vec<ListeningSocket>, RootError> {
    in_tables(root, pid, parse_socket)
}

/// A socket of TCP or UDP, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Local address and port.
    pub local: SocketAddr,
    /// The other end; absent if it takes connections or datagrams from anybody.
    pub remote: Option<SocketAddr>,
    /// The socket's inode.
    pub inode: u64,
}

/// TCP and UDP sockets that processes hold, in the network namespace of a process, sorted.
///
/// # Errors
/// As [`listening_sockets`].
pub fn sockets(root: &Root, pid: u32) -> Result<Vec<Socket>, RootError> {
    in_tables(root, i32::try_from(pid).unwrap_or_default(), parse_any)
}

/// A line of a socket table: `None` if it is not understood, `Some(None)` if nobody holds the socket any more.
fn parse_any(line: &str, protocol: &'static str) -> Option<Option<Socket>> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = parse_end(fields.next()?)?;
    let remote = parse_end(fields.next()?)?;
    let inode = fields.nth(6)?.parse().ok()?;
    let remote = (remote.port() != 0).then_some(remote);
    Some((inode != 0).then_some(Socket { protocol, local, remote, inode }))
}

fn parse_end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    Some(SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// What the lines of all socket tables of a process's network say, sorted, each once.
fn in_tables<T: Ord>(
    root: &Root,
    pid: i32,
    parse: impl Fn(&str, &'static str) -> Option<Option<T>>,
) -> Result<Vec<T>, RootError> {
    let mut sockets = Vec::new();
    for (file, protocol) in [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")] {
        let shown = format!("/proc/{pid}/net/{file}");
        let path = root.proc(&format!("{pid}/net/{file}"));
        let table = match fs::File::open(&path) {
            Ok(table) => table,
            // A kernel without IPv6 has no such tables. One without IPv4 does not exist, so a
            // missing `tcp` means that the process has gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.ends_with('6') => {
                continue;
            }
            Err(error) => return Err(RootError::new(Path::new(&shown), error)),
        };
        for line in BufReader::new(table).lines().skip(1) {
            let line = line.map_err(|error| RootError::new(Path::new(&shown), error))?;
            match parse(&line, protocol) {
                Some(Some(socket)) => sockets.push(socket),
                Some(None) => {}
                None => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "unknown form of line");
                    return Err(RootError { path: shown, kind: RootErrorKind::Io(error) });
                }
            }
        }
    }
    sockets.sort();
    sockets.dedup();
    Ok(sockets)
}

/// A line of a socket table: `None` if it is not understood, `Some(None)` if it does not listen.
fn parse_socket(line: &str, protocol: &'static str) -> Option<Option<ListeningSocket>> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    let state = fields.nth(1)?;
    // TCP_LISTEN is 10; an unconnected UDP socket is in TCP_CLOSE, 7.
    let listens = if protocol == "tcp" { state == "0A" } else { state == "07" };
    if !listens {
        return Some(None);
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Some(ListeningSocket { protocol, address: parse_address(address)?, port, inode }))
}

/// An address as the kernel prints it: 32-bit words in the machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |index: usize| -> Option<[u8; 4]> {
        let digits = hex.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0_u8; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_tables_are_understood_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let net = dir.path().join("proc/1/net");
        fs::create_dir_all(&net).unwrap();
        assert!(listening_sockets(&root, 1).unwrap_err().is_not_found());
        let head = "  sl  local_address rem_address st …\n";
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 42 1 0 100\n   \
                   1: 0100007F:1F91 0100007F:0016 01 0:0 00:0 0 0 0 43 1\n";
        fs::write(net.join("tcp"), format!("{head}{tcp}")).unwrap();
        let mapped = "0000000000000000FFFF00000100007F";
        let any = "0".repeat(32);
        let tcp6 = format!(
            "{head} 0: {any}:0016 {any}:0 0A 0:0 00:0 0 0 0 44 1\n \
             1: {mapped}:0017 {any}:0 0A 0:0 00:0 0 0 0 45 1\n"
        );
        fs::write(net.join("tcp6"), tcp6).unwrap();
        fs::write(net.join("udp"), format!("{head} 5: 00000000:0035 0:0 07 0:0 00:0 0 0 0 46 2\n"))
            .unwrap();
        let seen: Vec<_> = listening_sockets(&root, 1)
            .unwrap()
            .into_iter()
            .map(|s| format!("{} {} {} {}", s.protocol, s.address, s.port, s.inode))
            .collect();
        let expected =
            ["tcp 127.0.0.1 23 45", "tcp 127.0.0.1 8080 42", "tcp :: 22 44", "udp 0.0.0.0 53 46"];
        assert_eq!(seen, expected);
        fs::write(net.join("udp6"), format!("{head} nonsense\n")).unwrap();
        assert!(
            listening_sockets(&root, 1).is_err(),
            "a line that is not understood hides nothing"
        );
    }
}
