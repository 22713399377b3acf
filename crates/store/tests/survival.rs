//! Several writers at once, writers killed at random moments, a disk that is full: nothing that was
//! acknowledged is lost, nothing is half there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may stop at once when something is not as expected"
)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::sample::report;
use common::{TIME, store, writer};
use haechi_store::StoreError;

fn start(dir: &Path, count: &str, findings: &str) -> Child {
    let mut command = Command::new(writer());
    command.arg(dir).args([count, findings]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_write_at_once() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    store.record(&report(&format!("host-{n}"), TIME, 200), true).await.unwrap();
                    store.history(None, 3).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.history(None, 1000).await.unwrap().len(), 80);
    store.check().await.unwrap();
}

#[tokio::test]
async fn many_processes_open_and_write_at_once() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    // The directory does not exist yet: all of them want to make it.
    let children: Vec<Child> = (0..6).map(|_| start(&dir, "10", "300")).collect();
    for child in children {
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let store = store(root.path()).await;
    assert_eq!(store.history(None, 1000).await.unwrap().len(), 60);
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_writer_that_hangs_is_waited_for_then_named() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store.file());
    let other = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let hanging = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let begin = Instant::now();
    let error = store.record(&report("web-1", TIME, 3), true).await.unwrap_err();
    assert!(begin.elapsed() > Duration::from_secs(9), "{:?}", begin.elapsed());
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    // Meanwhile others can open and read.
    common::store(root.path()).await.history(None, 1).await.unwrap();
    hanging.rollback().await.unwrap();
    store.record(&report("web-1", TIME, 3), true).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_record_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let big = report("web-1", TIME, 20_000);
    for wait in [1, 5, 20] {
        let cut = tokio::time::timeout(Duration::from_millis(wait), store.record(&big, true)).await;
        assert!(cut.is_err(), "it was meant to be cancelled");
    }
    store.record(&report("web-1", TIME, 5), true).await.unwrap();
    assert_eq!(store.history(None, 10).await.unwrap().len(), 1);
    store.check().await.unwrap();
}

/// Kills a writer this long after its start, or after what it acknowledges first; says what it had acknowledged.
fn kill_after(dir: &Path, writing: bool, wait: Duration) -> BTreeSet<i64> {
    let mut child = start(dir, "1000000", "1500");
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = if writing { out.next() } else { None };
    std::thread::sleep(wait);
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    first.into_iter().chain(out).map(|line| line.unwrap().parse().unwrap()).collect()
}

/// Something that differs from run to run.
fn jitter() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::from(since.subsec_nanos()) / 1000
}

#[tokio::test]
async fn killed_writers_lose_nothing_and_leave_no_halves() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let mut acknowledged = BTreeSet::new();
    for round in 0..20 {
        // While it begins, or while it writes.
        let wait = Duration::from_micros(round * 5_000 + jitter() % 60_000);
        acknowledged.extend(kill_after(&dir, round % 4 != 0, wait));
        let store = store(root.path()).await;
        store.check().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        let mut recorded = BTreeSet::new();
        for row in store.history(None, u32::MAX).await.unwrap() {
            recorded.insert(row.id.0);
        }
        assert!(recorded.is_superset(&acknowledged), "round {round}: lost what was acknowledged");
        if let Some(id) = recorded.last() {
            let newest = haechi_store::VerificationId(*id);
            assert_eq!(store.kept(newest).await.unwrap().len(), 1500);
        }
        store.close().await;
    }
    assert!(acknowledged.len() >= 15, "{acknowledged:?}");
}

#[tokio::test]
async fn killed_while_the_directory_is_made() {
    for round in 0..20 {
        let root = tempfile::tempdir().unwrap();
        let wait = Duration::from_micros(round * 1_500 + jitter() % 3_000);
        let acknowledged = kill_after(&root.path().join("data"), false, wait);
        let store = store(root.path()).await;
        store.check().await.unwrap();
        assert!(store.history(None, u32::MAX).await.unwrap().len() >= acknowledged.len());
    }
}

/// Needs root and mount namespaces: the full disk is a small memory file system of its own.
#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let script = r#"
        mount -t tmpfs -o size=2m,mode=0700 haechi-test "$1" || exit 9
        "$2" "$1" 100000 300 > "$1.acknowledged"; echo "exit $?" >&2
        # SQLite needs some space to be read at all; people would free some.
        mount -o remount,size=8m "$1" || exit 9
        "$2" "$1" check > "$1.recorded"
    "#;
    let disk = root.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let done = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(&disk)
        .arg(writer())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(
        said.contains("exit 1") && said.contains("haechi.db: the disk is full while"),
        "{said}"
    );
    let read = |end: &str| std::fs::read_to_string(root.path().join(end)).unwrap();
    let recorded: usize = read("disk.recorded").trim().parse().unwrap();
    let acknowledged = read("disk.acknowledged").lines().count();
    assert!(acknowledged > 0 && recorded == acknowledged, "{recorded} of {acknowledged}: {said}");
}
