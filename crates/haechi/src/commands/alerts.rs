//! `haechi alerts`, `haechi actions` and `haechi activity`: what the monitor kept, newest first.
//!
//! Read page by page and written as it is read, so that a million rows need no more memory than a page of them.

use std::fmt::Display;

use haechi_core::activity::Activity;
use haechi_core::alert::Alert;
use haechi_core::response::{Action, Outcome};
use haechi_core::text::visible;
use haechi_store::{ActionFilter, ActivityFilter, AlertFilter};
use jiff::Timestamp;
use serde::Serialize;

use super::store_failure;
use crate::args::{self, RecordFormat, Recorded};
use crate::setting::Setting;
use crate::{exit, output};

/// Rows that are read at once.
const PAGE: u32 = 500;

/// A row as it is written: its number beside what it says.
#[derive(Serialize)]
struct Numbered<'a, T> {
    number: i64,
    #[serde(flatten)]
    row: &'a T,
}

/// What can be written in all formats.
trait Shown: Serialize {
    /// Names of the columns for spreadsheets.
    const COLUMNS: &'static [&'static str];
    /// The columns.
    fn columns(&self) -> Vec<String>;
    /// One line for people.
    fn line(&self) -> String;
}

/// Writes pages as they come, and knows when it is enough.
struct Writer<'a> {
    which: &'a Recorded,
    shown: u64,
}

impl<'a> Writer<'a> {
    fn new(which: &'a Recorded) -> Self {
        Self { which, shown: 0 }
    }

    /// How many rows to ask for next; 0 if it is enough.
    fn next(&self) -> u32 {
        if self.which.limit == 0 {
            return PAGE;
        }
        u32::try_from(self.which.limit.saturating_sub(self.shown)).unwrap_or(PAGE).min(PAGE)
    }

    /// Writes a page; whether there may be another one.
    fn page<I: Copy + Into<i64>, T: Shown>(
        &mut self,
        rows: &[(I, T)],
        asked: u32,
    ) -> anyhow::Result<bool> {
        let is_first = self.shown == 0;
        output::stdout(|out| match self.which.format {
            RecordFormat::Text => {
                rows.iter().try_for_each(|(_, row)| Ok(writeln!(out, "{}", visible(&row.line()))?))
            }
            RecordFormat::Json => rows.iter().try_for_each(|(id, row)| {
                serde_json::to_writer(&mut *out, &Numbered { number: (*id).into(), row })?;
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
        })?;
        self.shown += rows.len() as u64;
        Ok(u32::try_from(rows.len()) == Ok(asked))
    }

    fn end(self, setting: &Setting, none: &str) -> u8 {
        if self.shown == 0 && self.which.format == RecordFormat::Text {
            setting.note(none, &[]);
        }
        exit::CLEAN
    }
}

pub async fn alerts(args: &args::Alerts, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let which = &args.which;
    let mut filter = AlertFilter {
        since: which.since,
        until: which.until,
        container: which.container.clone(),
        rule: args.rule.clone(),
        priority_at_least: args.priority,
        check: args.check.clone(),
        ..AlertFilter::default()
    };
    let mut writer = Writer::new(which);
    loop {
        filter.limit = writer.next();
        let rows = store.alerts(&filter).await.map_err(store_failure)?;
        filter.before_id = rows.last().map(|(id, _)| *id);
        if !writer.page(&rows, filter.limit)? || writer.next() == 0 {
            return Ok(writer.end(setting, "alerts-none"));
        }
    }
}

pub async fn actions(args: &args::Actions, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let which = &args.which;
    let mut filter = ActionFilter {
        since: which.since,
        until: which.until,
        container: which.container.clone(),
        rule: args.rule.clone(),
        response: args.response,
        ..ActionFilter::default()
    };
    let mut writer = Writer::new(which);
    loop {
        filter.limit = writer.next();
        let rows = store.actions(&filter).await.map_err(store_failure)?;
        filter.before_id = rows.last().map(|(id, _)| *id);
        if !writer.page(&rows, filter.limit)? || writer.next() == 0 {
            return Ok(writer.end(setting, "actions-none"));
        }
    }
}

pub async fn activity(args: &args::Activity, setting: &Setting) -> anyhow::Result<u8> {
    let store = super::store(setting).await?;
    let which = &args.which;
    let mut filter = ActivityFilter {
        since: which.since,
        until: which.until,
        container: which.container.clone(),
        action: args.action.clone(),
        ..ActivityFilter::default()
    };
    let mut writer = Writer::new(which);
    loop {
        filter.limit = writer.next();
        let rows = store.activity(&filter).await.map_err(store_failure)?;
        filter.before_id = rows.last().map(|(id, _)| *id);
        if !writer.page(&rows, filter.limit)? || writer.next() == 0 {
            return Ok(writer.end(setting, "activity-none"));
        }
    }
}

impl Shown for Alert {
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

    fn line(&self) -> String {
        let (at, priority) = (second(self.at), self.priority.name());
        let name = named(&self.container.name, &self.container.id);
        format!("{at}  {priority:<13}  {name}  {}: {}", self.rule, self.text)
    }
}

impl Shown for Action {
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

    fn line(&self) -> String {
        let (at, response, outcome) = (second(self.at), self.response.name(), self.outcome.name());
        let name = named(&self.container.name, &self.container.id);
        let detail = match detail(&self.outcome) {
            detail if detail.is_empty() => detail,
            detail => format!(" ({detail})"),
        };
        let speed = self.speed.stopped_us.map(|us| format!(" {us} µs")).unwrap_or_default();
        format!(
            "{at}  {response:<7}  {outcome}{detail}{speed}  {name}  {}: {}",
            self.rule, self.cause
        )
    }
}

impl Shown for Activity {
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

    fn line(&self) -> String {
        let mut line = format!(
            "{}  {:<9}  {:<12}  {}",
            second(self.at),
            self.kind,
            self.action,
            named(&self.name, &self.id)
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

/// The name, or else the short id.
fn named<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id.get(..12).unwrap_or(id) } else { name }
}

fn detail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why.clone(),
        Outcome::Withheld(why) => {
            let name = serde_json::to_value(why).ok();
            name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
        }
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
