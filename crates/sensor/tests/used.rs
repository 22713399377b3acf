//! Sets of what containers use, on this machine's kernel with real containers: exact under a storm that no ring could
//! take, and honest about what could not be told. Needs root, Docker and busybox (static).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod container;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use container::{Container, PATIENCE};
use haechi_core::capability;
use haechi_core::profile::Kind;
use haechi_sensor::{First, Options, Profiler, Sensor, Used};

fn profiler(bytes: u32) -> (Sensor, Profiler) {
    let options = Options { profile_bytes: bytes, ..Options::default() };
    let (mut sensor, _) = Sensor::load(&options).unwrap();
    let profiler = sensor.profiler().unwrap();
    assert_eq!(profiler.gaps(), &BTreeSet::new());
    (sensor, profiler)
}

/// What a container used until it ended.
fn ended(sensor: &mut Sensor, profiler: &mut Profiler, group: u64) -> (Vec<First>, Used) {
    let mut firsts = Vec::new();
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "it did not end");
        sensor.next_batch(Duration::from_millis(1), &mut |_| {}).unwrap();
        profiler
            .next(Duration::from_millis(20), &mut |first| {
                if first.group == group {
                    firsts.push(first);
                }
            })
            .unwrap();
        let used = profiler.used().unwrap();
        if let Some(used) = used.into_iter().find(|one| one.group == group && one.gone.is_some()) {
            profiler.next(Duration::ZERO, &mut |first| firsts.push(first)).unwrap();
            firsts.retain(|first| first.group == group);
            return (firsts, used);
        }
    }
}

fn values(firsts: &[First], kind: Kind) -> BTreeSet<&str> {
    firsts.iter().filter(|one| one.kind == kind).map(|one| one.value.as_str()).collect()
}

#[test]
fn a_container_is_told_with_all_that_it_used_and_nothing_of_its_runtime() {
    let (mut sensor, mut profiler) = profiler(1 << 20);
    let script = "mkdir /d; echo a > /d/x; cat /etc/hostname; mv /d/x /d/../y; ln -s /y /z; chown 5 /y; \
                  chmod 4755 /y; nc -l -p 99 & sleep 1; echo | nc 127.0.0.1 99; kill $!; \
                  printf '#!/bin/sh\\ntrue\\n' > /script; chmod +x /script; /script; sleep 1";
    let container = Container::start(script);
    let group = container.group();
    let (firsts, used) = ended(&mut sensor, &mut profiler, group);
    assert!(used.since.is_some() && used.lost == 0 && !used.full, "{used:?}");
    assert!(used.id.is_some_and(|id| id.len() == 64));
    for call in ["mkdir", "rename", "symlink", "chown", "chmod", "execve", "exit_group", "socket"] {
        assert!(used.calls.contains(call), "{call}: {:?}", used.calls);
    }
    // What the runtime does before the filter is in place, to make the container.
    for call in ["mount", "umount2", "pivot_root", "unshare", "setns", "ptrace"] {
        assert!(!used.calls.contains(call), "{call}");
    }
    // The second one because the file was given away before its mode was changed.
    assert_eq!(capability::from_bits(used.capabilities), ["CHOWN", "FOWNER"]);
    let executed = values(&firsts, Kind::Executed);
    assert_eq!(executed, BTreeSet::from(["/bin/busybox"]));
    let scripts: BTreeSet<&str> = firsts.iter().map(|one| one.script.as_str()).collect();
    assert!(scripts.contains("/script"), "{scripts:?}");
    let written = values(&firsts, Kind::Written);
    for path in ["/d", "/d/x", "/y", "/z", "/script"] {
        assert!(written.contains(path), "{path}: {written:?}");
    }
    assert!(values(&firsts, Kind::Read).contains("/etc/hostname"));
    assert!(values(&firsts, Kind::Listening).contains("tcp 99"), "{firsts:?}");
    assert!(values(&firsts, Kind::Peer).contains("tcp 127.0.0.1:99"), "{firsts:?}");
    // What was read and forgotten is forgotten, and the container is not told again.
    profiler.forget(&[group]).unwrap();
    assert!(profiler.used().unwrap().iter().all(|one| one.group != group));
}

/// Where a program of ours lies in memory.
const AT: u32 = 0x40_0000;

/// A program that only asks for a name in new namespaces by `clone`, and then binds a Unix socket to `/s/sock`.
fn tiny() -> Vec<u8> {
    let code: &[&[u8]] = &[
        b"\xb8\x38\0\0\0\xbf\x11\0\0\x04\x31\xf6\x31\xd2\x45\x31\xd2\x45\x31\xc0\x0f\x05", // clone(CLONE_NEWUTS)
        b"\xb8\x29\0\0\0\xbf\x01\0\0\0\xbe\x01\0\0\0\x31\xd2\x0f\x05", // socket(AF_UNIX, SOCK_STREAM)
        b"\x89\xc7\xb8\x31\0\0\0\xbe\xe0\0\x40\0\xba\x09\0\0\0\x0f\x05", // bind to what lies at 0xe0
        b"\xb8\x3c\0\0\0\x31\xff\x0f\x05",                               // exit(0)
    ];
    program(code, 0xe0, b"\x01\0/s/sock")
}

/// A program of this code, with data at a place behind it.
fn program(code: &[&[u8]], place: usize, data: &[u8]) -> Vec<u8> {
    let size = (place + data.len()).next_multiple_of(0x100);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    file.extend(u64::from(AT + 120).to_le_bytes());
    file.extend(64_u64.to_le_bytes());
    file.extend([0; 12]);
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // One piece, to be read, written and executed.
    file.extend(b"\x01\0\0\0\x07\0\0\0");
    for word in [0, u64::from(AT), u64::from(AT), size as u64, size as u64, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code.concat());
    assert!(file.len() <= place, "{} bytes", file.len());
    file.resize(place, 0);
    file.extend(data);
    file.resize(size, 0);
    file
}

/// A program that sends datagrams by a connected socket to other ports, 1001 and up: 66 at once, of which the last two go to
/// 1003; by the 32-bit entry two at once and one.
fn sender() -> Vec<u8> {
    const DATA: u32 = 0x200;
    let ports = [1001_u16, 1002, 1003, 1004, 1005, 1006, 1009];
    let mut data = Vec::new();
    for port in ports {
        data.extend([&[2, 0], &port.to_be_bytes()[..], &[127, 0, 0, 1], &[0; 8]].concat());
    }
    let address = |number: u32| AT + DATA + number * 16;
    let mut place = |bytes: Vec<u8>| {
        let at = AT + DATA + u32::try_from(data.len()).unwrap();
        data.extend(bytes);
        at.to_le_bytes()
    };
    // `struct mmsghdr` and `struct compat_mmsghdr` with nothing in them but name and its length.
    let message = |to: u32| [&u64::from(to).to_le_bytes()[..], &[16], &[0; 55]].concat();
    let short = |to: u32| [&to.to_le_bytes()[..], &[16], &[0; 27]].concat();
    let to = |number: u32| address(if number < 63 { 0 } else { number.min(64) - 62 });
    let many = place((0..66).flat_map(|number| message(to(number))).collect());
    let two = place([3, 4].into_iter().flat_map(|number| short(address(number))).collect());
    let one = place(short(address(5)));
    let own = address(6).to_le_bytes();
    let code: &[&[u8]] = &[
        b"\xb8\x29\0\0\0\xbf\x02\0\0\0\xbe\x02\0\0\0\x31\xd2\x0f\x05\x89\xc3", // socket(AF_INET, SOCK_DGRAM), kept
        b"\x89\xdf\xb8\x2a\0\0\0\xba\x10\0\0\0\xbe",
        &own,
        b"\x0f\x05", // connect
        b"\x89\xdf\xb8\x33\x01\0\0\xba\x42\0\0\0\x45\x31\xd2\xbe",
        &many,
        b"\x0f\x05", // sendmmsg
        b"\xb8\x59\x01\0\0\xba\x02\0\0\0\x31\xf6\xb9",
        &two,
        b"\xcd\x80", // sendmmsg, 32-bit
        b"\xb8\x72\x01\0\0\x31\xd2\xb9",
        &one,
        b"\xcd\x80",                                   // sendmsg, 32-bit
        b"\xb8\x88\0\0\0\xbb\xff\xff\xff\xff\xcd\x80", // personality(-1), 32-bit
        b"\xb8\x3c\0\0\0\x31\xff\x0f\x05",             // exit(0)
    ];
    program(code, DATA as usize, &data)
}

#[test]
fn every_message_of_many_is_told_by_both_entries_and_what_is_beyond_is_said() {
    let (mut sensor, mut profiler) = profiler(1 << 20);
    let script = "touch /ready; while [ ! -e /go ]; do sleep 1; done; /sender; sleep 1";
    let container = Container::start(script);
    let (group, root) = (container.group(), container.root());
    let end = Instant::now() + PATIENCE;
    while !root.join("ready").exists() {
        assert!(Instant::now() < end, "it does not get ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    fs::write(root.join("sender"), sender()).unwrap();
    fs::set_permissions(root.join("sender"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(root.join("go"), "").unwrap();
    let (firsts, used) = ended(&mut sensor, &mut profiler, group);
    let peers = values(&firsts, Kind::Peer);
    let wanted = [1001, 1002, 1004, 1005, 1006, 1009].map(|port| format!("udp 127.0.0.1:{port}"));
    assert_eq!(peers, wanted.iter().map(String::as_str).collect(), "{used:?}");
    assert_eq!(used.lost, 1, "66 at once");
    let arguments = values(&firsts, Kind::Argument);
    assert!(arguments.contains("personality 4294967295"), "{arguments:?}");
}

#[test]
fn what_a_program_needs_to_be_executed_and_what_a_call_needs_is_told() {
    let (mut sensor, mut profiler) = profiler(1 << 20);
    let script = "mkdir /s /a /b; cp /bin/busybox /raw; \
                  for at in a b; do printf '#!/bin/sh\ntrue\n' > /$at/run; chmod +x /$at/run; done; touch /ready; \
                  while [ ! -e /go ]; do sleep 1; done; /raw; /tiny; cd /a; ./run; cd /b; ./run; sleep 1";
    let container = Container::start_with(&["--cap-add", "SYS_ADMIN"], script);
    let (group, root) = (container.group(), container.root());
    let end = Instant::now() + PATIENCE;
    while !root.join("ready").exists() {
        assert!(Instant::now() < end, "it does not get ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    fs::write(root.join("tiny"), tiny()).unwrap();
    fs::set_permissions(root.join("tiny"), fs::Permissions::from_mode(0o755)).unwrap();
    // NET_RAW, given by the file itself (`=ep`): `struct vfs_cap_data`.
    let rights: Vec<u8> =
        [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let (raw, none) = (root.join("raw"), rustix::fs::XattrFlags::empty());
    rustix::fs::setxattr(&raw, "security.capability", &rights, none).unwrap();
    fs::write(root.join("go"), "").unwrap();
    let (firsts, used) = ended(&mut sensor, &mut profiler, group);
    assert_eq!(capability::from_bits(used.capabilities), ["NET_RAW", "SYS_ADMIN"], "{used:?}");
    assert!(values(&firsts, Kind::Written).contains("/s/sock"), "{firsts:?}");
    let scripts: BTreeSet<&str> = firsts.iter().map(|one| one.script.as_str()).collect();
    assert!(scripts.contains("/a/run") && scripts.contains("/b/run"), "{scripts:?}");
}

#[test]
fn a_process_that_leaves_its_group_is_told_and_one_that_moves_inside_is_not() {
    let mut options = vec!["--cgroupns", "host", "--cap-add", "SYS_ADMIN"];
    for off in ["seccomp=unconfined", "apparmor=unconfined"] {
        options.extend(["--security-opt", off]);
    }
    let begin = "while [ ! -e /go ]; do sleep 1; done; mkdir /cg; mount -t cgroup2 none /cg; \
                 own=/cg$(sed -n 's/^0:://p' /proc/self/cgroup); mkdir $own/in; ";
    for (script, left) in [
        ("sh -c 'echo 0 > /cg/cgroup.procs; true'", true),
        ("(echo 0 > $own/in/cgroup.procs; echo 0 > $own/cgroup.procs; true)", false),
    ] {
        let script = [begin, script, "; sleep 1; rmdir $own/in; touch /done; sleep 1"].concat();
        // One that is there before, and one that comes.
        let before = Container::start_with(&options, &script);
        let (mut sensor, mut profiler) = profiler(1 << 20);
        let after = Container::start_with(&options, &script);
        for container in [before, after] {
            let group = container.group();
            assert_eq!(container.status(&["/bin/sh", "-c", "touch /go"]), 0);
            let (_, used) = ended(&mut sensor, &mut profiler, group);
            assert_eq!(used.left, left, "{script}: {used:?}");
            assert!(used.calls.contains("rmdir"), "{used:?}");
        }
    }
}

#[test]
fn a_storm_makes_no_set_wrong_and_what_had_no_room_is_said() {
    let (mut sensor, mut profiler) = profiler(1);
    // 3,000 files of their own and 20,000 openings of one, with a ring of 64 KiB that nobody reads meanwhile.
    let script = "mkdir /f; i=0; while [ $i -lt 3000 ]; do echo > /f/$i; i=$((i+1)); done; \
                  while [ $i -lt 23000 ]; do read x < /f/1; i=$((i+1)); done; chown 5 /f; touch /done; sleep 3600";
    let container = Container::start(script);
    let group = container.group();
    let end = Instant::now() + PATIENCE;
    while container.status(&["/bin/busybox", "test", "-e", "/done"]) != 0 {
        assert!(Instant::now() < end, "it does not get ready");
        std::thread::sleep(Duration::from_millis(200));
    }
    let find = |profiler: &Profiler| {
        profiler.used().unwrap().into_iter().find(|one| one.group == group).unwrap()
    };
    let used = find(&profiler);
    assert!(used.calls.contains("chown") && used.calls.contains("mkdir"), "{used:?}");
    assert!(capability::from_bits(used.capabilities).contains(&"CHOWN".to_owned()));
    assert!(used.lost > 0 && !used.full, "{used:?}");
    // What had no room is told as soon as it is used again.
    let mut files = BTreeSet::new();
    let mut again = |profiler: &mut Profiler, sensor: &mut Sensor| {
        for _ in 0..100 {
            sensor.next_batch(Duration::from_millis(1), &mut |_| {}).unwrap();
            profiler
                .next(Duration::from_millis(5), &mut |first| {
                    if first.group == group && first.kind == Kind::Written {
                        files.insert(first.value);
                    }
                })
                .unwrap();
        }
        files.iter().filter(|file| file.starts_with("/f/")).count()
    };
    let before = again(&mut profiler, &mut sensor);
    assert!(before < 3000, "the ring held {before}");
    for from in (0..3000).step_by(100) {
        let write =
            format!("i={from}; while [ $i -lt {} ]; do echo > /f/$i; i=$((i+1)); done", from + 100);
        assert_eq!(container.status(&["/bin/sh", "-c", &write]), 0);
        again(&mut profiler, &mut sensor);
    }
    assert_eq!(again(&mut profiler, &mut sensor), 3000);
}
