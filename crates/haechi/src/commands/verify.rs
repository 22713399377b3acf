//! `haechi verify`: collect, decide, report, keep.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haechi_core::alert::Priority;
use haechi_core::facts::{ContainerAlert, SNAPSHOT_SIZE_MAX, Snapshot};
use haechi_core::report::distinct;
use haechi_core::verdict::ImageReport;
use haechi_core::{Policy, Report, Severity, Status};
use haechi_report::Format;
use haechi_store::{Store, StoreError, VerificationId};

use super::collect;
use super::inventory::{self, Verified};
use super::{profiled, watched};
use crate::args::{FailOn, FormatArg, Verify};
use crate::failure::Failure;
use crate::setting::{Setting, is_broken_pipe};
use crate::{exit, output};

/// The check that asks whether there are critical alerts.
const ALERTS: &str = "container-no-critical-alert";

pub async fn run(args: &Verify, setting: &Setting) -> anyhow::Result<u8> {
    let files = files(args)?;
    let content = Arc::new(super::content(setting)?);
    let Some(benchmark) = content.benchmark(&args.benchmark).cloned() else {
        let known: Vec<&str> = content.benchmarks().iter().map(|b| b.id.as_str()).collect();
        let (id, known) = (args.benchmark.clone(), known.join(", "));
        return Err(Failure::UnknownBenchmark { id, known }.into());
    };
    let mut policy = setting.policy()?;
    // Compiling needs no facts, so it is done while they are collected.
    let compiling = tokio::task::spawn_blocking({
        let (content, benchmark) = (content.clone(), benchmark.clone());
        move || content.compile(&benchmark)
    });
    let live = args.snapshot.is_none();
    let store = if live && args.no_store {
        Err(anyhow::anyhow!("--no-store"))
    } else {
        super::store(setting).await
    };
    if let Ok(store) = &store {
        let accepted = store.exceptions().await.map_err(super::store_failure)?;
        policy.policy.exceptions.extend(accepted.into_iter().map(|(_, exception)| exception));
    }
    let mut reports = Vec::new();
    let snapshot = match &args.snapshot {
        Some(path) => read(path)?,
        None => {
            let timeout = Duration::from_secs(args.timeout);
            let mut snapshot = collect::facts(setting, &policy, timeout, &store).await;
            if !args.no_images {
                let (reading, offline) = (&args.reading, args.offline);
                reports = collect::images(&mut snapshot, &policy, reading, offline, setting).await;
                watched::packages(&mut snapshot, &reports, &store, &policy).await;
            }
            snapshot
        }
    };
    compiling.await?.map_err(|errors| super::invalid(&errors))?;
    let mut report = haechi_checks::verify(&content, &benchmark, &snapshot, &policy)
        .map_err(|errors| super::invalid(&errors))?;
    if live {
        match &store {
            Ok(store) => {
                let hours = policy.policy.monitor.observed_hours_min;
                if let Err(why) =
                    profiled::complete(&mut report, &snapshot, &reports, store, hours).await
                {
                    tracing::warn!("profiles are not in the report: {why}");
                }
                keep(&mut report, &snapshot, &reports, &policy.policy, store, setting).await;
            }
            Err(_) if args.no_store => {}
            Err(why) => setting.note("not-kept", &[("why", &why.to_string())]),
        }
    }
    let code = code(&report, &snapshot, args.fail_on);
    match write(&report, &files, args, setting) {
        // Whoever read the report has read enough of it; the verdict stands.
        Err(error) if is_broken_pipe(&error) => return Ok(code),
        written => written?,
    }
    if let Some(gap) = collect::engine_failure(&snapshot) {
        setting.note("no-engine", &[("why", &gap.detail)]);
    }
    let asked = benchmark.items().any(|(_, item)| item.checks.iter().any(|id| id == ALERTS));
    let alerts = if asked { 0 } else { critical_alerts(&snapshot) };
    if alerts > 0 {
        setting.note("alerts-unasked", &[("alerts", &alerts.to_string())]);
    }
    Ok(code)
}

/// How many critical alerts are on record of the containers.
fn critical_alerts(snapshot: &Snapshot) -> i64 {
    let all = snapshot.containers.iter().flatten().flat_map(|one| one.alerts.iter().flatten());
    let priority = |alert: &ContainerAlert| alert.priority.as_ref()?.parse::<Priority>().ok();
    all.filter(|alert| priority(alert).is_some_and(|priority| priority <= Priority::Critical))
        .map(|alert| alert.count.unwrap_or(1))
        .sum()
}

/// The files to write, each with its format; found out before anything is collected.
fn files(args: &Verify) -> anyhow::Result<Vec<(&Path, Format)>> {
    let format = |path: &Path| {
        let by_name = path.extension().and_then(|e| e.to_str()).and_then(|extension| {
            Some(match extension {
                "html" | "htm" => Format::Html,
                "json" => Format::Json,
                "sarif" => Format::Sarif,
                "xml" => Format::Junit,
                "csv" => Format::Csv,
                "md" => Format::Markdown,
                "txt" => Format::Table,
                _ => return None,
            })
        });
        // A given format decides for a single file, a name for each of several.
        let given = args.format.map(format_of);
        let chosen = if args.output.len() == 1 { given.or(by_name) } else { by_name.or(given) };
        chosen.ok_or_else(|| Failure::UnknownFormat(path.display().to_string()))
    };
    args.output.iter().map(|path| Ok((path.as_path(), format(path)?))).collect()
}

fn format_of(format: FormatArg) -> Format {
    match format {
        FormatArg::Table => Format::Table,
        FormatArg::Json => Format::Json,
        FormatArg::Html => Format::Html,
        FormatArg::Sarif => Format::Sarif,
        FormatArg::Junit => Format::Junit,
        FormatArg::Csv => Format::Csv,
        FormatArg::Markdown => Format::Markdown,
    }
}

pub(super) fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let invalid = |why: String| Failure::SnapshotInvalid { path: path.display().to_string(), why };
    let mut bytes = Vec::new();
    let limit = SNAPSHOT_SIZE_MAX + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path).map_err(|e| Failure::file(path, e))?;
        file.take(limit).read_to_end(&mut bytes).map_err(|e| Failure::file(path, e))?;
    }
    if bytes.len() as u64 > SNAPSHOT_SIZE_MAX {
        return Err(invalid(format!("more than {SNAPSHOT_SIZE_MAX} bytes")).into());
    }
    Ok(Snapshot::parse(&bytes).map_err(|error| invalid(error.to_string()))?)
}

/// Whether everything was looked at: no kind of subject is missing as a whole.
fn is_complete(snapshot: &Snapshot) -> bool {
    let listed = snapshot.containers.is_some()
        && snapshot.images.is_some()
        && snapshot.networks.is_some()
        && snapshot.volumes.is_some()
        && snapshot.files.is_some()
        && snapshot.swarm.state.is_some()
        && snapshot.engine.version.is_some()
        // What only a mounted or visible host shows.
        && snapshot.host.accounts.is_some()
        && snapshot.host.mounts.is_some()
        && snapshot.host.listeners.is_some();
    listed && !snapshot.gaps.iter().any(|gap| gap.id.is_empty() && gap.fact.is_empty())
}

/// Keeps a verification and says what moved the score since the last one. A store that says no costs the
/// record, not the report.
async fn keep(
    report: &mut Report,
    snapshot: &Snapshot,
    images: &[ImageReport],
    policy: &Policy,
    store: &Store,
    setting: &Setting,
) {
    let keeping = async {
        let id = kept(report, snapshot, store).await?;
        let verified = Verified { snapshot, reports: vec![report], images, policy };
        inventory::keep(&verified, id, store, setting).await
    };
    if let Err(why) = keeping.await {
        setting.note("not-kept", &[("why", &why.to_string())]);
    }
}

/// Keeps a verification, and fills in what moved the score since the last one.
pub(super) async fn kept(
    report: &mut Report,
    snapshot: &Snapshot,
    store: &Store,
) -> Result<VerificationId, StoreError> {
    let complete = is_complete(snapshot);
    if let Some(last) = store.latest(&report.host.name, &report.benchmark, None).await? {
        let before = store.score(last.id).await?;
        report.movement = Some(report.score.movement(&last.taken_at, &before));
    }
    store.record(report, complete).await
}

fn write(
    report: &Report,
    files: &[(&Path, Format)],
    args: &Verify,
    setting: &Setting,
) -> anyhow::Result<()> {
    let mut layout = setting.layout();
    for (path, format) in files {
        let plain = haechi_report::Options { color: false, width: 100, ..layout };
        output::file(path, |out| {
            Ok(haechi_report::render(report, *format, setting.lang, &plain, out)?)
        })?;
        setting.note("written", &[("path", &path.display().to_string())]);
    }
    if !files.is_empty() && setting.quiet {
        return Ok(());
    }
    let format =
        if files.is_empty() { args.format.map_or(Format::Table, format_of) } else { Format::Table };
    if format != Format::Table {
        layout.color = false;
    }
    output::stdout(|out| Ok(haechi_report::render(report, format, setting.lang, &layout, out)?))
}

/// The exit code of a report.
fn code(report: &Report, snapshot: &Snapshot, fail_on: FailOn) -> u8 {
    if collect::engine_failure(snapshot).is_some() {
        return exit::COULD_NOT_VERIFY;
    }
    let least = match fail_on {
        FailOn::Low => Severity::Low,
        FailOn::Medium => Severity::Medium,
        FailOn::High => Severity::High,
        FailOn::Critical => Severity::Critical,
        FailOn::Never => return exit::CLEAN,
    };
    let any = |status| {
        distinct(&report.items).any(|finding| finding.status == status && finding.severity >= least)
    };
    if any(Status::Fail) {
        exit::FINDINGS
    } else if any(Status::Unverified) {
        exit::COULD_NOT_VERIFY
    } else {
        exit::CLEAN
    }
}
