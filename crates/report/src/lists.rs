//! Smaller tables for the terminal: what changed, the history, and what benchmarks and tools cover.
//!
//! Each takes plain data that the command line gathered, in the order in which it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use haechi_core::diff::{Change, Difference, Kept};
use haechi_core::text::visible;
use haechi_core::{Lang, Status};

use crate::labels::{Labels, key, points};
use crate::layout::{Align, bar, cut};
use crate::sheet::{Cell, Grid, Sheet, Style, cell, span, symbol};
use crate::{Options, RenderError};

type Done = Result<(), RenderError>;

/// Subjects of one changed check that are shown without `verbose`.
const SUBJECTS_MAX: usize = 8;

/// One verification on record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryRow {
    /// Its number.
    pub id: i64,
    /// When the facts were taken (RFC 3339).
    pub taken_at: String,
    /// Id of the benchmark.
    pub benchmark: String,
    /// Posture score.
    pub score: Option<f64>,
    /// Findings that passed.
    pub pass: u64,
    /// Findings that failed.
    pub fail: u64,
    /// Findings that could not be verified.
    pub unverified: u64,
    /// Failures that the site accepted.
    pub excepted: u64,
    /// Number of containers; -1 if unknown.
    pub containers: i64,
}

/// A benchmark in a list of benchmarks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BenchmarkLine {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How many items it has.
    pub items: u64,
    /// How many checks they name.
    pub checks: u64,
}

/// A benchmark with its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Benchmark {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its items, in its order.
    pub items: Vec<BenchmarkItem>,
}

/// An item of a benchmark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BenchmarkItem {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Title of its section.
    pub section: String,
    /// Ids of the checks that decide it.
    pub checks: Vec<String>,
}

/// Which tools decide which items of a benchmark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The tools, in the order of the columns.
    pub tools: Vec<ToolCoverage>,
}

/// What one tool decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCoverage {
    /// Its name.
    pub name: String,
    /// Ids of the items that it decides.
    pub items: BTreeSet<String>,
}

/// What changed from one verification to another; `titles` gives the title of each check.
///
/// # Errors
/// The writer refused.
pub fn diff_table(
    before: &HistoryRow,
    after: &HistoryRow,
    differences: &[Difference],
    titles: &BTreeMap<String, String>,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let labels = Labels::new(lang);
    let mut sheet = Sheet::new(out, options);
    let change = match (before.score, after.score) {
        (Some(before), Some(after)) => points(after - before),
        _ => points(0.0),
    };
    let line = labels.with(
        key::DIFF_HEAD,
        &[
            ("before", &format!("#{} {}", before.id, labels.time(&before.taken_at))),
            ("after", &format!("#{} {}", after.id, labels.time(&after.taken_at))),
            ("from", &labels.score(before.score)),
            ("to", &labels.score(after.score)),
            ("points", &change),
        ],
    );
    sheet.text(0, &line, Style::Bold)?;
    if differences.is_empty() {
        return sheet.text(0, labels.get(key::DIFF_NONE), Style::Plain);
    }
    for (kind, title, sign, style) in [
        (Change::New, key::DIFF_NEW, "+", Style::of(Status::Fail)),
        (Change::Fixed, key::DIFF_FIXED, "✓", Style::Good),
        (Change::Changed, key::DIFF_CHANGED, "~", Style::Open),
    ] {
        let of_kind: Vec<_> = differences.iter().filter(|d| d.change == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let about = labels.count(key::FINDINGS_ONE, key::FINDINGS, of_kind.len() as u64);
        sheet.heading(labels.get(title), style, &about)?;
        for same in of_kind.chunk_by(|a, b| checked(a) == checked(b)) {
            let Some(kept) = same.first().and_then(|d| either(d)) else { continue };
            let name = titles.get(&kept.check).unwrap_or(&kept.check);
            let title = format!("{} ({})", visible(name), labels.severity(kept.severity));
            sheet.field(0, sign, 2, style, &title, Style::Bold)?;
            let shown = if options.verbose { usize::MAX } else { SUBJECTS_MAX };
            for difference in same.iter().take(shown) {
                changed(&mut sheet, &labels, difference)?;
            }
            let more = same.len().saturating_sub(shown);
            if more > 0 {
                let text = labels.with(key::MORE_VERBOSE, &[("n", &more.to_string())]);
                sheet.text(4, &text, Style::Dim)?;
            }
        }
    }
    Ok(())
}

fn either(difference: &Difference) -> Option<&Kept> {
    difference.after.as_ref().or(difference.before.as_ref())
}

fn checked(difference: &Difference) -> Option<&str> {
    either(difference).map(|kept| kept.check.as_str())
}

fn changed(sheet: &mut Sheet<'_>, labels: &Labels, difference: &Difference) -> Done {
    let Some(kept) = either(difference) else { return Ok(()) };
    let state = |kept: Option<&Kept>| match kept {
        Some(kept) => format!("{} {}", symbol(kept.status), labels.status(kept.status)),
        None => labels.get(key::DIFF_ABSENT).to_owned(),
    };
    let line = format!(
        "{} {}: {} → {}",
        labels.kind(kept.kind),
        visible(&kept.name),
        state(difference.before.as_ref()),
        state(difference.after.as_ref())
    );
    sheet.text(4, &line, Style::Plain)?;
    let seen = |kept: &Option<Kept>| kept.as_ref().map(|k| k.seen.clone()).unwrap_or_default();
    let (was, is) = (seen(&difference.before), seen(&difference.after));
    if was == is {
        return Ok(());
    }
    for (sign, lines) in [("−", was), ("+", is)] {
        for line in lines {
            sheet.field(6, sign, 2, Style::Dim, &visible(&line), Style::Dim)?;
        }
    }
    Ok(())
}

/// The verifications on record, as given.
///
/// # Errors
/// The writer refused.
pub fn history_table(
    rows: &[HistoryRow],
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let labels = Labels::new(lang);
    let mut sheet = Sheet::new(out, options);
    if rows.is_empty() {
        return sheet.text(0, labels.get(key::HISTORY_NONE), Style::Plain);
    }
    // What there is no room for is left out, the least important first.
    let (bars, wide) = (sheet.width() >= 104, sheet.width() >= 92);
    let heads = [
        (true, "#"),
        (true, labels.get(key::WHEN)),
        (wide, labels.get(key::BENCHMARK)),
        (true, labels.get(key::SCORE)),
        (bars, ""),
        (true, labels.status(Status::Fail)),
        (true, labels.status(Status::Unverified)),
        (true, labels.status(Status::Excepted)),
        (true, labels.status(Status::Pass)),
        (wide, labels.get(key::FACT_CONTAINERS)),
    ];
    let shown = |cells: [Cell; 10]| -> Vec<Cell> {
        cells
            .into_iter()
            .zip(heads)
            .filter(|(_, (shown, _))| *shown)
            .map(|(cell, _)| cell)
            .collect()
    };
    let mut grid = vec![shown(heads.map(|(_, head)| cell(head, Style::Dim)))];
    for row in rows {
        let containers =
            if row.containers < 0 { "–".to_owned() } else { row.containers.to_string() };
        let (full, empty) = bar(row.score.unwrap_or(0.0) / 100.0, 10);
        let count = |count: u64, status| {
            cell(count.to_string(), if count == 0 { Style::Dim } else { Style::of(status) })
        };
        grid.push(shown([
            cell(row.id.to_string(), Style::Dim),
            cell(labels.time(&row.taken_at), Style::Plain),
            cell(visible(&row.benchmark), Style::Plain),
            cell(labels.score(row.score), Style::Bold),
            vec![span(full, Style::Plain), span(empty, Style::Dim)],
            count(row.fail, Status::Fail),
            count(row.unverified, Status::Unverified),
            count(row.excepted, Status::Excepted),
            count(row.pass, Status::Pass),
            cell(containers, Style::Dim),
        ]));
    }
    use Align::{Left, Right};
    let columns = [Right, Left, Left, Right, Left, Right, Right, Right, Right, Right];
    let columns: Vec<_> = columns
        .into_iter()
        .zip(heads)
        .filter(|(_, (shown, _))| *shown)
        .map(|(align, _)| align)
        .collect();
    sheet.grid(0, &Grid { columns: &columns, flexible: 1, rows: grid })
}

/// All benchmarks, one a line.
///
/// # Errors
/// The writer refused.
pub fn benchmark_list(
    benchmarks: &[BenchmarkLine],
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let labels = Labels::new(lang);
    let heads = [key::ID, key::TITLE, key::ITEMS_HEAD, key::CHECKS_HEAD];
    let mut rows = vec![heads.map(|head| cell(labels.get(head), Style::Dim)).to_vec()];
    rows.extend(benchmarks.iter().map(|benchmark| {
        vec![
            cell(visible(&benchmark.id), Style::Bold),
            cell(visible(&benchmark.title), Style::Plain),
            cell(benchmark.items.to_string(), Style::Plain),
            cell(benchmark.checks.to_string(), Style::Plain),
        ]
    }));
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right];
    Sheet::new(out, options).grid(0, &Grid { columns: &columns, flexible: 1, rows })
}

/// The items of a benchmark by section; with `verbose` also the checks that decide them.
///
/// # Errors
/// The writer refused.
pub fn benchmark_table(
    benchmark: &Benchmark,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let labels = Labels::new(lang);
    let mut sheet = Sheet::new(out, options);
    sheet.line(&[
        span(visible(&benchmark.title), Style::Bold),
        span(format!("  {}", visible(&benchmark.id)), Style::Dim),
    ])?;
    for items in benchmark.items.chunk_by(|a, b| a.section == b.section) {
        let section = items.first().map(|item| visible(&item.section)).unwrap_or_default();
        let about = labels.count(key::ITEMS_ONE, key::ITEMS, items.len() as u64);
        sheet.heading(&section, Style::Plain, &about)?;
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for item in items {
            rows.push(vec![
                cell(visible(&item.id), Style::Dim),
                cell(visible(&item.title), Style::Plain),
            ]);
            if options.verbose {
                let checks: Vec<_> = item.checks.iter().map(|check| visible(check)).collect();
                rows.push(vec![cell("", Style::Dim), cell(checks.join(" "), Style::Dim)]);
            }
        }
        sheet.grid(0, &Grid { columns: &[Align::Right, Align::Left], flexible: 1, rows })?;
    }
    Ok(())
}

/// How many items each tool decides, and which.
///
/// # Errors
/// The writer refused.
#[expect(clippy::cast_precision_loss, reason = "about a hundred items")]
pub fn coverage_table(
    coverage: &Coverage,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let labels = Labels::new(lang);
    let mut sheet = Sheet::new(out, options);
    let items = &coverage.benchmark.items;
    let count = |tool: &ToolCoverage| items.iter().filter(|i| tool.items.contains(&i.id)).count();
    sheet.text(0, &visible(&coverage.benchmark.title), Style::Bold)?;
    sheet.blank()?;
    let rows = coverage.tools.iter().map(|tool| {
        let share = count(tool) as f64 / items.len().max(1) as f64;
        let (full, empty) = bar(share, 30);
        vec![
            cell(visible(&tool.name), Style::Bold),
            vec![span(full, Style::Plain), span(empty, Style::Dim)],
            cell(format!("{}/{}", count(tool), items.len()), Style::Plain),
            cell(format!("{:.0} %", share * 100.0), Style::Dim),
        ]
    });
    let rows = rows.collect();
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right];
    sheet.grid(0, &Grid { columns: &columns, flexible: 0, rows })?;
    sheet.heading(labels.get(key::COVERAGE_ITEMS), Style::Plain, "")?;
    let mut head =
        vec![cell(labels.get(key::ID), Style::Dim), cell(labels.get(key::TITLE), Style::Dim)];
    let room = (sheet.width().saturating_sub(32) / coverage.tools.len().max(1)).clamp(5, 18);
    let name = |tool: &ToolCoverage| cell(cut(&visible(&tool.name), room - 2), Style::Dim);
    head.extend(coverage.tools.iter().map(name));
    let mut rows = vec![head];
    rows.extend(items.iter().map(|item| {
        let mut row =
            vec![cell(visible(&item.id), Style::Dim), cell(visible(&item.title), Style::Plain)];
        row.extend(coverage.tools.iter().map(|tool| match tool.items.contains(&item.id) {
            true => cell("●", Style::Good),
            false => cell("·", Style::Dim),
        }));
        row
    }));
    let others = std::iter::repeat_n(Align::Left, coverage.tools.len() + 1);
    let columns: Vec<_> = std::iter::once(Align::Right).chain(others).collect();
    sheet.grid(0, &Grid { columns: &columns, flexible: 1, rows })
}
