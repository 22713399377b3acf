//! `haechi alerts`, `haechi actions` and `haechi activity`: what the monitor kept, newest first.
//!
//! Read page by page and written as it is read, so that a million rows need no more memory than a page of them.

use std::fmt::Display;

use haechi_core::activity::{ACTIVITY_SCHEMA, Activity};
use haechi_core::alert::Alert;
use haechi_core::policy::matches_pattern;
use haechi_core::response::{Action, Outcome};
use haechi_core::text::visible;
use haechi_store::{ActionFilter, ActivityFilter, AlertFilter, StoreError};
use jiff::Timestamp;
use serde::Serialize;

use super::{lines, store_failure};
use crate::args::{self, RecordFormat, Recorded};
use crate::setting::Setting;
use crate::{exit, output};

/// Rows that are read at once.
const PAGE: u32 = 500;

/// A row as it is written: its number beside what it says.
#[derive(Serialize)]
struct Numbered<'a, T> {
    number: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    #[serde(flatten)]
    row: &'a T,
}

/// What can be written in all formats.
trait Shown: Serialize {
    /// Name of the format, if it does not say it itself.
    const SCHEMA: Option<&'static str> = None;
    /// Key of the sentence that there is none.
    const NONE: &'static str;
    /// Names of the columns for spreadsheets.
    const COLUMNS: &'static [&'static str];
    /// The columns.
    fn columns(&self) -> Vec<String>;
    /// One line for people.
    fn line(&self, setting: &Setting) -> String;
}

/// A filter for names: one, or all that a pattern with `*` and `?` fits.
struct Named(Option<String>);

impl Named {
    fn is_pattern(&self) -> bool {
        self.0.as_ref().is_some_and(|name| name.contains(['*', '?']))
    }

    /// The one name: the store finds it by its index.
    fn one(&self) -> Option<String> {
        self.0.clone().filter(|_| !self.is_pattern())
    }

    /// Whether a name fits; the store has looked for a single one already.
    fn fits(&self, name: &str) -> bool {
        self.0.as_ref().filter(|_| self.is_pattern()).is_none_or(|all| matches_pattern(all, name))
    }
}

/// Writes what is asked for, page by page; `newest` is when the newest of all records is of.
async fn list<I: Copy + Into<i64>, T: Shown>(
    which: &Recorded,
    setting: &Setting,
    wanted: impl Fn(&T) -> bool,
    mut page: impl AsyncFnMut(Option<I>) -> Result<Vec<(I, T)>, StoreError>,
    newest: impl AsyncFnOnce() -> Result<Option<Timestamp>, StoreError>,
) -> anyhow::Result<u8> {
    let limit = if which.limit == 0 { u64::MAX } else { which.limit };
    let (mut shown, mut last) = (0, None);
    while shown < limit {
        let mut rows = page(last).await.map_err(store_failure)?;
        let is_full = u32::try_from(rows.len()) == Ok(PAGE);
        last = rows.last().map(|(id, _)| *id);
        rows.retain(|(_, row)| wanted(row));
        rows.truncate(usize::try_from(limit - shown).unwrap_or(usize::MAX));
        write(&rows, which.format, shown == 0, setting)?;
        shown += rows.len() as u64;
        if !is_full {
            break;
        }
    }
    if shown == 0 {
        match newest().await.map_err(store_failure)? {
            Some(at) => setting.note("record-none", &[("newest", &second(at).to_string())]),
            None => setting.note(T::NONE, &[]),
        }
    }
    Ok(exit::CLEAN)
}

fn write<I: Copy + Into<i64>, T: Shown>(
    rows: &[(I, T)],
    format: RecordFormat,
    is_first: bool,
    setting: &Setting,
) -> anyhow::Result<()> {
    output::stdout(|out| match format {
        RecordFormat::Text => rows
            .iter()
            .try_for_each(|(_, row)| Ok(writeln!(out, "{}", visible(&row.line(setting)))?)),
        RecordFormat::Json => rows.iter().try_for_each(|(id, row)| {
            let line = Numbered { number: (*id).into(), schema: T::SCHEMA, row };
            serde_json::to_writer(&mut *out, &line)?;
            Ok(writeln!(out)?)
        }),
        RecordFormat::Csv => {
            let mut sheet = csv::Writer::from_writer(out);
            if is_first {
                sheet.write_record(["number"].iter().chain(T::COLUMNS))?;
            }
            for (id, row) in rows {
                let cells = row.columns();
                let cells = cells.iter().map(|cell| harmless(cell));
                sheet.write_record(std::iter::once((*id).into().to_string()).chain(cells))?;
            }
            Ok(sheet.flush()?)
        }
    })
}

pub async fn alerts(args: &args::Alerts, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let which = &args.which;
    let (container, rule) = (Named(which.container.clone()), Named(args.rule.clone()));
    let mut filter = AlertFilter {
        since: which.since,
        until: which.until,
        container: container.one(),
        rule: rule.one(),
        priority_at_least: args.priority,
        check: args.check.clone(),
        limit: PAGE,
        ..AlertFilter::default()
    };
    let wanted =
        |alert: &Alert| container.fits(lines::name(&alert.container)) && rule.fits(&alert.rule);
    let page = async |last| {
        filter.before_id = last;
        store.alerts(&filter).await
    };
    let newest = async || {
        let any = store.alerts(&AlertFilter { limit: 1, ..AlertFilter::default() }).await?;
        Ok(any.first().map(|(_, alert)| alert.at))
    };
    list(which, setting, wanted, page, newest).await
}

pub async fn actions(args: &args::Actions, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let which = &args.which;
    let (container, rule) = (Named(which.container.clone()), Named(args.rule.clone()));
    let mut filter = ActionFilter {
        since: which.since,
        until: which.until,
        container: container.one(),
        rule: rule.one(),
        response: args.response,
        limit: PAGE,
        ..ActionFilter::default()
    };
    let wanted =
        |action: &Action| container.fits(lines::name(&action.container)) && rule.fits(&action.rule);
    let page = async |last| {
        filter.before_id = last;
        store.actions(&filter).await
    };
    let newest = async || {
        let any = store.actions(&ActionFilter { limit: 1, ..ActionFilter::default() }).await?;
        Ok(any.first().map(|(_, action)| action.at))
    };
    list(which, setting, wanted, page, newest).await
}

pub async fn activity(args: &args::Activity, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let which = &args.which;
    let container = Named(which.container.clone());
    let mut filter = ActivityFilter {
        since: which.since,
        until: which.until,
        container: container.one(),
        action: args.action.clone(),
        limit: PAGE,
        ..ActivityFilter::default()
    };
    let wanted = |one: &Activity| container.fits(lines::short(&one.name, &one.id));
    let page = async |last| {
        filter.before_id = last;
        store.activity(&filter).await
    };
    let newest = async || {
        let any = store.activity(&ActivityFilter { limit: 1, ..ActivityFilter::default() }).await?;
        Ok(any.first().map(|(_, one)| one.at))
    };
    list(which, setting, wanted, page, newest).await
}

impl Shown for Alert {
    const NONE: &'static str = "alerts-none";
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "priority",
        "rule",
        "container",
        "container_id",
        "image",
        "program",
        "command",
        "checks",
        "text",
    ];

    fn columns(&self) -> Vec<String> {
        let of = &self.container;
        let texts = [
            self.priority.name(),
            &self.rule,
            &of.name,
            &of.id,
            &of.image,
            &self.program,
            &self.command,
            &self.checks.join(" "),
            &self.text,
        ];
        std::iter::once(self.at.to_string()).chain(texts.map(str::to_owned)).collect()
    }

    fn line(&self, _: &Setting) -> String {
        format!("{}  {}", second(self.at), lines::alert(self))
    }
}

impl Shown for Action {
    const NONE: &'static str = "actions-none";
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "response",
        "outcome",
        "detail",
        "rule",
        "container",
        "container_id",
        "pid",
        "stopped_us",
        "shown_us",
        "until",
        "cause",
    ];

    fn columns(&self) -> Vec<String> {
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        vec![
            self.at.to_string(),
            self.response.name().to_owned(),
            self.outcome.name().to_owned(),
            detail(&self.outcome),
            self.rule.clone(),
            self.container.name.clone(),
            self.container.id.clone(),
            self.pid.to_string(),
            number(self.speed.stopped_us),
            number(self.speed.shown_us),
            self.until.map(|until| until.to_string()).unwrap_or_default(),
            self.cause.clone(),
        ]
    }

    fn line(&self, setting: &Setting) -> String {
        format!("{}  {}", second(self.at), lines::action(self, setting))
    }
}

impl Shown for Activity {
    const SCHEMA: Option<&'static str> = Some(ACTIVITY_SCHEMA);
    const NONE: &'static str = "activity-none";
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "kind",
        "action",
        "name",
        "thing",
        "image",
        "command",
        "user",
        "privileged",
        "pid",
        "details",
    ];

    fn columns(&self) -> Vec<String> {
        let exec = self.exec.as_ref();
        let text = |value: Option<&String>| value.cloned().unwrap_or_default();
        let privileged = exec.and_then(|exec| exec.privileged);
        vec![
            self.at.to_string(),
            self.kind.clone(),
            self.action.clone(),
            self.name.clone(),
            self.id.clone(),
            self.image.clone(),
            text(exec.map(|exec| &exec.command)),
            text(exec.map(|exec| &exec.user)),
            privileged.map(|yes| yes.to_string()).unwrap_or_default(),
            exec.map(|exec| exec.pid.to_string()).unwrap_or_default(),
            self.details.join("; "),
        ]
    }

    fn line(&self, _: &Setting) -> String {
        let mut line = format!(
            "{}  {:<9}  {:<12}  {}",
            second(self.at),
            self.kind,
            self.action,
            lines::short(&self.name, &self.id)
        );
        if let Some(exec) = &self.exec {
            if exec.privileged == Some(true) {
                line.push_str("  --privileged");
            }
            if !exec.user.is_empty() {
                line.push_str(&format!("  --user {}", exec.user));
            }
            line.push_str(&format!("  {}", exec.command));
        }
        if !self.details.is_empty() {
            line.push_str(&format!("  {}", self.details.join(" ")));
        }
        line
    }
}

/// To the second: more is in the other formats.
fn second(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%dT%H:%M:%SZ")
}

/// What an outcome says beside its name.
fn detail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why.clone(),
        Outcome::Withheld(why) => lines::withheld(*why).to_owned(),
        _ => String::new(),
    }
}

/// A cell that no spreadsheet computes: names of containers are chosen by others.
fn harmless(cell: &str) -> String {
    let shown = visible(cell);
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{shown}")
    } else {
        shown.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_left_to_the_store_and_a_pattern_is_matched_here() {
        let named = |text: &str| Named(Some(text.to_owned()));
        assert_eq!(named("web").one().as_deref(), Some("web"));
        assert!(named("web").fits("abcdef012345"), "the store knows ids as well");
        for pattern in ["web-*", "w?b-1", "*"] {
            assert_eq!(named(pattern).one(), None);
            assert!(named(pattern).fits("web-1"), "{pattern}");
        }
        assert!(!named("web-*").fits("db-1") && !named("SSH*").fits("Reverse shell"));
        assert!(Named(None).fits("anything") && Named(None).one().is_none());
    }
}
