//! One function for each command.

mod account;
mod alerts;
mod audit;
mod benchmark;
mod collect;
mod db;
mod except;
mod history;
mod image;
mod images;
mod inventory;
mod lines;
mod marks;
mod misc;
mod monitor;
mod policy;
mod profile;
mod profiled;
mod rules;
mod serve;
pub mod serve_web;
mod verify;
mod watched;
mod work;

use std::path::Path;

use haechi_checks::{Content, ContentError, Source};
use haechi_store::Store;

use crate::args::Command;
use crate::failure::Failure;
use crate::setting::{Setting, read_trusted, trusted};

/// A larger file of checks is not read.
const CONTENT_SIZE_MAX: u64 = 4 << 20;

/// Keys of the notes that commands print, for the test that proves that there are words for them.
#[cfg(test)]
pub const NOTES: &[&str] = &[
    "collecting",
    "written",
    "snapshot-written",
    "policy-written",
    "policy-valid",
    "policy-defaults",
    "not-kept",
    "no-engine",
    "examples-passed",
    "exception-added",
    "exception-removed",
    "exception-none",
    "image-problem",
    "no-cache",
    "no-database",
    "mark-not-unsafe",
    "mark-impossible",
    "mark-nothing",
    "unmark-other",
    "unmark-nothing",
    "unmark-impossible",
    "unmark-foreign",
    "mark-done",
    "mark-would",
    "mark-dry",
    "marks-none",
    "marks-mark",
    "marks-unmark",
    "db-exported",
    "db-imported",
    "db-keys",
    "records",
    "records-one",
    "days-old",
    "days-old-one",
    "age-unknown",
    "shortfall-few",
    "shortfall-year",
    "shortfall-broken",
    "shortfall-unknown",
    "db-updated",
    "db-unchanged",
    "db-absent",
    "db-nothing",
    "db-failed",
    "db-broken",
    "db-partial",
    "db-declared",
    "db-fewer",
    "db-file-failed",
    "db-unrecognised",
    "db-line",
    "db-line-old",
    "db-line-error",
    "images-not-examined",
    "alerts-none",
    "actions-none",
    "activity-none",
    "record-none",
    "outcome-begun",
    "outcome-done",
    "outcome-dry_run",
    "outcome-withheld",
    "outcome-failed",
    "outcome-ended",
    "withheld-protected",
    "withheld-budget",
    "withheld-repeated",
    "withheld-gone",
    "withheld-host_network",
    "rule-runs",
    "rule-disabled",
    "rule-left_out",
    "rules-ignored",
    "alerts-unasked",
    "rule-problem",
    "monitor-lacks",
    "monitor-without",
    "monitor-began",
    "monitor-ended",
    "monitor-lost",
    "monitor-no-responses",
    "monitor-denies-lsm",
    "monitor-denies-fanotify",
    "monitor-renewed",
    "monitor-kept",
    "monitor-suppressed",
    "monitor-unlooked",
    "monitor-unkept",
    "monitor-unshown",
    "monitor-not-kept",
    "monitor-responds",
    "monitor-needs-root",
    "monitor-unanswered",
    "account-added",
    "account-locked",
    "account-open",
    "account-login",
    "account-no-login",
    "account-password",
    "account-role",
    "account-now-locked",
    "account-now-open",
    "account-removed",
    "token-added",
    "token-until",
    "token-used",
    "token-unused",
    "token-removed",
    "audit-changed",
    "audit-removed",
    "audit-reordered",
    "audit-rewritten",
    "audit-truncated",
    "audit-forged",
    "audit-unsigned",
    "audit-broken",
    "audit-fault",
    "audit-more",
    "audit-is-changed",
    "audit-is-whole",
    "audit-is-unsigned",
    "audit-no-head",
    "audit-tail",
    "serve-first",
    "serve-first-file",
    "serve-at",
    "serve-fingerprint",
    "serve-no-monitor",
    "serve-everybody",
    "serve-ended",
    "serve-held",
];

/// Runs a command; its exit code.
pub async fn run(command: &Command, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        Command::Verify(args) => verify::run(args, setting).await,
        Command::Collect(args) => collect::run(args, setting).await,
        Command::Image(args) => image::run(args, setting).await,
        Command::Db(args) => db::run(args, setting).await,
        Command::Monitor(args) => monitor::run(args, setting).await,
        Command::Profile(args) => profile::run(args, setting).await,
        Command::Alerts(args) => alerts::alerts(args, setting).await,
        Command::Actions(args) => alerts::actions(args, setting).await,
        Command::Activity(args) => alerts::activity(args, setting).await,
        Command::Serve(args) => serve::run(args, setting).await,
        Command::ServeWork(work) => work::run(work, setting).await,
        Command::Benchmark(args) => benchmark::run(args, setting),
        Command::Policy(args) => policy::run(args, setting),
        Command::History(args) => history::list(args, setting).await,
        Command::Diff(args) => history::diff(args, setting).await,
        Command::Except(args) => except::run(args, setting).await,
        Command::Account(args) => account::run(args, setting).await,
        Command::Token(args) => account::token(args, setting).await,
        Command::Audit(args) => audit::run(args, setting).await,
        Command::Schema { what } => misc::schema(*what),
        Command::Completion { shell } => misc::completion(*shell),
        Command::Man => misc::man(),
    }
}

/// The embedded content with the site's own.
fn content(setting: &Setting) -> anyhow::Result<Content> {
    let checks = sources(&setting.site_dir("checks"))?;
    let benchmarks = sources(&setting.site_dir("benchmarks"))?;
    Content::with_site(&checks, &benchmarks).map_err(|errors| invalid(&errors).into())
}

fn invalid(errors: &[ContentError]) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::ContentInvalid(lines.join("\n"))
}

/// The YAML files of a folder, sorted by name; none if there is no such folder.
fn sources(dir: &Path) -> anyhow::Result<Vec<Source>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::file(dir, error).into()),
    };
    trusted(dir, &std::fs::metadata(dir).map_err(|e| Failure::file(dir, e))?)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Failure::file(dir, e))?.path();
        if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> anyhow::Result<Source> {
    let yaml = read_trusted(path, CONTENT_SIZE_MAX)?;
    Ok(Source { name: path.display().to_string(), yaml })
}

async fn store(setting: &Setting) -> anyhow::Result<Store> {
    Ok(Store::open(&setting.data_dir()).await.map_err(|e| Failure::Store(e.to_string()))?)
}

/// The failure of a store call.
fn store_failure(error: haechi_store::StoreError) -> anyhow::Error {
    Failure::Store(error.to_string()).into()
}
