//! `haechi serve`: the desk, and the web server that it starts.
//!
//! What needs rights is done here and in the processes of `haechi_desk`; the web server is another process, without
//! any (`haechi_server`). If that one ends, it is started again. Ends in order on SIGTERM and SIGINT.

use std::fs::File;
use std::io::IsTerminal;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use haechi_desk::{Accounts, Desk, Setup};
use haechi_server::certificate;
use haechi_server::order::{Limits, Order};
use jiff::{SignedDuration, Timestamp};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Serve;
use crate::exit;
use crate::failure::Failure;
use crate::setting::Setting;

/// A certificate of our own is made anew when it ends within this.
const RENEW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Waits before the web server is started again: the first time, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A web server that ran for so long did not fail at its start.
const STEADY: Duration = Duration::from_secs(60);
/// How long the web server has to finish what it was asked.
const FINISH: Duration = Duration::from_secs(12);
/// How often accounts are looked after.
const TEND: Duration = Duration::from_secs(30);
/// Bytes of a certificate or key.
const PEM_MAX: u64 = 1 << 20;

pub async fn run(args: &Serve, setting: &Setting) -> anyhow::Result<u8> {
    let content = Arc::new(super::content(setting)?);
    let known: Vec<String> = content.benchmarks().iter().map(|b| b.id.clone()).collect();
    if let Some(id) = args.benchmark.iter().find(|id| !known.contains(id)) {
        return Err(Failure::UnknownBenchmark { id: id.clone(), known: known.join(", ") }.into());
    }
    let policy = setting.policy()?;
    let store = super::store(setting).await?;
    let data_dir = setting.data_dir();
    let _lock = lock(&data_dir)?;
    let hosts = names(args);
    let (certificate, key) = certificate(args, &data_dir, &hosts)?;
    let fingerprint = certificate::fingerprint(&certificate)?;
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("{} cannot be listened on", args.listen))?;
    let accounts = Accounts::open(store.clone(), &data_dir).await?;
    if let Some(password) = accounts.first().await? {
        tell_first(&password, &accounts, setting)?;
    }
    let is_root = rustix::process::geteuid().is_root();
    let setup = Setup {
        store: store.clone(),
        content,
        policy: Box::new({
            let setting = setting.clone();
            move || setting.policy()
        }),
        policy_name: policy_name(setting),
        benchmarks: if args.benchmark.is_empty() { known } else { args.benchmark.clone() },
        root: setting.root.clone(),
        endpoint: setting.host.clone(),
        program: (std::env::current_exe()?, setting.options()),
        update: update(args),
        monitor: (is_root && !args.no_monitor).then(|| {
            let monitor = &policy.policy.monitor;
            // What is enforced of profiles can be said at any time.
            let answers = args.profile
                || !monitor.responses.is_empty()
                || !monitor.denied_programs.is_empty();
            monitor_arguments(args, answers && !args.no_respond)
        }),
        watched: watched(setting),
        certificate: fingerprint.clone(),
        interval_minutes: args.interval,
    };
    if !is_root && !args.no_monitor {
        setting.note("serve-no-monitor", &[]);
    }
    if !args.listen.ip().is_loopback() {
        setting.note("serve-everybody", &[("address", &args.listen.to_string())]);
    }
    let order = Order {
        certificate,
        key,
        user: is_root.then(|| user(&args.user)),
        hosts,
        limits: Limits::default(),
        log: if setting.quiet { "error".into() } else { "warn".into() },
    };
    let desk = Desk::new(setup, accounts);
    desk.began().await?;
    setting.note("serve-at", &[("address", &listener.local_addr()?.to_string())]);
    setting.note("serve-fingerprint", &[("fingerprint", &fingerprint)]);
    let mut terminated = signal(SignalKind::terminate())?;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let mut web = tokio::spawn(web(order, listener, Arc::clone(&desk), stopping));
    let ended = tokio::select! {
        () = desk.run() => Ok(()),
        () = tend(&desk) => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminated.recv() => Ok(()),
        ended = &mut web => ended?,
    };
    stop.send_replace(true);
    if !web.is_finished() && tokio::time::timeout(FINISH, &mut web).await.is_err() {
        web.abort();
    }
    desk.ended().await;
    store.close().await;
    setting.note("serve-ended", &[]);
    ended.map(|()| exit::CLEAN)
}

/// Tells the first account's password to whoever sits at the terminal. Nobody does under systemd: there it would stay in
/// a log, so it is put into a file.
fn tell_first(password: &str, accounts: &Accounts, setting: &Setting) -> anyhow::Result<()> {
    if std::io::stderr().is_terminal() && !setting.quiet {
        setting.note("serve-first", &[("password", password)]);
    } else {
        let file = accounts.keep_first(password).context(
            "the first password could not be kept; `haechi account password admin` gives another",
        )?;
        setting.note("serve-first-file", &[("path", &file.display().to_string())]);
    }
    Ok(())
}

/// Looks after accounts now and then.
async fn tend(desk: &Desk) {
    loop {
        tokio::time::sleep(TEND).await;
        desk.tend().await;
    }
}

/// Keeps a web server running until told to stop.
async fn web(
    order: Order,
    mut listener: TcpListener,
    desk: Arc<Desk>,
    mut stopping: tokio::sync::watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let address = listener.local_addr()?;
    let mut wait = AGAIN.0;
    loop {
        listener.set_nonblocking(true)?;
        let begun = Instant::now();
        let (command, line) = order.prepare(&program, &listener)?;
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn()?;
        drop(command);
        let line = UnixStream::from_std(line)?;
        let talking = haechi_desk::talk(Arc::clone(&desk), line);
        tokio::pin!(talking);
        let (stopped, talked) = tokio::select! {
            talked = &mut talking => (false, talked),
            () = told(&mut stopping) => {
                // It answers what it was asked, and ends.
                let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
                if let Some(pid) = pid {
                    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
                }
                (true, talking.await)
            }
        };
        if let Err(error) = talked {
            tracing::error!("the web server does not keep to the conversation: {error}");
            child.start_kill()?;
        }
        let status = child.wait().await?;
        if stopped {
            return Ok(());
        }
        tracing::error!("the web server ended ({status}) and is started again");
        wait = if begun.elapsed() > STEADY { AGAIN.0 } else { (wait * 2).min(AGAIN.1) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = told(&mut stopping) => return Ok(()),
        }
        // The old one was shared with a process that may have been broken into: `shutdown` counts for both.
        drop(listener);
        listener = TcpListener::bind(address)?;
    }
}

/// Waits until told to stop.
async fn told(stopping: &mut tokio::sync::watch::Receiver<bool>) {
    // Nobody who could tell is as good as told.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Makes this the one desk of the data directory: two would do all work twice.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join("serve.lock");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| Failure::file(&path, error))?;
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, exclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(Failure::Serves(data_dir.display().to_string()).into()),
    }
}

/// Names by which browsers may call this machine.
fn names(args: &Serve) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    names.push(rustix::system::uname().nodename().to_string_lossy().into_owned());
    if !args.listen.ip().is_unspecified() {
        names.push(args.listen.ip().to_string());
    }
    names.extend(args.names.iter().cloned());
    // What no certificate can have is no name that a browser can call.
    names.retain(|name| !name.is_empty() && name.is_ascii());
    names.sort();
    names.dedup();
    names
}

/// The certificate with its chain, and its key: those given, or our own.
fn certificate(
    args: &Serve,
    data_dir: &Path,
    names: &[String],
) -> anyhow::Result<(String, String)> {
    if let (Some(certificate), Some(key)) = (&args.certificate, &args.key) {
        let read = |path: &Path| crate::setting::read_trusted(path, PEM_MAX);
        return Ok((read(certificate)?, secret(key)?));
    }
    let places = (data_dir.join("certificate.pem"), data_dir.join("certificate.key"));
    let kept = (std::fs::read_to_string(&places.0), secret(&places.1));
    if let (Ok(certificate), Ok(key)) = kept
        && certificate::ends(&certificate).is_ok_and(|end| end > Timestamp::now() + RENEW)
    {
        return Ok((certificate, key));
    }
    let (certificate, key) = certificate::make(names)?;
    for (path, text, mode) in [(&places.1, &key, 0o600), (&places.0, &certificate, 0o644)] {
        let failed = |error| Failure::file(path, error);
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(mode)
            .open(path)
            .map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
    }
    Ok((certificate, key))
}

/// A file that nobody but its owner may read.
fn secret(path: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let text = crate::setting::read_trusted(path, PEM_MAX)?;
    let mode = std::fs::metadata(path).map_err(|error| Failure::file(path, error))?.mode();
    if mode & 0o077 != 0 {
        let error = std::io::Error::other("others may read it; `chmod 600` mends that");
        return Err(Failure::file(path, error).into());
    }
    Ok(text)
}

/// User and group that the web server becomes: those of this name, else nobody's.
fn user(name: &str) -> (u32, u32) {
    const NOBODY: (u32, u32) = (65534, 65534);
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = accounts.lines().find_map(|line| {
        let mut parts = line.split(':');
        let is_it = parts.next()? == name;
        let user = parts.nth(1)?.parse().ok()?;
        let group = parts.next()?.parse().ok()?;
        is_it.then_some((user, group))
    });
    // Root is not what is meant by another user.
    found.filter(|(user, _)| *user != 0).unwrap_or(NOBODY)
}

fn policy_name(setting: &Setting) -> String {
    setting.policy_file().map_or_else(|| "defaults".to_owned(), |path| path.display().to_string())
}

fn update(args: &Serve) -> Vec<String> {
    let mut arguments = vec!["db".to_owned(), "update".into()];
    if let Some(from) = &args.db_from {
        arguments.extend(["--from".into(), from.clone()]);
    }
    arguments
}

fn monitor_arguments(args: &Serve, respond: bool) -> Vec<String> {
    let mut arguments = vec!["monitor".to_owned(), "--desk".into()];
    if respond {
        arguments.push("--respond".into());
    }
    if args.profile {
        arguments.push("--profile".into());
    }
    for rules in &args.rules {
        arguments.extend(["--rules".into(), rules.display().to_string()]);
    }
    arguments
}

/// Files of ours that decide what passes.
fn watched(setting: &Setting) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = setting.policy_file().into_iter().collect();
    for what in ["checks", "benchmarks"] {
        let dir = setting.site_dir(what);
        if let Ok(entries) = std::fs::read_dir(&dir) {
            paths.extend(entries.flatten().map(|entry| entry.path()));
        }
        paths.push(dir);
    }
    paths
}
