//! The network of a real container is cut and restored, on this machine's kernel. Needs root, Docker and busybox.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod container;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use container::{Container, PATIENCE};
use haechi_sensor::{Cut, CutError};

/// Gives back what it gets.
const ECHO: &str = "exec nc -ll -p 7000 -e cat";
/// How long nothing is waited for.
const SHORT: Duration = Duration::from_millis(700);

fn connect(container: &Container, timeout: Duration) -> std::io::Result<TcpStream> {
    let end = Instant::now() + timeout;
    let address = SocketAddr::from((container.address(), 7000));
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
            // Its program may not listen yet.
            Err(error)
                if error.kind() == std::io::ErrorKind::ConnectionRefused && !left.is_zero() =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

/// In a container: whether what is sent to this address comes back within this time.
fn answers(container: &Container, address: Ipv4Addr, within: Duration) -> bool {
    let talk = format!(
        "echo hello | nc -w {} {address} 7000 | busybox grep hello",
        within.as_secs().max(1)
    );
    container.status(&["sh", "-c", &talk]) == 0
}

/// Whether what is sent comes back in time.
fn echoes(stream: &mut TcpStream, word: [u8; 4], timeout: Duration) -> bool {
    stream.set_read_timeout(Some(timeout)).unwrap();
    let mut back = [0; 4];
    stream.write_all(&word).is_ok() && stream.read_exact(&mut back).is_ok() && back == word
}

#[test]
fn one_container_is_cut_and_comes_back() {
    let container = Container::start(ECHO);
    let other = Container::start(ECHO);
    let mut standing = connect(&container, PATIENCE).unwrap();
    let mut of_other = connect(&other, PATIENCE).unwrap();
    assert!(echoes(&mut standing, *b"one\n", PATIENCE));
    assert!(answers(&container, other.address(), PATIENCE));
    assert!(answers(&container, Ipv4Addr::LOCALHOST, PATIENCE));

    let cut = Cut::cut(&container.group_folder()).unwrap();
    assert!(!echoes(&mut standing, *b"two\n", SHORT), "a connection that stands");
    assert!(connect(&container, SHORT).is_err(), "a new one from outside");
    assert!(!answers(&container, other.address(), SHORT), "a new one from inside");
    assert!(!answers(&container, Ipv4Addr::LOCALHOST, SHORT), "loopback");
    assert!(echoes(&mut of_other, *b"all\n", PATIENCE), "another container");
    assert!(connect(&other, PATIENCE).is_ok(), "another container, anew");
    let stopped = cut.stopped().unwrap();
    assert!(stopped.received > 0 && stopped.sent > 0, "{stopped:?}");

    cut.restore();
    assert!(connect(&container, PATIENCE).is_ok());
    // What was sent meanwhile is sent again by the kernel.
    let mut late = [0; 4];
    standing.set_read_timeout(Some(PATIENCE)).unwrap();
    standing.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"two\n");
    assert!(echoes(&mut standing, *b"end\n", PATIENCE));
}

#[test]
fn what_is_no_containers_group_is_not_cut() {
    let container = Container::start("exec sleep 300");
    let group = container.group_folder();
    let root = if Path::new("/sys/fs/cgroup/unified").exists() {
        "/sys/fs/cgroup/unified"
    } else {
        "/sys/fs/cgroup"
    };
    for folder in [Path::new(root), group.parent().unwrap(), Path::new("/tmp"), Path::new("/")] {
        assert!(matches!(Cut::cut(folder), Err(CutError::Refused { .. })), "{}", folder.display());
    }
    assert!(matches!(Cut::cut(&group.join("none")), Err(CutError::Folder { .. })));
    assert!(matches!(Cut::cut(&group.join("cgroup.procs")), Err(CutError::Refused { .. })));
}

#[test]
fn frames_that_are_not_stopped_are_named() {
    let usual = Container::start("exec sleep 300");
    let without = Container::start_with(&["--cap-drop=NET_RAW"], "exec sleep 300");
    assert!(Cut::cut(&usual.group_folder()).unwrap().frames());
    assert!(!Cut::cut(&without.group_folder()).unwrap().frames());
}
