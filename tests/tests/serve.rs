//! A dashboard in trouble: killed in the middle, its disk full, its database held by somebody else,
//! started twice. What was acknowledged is kept, nothing is done that is not on record, and it goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use haechi_tests::{Client, Dashboard, Haechi, PASSWORD, children, until};
use serde_json::{Value, json};

/// Without an engine, a monitor, or work of its own.
const QUIET: [&str; 5] =
    ["--host", "unix:///nonexistent/engine.sock", "--no-monitor", "--interval", "0"];

fn is_running(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // What has ended and was not waited for is not running.
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.starts_with(" Z"))
}

/// Processes below this one, by a word of their command line.
fn below(id: u32, word: &str) -> Vec<u32> {
    let has = |id: &u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
    };
    children(id).into_iter().filter(has).collect()
}

fn jobs(client: &Client<'_>) -> Vec<Value> {
    let (status, told) = client.get("/api/v1/jobs");
    assert_eq!(status, 200, "{told}");
    told["rows"].as_array().unwrap().clone()
}

/// Whether the audit log in this folder is whole.
fn audit_is_whole(data: &Path) {
    let done = Haechi::new(&["audit", "verify"]).data(data).run();
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
}

#[test]
fn the_first_password_is_in_no_log_and_its_file_goes_when_it_is_changed() {
    let data = tempfile::tempdir().unwrap();
    let dashboard = Dashboard::begin_in(data.path(), "", &QUIET);
    let file = data.path().join("first-password");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(dashboard.first.len() >= 12 && !dashboard.said().contains(&dashboard.first));
    assert!(dashboard.said().contains(&file.display().to_string()), "{}", dashboard.said());
    Client::admin(&dashboard);
    assert!(!file.exists(), "it is not the password any more");
    dashboard.end();
    let again = Dashboard::begin_in(data.path(), "", &QUIET);
    assert!(again.first.is_empty() && !again.said().contains("first-password"), "{}", again.said());
    again.end();
}

#[test]
fn killed_during_a_verification_it_leaves_nothing_running_and_says_so_at_the_next_start() {
    // A real verification of this machine, every layer read anew so that it takes a while.
    let data = tempfile::tempdir().unwrap();
    let begin = || Dashboard::begin_in(data.path(), "", &["--no-monitor"]);
    let dashboard = begin();
    let client = Client::admin(&dashboard);
    let id = dashboard.id();
    until("a verification goes on", || {
        jobs(&client).iter().any(|job| job["state"] == "running")
            && !below(id, "serve-work").is_empty()
    });
    let below: Vec<u32> = children(id);
    drop(dashboard); // SIGKILL
    until("what it started has ended", || !below.iter().any(|id| is_running(*id)));

    let dashboard = begin();
    let client = Client::log_in(&dashboard, "admin", PASSWORD);
    until("the job that was interrupted is told as failed", || {
        jobs(&client).iter().any(|job| {
            job["number"] == 1
                && job["state"] == "failed"
                && job["problem"].as_str().is_some_and(|why| why.contains("interrupted"))
        })
    });
    until("a verification ends", || jobs(&client).iter().any(|job| job["state"] == "done"));
    let (_, overview) = client.get("/api/v1/overview");
    assert!(overview["verification"]["number"].is_number(), "{overview}");
    assert_eq!(dashboard.end().0, 0);
    audit_is_whole(data.path());
}

#[test]
fn one_folder_has_one_dashboard() {
    let dashboard = Dashboard::begin("", &QUIET);
    let arguments = [&["serve", "--listen", "127.0.0.1:0"][..], &QUIET].concat();
    let second = Haechi::new(&arguments).data(&dashboard.data()).run();
    assert_eq!(second.code, 2);
    assert!(second.stderr.contains("already"), "{}", second.stderr);
    assert_eq!(Client::nobody(&dashboard).get("/healthz").0, 200);
}

#[test]
fn with_a_full_disk_nothing_is_changed_and_reading_goes_on() {
    let disk = tempfile::tempdir().unwrap();
    let mount = |words: &[&str]| Command::new(words[0]).args(&words[1..]).status().unwrap();
    let place = disk.path().to_str().unwrap();
    assert!(mount(&["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", place]).success());
    let ended = std::panic::catch_unwind(|| {
        let dashboard = Dashboard::begin_in(disk.path(), "", &QUIET);
        let client = Client::admin(&dashboard);
        // Every byte that is left.
        let _ = Command::new("dd")
            .args(["if=/dev/zero", &format!("of={place}/filler"), "bs=64k"])
            .stderr(Stdio::null())
            .status();
        let (status, told) = client.get("/api/v1/exceptions");
        assert_eq!(status, 200, "{told}");
        let account = json!({"name": "minji", "role": "viewer"});
        // What still fits into the log of the database may be taken; what does not is refused, and not done.
        let mut refused = 0;
        for round in 0..2000 {
            let account = json!({"name": format!("someone{round}"), "role": "viewer"});
            let (status, told) = client.send("POST", "/api/v1/accounts", Some(&account));
            assert!([200, 429, 503].contains(&status), "{status} {told}");
            if status == 503 {
                refused = round;
                break;
            }
        }
        let (_, accounts) = client.get("/api/v1/accounts");
        let name = format!("someone{refused}");
        let names: Vec<&str> = accounts["rows"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|a| a["name"].as_str())
            .collect();
        assert!(!names.contains(&name.as_str()), "refused, and there: {names:?}");
        fs::remove_file(disk.path().join("filler")).unwrap();
        until("changes are taken again", || {
            let (status, _) = client.send("POST", "/api/v1/accounts", Some(&account));
            status == 200 || status == 409
        });
        assert_eq!(dashboard.end().0, 0);
        audit_is_whole(disk.path());
    });
    assert!(mount(&["umount", "--lazy", place]).success());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn while_somebody_else_writes_reading_goes_on_and_changes_wait_or_are_refused() {
    let dashboard = Dashboard::begin("", &QUIET);
    let client = Client::admin(&dashboard);
    let mut held = Command::new("sqlite3")
        .arg(dashboard.data().join("haechi.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs sqlite3: run `cargo xtask test`");
    let mut words = held.stdin.take().unwrap();
    writeln!(words, "BEGIN IMMEDIATE; SELECT 'held';").unwrap();
    words.flush().unwrap();
    let mut line = String::new();
    BufReader::new(held.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    for path in ["/api/v1/exceptions", "/api/v1/alerts", "/api/v1/session"] {
        assert_eq!(client.get(path).0, 200, "{path}");
    }
    let account = json!({"name": "minji", "role": "viewer"});
    let (status, told) = client.send("POST", "/api/v1/accounts", Some(&account));
    assert_eq!(status, 503, "{told}");
    drop(words);
    assert!(held.wait().unwrap().success());
    let (status, told) = client.send("POST", "/api/v1/accounts", Some(&account));
    assert_eq!(status, 200, "{told}");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    assert_eq!(dashboard.end_keeping(&copy).0, 0);
    audit_is_whole(&copy);
}

#[test]
fn ten_streams_miss_nothing_over_a_reconnect() {
    let dashboard = Dashboard::begin("", &QUIET);
    let client = Client::admin(&dashboard);
    // A session or token has eight streams at most.
    let tokens = [client.token("read"), client.token("read")];
    let (_, news) = client.get("/api/v1/news");
    let now = news["cursor"].as_str().unwrap().to_owned();
    let stream = |token: &str, after: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--insecure", "--no-buffer", "--max-time", "20"]);
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
        command.args(["--header", &format!("Last-Event-ID: {after}")]);
        command.arg(format!("{}/events/stream", dashboard.address));
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let streams: Vec<_> = (0..10).map(|place| stream(&tokens[place % 2], &now)).collect();
    // News: a verification without an engine, asked for.
    let (status, job) = client.send("POST", "/api/v1/verifications", Some(&json!({})));
    assert_eq!(status, 200, "{job}");
    until("it has ended", || jobs(&client).iter().all(|job| !job["ended"].is_null()));
    // However late it came, each has been told that the work ended.
    let told =
        |stream: Child| String::from_utf8(stream.wait_with_output().unwrap().stdout).unwrap();
    for stream in streams {
        let said = told(stream);
        let last =
            said.lines().rfind(|line| line.starts_with("data:") && line.contains("\"verify\""));
        assert!(last.is_some_and(|last| last.contains("\"ended\":\"")), "{said}");
    }
    // Whoever was away is told all of it, in the same order; whoever has seen all, nothing of it again.
    let ids = |said: &str| -> Vec<i64> {
        said.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
    };
    let late = told(stream(&tokens[0], &now));
    assert!(late.contains("\"verify\"") && ids(&late).is_sorted(), "{late}");
    let newest = ids(&late).last().unwrap().to_string();
    let again = told(stream(&tokens[0], &newest));
    assert!(!again.contains("\"verify\""), "{again}");
}
