//! `haechi audit`: who did what, and whether the log says so unchanged.
//!
//! A log that cannot be vouched for is neither good nor bad: exit code 2.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use haechi_audit::{Checkpoint, Kept, Verdict, check, public_of};
use haechi_core::text::visible;
use haechi_desk::{HEAD_FILE, PUBLIC_FILE};
use haechi_store::Store;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::store_failure;
use crate::args::{Audit, AuditVerify, ListFormat};
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

/// Records that are read at once.
const PAGE: u32 = 1_000;
/// A larger file is no key and no checkpoint.
const SMALL: u64 = 64 << 10;
/// A longer line is no line of an export.
const LINE_MAX: u64 = 1 << 20;
/// The first line of an export.
const SCHEMA: &str = "haechi/audit/v1";

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Schema(String),
    Record(Kept),
    Checkpoint(Checkpoint),
}

/// Whoever runs this command, as the audit log names them: the user, and the one who logged in, if the kernel knows.
pub fn user() -> String {
    let user = rustix::process::getuid().as_raw();
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    match login.trim().parse::<u32>() {
        Ok(login) if login != u32::MAX && login != user => format!("uid {user} (login {login})"),
        _ => format!("uid {user}"),
    }
}

/// A moment to the second.
pub fn when(at: Timestamp) -> String {
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
}

pub async fn run(command: &Audit, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        Audit::List { account, limit, format } => {
            let limit = if *limit == 0 { u64::MAX } else { *limit };
            list(&there(setting).await?, account.as_deref(), limit, *format).await?;
            Ok(exit::CLEAN)
        }
        Audit::Export { output } => {
            export(&there(setting).await?, output.as_deref()).await?;
            Ok(exit::CLEAN)
        }
        Audit::Verify(args) => verify(args, setting).await,
    }
}

/// The store, which is not made: an empty log would say nothing.
async fn there(setting: &Setting) -> anyhow::Result<Store> {
    let dir = setting.data_dir();
    std::fs::metadata(dir.join("haechi.db")).map_err(|error| Failure::file(&dir, error))?;
    super::store(setting).await
}

async fn list(
    store: &Store,
    account: Option<&str>,
    limit: u64,
    format: ListFormat,
) -> anyhow::Result<()> {
    let (mut left, mut before) = (limit, None);
    while left > 0 {
        let size = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = store.audit_page(account, before, size).await.map_err(store_failure)?;
        let Some(last) = page.last() else { break };
        before = Some(last.record.number.cast_signed());
        left -= page.len() as u64;
        output::stdout(|out| {
            for kept in &page {
                match format {
                    ListFormat::Json => serde_json::to_writer(&mut *out, kept)?,
                    ListFormat::Table => write!(out, "{}", line(kept))?,
                }
                writeln!(out)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn line(kept: &Kept) -> String {
    let record = &kept.record;
    let texts = [&record.actor, &record.address, &record.action, &record.subject, &record.outcome];
    let shown: Vec<_> = texts
        .into_iter()
        .map(|text| if text.is_empty() { "-".into() } else { visible(text) })
        .collect();
    format!("{:>6}  {}  {}", record.number, when(record.at), shown.join("  "))
}

async fn export(store: &Store, to: Option<&Path>) -> anyhow::Result<()> {
    // Those of before the records: each has its record in what is read after it.
    let points = store.checkpoints().await.map_err(store_failure)?;
    // Written as it is read: the log is larger than memory may be.
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let to = to.map(Path::to_owned);
    let writing = tokio::task::spawn_blocking(move || {
        let write = |out: &mut dyn std::io::Write| {
            let mut put = |line: &Line| -> anyhow::Result<()> {
                serde_json::to_writer(&mut *out, line)?;
                Ok(writeln!(out)?)
            };
            put(&Line::Schema(SCHEMA.into()))?;
            points.into_iter().try_for_each(|point| put(&Line::Checkpoint(point)))?;
            while let Some(page) = receiver.blocking_recv() {
                let page: Vec<Kept> = page;
                page.into_iter().try_for_each(|kept| put(&Line::Record(kept)))?;
            }
            Ok(())
        };
        match to {
            Some(path) => output::file(&path, write),
            None => output::stdout(write),
        }
    });
    let read = pages(store, sender).await;
    writing.await??;
    read
}

/// Sends the log page by page, until its end or until nobody takes it.
async fn pages(store: &Store, to: tokio::sync::mpsc::Sender<Vec<Kept>>) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let page = store.audit_after(after, PAGE).await.map_err(store_failure)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.record.number;
        if to.send(page).await.is_err() {
            return Ok(());
        }
    }
}

async fn verify(args: &AuditVerify, setting: &Setting) -> anyhow::Result<u8> {
    let dir = setting.data_dir();
    let key = args.key.clone().unwrap_or_else(|| dir.join(PUBLIC_FILE));
    let key = public_of(&small(&key)?).with_context(|| key.display().to_string())?;
    // Heads and checkpoints before records: the log may grow meanwhile.
    let mut points: Vec<Checkpoint> =
        args.head.iter().map(|path| head(path)).collect::<Result<_, _>>()?;
    let mut lacks_head = false;
    let verdict = if let Some(path) = &args.export {
        let path = path.clone();
        let checking = move || {
            for line in lines(&path)? {
                if let Line::Checkpoint(point) = line? {
                    points.push(point);
                }
            }
            let records = lines(&path)?.filter_map(|line| match line {
                Ok(Line::Record(kept)) => Some(Ok(kept)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
            check(records, &points, &key)
        };
        tokio::task::spawn_blocking(checking).await??
    } else {
        let store = there(setting).await?;
        let own = heads(&dir)?;
        lacks_head = own.is_empty() && points.is_empty();
        points.extend(own);
        points.extend(store.checkpoints().await.map_err(store_failure)?);
        points.dedup();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let checking = tokio::task::spawn_blocking(move || {
            let read = std::iter::from_fn(move || receiver.blocking_recv());
            let records = read.flatten().map(Ok::<_, anyhow::Error>);
            check(records, &points, &key)
        });
        pages(&store, sender).await?;
        checking.await??
    };
    say(&verdict, lacks_head, args.format, setting)
}

/// Says what was found; the exit code that goes with it.
fn say(
    verdict: &Verdict,
    lacks_head: bool,
    format: ListFormat,
    setting: &Setting,
) -> anyhow::Result<u8> {
    let is_signed = verdict.signed > 0 && !lacks_head;
    let (word, code) = match (verdict.is_whole(), is_signed) {
        (false, _) => ("changed", exit::FINDINGS),
        (true, true) => ("whole", exit::CLEAN),
        (true, false) => ("unsigned", exit::COULD_NOT_VERIFY),
    };
    if format == ListFormat::Json {
        let mut told = serde_json::to_value(verdict)?;
        if let Some(told) = told.as_object_mut() {
            told.insert("verdict".into(), json!(word));
        }
        output::stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &told)?;
            Ok(writeln!(out)?)
        })?;
        return Ok(code);
    }
    let (records, signed, last) =
        (verdict.records.to_string(), verdict.signed.to_string(), verdict.last.to_string());
    let mut said = Vec::new();
    for fault in &verdict.faults {
        let (first, last) = (fault.first.to_string(), fault.last.to_string());
        let span = if first == last { first.clone() } else { format!("{first}–{last}") };
        let what = setting.text(&format!("audit-{}", fault.wrong.name()), &[]);
        said.push(setting.text("audit-fault", &[("records", &span), ("what", &what)]));
    }
    if verdict.faults_more > 0 {
        said.push(setting.text("audit-more", &[("count", &verdict.faults_more.to_string())]));
    }
    let values = [("records", &*records), ("signed", &*signed), ("last", &*last)];
    let key = match word {
        "changed" => "audit-is-changed",
        "whole" => "audit-is-whole",
        _ if lacks_head && verdict.signed > 0 => "audit-no-head",
        _ => "audit-is-unsigned",
    };
    said.push(setting.text(key, &values));
    if verdict.last > verdict.signed && word == "whole" {
        let first = (verdict.signed + 1).to_string();
        said.push(setting.text("audit-tail", &[("first", &first), ("last", &last)]));
    }
    output::stdout(|out| Ok(said.iter().try_for_each(|line| writeln!(out, "{line}"))?))?;
    Ok(code)
}

/// The newest checkpoints that are kept beside the database: the one, and those that did not fit and were put aside.
fn heads(dir: &Path) -> anyhow::Result<Vec<Checkpoint>> {
    let fail = |error| Failure::file(dir, error);
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(HEAD_FILE)) {
            found.push(entry.path());
        }
    }
    found.sort();
    found.iter().map(|path| head(path)).collect()
}

fn head(path: &Path) -> anyhow::Result<Checkpoint> {
    serde_json::from_str(&small(path)?).with_context(|| path.display().to_string())
}

fn small(path: &Path) -> anyhow::Result<String> {
    let fail = |error| Failure::file(path, error);
    let mut text = String::new();
    File::open(path).map_err(fail)?.take(SMALL).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// The lines of an export, read one by one.
fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>>> {
    let mut file = BufReader::new(File::open(path).map_err(|error| Failure::file(path, error))?);
    let (path, mut number) = (path.to_owned(), 0u64);
    let mut has_ended = false;
    Ok(std::iter::from_fn(move || {
        if has_ended {
            return None;
        }
        number += 1;
        let mut line = Vec::new();
        let read = file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) if number > 1 => return None,
            Ok(_) => serde_json::from_slice(&line).map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        let line = match line {
            Ok(Line::Schema(schema)) if schema != SCHEMA => {
                Err(anyhow::anyhow!("is of {schema:?}, not of {SCHEMA}"))
            }
            Ok(line) if number == 1 && !matches!(line, Line::Schema(_)) => {
                Err(anyhow::anyhow!("is no export of an audit log"))
            }
            other => other,
        };
        has_ended = line.is_err();
        Some(line.with_context(|| format!("{}:{number}", path.display())))
    }))
}
