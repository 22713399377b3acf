//! Backups that the policy declares: how old the newest one is.
//!
//! Empty files and times that lie in the future are no backups: neither a file that was made and
//! never filled nor a wrong clock may look like a fresh one. Whether a backup can be restored is
//! not tried. A policy's command is run without a shell, with an empty environment, and ended after
//! ten seconds.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use haechi_core::facts::Backup;
use haechi_core::policy::BackupPolicy;
use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::root::Root;

/// Time limit of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Output of a command that is read.
const OUTPUT_MAX: u64 = 64 << 10;
/// Where a command's program is looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Entries of a backup folder that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// How deep a backup folder is looked into.
const DEPTH_MAX: usize = 8;
/// Clocks of two machines differ by no more than this.
const SKEW_SECONDS: i64 = 300;

/// The time of the newest backup, or why there is none.
type Newest = Result<(Timestamp, String), String>;

/// Looks for every declared backup, all at the same time, in the policy's order.
pub(super) async fn collect(root: &Root, policies: &[BackupPolicy], now: Timestamp) -> Vec<Backup> {
    join_all(policies.iter().map(|policy| look(root, policy, now))).await
}

async fn look(root: &Root, policy: &BackupPolicy, now: Timestamp) -> Backup {
    let mut sources = Vec::new();
    let mut results = Vec::new();
    if let Some(path) = &policy.path {
        sources.push(path.clone());
        let (root, path) = (root.clone(), path.clone());
        let looked = tokio::task::spawn_blocking(move || newest_file(&root, &path, now)).await;
        results.push(looked.unwrap_or_else(|error| Err(error.to_string())));
    }
    if let Some(command) = &policy.command {
        sources.push(command.join(" "));
        results.push(match root.is_whole_machine() {
            true => newest_by_command(command, now, COMMAND_TIMEOUT).await,
            false => Err("commands are run on the host itself only".into()),
        });
    }
    if results.is_empty() {
        results.push(Err("the policy names neither a path nor a command".into()));
    }
    backup(policy, sources.join("; "), &results, now)
}

/// Of a path and a command the older answer counts, and a missing one most.
fn backup(policy: &BackupPolicy, source: String, results: &[Newest], now: Timestamp) -> Backup {
    // Rounded up: a backup that is a minute over the limit is over it.
    let hours = |then: Timestamp| {
        let seconds = (now.as_second() - then.as_second()).max(0);
        seconds / 3600 + i64::from(seconds % 3600 != 0)
    };
    let mut age = Some(0);
    let mut details = Vec::new();
    for result in results {
        match result {
            Ok((then, detail)) => {
                age = age.map(|age: i64| age.max(hours(*then)));
                details.push(detail.clone());
            }
            Err(detail) => {
                age = None;
                details.push(detail.clone());
            }
        }
    }
    Backup {
        volume: Some(policy.volume.clone()),
        source: Some(crate::redact::text(&source)),
        age_hours: Some(age.unwrap_or(-1)),
        max_age_hours: Some(policy.max_age_hours),
        detail: Some(details.join("; ")),
    }
}

/// The newest file at a path or below it; links below it are not followed.
fn newest_file(root: &Root, path: &str, now: Timestamp) -> Newest {
    let meta = root.metadata(path).map_err(|error| error.to_string())?;
    let mut search = Search { latest: now.as_second() + SKEW_SECONDS, ..Search::default() };
    match meta.kind {
        "directory" => {
            let fd = root.open_dir(path.as_ref()).map_err(|error| error.to_string())?;
            search.folder(Dir::new(fd).map_err(|error| error.to_string())?, "", 0);
        }
        "file" => search.file(meta.modified, meta.size, &meta.real_path),
        other => return Err(format!("{path} is a {other}, not a file or folder")),
    }
    let Some((modified, name)) = search.newest else {
        let what = if search.skipped > 0 {
            "only files that are empty or dated in the future"
        } else {
            "no file"
        };
        return Err(format!("{path}: {what}"));
    };
    let then = Timestamp::from_second(modified).map_err(|error| error.to_string())?;
    let limit = if search.cut { " (not all files were looked at)" } else { "" };
    Ok((then, format!("newest file {name} of {then}{limit}")))
}

#[derive(Default)]
struct Search {
    latest: i64,
    newest: Option<(i64, String)>,
    entries: usize,
    skipped: usize,
    cut: bool,
}

impl Search {
    fn file(&mut self, modified: i64, size: u64, name: &str) {
        if size == 0 || modified > self.latest {
            self.skipped += 1;
        } else if self.newest.as_ref().is_none_or(|(newest, _)| modified > *newest) {
            self.newest = Some((modified, name.to_owned()));
        }
    }

    fn folder(&mut self, mut dir: Dir, within: &str, depth: usize) {
        while let Some(entry) = dir.read() {
            let Ok(entry) = entry else {
                self.cut = true;
                return;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                self.cut = true;
                return;
            }
            let Ok(fd) = dir.fd() else { return };
            let Ok(stat) = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let shown = format!("{within}{}", name.to_string_lossy());
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    let size = u64::try_from(stat.st_size).unwrap_or(0);
                    self.file(stat.st_mtime, size, &shown);
                }
                FileType::Directory if depth + 1 < DEPTH_MAX => {
                    let flags =
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    match rustix::fs::openat(fd, name, flags, Mode::empty()).and_then(Dir::new) {
                        Ok(below) => self.folder(below, &format!("{shown}/"), depth + 1),
                        Err(_) => self.cut = true,
                    }
                }
                FileType::Directory => self.cut = true,
                _ => {}
            }
        }
    }
}

/// Runs a policy's command and takes the time that its first line is.
async fn newest_by_command(command: &[String], now: Timestamp, limit: Duration) -> Newest {
    let (program, arguments) = command.split_first().ok_or("the policy's command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that what the command has started ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the command could not be run: {error}"))?;
    let group =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let run = async {
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_MAX).read_to_end(&mut output).await.map_err(|e| e.to_string())?;
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(output),
            false => Err(format!("the command failed: {status}")),
        }
    };
    let result = tokio::time::timeout(limit, run).await;
    if result.is_err()
        && let Some(group) = group
    {
        // It may have ended just now; then there is nothing left to end.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let output = result
        .map_err(|_| format!("the command gave no answer within {} seconds", limit.as_secs()))??;
    let output = String::from_utf8_lossy(&output);
    let line = output.lines().next().unwrap_or_default().trim();
    let then: Timestamp = line
        .parse()
        .map_err(|_| "the command's first line is not a time as 2026-01-31T02:00:00Z".to_owned())?;
    if then.as_second() > now.as_second() + SKEW_SECONDS {
        return Err(format!("the command named a time in the future: {then}"));
    }
    Ok((then, format!("the command named {then}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::SystemTime;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn put(path: &Path, text: &str, hours_ago: i64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let seconds = u64::try_from(now().as_second() - hours_ago * 3600).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn policy(path: Option<&str>, command: Option<&[&str]>) -> BackupPolicy {
        BackupPolicy {
            volume: "db-*".into(),
            path: path.map(str::to_owned),
            command: command.map(|words| words.iter().map(|word| (*word).to_owned()).collect()),
            max_age_hours: 26,
        }
    }

    async fn look(root: &Path, policy: BackupPolicy) -> (i64, String) {
        let found = collect(&Root::new(root), &[policy], now()).await.remove(0);
        (found.age_hours.unwrap(), found.detail.unwrap())
    }

    #[tokio::test]
    async fn the_newest_real_file_counts() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("backup/a/old.dump"), "x", 50);
        put(&dir.path().join("backup/a/b/new.dump"), "x", 5);
        put(&dir.path().join("backup/empty.dump"), "", 1);
        put(&dir.path().join("backup/future.dump"), "x", -1);
        put(&dir.path().join("outside"), "x", 0);
        symlink("../outside", dir.path().join("backup/link")).unwrap();
        symlink("..", dir.path().join("backup/up")).unwrap();
        put(&dir.path().join("backup/1/2/3/4/5/6/7/8/deep.dump"), "x", 0);
        let (age, detail) = look(dir.path(), policy(Some("/backup"), None)).await;
        assert_eq!(age, 5, "{detail}");
        assert!(detail.contains("a/b/new.dump") && detail.contains("not all"), "{detail}");
        let (age, _) = look(dir.path(), policy(Some("/backup/a/old.dump"), None)).await;
        assert_eq!(age, 50);
        for path in ["/none", "/backup/empty.dump", "/backup/future.dump"] {
            assert_eq!(look(dir.path(), policy(Some(path), None)).await.0, -1, "{path}");
        }
        assert_eq!(look(dir.path(), policy(None, None)).await.0, -1);
        let (age, detail) = look(dir.path(), policy(None, Some(&["true"]))).await;
        assert_eq!((age, detail.as_str()), (-1, "commands are run on the host itself only"));
    }

    #[tokio::test]
    async fn commands_are_run_without_shell_and_their_answers_checked() {
        let root = Path::new("/");
        let said = |text: &'static str| policy(None, Some(&["echo", text]));
        assert_eq!(look(root, said("2026-03-01T02:00:01Z")).await.0, 10);
        assert_eq!(look(root, said("2026-03-01T02:00:00+09:00")).await.0, 19);
        assert_eq!(look(root, said("2026-03-02T02:00:00Z")).await.0, -1);
        assert_eq!(look(root, said("$(date)")).await.0, -1);
        assert_eq!(look(root, policy(None, Some(&["false"]))).await.0, -1);
        assert_eq!(look(root, policy(None, Some(&["/no/such/program"]))).await.0, -1);
        assert_eq!(look(root, policy(None, Some(&[]))).await.0, -1);
        let (age, _) = look(root, policy(None, Some(&["yes", "2026-03-01T02:00:00Z"]))).await;
        assert_eq!(age, -1, "a command that does not end by itself has failed");
        let both = policy(Some("/no/such/path"), Some(&["echo", "2026-03-01T02:00:00Z"]));
        assert_eq!(look(root, both).await.0, -1, "both must be there");
        let environment =
            policy(None, Some(&["sh", "-c", "test -z \"$HOME\" && echo 2026-03-01T12:00:00Z"]));
        assert_eq!(look(root, environment).await.0, 0);
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended() {
        let command = ["sh", "-c", "sleep 1000 & sleep 1000"].map(str::to_owned);
        let limit = Duration::from_secs(1);
        let error = newest_by_command(&command, now(), limit).await.unwrap_err();
        assert!(error.contains("within 1 seconds"), "{error}");
    }
}
