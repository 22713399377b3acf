//! `haechi history` and `haechi diff`: verifications on record, and what changed between two of them.

use std::collections::BTreeMap;

use haechi_core::diff;
use haechi_report::lists;
use haechi_store::{Store, VerificationRow};

use super::store_failure;
use crate::args::{Diff, History, ListFormat};
use crate::setting::Setting;
use crate::{exit, output};

fn row(verification: &VerificationRow) -> lists::HistoryRow {
    lists::HistoryRow {
        id: verification.id.0,
        taken_at: verification.taken_at.clone(),
        benchmark: verification.benchmark.clone(),
        score: verification.score,
        pass: verification.counts.pass,
        fail: verification.counts.fail,
        unverified: verification.counts.unverified,
        excepted: verification.counts.excepted,
        containers: verification.containers,
    }
}

pub async fn list(args: &History, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let rows = store.history(args.of.as_deref(), args.limit).await.map_err(store_failure)?;
    output::stdout(|out| match args.format {
        ListFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            Ok(writeln!(out)?)
        }
        ListFormat::Table => {
            let rows: Vec<_> = rows.iter().map(row).collect();
            Ok(lists::history_table(&rows, setting.lang, &setting.layout(), out)?)
        }
    })?;
    Ok(exit::CLEAN)
}

pub async fn diff(args: &Diff, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let host = args.of.as_deref();
    let before = verification(&store, host, &args.before).await?;
    let after = verification(&store, host, &args.after).await?;
    let was = store.kept(before.id).await.map_err(store_failure)?;
    let is = store.kept(after.id).await.map_err(store_failure)?;
    let differences = diff::diff(&was, &is);
    output::stdout(|out| match args.format {
        ListFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &differences)?;
            Ok(writeln!(out)?)
        }
        ListFormat::Table => {
            let content = super::content(setting)?;
            let titles: BTreeMap<String, String> = content
                .checks()
                .map(|check| (check.id.clone(), check.title.get(setting.lang).to_owned()))
                .collect();
            let (before, after) = (row(&before), row(&after));
            let layout = setting.layout();
            Ok(lists::diff_table(
                &before,
                &after,
                &differences,
                &titles,
                setting.lang,
                &layout,
                out,
            )?)
        }
    })?;
    Ok(exit::CLEAN)
}

async fn verification(
    store: &Store,
    host: Option<&str>,
    spec: &str,
) -> anyhow::Result<VerificationRow> {
    let id = store.resolve(host, spec).await.map_err(store_failure)?;
    Ok(store.verification(id).await.map_err(store_failure)?.row)
}
