//! The sandbox, in a process of its own: this program again.

use std::process::Command;

/// Says that this is the process to be shut in.
const INSIDE: &str = "HAECHI_TEST_SANDBOX";

#[test]
fn nothing_is_left_that_opens_connects_or_starts() {
    if std::env::var_os(INSIDE).is_some() {
        let user = rustix::process::geteuid().is_root().then_some((65_534, 65_534));
        haechi_server::sandbox::enter(user, 64).unwrap();
        for (what, refused) in haechi_server::sandbox::prove() {
            println!("{what}: {}", if refused { "refused" } else { "ALLOWED" });
        }
        // It can still compute, and start threads.
        let sum = std::thread::spawn(|| (1..=10).sum::<u32>()).join().unwrap();
        println!("threads: {sum}");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", "sandbox::nothing_is_left_that_opens_connects_or_starts", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    print!("{text}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches(": refused\n").count(), 13, "{text}");
    assert!(!text.contains("ALLOWED"));
    assert!(text.contains("threads: 55"));
}
