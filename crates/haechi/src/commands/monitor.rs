//! `haechi monitor`: what the kernel sees of containers, judged by rules, answered as the policy says, line by line.
//!
//! Gathers rules, policy, store and engine for [`haechi_monitor::watch`], and writes what that shows.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haechi_core::alert::Alert;
use haechi_core::policy::MonitorPolicy;
use haechi_core::response::{Action, Outcome};
use haechi_facts::engine::http::HttpApi;
use haechi_facts::root::Root;
use haechi_monitor::fields;
use haechi_monitor::watch::{Connect, Setup, Shown, watch};
use haechi_outputs::{Config, Outputs, Syslog, Webhook};
use haechi_rules::{Loaded, Rules, State};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::{AlertFormat, Monitor as Args};
use crate::exit;
use crate::failure::Failure;
use crate::setting::{Setting, read_trusted, trusted};

/// A larger file of rules is not read.
const RULES_SIZE_MAX: u64 = 4 << 20;
/// The site's own rules.
const SITE_RULES: &str = "/etc/haechi/rules.d";
/// How often it is looked whether rules or the policy changed.
const LOOK: Duration = Duration::from_secs(1);
/// How long the engine has for an answer: it waits for a container that it stops.
const ENGINE: Duration = Duration::from_secs(30);
/// Held by the one monitor of this machine that responds.
const LOCK: &str = "/run/haechi-monitor.lock";

pub async fn run(args: &Args, setting: &Setting) -> anyhow::Result<u8> {
    // Tasks outlive this function's borrow.
    let setting = &Arc::new(setting.clone());
    let loaded = load(args, setting)?;
    if loaded.refused() {
        return Ok(exit::COULD_NOT_VERIFY);
    }
    if args.list_rules {
        return list(&loaded);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::NeedsRoot.into());
    }
    let policy = policy(args, setting)?;
    if args.respond && policy.responses.is_empty() && policy.denied_programs.is_empty() {
        setting.note("monitor-no-responses", &[]);
    }
    let _lock = if args.respond { Some(lock()?) } else { None };
    let store = if args.no_store { None } else { Some(super::store(setting).await?) };
    let (renew, renewed) = mpsc::channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let rules = loaded.rules;
    let count = rules.running().len().to_string();
    let setup = Setup {
        rules,
        policy,
        respond: args.respond,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        own: own_container(),
        engine: connect(setting),
        store,
        renewed,
        show: show(args.format, setting, stop),
        outputs: outputs(args).await?,
        without_kernel: args.without_bpf,
        events: args.events && args.format == AlertFormat::Json,
    };
    unanswered(&setup.rules, &setup.policy, setting);
    let renewing = tokio::spawn(renew_rules(args.clone(), Arc::clone(setting), renew));
    let seconds = args.seconds;
    let mut terminated = signal(SignalKind::terminate())?;
    let end = async move {
        let time = async {
            match seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
            // Nobody reads what is shown any more.
            _ = stopped => {}
        }
    };
    let ready = |abilities: &[haechi_sensor::Ability], tier| {
        for ability in abilities {
            if let Some(why) = &ability.missing {
                let values = [("name", ability.name), ("gives", ability.gives), ("why", why)];
                setting.note("monitor-lacks", &values);
            }
        }
        if let Some(key) = match tier {
            haechi_sensor::Tier::Lsm => Some("monitor-denies-lsm"),
            haechi_sensor::Tier::Fanotify => Some("monitor-denies-fanotify"),
            haechi_sensor::Tier::None => None,
        } {
            setting.note(key, &[]);
        }
        setting.note("monitor-began", &[("rules", &count)]);
    };
    let summary = watch(setup, ready, end).await;
    renewing.abort();
    let summary = summary?;
    let (alerts, lost) = (summary.alerts.to_string(), summary.lost.to_string());
    let values = [("alerts", &*alerts), ("lost", &*lost)];
    setting.note(if summary.lost > 0 { "monitor-lost" } else { "monitor-ended" }, &values);
    for (count, key) in
        [(summary.suppressed, "monitor-suppressed"), (summary.unkept, "monitor-unkept")]
    {
        if count > 0 {
            setting.note(key, &[("count", &count.to_string())]);
        }
    }
    Ok(if summary.alerts > 0 {
        exit::FINDINGS
    } else if summary.lost > 0 {
        exit::COULD_NOT_VERIFY
    } else {
        exit::CLEAN
    })
}

/// Names entries of the policy that answer no rule: a name that was typed wrong answers nothing.
fn unanswered(rules: &Rules, policy: &MonitorPolicy, setting: &Setting) {
    for line in &policy.responses {
        let fits =
            |rule: &haechi_rules::Rule| line.fits_rule(&rule.name, &rule.tags, rule.priority);
        if !rules.running().iter().any(fits) {
            let tag = line.tag.as_deref().unwrap_or("*");
            let values = [("rule", &*line.rule), ("tag", tag), ("response", line.response.name())];
            setting.note("monitor-unanswered", &values);
        }
    }
}

/// The ways out that were asked for.
async fn outputs(args: &Args) -> anyhow::Result<Outputs> {
    let has_webhook = args.webhook.is_some() || args.webhook_secrets.is_some();
    let webhook = has_webhook
        .then(|| Webhook { url: args.webhook.clone(), secrets: args.webhook_secrets.clone() });
    let syslog = args.syslog.clone().map(Syslog::new);
    Ok(Outputs::new(Config { syslog, webhook, metrics: args.metrics }).await?)
}

/// Makes this the one monitor of the machine that responds: two would let go on what the other one holds.
fn lock() -> anyhow::Result<File> {
    let failed = |error: std::io::Error| Failure::file(Path::new(LOCK), error);
    let mut file = File::options()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(LOCK)
        .map_err(failed)?;
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    if rustix::fs::flock(&file, exclusive).is_err() {
        let mut pid = String::new();
        file.take(20).read_to_string(&mut pid).map_err(failed)?;
        return Err(Failure::MonitorResponds(pid.trim().to_owned()).into());
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

/// Reads the rules and says what is wrong with them.
fn load(args: &Args, setting: &Setting) -> anyhow::Result<Loaded> {
    let loaded = Rules::load(&files(args)?, &fields::Fields);
    for problem in &loaded.problems {
        setting.note("rule-problem", &[("problem", &problem.to_string())]);
    }
    Ok(loaded)
}

fn policy(args: &Args, setting: &Setting) -> anyhow::Result<MonitorPolicy> {
    let mut policy = setting.policy()?.policy.monitor;
    policy.dry_run |= args.dry_run;
    Ok(policy)
}

fn list(loaded: &Loaded) -> anyhow::Result<u8> {
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
    Ok(exit::CLEAN)
}

/// Reads rules and policy again when one of their files changed, or on SIGHUP; what is wrong is told and not used.
async fn renew_rules(
    args: Args,
    setting: Arc<Setting>,
    renew: mpsc::Sender<(Rules, MonitorPolicy)>,
) -> anyhow::Result<()> {
    let mut asked = signal(SignalKind::hangup())?;
    let mut known = stamps(&args, &setting);
    loop {
        let by_hand = tokio::select! {
            _ = asked.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let now = stamps(&args, &setting);
        if !by_hand && now == known {
            continue;
        }
        known = now;
        match load(&args, &setting).and_then(|loaded| Ok((loaded, policy(&args, &setting)?))) {
            Ok((loaded, policy)) if !loaded.refused() => {
                let count = loaded.rules.running().len().to_string();
                renew.send((loaded.rules, policy)).await?;
                setting.note("monitor-renewed", &[("rules", &count)]);
            }
            Ok(_) => setting.note("monitor-kept", &[]),
            Err(error) => {
                setting.complain(&error);
                setting.note("monitor-kept", &[]);
            }
        }
    }
}

/// Which files there are, how large, and when they were changed.
fn stamps(args: &Args, setting: &Setting) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut paths = paths(args).unwrap_or_default();
    paths.extend(setting.policy_file());
    let stamp = |path: PathBuf| {
        let meta = std::fs::metadata(&path).ok();
        let size = meta.as_ref().map_or(0, std::fs::Metadata::len);
        (path, size, meta.and_then(|meta| meta.modified().ok()))
    };
    paths.into_iter().map(stamp).collect()
}

/// Makes connections to the engine, as often as wanted.
fn connect(setting: &Arc<Setting>) -> Connect {
    let setting = Arc::clone(setting);
    Arc::new(move || {
        let root = Root::new(&setting.root);
        HttpApi::connect(setting.host.as_deref(), &root, ENGINE).ok().map(HttpApi::lasting)
    })
}

/// The container that this process runs in, if it runs in one.
fn own_container() -> Option<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.split('/').find_map(haechi_sensor::container_id).map(str::to_owned)
}

/// The files of rules that are on disk, in the order in which they are read.
fn paths(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let mut given: Vec<PathBuf> = Vec::new();
    if !args.only_rules && Path::new(SITE_RULES).is_dir() {
        given.push(SITE_RULES.into());
    }
    given.extend(args.rules.iter().cloned());
    let mut paths = Vec::new();
    for path in given {
        if !path.is_dir() {
            paths.push(path);
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
        paths.extend(inside);
    }
    Ok(paths)
}

/// All files of rules, in the order in which they are read.
fn files(args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    if !args.only_rules {
        let (name, text) = haechi_monitor::RULES;
        files.push((name.to_owned(), text.to_owned()));
    }
    for path in paths(args)? {
        files.push((path.display().to_string(), read_trusted(&path, RULES_SIZE_MAX)?));
    }
    Ok(files)
}

/// Writes what is shown; `stop` when nobody reads it.
fn show(
    format: AlertFormat,
    setting: &Arc<Setting>,
    stop: tokio::sync::oneshot::Sender<()>,
) -> Box<dyn FnMut(Shown<'_>) + Send> {
    let setting = Arc::clone(setting);
    let mut stop = Some(stop);
    Box::new(move |shown| {
        let written = crate::output::stdout(|out| match (shown, format) {
            (Shown::Alert(alert, kept), AlertFormat::Text) => {
                text(alert, out)?;
                if !kept {
                    setting.note("monitor-not-kept", &[]);
                }
                Ok(())
            }
            (Shown::Alert(alert, _), AlertFormat::Json) => line(alert, out),
            (Shown::Action(action), AlertFormat::Text) => action_text(action, out),
            (Shown::Action(action), AlertFormat::Json) => line(action, out),
            (Shown::Event(event), _) => line(event, out),
        });
        if written.is_err()
            && let Some(stop) = stop.take()
        {
            let _ = stop.send(());
        }
    })
}

fn line(value: &impl serde::Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(writeln!(out)?)
}

fn name(container: &haechi_core::alert::AlertContainer) -> &str {
    match container.name.as_str() {
        "" => container.id.get(..12).unwrap_or_default(),
        name => name,
    }
}

fn text(alert: &Alert, out: &mut dyn Write) -> anyhow::Result<()> {
    let at = alert.at.strftime("%H:%M:%S%.3f");
    let priority = alert.priority.name();
    let name = name(&alert.container);
    Ok(writeln!(out, "{at}  {priority:<13}  {name}  {}: {}", alert.rule, alert.text)?)
}

fn action_text(action: &Action, out: &mut dyn Write) -> anyhow::Result<()> {
    let at = action.at.strftime("%H:%M:%S%.3f");
    let outcome = match &action.outcome {
        Outcome::Failed(why) => format!("failed: {why}"),
        Outcome::Withheld(why) => format!("withheld: {why:?}").to_lowercase(),
        Outcome::DryRun => "dry run".to_owned(),
        other => other.name().to_owned(),
    };
    let milliseconds = |us: Option<u64>| us.map(|us| format!(" {}.{:03} ms", us / 1000, us % 1000));
    let stopped = milliseconds(action.speed.stopped_us).unwrap_or_default();
    let response = action.response.name();
    let name = name(&action.container);
    Ok(writeln!(out, "{at}  → {response:<11}  {name}  {outcome}{stopped} ({})", action.rule)?)
}
