//! The host's ssh server: whether it is there, whether it runs, and whom its configuration lets in.
//!
//! Settings come from the files and options of each server that runs, else from the default file;
//! of several servers the laxest counts. `AuthenticationMethods` is not weighed: a server that also
//! asks for a key is still shown as taking passwords. Other ssh servers (dropbear …) are not known
//! here.

mod config;

use haechi_core::facts::Sshd;
use haechi_core::finding::{Cause, SubjectKind};

use self::config::{Config, Settings};
use super::programs::is_in_container;
use super::view::{PID_DETAIL, View};
use crate::gaps::Gaps;
use crate::procs::ProcessTable;
use crate::root::Root;

/// Where distributions put the program.
const PROGRAMS: [&str; 5] = [
    "/usr/sbin/sshd",
    "/usr/local/sbin/sshd",
    "/usr/bin/sshd",
    "/usr/local/bin/sshd",
    "/sbin/sshd",
];
/// The administrator's file, and the one that some distributions ship beside it.
const FILES: [&str; 2] = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];

/// A server as it was started: another file than the default, and options that come before all
/// files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Started {
    file: Option<String>,
    options: Vec<String>,
}

/// Collects the facts of the ssh server.
pub(super) fn collect(
    root: &Root,
    table: Option<&ProcessTable>,
    view: &View,
    gaps: &Gaps,
) -> Option<Sshd> {
    let program = PROGRAMS.iter().any(|path| root.metadata(path).is_ok());
    let table = table.filter(|table| view.host_processes && !table.hidden());
    if table.is_none() {
        let (cause, detail) = match view.proc {
            true => (Cause::Permission, PID_DETAIL),
            false => (Cause::Missing, super::PROC_DETAIL),
        };
        gaps.record(SubjectKind::Host, "sshd.running", cause, detail);
    }
    let (running, mut started) = table.map_or((false, Vec::new()), |table| servers(root, table));
    if !program && !running {
        // Without the processes it could still run from a place that is not known here.
        let none = table.is_some();
        return Some(Sshd {
            installed: none.then_some(false),
            running: none.then_some(false),
            permit_root_login: none.then(|| "no".into()),
            password_authentication: none.then_some(false),
            permit_empty_passwords: none.then_some(false),
            files: none.then(Vec::new),
            match_overrides: none.then(Vec::new),
        });
    }
    if started.is_empty() {
        started.push(Started::default());
    }
    let mut sshd = Sshd {
        installed: Some(true),
        running: table.is_some().then_some(running),
        ..Sshd::default()
    };
    let mut worst: Option<Settings> = None;
    let mut files = Vec::new();
    for server in &started {
        match read(root, server) {
            Ok((settings, read)) => {
                files.extend(read);
                worst = Some(match worst {
                    Some(other) => settings.laxer(other),
                    None => settings,
                });
            }
            Err((cause, detail)) => {
                gaps.record(SubjectKind::Host, "sshd", cause, detail);
                return Some(sshd);
            }
        }
    }
    if let Some(settings) = worst {
        sshd.permit_root_login = Some(settings.root_login.name().into());
        sshd.password_authentication = Some(settings.passwords);
        sshd.permit_empty_passwords = Some(settings.empty_passwords);
        sshd.match_overrides = Some(settings.overrides);
        files.dedup();
        sshd.files = Some(files);
    }
    Some(sshd)
}

fn read(root: &Root, server: &Started) -> Result<(Settings, Vec<String>), (Cause, String)> {
    let mut config = Config::default();
    for option in &server.options {
        config.line(option);
    }
    match &server.file {
        Some(file) => config.file(root, file)?,
        None => {
            for file in FILES {
                let exists = !root.metadata(file).is_err_and(|error| error.is_not_found());
                if exists {
                    config.file(root, file)?;
                    break;
                }
            }
        }
    }
    Ok((config.settings()?, config.files))
}

/// Whether any server runs on the host, and how those that listen were started.
fn servers(root: &Root, table: &ProcessTable) -> (bool, Vec<Started>) {
    let mut running = false;
    let mut started: Vec<Started> = Vec::new();
    for process in table.processes() {
        let named = process.name == "sshd" || process.exe_name() == Some("sshd");
        if !named || process.kernel_thread || is_in_container(process) {
            continue;
        }
        running = true;
        let line =
            std::fs::read(root.proc(&format!("{}/cmdline", process.pid))).unwrap_or_default();
        let arguments: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        if let Some(server) = parse_command_line(&arguments)
            && !started.contains(&server)
        {
            started.push(server);
        }
    }
    (running, started)
}

/// How a listening server was started; `None` for the processes that serve one connection.
fn parse_command_line(arguments: &[String]) -> Option<Started> {
    let first = arguments.first()?;
    // A server that is ready has changed its title to `sshd: /usr/sbin/sshd -D [listener] 0 of
    // 10-100 startups`.
    let words: Vec<String> = match first.strip_prefix("sshd: ") {
        Some(title) => {
            let (command, _) = title.split_once(" [listener]")?;
            command.split_whitespace().map(str::to_owned).collect()
        }
        None if first.rsplit('/').next() == Some("sshd") => {
            arguments.iter().filter(|word| !word.is_empty()).cloned().collect()
        }
        None => return None,
    };
    let mut started = Started::default();
    let mut words = words.into_iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-') else { continue };
        let Some((at, letter)) = letters.char_indices().find(|(_, c)| "bCcEfghkopu".contains(*c))
        else {
            continue;
        };
        let rest = letters.get(at + 1..).unwrap_or_default().to_owned();
        let mut value = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
        if letter == 'o' {
            // In a title the quotes of `-o "Key value"` are gone.
            if !value.contains(['=', ' '])
                && let Some(more) = words.next_if(|next| !next.starts_with('-'))
            {
                value = format!("{value} {more}");
            }
            started.options.push(value);
        } else if letter == 'f' {
            started.file = Some(value);
        }
    }
    Some(started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn put(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn process(dir: &Path, pid: i32, name: &str, command: &str, flags: u32) {
        put(dir, &format!("proc/{pid}/stat"), &format!("{pid} ({name}) S 1 1 1 0 -1 {flags} 0\n"));
        put(dir, &format!("proc/{pid}/status"), "Uid:\t0\t0\t0\t0\n");
        put(dir, &format!("proc/{pid}/cmdline"), command);
    }

    fn look(dir: &Path) -> (Sshd, Vec<haechi_core::facts::Gap>) {
        let root = Root::new(dir);
        let gaps = Gaps::default();
        let table = ProcessTable::read(&root).ok();
        let view = View::look(&root, table.as_ref());
        (collect(&root, table.as_ref(), &view, &gaps).unwrap(), gaps.into_sorted())
    }

    #[test]
    fn no_server_is_said_only_where_processes_are_visible() {
        let dir = tempfile::tempdir().unwrap();
        let (seen, gaps) = look(dir.path());
        assert_eq!(seen, Sshd::default());
        assert_eq!(gaps.len(), 1);
        process(dir.path(), 1, "init", "init\0", 0);
        process(dir.path(), 2, "kthreadd", "", 0x0020_0000);
        let (seen, gaps) = look(dir.path());
        assert_eq!((seen.installed, seen.running), (Some(false), Some(false)));
        assert_eq!(seen.permit_root_login.as_deref(), Some("no"));
        assert!(gaps.is_empty());
    }

    #[test]
    fn the_running_server_s_options_and_file_count_and_the_laxest_wins() {
        let dir = tempfile::tempdir().unwrap();
        process(dir.path(), 1, "init", "init\0", 0);
        process(dir.path(), 2, "kthreadd", "", 0x0020_0000);
        put(dir.path(), "usr/sbin/sshd", "");
        put(dir.path(), "etc/ssh/sshd_config", "PermitRootLogin no\nPasswordAuthentication no\n");
        let (seen, _) = look(dir.path());
        assert_eq!((seen.installed, seen.running), (Some(true), Some(false)));
        assert_eq!(seen.permit_root_login.as_deref(), Some("no"));
        assert_eq!(seen.password_authentication, Some(false));
        assert_eq!(seen.files.as_deref().unwrap(), ["/etc/ssh/sshd_config"]);

        let title =
            "sshd: /usr/sbin/sshd -D -o PermitRootLogin yes [listener] 0 of 10-100 startups\0";
        process(dir.path(), 30, "sshd", title, 0);
        process(dir.path(), 31, "sshd", "sshd: root@pts/0\0", 0);
        let (seen, _) = look(dir.path());
        assert_eq!(seen.running, Some(true));
        assert_eq!(seen.permit_root_login.as_deref(), Some("yes"));

        put(dir.path(), "other", "PermitRootLogin no\nPermitEmptyPasswords yes\n");
        process(dir.path(), 32, "sshd", "/opt/sshd\0-De\0-f\0/other\0-p22\0", 0);
        let (seen, _) = look(dir.path());
        assert_eq!(seen.permit_root_login.as_deref(), Some("yes"));
        assert_eq!(seen.password_authentication, Some(true), "the default of the second server");
        assert_eq!(seen.permit_empty_passwords, Some(true));
    }

    #[test]
    fn a_server_in_a_container_is_not_the_host_s() {
        let dir = tempfile::tempdir().unwrap();
        process(dir.path(), 1, "init", "init\0", 0);
        process(dir.path(), 2, "kthreadd", "", 0x0020_0000);
        process(dir.path(), 30, "sshd", "sshd\0", 0);
        put(
            dir.path(),
            "proc/30/cgroup",
            &format!("0::/system.slice/docker-{}.scope\n", "ab".repeat(32)),
        );
        let (seen, _) = look(dir.path());
        assert_eq!(seen.installed, Some(false));
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_the_settings_open() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "usr/sbin/sshd", "");
        fs::create_dir_all(dir.path().join("etc/ssh/sshd_config")).unwrap();
        let (seen, gaps) = look(dir.path());
        assert_eq!(seen.installed, Some(true));
        assert_eq!(seen.permit_root_login, None);
        let facts: Vec<_> = gaps.iter().map(|gap| gap.fact.as_str()).collect();
        assert_eq!(facts, ["sshd", "sshd.running"]);
    }
}
