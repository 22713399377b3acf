//! `haechi monitor`: what the kernel sees of containers, judged by rules, line by line.
//!
//! One thread reads the kernel's rings; here its records are judged in their order, and the engine is asked for the
//! names of containers meanwhile.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use haechi_core::alert::Alert;
use haechi_facts::engine::api::{Api, Call};
use haechi_monitor::{Clock, Container, Monitor, Watched, fields, running};
use haechi_rules::{Rules, State};
use haechi_sensor::{Options, Record, Sensor};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::args::{AlertFormat, Monitor as Args};
use crate::exit;
use crate::setting::{Setting, read_trusted, trusted};

/// A larger file of rules is not read.
const RULES_SIZE_MAX: u64 = 4 << 20;
/// The site's own rules.
const SITE_RULES: &str = "/etc/haechi/rules.d";
/// Records that may wait to be judged; the reading thread then waits, and the kernel counts what it loses.
const WAITING: usize = 65_536;
/// How often it is looked for events that waited long enough for their container's name.
const TICK: Duration = Duration::from_millis(100);
/// How long the reading thread waits for records before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(200);

pub async fn run(args: &Args, setting: &Setting) -> anyhow::Result<u8> {
    let files = files(args)?;
    let loaded = Rules::load(&files, &fields::Fields);
    for problem in &loaded.problems {
        setting.note("rule-problem", &[("problem", &problem.to_string())]);
    }
    if loaded.refused() {
        return Ok(exit::COULD_NOT_VERIFY);
    }
    if args.list_rules {
        crate::output::stdout(|out| {
            for rule in loaded.rules.list() {
                let priority = rule.priority.to_string();
                let state = match &rule.state {
                    State::Runs => "runs".to_owned(),
                    State::Disabled => "disabled".to_owned(),
                    State::LeftOut(why) => format!("does not run: {why}"),
                };
                writeln!(out, "{priority:<13}  {}  ({state})", rule.name)?;
            }
            Ok(())
        })?;
        return Ok(exit::CLEAN);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut monitor = Monitor::new(loaded.rules, clock(), host);
    for process in running::processes(Path::new("/proc")) {
        monitor.tree.seed(process);
    }
    let watched = Watched::embedded()?;
    let (sensor, abilities) = Sensor::load(&Options {
        watch_names: watched.names,
        watch_folders: watched.folders,
        ..Options::default()
    })?;
    for ability in &abilities {
        if let Some(why) = &ability.missing {
            let values = [("name", ability.name), ("gives", ability.gives), ("why", why)];
            setting.note("monitor-lacks", &values);
        }
    }
    let ended = Arc::new(AtomicBool::new(false));
    let (sender, mut records) = mpsc::channel(WAITING);
    let reader = {
        let ended = Arc::clone(&ended);
        std::thread::spawn(move || read(sensor, &sender, &ended))
    };
    let (ask, mut asked) = mpsc::unbounded_channel::<String>();
    let (tell, mut told) = mpsc::unbounded_channel::<Container>();
    let api = super::image::api(setting).ok();
    let asking = tokio::spawn(async move {
        while let Some(id) = asked.recv().await {
            let Some(api) = &api else { continue };
            if let Ok(answer) = api.ask(Call::Container(&id)).await {
                let _ = tell.send(Container::from_inspect(&answer));
            }
        }
    });
    setting.note("monitor-began", &[("rules", &monitor.rules().running().len().to_string())]);
    let end = async {
        match args.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => drop(tokio::signal::ctrl_c().await),
        }
    };
    tokio::pin!(end);
    let mut alerts = 0_u64;
    let mut lost = 0_u64;
    let mut tick = tokio::time::interval(TICK);
    loop {
        let mut found = Vec::new();
        tokio::select! {
            () = &mut end => break,
            Some(container) = told.recv() => found = monitor.learn(&container),
            _ = tick.tick() => found = monitor.tick(Instant::now()),
            record = records.recv() => match record {
                None => break,
                Some(Record::New { cgroup, container, .. }) => {
                    monitor.containers.begin(cgroup, &container, 0);
                    let _ = ask.send(container);
                }
                Some(Record::Gone { cgroup, losses, .. }) => {
                    lost += losses.lost;
                    monitor.containers.end(cgroup);
                }
                Some(Record::Event(seen)) => {
                    if args.events && args.format == AlertFormat::Json {
                        crate::output::stdout(|out| line(&seen.event, out))?;
                    }
                    found = monitor.see(seen.event, Instant::now());
                }
            },
        }
        alerts += show(&found, args.format)?;
    }
    alerts += show(&monitor.rest(), args.format)?;
    ended.store(true, Ordering::Relaxed);
    drop(records);
    asking.abort();
    let more = tokio::task::spawn_blocking(move || reader.join()).await?;
    lost +=
        more.map_err(|_| anyhow::anyhow!("the thread that reads the kernel's rings failed"))??;
    let values = [("alerts", &*alerts.to_string()), ("lost", &*lost.to_string())];
    setting.note(if lost > 0 { "monitor-lost" } else { "monitor-ended" }, &values);
    Ok(if alerts > 0 {
        exit::FINDINGS
    } else if lost > 0 {
        exit::COULD_NOT_VERIFY
    } else {
        exit::CLEAN
    })
}

/// Reads until it is to end; how many events were lost of containers that still run.
fn read(
    mut sensor: Sensor,
    sender: &mpsc::Sender<Record>,
    ended: &AtomicBool,
) -> Result<u64, haechi_sensor::SensorError> {
    while !ended.load(Ordering::Relaxed) {
        sensor.next_batch(PATIENCE, &mut |record| {
            // Nobody takes them any more: this is the end.
            let _ = sender.blocking_send(record);
        })?;
    }
    // What belongs to no container is lost all the same: a container that was not noticed, a record that was not understood.
    let missed = sensor.missed()?;
    let lost: u64 = sensor.losses()?.values().map(|losses| losses.lost).sum();
    Ok(lost + missed.life + missed.groups + missed.unread)
}

/// The moment at which the machine started.
fn clock() -> Clock {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = i64::from(since.tv_nsec as i32);
    let since =
        jiff::SignedDuration::new(since.tv_sec, 0) + jiff::SignedDuration::from_nanos(nanoseconds);
    let now = Timestamp::now();
    Clock { started: now.checked_sub(since).unwrap_or(now) }
}

/// All files of rules, in the order in which they are read.
fn files(args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut files = Vec::new();
    if !args.only_rules {
        let (name, text) = haechi_monitor::RULES;
        files.push((name.to_owned(), text.to_owned()));
        if Path::new(SITE_RULES).is_dir() {
            paths.push(SITE_RULES.into());
        }
    }
    paths.extend(args.rules.iter().cloned());
    for path in paths {
        if !path.is_dir() {
            files.push((path.display().to_string(), read_trusted(&path, RULES_SIZE_MAX)?));
            continue;
        }
        trusted(&path, &std::fs::metadata(&path)?)?;
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                inside.push(path);
            }
        }
        inside.sort();
        for path in inside {
            files.push((path.display().to_string(), read_trusted(&path, RULES_SIZE_MAX)?));
        }
    }
    Ok(files)
}

fn line(value: &impl serde::Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Writes alerts; how many they are.
fn show(alerts: &[Alert], format: AlertFormat) -> anyhow::Result<u64> {
    if alerts.is_empty() {
        return Ok(0);
    }
    crate::output::stdout(|out| alerts.iter().try_for_each(|alert| one(alert, format, out)))?;
    Ok(alerts.len() as u64)
}

fn one(alert: &Alert, format: AlertFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    if format == AlertFormat::Json {
        return line(alert, out);
    }
    let at = alert.at.strftime("%H:%M:%S%.3f");
    let name = if alert.container.name.is_empty() {
        alert.container.id.get(..12).unwrap_or_default()
    } else {
        &alert.container.name
    };
    let priority = alert.priority.name();
    Ok(writeln!(out, "{at}  {priority:<13}  {name}  {}: {}", alert.rule, alert.text)?)
}
