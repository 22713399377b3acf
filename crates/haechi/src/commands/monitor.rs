//! `haechi monitor`: what the kernel sees of containers, judged by rules, answered as the policy says, line by line.
//!
//! Gathers rules, policy, store and engine for [`haechi_monitor::watch`], and writes what that shows.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haechi_core::policy::{MonitorPolicy, ResponsePolicy};
use haechi_core::response::Response;
use haechi_facts::engine::http::HttpApi;
use haechi_facts::root::Root;
use haechi_monitor::watch::{Connect, Setup, watch};
use haechi_outputs::{Config, Outputs, Syslog, Webhook};
use haechi_rules::Rules;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::rules;
use crate::args::Monitor as Args;
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

mod shown;

/// How often it is looked whether rules or the policy changed.
const LOOK: Duration = Duration::from_secs(1);
/// How long the engine has for an answer: it waits for a container that it stops.
const ENGINE: Duration = Duration::from_secs(30);
/// Held by the one monitor of this machine that responds.
const LOCK: &str = "/run/haechi-monitor.lock";
/// What is there without the kernel's programs as well.
const CONNECTOR: &str = "process connector";

pub async fn run(args: &Args, setting: &Setting) -> anyhow::Result<u8> {
    // Tasks outlive this function's borrow.
    let setting = &Arc::new(setting.clone());
    let policy = policy(args, setting)?;
    let loaded = rules::load(args, &policy, setting)?;
    if loaded.refused() {
        return Ok(exit::COULD_NOT_VERIFY);
    }
    if args.list_rules {
        return rules::list(&loaded, args.format, setting);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::NeedsRoot.into());
    }
    if args.respond && policy.responses.is_empty() && policy.denied_programs.is_empty() {
        setting.note("monitor-no-responses", &[]);
    }
    if args.desk {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    }
    let _lock = if args.respond { Some(lock()?) } else { None };
    let store = if args.no_store { None } else { Some(super::store(setting).await?) };
    let (over, is_over) = tokio::sync::watch::channel(false);
    let exchanging = store.clone().map(|store| {
        tokio::spawn(super::profile::pending::serve(store, Arc::clone(setting), is_over))
    });
    let (renew, renewed) = mpsc::channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let rules = loaded.rules;
    let running = rules.running().len();
    let count = running.to_string();
    let setup = Setup {
        rules,
        policy,
        respond: args.respond,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        own: own_container(),
        engine: connect(setting),
        store,
        renewed,
        show: if args.desk { Box::new(|_| ()) } else { shown::show(args.format, setting, stop) },
        outputs: outputs(args).await?,
        without_kernel: args.without_bpf,
        events: args.events,
        profile: args.profile,
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
                let asked = args.without_bpf && ability.name != CONNECTOR;
                let key = if asked { "monitor-without" } else { "monitor-lacks" };
                let values = [("name", ability.name), ("gives", ability.gives), ("why", why)];
                setting.note(key, &values);
            }
        }
        if let Some(key) = match tier {
            haechi_sensor::Tier::Lsm => Some("monitor-denies-lsm"),
            haechi_sensor::Tier::Fanotify => Some("monitor-denies-fanotify"),
            haechi_sensor::Tier::None => None,
        } {
            setting.note(key, &[]);
        }
        if args.desk {
            tell_desk(abilities, running);
        }
        setting.note("monitor-began", &[("rules", &count)]);
    };
    let summary = watch(setup, ready, end).await;
    renewing.abort();
    let _ = over.send(true);
    if let Some(exchanging) = exchanging {
        let _ = exchanging.await;
    }
    let summary = summary?;
    let (alerts, lost) = (summary.alerts.to_string(), summary.lost.to_string());
    let values = [("alerts", &*alerts), ("lost", &*lost)];
    setting.note(if summary.lost > 0 { "monitor-lost" } else { "monitor-ended" }, &values);
    for (count, key) in [
        (summary.suppressed, "monitor-suppressed"),
        (summary.unlooked, "monitor-unlooked"),
        (summary.unkept, "monitor-unkept"),
        (summary.unshown, "monitor-unshown"),
    ] {
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

/// Tells the desk that watching has begun, and what it lacks.
fn tell_desk(abilities: &[haechi_sensor::Ability], rules: usize) {
    let lacks = abilities.iter().filter_map(|ability| {
        let why = ability.missing.as_ref()?;
        Some(format!("{}: {} ({why})", ability.name, ability.gives))
    });
    let began = haechi_desk::Began { rules, lacks: lacks.collect() };
    let written = output::stdout(|out| Ok(writeln!(out, "{}", serde_json::to_string(&began)?)?));
    if let Err(error) = written {
        tracing::warn!("the desk was not told that watching began: {error:#}");
    }
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

/// The policy of the monitor; in a dry run, what it refuses is answered like an alert.
fn policy(args: &Args, setting: &Setting) -> anyhow::Result<MonitorPolicy> {
    let mut policy = setting.policy()?.policy.monitor;
    policy.dry_run |= args.dry_run;
    if policy.dry_run && !policy.denied_programs.is_empty() {
        let refusal = ResponsePolicy {
            rule: rules::REFUSED.to_owned(),
            tag: None,
            priority: None,
            container: "*".to_owned(),
            response: Response::Deny,
        };
        policy.responses.insert(0, refusal);
    }
    Ok(policy)
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
        let renewed = policy(&args, &setting)
            .and_then(|policy| Ok((rules::load(&args, &policy, &setting)?, policy)));
        match renewed {
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
    let found = rules::Files::find(args.only_rules, &args.rules, setting);
    let mut paths = found.map(|files| files.paths).unwrap_or_default();
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
