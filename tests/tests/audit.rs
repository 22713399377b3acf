//! Accounts, tokens and the audit log on the command line, and what is found when somebody changes the log in its file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::fs;
use std::path::{Path, PathBuf};

use haechi_tests::{Done, Haechi};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

/// A data folder with a log of some records that are signed, and the copies of key and newest checkpoint that somebody
/// keeps elsewhere.
struct Log {
    dir: TempDir,
}

impl Log {
    /// Ten records: begun and done of five commands.
    fn new() -> Self {
        let log = Self { dir: tempfile::tempdir().unwrap() };
        log.run(&["account", "add", "minji", "--role", "admin"]).must_end_with(0);
        log.run(&["account", "add", "second", "--role", "viewer"]).must_end_with(0);
        log.run(&["account", "lock", "second"]).must_end_with(0);
        log.run(&["token", "add", "ci", "--account", "minji"]).must_end_with(0);
        log.run(&["account", "remove", "second"]).must_end_with(0);
        for name in ["audit.pub", "audit.head"] {
            fs::copy(log.data().join(name), log.dir.path().join(name)).unwrap();
        }
        log
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn copy(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let data = self.data();
        fs::create_dir_all(&data).unwrap();
        Haechi::new(arguments).env("HAECHI_DATA_DIR", data).run()
    }

    /// Does to the file what somebody does who is root and knows how.
    fn change(&self, sql: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let file = format!("sqlite://{}", self.data().join("haechi.db").display());
        runtime.block_on(async {
            let mut database = SqliteConnection::connect(&file).await.unwrap();
            let sql = format!("DROP TRIGGER audit_changed; DROP TRIGGER audit_removed; {sql}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        });
    }

    /// What is found: code and faults as `first-last wrong`.
    fn found(&self, further: &[&str]) -> (i32, Vec<String>) {
        let done = self.run(&[&["audit", "verify", "--format", "json"], further].concat());
        let told: Value = serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", done.stdout, done.stderr));
        let faults = told["faults"].as_array().unwrap().iter().map(|fault| {
            format!("{}-{} {}", fault["first"], fault["last"], fault["wrong"].as_str().unwrap())
        });
        (done.code, faults.collect())
    }
}

fn one(fault: &str) -> (i32, Vec<String>) {
    (1, vec![fault.to_owned()])
}

#[test]
fn a_log_that_nobody_changed_is_whole_here_and_elsewhere() {
    let log = Log::new();
    assert_eq!(log.found(&[]), (0, vec![]));
    let said = log.run(&["audit", "verify"]).must_end_with(0).stdout;
    assert!(said.contains("whole: 10 records, signed up to number 10"), "{said}");
    let said = log.run(&["--lang", "ko", "audit", "verify"]).must_end_with(0).stdout;
    assert!(said.contains("이상이 없다"), "{said}");
    let list =
        log.run(&["audit", "list", "--limit", "2", "--format", "json"]).must_end_with(0).stdout;
    let newest: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!(newest["number"], 10);
    assert_eq!(
        (newest["action"].as_str(), newest["outcome"].as_str()),
        (Some("RemoveAccount"), Some("done"))
    );
    assert_eq!(list.lines().count(), 2);
    // On another machine, with what was copied.
    let export = log.copy("log.jsonl");
    log.run(&["audit", "export", "--output", &export]).must_end_with(0);
    let other = |further: &[&str]| Haechi::new(&[&["audit", "verify"], further].concat()).run();
    let (key, head) = (log.copy("audit.pub"), log.copy("audit.head"));
    other(&["--export", &export, "--key", &key, "--head", &head]).must_end_with(0);
    other(&["--export", &export]).must_end_with(2);
    other(&["--export", &export, "--key", &head]).must_end_with(2);
    other(&["--export", &key, "--key", &key]).must_end_with(2);
    // It went on, and the old copies still fit.
    log.run(&["account", "add", "third", "--role", "viewer"]).must_end_with(0);
    assert_eq!(log.found(&["--key", &key, "--head", &head]), (0, vec![]));
    // The export of a log that was changed on its way.
    let text = fs::read_to_string(&export).unwrap();
    let changed = text.replacen("\"subject\":\"second\"", "\"subject\":\"minji\"", 1);
    assert_ne!(text, changed);
    for (text, code, word) in [
        (changed.as_str(), 1, "record 3: CHANGED"),
        (&text[..text.len() - 20], 2, "log.jsonl:"),
        (&text[..text[..text.len() - 1].rfind('\n').unwrap() + 1], 1, "record 10: CUT OFF"),
    ] {
        fs::write(&export, text).unwrap();
        let done = other(&["--export", &export, "--key", &key, "--head", &head]);
        assert_eq!(done.code, code, "{word}: {}{}", done.stdout, done.stderr);
        assert!(
            done.stdout.contains(word) || done.stderr.contains(word),
            "{}{}",
            done.stdout,
            done.stderr
        );
    }
}

#[test]
fn what_somebody_did_to_the_file_is_found_and_named() {
    let changed = |sql: &str| {
        let log = Log::new();
        log.change(sql);
        log.found(&[])
    };
    for column in ["at", "actor", "address", "action", "subject", "outcome", "detail"] {
        let value = if column == "at" { "at + 1" } else { &format!("{column} || 'x'") };
        let sql = format!("UPDATE audit SET {column} = {value} WHERE number = 4");
        assert_eq!(changed(&sql), one("4-4 changed"), "{column}");
    }
    assert_eq!(changed("DELETE FROM audit WHERE number IN (4, 5)"), one("4-5 removed"));
    assert_eq!(changed("DELETE FROM audit WHERE number = 1"), one("1-1 removed"));
    // The checkpoints of the last records and the file beside the database know what is missing.
    let cut =
        changed("DELETE FROM audit WHERE number > 8; DELETE FROM checkpoint WHERE number > 8");
    assert_eq!(cut, one("9-10 truncated"));
    let (code, all) = changed("DELETE FROM audit");
    assert_eq!((code, all.last().unwrap().as_str()), (1, "1-10 truncated"));
    let swapped = "UPDATE audit SET number = 100 WHERE number = 3; UPDATE audit SET number = 3 WHERE number = 6;
                   UPDATE audit SET number = 6 WHERE number = 100";
    let (code, all) = changed(swapped);
    let reordered: Vec<&String> = all.iter().filter(|fault| fault.ends_with("reordered")).collect();
    assert_eq!(
        (code, reordered),
        (1, vec![&"3-3 reordered".to_owned(), &"6-6 reordered".to_owned()])
    );
    let foreign =
        "UPDATE checkpoint SET hash = (SELECT hash FROM audit WHERE number = 3) WHERE number = 4";
    assert_eq!(changed(foreign), one("4-4 forged"));
}

#[test]
fn a_log_that_was_chained_anew_is_found_by_what_was_signed() {
    // Somebody who knows the format writes a log of one's own with hashes that fit: here, that of another folder.
    let log = Log::new();
    let other = Log::new();
    let replace = |with: &Log| {
        for name in ["haechi.db", "haechi.db-wal", "haechi.db-shm"] {
            let _ = fs::remove_file(log.data().join(name));
        }
        with.change("");
        fs::copy(with.data().join("haechi.db"), log.data().join("haechi.db")).unwrap();
    };
    let (key, head) = (log.copy("audit.pub"), log.copy("audit.head"));
    let (code, faults) = {
        replace(&other);
        log.found(&[])
    };
    assert_eq!(code, 1);
    assert!(
        faults.iter().any(|fault| fault.ends_with("forged")),
        "other keys signed it: {faults:?}"
    );
    // With all files of the other one, this machine alone cannot know; the copies do.
    for name in ["audit.head", "audit.pub", "audit.key"] {
        fs::copy(other.data().join(name), log.data().join(name)).unwrap();
    }
    assert_eq!(log.found(&[]).0, 0);
    assert_eq!(log.found(&["--head", &head]).0, 1);
    assert_eq!(log.found(&["--key", &key]).0, 1);
    // The same key, but cut back to an older state, with its own newest checkpoint: the copy of the head knows more.
    let log = Log::new();
    let head = log.copy("audit.head");
    let early = log.copy("early");
    fs::create_dir(&early).unwrap();
    let again = Log { dir: tempfile::tempdir().unwrap() };
    copy_all(&log.data(), &again.data());
    log.run(&["account", "add", "later", "--role", "viewer"]).must_end_with(0);
    fs::copy(log.data().join("audit.head"), &head).unwrap();
    let (code, faults) = again.found(&["--head", &head]);
    assert_eq!((code, faults), one("11-12 truncated"));
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn what_nobody_vouches_for_is_not_called_whole() {
    let log = Log::new();
    fs::remove_file(log.data().join("audit.head")).unwrap();
    let done = log.run(&["audit", "verify"]).must_end_with(2);
    assert!(done.stdout.contains("audit.head is missing"), "{}", done.stdout);
    log.run(&["audit", "verify", "--head", &log.copy("audit.head")]).must_end_with(0);
    log.change("DELETE FROM checkpoint");
    let done = log.run(&["audit", "verify"]).must_end_with(2);
    assert!(done.stdout.contains("no checkpoint vouches"), "{}", done.stdout);
    let nothing = Haechi::new(&["audit", "verify"]).run().must_end_with(2);
    assert!(!nothing.stderr.is_empty() && nothing.stdout.is_empty());
    Haechi::new(&["audit", "list"]).run().must_end_with(2);
    fs::write(log.data().join("audit.pub"), "haechi-audit-public-key:AAAA\n").unwrap();
    log.run(&["audit", "verify"]).must_end_with(2);
}

#[test]
fn a_cut_log_without_its_head_stays_broken_when_haechi_goes_on() {
    for garbled in [false, true] {
        let log = Log::new();
        log.change("DELETE FROM audit WHERE number > 8; DELETE FROM checkpoint WHERE number > 8");
        let head = log.data().join("audit.head");
        if garbled {
            fs::write(&head, "{}").unwrap();
        } else {
            fs::remove_file(&head).unwrap();
        }
        log.run(&["account", "add", "later", "--role", "viewer"]).must_end_with(0);
        assert_eq!(log.found(&[]), one("9-9 broken"));
        let said = log.run(&["audit", "verify"]).must_end_with(1).stdout;
        assert!(said.contains("record 9: BROKEN"), "{said}");
        let list = log.run(&["audit", "list"]).must_end_with(0).stdout;
        assert!(list.contains("AuditLog  -  broken"), "{list}");
    }
}

#[test]
fn accounts_and_tokens_are_kept_without_the_server() {
    let log = Log::new();
    let list = |what: &str| -> Value {
        let done = log.run(&[what, "list", "--format", "json"]).must_end_with(0);
        serde_json::from_str(&done.stdout).unwrap()
    };
    assert_eq!(list("account")[0]["name"], "minji");
    assert_eq!(list("account").as_array().unwrap().len(), 1);
    assert_eq!(
        (&list("token")[0]["scope"], &list("token")[0]["account"]),
        (&"read".into(), &"minji".into())
    );
    let made = log.run(&["account", "add", "third", "--role", "viewer"]).must_end_with(0);
    assert_eq!(made.stdout.trim().len(), 24, "only the password: {}", made.stdout);
    for (refused, word) in [
        (&["account", "remove", "minji"] as &[&str], "last admin"),
        (&["account", "role", "minji", "viewer"], "last admin"),
        (&["account", "lock", "minji"], "last admin"),
        (&["account", "add", "MINJI", "--role", "viewer"], "taken"),
        (&["account", "add", "a\u{1b}[2J", "--role", "viewer"], "\\u{1b}"),
        (&["account", "add", "x1", "--role", "king"], "invalid value"),
        (&["account", "password", "nobody"], "no account"),
        (&["token", "add", "two words", "--account", "minji"], "no spaces"),
        (&["token", "add", "ci", "--account", "nobody"], "no account"),
        (&["token", "add", "ci", "--account", "minji", "--days", "400"], "365"),
        (&["token", "remove", "99"], "no token"),
    ] {
        let done = log.run(refused).must_end_with(2);
        assert!(
            done.stdout.is_empty() && done.stderr.contains(word),
            "{refused:?}: {}",
            done.stderr
        );
        let done = log.run(&[&["--lang", "ko"], refused].concat()).must_end_with(2);
        assert!(
            done.stderr.chars().any(|c| ('가'..='힣').contains(&c)) || word == "invalid value",
            "{}",
            done.stderr
        );
    }
    log.run(&["token", "remove", "1"]).must_end_with(0);
    assert_eq!(list("token").as_array().unwrap().len(), 0);
    // What the site accepts is on record as well.
    let until = "2099-12-31";
    let accept = [
        "except",
        "add",
        "container-memory-limit",
        "db",
        "--reason",
        "왜",
        "--owner",
        "민지",
        "--expires",
        until,
    ];
    log.run(&accept).must_end_with(0);
    let newest =
        log.run(&["audit", "list", "--limit", "2", "--format", "json"]).must_end_with(0).stdout;
    assert!(newest.contains("\"action\":\"Accept\"") && newest.contains("민지"), "{newest}");
    assert_eq!(log.found(&[]), (0, vec![]));
}
