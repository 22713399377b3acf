//! Records made by hand, and bytes that are none.

use proptest::prelude::*;

use super::*;

/// A record as the kernel side would send it.
struct Made {
    kind: u8,
    flags: u8,
    call: u32,
    result: i64,
    args: [u64; 6],
    texts: Vec<Vec<u8>>,
}

impl Default for Made {
    fn default() -> Self {
        Self { kind: 8, flags: 0, call: 62, result: 0, args: [0; 6], texts: Vec::new() }
    }
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [11_u64, 22, 33, 44, 55] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(self.result.to_ne_bytes());
        bytes.extend(self.args.into_iter().flat_map(u64::to_ne_bytes));
        for word in 101_u32..=110 {
            bytes.extend(word.to_ne_bytes());
        }
        let size: usize = self.texts.iter().map(Vec::len).sum();
        bytes.extend(self.call.to_ne_bytes());
        bytes.extend(u32::try_from(size).unwrap().to_ne_bytes());
        bytes.extend(*b"a name\0rubbish\0\0");
        for index in 0..TEXTS {
            let length = self.texts.get(index).map_or(0, Vec::len);
            bytes.extend(u16::try_from(length).unwrap().to_ne_bytes());
        }
        bytes.extend([self.kind, self.flags, 0, 0]);
        bytes.extend(111_u32.to_ne_bytes());
        assert_eq!(bytes.len(), HEAD);
        bytes.extend(self.texts.concat());
        bytes
    }

    fn event(&self) -> Seen {
        match record(&self.bytes()).unwrap() {
            Record::Event(seen) => *seen,
            other => panic!("{other:?}"),
        }
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn who_did_it_is_read_from_its_place() {
    let seen = Made { flags: COMPAT | HOST_MOUNTS, result: -1, ..Made::default() }.event();
    assert!(seen.compat && !seen.cut);
    let event = seen.event;
    assert_eq!((event.at, event.cgroup, event.result), (11, 22, -1));
    assert_eq!(event.call, "kill");
    let expected = Process {
        started: 33,
        capabilities: 44,
        permitted: 55,
        pid: 101,
        tid: 102,
        inner_pid: 103,
        parent: 104,
        uid: 105,
        euid: 106,
        gid: 107,
        login_uid: 108,
        tty: 109,
        session: 110,
        name: "a name".into(),
        owner: 111,
        host_mounts: true,
    };
    assert_eq!(event.process, expected);
}

#[test]
fn a_program_keeps_its_empty_arguments() {
    let mut made =
        Made { kind: 3, call: 322, args: [7, 1_700_000_000, 2, 3, 0, 0], ..Made::default() };
    made.texts = texts(&["/bin/busybox", "/", "/dev/fd/3", "sh\0\0-c\0", "runc"]);
    let Action::Exec(exec) = made.event().event.action else { panic!() };
    assert_eq!(exec.args, ["sh", "", "-c"]);
    assert_eq!((exec.path.as_str(), exec.cwd.as_str()), ("/bin/busybox", "/"));
    assert_eq!((exec.file.as_str(), exec.before.as_str()), ("/dev/fd/3", "runc"));
    assert_eq!((exec.inode, exec.modified, exec.origin), (7, 1_700_000_000, Origin::Changed));
    assert_eq!(exec.network_streams, 3);
    assert!(!exec.args_cut && !exec.held);
    made.flags = ARGS_CUT | HELD;
    let seen = made.event();
    assert!(seen.cut);
    assert!(matches!(seen.event.action, Action::Exec(exec) if exec.args_cut && exec.held));
}

#[test]
fn a_path_that_was_given_is_joined_with_its_folder() {
    let two = |given: &[&str]| {
        let made = Made { kind: 7, call: 82, texts: texts(given), ..Made::default() };
        match made.event().event.action {
            Action::Path(call) => (call.path, call.second),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(two(&["a/../b", "/x", "/abs", "/"]), ("/x/a/../b".into(), "/abs".into()));
    assert_eq!(
        two(&["/abs", "/jail", "", ""]),
        ("/jail/abs".into(), String::new()),
        "another root"
    );
    assert_eq!(two(&["/led/here", "", "", ""]), ("/led/here".into(), String::new()));
    assert_eq!(two(&["a", "/", "", "/by/descriptor"]), ("/a".into(), "/by/descriptor".into()));
    assert_eq!(two(&["proc", "", "m", "/"]), ("proc".into(), "/m".into()));
}

#[test]
fn a_refused_open_says_what_was_asked_for() {
    let mut made = Made { kind: 5, call: 257, result: -13, ..Made::default() };
    made.args = [0o101, 0, 0, 0, 0, 0];
    made.texts = texts(&["shadow", "/etc"]);
    let Action::Open(open) = made.event().event.action else { panic!() };
    assert_eq!(open.path, "/etc/shadow");
    assert!(open.write && !open.read && !open.created);
    made.result = 3;
    made.args = [0o102, READ_MODE | WRITE_MODE | CREATED_MODE, 1, 0, 0, 0];
    let Action::Open(open) = made.event().event.action else { panic!() };
    assert_eq!(open.path, "shadow");
    assert!(open.write && open.read && open.created);
    assert_eq!(open.origin, Origin::Image);
    // Closed before it was looked at.
    made.args = [0o101, 0, 0, 0, 0, 0];
    let Action::Open(open) = made.event().event.action else { panic!() };
    assert_eq!(open.path, "/etc/shadow");
    assert!(open.write && !open.read);
}

fn tcp(call: u32, result: i64, remote: [u8; 4], port: u16, given: Vec<u8>) -> Network {
    let mut args = [0; 6];
    args[0] = u64::from(AF_INET) | u64::from(SOCK_STREAM) << 16 | u64::from(IPPROTO_TCP) << 32;
    args[1] = 4000 | u64::from(port) << 16;
    args[2] = u64::from(u32::from_ne_bytes([10, 0, 0, 1]));
    args[4] = u64::from(u32::from_ne_bytes(remote));
    let made = Made { kind: 6, call, result, args, texts: vec![given], ..Made::default() };
    match made.event().event.action {
        Action::Network(network) => network,
        other => panic!("{other:?}"),
    }
}

/// A `sockaddr_in`.
fn sockaddr(ip: [u8; 4], port: u16) -> Vec<u8> {
    [&AF_INET.to_ne_bytes()[..], &port.to_be_bytes(), &ip, &[0; 8]].concat()
}

#[test]
fn the_kernels_end_of_a_connection_counts_before_the_one_given() {
    let ends = |network: Network| (network.local.unwrap().port, network.remote.unwrap());
    let end = |ip: [u8; 4], port| Endpoint { ip: ip.into(), port };
    let lie = sockaddr([1, 1, 1, 1], 1);
    let seen = tcp(42, 0, [93, 1, 2, 3], 443, lie.clone());
    assert_eq!(seen.socket, Socket::Tcp);
    assert_eq!(ends(seen), (4000, end([93, 1, 2, 3], 443)));
    assert_eq!(ends(tcp(42, -111, [0; 4], 0, lie.clone())), (4000, end([1, 1, 1, 1], 1)));
    // The same for a datagram that names its receiver.
    assert_eq!(ends(tcp(44, 5, [0; 4], 0, lie)), (4000, end([1, 1, 1, 1], 1)));
    assert_eq!(tcp(50, 0, [0; 4], 0, Vec::new()).remote, None);
}

#[test]
fn unix_sockets_have_paths_and_abstract_names() {
    let path = |name: &[u8]| {
        let given = [&AF_UNIX.to_ne_bytes()[..], name].concat();
        let args = [u64::from(AF_UNIX) | 1 << 16, 0, 0, 0, 0, 0];
        let made = Made { kind: 6, call: 42, args, texts: vec![given], ..Made::default() };
        match made.event().event.action {
            Action::Network(Network { socket: Socket::Unix, local: None, path, .. }) => path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(path(b"/run/docker.sock\0rest"), "/run/docker.sock");
    assert_eq!(path(b"\0hidden"), "@hidden");
    assert_eq!(path(b""), "");
    let bound = |given: &[u8], bound: &str, folder: &str| {
        let given = [&AF_UNIX.to_ne_bytes()[..], given].concat();
        let args = [u64::from(AF_UNIX) | 1 << 16, 0, 0, 0, 0, 0];
        let texts = vec![given, Vec::new(), bound.into(), folder.into()];
        match (Made { kind: 6, call: 42, args, texts, ..Made::default() }).event().event.action {
            Action::Network(network) => network.path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(bound(b"/tmp/other.sock\0", "/run/docker.sock", ""), "/run/docker.sock");
    assert_eq!(bound(b"docker.sock\0", "", "/run"), "/run/docker.sock");
    assert_eq!(bound(b"/tmp/x\0", "", "/run"), "/tmp/x");
    assert_eq!(bound(b"\0hidden", "", "/run"), "@hidden");
}

#[test]
fn containers_come_and_go() {
    let id = "0f".repeat(32);
    let mut made = Made { kind: 1, args: [5, 0, 0, 0, 0, 0], ..Made::default() };
    made.texts = texts(&[&format!("docker-{id}.scope"), "/system.slice/x"]);
    let expected =
        Record::New { cgroup: 22, container: id, path: "/system.slice/x".into(), outer: Some(5) };
    assert_eq!(record(&made.bytes()), Ok(expected));
    let made = Made { kind: 2, args: [22, 9, 3, 0, 0, 0], ..Made::default() };
    let losses = Losses { sent: 9, lost: 3 };
    assert_eq!(record(&made.bytes()), Ok(Record::Gone { cgroup: 22, container: 22, losses }));
}

#[test]
fn what_is_not_known_is_an_error() {
    let made = Made { kind: 99, ..Made::default() };
    assert_eq!(record(&made.bytes()), Err(DecodeError::Kind(99)));
    let made = Made { call: 511, ..Made::default() };
    assert_eq!(record(&made.bytes()), Err(DecodeError::Call(511)));
}

#[test]
fn a_record_of_another_length_is_none() {
    let whole = Made { texts: texts(&["one", "two"]), ..Made::default() }.bytes();
    assert!(record(&whole).is_ok());
    for size in 0..whole.len() {
        assert!(matches!(record(&whole[..size]), Err(DecodeError::Length { .. })), "{size}");
    }
    assert!(record(&[whole, vec![0]].concat()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = record(&bytes);
    }

    #[test]
    fn no_record_makes_it_panic(
        kind in 0_u8..12,
        flags: u8,
        call in 0_u32..700,
        result: i64,
        args: [u64; 6],
        texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..8),
    ) {
        let made = Made { kind, flags, call, result, args, texts };
        let _ = record(&made.bytes());
    }
}
