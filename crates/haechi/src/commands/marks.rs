//! `haechi image marks`: which references of images were changed, oldest first.
//!
//! It tells what this data directory kept; a mark that another machine or another user's data directory set is not in it.

use std::io::Write;

use haechi_store::Mark;
use serde_json::{Value, json};

use crate::args::ListFormat;
use crate::setting::Setting;
use crate::{exit, output};

pub async fn list(format: ListFormat, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let marks = store.marks().await.map_err(super::store_failure)?;
    if marks.is_empty() && format == ListFormat::Table {
        setting.note("marks-none", &[]);
    }
    output::stdout(|out| show(&marks, format, setting, out))?;
    Ok(exit::CLEAN)
}

fn show(
    marks: &[Mark],
    format: ListFormat,
    setting: &Setting,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if format == ListFormat::Json {
        let rows: Vec<Value> = marks.iter().map(row).collect();
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        return Ok(writeln!(out)?);
    }
    for mark in marks {
        let key = if mark.action == "unmark" { "marks-unmark" } else { "marks-mark" };
        let at = mark.at.to_string();
        let values = [("at", &*at), ("from", &mark.before), ("to", &mark.after)];
        let line = setting.text(key, &values);
        writeln!(out, "{line}")?;
        if !mark.reason.is_empty() {
            writeln!(out, "  {}", haechi_core::text::visible(&mark.reason))?;
        }
    }
    Ok(())
}

fn row(mark: &Mark) -> Value {
    json!({
        "image": mark.image,
        "before": mark.before,
        "after": mark.after,
        "action": mark.action,
        "reason": mark.reason,
        "at": mark.at.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use haechi_store::Store;
    use jiff::Timestamp;

    use super::*;
    use crate::args::Cli;

    fn setting(lang: &str) -> Setting {
        Setting::of(&Cli::parse_from(["haechi", "--lang", lang, "image", "marks"]).global)
    }

    fn shown(marks: &[Mark], format: ListFormat, lang: &str) -> String {
        let mut out = Vec::new();
        show(marks, format, &setting(lang), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn what_was_kept_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).await.unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let (plain, bad) = ("web:1", "web:1-unsafe");
        store.record_mark("sha256:aa", plain, bad, "mark", "CVE \x1b[2J", at(0)).await.unwrap();
        store.record_mark("sha256:aa", bad, plain, "unmark", "", at(60)).await.unwrap();
        let marks = store.marks().await.unwrap();

        let english = shown(&marks, ListFormat::Table, "en");
        let expected = "1970-01-01T00:00:00Z  marked    web:1 -> web:1-unsafe\n  CVE \\u{1b}[2J\n\
                        1970-01-01T00:01:00Z  unmarked  web:1-unsafe -> web:1\n";
        assert_eq!(english, expected);
        let korean = shown(&marks, ListFormat::Table, "ko");
        assert!(korean.contains("표시 해제") && !korean.contains("marked"), "{korean}");

        let json: Vec<Value> =
            serde_json::from_str(&shown(&marks, ListFormat::Json, "ko")).unwrap();
        assert_eq!(json.len(), 2);
        assert_eq!(
            json.first(),
            Some(&json!({
                "image": "sha256:aa", "before": plain, "after": bad, "action": "mark",
                "reason": "CVE \u{1b}[2J", "at": "1970-01-01T00:00:00Z",
            }))
        );
        assert_eq!(shown(&[], ListFormat::Json, "en"), "[]\n");
    }
}
