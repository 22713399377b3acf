//! `haechi db`: bring the vulnerability database up to date, show it, and carry it into a closed network.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;

use haechi_core::text::visible;
use haechi_core::vulnerability::Completeness;
use haechi_vulns::db::{self, Database, Freshness, Origin, Outcome, Plan, Progress, Shortfall};
use jiff::Timestamp;

use crate::args::{Db, ListFormat};
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

/// Where the database is.
pub fn folder(setting: &Setting) -> PathBuf {
    setting.data_dir().join("vulns")
}

pub async fn run(command: &Db, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        Db::Update { from, source, complete } => {
            update(from.as_deref(), source, *complete, setting).await
        }
        Db::Status { format } => status(*format, setting),
        Db::Export { bundle, key } => {
            let key = key
                .as_deref()
                .map(|path| db::signing_key(&key_text(path)?).map_err(failure))
                .transpose()?;
            db::export(&folder(setting), bundle, key.as_ref(), Timestamp::now())
                .map_err(failure)?;
            setting.note("db-exported", &[("path", &bundle.display().to_string())]);
            Ok(exit::CLEAN)
        }
        Db::Import { bundle, key, unsigned } => {
            let keys = key
                .iter()
                .map(|path| db::verifying_key(&key_text(path)?).map_err(failure))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let trust = if *unsigned { db::Trust::Anyone } else { db::Trust::Keys(&keys) };
            let dir = folder(setting);
            private(&dir)?;
            let taken = db::import(&dir, bundle, trust).map_err(failure)?;
            setting.note("db-imported", &[("count", &taken.len().to_string())]);
            Ok(exit::CLEAN)
        }
        Db::Keygen { key } => {
            let (private, public) = db::keygen().map_err(failure)?;
            let mut name = key.as_os_str().to_owned();
            name.push(".pub");
            let place = PathBuf::from(name);
            for (path, text) in [(key.as_path(), private), (place.as_path(), public)] {
                if path.symlink_metadata().is_ok() {
                    return Err(Failure::Exists(path.display().to_string()).into());
                }
                output::file(path, |out| Ok(out.write_all(text.as_bytes())?))?;
            }
            let values =
                [("key", &*key.display().to_string()), ("public", &*place.display().to_string())];
            setting.note("db-keys", &values);
            Ok(exit::CLEAN)
        }
    }
}

/// Makes a folder that only its owner enters, like all that Haechi keeps.
fn private(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    Ok(made.map_err(|e| Failure::file(dir, e))?)
}

/// A larger file is no key.
const KEY_MAX: u64 = 4096;

fn key_text(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| Failure::file(path, e))?;
    file.take(KEY_MAX).read_to_string(&mut text).map_err(|e| Failure::file(path, e))?;
    Ok(text)
}

fn failure(error: db::DbError) -> anyhow::Error {
    Failure::Store(error.to_string()).into()
}

async fn update(
    from: Option<&str>,
    only: &[String],
    complete: bool,
    setting: &Setting,
) -> anyhow::Result<u8> {
    let origin = match from {
        None => Origin::Publishers,
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Origin::Mirror(url.to_owned())
        }
        Some(folder) => Origin::Folder(Path::new(folder).to_owned()),
    };
    let plan = Plan {
        origin,
        only: only.to_vec(),
        complete,
        nvd_api_key: std::env::var("HAECHI_NVD_API_KEY").ok().filter(|key| !key.is_empty()),
        now: Timestamp::now(),
    };
    let dir = folder(setting);
    private(&dir)?;
    let bar = Arc::new(Bar::new(setting));
    let progress: Arc<dyn Progress> = bar.clone();
    let report = db::update(&dir, &plan, progress).await.map_err(failure)?;
    bar.finish();
    let mut failed = false;
    let mut tell = |out: &mut dyn Write| {
        for source in &report.sources {
            if setting.quiet && !matches!(source.outcome, Outcome::Failed(_)) {
                continue;
            }
            let (word, why) = match &source.outcome {
                Outcome::Updated => ("db-updated", ""),
                Outcome::Unchanged => ("db-unchanged", ""),
                Outcome::Absent => ("db-absent", ""),
                Outcome::Failed(why) => {
                    failed = true;
                    ("db-failed", why.as_str())
                }
            };
            let (records, broken) =
                source.meta.as_ref().map(|m| (m.records, m.broken)).unwrap_or_default();
            let values = [
                ("name", source.name.as_str()),
                ("records", &counted("records", records, setting)),
                ("why", why),
            ];
            writeln!(out, "{}", setting.text(word, &values))?;
            lost(out, &source.name, broken, setting)?;
            if let Some(meta) = &source.meta {
                let (completeness, shortfall) = db::completeness(meta);
                whole(out, &source.name, completeness, shortfall.as_ref(), setting)?;
            }
        }
        Ok(())
    };
    if setting.quiet {
        // Only what failed is told, and as an error.
        tell(&mut std::io::stderr())?;
    } else {
        output::stdout(tell)?;
    }
    if report.sources.iter().all(|source| source.outcome == Outcome::Absent) {
        failed = true;
        setting.note("db-nothing", &[("from", from.unwrap_or("the publishers"))]);
    }
    for (place, why) in &report.failures {
        failed = true;
        setting.note("db-file-failed", &[("place", place), ("why", why)]);
    }
    for source in &report.sources {
        if let (Some(before), Some(meta)) = (source.records_before, &source.meta)
            && meta.records < before / 2
        {
            let values = [
                ("name", &*source.name),
                ("before", &*counted("records", before, setting)),
                ("records", &*counted("records", meta.records, setting)),
            ];
            setting.note("db-fewer", &values);
        }
    }
    for (place, why) in &report.skipped {
        setting.note("db-file-failed", &[("place", place), ("why", why)]);
    }
    if report.unrecognised_count > 0 {
        let first: Vec<&str> = report.unrecognised.iter().take(3).map(String::as_str).collect();
        let values =
            [("count", &*report.unrecognised_count.to_string()), ("first", &*first.join(", "))];
        setting.note("db-unrecognised", &values);
    }
    Ok(if failed { exit::COULD_NOT_VERIFY } else { exit::CLEAN })
}

/// Says that a source looks partial, if it does.
fn whole(
    out: &mut dyn Write,
    name: &str,
    completeness: Completeness,
    shortfall: Option<&Shortfall>,
    setting: &Setting,
) -> anyhow::Result<()> {
    let key = match completeness {
        Completeness::Plausible => return Ok(()),
        Completeness::Declared => "db-declared",
        Completeness::Partial => "db-partial",
    };
    let why = shortfall.map(|shortfall| why(shortfall, setting)).unwrap_or_default();
    Ok(writeln!(out, "  {}", setting.text(key, &[("name", name), ("why", &why)]))?)
}

/// Why a source looks partial, in words.
fn why(shortfall: &Shortfall, setting: &Setting) -> String {
    let all = |records: &u64| counted("records", *records, setting);
    match shortfall {
        Shortfall::Few { records, least } => setting
            .text("shortfall-few", &[("records", &all(records)), ("least", &least.to_string())]),
        Shortfall::FewOfYear { year, records, least } => setting.text(
            "shortfall-year",
            &[
                ("records", &all(records)),
                ("year", &year.to_string()),
                ("least", &least.to_string()),
            ],
        ),
        Shortfall::Broken { records, broken } => setting.text(
            "shortfall-broken",
            &[("records", &all(records)), ("broken", &broken.to_string())],
        ),
        Shortfall::Unknown(why) => setting.text("shortfall-unknown", &[("why", why)]),
    }
}

/// A count in words: one or many.
fn counted(key: &str, count: u64, setting: &Setting) -> String {
    let one = format!("{key}-one");
    let key = if count == 1 { &one } else { key };
    setting.text(key, &[("count", &count.to_string())])
}

/// Says how many records were not understood, if any.
fn lost(out: &mut dyn Write, name: &str, broken: u64, setting: &Setting) -> anyhow::Result<()> {
    if broken == 0 {
        return Ok(());
    }
    let values = [("name", name), ("records", &*counted("records", broken, setting))];
    Ok(writeln!(out, "  {}", setting.text("db-broken", &values))?)
}

/// How far an update is, on a terminal.
struct Bar {
    bar: indicatif::ProgressBar,
    what: Mutex<String>,
}

impl Bar {
    fn new(setting: &Setting) -> Self {
        let bar = if setting.quiet || !std::io::stderr().is_terminal() {
            indicatif::ProgressBar::hidden()
        } else {
            indicatif::ProgressBar::new_spinner()
        };
        Self { bar, what: Mutex::default() }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn at(&self, what: &str, done: u64, total: Option<u64>) {
        if self.bar.is_hidden() {
            return;
        }
        if let Ok(mut last) = self.what.lock()
            && *last != what
        {
            what.clone_into(&mut last);
            self.bar.set_message(visible(what).into_owned());
        }
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }
}

fn status(format: ListFormat, setting: &Setting) -> anyhow::Result<u8> {
    let age_days_max = setting.policy()?.policy.limits.database_age_days_max;
    let database =
        Database::open(&folder(setting), Freshness { now: Timestamp::now(), age_days_max })
            .map_err(failure)?;
    let Some(database) = database else {
        setting.note("no-database", &[]);
        return Ok(exit::COULD_NOT_VERIFY);
    };
    let sources = database.status();
    let bad = sources
        .iter()
        .any(|s| s.too_old || s.error.is_some() || s.completeness == Completeness::Partial);
    output::stdout(|out| {
        if format == ListFormat::Json {
            let list: Vec<serde_json::Value> = sources
                .iter()
                .map(|s| {
                    serde_json::json!({
                        "name": s.name,
                        "records": s.meta.records,
                        "broken": s.meta.broken,
                        "bytes": s.bytes,
                        "fetched_at": s.meta.fetched_at,
                        "data_at": s.meta.data_at,
                        "age_days": s.age_days,
                        "too_old": s.too_old,
                        "completeness": s.completeness,
                        "shortfall": s.shortfall.as_ref().map(ToString::to_string).unwrap_or_default(),
                        "error": s.error,
                    })
                })
                .collect();
            serde_json::to_writer_pretty(&mut *out, &list)?;
            return Ok(writeln!(out)?);
        }
        for s in &sources {
            let key = match (&s.error, s.too_old) {
                (Some(_), _) => "db-line-error",
                (None, true) => "db-line-old",
                (None, false) => "db-line",
            };
            let age = match s.age_days.and_then(|days| u64::try_from(days).ok()) {
                Some(days) => counted("days-old", days, setting),
                None => setting.text("age-unknown", &[]),
            };
            let line = setting.text(
                key,
                &[
                    ("name", &s.name),
                    ("records", &counted("records", s.meta.records, setting)),
                    ("age", &age),
                    ("limit", &age_days_max.to_string()),
                    ("why", s.error.as_deref().unwrap_or_default()),
                ],
            );
            writeln!(out, "{line}")?;
            if s.error.is_some() {
                continue;
            }
            lost(out, &s.name, s.meta.broken, setting)?;
            whole(out, &s.name, s.completeness, s.shortfall.as_ref(), setting)?;
        }
        Ok(())
    })?;
    Ok(if bad { exit::COULD_NOT_VERIFY } else { exit::CLEAN })
}
