//! The sandbox, in a process of its own: this program again.

use std::io::{IoSlice, Read, Seek};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};

/// Says that this is the process to be shut in.
const INSIDE: &str = "HAECHI_TEST_SANDBOX";

#[test]
fn nothing_is_left_that_opens_connects_or_starts() {
    if std::env::var_os(INSIDE).is_some() {
        let user = rustix::process::geteuid().is_root().then_some((65_534, 65_534));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        served.set_nonblocking(true).unwrap();
        haechi_server::sandbox::enter(user, 64).unwrap();
        for (what, refused) in haechi_server::sandbox::prove() {
            println!("{what}: {}", if refused { "refused" } else { "ALLOWED" });
        }
        // It can still compute, and start threads.
        let sum = std::thread::spawn(|| (1..=10).sum::<u32>()).join().unwrap();
        println!("threads: {sum}");
        // It can serve as it does: with signals, by single and by gathered writes.
        let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let _signal = signal(SignalKind::terminate()).unwrap();
            let mut served = tokio::net::TcpStream::from_std(served).unwrap();
            served.write_all(b"a").await.unwrap();
            let parts = [IoSlice::new(b"b"), IoSlice::new(b"c")];
            assert_eq!(served.write_vectored(&parts).await.unwrap(), 2);
            served.shutdown().await.unwrap();
        });
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        println!("served: {text}");
        eprintln!("a line of the log");
        println!("alive");
        return;
    }
    let this = std::env::current_exe().unwrap();
    // A log in a file, as a service has it: each line of it is a write to a regular file.
    let mut log = tempfile::tempfile().unwrap();
    let output = Command::new(this)
        .args(["--exact", "sandbox::nothing_is_left_that_opens_connects_or_starts", "--nocapture"])
        .env(INSIDE, "1")
        .stderr(log.try_clone().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    print!("{text}");
    let mut told = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut told).unwrap();
    assert!(output.status.success(), "{:?} {told}", output.status);
    assert!(told.contains("a line of the log") && text.contains("alive"), "{told}");
    assert!(text.contains("served: abc"));
    assert_eq!(text.matches(": refused\n").count(), 16, "{text}");
    assert!(!text.contains("ALLOWED"));
    assert!(text.contains("threads: 55"));
}
